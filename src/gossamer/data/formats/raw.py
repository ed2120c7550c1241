"""What a file holds, in the file's own units, and the one way from there to a Dataset in eV and Angstrom."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gossamer.data.dataset import Dataset, Provenance, hill_formula
from gossamer.data.whole import whole
from gossamer.errors import DataError, UnitsError, UsageError
from gossamer.units import (
    ATOMIC,
    dipole_in_e_angstrom,
    dipole_unit,
    energy_in_ev,
    energy_unit,
    force_unit,
    length_in_angstrom,
    length_unit,
)

_LARGEST = 1e12  # in any unit; larger numbers are damage
_FORMAT = "by the format's definition"


@dataclass(frozen=True)
class Options:
    """What the user said about a file; None: read it from the file.  labels False: positions are all that is wanted."""

    energy_unit: str | None = None
    length_unit: str | None = None
    forces_unit: str | None = None
    energy_key: str | None = None
    forces_key: str | None = None
    index: str | int | slice = ":"
    positions_key: str | None = None
    numbers_key: str | None = None
    gradients_key: str | None = None
    labels: bool = True
    dipole_unit: str | None = None

    def __post_init__(self) -> None:
        """Raises UnitsError for a unit that is none, UsageError for a malformed index."""
        for value, canonical in (
            (self.energy_unit, energy_unit), (self.length_unit, length_unit), (self.forces_unit, force_unit),
            (self.dipole_unit, dipole_unit),
        ):  # fmt: skip
            if value is not None:
                canonical(value)
        _slice_of(self.index)


@dataclass(frozen=True)
class Raw:
    """Contents of a file before any conversion.

    numbers (N,); positions (n, N, 3); forces (n, N, 3) and energies (n,), or None; frames (n,) numbers in the file.
    *_unit: as the file declares it, None where it is silent.  usual_length: the unit that the format's users take for
    granted, believed only after a look at the bond lengths.  converted: a program's output that the reader has put
    into the units named here; other units cannot be true.  cells (n, 3, 3) vectors of a periodic box in the unit of the
    positions and periodic (n, 3) which of them repeat, or None.  dipoles (n, 3), and their unit as the file declares
    it, None where it is silent; where there are some that cannot be taken, `read` says why under "dipoles".
    """

    source: str
    numbers: np.ndarray
    positions: np.ndarray
    forces: np.ndarray | None
    energies: np.ndarray | None
    frames: np.ndarray
    energy_unit: str | None = None
    length_unit: str | None = None
    forces_unit: str | None = None
    usual_length: str | None = None
    converted: bool = False
    said_by: str = "as the file says"
    name: str = ""
    theory: str = ""
    read: dict[str, str] = field(default_factory=dict)
    cells: np.ndarray | None = None
    periodic: np.ndarray | None = None
    dipoles: np.ndarray | None = None
    dipole_unit: str | None = None


def no_keys(source: object, options: Options, *fields: str) -> None:
    """Raise UsageError when the user names an array in a file whose format has no names for it."""
    for name in fields:
        if (key := getattr(options, name)) is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{source}: its format has no names to choose from, so leave out {option} {key}.")


def rows(index: str | int | slice, n: int, source: str) -> np.ndarray:
    """Frame numbers that `index` ("5", "::10", 5, a slice) selects out of n.
    Raises UsageError for a malformed index, DataError when it selects nothing."""
    chosen = np.arange(n)[_slice_of(index)]
    if not len(chosen):
        raise DataError(f"{source}: index {index} selects none of its {n} structures; choose frames from 0 to {n - 1}.")
    return chosen


def _slice_of(index: str | int | slice) -> slice:
    """The frames that `index` names.  Raises UsageError where it is malformed."""
    if isinstance(index, slice) and index.step != 0:
        return index
    text = str(index).strip()
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        number = int(text)
        return slice(number, number + 1 or None)
    if re.fullmatch(r"([+-]?\d{1,18})?:([+-]?\d{1,18})?(:([+-]?0*[1-9]\d{0,17})?)?", text):
        return slice(*(int(part) if part else None for part in text.split(":")))
    said = repr(index if not isinstance(index, str) or len(index) <= 40 else f"{index[:37]}...")
    raise UsageError(f"index: {said} is neither a frame number nor start:stop:step; write for example 0:1000:5.")


def slice_from_start(index: str | int | slice) -> slice | None:
    """A slice that needs no knowledge of the file's length, or None."""
    match = re.fullmatch(r"(\d*):(\d*)(?::([1-9]\d*)?)?", str(index).strip())
    if match is None or not any(match.groups()):
        return None
    return slice(*(int(part) if part else None for part in match.groups()))


def same_atoms(source: str, numbers: list[np.ndarray] | np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The atomic numbers (N,) that all frames share.
    Raises DataError naming the first frame that differs, and how."""
    first = np.asarray(numbers[0])
    for frame, other in zip(frames, numbers, strict=True):
        if np.array_equal(first, other):
            continue
        other = np.asarray(other)
        if len(first) == len(other) and np.array_equal(np.sort(first), np.sort(other)):
            atom = int(np.flatnonzero(first != other)[0])
            raise DataError(
                f"{source}: frame {frame} lists the atoms of frame {frames[0]} in another order (atom {atom} is the "
                "first to differ); reorder its atoms, forces included, so that every frame has the same order."
            )
        raise DataError(
            f"{source}: frame {frame} is {hill_formula(other) or 'empty'} but frame {frames[0]} is "
            f"{hill_formula(first) or 'empty'}; "
            "a data set holds one molecule, so split the file by composition."
        )
    return first.astype(np.int64)


def to_dataset(raw: Raw, options: Options) -> Dataset:
    """The contents as a Dataset in eV and Angstrom; its provenance says what was read, from where and in which unit.
    Raises DataError for numbers that are not finite, UnitsError for a unit that is missing or contradicts the file."""
    for what in ("positions", "forces", "energies", "dipoles"):
        _require_finite(raw.source, what, getattr(raw, what), raw.frames)
    length, length_from = _length(raw, options)
    energy, energy_from = _energy(raw, options)
    force, force_from = _force(raw, options, energy, energy_from, length)
    positions = raw.positions * length_in_angstrom(length)
    read = dict(raw.read)
    if raw.cells is not None and raw.periodic is not None:
        cells = raw.cells * length_in_angstrom(length)
        positions, about_box = whole(raw.numbers, positions, cells, raw.periodic)
        read |= {"periodic box": about_box} if about_box else {}
    _require_plausible(raw, length_from, positions)
    read["positions"] = f"{raw.read.get('positions', 'positions')}, {length} ({length_from})"
    forces, energies = raw.forces, raw.energies
    if forces is not None:
        read["forces"] = f"{raw.read.get('forces', 'forces')}, {force} ({force_from})"
        forces = forces * force_unit(force)[1]
    if energies is not None:
        read["energies"] = f"{raw.read.get('energies', 'energies')}, {energy} ({energy_from})"
        energies = energies * energy_in_ev(energy)
    dipoles, about_dipoles = _dipoles(raw, options)
    read |= {"dipoles": about_dipoles} if about_dipoles else {}
    provenance = Provenance(
        source=raw.source, name=raw.name, theory=raw.theory, energy_unit=energy, length_unit=length,
        forces_unit=force if forces is not None else "", read=read,
    )  # fmt: skip
    return Dataset(raw.numbers, positions, forces, energies, provenance, raw.frames, dipoles)


def _dipoles(raw: Raw, options: Options) -> tuple[np.ndarray | None, str]:
    """Dipoles (n, 3), e*Angstrom, and where they stand and in which unit; None, and why, where they cannot be taken,
    since a force field can do without."""
    place = raw.read.get("dipoles", "")
    if raw.dipoles is None:
        return None, place
    if raw.periodic is not None and raw.periodic.any():
        return None, f"{place} not read: those of a periodic box depend on where it is cut"
    if options.dipole_unit is not None:
        unit, said_by = dipole_unit(options.dipole_unit), "--dipole-unit"
        if raw.converted and unit != raw.dipole_unit:
            raise UnitsError(_contradiction(raw, "dipoles", raw.dipole_unit, "--dipole-unit"))
    elif raw.dipole_unit is not None:
        unit, said_by = _declared(raw, dipole_unit, raw.dipole_unit), raw.said_by
    else:
        return None, f"{place} not read: nothing says their unit; give it, for example --dipole-unit Debye"
    return raw.dipoles * dipole_in_e_angstrom(unit), f"{place}, {unit} ({said_by})"


def _require_finite(source: str, what: str, array: np.ndarray | None, frames: np.ndarray) -> None:
    if array is None:
        return
    bad = ~(np.abs(array.reshape(len(array), -1)) < _LARGEST).all(axis=1)
    if bad.any():
        raise DataError(
            f"{source}: the {what} of {bad.sum()} of {len(bad)} frames hold NaN or infinite numbers "
            f"(first: frame {frames[bad][0]}); remove these frames."
        )


def _length(raw: Raw, options: Options) -> tuple[str, str]:
    """Length unit and who says so."""
    if options.length_unit is not None:
        asked = length_unit(options.length_unit)
        if raw.converted and asked != raw.length_unit:
            raise UnitsError(_contradiction(raw, "positions", raw.length_unit, "--length-unit"))
        return asked, "--length-unit"
    if raw.length_unit is not None:
        return _declared(raw, length_unit, raw.length_unit), raw.said_by
    if raw.usual_length is not None:
        return raw.usual_length, _FORMAT
    raise UnitsError(
        f"{raw.source}: the file does not say the unit of its positions; give it, for example --length-unit Angstrom."
    )


def _energy(raw: Raw, options: Options) -> tuple[str, str]:
    """Energy unit and who says so; "" where nothing in the file needs one."""
    if options.energy_unit is not None:
        asked = energy_unit(options.energy_unit)
        if raw.converted and asked != raw.energy_unit:
            raise UnitsError(_contradiction(raw, "energies", raw.energy_unit, "--energy-unit"))
        return asked, "--energy-unit"
    if raw.energy_unit is not None:
        return _declared(raw, energy_unit, raw.energy_unit), raw.said_by
    forces_known = raw.forces is None or (options.forces_unit or raw.forces_unit) is not None
    if raw.energies is None and forces_known:
        return "", ""
    arrays = {"energies": raw.energies, "forces": raw.forces}
    labels = " and ".join(what for what, array in arrays.items() if array is not None)
    raise UnitsError(
        f"{raw.source}: the file does not say the unit of its {labels}; give it, "
        "for example --energy-unit eV or --energy-unit kcal/mol (forces are taken per length unit)."
    )


def _force(raw: Raw, options: Options, energy: str, energy_from: str, length: str) -> tuple[str, str]:
    """Force unit and who says so; the energy unit per length unit where nobody does, unless that is in doubt: programs
    that work in Hartree write forces per Bohr beside positions in Angstrom."""
    if options.forces_unit is not None:
        asked, _ = force_unit(options.forces_unit)
        if raw.converted and asked != f"{energy}/{length}":
            raise UnitsError(_contradiction(raw, "forces", f"{energy}/{length}", "--forces-unit"))
        return asked, "--forces-unit"
    if raw.forces_unit is not None:
        return _declared(raw, lambda name: force_unit(name)[0], raw.forces_unit), raw.said_by
    defined = raw.energy_unit is not None and raw.length_unit is not None and energy_from == raw.said_by
    if raw.forces is not None and not defined and ATOMIC.get(energy, length) != length:
        usual, other = f"{energy}/{ATOMIC[energy]}", f"{energy}/{length}"
        doubt = f"nothing says whether its forces are in {usual}, as most programs write them, or in {other}"
        raise UnitsError(f"{raw.source}: {doubt}; give --forces-unit {usual} or --forces-unit {other}.")
    return f"{energy}/{length}", energy_from


def _declared(raw: Raw, parse: Callable[[str], str], name: str) -> str:
    """The canonical spelling of a unit that the file names.  Raises UnitsError, which names the file too."""
    try:
        return parse(name)
    except UnitsError as error:
        raise UnitsError(f"{raw.source}: the file names a unit that is none: {error}") from error


def _contradiction(raw: Raw, what: str, unit: str | None, option: str) -> str:
    return f"{raw.source}: its {what} have been converted to {unit} while the output was read; leave out {option}."


def _require_plausible(raw: Raw, length_from: str, positions: np.ndarray) -> None:
    """A length unit that nobody declared must give bonds of a bond's length."""
    from gossamer.data.geometry import likely_length_unit, nearest_ratio

    if length_from != _FORMAT:
        return
    ratio = nearest_ratio(raw.numbers, positions[:: max(1, len(positions) // 100)])
    unit = likely_length_unit(ratio, raw.usual_length or "Angstrom")
    if unit is not None:
        raise UnitsError(
            f"{raw.source}: its positions are not in {raw.usual_length}, as neighbouring atoms are {ratio:.2g} bond "
            f"lengths apart; give their unit, probably --length-unit {unit}."
        )
