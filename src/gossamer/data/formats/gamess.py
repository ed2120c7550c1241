"""GAMESS (US): logs of gradients and optimisations, and punch files (.dat).

Logs give Bohr or Angstrom, as their headings say, Hartree and Hartree/Bohr.  Punch files give Angstrom; under symmetry
they list the unique atoms alone, but the gradient of all, and then cannot be used.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gossamer.data.formats import steps
from gossamer.data.formats.blocks import NUMBER, TRIPLE, Lines, floats, numbers_of, table
from gossamer.data.formats.raw import Options, Raw

_ATOM = re.compile(rf"\s*[A-Za-z]\S*\s+(\d+\.\d*)\s+{TRIPLE}\s*$")
_GRADIENT = re.compile(rf"\s*\d+\s+[A-Za-z]\S*\s+(?:\d+\.\d*\s+)?{TRIPLE}\s*$")
_ABOVE = re.compile(r"[\s-]*$|\s*(CHARGE|ATOM|UNITS)\b")
_BOHR = re.compile(r"ATOM\s+ATOMIC\s+COORDINATES \(BOHR\)")
_ENERGY = re.compile(rf"FINAL .*ENERGY IS\s+({NUMBER})\s+AFTER")
_CORRELATED = re.compile(rf"(?:E\(MP2\)=|TOTAL ENERGY \(MP2\) =)\s*({NUMBER})\s*$")
_PUNCHED = re.compile(rf"E=\s*({NUMBER})")
_BALANCED = 1e-3  # Hartree/Bohr: the gradient of a whole molecule adds up to nothing
_UNIQUE = "the file lists only the atoms unique by symmetry; read the log of GAMESS, or run it in C1"


def read(path: Path, options: Options) -> Raw:
    """Every geometry of a log with the energy and gradient computed for it; incomplete ones are named.
    Raises DataError when none is complete."""
    return steps.raw_of_steps(path, "GAMESS", steps.paired(_log_events(Lines(steps.whole_lines(path)))), options, {})


def read_punch(path: Path, options: Options) -> Raw:
    """Every $GRAD of a punch file with the $DATA or step above it.  Raises DataError when none is complete."""
    found = steps.paired(_punch_events(Lines(steps.whole_lines(path))))
    return steps.raw_of_steps(path, "GAMESS", found, options, {"atoms": "GAMESS punch file"})


def _log_events(lines: Lines) -> Iterator[steps.Event]:
    for line in lines:
        text = line.strip()
        if _BOHR.match(text):
            yield from _geometry(lines, steps.bohr())
        elif text.startswith("COORDINATES OF ALL ATOMS ARE (ANGS)"):
            yield from _geometry(lines, 1.0)
        elif match := _ENERGY.match(text) or _CORRELATED.match(text):
            yield steps.Energy(float(match[1]) * steps.hartree(), final=False)
        elif text.startswith(("GRADIENT OF THE ENERGY", "GRADIENT (HARTREE/BOHR)")):
            yield steps.Forces(-floats(table(lines, _GRADIENT, _ABOVE)) * (steps.hartree() / steps.bohr()))
        elif "GAMESS VERSION" in text:
            yield steps.Boundary()


def _punch_events(lines: Lines) -> Iterator[steps.Event]:
    symmetric, n = False, 0
    for line in lines:
        text = line.strip()
        if text == "$DATA":
            next(lines, "")  # the title
            symmetric = next(lines, "").split()[:1] != ["C1"]
            rows = list(_atoms_of_data(lines))
        elif text.startswith("COORDINATES OF SYMMETRY UNIQUE ATOMS (ANGS)"):
            rows = table(lines, _ATOM, _ABOVE)
        elif text == "$GRAD":
            yield from _gradient(lines, n, symmetric)
            continue
        else:
            continue
        n = len(rows)
        yield from _geometry_of(rows, 1.0)


def _gradient(lines: Lines, n: int, symmetric: bool) -> Iterator[steps.Event]:
    """A $GRAD group below a list of n atoms."""
    if match := _PUNCHED.match(next(lines, "").strip()):
        yield steps.Energy(float(match[1]) * steps.hartree())
    rows = table(lines, _ATOM, _ABOVE, limit=0)
    gradient = floats(rows)
    yield steps.Forces(-gradient * (steps.hartree() / steps.bohr()), numbers_of([row[0] for row in rows]))
    if symmetric and (len(rows) > n or np.abs(gradient.sum(axis=0)).max(initial=0) > _BALANCED):
        yield steps.Trouble(_UNIQUE)


def _atoms_of_data(lines: Lines) -> Iterator[tuple[str, ...]]:
    """The atoms of a $DATA group, among the basis functions of each."""
    for line in lines:
        if line.strip() == "$END":
            return
        if match := _ATOM.match(line):
            yield match.groups()


def _geometry(lines: Lines, unit: float) -> Iterator[steps.Event]:
    yield from _geometry_of(table(lines, _ATOM, _ABOVE), unit)


def _geometry_of(rows: list[tuple[str, ...]], unit: float) -> Iterator[steps.Event]:
    numbers = numbers_of([row[0] for row in rows])
    yield steps.Geometry(np.zeros(0, dtype=int) if numbers is None else numbers, floats(rows) * unit)
    if numbers is None:
        yield steps.Trouble("its list of atoms holds something that is no atom")
