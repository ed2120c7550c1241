"""Reading and writing data sets: one way in, one way out, one file per format."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gossamer import units
from gossamer.data.dataset import Dataset, LabelStd
from gossamer.data.formats.files import existing
from gossamer.data.formats.raw import Options, Raw, to_dataset
from gossamer.errors import UnitsError, UsageError

_WRITERS = {".npz": "sgdml_npz", ".extxyz": "extxyz", ".xyz": "extxyz", ".traj": "ase_io", ".db": "ase_io"}
_BY_NAME = {".traj", ".db"}  # whatever stands in them, they are no output of a program


def read(
    path: str | os.PathLike[str],
    *,
    energy_unit: str | None = None,
    length_unit: str | None = None,
    forces_unit: str | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
    index: str | int | slice = ":",
    positions_key: str | None = None,
    numbers_key: str | None = None,
    gradients_key: str | None = None,
    labels: bool = True,
    dipole_unit: str | None = None,
) -> Dataset:
    """Structures of one molecule from a file: npz, HDF5, QCSchema, extxyz, outputs of programs, what ASE reads
    (docs/formats.md lists them all).

    A unit given here goes before what the file says; forces_unit ("Hartree/Bohr") is needed only where forces are not
    in energy_unit/length_unit, dipole_unit ("Debye") where the file has dipoles and does not say theirs.  The keys name
    arrays where a file has several, or other names for them; in HDF5 with the group, "aspirin/forces"; gradients are
    minus forces.  index: a frame number or start:stop:step.  labels False:
    positions alone.  Returns eV and Angstrom; `provenance.read` tells what was taken from where, and in which unit.
    Raises DataError (file missing, damaged, foreign, or not one molecule), UnitsError (a unit is neither given nor in
    the file), UsageError (a key that is not there).
    """
    options = Options(
        energy_unit, length_unit, forces_unit, energy_key, forces_key, index, positions_key, numbers_key, gradients_key,
        labels, dipole_unit,
    )  # fmt: skip
    file = existing(path)
    with np.errstate(all="ignore"):  # what overflows is refused as not finite
        return to_dataset(_reader(file)(file, options), options)


def _reader(file: Path) -> Callable[[Path, Options], Raw]:
    """What reads a file: told from its name where that is sure, else from how it begins."""
    suffix = file.suffix.lower()
    if suffix == ".npz":
        from gossamer.data.formats import sgdml_npz

        return sgdml_npz.read
    from gossamer.data.formats import apart, ase_io, hdf5, programs, qcschema, xyz

    if hdf5.recognised(file):
        return apart.read
    if suffix in _BY_NAME:
        return ase_io.read
    if xyz.is_xyz(file):
        return xyz.read
    if qcschema.recognised(file):
        return qcschema.read
    return programs.reader_of(file) or ase_io.read


def write(
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    energy_unit: str = "eV",
    length_unit: str = "Angstrom",
    std: LabelStd | None = None,
) -> None:
    """Write a data set as .npz (sgdml's layout), .extxyz or .xyz, .traj or .db; forces in energy_unit/length_unit.
    The file appears whole or not at all.  std: standard deviations of the labels, written as energy_std and forces_std
    (E_std and F_std in npz) in the same units.  Raises UsageError for another suffix, OutputError for a path that
    cannot be written, UnitsError for a unit the format does not allow."""
    from importlib import import_module

    target = Path(path)
    energy_unit, length_unit = check_writable(target, energy_unit=energy_unit, length_unit=length_unit)
    name = _WRITERS[target.suffix.lower()]
    import_module(f"gossamer.data.formats.{name}").write(dataset, target, energy_unit, length_unit, std)


def check_writable(path: Path, *, energy_unit: str = "eV", length_unit: str = "Angstrom") -> tuple[str, str]:
    """The units in their usual spelling, once it is clear from the suffix of `path` that `write` can write them.
    Raises UsageError for another suffix, UnitsError for a unit that is none, or that the format does not allow."""
    energy, length = units.energy_unit(energy_unit), units.length_unit(length_unit)
    name = _WRITERS.get(path.suffix.lower())
    if name is None:
        raise UsageError(f"{path}: '{path.suffix}' files cannot be written; end the name in {', '.join(_WRITERS)}.")
    if name == "ase_io" and (energy, length) != ("eV", "Angstrom"):
        raise UnitsError(
            f"{path}: {path.suffix} files are in eV and Angstrom by definition, not {energy} and {length}; "
            "write .extxyz or .npz."
        )
    return energy, length
