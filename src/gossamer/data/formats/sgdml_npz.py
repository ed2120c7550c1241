"""Data sets in npz files: sgdml's own (R, z, E, F, r_unit, e_unit, name, theory; Chmiela et al. 2019), and those of
others by their names of arrays (rMD17, ANI, PhysNet ...), read by gossamer.data.formats.arrays."""

import hashlib
from pathlib import Path

import numpy as np

from gossamer.data.dataset import Dataset, LabelStd
from gossamer.data.formats.arrays import read_arrays
from gossamer.data.formats.npz import NpzFile
from gossamer.data.formats.raw import Options, Raw
from gossamer.errors import DataError
from gossamer.files import atomic_path
from gossamer.units import energy_in_ev, energy_unit, length_in_angstrom, length_unit

_KINDS = {"m": "an sgdml model", "t": "an sgdml training task"}
_LENGTH_NAMES = {"Angstrom": "Ang"}  # as sgdml writes it


def read(path: Path, options: Options) -> Raw:
    """Contents of the file in its own units.  Raises DataError when it is truncated, foreign or not a data set."""
    file = NpzFile(path)
    if (kind := file.text("type")) in _KINDS:
        raise DataError(f"{path}: this is {_KINDS[kind]}, not a data set; give the file with the structures.")
    return read_arrays(file, options, path.stem)


def write(data: Dataset, path: Path, energy: str, length: str, std: LabelStd | None = None) -> None:
    """Write what sgdml 1.0.3 reads, its fingerprint included; energies and forces that are absent stay out.
    energy, length: the units to write in; std: standard deviations of the labels.  Raises OutputError
    when the path is not writable."""
    energy, length = energy_unit(energy), length_unit(length)
    per_ev, per_angstrom = 1 / energy_in_ev(energy), 1 / length_in_angstrom(length)
    arrays = {"R": data.positions * per_angstrom, "z": data.numbers.astype(np.int64)}
    if data.energies is not None:
        arrays["E"] = data.energies[:, None] * per_ev
    if data.forces is not None:
        arrays["F"] = data.forces * (per_ev / per_angstrom)
    if data.dipoles is not None:
        arrays["dipoles"] = data.dipoles
    texts = {
        "type": "d",
        "name": data.provenance.name or path.stem,
        "theory": data.provenance.theory or "unknown",
        "e_unit": energy,
        "r_unit": _LENGTH_NAMES.get(length, length),
        "md5": fingerprint(arrays),
    } | ({"dipole_unit": "e*Angstrom"} if data.dipoles is not None else {})
    for key in arrays.keys() & {"E", "F"}:
        values = arrays[key]
        arrays |= {f"{key}_min": values.min(), f"{key}_max": values.max()}
        arrays |= {f"{key}_mean": values.mean(), f"{key}_var": values.var()}
    if std is not None:
        arrays |= {"E_std": std.energies[:, None] * per_ev, "F_std": std.forces * (per_ev / per_angstrom)}
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays, **texts)  # type: ignore[arg-type]  # numpy takes scalars and strings too


def fingerprint(arrays: dict[str, np.ndarray]) -> bytes:
    """sgdml's own md5 of a data set: the md5 of the md5s of z, R, E and F, as the array bytes stand in the file."""
    total = hashlib.md5(usedforsecurity=False)
    for key in ("z", "R", "E", "F"):
        if key in arrays:
            total.update(hashlib.md5(np.ascontiguousarray(arrays[key]).tobytes(), usedforsecurity=False).digest())
    return total.hexdigest().encode()
