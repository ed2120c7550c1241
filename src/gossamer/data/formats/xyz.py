"""xyz and extended xyz, as every program writes them: labels in columns, in key=value pairs, or as text in the comment.

ASE's reader ends at the first blank line, knows no energy but key=value and forgets columns that Properties does not
name; what this one leaves out it names in Raw.read.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gossamer.data.formats import names
from gossamer.data.formats import xyz_columns as columns
from gossamer.data.formats import xyz_comment as comments
from gossamer.data.formats.elements import is_label
from gossamer.data.formats.labels import choose, choose_dipoles, forces_asked, key_of, one_unit
from gossamer.data.formats.raw import Options, Raw, no_keys, rows, same_atoms, slice_from_start
from gossamer.data.formats.xyz_comment import Comment, Quantity, shown
from gossamer.data.formats.xyz_frames import Frame, frames
from gossamer.errors import DataError, UnitsError

_SUFFIXES = (".xyz", ".extxyz", ".exyz")
_PACKED = (".gz", ".bz2", ".xz")
_UNNAMED = f"column '{columns.UNNAMED}'"


@dataclass(frozen=True, eq=False)
class _Structure:
    """One frame in numbers.  numbers (N,); positions (N, 3) in the file's units; energies and vectors (N, 3) by the
    description of their place, vectors that cannot be forces as None; left: columns not looked at; box: cell vectors
    (3, 3) and which repeat (3,); label: an atom's label from which the element was taken."""

    frame: int
    comment: Comment
    numbers: np.ndarray
    positions: np.ndarray
    energies: dict[str, Quantity]
    vectors: dict[str, np.ndarray | None]
    left: tuple[str, ...]
    box: tuple[np.ndarray, np.ndarray] | None
    label: str


def is_xyz(path: Path) -> bool:
    """Whether a file is of the xyz family: by its name, or because it begins like one (.trj, xtbopt.log)."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _PACKED]
    if suffixes and suffixes[-1] in _SUFFIXES:
        return True
    try:
        first = next(frames(path), None)
        return first is not None and not first.missing and len(_structure(path, first, Options()).numbers) > 0
    except (DataError, UnitsError):
        return False


def read(path: Path, options: Options) -> Raw:
    """Contents of the file in its own units; complete frames only, the others are named.
    Raises DataError for what is no frame and for frames of different molecules, UnitsError for a unit that is none."""
    no_keys(path, options, "positions_key", "numbers_key")
    found, gone = _structures(path, options)
    kept = np.array([one.frame for one in found])
    numbers = same_atoms(str(path), [one.numbers for one in found], kept)
    labelled = found if options.labels else []
    energies = _without_times([one.energies for one in labelled])
    values = [{place: quantity.value for place, quantity in frame.items()} for frame in energies]
    energy_place, energy = choose(path, values, kept, "energies", options.energy_key, ())
    vectors = [one.vectors for one in labelled]
    what, asked = forces_asked(options)
    if asked is None and energy_place == comments.ALONE and all(_UNNAMED in frame for frame in vectors):
        asked = columns.UNNAMED  # sgdml's own plain format: energy in the comment, forces behind the positions
    forces_place, forces = choose(path, vectors, kept, what, asked, (len(numbers), 3))
    dipole_place, dipoles = choose_dipoles([comments.dipole(one.comment) for one in labelled])
    read = {"atoms": "xyz format", "positions": "atomic positions"}
    found_at = (("energies", energy_place), ("forces", forces_place), ("dipoles", dipole_place))
    read |= {what: place for what, place in found_at if place}
    if label := next((one.label for one in found if one.label), ""):
        read["atoms"] += f", elements from labels such as {shown(label)}"
    read |= _left_out(found, gone, energy_place, forces_place)
    beside = [frame[energy_place].unit for frame in energies] if energy_place else []
    units = _units(path, found, options, [unit for unit in beside if unit], forces_place)
    first = found[0].comment
    cells, periodic = _boxes(found)
    return Raw(
        source=str(path), numbers=numbers, positions=np.array([one.positions for one in found]), forces=forces,
        energies=energy, frames=kept, energy_unit=units["energy"], length_unit=units["length"],
        forces_unit=units["forces"], usual_length="Angstrom", name=first.get("name") or path.name.split(".")[0],
        theory=first.get("theory") or "", read=read, cells=cells, periodic=periodic,
        dipoles=dipoles, dipole_unit=_dipole_unit(path, found, options, dipole_place),
    )  # fmt: skip


def _structures(path: Path, options: Options) -> tuple[list[_Structure], list[str]]:
    """The chosen complete frames, and what is to be said of those that are not complete."""
    part = slice_from_start(options.index)
    start, stop, step = (part.start or 0, part.stop, part.step or 1) if part else (0, None, 1)
    found: list[_Structure] = []
    gone: list[str] = []
    complete = 0
    for frame in frames(path):
        if stop is not None and complete >= stop:
            break
        if frame.missing:
            gone.append(f"frame {frame.number} (line {frame.line - 1}), {frame.missing}")
            continue
        if complete >= start and (complete - start) % step == 0:
            found.append(_structure(path, frame, options))
        complete += 1
    if not complete:
        why = f"no frame is complete: {gone[0]}" if gone else "it holds no structures"
        raise DataError(f"{path}: cannot be read as xyz: {why}; give a file with at least one structure.")
    if part is None:
        found = [found[row] for row in rows(options.index, complete, str(path))]
    if not found:
        raise DataError(f"{path}: index {options.index} selects none of its {complete} structures; choose others.")
    return found, gone


def _structure(path: Path, frame: Frame, options: Options) -> _Structure:
    comment = comments.parse(frame.comment)
    where = f"{path}: the comment of frame {frame.number} (line {frame.line})"
    layout = columns.layout(frame, comment, path)
    wanted = {name for name in layout.vectors if _may_be_forces(name, options.forces_key or options.gradients_key)}
    vectors = {
        f"column '{name}'": columns.vector(path, frame, first) if name in wanted else None
        for name, first in layout.vectors.items()
    }
    in_text = comments.forces_in_text(frame.comment, len(frame.rows))
    if in_text is not None:
        vectors[comments.AFTER_ENERGY] = in_text
    energies = comments.energies(comment, options.energy_key, where) if options.labels else {}
    words = [] if layout.label is None else [row[layout.label] for row in frame.rows]
    return _Structure(
        frame.number, comment, columns.atomic_numbers(path, frame, layout),
        columns.vector(path, frame, layout.positions), energies, vectors,
        layout.others, comments.lattice(comment, where), next((word for word in words if is_label(word)), ""),
    )  # fmt: skip


def _may_be_forces(name: str, asked: str | None) -> bool:
    known = (names.FORCES_KEYS, names.GRADIENT_KEYS)
    return name in (asked, columns.UNNAMED) or any(names.rank(name, keys) is not None for keys in known)


def _without_times(energies: list[dict[str, Quantity]]) -> list[dict[str, Quantity]]:
    """Numbers alone in the comments that rise evenly, or are all zero, are times and no energies."""
    alone = np.array([frame[comments.ALONE].value for frame in energies if comments.ALONE in frame])
    if len(alone) != len(energies):
        return energies
    steps = np.diff(alone)
    even = len(steps) > 1 and steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-3)
    if not even and alone.any():
        return energies
    return [{place: value for place, value in frame.items() if place != comments.ALONE} for frame in energies]


def _units(
    path: Path, found: list[_Structure], options: Options, beside: list[str], forces_place: str
) -> dict[str, str | None]:
    """The units that the frames declare; those that the user gave are not looked for."""
    given = {"energy": options.energy_unit, "length": options.length_unit, "forces": options.forces_unit}
    said = {kind: [unit for one in found for unit in one.comment.units(kind)] for kind in given}
    said["energy"] += beside
    in_key = names.unit_in(key_of(forces_place), names.FORCES_KEYS) if forces_place else None
    said["forces"] += [in_key] if in_key else []
    if not said["energy"] and all(one.comment.program for one in found):
        said["energy"] = ["Hartree"]
    return {kind: None if given[kind] else one_unit(path, kind, words) for kind, words in said.items()}


def _dipole_unit(path: Path, found: list[_Structure], options: Options, place: str) -> str | None:
    """The unit of dipoles that the frames declare, None where the user gave it, or there are none."""
    if not place or options.dipole_unit is not None:
        return None
    in_key = names.unit_in(key_of(place), names.DIPOLE_KEYS)
    said = [unit for one in found for unit in one.comment.units("dipole")]
    return one_unit(path, "dipole", [*said, *([in_key] if in_key else [])])


def _left_out(found: list[_Structure], gone: list[str], energy_place: str, forces_place: str) -> dict[str, str]:
    """What was not read, in words."""
    said = {}
    if gone:
        more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
        said["left out"] = "; ".join(gone[:3]) + more
    unread = {key_of(place): None for one in found for place in one.vectors if place not in forces_place}
    unread |= dict.fromkeys(name for one in found for name in one.left)
    if unread:
        hint = f" (no name; --forces-key {columns.UNNAMED} takes them as forces)" if columns.UNNAMED in unread else ""
        said["columns"] = f"{', '.join(map(_short, list(unread)[:8]))} not read{hint}"
    first = found[0].comment
    others = [key for key in first.not_labels() if f"'{key}'" not in energy_place]
    if others:
        said["comment"] = f"{', '.join(map(_short, others[:8]))} not read"
    elif not energy_place and first.text:
        said["comment"] = f"no energy was found in {shown(first.text)}"
    return said


def _short(name: str) -> str:
    return shown(name)[1:-1]


def _boxes(found: list[_Structure]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Cell vectors (n, 3, 3) and which repeat (n, 3), zero where a frame has none; None where no frame has any."""
    if all(one.box is None for one in found):
        return None, None
    none = (np.zeros((3, 3)), np.zeros(3, dtype=bool))
    boxes = [one.box or none for one in found]
    return np.array([cell for cell, _ in boxes]), np.array([repeats for _, repeats in boxes])
