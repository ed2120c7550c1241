"""Compiled sums where the vectors of `_simd` cannot be used: the same numbers from single ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHOICE = """
import sys
if {broken}:
    sys.modules["gossamer.backends.numba._simd"] = None
from gossamer.backends.numba import _vectors
print(_vectors.WIDTH, _vectors.CACHED)
"""

NUMBERS = """
import numpy as np, reference, torch
from cases import CASES, random_model, structures
from gossamer.backends.numba import _vectors, layout, single
from test_single import large_model

assert _vectors.WIDTH == 1
def close(a, b, rtol=1e-10):
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())
query = structures(3, seed=9)
for case in ("plain", "several", "matern92", "gauss"):
    model, K, v = random_model(case, n_train=20, energies=True)
    e, f = reference.predict(model, query)
    many, one = model.predict(query), single.SingleEvaluator.build(model)
    for energies, forces in ((many.energies, many.forces), map(np.array, zip(*map(one, query)))):
        close(energies, e)
        close(forces, f)
    R = structures(20)
    expected = reference.covariance_matrix(K.terms, K.pairs.pairs, R, True) @ v.numpy()
    close((K @ v).numpy() - K.noise * v.numpy(), expected)
layout.COLUMN_BYTES = 0
model = large_model(energies=True)
e, f = reference.predict(model, query)
for stored, rtol in (((False,), 1e-10), ((True,), 1e-6)):
    one = single.SingleEvaluator.build(model, stored)
    close(np.array([one(R)[0] for R in query]), e, rtol)
    close(np.array([one(R)[1] for R in query]), f, rtol)
close(model.predict(query).forces, f, 1e-6)
print("the same")
"""


def run(code: str, **environment: str) -> str:
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("broken", "environment", "found"),
    [
        (False, {}, "4 True"),
        (True, {}, "1 False"),
        (False, {"GOSSAMER_VECTORS": "plain"}, "1 False"),
    ],
    ids=["here", "without vectors", "asked for"],
)
def test_vectors_are_used_where_they_compile(broken, environment, found):
    assert run(CHOICE.format(broken=broken), **environment).strip() == found


@pytest.mark.slow
def test_single_numbers_give_the_reference():
    assert run(NUMBERS, GOSSAMER_VECTORS="plain").strip() == "the same"
