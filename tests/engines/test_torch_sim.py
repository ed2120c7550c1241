"""The door to torch-sim.  Skipped where the extra is not installed."""

import numpy as np
import pytest
import torch
from ase import Atoms, units
from engines.conftest import EVERY, STEP_FS, STEPS

from gossamer.errors import DataError, ExtrapolationError, UsageError

pytest.importorskip("torch_sim")

import torch_sim as ts

from gossamer.engines.torch_sim import GossamerModel


def state_of(*images):
    return ts.io.atoms_to_state(list(images), torch.device("cpu"), torch.float64)


@pytest.fixture
def atoms(ethanol):
    return Atoms(ethanol.model.numbers, ethanol.start)


def test_the_trajectory_is_that_of_ase_in_every_replica(ethanol, atoms):
    """Three replicas, of which the second moves backwards in time."""
    model = GossamerModel(ethanol.model)
    init, step = ts.integrators.nve(model, dt=torch.tensor(STEP_FS * units.fs), kT=torch.tensor(0.01))
    state = init(state_of(atoms, atoms, atoms), seed=1)
    momenta = torch.from_numpy(ethanol.velocities / units.fs * ethanol.masses[:, None])
    state.momenta = torch.cat([momenta, -momenta, momenta])
    energies = [state.energy.clone()]
    for k in range(1, STEPS + 1):
        state = step(state)
        if k % EVERY == 0:
            energies.append(state.energy.clone())
    energies = torch.stack(energies).numpy()
    for replica in (0, 2):
        np.testing.assert_allclose(energies[:, replica], ethanol.potential, rtol=0, atol=1e-6)
    assert np.abs(energies[1:, 1] - ethanol.potential[1:]).max() > 0.01
    np.testing.assert_allclose(state.positions[:9], ethanol.end, rtol=0, atol=1e-5)


def test_replicas_are_one_batch(ethanol, atoms):
    moved = atoms.copy()
    moved.positions = ethanol.end
    out = GossamerModel(ethanol.model)(state_of(atoms, moved))
    wanted = ethanol.model.predict(np.array([ethanol.start, ethanol.end]), warn=False)
    assert out["energy"].shape == (2,)
    assert out["forces"].shape == (18, 3)
    np.testing.assert_allclose(out["energy"], wanted.energies, rtol=1e-14)
    np.testing.assert_allclose(out["forces"].reshape(2, 9, 3), wanted.forces, rtol=0, atol=1e-12)


def test_torch_sims_own_runner_and_batcher_need_no_cell(ethanol, atoms):
    model = GossamerModel(ethanol.model)
    assert model.memory_scales_with == "n_atoms"
    final = ts.integrate(
        [atoms] * 4, model, integrator=ts.integrators.nve, n_steps=5, temperature=50, timestep=STEP_FS / 1000
    )
    assert final.positions.shape == (36, 3)
    relaxed = ts.optimize([atoms] * 2, model, optimizer=ts.optimizers.gradient_descent, max_steps=3)
    assert (relaxed.energy < ethanol.potential[0]).all()


def test_what_cannot_be_is_refused(ethanol, atoms):
    model = GossamerModel(ethanol.model, guard="stop")
    with pytest.raises(UsageError, match=r"^system 1: C2H6O differs .* in their order, first at atom 0"):
        model(state_of(atoms, atoms[::-1]))
    with pytest.raises(UsageError, match=r"^state: 8 atoms are no whole molecules; give 9 a system"):
        model(state_of(atoms[:-1]))
    with pytest.raises(UsageError, match=r"^state: its cell is periodic"):
        model(state_of(Atoms(atoms.numbers, atoms.positions, cell=[9, 9, 9], pbc=True)))
    far, none, bohr = atoms.copy(), atoms.copy(), atoms.copy()
    far.positions[3] += 9.0
    none.positions[3] = np.nan
    bohr.positions /= 0.529177
    with pytest.raises(ExtrapolationError, match=r"^state: 1 of 2 structures \(frame 1\) have bonds"):
        model(state_of(atoms, far))
    with pytest.raises(DataError, match=r"^state: some positions are NaN"):
        model(state_of(none))
    with pytest.raises(UsageError, match=r"^state: .* in Bohr; give Angstrom"):
        model(state_of(bohr))


def test_standard_deviations_where_they_are_asked_for(ethanol, barred, atoms):
    moved = atoms.copy()
    moved.positions = ethanol.end
    out = GossamerModel(barred, guard="off", std=True)(state_of(atoms, moved))
    wanted = barred.predict(np.array([ethanol.start, ethanol.end]), std=True, warn=False)
    np.testing.assert_allclose(out["energy_std"], wanted.energy_std, rtol=1e-12)
    np.testing.assert_allclose(out["forces_std"].reshape(2, 9, 3), wanted.forces_std, rtol=1e-12)
    assert set(GossamerModel(barred)(state_of(atoms))) == {"energy", "forces"}
    with pytest.raises(UsageError, match=r"^std: the model has no error bars"):
        GossamerModel(ethanol.model, std=True)
