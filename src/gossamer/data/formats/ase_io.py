"""Everything ase.io reads: extxyz, traj, db, FHI-aims, ORCA, VASP ...; and writing ASE's own traj and db.

Labels come from a program's output or from the keys people use; which key was taken is kept in Raw.read.  Units are
known where ASE has converted a program's output; plain containers (xyz, LAMMPS dumps) say nothing unless a frame does.
"""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.data.dataset import Dataset
from gossamer.data.formats import database
from gossamer.data.formats.raw import Options, Raw, no_keys, rows, same_atoms
from gossamer.errors import DataError, UnitsError, UsageError
from gossamer.files import atomic_path
from gossamer.units import energy_unit, length_unit

if TYPE_CHECKING:
    from ase import Atoms

ENERGY_KEYS = ("energy", "e", "ref_energy", "dft_energy", "qm_energy", "energy_ref", "energy_dft", "total_energy",
               "potential_energy", "totenergy", "free_energy")  # fmt: skip
FORCES_KEYS = ("forces", "force", "f", "ref_forces", "ref_force", "dft_forces", "qm_forces", "forces_ref",
               "forces_dft")  # fmt: skip
UNIT_KEYS = {
    "energy": ("energy_unit", "energy_units", "e_unit"),
    "length": ("length_unit", "length_units", "r_unit"),
    "forces": ("forces_unit", "force_unit", "f_unit"),
}
_SILENT_ABOUT_UNITS = {"extxyz", "xyz", "lammps-dump-text", "lammps-dump-binary"}
_CONTAINERS = {"traj", "db", "json"}  # eV and Angstrom by ASE's convention, but a user may have stored anything
_SLICED_WHILE_READING = {"extxyz", "traj"}


def read(path: Path, options: Options) -> Raw:
    """Contents of a file that ASE can read.
    Raises DataError when it cannot, or when the frames are not one molecule."""
    no_keys(path, options, "positions_key", "numbers_key")
    format_name, images, frames, notes = _images(path, options.index)
    images, frames, left_out = _complete(format_name, images, frames)
    numbers = same_atoms(str(path), [image.numbers for image in images], frames)
    energy_place, energies, forces_place, forces = "", None, "", None
    if options.labels:
        energy_place, energies = _labels(path, images, frames, "energies", ENERGY_KEYS, options.energy_key)
        forces_place, forces = _labels(path, images, frames, "forces", FORCES_KEYS, options.forces_key)
    read = {"atoms": f"{format_name} format", "positions": "atomic positions"}
    read |= {what: place for what, place in (("energies", energy_place), ("forces", forces_place)) if place}
    periodic = sum(bool(image.pbc.any()) for image in images)
    if periodic:
        read["periodic box"] = f"ignored in {periodic} of {len(images)} frames: gossamer treats molecules, not crystals"
    if left_out:
        read["left out"] = left_out
    if notes:
        read["notes by ASE"] = "; ".join(notes)
    declared = {kind: _declared(path, images, keys) for kind, keys in UNIT_KEYS.items()}
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
    part = _slice_from_start(index) if format_name in _SLICED_WHILE_READING else None
    images, notes = _parsed(path, format_name, part or slice(None))
    if not images and format_name == "espresso-out":  # what ASE takes any .out for
        from gossamer.data.formats.programs import SUPPORTED

        raise DataError(
            f"{path}: the program that wrote it is not recognised; outputs of {SUPPORTED} are read, other results as "
            "extxyz."
        )
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


def _slice_from_start(index: str | int | slice) -> slice | None:
    """A slice that needs no knowledge of the file's length, or None."""
    match = re.fullmatch(r"(\d*):(\d*)(?::([1-9]\d*)?)?", str(index).strip())
    if match is None or not any(match.groups()):
        return None
    return slice(*(int(part) if part else None for part in match.groups()))


def _labels(
    path: Path, images: list["Atoms"], frames: np.ndarray, what: str, known: tuple[str, ...], asked: str | None
) -> tuple[str, np.ndarray | None]:
    """Where the energies or forces stand, and their values; ("", None) when no frame has any.
    Raises DataError when some frames lack them, or two places disagree; UsageError when the key asked for is absent."""
    option = "--energy-key" if what == "energies" else "--forces-key"
    wanted = known if asked is None else (asked,)
    present = {place for image in images for place in _places(image, what)}
    ranked = sorted((_rank(place, wanted), place) for place in present)
    places = [place for rank, place in ranked if rank < len(wanted)]
    if not places:
        if asked is not None:
            names = ", ".join(sorted({_key(place) for place in present})) or "nothing in this file"
            raise UsageError(f"{path}: it has no {what} under '{asked}'; {option} can name {names}.")
        return "", None
    values = [_places(image, what).get(places[0]) for image in images]
    lacking = [frame for frame, value in zip(frames, values, strict=True) if value is None]
    if lacking:
        which = f"{len(lacking)} of {len(images)} frames have no {what} in {places[0]} (first: frame {lacking[0]})"
        raise DataError(f"{path}: {which}; remove these frames or name another key with {option}.")
    found = _stack(path, places[0], values, (len(images[0]), 3) if what == "forces" else ())
    for other in places[1:]:
        rivals = [_places(image, what).get(other) for image in images]
        if "free_energy" in other or any(rival is None for rival in rivals):
            continue
        if not np.allclose(_stack(path, other, rivals, found.shape[1:]), found, rtol=1e-9, atol=1e-7):
            choice = f"{option} {_key(places[0])} or {option} {_key(other)}"
            raise DataError(f"{path}: there are two kinds of {what}, in {places[0]} and {other}; choose with {choice}.")
    return places[0], found


def _places(image: "Atoms", what: str) -> dict[str, Any]:
    """Every place of a frame where a label could stand: description -> value."""
    results = {} if image.calc is None else image.calc.results
    store, extra, size = ("info", image.info, 1) if what == "energies" else ("arrays", image.arrays, 3 * len(image))
    found = {f"calculator result '{key}'": value for key, value in results.items()}
    found |= {f"{store}['{key}']": value for key, value in extra.items() if key not in ("positions", "momenta")}
    return {place: value for place, value in found.items() if np.size(value) == size and not isinstance(value, bool)}


def _key(place: str) -> str:
    return place.split("'")[1]


def _rank(place: str, wanted: tuple[str, ...]) -> int:
    """Position of a place's key among the wanted ones, in any spelling when there is a choice; len(wanted): absent."""
    key = _key(place)
    if len(wanted) == 1:
        return 0 if key == wanted[0] else 1
    key = key.lower().replace("-", "_")
    return wanted.index(key) if key in wanted else len(wanted)


def _stack(path: Path, place: str, values: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.array([np.asarray(value, dtype=np.float64).reshape(shape) for value in values])
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: {place} holds something that is not a number; write the file again.") from error


def _declared(path: Path, images: list["Atoms"], keys: tuple[str, ...]) -> str | None:
    """The unit that the frames declare under one of `keys`.  Raises UnitsError when they do not agree."""
    units = set(_said(images, keys))
    if len(units) > 1:
        raise UnitsError(f"{path}: its frames declare different units ({', '.join(sorted(units))}); split the file.")
    return units.pop() if units else None


def _said(images: list["Atoms"], keys: tuple[str, ...]) -> Iterator[str]:
    for image in images:
        for key in keys:
            if key in image.info:
                yield str(image.info[key])


def _text(image: "Atoms", key: str) -> str:
    return str(image.info.get(key, ""))


def _in_short(error: object) -> str:
    """An exception or warning as one short line without a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:120].rstrip(". ")
