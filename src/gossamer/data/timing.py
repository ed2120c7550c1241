"""Do the labels stand with their own frames?  Successive frames of a trajectory tell, for labels that are frames late.

From frame to frame of a trajectory the energy changes by the work of the forces, on a straight line and without any
alignment.  Labels that are late explain those changes badly where they stand, and well where they are moved back.
"""

from dataclasses import dataclass

import numpy as np

from gossamer.data.dataset import Dataset
from gossamer.data.findings import Finding
from gossamer.data.work import weighted_median

_SHIFTS = (1, -1, 2, -2, 3, -3)
_FEWEST = 20  # frames
_EXPLAINED = 0.3  # of the energy differences of successive frames, by labels that stand right
_CLEARER = 0.6  # what stays unexplained after the move, against what did before
_TURNING = 0.02  # net torque after the move against before it, where there are no energies to compare
_NUMBERS = {1: "one frame", 2: "two frames", 3: "three frames"}


@dataclass(frozen=True)
class Lateness:
    """By how many frames forces and energies come after (negative: before) the positions they belong to."""

    forces: int
    energies: int

    def sentence(self) -> str:
        """What is wrong and how to mend it."""
        late = self.forces or self.energies
        both = "forces and energies" if self.forces and self.energies else "forces" if self.forces else "energies"
        count = _NUMBERS[abs(late)]
        way, mend = ("late", "earlier") if late > 0 else ("early", "later")
        return f"the {both} are {count} {way}: they belong to the positions {count} {mend}; move them there."


def check_late(data: Dataset) -> Finding | None:
    """An error where labels are one, two or three frames late or early; None where they are not, or nobody can tell."""
    if data.forces is None or len(data) < _FEWEST or data.n_atoms < 2:
        return None
    found = _by_work(data) if data.energies is not None and np.ptp(data.energies) > 0 else _by_torque(data)
    if found is None:
        return None
    lateness, evidence = found
    return Finding("error", "order of labels", f"{lateness.sentence()[:-1]} ({evidence}).")


def _by_work(data: Dataset) -> tuple[Lateness, str] | None:
    here = _explained(data, Lateness(0, 0))
    choices = [Lateness(k, e) for k in _SHIFTS for e in (0, k)] + [Lateness(0, k) for k in _SHIFTS]
    values = [_explained(data, choice) for choice in choices]
    best = int(np.argmax(values))
    there = values[best]
    if there < _EXPLAINED or 1 - there > _CLEARER * (1 - here):
        return None
    return choices[best], f"there they explain {there:.0%} of the energy differences between frames, here {here:.0%}"


def _explained(data: Dataset, late: Lateness) -> float:
    """How much of the energy differences between successive frames the work explains, once the labels are moved."""
    assert data.forces is not None
    assert data.energies is not None
    rows = _rows(len(data), late.forces, late.energies)
    positions, forces = data.positions[rows], data.forces[rows + late.forces]
    change = np.diff(data.energies[rows + late.energies])
    work = -0.5 * ((forces[1:] + forces[:-1]) * np.diff(positions, axis=0)).sum(axis=(1, 2))
    usable = work != 0
    scatter = np.abs(change).sum()
    if not usable.any() or scatter == 0:
        return 0.0
    slope = weighted_median(change[usable] / work[usable], np.abs(work[usable]))
    return float(1 - np.abs(change - slope * work).sum() / scatter)


def _rows(n: int, *moves: int) -> np.ndarray:
    """The frames whose labels are still there after the moves."""
    return np.arange(max(0, *(-move for move in moves)), n - max(0, *moves))


def _by_torque(data: Dataset) -> tuple[Lateness, str] | None:
    """Forces of a frame turn its own positions in no direction, and those of another frame do."""
    assert data.forces is not None
    centred = data.positions - data.positions.mean(axis=1, keepdims=True)
    here, *there = (_torque(centred, data.forces, k) for k in (0, *_SHIFTS))
    best = int(np.argmin(there))
    if not there[best] < _TURNING * here:
        return None
    return Lateness(_SHIFTS[best], 0), "there they turn the molecule in no direction, as they must"


def _torque(centred: np.ndarray, forces: np.ndarray, late: int) -> float:
    rows = _rows(len(centred), late)
    moved = forces[rows + late]
    return float(np.median(np.linalg.norm(np.cross(centred[rows], moved).sum(axis=1), axis=1)))
