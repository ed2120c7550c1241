"""Normal modes in the harmonic approximation, and what follows from them for an ideal gas."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gossamer.errors import SimulationError, UsageError
from gossamer.files import atomic_path
from gossamer.model.structures import asked
from gossamer.simulate.relax import largest_force
from gossamer.simulate.rigid import rigid_motions

if TYPE_CHECKING:
    from collections.abc import Callable

    from gossamer.model.force_field import ForceField
    from gossamer.model.structures import Structures

DISPLACEMENT = 0.002  # Angstrom
MODES = (".extxyz", ".xyz")


@dataclass(frozen=True, eq=False)
class Vibrations:
    """Normal modes of a structure of N atoms.

    numbers (N,); positions (N, 3), Angstrom; energy, eV; largest: the largest force on an atom, eV/Angstrom, which is
    zero where the frequencies mean something; frequencies (V,), 1/cm, ascending, imaginary ones below zero; modes (V,
    N, 3): Cartesian directions of unit length; intensities (V,), km/mol: of infrared absorption, None where the model
    has no dipoles.  V is 3N - 6, or 3N - 5 for atoms in a line."""

    numbers: np.ndarray
    positions: np.ndarray
    energy: float
    largest: float
    frequencies: np.ndarray
    modes: np.ndarray
    intensities: np.ndarray | None = None

    def __repr__(self) -> str:
        span = f"{self.frequencies.min():.0f} to {self.frequencies.max():.0f} 1/cm" if len(self.frequencies) else "none"
        return f"Vibrations({len(self.frequencies)} modes, {span})"

    @cached_property
    def quanta(self) -> np.ndarray:
        """hbar * omega (R,), eV, of the real modes."""
        from ase import units

        return self.frequencies[self.frequencies > 0] * units.invcm

    @property
    def zero_point_energy(self) -> float:
        """Half a quantum of every real mode, eV."""
        return float(self.quanta.sum() / 2)


def vibrations(model: "ForceField", structure: "Structures", *, displacement: float = DISPLACEMENT) -> Vibrations:
    """Normal modes of one structure, given as to `ForceField.predict`, at which forces should vanish (`relax`).

    The Hessian is that of central differences of the model's forces, all displaced structures in one batch, made
    symmetric; motions of the whole molecule are projected out of it.  Raises UsageError for several structures, for
    other atoms than the model's and for a displacement (Angstrom) that cannot be."""
    from ase.data import atomic_masses

    require_displacement(displacement)
    positions, name, _ = asked(structure, model.numbers)
    if len(positions) != 1:
        raise UsageError(f"{name}: {len(positions)} structures given, but vibrations are those of one; choose one.")
    evaluator, masses = model.evaluator(precision="float64"), atomic_masses[model.numbers]
    energy, forces = evaluator.one(positions[0])
    curvature = hessian(lambda moved: evaluator.many(moved)[1], positions[0], displacement)
    frequencies, modes = normal_modes(curvature, positions[0], masses)
    intensities = None
    if model.dipole_model is not None:
        intensities = infrared(model.dipole_model.gradients(positions)[0], modes, masses)
    return Vibrations(model.numbers, positions[0], energy, largest_force(forces), frequencies, modes, intensities)


def require_displacement(displacement: float) -> None:
    """Raise UsageError for a step of differences, Angstrom, that cannot be."""
    if not 0 < displacement < 0.1:
        raise UsageError(f"displacement: {displacement:g} Angstrom given; it must be positive, and below 0.1.")


def hessian(forces_of: "Callable[[np.ndarray], np.ndarray]", positions: np.ndarray, displacement: float) -> np.ndarray:
    """Second derivatives (3N, 3N), eV/Angstrom^2, of the energy at positions (N, 3): (F(-h) - F(h)) / 2h, and its mean
    with its transpose.  forces_of: forces (Q, N, 3) of structures (Q, N, 3)."""
    moves = displacement * np.eye(positions.size).reshape(-1, *positions.shape)
    ahead, behind = np.split(forces_of(positions + np.concatenate([moves, -moves])), 2)
    columns = ((behind - ahead) / (2 * displacement)).reshape(positions.size, positions.size)
    return (columns + columns.T) / 2


def normal_modes(hessian: np.ndarray, positions: np.ndarray, masses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (V,), 1/cm, and directions (V, N, 3) of unit length, of a Hessian (3N, 3N), eV/Angstrom^2, at
    positions (N, 3); masses (N,), u.

    The eigenvalues omega^2 of the mass-weighted Hessian in the space orthogonal to motions of the whole molecule
    (E. B. Wilson, J. C. Decius and P. C. Cross, Molecular Vibrations, chapter 2)."""
    from ase import units

    whole = rigid_motions(positions, masses)
    inner = np.linalg.svd(whole, full_matrices=True)[0][:, whole.shape[1] :]
    roots = np.sqrt(np.repeat(masses, 3))
    squares, columns = np.linalg.eigh(inner.T @ (hessian / np.outer(roots, roots)) @ inner)
    quantum = units._hbar * 1e10 / np.sqrt(units._e * units._amu) / units.invcm  # hbar, of eV/Angstrom^2/u, in 1/cm
    modes = ((inner @ columns) / roots[:, None]).T.reshape(-1, *positions.shape)
    modes /= np.linalg.norm(modes, axis=(1, 2), keepdims=True)
    return np.sign(squares) * np.sqrt(np.abs(squares)) * quantum, modes


def infrared(gradient: np.ndarray, modes: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Integrated absorption (V,), km/mol, of modes (V, N, 3) of unit length, where the dipole has the gradient (3, N,
    3), e; masses (N,), u.

    N_A / (12 epsilon_0 c^2) |d mu / d Q|^2 with Q of a mode in coordinates times roots of masses (E. B. Wilson, J. C.
    Decius and P. C. Cross, Molecular Vibrations, section 7-9)."""
    from ase import units

    per_e2_u = units._Nav * units._e**2 / (12 * units._eps0 * units._c**2 * units._amu) / 1000  # km/mol, of e^2/u
    slopes = np.einsum("dni,vni->vd", gradient, modes)
    return per_e2_u * (slopes**2).sum(axis=1) / np.einsum("vni,n->v", modes**2, masses)


@dataclass(frozen=True)
class GasSettings:
    """The ideal gas of a molecule.  temperature, K; pressure, Pa; symmetry_number: turns that map the molecule onto
    itself, itself included; spin: total, half the number of unpaired electrons.  Raises UsageError for values that
    cannot be."""

    temperature: float = 298.15
    pressure: float = 101325.0
    symmetry_number: int = 1
    spin: float = 0.0

    def __post_init__(self) -> None:
        for name, unit in (("temperature", "K"), ("pressure", "Pa")):
            value = getattr(self, name)
            if not 0 < value < np.inf:
                raise UsageError(f"{name}: {value:g} {unit} given; a positive number is needed.")
        if self.symmetry_number < 1:
            raise UsageError(f"symmetry_number: {self.symmetry_number} given; at least 1 is needed.")
        if self.spin < 0 or 2 * self.spin % 1:
            raise UsageError(f"spin: {self.spin:g} given; it is 0, 0.5, 1, ...")


@dataclass(frozen=True)
class Thermochemistry:
    """Of one molecule in an ideal gas: enthalpy, gibbs_energy and the energies they begin with, eV; entropy, eV/K."""

    settings: GasSettings
    potential_energy: float
    zero_point_energy: float
    enthalpy: float
    entropy: float
    gibbs_energy: float


def thermochemistry(found: Vibrations, settings: GasSettings = GasSettings()) -> Thermochemistry:
    """Rigid rotor and harmonic oscillators, by ase.thermochemistry.IdealGasThermo.

    Raises SimulationError where a frequency is imaginary, since the structure is no minimum then."""
    from ase import Atoms
    from ase.thermochemistry import IdealGasThermo

    imaginary = np.count_nonzero(found.frequencies <= 0)
    if imaginary:
        raise SimulationError(
            f"thermochemistry: {imaginary} of {len(found.frequencies)} frequencies are imaginary (lowest "
            f"{found.frequencies[0]:.0f} 1/cm), so the structure is no minimum; move it along that mode and relax it."
        )
    linear = len(found.frequencies) == 3 * len(found.numbers) - 5
    gas = IdealGasThermo(
        list(found.quanta), "linear" if linear else "nonlinear", found.energy, Atoms(found.numbers, found.positions),
        settings.symmetry_number, settings.spin, vib_selection="all",
    )  # fmt: skip
    enthalpy = gas.get_enthalpy(settings.temperature, verbose=False)
    entropy = gas.get_entropy(settings.temperature, settings.pressure, verbose=False)
    gibbs = enthalpy - settings.temperature * entropy
    zero_point = found.zero_point_energy
    return Thermochemistry(settings, found.energy, zero_point, float(enthalpy), float(entropy), float(gibbs))


def write_modes(found: Vibrations, path: str | Path, *, amplitude: float = 0.3, frames: int = 16) -> Path:
    """Write one oscillation along every mode, `frames` structures each, as one extended-XYZ file that viewers play;
    amplitude, Angstrom: of the atom that moves most.  `mode` and `wavenumber` (1/cm) stand in every comment.
    Raises UsageError for a name of another ending, OutputError when it cannot be written."""
    import ase.io
    from ase import Atoms

    if Path(path).suffix.lower() not in MODES:
        raise UsageError(f"{path}: modes are written as extended XYZ; end the name in {' or '.join(MODES)}.")
    images = []
    phases = amplitude * np.sin(2 * np.pi * np.arange(frames) / frames)
    for mode, direction in enumerate(found.modes):
        largest = np.linalg.norm(direction, axis=1).max()
        info = {"mode": mode, "wavenumber": round(float(found.frequencies[mode]), 3)}
        images += [Atoms(found.numbers, found.positions + phase / largest * direction, info=info) for phase in phases]
    with atomic_path(path) as partial:
        ase.io.write(str(partial), images, format="extxyz", parallel=False)
    return Path(path)
