"""Work in inverse distances, the molecular graph, and the small statistics behind the checks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.data import work
from gossamer.data.geometry import Skeleton, distance_blocks, graph_hash, likely_length_unit, nearest_ratio
from gossamer.data.stiffness import USUAL, Stiffness
from gossamer.data.unit_checks import likely_units
from gossamer.units import ENERGY, LENGTH

SHAPE = np.array(
    [[0.0, 0.0, 0.0], [1.5, 0.1, 0.0], [2.1, 1.3, 0.2], [-0.6, 0.9, 0.1], [-0.5, -0.6, 0.8], [-0.5, -0.5, -0.9]]
)


def shaken(n, seed=0, spread=0.1):
    return SHAPE + spread * np.random.default_rng(seed).normal(size=(n, *SHAPE.shape))


def energy_and_forces(positions):
    """A smooth made-up energy of the inverse distances, and its exact forces."""
    i, j = np.tril_indices(positions.shape[1], -1)
    between = positions[:, i] - positions[:, j]
    x = 1 / np.linalg.norm(between, axis=2)
    target = 1 / np.linalg.norm(SHAPE[i] - SHAPE[j], axis=1)
    slope = 20 * (x - target) + 5 * np.cos(3 * x)
    energy = (10 * (x - target) ** 2 + 5 / 3 * np.sin(3 * x)).sum(axis=1)
    gradient = -slope[:, :, None] * between * x[:, :, None] ** 3
    forces = np.zeros_like(positions)
    np.add.at(forces, (slice(None), i), -gradient)
    np.add.at(forces, (slice(None), j), gradient)
    return energy, forces


def test_descriptor_forces_give_the_forces_back():
    positions = shaken(7)
    _, forces = energy_and_forces(positions)
    x, u = work.descriptor_forces(positions, forces)
    i, j = np.tril_indices(6, -1)
    gradient = -(positions[:, i] - positions[:, j]) * (x**3)[:, :, None]
    back = np.zeros_like(forces)
    np.add.at(back, (slice(None), i), u[:, :, None] * gradient)
    np.add.at(back, (slice(None), j), -u[:, :, None] * gradient)
    np.testing.assert_allclose(back, forces, atol=1e-6 * np.abs(forces).max())


def test_work_does_not_see_rotations_and_translations():
    positions, rng = shaken(9), np.random.default_rng(5)
    _, forces = energy_and_forces(positions)
    x, u = work.descriptor_forces(positions, forces)
    turns = np.linalg.qr(rng.normal(size=(9, 3, 3)))[0]
    turned_x, turned_u = work.descriptor_forces(positions @ turns + rng.normal(size=(9, 1, 3)), forces @ turns)
    np.testing.assert_allclose(turned_x, x, rtol=1e-12)
    np.testing.assert_allclose(turned_u, u, atol=1e-6 * np.abs(u).max())


@pytest.mark.parametrize("block", [work._BLOCK, 3 * 9 * 36])
def test_energies_follow_work_with_slope_one(block, monkeypatch):
    monkeypatch.setattr(work, "_BLOCK", block)
    positions = shaken(80)
    energy, forces = energy_and_forces(positions)
    slope = work.fit_slope(work.steps(positions, forces, np.random.default_rng(0)), energy)
    assert slope.slope == pytest.approx(1, abs=0.05)
    assert slope.explained > 0.9


@settings(max_examples=20)
@given(st.floats(-100, 100).filter(lambda s: abs(s) > 1e-2), st.floats(0, 0.45), st.integers(0, 99))
def test_the_slope_stands_with_almost_half_of_the_steps_wrong(slope, wrong, seed):
    rng = np.random.default_rng(seed)
    done = rng.normal(size=2000)
    energies = np.concatenate([np.zeros(2000), slope * done + 1000 * (rng.random(2000) < wrong)])
    steps = work.Steps(np.arange(2000), np.arange(2000, 4000), done, np.ones(2000), np.ones(2000, dtype=bool), done / 2)
    assert work.fit_slope(steps, energies).slope == pytest.approx(slope, rel=1e-9)


def test_weighted_median():
    assert work.weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 5.0])) == 2.0
    assert work.weighted_median(np.array([3.0, 1.0, 2.0]), np.array([9.0, 1.0, 5.0])) == 3.0


@given(st.integers(0, 1000), st.integers(2, 30), st.integers(2, 30))
def test_two_groups_are_told_apart(seed, n_low, n_high):
    rng = np.random.default_rng(seed)
    high = np.arange(n_low + n_high) >= n_low
    values = 100.0 * high + rng.normal(size=high.size)
    order = rng.permutation(high.size)
    split = work.two_groups(values[order])
    assert np.array_equal(split.upper, high[order])
    assert split.distance == pytest.approx(100, abs=4)


@pytest.mark.parametrize(("draw", "at_most"), [("normal", 3.0), ("uniform", 3.8), ("laplace", 3.6)])
def test_one_group_is_not_split(draw, at_most):
    rng = np.random.default_rng(0)
    assert work.two_groups(getattr(rng, draw)(size=2000)).separation < at_most


def test_a_sample_is_a_set_of_successive_pairs_within_bounds():
    rows = work.sample(80_000, 42, np.random.default_rng(0))
    assert len(np.unique(rows)) == len(rows)
    assert rows.max() < 80_000
    assert len(rows) <= 1500
    assert (np.diff(rows) == 1).mean() > 0.4
    assert np.array_equal(work.sample(30, 42, np.random.default_rng(0)), np.arange(30))


@pytest.mark.parametrize("energy", ["eV", "kcal/mol", "kJ/mol", "Hartree"])
@pytest.mark.parametrize("force", ["eV/Angstrom", "kcal/mol/Angstrom", "Hartree/Bohr", "kJ/mol/Angstrom"])
@pytest.mark.parametrize("read", ["eV", "kcal/mol"])
def test_every_pair_of_common_units_is_recognised(energy, force, read):
    """Labels in (energy, force) that were taken for `read`: slope e/f and stiffness f times the usual."""
    force_energy, _, force_length = force.rpartition("/")
    e = ENERGY[read] / ENERGY[energy]
    f = ENERGY[read] / (ENERGY[force_energy] / LENGTH[force_length])
    slope = work.Slope(1.04 * e / f, 0.8, 1000)
    stiff = Stiffness(1.2 * USUAL * f, np.zeros(1))
    assert likely_units(slope, stiff, read, f"{read}/Angstrom") == (energy, force)


def test_without_energies_the_commoner_unit_is_named():
    """Hartree/Bohr, Hartree/Angstrom and Rydberg/Bohr lie within a factor of two of each other."""
    f = 1 / (ENERGY["Hartree"] / LENGTH["Bohr"])
    assert likely_units(None, Stiffness(1.4 * USUAL * f, np.zeros(1)), "eV", "eV/Angstrom") == ("eV", "Hartree/Bohr")
    assert likely_units(None, Stiffness(1e-6 * USUAL, np.zeros(1)), "eV", "eV/Angstrom") is None


# geometry


def test_distances_in_blocks():
    positions = np.random.default_rng(0).normal(size=(11, 5, 3))
    for block, distances in distance_blocks(positions):
        expected = np.linalg.norm(positions[block][:, :, None] - positions[block][:, None], axis=3)
        expected[:, np.arange(5), np.arange(5)] = np.inf
        np.testing.assert_allclose(distances, expected, atol=1e-7)


def test_distances_do_not_depend_on_the_block(monkeypatch):
    import gossamer.data.geometry as geometry

    positions = np.random.default_rng(0).normal(size=(11, 5, 3)) + 1000
    whole = np.concatenate([d for _, d in distance_blocks(positions)])
    monkeypatch.setattr(geometry, "_BLOCK", 75)
    blocks = list(distance_blocks(positions))
    assert [block.stop - block.start for block, _ in blocks] == [3, 3, 3, 2]
    np.testing.assert_array_equal(np.concatenate([d for _, d in blocks]), whole)


@given(st.integers(0, 1000))
def test_the_graph_hash_ignores_the_order_of_atoms(seed):
    rng = np.random.default_rng(seed)
    numbers = rng.choice([1, 6, 8], size=8)
    adjacency = rng.random((8, 8)) < 0.3
    adjacency = np.tril(adjacency, -1) | np.tril(adjacency, -1).T
    order = rng.permutation(8)
    assert graph_hash(numbers, adjacency) == graph_hash(numbers[order], adjacency[np.ix_(order, order)])
    i, j = np.tril_indices(8, -1)
    other = adjacency.copy()
    pick = rng.integers(len(i))
    other[i[pick], j[pick]] = other[j[pick], i[pick]] = not adjacency[i[pick], j[pick]]
    assert graph_hash(numbers, adjacency) != graph_hash(numbers, other)


def test_the_skeleton_is_that_of_most_frames():
    numbers = np.array([8, 1, 1])
    water = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    apart = water + 5 * np.eye(3)[[1, 0, 2]] * [[0], [1], [0]]
    skeleton = Skeleton.of(numbers, np.array([apart, water, water * 1.01, apart * 1.02, water]))
    assert skeleton.bonds.tolist() == [[1, 0], [2, 0]]
    assert skeleton.fragments == 1
    np.testing.assert_allclose(skeleton.lengths, [0.96, 0.9605], atol=1e-3)


@pytest.mark.parametrize(("unit", "size"), list(LENGTH.items()))
@pytest.mark.parametrize("declared", list(LENGTH))
def test_length_units_are_recognised_by_bonds(unit, size, declared):
    water = np.array([[[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]])
    ratio = nearest_ratio(np.array([8, 1, 1]), water / size * LENGTH[declared])
    assert likely_length_unit(ratio, declared) == (None if unit == declared else unit)


def test_lengths_without_bonds_are_not_judged():
    argon = np.array([[[0.0, 0, 0], [3.8, 0, 0]]])
    assert likely_length_unit(nearest_ratio(np.array([18, 18]), argon), "Angstrom") is None
    assert likely_length_unit(nearest_ratio(np.array([18]), argon[:, :1]), "Angstrom") is None
