"""FHI-aims: outputs of single points, relaxations and molecular dynamics, also of runs that were killed.

Angstrom, eV and eV/Angstrom, as FHI-aims prints them.  The energy is the electronic free energy, to which the forces
belong.  A relaxation prints the next geometry before its SCF cycle, molecular dynamics a step's geometry after it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gossamer.data.formats import steps
from gossamer.data.formats.blocks import NUMBER, TRIPLE, Lines, floats, numbers_of, table
from gossamer.data.formats.raw import Options, Raw

_SPECIES = re.compile(rf"\s*\|\s*\d+\s*:\s*Species\s+([A-Z][a-z]?)\S*\s+{TRIPLE}\s*$")
_ATOM = re.compile(rf"\s*atom\s+{TRIPLE}\s+([A-Z][a-z]?)\S*\s*$")
_VELOCITY = re.compile(r"\s*velocity\s")
_FORCE = re.compile(rf"\s*\|\s*\d+\s+{TRIPLE}\s*$")
_ENERGY = re.compile(rf"\|\s*Electronic free energy\s*:\s*({NUMBER})\s*eV")
_BEFORE = re.compile(r"\s*(x \[A\]|\|\s*Atom|lattice_vector|$|-+$)")
_RESTARTS = ("No geometry change - only restart of scf mixer", "Self-consistency cycle not yet converged - restarting")
_PRECEDING = "as used in the preceding time step"
_WRAPPED = "was used in the preceding time step of the wrapper"


def read(path: Path, options: Options) -> Raw:
    """Every geometry of an FHI-aims output with its energy and forces; incomplete ones are named.
    Raises DataError when none is complete."""
    found = steps.paired(_events(Lines(steps.whole_lines(path))))
    boxed = any("lattice_vector" in line for line in steps.text_lines(path))
    notes = {"periodic box": "ignored: gossamer treats molecules, not crystals"} if boxed else {}
    return steps.raw_of_steps(path, "FHI-aims", found, options, notes)


def _events(lines: Lines) -> Iterator[steps.Event]:
    begun = False  # a step of which nothing has been printed yet
    for line in lines:
        text = line.strip()
        if text in ("| Atomic structure:", "Atomic structure:"):
            rows = table(lines, _SPECIES, _BEFORE)
            yield from _geometry([row[0] for row in rows], floats(rows), of_last=False)
        elif text.startswith("Updated atomic structure") or _PRECEDING in text or _WRAPPED in text:
            yield from _structure(lines, of_last=not text.startswith("Updated"))
        elif match := _ENERGY.match(text):
            begun = False
            yield steps.Energy(float(match[1]), final=False)  # one in every SCF iteration, the converged one last
        elif text.startswith("Total atomic forces"):
            yield steps.Forces(floats(table(lines, _FORCE, _BEFORE, limit=2)))
        elif text.startswith(_RESTARTS):
            yield steps.Restart()
        elif text.startswith(("Begin self-consistency loop: Re-initialization", "Invoking FHI-aims")):
            begun = text.startswith("Begin")
            yield steps.Boundary()
    if begun:
        yield steps.Trouble("the run ended in it")


def _structure(lines: Lines, of_last: bool) -> Iterator[steps.Event]:
    rows = table(lines, _ATOM, _BEFORE)
    while (line := lines.peek()) is not None and _VELOCITY.match(line):  # molecular dynamics: after each atom
        next(lines)
        rows += table(lines, _ATOM, _BEFORE, limit=0)
    yield from _geometry([row[3] for row in rows], floats([row[:3] for row in rows]), of_last)


def _geometry(symbols: list[str], positions: np.ndarray, of_last: bool) -> Iterator[steps.Event]:
    numbers = numbers_of(symbols)
    yield steps.Geometry(np.zeros(0, dtype=int) if numbers is None else numbers, positions, of_last)
    if numbers is None:
        yield steps.Trouble("its list of atoms holds something that is no atom")
