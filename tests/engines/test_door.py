"""What all engines share: order of atoms, units, numbers that are none."""

import numpy as np
import pytest
from cases import NUMBERS, random_model, structures, with_bars

from gossamer.engines.door import Door, Units
from gossamer.errors import DataError, UsageError


@pytest.fixture(scope="module")
def model():
    return random_model("methyl")[0]


@pytest.mark.parametrize("units", [Units(), Units(energy=27.2, length=0.53), Units(energy=0.01, length=10.0)])
def test_any_units_give_the_same_physics(model, units):
    R = structures(3, seed=2)
    wanted = model.predict(R, warn=False)
    door = Door.build(model, NUMBERS, units=units, guard="off")
    energies, forces = door.many(R / units.length)
    np.testing.assert_allclose(energies * units.energy, wanted.energies, rtol=1e-12)
    np.testing.assert_allclose(forces * units.energy / units.length, wanted.forces, rtol=0, atol=1e-9)
    energy, force = door.one(R[1] / units.length)
    assert energy == pytest.approx(energies[1], rel=1e-12)
    np.testing.assert_allclose(force, forces[1], rtol=0, atol=1e-9 * np.abs(force).max())


def test_forces_are_minus_the_slope_of_the_energy_in_the_programs_units(model):
    door = Door.build(model, units=Units(energy=0.0433641, length=0.529177), guard="off")
    R, step = structures(1, seed=3)[0] / 0.529177, 1e-5
    for atom, axis in ((0, 1), (4, 2)):
        ends = [R.copy(), R.copy()]
        ends[0][atom, axis] += step
        ends[1][atom, axis] -= step
        slope = (door.one(ends[0])[0] - door.one(ends[1])[0]) / (2 * step)
        assert door.one(R)[1][atom, axis] == pytest.approx(-slope, rel=1e-5)


def test_other_atoms_and_another_order_are_refused(model):
    with pytest.raises(UsageError, match=r"^deck: C2H4O differs from the model's atoms, C2H3O; give them as in"):
        Door.build(model, np.append(NUMBERS, 1), name="deck")
    with pytest.raises(UsageError, match=r"^deck: C2H3O differs from .* in their order, first at atom 0"):
        Door.build(model, NUMBERS[::-1], name="deck")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(model, bad):
    R = structures(2, seed=2)
    R[1, 3, 0] = bad
    door = Door.build(model, name="step")
    with pytest.raises(DataError, match=r"^step: some positions are NaN or infinite; begin again from the last good"):
        door.one(R[1])
    with pytest.raises(DataError, match=r"^step: some positions are NaN"):
        door.many(R)


def test_another_number_of_atoms_is_refused(model):
    door = Door.build(model)
    with pytest.raises(UsageError, match="positions: shape"):
        door.one(structures(1)[0][:5])
    with pytest.raises(UsageError, match="positions: shape"):
        door.many(structures(2)[:, :5])


@pytest.mark.parametrize("units", [Units(), Units(energy=27.2, length=0.53)])
def test_standard_deviations_in_any_units(units):
    model, R = with_bars(random_model("methyl", n_train=16)[0], 8), structures(3, seed=2)
    wanted = model.predict(R, std=True, warn=False)
    door = Door.build(model, units=units, guard="off", std=True)
    energies, forces = door.std(R / units.length)
    np.testing.assert_allclose(energies * units.energy, wanted.energy_std, rtol=1e-9)
    np.testing.assert_allclose(forces * units.energy / units.length, wanted.forces_std, rtol=1e-8)
    energy, force = door.std(R[1] / units.length)
    assert energy == pytest.approx(energies[1], rel=1e-9)
    np.testing.assert_allclose(force, forces[1], rtol=1e-7)
    *step, deviation = door.step(R[1] / units.length)
    for ours, theirs in zip(step, door.one(R[1] / units.length), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)
    assert deviation == pytest.approx(energies[1], rel=1e-8)


def test_standard_deviations_of_a_model_without_error_bars_are_refused(model):
    with pytest.raises(UsageError, match=r"^std: the model has no error bars; train it again with error_bars=True"):
        Door.build(model, std=True)
    with pytest.raises(UsageError, match=r"^std: the model has no error bars"):
        Door.build(model).std(structures(1)[0])
    with pytest.raises(UsageError, match=r"^std: the model has no error bars"):
        Door.build(model).step(structures(1)[0])
