"""Which array of a container (npz, HDF5) is what: as the user names it, by the names people use, or by a word in it.

Forces and gradients are told apart by name: forces are minus the gradient.  Two candidates that differ are never
chosen between in silence.
"""

import math
import re
from typing import NamedTuple, Protocol

import numpy as np

from gossamer.data.formats.atoms import atomic_numbers, without_padding
from gossamer.data.formats.labels import forces_asked
from gossamer.data.formats.names import (
    DIPOLE_KEYS,
    ENERGY_KEYS,
    FORCES_KEYS,
    kinds_of,
    rank,
    split_units,
    unit_in,
    unit_kind,
)
from gossamer.data.formats.raw import Options, Raw, rows
from gossamer.errors import DataError, UsageError


class Role(NamedTuple):
    """What an array can be: the option that names it, the names in use (best first), and words in longer names."""

    what: str
    option: str
    known: tuple[str, ...]
    words: frozenset[str] = frozenset()


POSITIONS = Role(
    "positions", "--positions-key",
    ("R", "coords", "coordinates", "positions", "conformations", "geometry", "geometries", "coord", "pos", "xyz",
     "atXYZ"),
    frozenset({"positions", "coordinates", "coords", "geometry", "geometries", "conformations"}),
)  # fmt: skip
NUMBERS = Role(
    "atomic numbers", "--numbers-key",
    ("z", "nuclear_charges", "atomic_numbers", "numbers", "species", "atNUM", "elements", "symbols", "atomic_number",
     "atomic_symbols"),
)  # fmt: skip
ENERGIES = Role(
    "energies", "--energy-key",
    ("E", "energies", "energy", "total_energy", "total_energies", "dft_total_energy", "dft_energy"),
    frozenset({"energy", "energies"}),
)  # fmt: skip
FORCES = Role("forces", "--forces-key", ("F", "forces", "force", "total_forces", "dft_forces"),
              frozenset({"force", "forces"}))  # fmt: skip
GRADIENTS = Role(
    "gradients", "--gradients-key",
    ("gradients", "gradient", "grads", "grad", "dft_total_gradient", "total_gradient", "return_gradient"),
    frozenset({"gradients", "gradient", "grads", "grad"}),
)  # fmt: skip
_KEYS = {"energy": ENERGY_KEYS, "forces": FORCES_KEYS, "dipole": DIPOLE_KEYS}  # names that may end in a unit
# Units that go with the names of one published layout (SPICE, Eastman et al. 2023), where the file leaves them out.
_LAYOUT = {"conformations": "Bohr", "dft_total_energy": "Hartree", "dft_total_gradient": "Hartree/Bohr"}


class Container(Protocol):
    """Named arrays: an npz file, or one group of an HDF5 file.  texts: the names under which `text` may find one."""

    source: str
    names: list[str]
    texts: list[str]

    def get(self, name: str) -> np.ndarray: ...
    def numeric(self, name: str) -> np.ndarray: ...
    def text(self, name: str) -> str: ...
    def unit(self, name: str) -> str | None: ...


def read_arrays(file: Container, options: Options, name: str) -> Raw:
    """The data set that the arrays of `file` make up.  name: of the data set, where the file has none.
    Raises DataError when arrays are missing or do not fit each other, UsageError when a name has to be given."""
    position_key, positions = _required(file, POSITIONS, options.positions_key)
    number_key, listed = _required(file, NUMBERS, options.numbers_key, text=True)
    numbers = atomic_numbers(f"{file.source}: {number_key}", listed)
    positions = _structures(file, position_key, positions, number_key, numbers.shape)
    frames = rows(options.index, len(positions), file.source)
    read = {"atoms": f"array '{number_key}'", "positions": f"array '{position_key}'"}
    energy_key, energies = _energies(file, options, len(positions))
    forces_key, sign, forces = _forces(file, options, positions.shape)
    if energies is not None:
        read["energies"] = f"array '{energy_key}'"
        energies = energies.reshape(len(positions))[frames].astype(np.float64)
    if forces is not None:
        read["forces"] = f"{'minus ' if sign < 0 else ''}array '{forces_key}'"
        forces = sign * forces.reshape(positions.shape)[frames].astype(np.float64)
    cell = _cell(file)
    numbers, real, padded = without_padding(f"{file.source}: {number_key}", numbers, frames, forces)
    if padded:
        read["padding"] = f"{padded} atoms with number 0 left out"
    dipole_key, dipoles = _dipoles(file, len(positions)) if options.labels else ("", None)
    if dipole_key:
        read["dipoles"] = f"array '{dipole_key}'{' not read: it holds no vector per structure' * (dipoles is None)}"
    keys = {"energy": energy_key, "length": position_key, "forces": forces_key, "dipole": dipole_key}
    units, said_by = _units(file, keys)
    return Raw(
        source=file.source, numbers=numbers, positions=positions[frames][:, real].astype(np.float64),
        forces=None if forces is None else forces[:, real], energies=energies, frames=frames,
        energy_unit=units["energy"], length_unit=units["length"], forces_unit=units["forces"],
        usual_length="Angstrom", said_by=said_by, name=file.text("name") or name, theory=file.text("theory"), read=read,
        cells=None if cell is None else np.tile(cell, (len(frames), 1, 1)),
        periodic=None if cell is None else np.ones((len(frames), 3), dtype=bool),
        dipoles=None if dipoles is None else dipoles[frames].astype(np.float64), dipole_unit=units["dipole"],
    )  # fmt: skip


def _cell(file: Container) -> np.ndarray | None:
    """Vectors (3, 3) of the periodic box, one a row, None where there is none; sgdml keeps them as columns."""
    lattice = file.numeric("lattice") if "lattice" in file.names else None
    return lattice.T.astype(np.float64) if lattice is not None and lattice.shape == (3, 3) else None


def _required(file: Container, role: Role, asked: str | None, text: bool = False) -> tuple[str, np.ndarray]:
    name = _chosen(file, role, asked)
    if name is None:
        wanted, present = " or ".join(map(repr, role.known[:2])), _listed(file.names)
        raise DataError(
            f"{file.source}: no {role.what} (array {wanted}) among its arrays ({present}); name one with {role.option}."
        )
    return name, file.get(name) if text else file.numeric(name)


def _chosen(file: Container, role: Role, asked: str | None, size: int | None = None) -> str | None:
    """The array for a role; one known by a word in its name must have `size` numbers.
    Raises UsageError when the one asked for is absent, or several differ."""
    if asked is not None:
        if asked not in file.names:
            raise UsageError(f"{file.source}: it has no array '{asked}'; it has {_listed(file.names)}.")
        return asked
    exact = [name for name in role.known if name in file.names]
    lower = [known.lower() for known in role.known]
    alike = sorted((n for n in file.names if n.lower() in lower), key=lambda n: lower.index(n.lower()))
    worded = [name for name in file.names if role.words & _words(name)]
    worded = [name for name in worded if "unit" not in name.lower()] if not exact + alike else []
    found = exact or alike or [name for name in worded if size is None or file.get(name).size == size]
    for other in found[1:]:
        one, another = file.get(found[0]), file.get(other)
        if one.size != another.size or not np.array_equal(one.ravel(), another.ravel()):
            raise UsageError(
                f"{file.source}: {_listed(found)} may all be its {role.what}; choose one with {role.option}."
            )
    return found[0] if found else None


def _structures(file: Container, key: str, positions: np.ndarray, number_key: str, listed: tuple) -> np.ndarray:
    """The positions as (n, N, 3).  Raises DataError when they do not fit the atomic numbers."""
    shape, atoms = positions.shape, listed[-1]
    if shape == (atoms, 3):
        positions = positions[None]
    elif len(shape) == 2 and shape[1] == 3 * atoms:
        positions = positions.reshape(len(positions), atoms, 3)
    if positions.ndim != 3 or positions.shape[1:] != (atoms, 3):
        raise DataError(
            f"{file.source}: {key} has shape {shape} and {number_key} {listed}, "
            "expected (structures, atoms, 3) and (atoms,); the file is no data set of one molecule."
        )
    if not len(positions):
        raise DataError(f"{file.source}: it holds no structures; give a file with at least one.")
    if len(listed) == 2 and listed[0] not in (1, len(positions)):
        n = len(positions)
        raise DataError(
            f"{file.source}: {number_key} lists {listed[0]} structures, but there are {n}; write the file again."
        )
    return positions


def _energies(file: Container, options: Options, n: int) -> tuple[str, np.ndarray | None]:
    name = _chosen(file, ENERGIES, options.energy_key, n) if options.labels else None
    if name is None:
        return "", None
    values = file.numeric(name)
    _require_shape(file, name, (values.size,), (n,))
    return name, values


def _forces(file: Container, options: Options, shape: tuple[int, ...]) -> tuple[str, int, np.ndarray | None]:
    """Key of the forces, the sign that turns the array into forces, and the array."""
    asked, size = forces_asked(options)[1], math.prod(shape)
    if not options.labels:
        return "", 1, None
    force = None if options.gradients_key else _chosen(file, FORCES, options.forces_key, size)
    gradient = None if options.forces_key else _chosen(file, GRADIENTS, options.gradients_key, size)
    found = {key: file.numeric(key) for key in (force, gradient) if key is not None}
    for key, array in found.items():
        flat = array.shape == (shape[0], shape[1] * 3)
        fitting = array.size == size and (flat or array.shape == shape[3 - array.ndim :])
        _require_shape(file, key, shape if fitting else array.shape, shape)
    if force is not None and gradient is not None and asked is None:
        size = np.abs(found[force]).max(initial=0)
        if not np.allclose(found[force].ravel(), -found[gradient].ravel(), rtol=1e-5, atol=1e-5 * size):
            raise UsageError(
                f"{file.source}: '{force}' is not minus '{gradient}'; "
                f"choose with --forces-key {force} or --gradients-key {gradient}."
            )
    if force is not None:
        return force, -1 if _words(force) & GRADIENTS.words else 1, found[force]
    return (gradient, -1, found[gradient]) if gradient is not None else ("", 1, None)


def _dipoles(file: Container, n: int) -> tuple[str, np.ndarray | None]:
    """The array under a usual name of dipoles, "" where there is none, and its vectors (n, 3), None where it holds
    something else."""
    name = min((name for name in file.names if rank(name, DIPOLE_KEYS) is not None),
               key=lambda name: rank(name, DIPOLE_KEYS) or 0, default="")  # fmt: skip
    try:
        found = file.numeric(name) if name else np.zeros(0)
    except DataError:  # it may be anything else, which a force field does not need
        found = np.zeros(0)
    return name, found.reshape(n, 3) if found.size == 3 * n and found.shape[-1:] == (3,) else None


def _units(file: Container, keys: dict[str, str]) -> tuple[dict[str, str | None], str]:
    """The unit of each kind of array, None where nobody says, and who says them."""
    units: dict[str, str | None] = {}
    bare = [
        word for field in file.texts if field.lower() in ("unit", "units") for word in split_units(file.text(field))
    ]
    for kind, key in keys.items():
        said_in_fields = [file.text(field) for field in file.texts if unit_kind(field) == kind]
        said_in_fields += [word for word in bare if kind in kinds_of(word)]
        in_name = unit_in(key, _KEYS[kind]) if kind in _KEYS else None
        units[kind] = (file.unit(key) if key else None) or in_name or next(filter(None, said_in_fields), None)
    said = "as the file says"
    for kind, key in keys.items():
        if units[kind] is None and (unit := _LAYOUT.get(key)) is not None:
            units[kind], said = unit, "as the layout of SPICE defines"
    return units, said


def _require_shape(file: Container, key: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise DataError(f"{file.source}: array '{key}' has shape {shape}, expected {expected}; write the file again.")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "none"


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", name.lower()))
