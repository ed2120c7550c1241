"""Tables in a program's output: atoms with three numbers each, read to the first line that is none."""

import re
from collections.abc import Iterator

import numpy as np

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[EeDd][-+]?\d+)?"
TRIPLE = rf"({NUMBER})\s+({NUMBER})\s+({NUMBER})"


class Lines:
    """Lines that can be looked at before they are taken."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._ahead: str | None = None

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        if self._ahead is not None:
            line, self._ahead = self._ahead, None
            return line
        return next(self._lines)

    def peek(self) -> str | None:
        """The next line, None at the end."""
        if self._ahead is None:
            self._ahead = next(self._lines, None)
        return self._ahead


def table(lines: Lines, row: re.Pattern[str], before: re.Pattern[str], limit: int = 6) -> list[tuple[str, ...]]:
    """The groups of the rows of a table that follows; up to `limit` lines such as `before` may stand above it.
    Empty where no row follows."""
    for _ in range(limit):
        line = lines.peek()
        if line is None or row.match(line) or not before.match(line):
            break
        next(lines)
    found = []
    while (line := lines.peek()) is not None and (match := row.match(line)):
        found.append(match.groups())
        next(lines)
    return found


def numbers_of(symbols: list[str]) -> np.ndarray | None:
    """Atomic numbers of symbols or of numbers as text, None where one is no element."""
    from ase.data import atomic_numbers

    found = [
        int(float(s)) if re.fullmatch(r"\d{1,3}(\.0*)?", s) else atomic_numbers.get(s.capitalize(), 0) for s in symbols
    ]
    return np.array(found) if all(0 < number <= 118 for number in found) else None


def floats(rows: list[tuple[str, ...]]) -> np.ndarray:
    """The last three texts of each row as numbers (len(rows), 3)."""
    return np.array([[float(text.replace("D", "e").replace("d", "e")) for text in row[-3:]] for row in rows]).reshape(
        -1, 3
    )
