"""Spectra of trajectories: lines where atoms swing, and infrared absorption as strong as normal modes say."""

from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import units
from ase.data import atomic_masses

import gossamer as gs
from gossamer.errors import UsageError
from gossamer.kernels import make
from gossamer.model.dipoles import ChargeTerm, DipoleModel
from gossamer.simulate import spectrum
from gossamer.simulate.dynamics import run_md
from gossamer.simulate.integrators import State, VelocityVerlet
from gossamer.simulate.relax import RelaxSettings, relax
from gossamer.simulate.settings import MdSettings
from gossamer.simulate.spectrum import InfraredSpectrum, VelocitySpectrum, wavenumbers_of
from gossamer.simulate.vibrations import infrared, vibrations

RADIANS = 2 * np.pi * 2.99792458e-5  # per fs, of one 1/cm


def continued(whole, samples, restarts):
    """The sums of samples without an interruption, and with a restart after each of the counts."""
    one, other = whole(), whole()
    for k, sample in enumerate(samples):
        one.add(*sample)
        if k in restarts:
            kept = {name: array.copy() for name, array in other.arrays().items()}
            other = whole()
            other.restore(kept)
        other.add(*sample)
    return one, other


def test_a_spectrum_has_a_line_where_atoms_swing():
    """Two frequencies, one atom each, and the whole the same whether it was interrupted or not."""
    masses, lines = np.array([1.0, 12.0]), np.array([1500.0, 400.0])
    times = np.arange(0, 12_000, 2.5)
    swing = np.cos(2 * np.pi * times[:, None] * lines * 2.99792458e-5) * np.array([1.0, 0.2])
    velocities = np.zeros((len(times), 1, 2, 3))
    velocities[:, 0, :, 1] = swing
    whole, rest = continued(lambda: VelocitySpectrum(0.5, masses, 1), [(v,) for v in velocities], {3000})
    assert whole.every == 5
    wavenumbers, found = whole.result()
    np.testing.assert_array_equal(rest.result()[1], found)
    near = [found[np.abs(wavenumbers - line) < 15] for line in lines]
    assert near[0].max() == 1
    assert near[1].max() == pytest.approx(12 * 0.04, rel=0.2)
    assert found[np.abs(wavenumbers[:, None] - lines).min(axis=1) > 60].max() < 1e-4
    short = VelocitySpectrum(0.5, masses, 1)
    assert len(short.result()[0]) == 0


@pytest.mark.parametrize("charge", [0, 1])
def test_charges_that_swing_absorb_as_they_must(charge):
    """Charges of +-0.3 e, two masses, a spring: the band's area is that of the normal mode, wherever the molecule goes,
    and the sums are the same bits after interruptions."""
    numbers, q, wave = np.array([1, 17]), 0.3, 2500.0
    masses = atomic_masses[numbers]
    pair = ChargeTerm(np.array([[0, 1]]), np.array([[0, 1]]), make("matern92", 1.0), np.array([q, -q]),
                      np.zeros((0, 1)), np.zeros((0, 2)))  # fmt: skip
    dipoles = DipoleModel(numbers, charge, (pair,))
    times = 2.5 * np.arange(2 * spectrum.WINDOW + 300)
    reduced, amplitude = masses.prod() / masses.sum(), 0.02
    stretch = amplitude * np.cos(RADIANS * wave * times)
    positions = np.zeros((len(times), 1, 2, 3))
    positions[:, 0, :, 2] = (1.3 + stretch)[:, None] * np.array([masses[1], -masses[0]]) / masses.sum()
    positions[..., 0] += 1e-3 * times[:, None, None]  # the molecule flies
    heat = reduced * (amplitude * RADIANS * wave / units.fs) ** 2 / 2  # kT: <p^2 / m>
    samples = [(R, np.array([heat])) for R in positions]
    whole, parts = continued(lambda: InfraredSpectrum(dipoles, 0.5, 1), samples, {70, 128, 2100, 4000})
    found, waves = whole.result(), wavenumbers_of(0.5)
    np.testing.assert_array_equal(parts.result(), found)
    mode = np.zeros((1, 2, 3))
    mode[0, :, 2] = np.array([masses[1], -masses[0]]) / np.hypot(*masses)
    wanted = infrared(dipoles.gradients(positions[0])[0], mode, masses)[0] if not charge else None
    band = np.abs(waves - wave) < 60
    area = found[band].sum() * (waves[1] - waves[0])
    slope = 2 * q / 2  # e, of the distance: q (r_0 - mean) - q (r_1 - mean)
    assert area == pytest.approx(974.8801 * slope**2 / reduced, rel=2e-3)  # km/mol, of e^2/u
    if wanted is not None:
        assert area == pytest.approx(wanted, rel=2e-3)
    assert found[~band].max() < 1e-4 * found.max()


def test_bands_of_a_trajectory_have_the_intensities_of_normal_modes(polar, ethanol):
    """Ethanol near its minimum, 0.002 K in every mode: areas of bands that stand alone, in km/mol."""
    rest = relax(polar, ethanol.take([0]), RelaxSettings(fmax=1e-5, steps=500)).positions[0]
    modes = vibrations(polar, rest)
    masses, heat, h = atomic_masses[polar.numbers][:, None], 0.002 * units.kB, 0.5
    evaluator = polar.evaluator(precision="float64")

    def forces_of(R):
        energy, forces = evaluator.one(R[0])
        return np.array([energy]), forces[None]

    signs = np.random.default_rng(1).choice([-1.0, 1.0], len(modes.frequencies))
    moved = np.einsum("vni,n->v", modes.modes**2, masses[:, 0])
    sizes = signs * np.sqrt(2 * heat / moved)  # all of the energy is kinetic at first
    state = State.begin(rest[None], np.einsum("v,vni->ni", sizes, modes.modes)[None], forces_of)
    verlet, rng = VelocityVerlet(h * units.fs, masses), np.random.default_rng(0)
    found = InfraredSpectrum(polar.dipole_model, h, 1)
    for k in range(5 * (spectrum.WINDOW + 1)):
        state = verlet.advance(state, forces_of, rng)
        if k % 5 == 4:
            found.add(state.positions, np.array([heat]))
    heights, waves = found.result(), wavenumbers_of(h)
    gaps = np.abs(modes.frequencies[:, None] - modes.frequencies) + 1e9 * np.eye(len(modes.frequencies))
    alone = np.flatnonzero((gaps.min(axis=1) > 50) & (modes.intensities > 1) & (modes.frequencies > 100))
    assert len(alone) >= 6
    for k in alone:
        area = heights[np.abs(waves - modes.frequencies[k]) < 25].sum() * (waves[1] - waves[0])
        verlet_swings_wider = (RADIANS * modes.frequencies[k] * h) ** 2
        assert area == pytest.approx(modes.intensities[k], rel=0.01 + 0.35 * verlet_swings_wider)


def test_frames_tell_dipoles(polar, model, ethanol, tmp_path):
    settings = MdSettings("langevin", 60, every=20, seed=3)
    for name in ("md.extxyz", "md.traj"):
        run = run_md(polar, ethanol.take([0]), tmp_path / name, settings)
        assert run.settings.dipoles
        data = gs.read(tmp_path / name, dipole_unit="e*Angstrom")
        np.testing.assert_allclose(data.dipoles, polar.dipoles(data.positions), rtol=0, atol=1e-7)
        assert ase.io.read(tmp_path / name, 1).get_dipole_moment() == pytest.approx(data.dipoles[1], abs=1e-7)
    np.testing.assert_allclose(gs.read(tmp_path / "md.extxyz").dipoles, data.dipoles, rtol=0, atol=1e-7)
    without = run_md(polar, ethanol.take([0]), tmp_path / "b.extxyz", replace(settings, dipoles=False))
    assert gs.read(tmp_path / "b.extxyz").dipoles is None
    assert len(without.infrared) == 0
    np.testing.assert_array_equal(without.state.positions, run.state.positions)
    with pytest.raises(UsageError, match=r"^dipoles: the model has none"):
        run_md(model, ethanol.take([0]), tmp_path / "c.extxyz", replace(settings, dipoles=True))
