"""Gaussian: outputs of single points, forces, optimisations and several jobs (Link1).

Angstrom, Hartree and Hartree/Bohr, as Gaussian prints them.  Forces are in the orientation of the input, so positions
are taken from there; where only the standard orientation is printed the two do not belong together.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gossamer.data.formats import steps
from gossamer.data.formats.blocks import NUMBER, TRIPLE, Lines, floats, numbers_of, table
from gossamer.data.formats.raw import Options, Raw

_ATOM = re.compile(rf"\s*\d+\s+(-?\d+)\s+\d+\s+{TRIPLE}\s*$")
_FORCE = re.compile(rf"\s*\d+\s+(\d+)\s+{TRIPLE}\s*$")
_ABOVE = re.compile(r"\s*(-+|Center\s+Atomic.*|Number\s+Number.*)\s*$")
_FORCES = re.compile(r"Center\s+Atomic\s+Forces \(Hartrees/Bohr\)")
_SCF = re.compile(rf"(?:SCF Done:\s+E\(.*?\)\s*=|Energy=)\s*({NUMBER})")
_CORRELATED = re.compile(
    rf"(?:E[2345]\b.*=|DEMP5 =|.*\bUMP4\(SDT?Q\)=|Wavefunction amplitudes converged\. E\(Corr\)=|CCSD\(T\)=|"
    rf"Total Energy, E\(TD-HF/TD-D[A-Z/]+\) =|ONIOM: extrapolated energy =)\s*({NUMBER})\s*$"
)
_IN_INPUT = ("Input orientation:", "Z-Matrix orientation:")


def read(path: Path, options: Options) -> Raw:
    """Every geometry of a Gaussian output with the energy and forces computed for it; incomplete ones are named.
    Raises DataError when none is complete."""
    return steps.raw_of_steps(path, "Gaussian", steps.paired(_events(Lines(steps.whole_lines(path)))), options, {})


def _events(lines: Lines) -> Iterator[steps.Event]:
    of_input, standard_only = False, False
    for line in lines:
        text = line.strip()
        if text in _IN_INPUT:
            of_input, standard_only = True, False
            yield from _geometry(lines)
        elif text == "Standard orientation:":
            if not of_input:
                standard_only = True
                yield from _geometry(lines)
            of_input = False
        elif match := _SCF.match(text) or _CORRELATED.match(text):
            yield steps.Energy(float(match[1].replace("D", "e")) * steps.hartree(), final=False)
        elif _FORCES.match(text):
            rows = table(lines, _FORCE, _ABOVE)
            yield steps.Forces(floats(rows) * (steps.hartree() / steps.bohr()), numbers_of([row[0] for row in rows]))
            if standard_only:
                why = "forces in the input's orientation, positions only in the standard one; use NoSymmetry"
                yield steps.Trouble(why)
        elif text.startswith(("Normal termination of Gaussian", "Entering Gaussian System", "Initial command")):
            of_input, standard_only = False, False
            yield steps.Boundary()


def _geometry(lines: Lines) -> Iterator[steps.Event]:
    rows = table(lines, _ATOM, _ABOVE)
    numbers = numbers_of([row[0] for row in rows])
    yield steps.Geometry(np.zeros(0, dtype=int) if numbers is None else numbers, floats(rows))
    if numbers is None:
        yield steps.Trouble("its list of atoms holds ghost atoms or a periodic box")
