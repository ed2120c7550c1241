"""Equations of motion, on springs, whose averages are known."""

import numpy as np
import pytest
from ase import units
from reference import baoab, velocity_verlet

from gossamer.errors import UsageError
from gossamer.simulate.integrators import Bussi, Langevin, State, VelocityVerlet, kinetic_energies, thermal_velocities
from gossamer.simulate.rigid import rigid_motions
from gossamer.simulate.settings import MdSettings, steps_in

MASSES = np.array([[1.0], [12.0], [16.0]])
SPRING = np.array([[3.0], [20.0], [9.0]])  # eV/Angstrom^2, to the origin


def springs(positions):
    return 0.5 * (SPRING * positions**2).sum(axis=(1, 2)), -SPRING * positions


def state(copies=1, seed=0):
    rng = np.random.default_rng(seed)
    return State.begin(0.1 * rng.normal(size=(copies, 3, 3)), 0.1 * rng.normal(size=(copies, 3, 3)), springs)


def test_steps_are_those_of_the_reference():
    s, rng = state(2), np.random.default_rng(1)
    found = VelocityVerlet(0.07, MASSES).advance(s, springs, rng)
    for k in range(2):
        x, v = velocity_verlet(s.positions[k], s.velocities[k], lambda x: springs(x[None])[1][0], 0.07, MASSES)
        np.testing.assert_allclose(found.positions[k], x, rtol=1e-14)
        np.testing.assert_allclose(found.velocities[k], v, rtol=1e-14)
    found = Langevin(0.07, MASSES, 0.03, 0.5).advance(s, springs, np.random.default_rng(2))
    noise = np.random.default_rng(2).standard_normal((2, 3, 3))
    for k in range(2):
        x, v = baoab(
            s.positions[k], s.velocities[k], lambda x: springs(x[None])[1][0], 0.07, MASSES, 0.03, 0.5, noise[k]
        )
        np.testing.assert_allclose(found.positions[k], x, rtol=1e-14)
        np.testing.assert_allclose(found.velocities[k], v, rtol=1e-14)


def test_a_step_leaves_the_state_before_it_alone():
    s = state()
    kept = [array.copy() for array in s]
    for step in (VelocityVerlet(0.1, MASSES), Langevin(0.1, MASSES, 0.03, 0.5), bussi(0.1, 9)):
        step.advance(s, springs, np.random.default_rng(0))
        for before, now in zip(kept, s, strict=True):
            np.testing.assert_array_equal(before, now)


def test_verlet_is_reversible():
    s, rng = state(), np.random.default_rng(0)
    there, back = VelocityVerlet(0.05, MASSES), VelocityVerlet(-0.05, MASSES)
    moved = s
    for step in (there, back):
        for _ in range(200):
            moved = step.advance(moved, springs, rng)
    np.testing.assert_allclose(moved.positions, s.positions, atol=1e-12)


def bussi(step, freedom, heat=0.03, relaxation=1.0):
    return Bussi(VelocityVerlet(step, MASSES), heat, freedom, relaxation)


@pytest.mark.parametrize("step", [Langevin(0.05, MASSES, 0.03, 0.3), bussi(0.05, 9)], ids=["langevin", "bussi"])
def test_averages_are_canonical(step):
    """Of 400 copies: each degree of freedom has kT/2, kinetic and potential, and the kinetic energy spreads as the
    distribution of chi squared says."""
    s, rng = state(400), np.random.default_rng(0)
    kinetic, potential, single = [], [], []
    for k in range(3000):
        s = step.advance(s, springs, rng)
        if k >= 1000 and k % 50 == 0:
            kinetic.append(kinetic_energies(s.velocities, MASSES))
            potential.append(s.energies)
            single.append(MASSES * s.velocities**2)
    looks = np.size(kinetic)
    error = 0.03 * np.sqrt(9 / 2 / looks)
    assert np.mean(kinetic) == pytest.approx(9 / 2 * 0.03, abs=6 * error)
    assert np.mean(potential) == pytest.approx(9 / 2 * 0.03, rel=0.03)
    assert np.var(kinetic) == pytest.approx(9 / 2 * 0.03**2, rel=0.1)
    if isinstance(step, Langevin):
        np.testing.assert_allclose(np.mean(single, axis=(0, 1)), 0.03, rtol=0.06)


def test_scaling_draws_kinetic_energies_at_once_where_nothing_is_remembered():
    step = bussi(1e6, 5)
    rng = np.random.default_rng(0)
    kinetic = 7.0 * step.factors(np.full(200_000, 7.0), rng) ** 2
    assert kinetic.mean() == pytest.approx(5 / 2 * 0.03, rel=0.01)
    assert kinetic.var() == pytest.approx(5 / 2 * 0.03**2, rel=0.03)


def test_first_velocities_leave_the_molecule_where_it_is():
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(3, 3))
    whole = rigid_motions(positions, MASSES[:, 0])
    kinetic = []
    for _ in range(4000):
        v = thermal_velocities(MASSES, 0.03, whole, rng)
        assert np.abs((MASSES * v).sum(axis=0)).max() < 1e-12
        assert np.abs(np.cross(positions, MASSES * v).sum(axis=0)).max() < 1e-12
        kinetic.append(kinetic_energies(v[None], MASSES)[0])
    assert np.mean(kinetic) == pytest.approx(3 / 2 * 0.03, rel=0.05)
    free = [kinetic_energies(thermal_velocities(MASSES, 0.03, None, rng)[None], MASSES)[0] for _ in range(4000)]
    assert np.mean(free) == pytest.approx(9 / 2 * 0.03, rel=0.05)


def test_settings_are_in_the_users_units():
    step = MdSettings("langevin", temperature=400.0, timestep=0.25, friction=5.0).integrator(MASSES, 9)
    assert isinstance(step, Langevin)
    assert step.step == pytest.approx(0.25 * units.fs)
    assert step.heat == pytest.approx(400 * units.kB)
    assert step.friction * step.step == pytest.approx(5.0 * 0.25e-3)
    step = MdSettings("bussi", timestep=0.25, relaxation=0.2).integrator(MASSES, 3)
    assert isinstance(step, Bussi)
    assert step.verlet.step / step.relaxation == pytest.approx(0.25 / 200)
    assert steps_in(2.0, 0.5) == 4000


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ensemble": "npt"}, "ensemble: 'npt' is not known; use nve, langevin, bussi"),
        ({"temperature": 0.0}, "temperature: 0 K"),
        ({"timestep": float("nan")}, "timestep: nan fs"),
        ({"friction": -1.0}, "friction: -1 1/ps"),
        ({"relaxation": float("inf")}, "relaxation: inf ps"),
        ({"replicas": 0}, "replicas: 0"),
        ({"every": 0}, "every: 0"),
        ({"steps": 0}, "steps: 0"),
        ({"seed": -1}, "seed: -1"),
    ],
)
def test_settings_that_cannot_be(given, named):
    with pytest.raises(UsageError, match=named):
        MdSettings(**given)


@pytest.mark.parametrize("picoseconds", [0.0, -1.0, 1e-5, float("nan")])
def test_times_that_are_no_step(picoseconds):
    with pytest.raises(UsageError, match="picoseconds"):
        steps_in(picoseconds, 0.5)
