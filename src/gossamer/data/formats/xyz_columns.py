"""What stands in which column of an xyz frame, and the columns as numbers."""

import itertools
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from gossamer.data.formats.elements import atomic_number
from gossamer.data.formats.names import plain
from gossamer.data.formats.xyz_comment import Comment, number, shown
from gossamer.data.formats.xyz_frames import Frame
from gossamer.errors import DataError

_SINGLE = ("fx", "fy", "fz")
UNNAMED = "columns5-7"
_POSITIONS = {"pos", "position", "positions", "r", "coord", "coords", "coordinates", "xyz", "cart", "cartesian"}
_WORDS = re.compile(r"#|^[A-Za-z]+$")  # of a remark behind the numbers
_LABELS = {"species", "symbol", "symbols", "element", "elements"}
_NUMBERS = {"z", "number", "numbers", "atomicnumber", "atomicnumbers", "nuclearcharge", "nuclearcharges"}


@dataclass(frozen=True)
class Columns:
    """Where things stand in an atom's line, by column, 0 first.  label, number: None where there is none; vectors:
    first columns of all that has three; others: what has not; width: columns in all, None: at least four."""

    label: int | None
    number: int | None
    positions: int
    vectors: dict[str, int]
    others: tuple[str, ...]
    width: int | None


@lru_cache(maxsize=64)
def columns(properties: str) -> Columns:
    """What a Properties value such as species:S:1:pos:R:3 says.  Raises ValueError, in words, where it says nothing."""
    words = properties.strip().split(":")
    if len(words) % 3 or not all(re.fullmatch(r"[1-9]\d{0,9}", size) for size in words[2::3]):
        raise ValueError("is not name:type:columns for every column")
    label = number = positions = None
    vectors, others, place = {}, [], 0
    for name, kind, size in zip(words[::3], words[1::3], map(int, words[2::3]), strict=True):
        key, text = plain(name), kind.upper() in ("S", "A")
        if positions is None and key in _POSITIONS and size == 3 and not text:
            positions = place
        elif number is None and key in _NUMBERS and size == 1:
            number = place
        elif label is None and key in _LABELS and size == 1:
            label = place
        elif size == 3 and not text and kind.upper() != "L" and name not in vectors:
            vectors[name] = place
        else:
            others.append(name)
        place += size
    place_of = dict(zip(words[::3], itertools.accumulate(map(int, words[2::3]), initial=0), strict=False))
    first = place_of.get("fx")
    if first is not None and [place_of.get(name) for name in _SINGLE] == [first, first + 1, first + 2]:
        vectors[" ".join(_SINGLE)] = first
        others = [name for name in others if name not in _SINGLE]
    if positions is None or (label is None and number is None):
        raise ValueError("names no " + ("pos:R:3" if positions is None else "species:S:1"))
    return Columns(label, number, positions, vectors, tuple(others), place)


def plain_columns(frame: Frame) -> Columns:
    """Symbol and three coordinates; three further columns, if every line has them, are a vector without a name."""
    sizes = {len(row) for row in frame.rows}
    numeric = sizes == {7} and not any(_WORDS.search(word) for word in frame.rows[0][4:])
    vectors = {UNNAMED: 4} if numeric else {}
    others = () if numeric or sizes == {4} else (f"columns 5 to {max(sizes)}",)
    return Columns(0, None, 1, vectors, others, None)


def layout(frame: Frame, comment: Comment, path: Path) -> Columns:
    """The columns of a frame, as its Properties say or as plain xyz has them.
    Raises DataError where Properties cannot be, or a line has not the columns it should have."""
    properties = comment.get("Properties")
    try:
        found = plain_columns(frame) if properties is None else columns(properties)
    except ValueError as error:
        where = f"{path}: Properties of frame {frame.number} (line {frame.line})"
        raise DataError(f"{where} {error}: {shown(properties or '')}; write the file again.") from error
    least, most = (4, np.inf) if found.width is None else (found.width, found.width)
    for row, line in zip(frame.rows, frame.row_lines, strict=True):
        if not least <= len(row) <= most:
            should = "a symbol and three numbers" if found.width is None else f"{found.width} columns as Properties say"
            what = f"line {line} should hold {should}, but is {shown(' '.join(row))}"
            raise DataError(f"{path}: cannot be read as xyz: {what}; the file is damaged or of another kind.")
    return found


def vector(path: Path, frame: Frame, first: int) -> np.ndarray:
    """Three columns as numbers (N, 3).  Raises DataError, with the line, where one is none."""
    words = [word for row in frame.rows for word in row[first : first + 3]]
    try:
        if "_" in "".join(words):
            raise ValueError
        values = list(map(float, words))
    except ValueError:
        values = [_number(path, frame, place // 3, word) for place, word in enumerate(words)]
    return np.array(values).reshape(-1, 3)


def _number(path: Path, frame: Frame, atom: int, word: str) -> float:
    try:
        return number(word)
    except ValueError as error:
        hint = "a point as the decimal sign and blanks between numbers" if "," in word else "numbers"
        what = f"line {frame.row_lines[atom]} holds {shown(word)} where a number should stand"
        raise DataError(f"{path}: cannot be read as xyz: {what}; write the file again with {hint}.") from error


def atomic_numbers(path: Path, frame: Frame, found: Columns) -> np.ndarray:
    """Atomic numbers (N,) from symbols, labels or numbers.  Raises DataError, with the line, for what is no element."""
    place = found.label if found.label is not None else found.number
    assert place is not None
    numbers = [_element(path, frame, atom, row[place]) for atom, row in enumerate(frame.rows)]
    if found.label is not None and found.number is not None:
        for atom, row in enumerate(frame.rows):
            if _element(path, frame, atom, row[found.number]) != numbers[atom]:
                pair = f"{shown(row[found.label])} and {shown(row[found.number])}"
                raise DataError(f"{path}: line {frame.row_lines[atom]} names two elements, {pair}; keep one.")
    return np.array(numbers, dtype=np.int64)


def _element(path: Path, frame: Frame, atom: int, word: str) -> int:
    found = atomic_number(word)
    if found is None:
        what = f"line {frame.row_lines[atom]} begins with {shown(word)}, which is no element"
        raise DataError(f"{path}: cannot be read as xyz: {what}; write symbols or atomic numbers.")
    return found
