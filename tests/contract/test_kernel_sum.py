"""Fast paths against tests/reference.py."""

import numpy as np
import pytest
import reference
import torch
from cases import CASES, METHYL, arrays, dense, random_model, structures

from gossamer.backends.kernel_sum import kernel_sum
from gossamer.backends.numba.backend import COMPILED
from gossamer.backends.products import contract
from gossamer.backends.rows import TrainingRows, squared_distances
from gossamer.backends.torch.backend import ARRAYS
from gossamer.fitting.operator import KernelOperator
from gossamer.fitting.preconditioners import Nystrom, pivoted_cholesky
from gossamer.kernels import Matern52
from gossamer.reduction.relevance import masking_scores

BOTH = pytest.mark.parametrize("energies", [False, True])
EVERY = pytest.mark.parametrize("case", CASES)


def close(a, b, rtol=1e-9):
    scale = np.abs(b).max()
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * scale)


def in_matrix_products(monkeypatch, held=lambda term: False):
    """Let no term of an operator, or those that `held` says, be summed by compiled code."""
    monkeypatch.setattr(COMPILED.__class__, "at_once", lambda self, term: held(term))


@EVERY
@BOTH
def test_prediction_is_the_reference(case, energies):
    model, _, _ = random_model(case, energies=energies)
    query = structures(4, seed=9)
    e, f = arrays(model.predict(query))
    e_ref, f_ref = reference.predict(model, query)
    close(e, e_ref)
    close(f, f_ref)


@EVERY
@BOTH
@pytest.mark.parametrize(("way", "n"), [("compiled", 4), ("compiled", 20), ("cached", 4), ("recomputed", 4)])
def test_operator_is_the_dense_covariance(monkeypatch, case, energies, way, n):
    """Also where compiled code meets a second block of rows (20 structures)."""
    if way != "compiled":
        in_matrix_products(monkeypatch)
    cache_bytes = 1e9 if way == "cached" else 0
    pairs, terms = CASES[case]()
    R = structures(n)
    K = KernelOperator.build(terms, pairs, torch.from_numpy(R), 1e-3, energies=energies, cache_bytes=cache_bytes)
    assert (K.covariance.at_once.flat is not None) == (way == "compiled")
    assert all((factors is not None) == (way == "cached") for shard in K.cached for factors in shard)
    expected = reference.covariance_matrix(terms, pairs.pairs, R, energies) + 1e-3 * np.eye(K.size)
    close(dense(K), expected, 1e-12)
    close(K.diagonal().numpy() + 1e-3, np.diag(expected), 1e-12)
    v = torch.from_numpy(np.random.default_rng(3).normal(size=K.size))
    close((K @ v).numpy(), expected @ v.numpy(), 1e-11)
    some = np.array([7, 2, 40, 3, K.size - 1])
    close(K.columns(some).numpy(), expected[:, some] - 1e-3 * np.eye(K.size)[:, some], 1e-12)


@BOTH
@pytest.mark.parametrize("compiled", ["local", "global"])
def test_an_operator_of_compiled_and_other_terms(monkeypatch, energies, compiled):
    in_matrix_products(monkeypatch, lambda term: term.name == compiled)
    pairs, terms = CASES["several"]()
    R = structures(20)
    K = KernelOperator.build(terms, pairs, torch.from_numpy(R), 0.0, energies=energies)
    assert K.covariance.at_once.holds == tuple(term.name == compiled for term in terms)
    v = torch.from_numpy(np.random.default_rng(3).normal(size=K.size))
    close((K @ v).numpy(), reference.covariance_matrix(terms, pairs.pairs, R, energies) @ v.numpy(), 1e-11)


@EVERY
@BOTH
def test_covariance_is_symmetric_and_positive(case, energies):
    pairs, terms = CASES[case]()
    K = dense(KernelOperator.build(terms, pairs, torch.from_numpy(structures(5)), 0.0, energies=energies))
    close(K, K.T, 1e-13)
    assert np.linalg.eigvalsh(K).min() > -1e-12 * np.linalg.eigvalsh(K).max()


@EVERY
@BOTH
def test_prediction_on_training_points_is_the_operator_product(case, energies):
    model, K, v = random_model(case, energies=energies)
    e, f = arrays(model.predict(structures(5)))
    product = (K @ v).numpy() - K.noise * v.numpy()
    close(f.ravel() / model.scale, product[: K.n_forces])
    if energies:
        close((e - model.constant) / model.scale, product[K.n_forces :])


@pytest.mark.parametrize("block", [1, 2, 3, 7, 100])
def test_blocks_of_any_size_agree(block):
    rng = np.random.default_rng(0)
    x, X, V = (torch.from_numpy(rng.normal(size=(n, 4))) for n in (7, 5, 5))
    images = np.array([[0, 1, 2, 3], [1, 0, 3, 2]])
    expected = kernel_sum(Matern52(2.0), x, X, V, images=images)
    for got, want in zip(kernel_sum(Matern52(2.0), x, X, V, images=images, block=block), expected, strict=True):
        close(got.numpy(), want.numpy(), 1e-14)


@BOTH
@pytest.mark.parametrize("n_train", [1, 4, 7])
@pytest.mark.parametrize("backend", [COMPILED, ARRAYS], ids=["numba", "torch"])
def test_weighing_in_one_pass_is_contraction_of_the_profile(backend, energies, n_train):
    rng = np.random.default_rng(0)
    kernel, images = Matern52(2.0), np.arange(5)[None]
    x, X, V = (torch.from_numpy(rng.normal(size=(n, 5))) for n in (6, n_train, n_train))
    rows = TrainingRows.build(X, images)
    x[0], x = X[0], x - rows.shift
    w = torch.from_numpy(rng.normal(size=n_train)) if energies else None
    e, g = contract(kernel.profile(squared_distances(x, rows)), x, rows, V, w)
    k1, along = x @ rows.centred.T, x @ V.T
    total, sums = backend.weigh(kernel, k1, along, (x * x).sum(1), rows, (rows.centred * V).sum(1), w)
    close(total.numpy(), e.numpy(), 1e-12)
    close(sums.numpy(), along.sum(1).numpy(), 1e-12)
    close((k1 @ V + along @ rows.centred - x * sums[:, None]).numpy(), g.numpy(), 1e-7)  # at distance zero, rounding


@EVERY
@BOTH
def test_compiled_and_matrix_paths_of_a_batch_agree(monkeypatch, case, energies):
    model, _, _ = random_model(case, energies=energies)
    x, _ = model.pairs.forward(torch.from_numpy(structures(7, seed=9)))
    compiled = model.evaluator().descriptor_sums(x)
    in_matrix_products(monkeypatch)
    other = model.evaluator()
    matrices = other.descriptor_sums(x)
    assert other._at_once.flat is None
    for a, b in zip(compiled, matrices, strict=True):
        close(a.numpy(), b.numpy(), 1e-11)


def test_operator_blocks_of_three_agree(monkeypatch):
    in_matrix_products(monkeypatch)
    pairs, terms = CASES["several"]()
    R = torch.from_numpy(structures(8))
    v = torch.from_numpy(np.random.default_rng(3).normal(size=8 * 18))
    whole = KernelOperator.build(terms, pairs, R, 1e-3)
    monkeypatch.setattr("gossamer.fitting.covariance.rows_per_block", lambda *a, **k: 3)
    blocked = KernelOperator.build(terms, pairs, R, 1e-3)
    close((blocked @ v).numpy(), (whole @ v).numpy(), 1e-13)
    for ours, theirs in zip(blocked.cached[0][0], whole.cached[0][0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)  # at distance zero, rounding


@pytest.mark.parametrize("perms", [np.arange(6)[None], METHYL], ids=["plain", "methyl"])
@BOTH
def test_masking_scores_equal_brute_force(perms, energies):
    model, _, _ = random_model("plain" if len(perms) == 1 else "methyl", energies=energies)
    orbits = model.pairs.orbits(perms)
    query = structures(3, seed=5)
    scores = masking_scores(model, query, orbits)
    for orbit in range(orbits.max() + 1):
        expected = reference.masking_score(model, query, orbits == orbit)
        np.testing.assert_allclose(scores[orbits == orbit], expected, rtol=1e-9)


@EVERY
def test_pivoted_cholesky_reproduces_the_matrix_when_complete(case):
    pairs, terms = CASES[case]()
    K = KernelOperator.build(terms, pairs, torch.from_numpy(structures(4)), 0.0)
    shards, remaining = pivoted_cholesky(K, K.size, seed=0)
    factor = torch.cat(shards, 1)
    close((factor.T @ factor).numpy(), dense(K), 1e-8)
    assert remaining < 1e-8 * K.diagonal().mean()


@pytest.mark.parametrize(("single_up_to", "rtol"), [(0.0, 1e-9), (1e99, 1e-4)], ids=["float64", "float32"])
def test_nystrom_inverts_what_it_says(monkeypatch, single_up_to, rtol):
    monkeypatch.setattr("gossamer.fitting.preconditioners.SINGLE_UP_TO", single_up_to)
    monkeypatch.setattr("gossamer.fitting.preconditioners.SINGLE_FROM", 0)
    pairs, terms = CASES["methyl"]()
    K = KernelOperator.build(terms, pairs, torch.from_numpy(structures(6)), 1e-3)
    P = Nystrom.build(K, 30, seed=1)
    r = torch.from_numpy(np.random.default_rng(0).normal(size=K.size))
    factor = torch.cat(P.factor, 1)
    assert factor.dtype == (torch.float64 if single_up_to == 0 else torch.float32)
    factor = factor.double()
    dense = factor.T @ factor + P.shift * torch.eye(K.size, dtype=torch.float64)
    close(P(r).numpy(), torch.linalg.solve(dense, r).numpy(), rtol)
    assert P.shift == pytest.approx(P.remaining + 1e-3)
    other, built = P.beside(r.new_empty((0, K.size)), 1e-2), Nystrom.from_factor(P.factor, P.shards, P.remaining, 1e-2)
    torch.testing.assert_close(other(r), built(r), rtol=0, atol=0)
    assert other.shift == pytest.approx(P.remaining + 1e-2)
