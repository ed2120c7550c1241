"""Physical facts that every model must obey, whatever its terms."""

import numpy as np
import pytest
from cases import CASES, METHYL, NUMBERS, random_model, structures
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.data.dataset import Dataset

EVERY = pytest.mark.parametrize("case", CASES)
BOTH = pytest.mark.parametrize("energies", [False, True])


def rotation(seed):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


@EVERY
@BOTH
def test_forces_are_the_negative_gradient(case, energies):
    model, _, _ = random_model(case, energies=energies)
    R = structures(1, seed=4)[0]
    h, weights = 1e-3, {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}  # sixth-order central difference
    steps = [(k, axis, m) for k in range(len(R)) for axis in range(3) for m in (-3, -2, -1, 1, 2, 3)]
    moved = np.repeat(R[None], len(steps), axis=0)
    for row, (k, axis, m) in enumerate(steps):
        moved[row, k, axis] += m * h
    e = model.predict(moved).energies
    slope = np.zeros_like(R)
    for row, (k, axis, m) in enumerate(steps):
        slope[k, axis] += np.sign(m) * weights[abs(m)] * e[row] / h
    forces = model.predict(R).forces[0]
    np.testing.assert_allclose(-slope, forces, rtol=0, atol=1e-7 * np.abs(forces).max())


@EVERY
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.tuples(*[st.floats(-50, 50)] * 3))
def test_moving_and_turning_the_molecule(case, seed, shift):
    model, _, _ = random_model(case)
    R, turn = structures(2, seed=7), rotation(seed)
    before, after = model.predict(R), model.predict(R @ turn.T + np.array(shift))
    scale = np.abs(before.forces).max()
    np.testing.assert_allclose(after.energies, before.energies, rtol=0, atol=1e-9 * scale)
    np.testing.assert_allclose(after.forces, before.forces @ turn.T, rtol=0, atol=1e-9 * scale)


@EVERY
def test_no_net_force_and_no_net_torque(case):
    model, _, _ = random_model(case)
    R = structures(3, seed=8)
    f = model.predict(R).forces
    scale = np.abs(f).max()
    assert np.abs(f.sum(1)).max() < 1e-12 * scale * len(NUMBERS)
    assert np.abs(np.cross(R, f).sum(1)).max() < 1e-12 * scale * 10 * len(NUMBERS)


def test_permuting_equal_atoms_permutes_the_forces():
    model, _, _ = random_model("methyl")
    R = structures(3, seed=8)
    before = model.predict(R)
    for perm in METHYL[1:]:
        after = model.predict(R[:, perm])
        np.testing.assert_allclose(after.energies, before.energies, rtol=1e-12)
        np.testing.assert_allclose(after.forces, before.forces[:, perm], atol=1e-12 * np.abs(before.forces).max())


@EVERY
def test_a_batch_is_its_single_structures(case):
    model, _, _ = random_model(case)
    R = structures(5, seed=8)
    batch = model.predict(R)
    for q, structure in enumerate(R):
        one = model.predict(structure)
        np.testing.assert_allclose(one.energies[0], batch.energies[q], rtol=1e-12)
        np.testing.assert_allclose(one.forces[0], batch.forces[q], atol=1e-12 * np.abs(batch.forces).max())


def test_a_perfect_model_has_no_error():
    model, _, _ = random_model("methyl")
    R = structures(5, seed=8)
    p = model.predict(R)
    errors = model.test(Dataset(NUMBERS, R, p.forces, p.energies))
    assert (errors.force_mae, errors.force_rmse, errors.energy_mae, errors.energy_rmse) == (0.0, 0.0, 0.0, 0.0)
