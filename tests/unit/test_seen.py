"""Predictions far from the training structures: what is told of, and what is none of the model's concern."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read

import gossamer as gs
from gossamer.data.dataset import Dataset
from gossamer.errors import ExtrapolationWarning
from gossamer.kernels import Matern52
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

CASE = Path(__file__).parents[1] / "data" / "cases" / "12"


def trained_on(R, numbers, perms=None, kept=None, weight=1.0):
    """A model without forces whose training structures are R (M, N, 3)."""
    pairs = PairSet.full(len(numbers))
    pairs = pairs if kept is None else pairs.keep(kept)
    i, j = pairs.pairs.T
    X = weight / np.linalg.norm(R[:, i] - R[:, j], axis=-1)
    term = Term.over_all(pairs, np.arange(len(numbers))[None] if perms is None else perms, Matern52(10.0),
                         weights=np.full(len(pairs), weight))  # fmt: skip
    return ForceField(numbers, pairs, (term,), (TermCoefficients(X, np.zeros_like(X)),))


def shaken(R, n=40, spread=0.03, seed=0):
    return R + spread * np.random.default_rng(seed).normal(size=(n, *R.shape))


def leave(model, R):
    return [k for k, structure in enumerate(R) if model.seen.left_by(np.ascontiguousarray(structure))]


@pytest.fixture(scope="module")
def dichloroethane():
    return gs.read(CASE / "two_conformers.npz")


@pytest.fixture(scope="module")
def swapped():
    return np.array([atoms.positions for atoms in read(CASE / "swapped_h.xyz", ":")])


@pytest.fixture(scope="module")
def model(dichloroethane):
    halves = dichloroethane.take(np.arange(0, 160, 2)), dichloroethane.take(np.arange(1, 160, 8))
    return gs.train(*halves, terms="local", learning_steps=2).model


def test_two_hydrogens_exchanged_are_told_of(model, swapped):
    with pytest.warns(ExtrapolationWarning) as found:
        model.predict(swapped)
    assert len(found) == 1
    said = str(found[0].message)
    assert said.startswith("positions: 5 of 5 structures (frames 0, 1, 2, ...) have bonds or contacts unlike")
    assert re.search(r"C2-H6 2\.20 Angstrom, at most 1\.\d\d in training", said)
    assert re.search(r"C2-H4 1\.08 Angstrom, at least [12]\.\d\d in training", said)
    assert "and 1 more" in said
    assert found[0].filename == __file__


def test_a_loaded_model_tells_too(model, swapped, tmp_path):
    with pytest.warns(ExtrapolationWarning, match="positions: the structure has"):
        gs.load(model.save(tmp_path / "m.gossamer")).predict(swapped[0])


def test_the_training_structures_their_twins_and_conformers_are_not(model, dichloroethane):
    """The file holds two conformers, and the model knows the exchange of the molecule's ends."""
    R = dichloroethane.positions
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for order in ([0, 1, 2, 3, 4, 5, 6, 7], [3, 2, 1, 0, 6, 7, 4, 5], [0, 1, 2, 3, 5, 4, 6, 7]):
            model.predict(R[:, order], warn=True)
        model.test(dichloroethane)
    one = np.linalg.norm(R[:, 0] - R[:, 3], axis=1) > 3.7  # anti
    assert 20 < one.sum() < 140
    assert leave(trained_on(R[one], dichloroethane.numbers), R[~one]) == []
    assert leave(trained_on(R[~one], dichloroethane.numbers), R[one]) == []


def test_test_names_the_file_and_its_frames(model, dichloroethane, swapped):
    R = np.concatenate([dichloroethane.positions[:3], swapped])
    data = Dataset(dichloroethane.numbers, R, np.zeros_like(R)).take(np.array([1, 4, 2, 6]))
    with pytest.warns(ExtrapolationWarning, match=r"data: 2 of 4 structures \(frames 4, 6\) have"):
        model.test(data, force=True)


def test_the_calculator_tells_once(model, dichloroethane, swapped):
    atoms = Atoms(dichloroethane.numbers, dichloroethane.positions[0], calculator=model.ase())
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        atoms.get_potential_energy()
        assert not found
        for R in swapped:
            atoms.positions = R
            atoms.get_forces()
    assert [w.category for w in found] == [ExtrapolationWarning]
    assert str(found[0].message).startswith("atoms: the structure has bonds")


ISOMERS = [
    ("CH3CH2OH", "CH3OCH3"), ("isobutane", "trans-butane"), ("cyclobutane", "isobutene"), ("CH3CHO", "CH2OCH2"),
    ("C3H4_C3v", "C3H4_D2d"), ("CH3CN", "CH3NC"), ("bicyclobutane", "cyclobutene"), ("HCOOCH3", "CH3COOH"),
]  # fmt: skip


def by_element(name):
    atoms = molecule(name) if name != "CH3NC" else Atoms("NCCH3", molecule("CH3CN").positions[[1, 0, 2, 3, 4, 5]])
    order = np.argsort(atoms.numbers, kind="stable")
    return atoms.numbers[order], atoms.positions[order]


@pytest.mark.parametrize("pair", ISOMERS, ids="-".join)
def test_isomers_of_one_order_of_atoms_are_told_apart(pair):
    (z, one), (other_z, other) = map(by_element, pair)
    np.testing.assert_array_equal(z, other_z)
    for here, there in ((one, other), (other, one)):
        model = trained_on(shaken(here), z)
        assert leave(model, shaken(here, seed=1)) == []
        assert len(leave(model, shaken(there, seed=1))) == 40


def test_any_two_hydrogens_of_ethanol(ethanol_file):
    data = gs.read(ethanol_file)
    model = trained_on(data.positions[:30], data.numbers)
    assert leave(model, data.positions[30:]) == []
    hydrogens = np.flatnonzero(data.numbers == 1)
    owner = np.argmin(np.linalg.norm(data.positions[0][:, None] - data.positions[0], axis=-1)
                      + 9 * (data.numbers == 1), axis=1)  # fmt: skip
    for a in hydrogens:
        for b in hydrogens[hydrogens > a]:
            order = np.arange(9)
            order[[a, b]] = b, a
            told = leave(model, data.positions[30:, order])
            assert len(told) == (0 if owner[a] == owner[b] else 30)


def hydrogen_between(where):
    """Two oxygens 2.5 Angstrom apart with hydrogens, and one more hydrogen `where` (n,) along the way."""
    R = np.zeros((len(where), 5, 3))
    R[:, 1, 0], R[:, 2, 0] = 2.5, where
    R[:, 3], R[:, 4] = (-0.3, 0.9, 0), (2.8, 0.9, 0)
    return R, np.array([8, 8, 1, 1, 1])


def test_a_proton_that_jumps_in_the_training_structures_too_is_none():
    R, z = hydrogen_between(np.concatenate([np.linspace(0.9, 1.1, 30), np.linspace(1.4, 1.6, 6)]))
    model = trained_on(R, z)
    assert leave(model, hydrogen_between(np.linspace(0.9, 1.6, 40))[0]) == []
    assert trained_on(R[:30], z).seen.left_by(hydrogen_between(np.array([1.6]))[0][0])


def test_a_jump_that_a_permutation_makes_is_seen():
    """With the exchange of both ends the proton has been at both."""
    R, z = hydrogen_between(np.linspace(0.9, 1.05, 30))
    both = np.array([[0, 1, 2, 3, 4], [1, 0, 2, 4, 3]])
    far = hydrogen_between(np.array([1.55]))[0]
    assert leave(trained_on(R, z, both), far) == []
    assert leave(trained_on(R, z), far) == [0]


def test_atoms_far_closer_than_ever_are_told_of():
    atoms = molecule("CH4")
    model = trained_on(shaken(atoms.positions), atoms.numbers)
    R = atoms.positions.copy()
    R[2] = R[1] + (0.5, 0, 0)
    with pytest.warns(ExtrapolationWarning, match=r"H1-H2 0\.50 Angstrom, at least 1\.\d+ in training"):
        model.predict(R)


def test_a_hotter_structure_is_none():
    atoms = molecule("C6H6")
    model = trained_on(shaken(atoms.positions, spread=0.01), atoms.numbers)
    assert leave(model, shaken(atoms.positions, spread=0.06, seed=3)) == []


def test_weights_do_not_matter_and_dropped_pairs_are_done_without(dichloroethane, swapped):
    R, z = dichloroethane.positions, dichloroethane.numbers
    whole, weighted = trained_on(R, z), trained_on(R, z, weight=0.25)
    np.testing.assert_allclose(weighted.seen.most, whole.seen.most)
    np.testing.assert_allclose(weighted.seen.least, whole.seen.least)
    kept = np.arange(0, 28, 2)  # C1-H4 is not among them
    assert leave(trained_on(R, z, kept=kept), R) == []
    assert len(leave(trained_on(R, z, kept=kept), swapped)) == 5
