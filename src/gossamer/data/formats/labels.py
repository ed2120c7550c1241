"""Which of the numbers in a file are the labels: energies and forces, found under usual names or as the user says."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gossamer.data.formats import names
from gossamer.data.formats.raw import Options
from gossamer.errors import DataError, UnitsError, UsageError
from gossamer.units import dipole_unit, energy_unit, force_unit, length_unit

KNOWN = {"energies": names.ENERGY_KEYS, "forces": names.FORCES_KEYS, "gradients": names.GRADIENT_KEYS}
OPTION = {"energies": "--energy-key", "forces": "--forces-key", "gradients": "--gradients-key"}


def forces_asked(options: Options) -> tuple[str, str | None]:
    """What `choose` is to look for, forces or gradients, and the key that the user gave.
    Raises UsageError when both are named."""
    if options.gradients_key is None:
        return "forces", options.forces_key
    if options.forces_key is not None:
        both = f"--forces-key {options.forces_key} and --gradients-key {options.gradients_key}"
        raise UsageError(f"{both} are both given; forces are minus the gradient, so leave one out.")
    return "gradients", options.gradients_key


def choose(
    path: Path,
    places: Sequence[Mapping[str, Any]],
    frames: np.ndarray,
    what: str,
    asked: str | None,
    shape: tuple[int, ...],
) -> tuple[str, np.ndarray | None]:
    """Where the energies or forces stand, and their values (n, *shape); ("", None) when no frame has any.

    places: for every frame, description with the key in quotes -> value.  what: "energies", "forces" or "gradients";
    gradients become forces.  Raises DataError when some frames lack them, or two places disagree; UsageError when the
    key asked for is absent."""
    option = OPTION[what]
    present = {place for frame in places for place in frame}
    ranked = sorted((rank, place) for place in present if (rank := _rank(place, what, asked)) is not None)
    if not ranked:
        if asked is not None:
            found = ", ".join(sorted({key_of(place) for place in present})[:12]) or "nothing in this file"
            raise UsageError(f"{path}: it has no {what} under '{asked}'; {option} can name {found}.")
        return "", None
    first = ranked[0][1]
    values = [frame.get(first) for frame in places]
    lacking = [frame for frame, value in zip(frames, values, strict=True) if value is None]
    if lacking:
        which = f"{len(lacking)} of {len(places)} frames have no {what} in {first} (first: frame {lacking[0]})"
        raise DataError(f"{path}: {which}; remove these frames or name another key with {option}.")
    chosen = _labels(path, first, values, what, shape)
    for _, other in ranked[1:]:
        rivals = [frame.get(other) for frame in places]
        if names.plain(key_of(other)) == "freeenergy" or any(rival is None for rival in rivals):
            continue
        if not np.allclose(_labels(path, other, rivals, what, shape), chosen, rtol=1e-9, atol=1e-7):
            choice = f"{option} {key_of(first)} or {option} {key_of(other)}"
            raise DataError(f"{path}: there are two kinds of {what}, in {first} and {other}; choose with {choice}.")
    return (f"minus the gradient in {first}" if _is_gradient(first, what) else first), chosen


def choose_dipoles(places: Sequence[Mapping[str, np.ndarray]]) -> tuple[str, np.ndarray | None]:
    """Where the dipoles stand and their values (n, 3), by the most usual key of all frames; None, with the reason
    behind the place, where frames lack them, and "" where no frame has any.

    places: for every frame, description with the key in quotes -> vector (3,)."""
    found = {place for frame in places for place in frame}
    if not found:
        return "", None
    first = min(found, key=lambda place: (-sum(place in frame for frame in places), _dipole_rank(place), place))
    lacking = sum(first not in frame for frame in places)
    if lacking:
        return f"{first} not read: {lacking} of {len(places)} frames have none", None
    return first, np.array([frame[first] for frame in places], dtype=np.float64)


def is_dipole(key: str, value: Any) -> bool:
    """Whether a key and the size of its value say that it is the dipole of a structure."""
    return np.size(value) == 3 and names.rank(key, names.DIPOLE_KEYS) is not None


def _dipole_rank(place: str) -> int:
    return names.rank(key_of(place), names.DIPOLE_KEYS) or 0


def key_of(place: str) -> str:
    """The key that a place's description holds in quotes."""
    return place.split("'")[1]


def _is_gradient(place: str, what: str) -> bool:
    return what == "gradients" or (what == "forces" and names.rank(key_of(place), names.GRADIENT_KEYS) is not None)


def _rank(place: str, what: str, asked: str | None) -> int | None:
    """How usual a place's key is, 0 first; None: not wanted."""
    key = key_of(place)
    if asked is not None:
        return 0 if key == asked else None
    known = KNOWN[what]
    found = names.rank(key, known)
    if found is None and what == "forces":
        gradient = names.rank(key, names.GRADIENT_KEYS)
        found = None if gradient is None else len(known) + gradient
    return found


def _labels(path: Path, place: str, values: list[Any], what: str, shape: tuple[int, ...]) -> np.ndarray:
    try:
        if any(np.iscomplexobj(value) for value in values):
            raise TypeError("complex numbers")
        found = np.array([np.asarray(value, dtype=np.float64).reshape(shape) for value in values])
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: {place} holds something that is not a number; write the file again.") from error
    return -found if _is_gradient(place, what) else found


def one_unit(path: Path, kind: str, said: Iterable[str]) -> str | None:
    """The unit, in canonical spelling, that the frames declare for "energy", "length", "forces" or "dipole"; None:
    they do not.
    Raises UnitsError for a word that is no unit, and where the frames do not agree."""
    units = {_canonical(path, kind, text) for text in dict.fromkeys(said)}
    if len(units) > 1:
        raise UnitsError(f"{path}: its frames declare different units ({', '.join(sorted(units))}); split the file.")
    return units.pop() if units else None


def _canonical(path: Path, kind: str, text: str) -> str:
    try:
        return {
            "energy": energy_unit,
            "length": length_unit,
            "forces": lambda name: force_unit(name)[0],
            "dipole": dipole_unit,
        }[kind](text)
    except UnitsError as error:
        raise UnitsError(f"{path}: the file names a unit that is none: {re.sub(r'[.]$', '', str(error))}.") from error
