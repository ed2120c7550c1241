"""The fused kernel against tests/reference.py: in Triton's interpreter where there is no card (tests/conftest.py), else
compiled, on the card.  And, card or none, what the compiler makes of it."""

import os
import subprocess
import sys

import numpy as np
import pytest
import reference
import torch
from cases import CASES, random_model, structures

from gossamer.backends.kernel_sum import kernel_sum
from gossamer.backends.rows import TrainingRows, fold_images, permuted_rows
from gossamer.kernels import Matern52

triton = pytest.importorskip("triton", reason="triton is not installed; pip install triton (Linux, x86-64)")

from gossamer.backends.torch import _triton  # noqa: E402

WHERE = "cuda" if torch.cuda.is_available() else "cpu"
SMALL = _triton.Tile(16, 16, 16, 4)


@pytest.fixture(autouse=True)
def interpreted():
    assert WHERE == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("energies", [False, True])
@pytest.mark.parametrize("parts", [1, 2])
def test_fused_sum_is_the_reference(case, energies, parts):
    model, _, _ = random_model(case, n_train=18, energies=energies)
    query = structures(7, seed=9)
    e_ref, f_ref = reference.predict(model, query)
    x, dx = model.pairs.forward(torch.from_numpy(query))
    total, gradient = x.new_zeros(len(x)), x.new_zeros(x.shape)
    for term, c in zip(model.terms, model.coefficients, strict=True):
        X, V = torch.from_numpy(c.X).to(WHERE), torch.from_numpy(c.V).to(WHERE)
        w = None if c.w is None else torch.from_numpy(c.w).to(WHERE)
        rows = TrainingRows.build(X, term.perms)
        queries = permuted_rows(term.gather(x).to(WHERE), term.perms) - rows.shift
        tile = SMALL._replace(parts=parts)
        e, g = fold_images(*_triton.fused_sum(term.kernel, queries, rows, V, w, tile=tile), term.perms)
        total += term.amplitude * e.cpu().view(len(x), -1).sum(1)
        term.scatter(term.amplitude * g.cpu(), gradient)
    forces = -model.scale * model.pairs.pull(dx, gradient).numpy()
    scale = np.abs(f_ref).max()
    np.testing.assert_allclose(model.constant + model.scale * total.numpy(), e_ref, rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(forces, f_ref, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize(("n", "m", "pairs"), [(1, 1, 1), (17, 33, 40), (65, 70, 16)])
@pytest.mark.parametrize("tile", [SMALL, _triton.MANY, _triton.FEW])
def test_edges_of_tiles(n, m, pairs, tile):
    rng = np.random.default_rng(0)
    x, X, V = (torch.from_numpy(rng.normal(size=(k, pairs))).to(WHERE) for k in (n, m, m))
    w = torch.from_numpy(rng.normal(size=m)).to(WHERE)
    images, kernel = np.arange(pairs)[None], Matern52(3.0)
    rows = TrainingRows.build(X, images)
    expected = kernel_sum(kernel, x, rows, V, w, images=images)
    found = _triton.fused_sum(kernel, x - rows.shift, rows, V, w, tile=tile)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12 * float(theirs.abs().max()))


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from gossamer.backends.torch import _triton
doubles = "x x_squares X X_squares V XV w numbers e g".split()
types = dict.fromkeys(doubles, "*fp64") | dict.fromkeys("n_queries n_rows n_pairs rows_per_part".split(), "i32")
for tile, order in ((_triton.MANY, 2), (_triton.FEW, 2), (_triton.MANY, 4), (_triton.MANY, 0)):
    chosen = {"HAS_W": True, "ORDER": order, "Q": tile.queries, "M": tile.rows, "P": tile.pairs}
    source = ASTSource(_triton._tiles, types | dict.fromkeys(chosen, "constexpr"), chosen)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": tile.warps})
    assert "f64.f64.f64.f64" in made.asm["ptx"], "no tensor cores"
    assert "f32" not in made.asm["ttir"], "something is computed in float32"
    assert made.metadata.shared <= 96 * 1024, made.metadata.shared
print("compiled")
"""


def test_it_compiles_for_a_card_to_float64_tensor_cores():
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("compiled\n"), done.stderr
