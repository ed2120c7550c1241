"""The door to OpenMM, through openmm-ml.  Skipped where the extra is not installed."""

import warnings

import numpy as np
import pytest
from engines.conftest import EVERY, STEP_FS, STEPS

from gossamer.engines.guard import Guard
from gossamer.errors import ExtrapolationWarning, UsageError
from gossamer.units import energy_in_ev

pytest.importorskip("openmmml")

import openmm
import openmmml
from openmm import app

KJ = energy_in_ev("kJ/mol")


def topology(numbers):
    found = app.Topology()
    residue = found.addResidue("ETH", found.addChain())
    for number in numbers:
        found.addAtom("X", app.Element.getByAtomicNumber(int(number)), residue)
    return found


def context(system, positions, platform="Reference"):
    """A context of Verlet's leapfrog at positions (N, 3), Angstrom."""
    integrator = openmm.VerletIntegrator(STEP_FS / 1000)
    found = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    found.setPositions(positions * 0.1)
    return found


def energy(found):
    return found.getState(getEnergy=True).getPotentialEnergy()._value * KJ


def test_the_trajectory_is_that_of_ase(ethanol):
    potential = openmmml.MLPotential("gossamer", model=str(ethanol.file))
    system = potential.createSystem(topology(ethanol.model.numbers), removeCMMotion=False)
    for atom, mass in enumerate(ethanol.masses):
        system.setParticleMass(atom, mass)
    run = context(system, ethanol.start)
    forces = run.getState(getForces=True).getForces(asNumpy=True)._value
    run.setVelocities(ethanol.velocities * 100 - 0.5 * STEP_FS / 1000 * forces / ethanol.masses[:, None])
    energies = [energy(run)]
    for _ in range(STEPS // EVERY):
        run.getIntegrator().step(EVERY)
        energies.append(energy(run))
    np.testing.assert_allclose(energies, ethanol.potential, rtol=0, atol=1e-6)
    end = run.getState(getPositions=True).getPositions(asNumpy=True)._value * 10
    np.testing.assert_allclose(end, ethanol.end, rtol=0, atol=1e-5)


def mixed(ethanol, guard="warn"):
    """Ethanol beside two charged Lennard-Jones particles in a periodic box, its own part given by the model."""
    numbers = ethanol.model.numbers
    top = topology([10, *numbers, 10])
    top.setPeriodicBoxVectors(np.eye(3) * 3)
    system, force = openmm.System(), openmm.NonbondedForce()
    system.setDefaultPeriodicBoxVectors(*(np.eye(3) * 3))
    force.setNonbondedMethod(openmm.NonbondedForce.PME)
    rng = np.random.default_rng(0)
    charges = rng.normal(scale=0.2, size=11)
    for charge, number in zip(charges - charges.mean(), (10, *numbers, 10), strict=True):
        system.addParticle(number * 2.0)
        force.addParticle(charge, 0.25, 0.3)
    system.addForce(force)
    atoms = list(range(1, 10))
    potential = openmmml.MLPotential("gossamer", model=ethanol.model, guard=guard)
    whole = potential.createMixedSystem(top, system, atoms, interpolate=False)
    positions = np.concatenate([[[6.0, 0.0, 0.0]], ethanol.start, [[0.0, -6.0, 1.0]]])
    return whole, potential, positions


def test_the_model_is_a_part_of_a_mixed_system(ethanol):
    system, _, positions = mixed(ethanol)
    run = context(system, positions)
    moved = positions.copy()
    moved[1:10] = ethanol.end - ethanol.end.mean(0) + ethanol.start.mean(0)
    group = next(f for f in system.getForces() if f.getName() == "gossamer")
    assert list(group.getParticles()) == list(range(1, 10))
    group.setForceGroup(7)
    run.reinitialize(preserveState=True)
    for R in (positions, moved):
        run.setPositions(R * 0.1)
        state = run.getState(getEnergy=True, getForces=True, groups={7})
        e, f = ethanol.model.evaluator().one(R[1:10])
        assert state.getPotentialEnergy()._value * KJ == pytest.approx(e, abs=1e-9)
        np.testing.assert_allclose(state.getForces(asNumpy=True)._value[1:10] * KJ / 10, f, rtol=0, atol=1e-8)
        assert not state.getForces(asNumpy=True)._value[[0, 10]].any()


def test_a_mixed_system_conserves_its_energy(ethanol):
    system, potential, positions = mixed(ethanol)
    assert potential._impl.getMLLongRange() is False
    run = context(system, positions)
    run.setVelocitiesToTemperature(100, 1)
    totals = []
    for _ in range(20):
        run.getIntegrator().step(10)
        state = run.getState(getEnergy=True)
        totals.append((state.getPotentialEnergy() + state.getKineticEnergy())._value * KJ)
    assert np.ptp(totals) < 0.02


def test_what_cannot_be_is_refused_when_the_system_is_made(ethanol):
    numbers = ethanol.model.numbers
    potential = openmmml.MLPotential("gossamer", model=ethanol.model)
    boxed = topology(numbers)
    boxed.setPeriodicBoxVectors(np.eye(3) * 3)
    with pytest.raises(UsageError, match=r"^topology: it has a periodic box, .* createMixedSystem for a molecule in"):
        potential.createSystem(boxed)
    with pytest.raises(UsageError, match=r"^topology: .* in their order, first at atom 0"):
        potential.createSystem(topology(numbers[::-1]))
    with pytest.raises(UsageError, match=r"^topology: CH\d differs from the model's atoms, C2H6O"):
        potential.createSystem(topology([6, 1, 1, 1, 1]))
    with pytest.raises(UsageError, match=r"^gossamer: no model given; MLPotential\("):
        openmmml.MLPotential("gossamer")
    with pytest.raises(UsageError, match=r"^gossamer: precision given"):
        openmmml.MLPotential("gossamer", model=ethanol.model, precision="single")
    with pytest.raises(UsageError, match=r"^gossamer: charge given, but createSystem has no such options"):
        potential.createSystem(topology(numbers), charge=1)


def test_failures_come_through_openmm_in_one_sentence(ethanol):
    far = ethanol.start.copy()
    far[3] += 10.0
    none = ethanol.start.copy()
    none[3, 0] = np.nan
    alone = topology(ethanol.model.numbers)
    stops = openmmml.MLPotential("gossamer", model=ethanol.model, guard="stop").createSystem(alone)
    with pytest.raises(openmm.OpenMMException, match=r"^topology: the structure has bonds"):
        energy(context(stops, far))
    with pytest.raises(openmm.OpenMMException, match=r"training structures in nm; give Angstrom|in nm"):
        energy(context(stops, ethanol.start / 10))
    with pytest.raises(openmm.OpenMMException, match=r"NaN"):
        energy(context(stops, none))
    warns = openmmml.MLPotential("gossamer", model=ethanol.model).createSystem(alone)
    run = context(warns, far)
    with pytest.warns(ExtrapolationWarning, match=r"^topology: the structure has bonds"):
        energy(run)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        energy(run)


def test_standard_deviations_at_the_positions_of_a_context(ethanol, barred):
    potential = openmmml.MLPotential("gossamer", model=barred, guard="off")
    run = context(potential.createSystem(topology(barred.numbers)), ethanol.start)
    energy_std, forces_std = potential._impl.std(run)
    wanted = barred.predict(ethanol.start, std=True, warn=False)
    unit = openmm.unit
    assert energy_std.value_in_unit(unit.kilojoule_per_mole) * KJ == pytest.approx(wanted.energy_std[0], rel=1e-6)
    found = forces_std.value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    np.testing.assert_allclose(found * KJ / 10, wanted.forces_std[0], rtol=1e-6)
    with pytest.raises(UsageError, match=r"^std: the model has no error bars"):
        openmmml.MLPotential("gossamer", model=ethanol.model)._impl.std(run)


def test_a_guard_on_standard_deviations_stops(ethanol, barred):
    least = barred.predict(ethanol.start, std=True, warn=False).forces_std.max()
    for most, stops in ((2 * least, False), (least / 2, True)):
        potential = openmmml.MLPotential("gossamer", model=barred, guard=Guard(barred, "stop", most_std=most))
        run = context(potential.createSystem(topology(barred.numbers)), ethanol.start)
        if stops:
            with pytest.raises(openmm.OpenMMException, match=r"^topology: the standard deviation of a force"):
                energy(run)
        else:
            energy(run)
