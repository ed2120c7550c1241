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
_UNIT_MATCH = 0.01  # of the ratio of two group means, to the ratio of two units


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
    split = groups.separation > _SEPARATION * (1 + 30 / len(chosen)) and groups.distance > together.std() / 2
    message = f"no sign of a second one among the {len(chosen)} frames looked at."
    zero = Finding("ok", "energy zero", message)
    if split:
        slope = work.fit_slope(steps, together)
        zero = _two_zeros(groups, chosen) if slope.explained >= _EXPLAINED else zero
    return EnergyCheck(chosen, steps, energies, slope, zero)


def _two_zeros(groups: work.TwoGroups, data: Dataset) -> Finding:
    check = "energy zero"
    smaller = groups.upper if groups.upper.mean() <= 0.5 else ~groups.upper
    if smaller.sum() < max(3, 0.01 * len(data)):
        message = f"the energy of {{frames}} is {groups.distance:.3g} eV off what the forces explain; recompute it."
        return concerning("warning", check, message, data.frames[smaller])
    why = _unit_of_groups(data, smaller) or "methods or energy zeros are mixed, so keep one"
    message = (
        f"the energies fall into two groups, {groups.distance:.3g} eV apart beyond what the forces explain, the "
        f"smaller one of {{frames}} out of {len(data)} looked at: {why}."
    )
    return concerning("error", check, message, data.frames[smaller])


def _unit_of_groups(data: Dataset, smaller: np.ndarray) -> str | None:
    """Words for two groups whose energies stand to each other as two units do."""
    assert data.energies is not None
    means = data.energies[smaller].mean(), data.energies[~smaller].mean()
    if not means[1] or means[0] / means[1] <= 0:
        return None
    names = {abs(np.log(means[0] / means[1] / (a / b))): (name, other) for name, b in ENERGY.items()
             for other, a in ENERGY.items() if a != b}  # fmt: skip
    misfit = min(names)
    return "they look like {} among {}; convert them".format(*names[misfit]) if misfit < _UNIT_MATCH else None
