"""The data set file of sgdml: a numpy npz with R, z, E, F, r_unit, e_unit, name, theory (Chmiela et al. 2019).

The keys of the rMD17 files (coords, nuclear_charges, energies, forces) are read too.  Nothing is ever unpickled.
"""

import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from gossamer.data.dataset import Dataset
from gossamer.data.formats.raw import Options, Raw, rows, same_atoms
from gossamer.errors import DataError, UsageError
from gossamer.files import atomic_path
from gossamer.units import energy_in_ev, energy_unit, length_in_angstrom, length_unit

_POSITIONS = ("R", "coords")
_NUMBERS = ("z", "nuclear_charges")
_ENERGIES = ("E", "energies")
_FORCES = ("F", "forces")
_KINDS = {"m": "an sgdml model", "t": "an sgdml training task"}
_LENGTH_NAMES = {"Angstrom": "Ang"}  # as sgdml writes it


def read(path: Path, options: Options) -> Raw:
    """Contents of the file in its own units.  Raises DataError when it is truncated, foreign or not a data set."""
    arrays = _Arrays(path)
    if (kind := arrays.text("type")) in _KINDS:
        raise DataError(f"{path}: this is {_KINDS[kind]}, not a data set; give the file with the structures.")
    position_key, positions = arrays.first(_POSITIONS, "positions")
    number_key, numbers = arrays.first(_NUMBERS, "atomic numbers")
    energy_key, energies = arrays.label(options.energy_key, _ENERGIES)
    forces_key, forces = arrays.label(options.forces_key, _FORCES)
    if positions.ndim == 2:
        positions, forces = positions[None], None if forces is None else forces.reshape(1, *forces.shape[-2:])
    fitting = positions.ndim == 3 and numbers.ndim in (1, 2) and numbers.shape[-1] == positions.shape[1]
    if not fitting or positions.shape[2] != 3:
        raise DataError(
            f"{path}: {position_key} has shape {positions.shape} and {number_key} {numbers.shape}, "
            "expected (structures, atoms, 3) and (atoms,); the file is no data set of one molecule."
        )
    n = len(positions)
    if n == 0:
        raise DataError(f"{path}: it holds no structures; give a file with at least one.")
    frames = rows(options.index, n, str(path))
    read = {"atoms": f"array '{number_key}'", "positions": f"array '{position_key}'"}
    if forces is not None:
        _require_shape(path, forces_key, forces.shape, positions.shape)
        read["forces"] = f"array '{forces_key}'"
    if energies is not None:
        _require_shape(path, energy_key, (energies.size,), (n,))
        read["energies"] = f"array '{energy_key}'"
    if "lattice" in arrays.names:
        read["periodic box"] = "ignored: gossamer treats molecules, not crystals"
    return Raw(
        source=str(path),
        numbers=_atomic_numbers(path, number_key, numbers, n),
        positions=positions[frames].astype(np.float64),
        forces=None if forces is None else forces[frames].astype(np.float64),
        energies=None if energies is None else energies.reshape(n)[frames].astype(np.float64),
        frames=frames,
        energy_unit=arrays.text("e_unit") or None,
        length_unit=arrays.text("r_unit") or None,
        forces_unit=arrays.text("f_unit") or None,
        usual_length="Angstrom",
        name=arrays.text("name") or path.stem,
        theory=arrays.text("theory"),
        read=read,
    )


def write(data: Dataset, path: Path, energy: str, length: str) -> None:
    """Write what sgdml 1.0.3 reads, its fingerprint included; energies and forces that are absent stay out.
    energy, length: the units to write in.  Raises OutputError when the path is not writable."""
    energy, length = energy_unit(energy), length_unit(length)
    per_ev, per_angstrom = 1 / energy_in_ev(energy), 1 / length_in_angstrom(length)
    arrays = {"R": data.positions * per_angstrom, "z": data.numbers.astype(np.int64)}
    if data.energies is not None:
        arrays["E"] = data.energies[:, None] * per_ev
    if data.forces is not None:
        arrays["F"] = data.forces * (per_ev / per_angstrom)
    texts = {
        "type": "d",
        "name": data.provenance.name or path.stem,
        "theory": data.provenance.theory or "unknown",
        "e_unit": energy,
        "r_unit": _LENGTH_NAMES.get(length, length),
        "md5": fingerprint(arrays),
    }
    for key in arrays.keys() & {"E", "F"}:
        values = arrays[key]
        arrays |= {f"{key}_min": values.min(), f"{key}_max": values.max()}
        arrays |= {f"{key}_mean": values.mean(), f"{key}_var": values.var()}
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays, **texts)  # type: ignore[arg-type]  # numpy takes scalars and strings too


def fingerprint(arrays: dict[str, np.ndarray]) -> bytes:
    """sgdml's own md5 of a data set: the md5 of the md5s of z, R, E and F, as the array bytes stand in the file."""
    total = hashlib.md5(usedforsecurity=False)
    for key in ("z", "R", "E", "F"):
        if key in arrays:
            total.update(hashlib.md5(np.ascontiguousarray(arrays[key]).tobytes(), usedforsecurity=False).digest())
    return total.hexdigest().encode()


class _Arrays:
    """The arrays of one npz file, each read when asked for, none unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with np.load(path, allow_pickle=False) as file:
                self.names = list(file.files)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
            why = "not a readable npz file (truncated, or of another kind)"
            raise DataError(f"{path}: {why}; copy or write it again.") from error

    def get(self, name: str) -> np.ndarray:
        """One array.  Raises DataError when it is damaged or would have to be unpickled."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                return file[name]
        except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            why = "is stored as a pickle, which is never opened" if "pickle" in str(error) else "is damaged"
            raise DataError(f"{self.path}: array '{name}' {why}; write the file again with plain arrays.") from error

    def numeric(self, name: str) -> np.ndarray:
        array = self.get(name)
        if array.dtype.kind not in "fiu":
            raise DataError(f"{self.path}: array '{name}' holds {array.dtype} and not numbers; write the file again.")
        return array

    def first(self, names: tuple[str, ...], what: str) -> tuple[str, np.ndarray]:
        """The first of `names` that is there, and its array."""
        for name in names:
            if name in self.names:
                return name, self.numeric(name)
        wanted, present = " or ".join(map(repr, names)), ", ".join(self.names) or "none"
        raise DataError(
            f"{self.path}: no {what} (array {wanted}) among its arrays ({present}); this is no sgdml data set."
        )

    def label(self, asked: str | None, names: tuple[str, ...]) -> tuple[str, np.ndarray | None]:
        """The label array that was asked for, else the first known one, else None."""
        if asked is not None and asked not in self.names:
            raise UsageError(f"{self.path}: it has no array '{asked}'; it has {', '.join(self.names)}.")
        for name in (asked,) if asked is not None else names:
            if name in self.names:
                return name, self.numeric(name)
        return "", None

    def text(self, name: str) -> str:
        """A string field; "" when it is missing or would have to be unpickled."""
        if name not in self.names:
            return ""
        try:
            value = self.get(name)
        except DataError:
            return ""
        item = value.item() if value.size == 1 else ""
        return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)


def _atomic_numbers(path: Path, key: str, numbers: np.ndarray, n: int) -> np.ndarray:
    if numbers.ndim == 2:
        if len(numbers) != n:
            raise DataError(f"{path}: {key} lists {len(numbers)} structures, but there are {n}; write the file again.")
        numbers = same_atoms(str(path), numbers, np.arange(n))
    if np.any(numbers < 1) or np.any(numbers > 118) or np.any(numbers != np.round(numbers)):
        raise DataError(f"{path}: {key} holds values that are not atomic numbers (1 to 118); write the file again.")
    return numbers.astype(np.int64)


def _require_shape(path: Path, key: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise DataError(f"{path}: array '{key}' has shape {shape}, expected {expected}; write the file again.")
