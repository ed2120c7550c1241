"""Local fragments: which atoms, where again, and which exchanges."""

import numpy as np
import pytest
from ase.build import molecule

from gossamer.errors import UsageError
from gossamer.model.fragments import Fragment, fragment_atoms, local_fragments, reach_of
from gossamer.model.kernels import Matern52
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term


def shaken(name, n=30, seed=0):
    atoms = molecule(name)
    noise = 0.03 * np.random.default_rng(seed).normal(size=(n, len(atoms), 3))
    return atoms.numbers, atoms.positions + noise


def test_methane_is_one_fragment_of_all_its_atoms():
    numbers, positions = shaken("CH4")
    (fragment,) = local_fragments(positions, numbers)
    assert sorted(fragment.atoms[0]) == list(range(5))
    assert len(fragment.perms) == 12  # 24 exchanges of four hydrogens are more than the limit; turns alone are kept


def test_every_place_has_the_elements_of_the_first():
    numbers, positions = shaken("C3H8")
    for fragment in local_fragments(positions, numbers):
        assert len({tuple(numbers[row]) for row in fragment.atoms}) == 1
        assert all(np.array_equal(numbers[fragment.atoms[0][p]], numbers[fragment.atoms[0]]) for p in fragment.perms)


def test_the_two_methyl_groups_of_propane_share_a_term():
    numbers, positions = shaken("C3H8")
    methyl = [f for f in local_fragments(positions, numbers) if len(f.atoms[0]) == 5 and len(f.atoms) == 2]
    assert methyl
    apart = local_fragments(positions, numbers, share=False)
    assert all(len(f.atoms) == 1 for f in apart)


@pytest.mark.parametrize("name", ["CH3CH2OH", "C3H8", "CH3CONH2", "C6H6"])
def test_places_and_exchanges_keep_the_energy_of_a_sum_of_terms(name):
    """The energy of a term does not change when equal atoms are renamed by one of its own exchanges."""
    numbers, positions = shaken(name)
    for fragment in local_fragments(positions, numbers):
        term = fragment.term(PairSet.full(len(numbers)), Matern52(2.0))
        distances = np.linalg.norm(positions[0][:, None] - positions[0][None], axis=-1)
        for perm in fragment.perms:
            moved = fragment.atoms[0][perm]
            before = distances[np.ix_(fragment.atoms[0], fragment.atoms[0])][np.tril_indices(len(moved), -1)]
            after = distances[np.ix_(moved, moved)][np.tril_indices(len(moved), -1)]
            assert sorted(np.round(before, 12)) == sorted(np.round(after, 12))
        assert term.n_pairs == len(moved) * (len(moved) - 1) // 2


@pytest.mark.parametrize("name", ["CH4", "CH3CH2OH", "C3H8", "CH3CONH2", "C6H6", "H2O"])
def test_a_term_tells_its_atoms_and_reach(name):
    numbers, positions = shaken(name)
    pairs = PairSet.full(len(numbers))
    for fragment in local_fragments(positions, numbers):
        term = fragment.term(pairs, Matern52(2.0))
        assert np.array_equal(fragment_atoms(term, pairs), fragment.atoms)
        assert fragment.name == f"{fragment.atoms[0][0]} within {reach_of(term)} bond{'s' * (reach_of(term) > 1)}"


def test_atoms_of_other_terms():
    pairs = PairSet.full(5)
    two = Fragment(np.array([[3, 1], [0, 4]]), np.array([[0, 1]]), "two").term(pairs, Matern52(2.0))
    assert [set(row) for row in fragment_atoms(two, pairs).tolist()] == [{1, 3}, {0, 4}]
    assert reach_of(two) is None
    for slots in ([0, 1, 9], [0, 9, 1], [0, 1], [0, 1, 2, 3]):  # no triangle, another order, no fragment's number
        assert fragment_atoms(Term(np.array(slots), np.arange(len(slots)), Matern52(2.0)), pairs) is None


def test_a_hydrogen_bond_makes_a_fragment():
    numbers, dimer = shaken("H2O")
    dimer = np.concatenate([dimer, dimer + np.array([0.0, 2.6, 0.0])], axis=1)
    numbers = np.concatenate([numbers, numbers])
    bonded = [f for f in local_fragments(dimer, numbers) if {0, 3} <= set(f.atoms[0].tolist())]
    assert bonded


def test_a_missing_pair_is_named():
    fragment = Fragment(np.array([0, 1, 2]), np.arange(3)[None], "bent")
    with pytest.raises(UsageError, match="'bent' needs pair"):
        fragment.term(PairSet(3, np.array([[1, 0], [2, 1]])), Matern52(1.0))


def test_an_atom_named_twice_is_refused():
    with pytest.raises(UsageError, match="none of them twice"):
        Fragment(np.array([0, 0]), np.arange(2)[None], "odd")
