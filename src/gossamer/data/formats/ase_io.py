"""Everything ase.io reads: extxyz, traj, db, FHI-aims, ORCA, VASP ...; and writing ASE's own traj and db.

Labels come from a program's output or from the keys people use; which key was taken is kept in Raw.read.  Units are
known where ASE has converted a program's output; plain containers (xyz, LAMMPS dumps) say nothing unless a frame does.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.data.dataset import Dataset
from gossamer.data.formats.labels import choose, key_of, one_unit
from gossamer.data.formats.names import ENERGY_KEYS, unit_in, unit_kind
from gossamer.data.formats.raw import Options, Raw, rows, same_atoms, slice_from_start
from gossamer.errors import DataError, UnitsError
from gossamer.files import atomic_path
from gossamer.units import energy_unit, length_unit

if TYPE_CHECKING:
    from ase import Atoms

_SILENT_ABOUT_UNITS = {"lammps-dump-text", "lammps-dump-binary"}
_CONTAINERS = {"traj", "db", "json"}  # eV and Angstrom by ASE's convention, but a user may have stored anything
_SLICED_WHILE_READING = {"traj"}


def read(path: Path, options: Options) -> Raw:
    """Contents of a file that ASE can read.
    Raises DataError when it cannot, or when the frames are not one molecule."""
    format_name, images, frames, notes = _images(path, options.index)
    numbers = same_atoms(str(path), [image.numbers for image in images], frames)
    one, several = (), (len(numbers), 3)
    places = [_places(image, "energies") for image in images]
    energy_place, energies = choose(path, places, frames, "energies", options.energy_key, one)
    places = [_places(image, "forces") for image in images]
    forces_place, forces = choose(path, places, frames, "forces", options.forces_key, several)
    read = {"atoms": f"{format_name} format", "positions": "atomic positions"}
    read |= {what: place for what, place in (("energies", energy_place), ("forces", forces_place)) if place}
    if notes:
        read["notes by ASE"] = "; ".join(notes)
    given = {"energy": options.energy_unit, "length": options.length_unit, "forces": options.forces_unit}
    said_in = {kind: [] if given[kind] else _said(images, kind) for kind in given}
    if energy_place and not given["energy"] and (in_key := unit_in(key_of(energy_place), ENERGY_KEYS)):
        said_in["energy"].append(in_key)
    declared = {kind: one_unit(path, kind, words) for kind, words in said_in.items()}
    ours = format_name not in _SILENT_ABOUT_UNITS
    of_program = ours and all(place.startswith("calculator") for place in (energy_place, forces_place) if place)
    said = any(declared.values())
    return Raw(
        source=str(path), numbers=numbers, positions=np.array([image.positions for image in images], dtype=np.float64),
        forces=forces, energies=energies, frames=frames,
        energy_unit=declared["energy"] or ("eV" if of_program else None),
        length_unit=declared["length"] or ("Angstrom" if ours else None),
        forces_unit=declared["forces"],
        usual_length="Angstrom",
        converted=of_program and not said and format_name not in _CONTAINERS,
        said_by="as the file says" if said else f"as ASE delivers {format_name}",
        name=_text(images[0], "name") or path.name.split(".")[0], theory=_text(images[0], "theory"), read=read,
        cells=np.array([image.cell.array for image in images]), periodic=np.array([image.pbc for image in images]),
    )  # fmt: skip


def write(data: Dataset, path: Path, energy: str, length: str) -> None:
    """Write a traj or db file, both in eV and Angstrom by definition.
    Raises UnitsError for other units, OutputError when the path is not writable."""
    import ase.io
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    if (energy_unit(energy), length_unit(length)) != ("eV", "Angstrom"):
        raise UnitsError(
            f"{path}: {path.suffix} files are in eV and Angstrom by definition, not {energy} and {length}; "
            "write .extxyz or .npz."
        )
    info = {key: value for key, value in (("name", data.provenance.name), ("theory", data.provenance.theory)) if value}
    images = []
    for row, positions in enumerate(data.positions):
        atoms = Atoms(data.numbers, positions, info=info)
        labels: dict[str, Any] = {}
        if data.energies is not None:
            labels["energy"] = float(data.energies[row])
        if data.forces is not None:
            labels["forces"] = data.forces[row]
        atoms.calc = SinglePointCalculator(atoms, **labels) if labels else None
        images.append(atoms)
    with atomic_path(path) as partial:
        ase.io.write(str(partial), images, format=path.suffix[1:].lower(), parallel=False)


def _images(path: Path, index: str | int | slice) -> tuple[str, list["Atoms"], np.ndarray, list[str]]:
    """Format, the chosen frames, their numbers in the file, and what ASE had to say."""
    from ase.io.formats import UnknownFileTypeError, filetype, get_ioformat

    try:
        format_name = filetype(str(path))
        get_ioformat(format_name)  # a guess by suffix may be no format at all
    except UnknownFileTypeError as error:
        known = "an npz, extxyz, traj, db or program output file"
        raise DataError(f"{path}: its format is not known; give {known}.") from error
    except Exception as error:
        raise DataError(f"{path}: cannot be read ({_in_short(error)}); copy or write it again.") from error
    part = slice_from_start(index) if format_name in _SLICED_WHILE_READING else None
    images, notes = _parsed(path, format_name, part or slice(None))
    if not images:
        where = " in this range" if part else ""
        raise DataError(f"{path}: read as {format_name}, it holds no structures{where}; give a file with at least one.")
    if part:
        return format_name, images, (part.start or 0) + (part.step or 1) * np.arange(len(images)), notes
    frames = rows(index, len(images), str(path))
    return format_name, [images[row] for row in frames], frames, notes


def _parsed(path: Path, format_name: str, part: slice) -> tuple[list["Atoms"], list[str]]:
    """The frames of `part`, and ASE's warnings."""
    import ase.io

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            images: Any = ase.io.read(str(path), index=part, format=format_name, do_not_split_by_at_sign=True)
        except Exception as error:  # ASE's readers raise whatever their parsing meets
            why = f"cannot be read as {format_name} ({_in_short(error)})"
            raise DataError(f"{path}: {why}; the file is damaged or of another kind.") from error
    return images, list(dict.fromkeys(_in_short(w.message) for w in caught if w.category is UserWarning))


def _places(image: "Atoms", what: str) -> dict[str, Any]:
    """Every place of a frame where a label could stand: description -> value."""
    results = {} if image.calc is None else image.calc.results
    store, extra, size = ("info", image.info, 1) if what == "energies" else ("arrays", image.arrays, 3 * len(image))
    found = {f"calculator result '{key}'": value for key, value in results.items()}
    found |= {f"{store}['{key}']": value for key, value in extra.items() if key not in ("positions", "momenta")}
    return {place: value for place, value in found.items() if np.size(value) == size and not isinstance(value, bool)}


def _said(images: list["Atoms"], kind: str) -> list[str]:
    """The words that the frames have for the unit of "energy", "length" or "forces"."""
    return [str(value) for image in images for key, value in image.info.items() if unit_kind(str(key)) == kind]


def _text(image: "Atoms", key: str) -> str:
    return str(image.info.get(key, ""))


def _in_short(error: object) -> str:
    """An exception or warning as one short line without a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:120].rstrip(". ")
