"""Everything ase.io reads: extxyz, traj, db, FHI-aims, ORCA, VASP ...; and writing ASE's own traj and db.

Labels come from a program's output or from the keys people use; which key was taken is kept in Raw.read.  Units are
known where ASE has converted a program's output; plain containers (xyz, LAMMPS dumps) say nothing unless a frame does.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.data.dataset import Dataset, LabelStd
from gossamer.data.formats import database, programs
from gossamer.data.formats.labels import choose, choose_dipoles, forces_asked, is_dipole, key_of, one_unit
from gossamer.data.formats.names import ENERGY_KEYS, unit_in, unit_kind
from gossamer.data.formats.raw import Options, Raw, no_keys, rows, same_atoms, slice_from_start
from gossamer.errors import DataError
from gossamer.files import atomic_path

if TYPE_CHECKING:
    from ase import Atoms

_SILENT_ABOUT_UNITS = {"lammps-dump-text", "lammps-dump-binary"}
_XYZ = {"xyz", "extxyz"}
_CONTAINERS = {"traj", "db", "json"}  # eV and Angstrom by ASE's convention, but a user may have stored anything
_SLICED_WHILE_READING = {"traj"}
_READ_ELSEWHERE = {"orca-output", "aims-output", "gaussian-out", "gamess-us-out", "gamess-us-punch"}


def read(path: Path, options: Options) -> Raw:
    """Contents of a file that ASE can read.
    Raises DataError when it cannot, or when the frames are not one molecule."""
    format_name = _format(path)
    if format_name in _XYZ:  # ASE waits for every atom that a damaged file declares; ours says what is wrong
        from gossamer.data.formats import xyz

        return xyz.read(path, options)
    no_keys(path, options, "positions_key", "numbers_key")
    images, frames, notes = _images(path, format_name, options.index)
    images, frames, left_out = _complete(format_name, images, frames)
    numbers = same_atoms(str(path), [image.numbers for image in images], frames)
    wanted = images if options.labels else []
    places = [_places(image, "energies") for image in wanted]
    energy_place, energies = choose(path, places, frames, "energies", options.energy_key, ())
    places = [_places(image, "forces") for image in wanted]
    forces_place, forces = choose(path, places, frames, *forces_asked(options), (len(numbers), 3))
    dipole_place, dipoles = choose_dipoles([_dipole(image) for image in wanted])
    read = {"atoms": f"{format_name} format", "positions": "atomic positions"}
    found_at = (("energies", energy_place), ("forces", forces_place), ("dipoles", dipole_place))
    read |= {what: place for what, place in found_at if place}
    if left_out:
        read["left out"] = left_out
    if notes:
        read["notes by ASE"] = "; ".join(notes)
    given = {"energy": options.energy_unit, "length": options.length_unit, "forces": options.forces_unit,
             "dipole": options.dipole_unit}  # fmt: skip
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
        dipoles=dipoles,
        dipole_unit=declared["dipole"] or ("e*Angstrom" if dipole_place.startswith("calculator") else None),
    )  # fmt: skip


def write(data: Dataset, path: Path, energy: str, length: str, std: LabelStd | None = None) -> None:
    """Write a traj or db file, both in eV and Angstrom by definition; std: standard deviations of the labels.
    Raises OutputError when the path is not writable."""
    import ase.io
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    info = {key: value for key, value in (("name", data.provenance.name), ("theory", data.provenance.theory)) if value}
    images = []
    for row, positions in enumerate(data.positions):
        atoms = Atoms(data.numbers, positions, info=info)
        if std is not None:
            atoms.info["energy_std"] = float(std.energies[row])
            atoms.arrays["forces_std"] = std.forces[row]
        labels: dict[str, Any] = {}
        if data.energies is not None:
            labels["energy"] = float(data.energies[row])
        if data.forces is not None:
            labels["forces"] = data.forces[row]
        if data.dipoles is not None:
            labels["dipole"] = data.dipoles[row]
        atoms.calc = SinglePointCalculator(atoms, **labels) if labels else None
        images.append(atoms)
    with atomic_path(path) as partial:
        ase.io.write(str(partial), images, format=path.suffix[1:].lower(), parallel=False)


def _format(path: Path) -> str:
    """ASE's name for the format of a file."""
    from ase.io.formats import UnknownFileTypeError, filetype, get_ioformat

    try:
        format_name = filetype(str(path))
        get_ioformat(format_name)  # a guess by suffix may be no format at all
    except UnknownFileTypeError as error:
        known = "an npz, extxyz, traj, db or program output file"
        raise DataError(f"{path}: its format is not known; give {known}.") from error
    except Exception as error:
        raise DataError(f"{path}: cannot be read ({_in_short(error)}); copy or write it again.") from error
    if format_name in _READ_ELSEWHERE:  # by its banner, which this file lacks
        raise DataError(f"{path}: it looks like {format_name}, but its beginning is missing; give the whole output.")
    if format_name == "espresso-out" and programs.recognised(path) is None:  # what ASE takes any .out for
        raise DataError(
            f"{path}: the program that wrote it is not recognised; outputs of {programs.SUPPORTED} are read, other "
            "results as extxyz."
        )
    return format_name


def _images(path: Path, format_name: str, index: str | int | slice) -> tuple[list["Atoms"], np.ndarray, list[str]]:
    """The chosen frames, their numbers in the file, and what ASE had to say."""
    part = slice_from_start(index) if format_name in _SLICED_WHILE_READING else None
    images, notes = _parsed(path, format_name, part or slice(None))
    if not images:
        where = " in this range" if part else ""
        raise DataError(f"{path}: read as {format_name}, it holds no structures{where}; give a file with at least one.")
    if part:
        return images, (part.start or 0) + (part.step or 1) * np.arange(len(images)), notes
    frames = rows(index, len(images), str(path))
    return [images[row] for row in frames], frames, notes


def _parsed(path: Path, format_name: str, part: slice) -> tuple[list["Atoms"], list[str]]:
    """The frames of `part`, and ASE's warnings."""
    import ase.io

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            images: Any = (
                database.images(path, format_name)[part]
                if format_name in ("db", "json")
                else ase.io.read(str(path), index=part, format=format_name, do_not_split_by_at_sign=True)
            )
        except Exception as error:  # ASE's readers raise whatever their parsing meets
            why = f"cannot be read as {format_name} ({_in_short(error)})"
            raise DataError(f"{path}: {why}; the file is damaged or of another kind.") from error
    return images, list(dict.fromkeys(_in_short(w.message) for w in caught if w.category is UserWarning))


def _complete(format_name: str, images: list["Atoms"], frames: np.ndarray) -> tuple[list["Atoms"], np.ndarray, str]:
    """Of a program's output the structures that have every label that any has, and which were left out: a run that was
    killed ends in an incomplete one, which nobody can take out of an output."""
    has = [frozenset(() if image.calc is None else image.calc.results) & {"energy", "forces"} for image in images]
    wanted = frozenset().union(*has)
    if format_name in _SILENT_ABOUT_UNITS | _CONTAINERS or all(found == wanted for found in has):
        return images, frames, ""
    kept = [row for row, found in enumerate(has) if found == wanted]
    lacking = [f"number {frames[row]} (no {' and '.join(sorted(wanted - found))})"
               for row, found in enumerate(has) if found != wanted]  # fmt: skip
    named = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
    return [images[row] for row in kept], frames[kept], f"of {len(images)} structures: {named}"


def _places(image: "Atoms", what: str) -> dict[str, Any]:
    """Every place of a frame where a label could stand: description -> value."""
    results = {} if image.calc is None else image.calc.results
    store, extra, size = ("info", image.info, 1) if what == "energies" else ("arrays", image.arrays, 3 * len(image))
    found = {f"calculator result '{key}'": value for key, value in results.items()}
    found |= {f"{store}['{key}']": value for key, value in extra.items() if key not in ("positions", "momenta")}
    return {place: value for place, value in found.items() if np.size(value) == size and not isinstance(value, bool)}


def _dipole(image: "Atoms") -> dict[str, np.ndarray]:
    """Every vector of a frame that may be its dipole: description -> value (3,)."""
    results = {} if image.calc is None else image.calc.results
    found = {f"calculator result '{key}'": value for key, value in results.items() if is_dipole(key, value)}
    found |= {f"info['{key}']": value for key, value in image.info.items() if is_dipole(str(key), value)}
    return {place: vector for place, value in found.items() if (vector := np.ravel(value)).dtype.kind in "fiu"}


def _said(images: list["Atoms"], kind: str) -> list[str]:
    """The words that the frames have for the unit of "energy", "length" or "forces"."""
    return [str(value) for image in images for key, value in image.info.items() if unit_kind(str(key)) == kind]


def _text(image: "Atoms", key: str) -> str:
    return str(image.info.get(key, ""))


def _in_short(error: object) -> str:
    """An exception or warning as one short line without a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:120].rstrip(". ")
