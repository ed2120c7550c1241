"""Baselines: their forces are the gradient of their energies, and what is taken off the labels is added again."""

import numpy as np
import pytest
import reference
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones
from cases import METHYL, NUMBERS, structures

from gossamer.baselines import added, taken_off
from gossamer.baselines.calculator import CalculatorBaseline
from gossamer.baselines.repulsion import Repulsion, contact_distances
from gossamer.data.dataset import Dataset
from gossamer.errors import DataError, UsageError

ALL = np.stack(np.tril_indices(6, -1), axis=1)


def wall_of(numbers, pairs):
    """Repulsion that ends at van der Waals contact."""
    return Repulsion(numbers, pairs, contact_distances(numbers)[tuple(pairs.T)])


def close_structures(n=4):
    return 0.7 * structures(n, seed=3)


def test_repulsion_is_the_reference():
    wall, R = wall_of(NUMBERS, ALL), close_structures()
    energies, forces = wall(R)
    expected = [reference.repulsion(NUMBERS, ALL, wall.ends, structure) for structure in R]
    np.testing.assert_allclose(energies, expected, rtol=1e-12)
    h = 1e-5
    for atom, axis in ((0, 0), (2, 1), (5, 2)):
        moved = np.zeros_like(R)
        moved[:, atom, axis] = h
        slope = (wall(R + moved)[0] - wall(R - moved)[0]) / (2 * h)
        np.testing.assert_allclose(-slope, forces[:, atom, axis], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("r", [0.3, 1.2, 1.34999, 1.35, 2.0, 2.69999, 2.7, 5.0])
def test_repulsion_is_smooth_and_ends(r):
    """Also at the ends of its switch: energy and force are continuous there."""
    wall = wall_of(np.array([8, 1]), np.array([[1, 0]]))
    h = 1e-4
    at = np.array([[[0, 0, 0], [0, 0, r + d]] for d in (-h, 0, h)])
    e, f = wall(at)
    assert e[0] >= e[1] >= e[2] >= 0
    assert -(e[2] - e[0]) / (2 * h) == pytest.approx(f[1, 1, 2], rel=1e-4, abs=1e-6)
    if r > 2.7:
        assert not e.any()
        assert not f.any()


def test_repulsion_stands_between_atoms_three_bonds_apart_in_every_image():
    R = structures(5)
    chain = Repulsion.between(R, NUMBERS, np.arange(6)[None])
    pairs = {tuple(sorted(pair)) for pair in chain.pairs.tolist()}
    assert (2, 3) in pairs  # O and H across C-C
    assert (0, 1) not in pairs  # a bond
    assert (3, 4) not in pairs  # an angle
    symmetric = Repulsion.between(R, NUMBERS, METHYL)
    found = {tuple(sorted(pair)) for pair in symmetric.pairs.tolist()}
    for perm in METHYL:
        assert found == {tuple(sorted((int(perm[i]), int(perm[j])))) for i, j in found}


@pytest.mark.parametrize("perms", [np.arange(6)[None], METHYL], ids=["plain", "methyl"])
def test_repulsion_is_zero_on_the_training_structures_and_not_closer(perms):
    R = structures(8)
    wall = Repulsion.between(R, NUMBERS, perms)
    assert not wall(R)[0].any()
    assert np.all(wall.keeps(perms))
    nearer = R.copy()
    nearer[:, 3] += 0.6 * (R[:, 2] - R[:, 3])  # H on its way to O, three bonds off
    assert np.all(wall(nearer)[0] > 0.1)
    np.testing.assert_allclose(wall(nearer[:, perms[-1]])[0], wall(nearer)[0], rtol=1e-12)
    assert not wall.keeps(np.array([[2, 1, 0, 3, 4, 5]]))[0]


def test_a_jumping_proton_is_bonded_to_both():
    near, far = np.array([[0.0, 0, 0], [0, 0, 1.0], [0, 0, 2.5]]), np.array([[0.0, 0, 0], [0, 0, 1.5], [0, 0, 2.5]])
    jumping = np.concatenate([np.repeat(near[None], 9, 0), far[None]])
    assert len(Repulsion.between(jumping, np.array([8, 1, 8]), np.arange(3)[None]).pairs) == 0


def test_elements_without_constants_are_named():
    with pytest.raises(DataError, match="Po has no van der Waals radius"):
        Repulsion.between(np.array([[[0.0, 0, 0], [0, 0, 4]]]), np.array([84, 1]), np.arange(2)[None])


def test_what_is_taken_off_is_added_again():
    R = close_structures()
    rng = np.random.default_rng(0)
    data = Dataset(NUMBERS, R, rng.normal(size=R.shape), rng.normal(size=len(R)))
    baselines = (wall_of(NUMBERS, ALL), CalculatorBaseline(NUMBERS, "mine", LennardJones()))
    left = taken_off(baselines, data)
    e, f = added(baselines, R)
    assert np.abs(f).max() > 0.1
    np.testing.assert_allclose(left.energies + e, data.energies, rtol=1e-12)
    np.testing.assert_allclose(left.forces + f, data.forces, rtol=0, atol=1e-9)
    assert taken_off((), data) is data


class Failing(Calculator):
    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=None, system_changes=None):
        if atoms.positions[0, 0] > 0.9:
            raise RuntimeError("no convergence\nlong story")
        value = np.nan if atoms.positions[0, 0] > 0.4 else 0.0
        self.results = {"energy": value, "forces": np.zeros((len(atoms), 3))}


@pytest.mark.parametrize(
    ("where", "words"), [(1.0, r"frame 12 has none .*fails \(no convergence\)"), (0.5, "not finite at frame 12")]
)
def test_a_baseline_that_fails_names_the_frame(where, words):
    R = structures(3)
    R[:, 0, 0] = [0, 0, where]
    data = Dataset(NUMBERS, R, np.zeros_like(R), indices=np.array([3, 7, 12]))
    with pytest.raises(DataError, match=words):
        taken_off((CalculatorBaseline(NUMBERS, "mine", Failing()),), data)


def test_a_calculator_that_a_file_cannot_hold_is_asked_for():
    with pytest.raises(UsageError, match=r"difference to .mine..*with_calculator"):
        CalculatorBaseline(NUMBERS, "mine")(structures(1))
