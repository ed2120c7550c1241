"""Reading and writing data sets: one way in, one way out, one file per format."""

import os
from pathlib import Path

from gossamer.data.dataset import Dataset
from gossamer.data.formats.files import existing
from gossamer.data.formats.raw import Options, to_dataset
from gossamer.data.formats.xyz import is_xyz
from gossamer.errors import UsageError

_WRITERS = {".npz": "sgdml_npz", ".extxyz": "extxyz", ".xyz": "extxyz", ".traj": "ase_io", ".db": "ase_io"}


def read(
    path: str | os.PathLike[str],
    *,
    energy_unit: str | None = None,
    length_unit: str | None = None,
    forces_unit: str | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
    index: str | int | slice = ":",
) -> Dataset:
    """Structures of one molecule from a file: sgdml npz, or anything ASE reads (extxyz, traj, db, FHI-aims, ORCA ...).

    A unit given here goes before what the file says; forces_unit ("Hartree/Bohr") is needed only where forces are not
    in energy_unit/length_unit.  The keys name the labels where a file holds several.  index: a frame number or
    start:stop:step.  Returns eV and Angstrom; `provenance.read` tells what was taken from where, and in which unit.
    Raises DataError (file missing, damaged, foreign, or not one molecule), UnitsError (a unit is neither given nor in
    the file), UsageError (a key that is not there).
    """
    options = Options(energy_unit, length_unit, forces_unit, energy_key, forces_key, index)
    file = existing(path)
    if file.suffix.lower() == ".npz":
        from gossamer.data.formats import sgdml_npz as reader
    elif is_xyz(file):
        from gossamer.data.formats import xyz as reader  # type: ignore[no-redef]
    else:
        from gossamer.data.formats import ase_io as reader  # type: ignore[no-redef]
    return to_dataset(reader.read(file, options), options)


def write(
    dataset: Dataset, path: str | os.PathLike[str], *, energy_unit: str = "eV", length_unit: str = "Angstrom"
) -> None:
    """Write a data set as .npz (sgdml's layout), .extxyz or .xyz, .traj or .db; forces in energy_unit/length_unit.
    The file appears whole or not at all.  Raises UsageError for another suffix, OutputError for a path that cannot
    be written, UnitsError for a unit the format does not allow."""
    from importlib import import_module

    target = Path(path)
    name = _WRITERS.get(target.suffix.lower())
    if name is None:
        raise UsageError(f"{target}: '{target.suffix}' files cannot be written; end the name in {', '.join(_WRITERS)}.")
    import_module(f"gossamer.data.formats.{name}").write(dataset, target, energy_unit, length_unit)
