"""Energies against the work of the forces: the evidence that comes first, and the findings that rest on it."""

from dataclasses import dataclass

import numpy as np

from gossamer.data import work
from gossamer.data.dataset import Dataset
from gossamer.data.findings import Finding, concerning
from gossamer.units import ENERGY

_EXPLAINED = 0.5  # of the energy differences, before a slope is believed; thermal data give 0.72 to 0.98
_CORRELATED = 0.3, 4.0  # or a rank correlation above the first, and above the second over the root of the frames
_FEWEST = 20  # frames from which a slope is believed
_SEPARATION = 5.0  # of two groups of energies; thermal data of many frames stay at or below 3.5
_SURE = 2.0  # times what the work between two groups may be wrong by; right energies stay below 1.6
_UNIT_MATCH = 0.01  # of the ratio of two group means, to the ratio of two units
_CLEAR = 20.0  # times their spread is what energies of either group are away from 0


@dataclass(frozen=True, eq=False)
class EnergyCheck:
    """What energies and forces of a sample of the frames say about each other.

    data: the sample; steps between its frames; energies (n,) in eV from their median; slope: energy differences per
    work, once two groups of energies are moved together; zero: the finding about a second energy zero."""

    data: Dataset
    steps: work.Steps
    energies: np.ndarray
    slope: work.Slope
    zero: Finding

    @property
    def believed(self) -> bool:
        """Do energy differences and work depend on each other beyond doubt, so that sign and slope mean something?"""
        least, noise = _CORRELATED
        correlated = abs(self.slope.correlation) > max(least, noise / np.sqrt(len(self.data)))
        return self.slope.explained >= _EXPLAINED or correlated


def check_energies(data: Dataset, rng: np.random.Generator) -> EnergyCheck | None:
    """Energies and forces of `data` against each other; None without energies, or with too few frames or atoms."""
    if data.energies is None or data.forces is None or len(data) < _FEWEST or data.n_atoms < 2:
        return None
    chosen = data.take(work.sample(len(data), data.n_atoms, rng))
    assert chosen.energies is not None
    assert chosen.forces is not None
    energies = chosen.energies - np.median(chosen.energies)
    steps = work.steps(chosen.positions, chosen.forces, rng)
    slope = work.fit_slope(steps, energies)
    if not slope.steps:
        return None
    groups = work.two_groups(work.unexplained_offsets(steps, energies, slope.slope))
    together = energies - groups.distance * groups.upper
    split = (
        groups.separation > _SEPARATION * (1 + 30 / len(chosen))
        and groups.distance > together.std() / 2
        and groups.distance > _SURE * _error_between(groups, steps, energies, slope)
    )
    message = f"no sign of a second one among the {len(chosen)} frames looked at."
    zero = Finding("ok", "energy zero", message)
    if split and (units := _two_units(groups, chosen, steps)) is not None:
        zero, energies, slope = units
    elif split:
        slope = work.fit_slope(steps, together)
        zero = _two_zeros(groups, chosen) if slope.explained >= _EXPLAINED else zero
    return EnergyCheck(chosen, steps, energies, slope, zero)


def _error_between(groups: work.TwoGroups, steps: work.Steps, energies: np.ndarray, slope: work.Slope) -> float:
    """How wrong the work of steps between the groups may be, in eV, from that of steps as long inside them: conformers,
    and regions that a few long steps join, have no energies to compare.  Infinite where nothing joins them."""
    between = groups.upper[steps.first] != groups.upper[steps.second]
    inside = ~between & ~steps.near
    if not between.any() or not inside.any():
        return np.inf
    left = np.abs(energies[steps.second] - energies[steps.first] - slope.slope * steps.work)
    share = np.quantile(left[inside] / np.maximum(steps.doubt[inside], 1e-12), 0.9)
    return float(share * np.median(steps.doubt[between]))


def _two_units(
    groups: work.TwoGroups, data: Dataset, steps: work.Steps
) -> tuple[Finding, np.ndarray, work.Slope] | None:
    """Where the energies of two groups stand to each other as two units of energy do: an error that names the group
    that fits the forces once it is converted, the energies (n,) in one unit from their median, and their slope."""
    assert data.energies is not None
    upper, lower = data.energies[groups.upper], data.energies[~groups.upper]
    clear = min(abs(part.mean()) / max(float(part.std()), 1e-12) for part in (upper, lower))
    if clear < _CLEAR or upper.mean() / lower.mean() <= 0:
        return None
    ratios = np.array([a / b for a in ENERGY.values() for b in ENERGY.values() if a != b])
    misfit = np.abs(np.log(upper.mean() / lower.mean() / ratios))
    if misfit.min() > _UNIT_MATCH:
        return None
    ratio = ratios[np.argmin(misfit)]
    tried = []
    for other, factor in ((groups.upper, 1 / ratio), (~groups.upper, ratio)):
        energies = np.where(other, data.energies * factor, data.energies)
        tried.append((work.fit_slope(steps, energies), energies, other, factor))
    slope, energies, other, factor = min(tried, key=lambda one: abs(np.log(max(one[0].slope, 1e-9))))
    message = (
        f"the energies of {{frames}} out of {len(data)} looked at are {1 / factor:.4g} times those of the others, "
        "which is the ratio of two units; convert them to one."
    )
    return concerning("error", "energy zero", message, data.frames[other]), energies - np.median(energies), slope


def _two_zeros(groups: work.TwoGroups, data: Dataset) -> Finding:
    check = "energy zero"
    smaller = groups.upper if groups.upper.mean() <= 0.5 else ~groups.upper
    if smaller.sum() < max(3, 0.01 * len(data)):
        message = f"the energy of {{frames}} is {groups.distance:.3g} eV off what the forces explain; recompute it."
        return concerning("warning", check, message, data.frames[smaller])
    message = (
        f"the energies fall into two groups, {groups.distance:.3g} eV apart beyond what the forces explain, the "
        f"smaller one of {{frames}} out of {len(data)} looked at: methods or energy zeros are mixed, so keep one."
    )
    return concerning("error", check, message, data.frames[smaller])
