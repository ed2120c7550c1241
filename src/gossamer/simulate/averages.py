"""Averages over a trajectory."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gossamer.records.md import Averages
from gossamer.simulate.trajectory import Frames, read_frames

if TYPE_CHECKING:
    from gossamer.simulate.dynamics import MdRun

MOST = 20_000  # frames that averages are taken over
BLOCKS = 8  # of a trajectory, whose means tell how sure the mean is


def frames_of(path: Path, run: "MdRun", most: int = MOST) -> Frames:
    """At most that many frames of a replica's trajectory, evenly."""
    count = run.settings.steps // run.settings.every + 1
    return read_frames(path, max(1, -(-count // most)))


def averages_of(path: Path, run: "MdRun") -> Averages:
    """Of the trajectory of a replica.  Raises DataError for a file that is none."""
    frames, n_atoms = frames_of(path, run), len(run.masses)
    drift, fluctuation = drift_of(frames.times, frames.energies + frames.kinetic)
    return Averages(
        len(frames.times),
        float(frames.temperatures.mean()),
        error_of_mean(frames.temperatures),
        float(frames.energies.mean()),
        fluctuation,
        1e6 * drift / n_atoms,
    )


def drift_of(times: np.ndarray, totals: np.ndarray) -> tuple[float, float]:
    """Slope, eV/fs, of the straight line through total energies (F,) at times (F,), fs, and the standard deviation
    about it, eV."""
    if len(times) < 2:
        return 0.0, 0.0
    slope, constant = np.polyfit(times, totals, 1)
    return float(slope), float(np.std(totals - constant - slope * times))


def error_of_mean(values: np.ndarray) -> float | None:
    """Standard error of the mean of correlated values (F,), from the means of BLOCKS blocks (Flyvbjerg and Petersen's
    idea with one size of blocks); None of too few values."""
    if len(values) < 4 * BLOCKS:
        return None
    means = [block.mean() for block in np.array_split(values, BLOCKS)]
    return float(np.std(means, ddof=1) / np.sqrt(BLOCKS))
