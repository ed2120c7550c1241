"""Classes of pairs, and the functions that models make of them."""

import numpy as np
import pytest
from molecules import MOLECULES, labelled

import gossamer as gs
from gossamer.chemistry.bonds import bond_distances, bond_graph
from gossamer.chemistry.pair_classes import pair_classes
from gossamer.chemistry.symmetry import Symmetry, find_symmetry
from gossamer.errors import UsageError
from gossamer.fitting import preconditioners
from gossamer.fitting.covariance import mean_variance
from gossamer.fitting.makeup import CENTRES, makeup_of
from gossamer.kernels import Matern52
from gossamer.model.pairs import PairSet
from gossamer.reduction import kernel, reducer

PLAIN = np.arange(100)


def classes_of(name, perms=None):
    atoms = MOLECULES[name]()
    return pair_classes(atoms.positions[None], atoms.numbers, PLAIN[None, : len(atoms)] if perms is None else perms)


def test_classes_of_propane():
    found = classes_of("propane")
    counts = dict(zip(found.names, np.bincount(found.classes).tolist(), strict=True))
    assert counts == {"C(CHHH)...H(C), 3 bonds": 6, "H(C)...H(C), 3 bonds": 12, "H(C)...H(C), 4 bonds": 9}


@pytest.mark.parametrize("name", MOLECULES)
def test_pairs_are_those_three_bonds_apart_and_images_are_of_one_class(name):
    data = labelled(name)
    perms = find_symmetry(data.positions, data.numbers).perms
    found = pair_classes(data.positions, data.numbers, perms)
    apart = bond_distances(bond_graph(data.positions, data.numbers, share=0.02), data.n_atoms)
    assert all(apart[i, j] >= 3 for i, j in found.pairs.tolist())
    full = PairSet.full(data.n_atoms)
    number = np.full(len(full), -1)
    number[full.index(found.pairs)] = found.classes
    for moved in full.permuted(perms):
        np.testing.assert_array_equal(number[moved], number)


def test_a_permutation_that_breaks_bonds_joins_classes():
    """Those of the two ends of a chain of unlike atoms, exchanged by hand, and pairs that it brings nearer go."""
    atoms = MOLECULES["ethanol"]()
    alone = classes_of("ethanol")
    swap = np.arange(len(atoms))
    hydrogens = np.flatnonzero(atoms.numbers == 1)
    hydroxyl = hydrogens[np.argmin(atoms.get_all_distances()[hydrogens][:, atoms.numbers == 8])]
    other = next(h for h in hydrogens if h != hydroxyl)
    swap[[hydroxyl, other]] = other, hydroxyl
    joined = classes_of("ethanol", np.stack([np.arange(len(atoms)), swap]))
    assert len(joined.pairs) < len(alone.pairs)
    assert len(joined.names) < len(alone.names)


def test_molecules_that_no_bond_joins_are_six_bonds_apart():
    found = classes_of("water dimer")
    assert len(found.pairs) == 9
    assert all(name.endswith("6 bonds") for name in found.names)


def made(name, terms):
    data = labelled(name)
    pairs, group = PairSet.full(data.n_atoms), Symmetry.trivial(data.n_atoms)
    return data, makeup_of(terms, data, group, pairs, lambda smooth: Matern52(1.0))


def test_functions_begin_with_a_share_of_the_prior_variance():
    data, sum_of = made("ethanol", "pairs")
    functions = sum_of.functions
    assert functions.basis.size == CENTRES
    pairs = PairSet(data.n_atoms, sum_of.pairs.pairs[functions.slots])
    shortest = [np.linalg.norm(data.positions[:, i] - data.positions[:, j], axis=1).min() for i, j in pairs.pairs]
    np.testing.assert_allclose(functions.shortest, shortest)
    whole = sum_of.mean_variance(data.positions[:1])
    alone = mean_variance(sum_of.terms, sum_of.pairs, data.positions[:1])
    assert whole == pytest.approx(1.05 * alone)


@pytest.mark.parametrize("name", ["water", "methane"])
def test_atoms_near_each_other_have_none(name):
    _, sum_of = made(name, "pairs")
    assert sum_of.functions is None


def test_fragments_given_by_hand_may_stand_beside_them():
    data = labelled("ethanol")
    local = gs.local_fragments(data.positions, data.numbers)
    _, sum_of = made("ethanol", [*local, "pairs", "global"])
    assert sum_of.functions is not None
    assert sum(term.is_global for term in sum_of.terms) == 1
    with pytest.raises(UsageError, match="pair functions alone make no model"):
        made("ethanol", ["pairs"])
    with pytest.raises(UsageError, match="two of them are called 'pairs'"):
        made("ethanol", [*local, "pairs", "pairs"])


@pytest.mark.parametrize("terms", ["pairs", "both"])
def test_reduction_thins_them_out_by_whole_orbits(terms):
    data = labelled("propane", n=40)
    train, valid, test = data.split(24, 8, 8, seed=0)
    if terms == "both":
        terms = [*gs.local_fragments(train.positions, train.numbers, bonds=(1,)), "global", "pairs"]
    found = gs.reduce(train, valid, test, terms=terms, quantiles=(30, 60), tolerance=0.5, learning_steps=2, force=True)
    full, model, perms = found.full, found.model, found.record.symmetry.order
    assert full.functions is not None
    assert perms > 1
    local = {pair for pair in found.record.pairs if pair.local}
    kept = {(pair.i, pair.j) for pair in found.record.pairs if pair.kept}
    assert {(pair.i, pair.j) for pair in local} <= kept
    assert {tuple(pair) for pair in model.pairs.pairs.tolist()} == kept
    for orbit in {pair.orbit for pair in found.record.pairs}:
        assert len({pair.kept for pair in found.record.pairs if pair.orbit == orbit}) == 1
    if model.functions is not None:
        assert len(model.functions.slots) <= len(full.functions.slots)


def test_descriptors_share_the_columns_of_the_local_terms_and_nothing_more_is_kept(monkeypatch):
    data, full, begun, chosen = labelled("propane", n=40), [], [], []
    fit, search, build = kernel.fit_model, reducer.search, preconditioners.pivoted_cholesky
    monkeypatch.setattr(kernel, "fit_model", lambda *given, **more: full.append(fit(*given, **more)) or full[0])
    monkeypatch.setattr(reducer, "search", lambda *given: begun.extend(given[:3]) or search(*given))
    monkeypatch.setattr(preconditioners, "pivoted_cholesky", lambda *a, **b: chosen.append(1) or build(*a, **b))
    gs.reduce(*data.split(24, 8, 8, seed=0), terms="pairs", quantiles=(50,), learning_steps=2, solver="cg", force=True)
    _, _, attempts = begun
    family = attempts._family
    assert len(chosen) == 1
    assert len(attempts._tried) > 1
    assert full[0].fitted.preconditioner is family.preconditioner
    assert family.full.preconditioner is None
    assert all(fitted.preconditioner is None for _, fitted in attempts._tried.values())


def test_a_model_with_them_is_trained_and_invariant(tmp_path):
    data = labelled("propane", n=40)
    train, valid, test = data.split(24, 8, 8, seed=0)
    found = gs.train(train, valid, terms="pairs", learning_steps=3)
    model = found.model
    assert model.functions is not None
    assert not any(term.is_global for term in model.terms)
    assert found.symmetry.order > 1
    for perm in found.symmetry.perms:
        moved = model.predict(test.positions[:, perm])
        assert np.allclose(moved.energies, model.predict(test.positions).energies, atol=1e-9)
    without = gs.train(train, valid, terms=gs.local_fragments(train.positions, train.numbers), learning_steps=3)
    assert model.test(test, force=True).force_rmse < without.model.test(test, force=True).force_rmse
    again = gs.load(model.save(tmp_path / "m.gossamer"))
    np.testing.assert_array_equal(again.predict(test.positions).forces, model.predict(test.positions).forces)
