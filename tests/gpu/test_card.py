"""On a real card: operator, training, prediction, CUDA graph and fused kernel against the CPU and the reference.
Skipped where there is none; the same code on a CPU's tensors: tests/contract/test_device.py, test_triton.py."""

import numpy as np
import pytest
import reference
import torch
from cases import CASES, NUMBERS, arrays, dense, random_model, structures

from gossamer.backends.torch import backend as sums
from gossamer.data.dataset import Dataset
from gossamer.errors import DataError
from gossamer.fitting.checkpoint import Journal, Run
from gossamer.fitting.operator import KernelOperator
from gossamer.fitting.solvers import StopRule
from gossamer.fitting.workflow import fit

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA card"),
]
EVERY = pytest.mark.parametrize("case", CASES)
BOTH = pytest.mark.parametrize("energies", [False, True])


def close(a, b, rtol):
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())


@EVERY
@BOTH
@pytest.mark.parametrize("cache_bytes", [0, 1e9])
def test_operator_is_the_dense_covariance(case, energies, cache_bytes):
    pairs, terms = CASES[case]()
    R = structures(4)
    on_card = torch.from_numpy(R).cuda()
    K = KernelOperator.build(terms, pairs, on_card, 1e-3, energies=energies, cache_bytes=cache_bytes)
    expected = reference.covariance_matrix(terms, pairs.pairs, R, energies) + 1e-3 * np.eye(K.size)
    v = np.random.default_rng(3).normal(size=K.size)
    product = K @ torch.from_numpy(v).cuda()
    assert product.is_cuda
    close(product.cpu().numpy(), expected @ v, 1e-11)
    close(dense(K), expected, 1e-12)
    close(K.diagonal().cpu().numpy() + 1e-3, np.diag(expected), 1e-12)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@BOTH
def test_training_equals_that_on_the_cpu(ethanol_file, solver, energies):
    import gossamer as gs
    from gossamer.fitting.workflow import fit

    train, valid, test = gs.read(ethanol_file).split(30, 10, 20, seed=0)
    options = {"terms": "global", "solver": solver, "energies": energies, "length": 20.0, "relative_noise": 1e-4}
    cpu, card = (fit(train, valid, device=device, **options) for device in ("cpu", "cuda"))
    assert card.model.device.startswith("cuda")
    close(card.model.predict(test.positions).forces, cpu.model.on("cpu").predict(test.positions).forces, 1e-8)


@EVERY
@BOTH
@pytest.mark.parametrize("fused_pairs", [0, 10_000], ids=["torch", "triton"])
def test_predictions_are_the_reference(monkeypatch, case, energies, fused_pairs):
    if fused_pairs:
        pytest.importorskip("triton")
    monkeypatch.setattr(sums, "FUSED_PAIRS", fused_pairs)
    model = random_model(case, n_train=40, energies=energies)[0].on("cuda")
    query = structures(33, seed=9)
    e_ref, f_ref = reference.predict(model, query)
    e, f = arrays(model.predict(query))
    close(f, f_ref, 1e-9)
    close(e, e_ref, 1e-9)
    for structure, energy, forces in zip(query[:3], e_ref, f_ref, strict=False):  # the captured graph
        one = model.predict(structure)
        again = model.predict(structure)
        close(one.energies[0], energy, 1e-9)
        close(one.forces[0], forces, 1e-9)
        np.testing.assert_array_equal(one.forces, again.forces)


@EVERY
def test_replicas_in_a_graph_are_the_batch(case):
    model = random_model(case)[0].on("cuda")
    replicas = model.evaluator(replicas=5).many
    for seed in (1, 2):
        query = structures(5, seed=seed)
        e, f = replicas(query)
        expected = model.predict(query)
        close(f, expected.forces, 1e-11)
        close(e, expected.energies, 1e-11)


def test_coincident_atoms_are_refused_by_the_graph():
    model = random_model("methyl")[0].on("cuda")
    broken = structures(1)[0]
    broken[2] = broken[1]
    with pytest.raises(DataError, match="coincide"):
        model.predict(broken)


def test_an_interrupted_training_goes_on_on_the_card(tmp_path):
    """From the middle of conjugate gradients, and from a finished solution."""
    R = structures(40, seed=11, spread=0.08)
    p = random_model("methyl", n_train=8)[0].predict(R)
    train, valid, _ = Dataset(NUMBERS, R, p.forces, p.energies).split(30, 10, 0, seed=1)
    options = {"terms": "global", "length": 3.0, "relative_noise": 1e-8, "symmetry": "none", "solver": "cg",
               "device": "cuda", "stop": StopRule(residual=1e-9, every=1, patience=50)}  # fmt: skip
    whole = fit(train, valid, **options)

    def interrupt(event):
        if event.stage == "solve" and event.done >= 2:
            raise KeyboardInterrupt

    journal = lambda resume: Journal.open(tmp_path / "c", {}, resume=resume, every=0)  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        fit(train, valid, run=Run(journal=journal(False)), progress=interrupt, **options)
    for _ in range(2):
        again = fit(train, valid, run=Run(journal=journal(True)), **options)
        assert again.model.device == whole.model.device
        close(again.model.coefficients[0].V, whole.model.coefficients[0].V, 1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_positions_that_are_not_finite_are_refused_by_the_graph(value):
    model = random_model("methyl")[0].on("cuda")
    broken = structures(1)[0]
    broken[2, 0] = value
    with pytest.raises(DataError, match="infinite"):
        model.predict(broken)
