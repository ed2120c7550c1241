"""A small model of ethanol, trained in seconds, and the trajectory that every engine has to give."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cases import with_bars

import gossamer as gs

STEPS, STEP_FS, EVERY = 1000, 0.5, 50


@dataclass(frozen=True)
class Ethanol:
    """The model, its file, a start (N, 3) Angstrom with velocities (N, 3) Angstrom/fs, and what ASE's velocity Verlet
    makes of it: potential and kinetic energies, eV, every 50 steps of 1000 of 0.5 fs, and the last positions."""

    model: gs.ForceField
    file: Path
    start: np.ndarray
    velocities: np.ndarray
    masses: np.ndarray
    potential: np.ndarray
    kinetic: np.ndarray
    end: np.ndarray


@pytest.fixture(scope="session")
def barred(ethanol: "Ethanol") -> gs.ForceField:
    """The model with the error bars of random members."""
    return with_bars(ethanol.model, 8)


@pytest.fixture(scope="session")
def ethanol(ethanol_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Ethanol:
    from ase import Atoms, units
    from ase.md.velocitydistribution import Stationary
    from ase.md.verlet import VelocityVerlet

    data = gs.read(ethanol_file)
    model = gs.train(data.take(slice(0, 40)), terms="global", length=20.0, noise=1e-8, symmetry="none").model
    atoms = Atoms(model.numbers, data.positions[0], calculator=model.ase(guard="off"))
    momenta = np.random.default_rng(0).normal(size=(len(atoms), 3))
    atoms.set_momenta(momenta * np.sqrt(units.kB * 100 * atoms.get_masses())[:, None])
    Stationary(atoms)
    start, velocities = atoms.positions.copy(), atoms.get_velocities() * units.fs
    potential, kinetic = [], []

    def note() -> None:
        potential.append(atoms.get_potential_energy())
        kinetic.append(atoms.get_kinetic_energy())

    run = VelocityVerlet(atoms, timestep=STEP_FS * units.fs)
    run.attach(note, interval=EVERY)
    run.run(STEPS)
    file = model.save(tmp_path_factory.mktemp("ethanol") / "ethanol.gossamer")
    return Ethanol(
        model, file, start, velocities, atoms.get_masses(), np.array(potential), np.array(kinetic), atoms.positions
    )
