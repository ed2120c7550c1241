"""The frames of an xyz file: a number of atoms, a comment, a line per atom; one after another, as they stand.

Nothing is taken for granted: blank lines may stand between frames, a frame may break off, and what is no frame is an
error that names its line.  No memory is set aside for what a file only declares.
"""

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from gossamer.data.formats.xyz_comment import shown
from gossamer.errors import DataError

_LONGEST_LINE = 1 << 22
_COUNT = re.compile(r"\d{1,12}", re.ASCII)
_PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Frame:
    """One frame as text.  number: its place in the file, 0 first; line: where its comment stands, 1 first; rows: words
    of every atom's line, which stand in `row_lines`; missing: what it lacks, "" when it is whole."""

    number: int
    line: int
    comment: str
    rows: list[list[str]]
    row_lines: list[int]
    missing: str = ""


class _Lines:
    """The lines of a text file, numbered from 1, one of which can be given back."""

    def __init__(self, file: IO[str], path: Path) -> None:
        self.number, self.path, self._file = 0, path, file
        self._back: str | None = None
        self.unfinished = False  # the last line had no end

    def next(self) -> str | None:
        self.number += 1
        if self._back is not None:
            line, self._back = self._back, None
            return line
        line = self._file.readline(_LONGEST_LINE)
        if len(line) == _LONGEST_LINE:
            raise DataError(f"{self.path}: cannot be read as xyz: line {self.number} is endless; give another file.")
        self.unfinished = bool(line) and not line.endswith("\n")
        return line or None

    def filled(self) -> str | None:
        """The next line that is not blank."""
        while (line := self.next()) is not None:
            if line.strip():
                return line
        return None

    def give_back(self, line: str) -> None:
        self._back, self.number = line, self.number - 1


def frames(path: Path) -> Iterator[Frame]:
    """Every frame of a file, which may be compressed and may begin with a byte-order mark.
    Raises DataError, with the line, where the file holds something else."""
    try:
        with path.open("rb") as raw:
            head = raw.read(6)
        opener = next((opener for magic, opener in _PACKED.items() if head.startswith(magic)), None)
        with path.open("rb") if opener is None else opener(path, "rb") as binary:
            yield from _frames(binary, path)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        why = str(getattr(error, "strerror", None) or error)[:80].rstrip(".")
        raise DataError(f"{path}: cannot be read ({why}); copy or write it again.") from error


def _frames(binary: IO[bytes], path: Path) -> Iterator[Frame]:
    head = binary.read(3)
    binary.seek(0)
    encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "utf-8")
    with TextIOWrapper(binary, encoding=encoding, errors="replace") as file:
        lines, number = _Lines(file, path), 0
        while (head_line := lines.filled()) is not None:
            yield _frame(lines, head_line, number)
            number += 1


def _frame(lines: _Lines, head: str, number: int) -> Frame:
    """The frame whose number of atoms stands in `head`."""
    text = head.strip(" \t\r\n\ufeff")  # files put together keep their byte-order marks
    count = int(text) if _COUNT.fullmatch(text) else 0
    if count == 0:
        place = f"line {lines.number} should be the number of atoms of frame {number}, but is {shown(head)}"
        raise DataError(f"{lines.path}: cannot be read as xyz: {place}; the file is damaged or of another kind.")
    comment = lines.next() or ""
    line = lines.number
    rows: list[list[str]] = []
    places: list[int] = []
    while len(rows) < count:
        atom = lines.next()
        row = [] if atom is None else atom.split()
        broken = atom is None or (len(row) == 1 and _COUNT.fullmatch(row[0]) is not None)
        if atom is not None and broken:
            lines.give_back(atom)  # the next frame begins here
        if broken or (lines.unfinished and row and (len(row) < 4 or (rows and len(row) < len(rows[0])))):
            return Frame(number, line, comment, [], [], f"it has {len(rows)} of {count} atoms")
        if row:
            rows.append(row)
            places.append(lines.number)
    return Frame(number, line, comment, rows, places, _cut(rows, lines.unfinished))


def _cut(rows: list[list[str]], unfinished: bool) -> str:
    """What is missing at the end of the last row, "" where nothing is."""
    if len(rows) > 1 and len(rows[-1]) < min(map(len, rows[:-1])):
        return "its last line is cut"
    return "the file ends within its last number, or without an end of line" if unfinished and _seems_cut(rows) else ""


def _seems_cut(rows: list[list[str]]) -> bool:
    """Whether the last number has fewer decimals than all others in the last three columns: a file whose last line has
    no end was perhaps cut there."""
    decimals = [len(word.partition(".")[2]) for row in rows for word in row[-3:]]
    return len(rows) > 1 and decimals[-1] < min(decimals[:-1])
