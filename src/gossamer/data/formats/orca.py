"""ORCA: text outputs of single points, gradients, optimisations and several jobs, and .engrad files.

Angstrom, Hartree and Hartree/Bohr, as ORCA prints them (manual of ORCA 5 and 6).  ASE's reader is not used: it takes
the last geometry and the first gradient between two relaxation steps, also where these belong to different jobs.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gossamer.data.formats import steps
from gossamer.data.formats.blocks import NUMBER, TRIPLE, Lines, floats, numbers_of, table
from gossamer.data.formats.raw import Options, Raw
from gossamer.errors import DataError

_ATOM = re.compile(rf"\s*([A-Z][A-Za-z]?)\s+{TRIPLE}\s*$")
_GRADIENT = re.compile(rf"\s*\d+\s*([A-Z][A-Za-z]?)?\s*:\s*{TRIPLE}\s*$")
_RULE = re.compile(r"[\s\-=*]*$")
_ENERGY = re.compile(rf"FINAL SINGLE POINT ENERGY\s+(?:\(.*?\)\s*)?({NUMBER})")
_DIPOLE = re.compile(rf"Total Dipole Moment\s*:\s*{TRIPLE}\s*$")
_HEADINGS = ("CARTESIAN GRADIENT", "The final MP2 gradient")
_BOUNDARIES = ("JOB NUMBER", "ORCA TERMINATED NORMALLY", "GEOMETRY OPTIMIZATION CYCLE", "ORCA GEOMETRY RELAXATION STEP")


def read(path: Path, options: Options) -> Raw:
    """Every geometry of an ORCA output with the energy and gradient computed for it; incomplete ones are named.
    Raises DataError when none is complete."""
    return steps.raw_of_steps(path, "ORCA", steps.paired(_events(Lines(steps.whole_lines(path)))), options, {})


def _events(lines: Lines) -> Iterator[steps.Event]:
    for line in lines:
        text = line.strip()
        if text == "CARTESIAN COORDINATES (ANGSTROEM)":
            yield from _geometry(lines)
        elif text.startswith("FINAL SINGLE POINT ENERGY"):
            match = _ENERGY.match(text)
            if match is None or "not fully converged" in text:
                yield steps.Trouble("its SCF has not converged")
            else:
                yield steps.Energy(float(match[1]) * steps.hartree())
        elif text.startswith(_HEADINGS):
            rows = table(lines, _GRADIENT, _RULE)
            symbols = [row[0] for row in rows if row[0]]
            forces = -floats(rows) * (steps.hartree() / steps.bohr())
            yield steps.Forces(forces, numbers_of(symbols) if len(symbols) == len(rows) else None)
        elif match := _DIPOLE.match(text):
            yield steps.Dipole(floats([match.groups()])[0] * steps.bohr())
        elif any(words in text for words in _BOUNDARIES):
            yield steps.Boundary()


def _geometry(lines: Lines) -> Iterator[steps.Event]:
    rows = table(lines, _ATOM, _RULE)
    numbers = numbers_of([row[0] for row in rows])
    rest = (lines.peek() or "").strip()
    yield steps.Geometry(np.zeros(0, dtype=int) if numbers is None else numbers, floats(rows))
    if numbers is None or rest:
        yield steps.Trouble("its list of atoms ends early or holds something that is no atom")


def read_engrad(path: Path, options: Options) -> Raw:
    """An .engrad file of ORCA or xtb, or several written one after another: Hartree, Bohr, Hartree/Bohr.
    Raises DataError when a part is missing or damaged."""
    found = steps.paired(_engrad_events(path))
    return steps.raw_of_steps(path, "engrad", found, options, {"atoms": "engrad format"})


def _engrad_events(path: Path) -> Iterator[steps.Event]:
    lines = list(steps.text_lines(path))
    values = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if len(values) > 1 and not lines[-1].endswith("\n") and _decimals(values[-1]) != _decimals(values[-2]):
        values.pop()  # cut within a number
    while values:
        try:
            n = int(values[0][0])
            block, values = values[1 : 2 + 4 * n], values[2 + 4 * n :]
            if n < 1 or len(block) != 1 + 4 * n:
                raise ValueError
            energy, gradient = float(block[0][0]), np.array([float(row[0]) for row in block[1 : 1 + 3 * n]])
            atoms = block[1 + 3 * n :]
            numbers = numbers_of([row[0] for row in atoms])
            positions = np.array([[float(text) for text in row[1:4]] for row in atoms]).reshape(n, 3)
            if numbers is None or any(len(row) != 1 for row in block[: 1 + 3 * n]) or any(len(r) != 4 for r in atoms):
                raise ValueError
        except (ValueError, IndexError) as error:
            raise DataError(f"{path}: it is no complete engrad file; copy or write it again.") from error
        yield steps.Boundary()
        yield steps.Geometry(numbers, positions * steps.bohr())
        yield steps.Energy(energy * steps.hartree())
        yield steps.Forces(-gradient.reshape(n, 3) * (steps.hartree() / steps.bohr()))


def _decimals(row: list[str]) -> int:
    return len(row[-1].partition(".")[2])
