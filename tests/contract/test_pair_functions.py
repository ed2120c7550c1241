"""Pair functions, by every path, against tests/reference.py."""

from dataclasses import replace

import numpy as np
import pytest
import reference
import torch
from cases import CASES, METHYL, NUMBERS, arrays, dense, pair_functions, random_model, structures

from gossamer.backends.numba import single
from gossamer.backends.torch.single_cuda import DeviceForceField
from gossamer.descriptors.basis import Basis
from gossamer.errors import UsageError
from gossamer.fitting import function_covariance
from gossamer.fitting.covariance import Covariance, Structures
from gossamer.fitting.operator import KernelOperator
from gossamer.fitting.options import make_settings
from gossamer.fitting.preconditioners import Nystrom
from gossamer.fitting.problem import Context
from gossamer.fitting.training import Start
from gossamer.fitting.training import _preconditioner as preconditioner
from gossamer.model import pair_functions as module
from gossamer.model.model_file import load
from gossamer.model.pairs import PairSet
from gossamer.model.terms import kept
from gossamer.reduction.relevance import masking_scores

BOTH = pytest.mark.parametrize("energies", [False, True])
SPREAD = 0.3  # so wide that pairs lie on both sides of the cutoff, and where functions fall


def close(a, b, rtol=1e-10):
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())


def wide(n, seed):
    return structures(n, seed, SPREAD)


def model_of(energies=False):
    return random_model("several", energies=energies, functions=pair_functions())


def everywhere(monkeypatch):
    """Let array operations do what compiled loops do on the CPU."""
    for where in (module, function_covariance):
        monkeypatch.setattr(where, "on_host", lambda tensor: False)


@pytest.mark.parametrize("basis", [Basis(0.6, 0.11, 0.35, 3.2, 20), Basis(1.1, 0.3, 0.2, 50.0, 7)])
def test_slopes_are_those_of_the_values(basis):
    x = torch.linspace(0.15, 1.5, 60, dtype=torch.float64, requires_grad=True)
    values, slopes = basis(x)
    for b in range(basis.size):
        (by_x,) = torch.autograd.grad(values[:, b].sum(), x, retain_graph=True)
        close(by_x.numpy(), slopes[:, b].detach().numpy(), 1e-12)
    for k in (0, 20, 59):
        ours = values[k].detach().numpy(), slopes[k].detach().numpy()
        theirs = reference.pair_basis(basis, 1 / x[k].item())
        scale = max(np.abs(theirs[1]).max(), 1e-30)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * scale)


def test_cases_lie_on_both_sides_of_the_cutoff():
    functions, pairs = pair_functions(), PairSet.full(len(NUMBERS))
    r = 1 / pairs.forward(torch.from_numpy(wide(6, 0)))[0][:, functions.slots].numpy()
    outer = functions.basis.cutoff
    assert all(met.any() for met in (r > outer, (0.8 * outer < r) & (r < outer), r < 0.8 * outer))


@pytest.mark.parametrize("way", ["compiled", "arrays"])
@BOTH
def test_the_operator_is_the_dense_covariance(monkeypatch, way, energies):
    if way == "arrays":
        everywhere(monkeypatch)
        monkeypatch.setattr(module, "block_bytes", lambda device: 8 * 6 * 6 * 20 * 2)  # two structures at once
    (pairs, terms), functions, R = CASES["several"](), pair_functions(), wide(5, 1)
    K = KernelOperator.of(Covariance.among(terms, pairs, torch.from_numpy(R), energies, functions), 1e-3)
    expected = reference.covariance_matrix(terms, pairs.pairs, R, energies, functions) + 1e-3 * np.eye(K.size)
    v = torch.from_numpy(np.random.default_rng(3).normal(size=K.size))
    close((K @ v).numpy(), expected @ v.numpy(), 1e-11)
    close(dense(K), expected, 1e-12)
    close(K.diagonal().numpy() + 1e-3, np.diag(expected), 1e-12)
    some = np.array([7, 2, 40, 3, K.size - 1])
    close(K.columns(some).numpy(), expected[:, some] - 1e-3 * np.eye(K.size)[:, some], 1e-12)
    shards = np.concatenate([part.numpy() for part in K.own_columns(some)], axis=1)
    order = np.concatenate(list(map(K.covariance.rows_layout.of_structures, K._own)))
    close(shards, K.columns(some).numpy()[order].T, 1e-12)


@BOTH
def test_their_rows_are_what_they_add(energies):
    """All principal directions give the whole; fewer, the largest, leave no more than the first that is left out."""
    (pairs, terms), functions, R = CASES["several"](), pair_functions(), wide(5, 1)
    C = Covariance.among(terms, pairs, torch.from_numpy(R), energies, functions)
    zero = np.zeros((C.shape[0], C.shape[0]))
    added = reference.covariance_matrix(terms, pairs.pairs, R, energies, functions)
    added = added - reference.covariance_matrix(terms, pairs.pairs, R, energies)
    K = KernelOperator.of(C, 0.0)
    whole = K.function_factor(0.0, 10**6).numpy()
    close(whole.T @ whole, added, 1e-12)
    for least, most in ((0.0, 7), (1e-3, 10**6), (0.0, 1)):  # the last leaves nothing of two classes
        rows = K.function_factor(least, most).numpy()
        sizes, left = (rows * rows).sum(1), added - rows.T @ rows
        assert 0 < len(rows) < len(whole)
        assert np.linalg.eigvalsh(left).max() <= len(functions.names) * sizes.min()
        assert np.linalg.eigvalsh(left).min() >= -1e-9 * np.abs(added).max()
    np.testing.assert_array_equal(K.of_terms.function_factor(0.0, 9).numpy(), zero[:0])


@BOTH
def test_a_preconditioner_has_them_beside_its_columns(energies):
    (pairs, terms), functions, R = CASES["several"](), pair_functions(), wide(6, 1)
    K = KernelOperator.of(Covariance.among(terms, pairs, torch.from_numpy(R), energies, functions), 1e-3)
    local = Nystrom.build(K.of_terms, 20, seed=0)
    rows = K.function_factor(0.0, 9)
    beside = local.beside(rows, K.noise)
    order = np.argsort(np.concatenate(list(map(K.covariance.rows_layout.of_structures, K._own))))
    columns = torch.cat(local.factor, 1)[:, order]
    dense = columns.T @ columns + rows.T @ rows + beside.shift * torch.eye(K.size, dtype=torch.float64)
    r = torch.from_numpy(np.random.default_rng(0).normal(size=K.size))
    close(beside(r).numpy(), torch.linalg.solve(dense, r).numpy(), 1e-9)
    again = beside.beside(rows[:4], 1e-2)
    expected = local.beside(rows[:0], 1e-2).beside(rows[:4], 1e-2)
    torch.testing.assert_close(again(r), expected(r), rtol=1e-10, atol=1e-12)


def test_a_process_with_other_eigenvectors_takes_the_directions_agreed_on(monkeypatch):
    (pairs, terms), R = CASES["several"](), torch.from_numpy(wide(5, 1))
    C = Covariance.among(terms, pairs, R, True, pair_functions())
    told, eigh = [], torch.linalg.eigh
    rows = C.function_factor(0.0, 9, lambda own: told.append(own) or own)
    monkeypatch.setattr(torch.linalg, "eigh", lambda gram: (eigh(gram)[0] * 1.1, -eigh(gram)[1]))
    assert torch.equal(C.function_factor(0.0, 9, lambda own: told[0]), rows)
    assert not torch.equal(C.function_factor(0.0, 9, lambda own: own), rows)


def test_columns_chosen_again_are_as_many_for_another_noise():
    (pairs, terms), functions, R = CASES["several"](), pair_functions(), wide(12, 1)
    K = KernelOperator.of(Covariance.among(terms, pairs, torch.from_numpy(R), False, functions), 1e-6)
    context, r = Context(make_settings({})), torch.from_numpy(np.random.default_rng(0).normal(size=K.size))
    made = preconditioner(K, 60, context, Start())
    noisy = replace(K, noise=0.1)
    assert len(K.function_factor(0.1, 15)) < len(K.function_factor(1e-6, 15))
    kept = preconditioner(noisy, 60, context, Start(columns_of=made))
    again = preconditioner(noisy, 60, context, Start(columns_of=made.chosen_for))
    assert torch.equal(kept(r), again(r))


@BOTH
def test_blocks_of_two_structures_agree(monkeypatch, energies):
    (pairs, terms), functions, R = CASES["several"](), pair_functions(), torch.from_numpy(wide(5, 1))
    whole = KernelOperator.of(Covariance.among(terms, pairs, R, energies, functions), 0.0)
    expected = dense(whole), whole.columns(np.arange(7)).numpy()
    monkeypatch.setattr("gossamer.fitting.function_covariance.block_bytes", lambda device: 8 * 4 * 20 * 7 * 2)
    close(dense(whole), expected[0], 1e-14)
    close(whole.columns(np.arange(7)).numpy(), expected[1], 1e-14)


@BOTH
def test_rectangles_are_those_of_the_whole(energies):
    """Between two sets of structures, as learning takes them."""
    (pairs, terms), functions, R = CASES["several"](), pair_functions(), wide(6, 2)
    K = reference.covariance_matrix(terms, pairs.pairs, R, energies, functions)
    sides = [Structures.of(terms, pairs, torch.from_numpy(part)) for part in (R[:4], R[4:])]
    C = Covariance.of(terms, pairs, *sides, energies, functions)
    n, last = 4 * 18, 6 * 18
    rows = np.r_[:n, last : last + 4 * energies]
    columns = np.r_[n:last, last + 4 : last + 6 * energies] if energies else np.arange(n, last)
    v = torch.from_numpy(np.random.default_rng(3).normal(size=len(columns)))
    expected = K[np.ix_(rows, columns)]
    close((C @ v).numpy(), expected @ v.numpy(), 1e-11)
    u = torch.from_numpy(np.random.default_rng(4).normal(size=len(rows)))
    close((C.T @ u).numpy(), expected.T @ u.numpy(), 1e-11)
    some = np.arange(len(columns))[::5]
    (part,) = C.columns(some)
    close(part.numpy().T, expected[:, some], 1e-12)


@pytest.mark.parametrize("way", ["compiled", "arrays", "device", "module", "one", "two threads"])
@BOTH
def test_predictions_are_the_reference(monkeypatch, way, energies):
    model, _, _ = model_of(energies)
    R = wide(4, 9)
    expected = reference.predict(model, R)
    if way in ("compiled", "arrays"):
        if way == "arrays":
            everywhere(monkeypatch)
        found = arrays(model.predict(R))
    elif way == "device":
        found = DeviceForceField.build(model, torch.device("cpu"))(torch.from_numpy(R))[:2]
    elif way == "module":
        found = model.torch()(torch.from_numpy(R))
    else:
        monkeypatch.setattr(single, "PARALLEL_WORK", 0)
        evaluator = single.SingleEvaluator.build(model, threads=1 if way == "one" else 2)
        assert evaluator.threads == (1 if way == "one" else 2)
        found = (np.array(part) for part in zip(*map(evaluator, R), strict=True))
    for ours, theirs in zip(map(np.asarray, found), expected, strict=True):
        close(ours, theirs, 1e-9)


def test_forces_are_the_gradient_of_the_energy():
    model, step = model_of()[0], 1e-4
    for R in wide(3, 4):
        _, forces = model.evaluator().one(R)
        for atom, axis in ((0, 0), (4, 1), (5, 2)):
            moved = np.zeros_like(R)
            moved[atom, axis] = step
            at = [model.evaluator().one(R + k * moved)[0] for k in (-2, -1, 1, 2)]
            slope = (8 * (at[2] - at[1]) - at[3] + at[0]) / (12 * step)
            assert -slope == pytest.approx(forces[atom, axis], abs=1e-8 * np.abs(forces).max())


@BOTH
def test_training_structures_are_predicted_as_the_product_says(energies):
    model, K, v = model_of(energies)
    e, f = arrays(model.predict(structures(5)))
    product = (K @ v - K.noise * v).numpy()
    close(f.ravel() / model.scale, product[: K.n_forces], 1e-9)
    if energies:
        close((e - model.constant) / model.scale, product[K.n_forces :], 1e-9)


@pytest.mark.parametrize("part", ["coefficients", "variances", "shortest"])
def test_files_keep_them(tmp_path, part):
    model, _, _ = model_of()
    again = load(model.save(tmp_path / "m.gossamer"))
    ours, theirs = model.functions, again.functions
    assert (ours.basis, ours.names) == (theirs.basis, theirs.names)
    np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part))
    np.testing.assert_array_equal(model.predict(wide(3, 2)).forces, again.predict(wide(3, 2)).forces)


def test_export_to_sgdml_refuses_them(tmp_path):
    model, _, _ = random_model("methyl", functions=pair_functions())
    with pytest.raises(UsageError, match="sgdml knows one unweighted term only"):
        model.export_sgdml(tmp_path / "m.npz")


def test_symmetry_is_kept_where_images_are_of_one_class():
    functions, (pairs, terms) = pair_functions(), CASES["swap"]()
    swap = np.array([[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 5, 4]])
    lacking = functions.of_pairs(np.where(np.arange(len(pairs)) == functions.slots[-1], -1, np.arange(len(pairs))))
    assert lacking.keeps(pairs, swap).tolist() == [True, True]
    assert functions.keeps(pairs, METHYL).tolist() == [True, False, False]
    apart = replace(lacking, classes=[0, 1, 2, 3, 3], names=tuple("abcd"), variances=np.ones(4))
    assert apart.keeps(pairs, swap).tolist() == [True, False]
    assert kept(terms, pairs, swap).all()
    assert kept(terms, pairs, swap, apart).tolist() == [True, False]


def test_fewer_pairs_are_the_same_functions():
    """Thinned out, they give what they gave for the pairs that are left."""
    model, _, _ = model_of()
    functions, pairs = model.functions, model.pairs
    rows = np.flatnonzero(~np.isin(np.arange(len(pairs)), functions.slots[[1, 3, 4]]))
    seen = pairs.keep(rows)
    fewer = functions.over(pairs, seen)
    assert fewer.names == ("far", "mixed")
    R = torch.from_numpy(wide(3, 2))
    e, g = fewer.sums(seen.forward(R)[0])
    _, slopes = functions.sums(pairs.forward(R)[0])
    close(g[:, fewer.slots].numpy(), slopes[:, functions.slots[[0, 2, 5]]].numpy(), 1e-12)
    assert functions.over(pairs, pairs.keep(np.setdiff1d(np.arange(len(pairs)), functions.slots))) is None
    assert e.shape == (3,)


@pytest.mark.parametrize("name", ["swap", "none"])
def test_masking_scores_equal_brute_force(name):
    """Of a global term and pair functions, and of pair functions alone."""
    swap = np.array([[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 5, 4]])
    functions = pair_functions()
    functions = functions.of_pairs(np.where(np.arange(15) == functions.slots[-1], -1, np.arange(15)))
    model, _, _ = random_model("swap", functions=functions)
    R, orbits = wide(3, 5), model.pairs.orbits(swap)
    if name == "none":
        model = replace(model, terms=(), coefficients=())
    scores = masking_scores(model, R, orbits)
    for orbit in range(orbits.max() + 1):
        if name == "swap":
            expected = reference.masking_score(model, R, orbits == orbit)
        else:
            left = model.functions.slots[orbits[model.functions.slots] != orbit]
            kept_slots = np.where(np.isin(np.arange(15), left), np.arange(15), -1)
            masked = replace(model, functions=model.functions.of_pairs(kept_slots))
            change = reference.predict(model, R)[1] - reference.predict(masked, R)[1]
            expected = np.sqrt((change**2).mean())
        np.testing.assert_allclose(scores[orbits == orbit], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slots": [1, 1, 2, 3, 4, 5]}, "a pair stands in the list twice"),
        ({"slots": [1]}, "1 pairs, 6 classes"),
        ({"classes": [0, 0, 1, 3, 3, 1]}, "classes must be numbered 0 to 2"),
        ({"coefficients": np.zeros((3, 7))}, r"coefficients \(3, 7\) do not fit 3 classes of 20"),
    ],
)
def test_what_cannot_be_is_refused(changes, said):
    with pytest.raises(UsageError, match=said):
        replace(pair_functions(), **changes)
