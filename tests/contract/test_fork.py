"""Predicting in a process that was forked from one that has predicted already, with os.fork and with Pool."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gossamer as gs

ENVIRONMENT = os.environ | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
DATA = Path(__file__).parents[1] / "data" / "ethanol_60.npz"

# The parent predicts `before` structures on several threads; children then predict one and many.
CODE = """
import multiprocessing, os, sys
import numpy as np
import torch
import gossamer as gs

how, before, data = sys.argv[1], int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(2)
R = gs.read(data).positions
model = gs.load("m.gossamer")
model.predict(R[:before])

def work(n):
    p = model.predict(R[:n])
    return p.energies, p.forces

if how == "fork":
    for n in (1, 40):
        child = os.fork()
        if child == 0:
            found = work(n)
            grandchild = os.fork()
            if grandchild == 0:
                os._exit(0 if np.array_equal(work(n)[1], found[1]) else 3)
            np.savez(f"{n}.npz", e=found[0], f=found[1])
            os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    found = [tuple(np.load(f"{n}.npz").values()) for n in (1, 40)]
else:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(work, [1, 40])
for n, (energies, forces) in zip((1, 40), found, strict=True):
    e, f = work(n)
    np.testing.assert_allclose(energies, e, rtol=1e-12)
    np.testing.assert_allclose(forces, f, rtol=1e-9, atol=1e-9)
print("done")
"""


@pytest.fixture(scope="module")
def model() -> gs.ForceField:
    data = gs.read(DATA).take(np.arange(8))
    return gs.train(data, data, terms="global", length=20.0, noise=1e-8, symmetry="none").model


@pytest.mark.parametrize("before", [1, 60])
@pytest.mark.parametrize("how", ["fork", "pool"])
def test_predicting_after_a_fork(how: str, before: int, model: gs.ForceField, tmp_path: Path) -> None:
    model.save(tmp_path / "m.gossamer")
    line = [sys.executable, "-c", CODE, how, str(before), str(DATA)]
    found = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=ENVIRONMENT)
    assert (found.returncode, found.stdout) == (0, "done\n"), found.stderr
