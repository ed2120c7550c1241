import numpy as np
import pytest
from ase import Atoms, units
from ase.data import atomic_masses
from ase.io import read
from ase.thermochemistry import IdealGasThermo
from ase.vibrations import Vibrations as VibrationsOfASE

from gossamer.errors import SimulationError, UsageError
from gossamer.simulate.relax import RelaxSettings, relax
from gossamer.simulate.rigid import rigid_motions
from gossamer.simulate.vibrations import (
    GasSettings,
    hessian,
    normal_modes,
    thermochemistry,
    vibrations,
    write_modes,
)

WAVENUMBER = units.fs * 1e15 / (2 * np.pi * 299792458 * 100)  # 1/cm, of one radian per unit of time of ASE


@pytest.fixture(scope="module")
def rest(model, ethanol):
    """Ethanol at rest (N, 3)."""
    return relax(model, ethanol.take([0]), RelaxSettings(fmax=1e-4)).positions[0]


@pytest.fixture(scope="module")
def found(model, rest):
    return vibrations(model, rest)


def frequencies_of_fourth_order(model, positions, h=4e-4):
    """Frequencies, 1/cm, of all 3N motions: forces one by one, differences of fourth order, nothing projected out."""
    evaluator, mass = model.evaluator(precision="float64"), np.repeat(atomic_masses[model.numbers], 3)
    H = np.empty((positions.size, positions.size))
    for k in range(positions.size):
        move = np.zeros(positions.size)
        move[k] = h
        F = [evaluator.one(positions + n * move.reshape(positions.shape))[1].ravel() for n in (-2, -1, 1, 2)]
        H[k] = -(F[0] - 8 * F[1] + 8 * F[2] - F[3]) / (12 * h)
    squares = np.linalg.eigvalsh((H + H.T) / 2 / np.sqrt(np.outer(mass, mass)))
    return np.sign(squares) * np.sqrt(np.abs(squares)) * WAVENUMBER


def test_frequencies_are_those_of_tight_differences(model, rest, found):
    wanted = frequencies_of_fourth_order(model, rest)
    assert len(found.frequencies) == 21
    assert np.abs(wanted[:6]).max() < 50  # the whole molecule
    np.testing.assert_allclose(found.frequencies, wanted[6:], rtol=0, atol=1.0)


def test_frequencies_are_those_of_ase(model, rest, found, tmp_path):
    atoms = Atoms(model.numbers, rest, calculator=model.ase(precision="float64"))
    theirs = VibrationsOfASE(atoms, name=str(tmp_path / "vib"), delta=0.002)
    theirs.run()
    np.testing.assert_allclose(found.frequencies, theirs.get_frequencies()[6:].real, rtol=0, atol=1.0)
    assert found.zero_point_energy == pytest.approx(theirs.get_zero_point_energy(), abs=1e-3)


def test_modes_move_as_the_hessian_says(model, rest, found):
    """Along a mode the energy rises as omega^2 says, by the mass that moves; modes do not turn or shift the
    molecule."""
    mass = atomic_masses[model.numbers]
    whole = rigid_motions(rest, mass)
    for frequency, mode in zip(found.frequencies, found.modes, strict=True):
        weighted = (np.sqrt(mass)[:, None] * mode).ravel()
        assert np.abs(whole.T @ weighted).max() < 1e-9
        moved = model.predict(np.array([rest + 0.003 * mode, rest - 0.003 * mode]), precision="float64", warn=False)
        rise = moved.energies.mean() - found.energy
        omega = frequency / WAVENUMBER
        assert rise == pytest.approx(weighted @ weighted * omega**2 * 0.003**2 / 2, rel=0.02)


def test_a_diatomic_has_one_frequency():
    """Springs of known frequency: omega^2 = k (1/m + 1/M)."""
    positions, masses, k = np.array([[0.0, 0, 0], [0.6, 0.5, 0.4]]), np.array([1.0, 35.0]), 30.0
    axis = (positions[1] - positions[0]) / np.linalg.norm(positions[1] - positions[0])
    block = k * np.outer(axis, axis)
    frequencies, modes = normal_modes(np.block([[block, -block], [-block, block]]), positions, masses)
    omega = np.sqrt(k * (1 / masses).sum())
    assert frequencies == pytest.approx([omega * WAVENUMBER])
    assert modes.shape == (1, 2, 3)
    np.testing.assert_allclose(np.abs(modes[0] @ axis), [35 / np.hypot(1, 35), 1 / np.hypot(1, 35)])


def test_rigid_motions_of_lines_and_others():
    masses = np.array([16.0, 12.0, 16.0])
    line = np.outer([-1.16, 0, 1.16], [0.6, 0.0, 0.8])
    assert rigid_motions(line, masses).shape == (9, 5)
    assert rigid_motions(line + np.array([[0, 0.0, 0], [0, 0.3, 0], [0, 0, 0]]), masses).shape == (9, 6)


def test_hessian_of_springs_is_exact():
    rng = np.random.default_rng(0)
    H = rng.normal(size=(6, 6))
    H += H.T
    found = hessian(lambda R: -(R.reshape(len(R), 6) @ H).reshape(R.shape), rng.normal(size=(2, 3)), 0.01)
    np.testing.assert_allclose(found, H, atol=1e-12)


def test_thermochemistry_is_that_of_ase(model, rest, found):
    gas = IdealGasThermo(
        list(found.frequencies * units.invcm), "nonlinear", found.energy, Atoms(model.numbers, rest), 3, 0.5
    )
    got = thermochemistry(found, GasSettings(400.0, 2e5, 3, 0.5))
    assert got.gibbs_energy == pytest.approx(gas.get_gibbs_energy(400.0, 2e5, verbose=False), abs=1e-9)
    assert got.enthalpy == pytest.approx(gas.get_enthalpy(400.0, verbose=False), abs=1e-9)
    assert got.zero_point_energy == pytest.approx(found.frequencies.sum() * units.invcm / 2)


def test_no_thermochemistry_on_a_hill(model, ethanol):
    found = vibrations(model, ethanol.take([3]))
    assert found.frequencies[0] < 0
    with pytest.raises(SimulationError, match=r"imaginary.*relax it"):
        thermochemistry(found)


def test_modes_are_written_as_a_trajectory(found, tmp_path):
    write_modes(found, tmp_path / "modes.extxyz", amplitude=0.2, frames=8)
    images = read(tmp_path / "modes.extxyz", ":")
    assert len(images) == 8 * 21
    last = images[-8:]
    assert {image.info["mode"] for image in last} == {20}
    assert last[0].info["wavenumber"] == pytest.approx(found.frequencies[-1], abs=1e-3)
    moved = np.array([image.positions for image in last]) - found.positions
    assert np.linalg.norm(moved, axis=2).max() == pytest.approx(0.2, abs=1e-6)
    np.testing.assert_allclose(moved[0], 0, atol=1e-6)
    with pytest.raises(UsageError, match=r"end the name in \.extxyz"):
        write_modes(found, tmp_path / "modes.pdf")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"temperature": -1.0}, "temperature: -1 K"),
        ({"pressure": 0.0}, "pressure: 0 Pa"),
        ({"symmetry_number": 0}, "symmetry_number: 0"),
        ({"spin": 0.3}, "spin: 0.3"),
    ],
)
def test_gases_that_cannot_be(given, named):
    with pytest.raises(UsageError, match=named):
        GasSettings(**given)


def test_one_structure_and_a_small_step(model, ethanol):
    with pytest.raises(UsageError, match="2 structures given"):
        vibrations(model, ethanol.take([0, 1]))
    with pytest.raises(UsageError, match="displacement: 0 Angstrom"):
        vibrations(model, ethanol.take([0]), displacement=0.0)
