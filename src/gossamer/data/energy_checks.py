"""Checks of energies against forces: sign, unit, one energy zero; and which unit would explain what is seen."""

from dataclasses import dataclass

import numpy as np

from gossamer.data import stiffness as springs
from gossamer.data import work
from gossamer.data.dataset import Dataset
from gossamer.data.findings import Finding, concerning
from gossamer.units import ENERGY, LENGTH

_STIFFNESS_TOLERANCE = 0.75  # in the logarithm, a factor of 2.1
_EXPLAINED = 0.5  # of the energy differences, before a slope is believed; thermal data give 0.72 to 0.98
_UNEXPLAINED = 0.3  # below this, many frames or not, something is wrong
_FEWEST, _MANY = 20, 100  # frames from which a slope is believed, or its absence
_SEPARATION = 5.0  # of two groups of energies; thermal data of many frames stay at or below 3.5
_SIGN = "sign and unit"
_FORCE_UNITS = (
    ("eV", "Angstrom"), ("kcal/mol", "Angstrom"), ("Hartree", "Bohr"), ("kJ/mol", "Angstrom"), ("kJ/mol", "nm"),
    ("Hartree", "Angstrom"), ("eV", "Bohr"), ("Rydberg", "Bohr"), ("kcal/mol", "Bohr"), ("meV", "Angstrom"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class EnergyCheck:
    """Outcome of comparing energies with forces: the slope where there is one, and the findings."""

    slope: work.Slope | None
    findings: tuple[Finding, ...]


def check_energies(data: Dataset, stiff: springs.Stiffness | None, rng: np.random.Generator) -> EnergyCheck:
    """Energies and forces of `data` against each other, and forces against the stiffness of bonds."""
    assert data.forces is not None
    if data.energies is None or len(data) < _FEWEST or data.n_atoms < 2:
        return EnergyCheck(None, (_judge(None, stiff, data),))
    chosen = data.take(work.sample(len(data), data.n_atoms, rng))
    assert chosen.energies is not None
    assert chosen.forces is not None
    energies = chosen.energies - np.median(chosen.energies)
    steps = work.steps(chosen.positions, chosen.forces, rng)
    slope = work.fit_slope(steps, energies)
    if not slope.steps:
        return EnergyCheck(None, (_judge(None, stiff, data),))
    groups = work.two_groups(work.unexplained_offsets(steps, energies, slope.slope))
    together = energies - groups.distance * groups.upper
    split = groups.separation > _SEPARATION * (1 + 30 / len(chosen)) and groups.distance > together.std() / 2
    slope = work.fit_slope(steps, together) if split else slope
    zero = _two_zeros(groups, chosen) if split and slope.explained >= _EXPLAINED else None
    message = f"no sign of a second one among the {len(chosen)} frames looked at."
    return EnergyCheck(slope, (_judge(slope, stiff, chosen), zero or Finding("ok", "energy zero", message)))


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


def _judge(slope: work.Slope | None, stiff: springs.Stiffness | None, data: Dataset) -> Finding:
    """One sentence about sign and unit, from what energies, forces and bonds say together."""
    if slope is not None and slope.explained < _EXPLAINED:
        on_bonds = _judge(None, stiff, data)
        if slope.explained > _UNEXPLAINED or len(data) < _MANY or on_bonds.level == "error":
            return on_bonds
        message = (
            f"the forces explain only {max(slope.explained, 0):.0%} of the energy differences between neighbouring "
            "frames: the labels do not belong together, or the frames are too far apart to tell."
        )
        return Finding("warning", _SIGN, message)
    if slope is None and stiff is None:
        return Finding("ok", _SIGN, "cannot be judged from these frames.")
    evidence = _evidence(slope, stiff)
    forces_flipped = stiff.value < 0 if stiff is not None else slope is not None and slope.slope < 0
    energies_flipped = slope is not None and (slope.slope < 0) != forces_flipped
    if forces_flipped or energies_flipped:
        flipped = {"forces": forces_flipped, "energies": energies_flipped}
        wrong = " and ".join(what for what, is_flipped in flipped.items() if is_flipped)
        why = ": they look like gradients" if wrong == "forces" else ""
        return Finding("error", _SIGN, f"the {wrong} have the wrong sign{why} ({evidence}); multiply them by -1.")
    return _judge_units(slope, stiff, data, evidence)


def _judge_units(slope: work.Slope | None, stiff: springs.Stiffness | None, data: Dataset, evidence: str) -> Finding:
    slope_fits = slope is None or abs(np.log(slope.slope)) <= _tolerance(slope)
    stiffness_fits = stiff is None or abs(np.log(stiff.value / springs.USUAL)) <= _STIFFNESS_TOLERANCE
    if slope_fits and stiffness_fits:
        what = "forces fit the energies" if slope is not None else "forces fit the bonds"
        return Finding("ok", _SIGN, f"{what} ({evidence}).")
    energy_read, length_read = data.provenance.energy_unit or "eV", data.provenance.length_unit or "Angstrom"
    force_read = data.provenance.forces_unit or f"{energy_read}/{length_read}"
    likely = likely_units(slope, stiff, energy_read, force_read)
    if likely is None:
        message = f"{{}} ({evidence}), and no common unit explains it; check where they come from."
        if slope_fits:
            return Finding("warning", _SIGN, message.format("forces are of an unusual size"))
        return Finding("error", _SIGN, message.format("energies and forces do not fit each other"))
    energy, force = likely
    wrong = [("energies", energy_read, energy)] if slope is not None and energy != energy_read else []
    wrong += [("forces", force_read, force)] if force != force_read else []
    what, read, looks = (" and ".join(words) for words in zip(*wrong, strict=True))
    options = [f"--energy-unit {energy}"] if wrong[0][0] == "energies" else []
    options += [f"--forces-unit {force}"] if force != f"{energy}/{length_read}" else []
    remedy = f"give {' '.join(options)}"
    return Finding("error", _SIGN, f"{what} were read in {read} but look like {looks} ({evidence}); {remedy}.")


def likely_units(
    slope: work.Slope | None, stiff: springs.Stiffness | None, energy_read: str, force_read: str
) -> tuple[str, str] | None:
    """The energy and force unit that explain slope and stiffness best; None where no common one does.

    Read in the wrong unit, energies come out e times too large and forces f times: the slope is e/f, and the stiffness
    f times the usual one."""
    best, lowest = None, np.inf
    for rank, (force_energy, force_length) in enumerate(_FORCE_UNITS):
        energy_of_read, _, length_of_read = force_read.rpartition("/")
        f = ENERGY[energy_of_read] / LENGTH[length_of_read] * LENGTH[force_length] / ENERGY[force_energy]
        soft = 0.0 if stiff is None else abs(np.log(stiff.value / springs.USUAL / f))
        for energy in ENERGY if slope is not None else (energy_read,):
            hard = 0.0 if slope is None else abs(np.log(slope.slope * f * ENERGY[energy] / ENERGY[energy_read]))
            changes = (energy != energy_read) + (f"{force_energy}/{force_length}" != force_read)
            cost = hard / 0.05 + soft / 0.3 + 0.3 * rank + changes
            if (slope is None or hard <= _tolerance(slope)) and soft <= _STIFFNESS_TOLERANCE and cost < lowest:
                best, lowest = (energy, f"{force_energy}/{force_length}"), cost
    return best


def _tolerance(slope: work.Slope) -> float:
    """By how much the logarithm of a right slope may differ from 0: it is blurred as far as work explains energies
    badly.  Thermal data give slopes of 1.00 to 1.08 at 0.72 to 0.98 explained, and 0.75 where 0.53 is explained."""
    return 0.1 + 0.9 * (1 - slope.explained)


def _evidence(slope: work.Slope | None, stiff: springs.Stiffness | None) -> str:
    parts = []
    if slope is not None:
        work_done = f"energy differences are {slope.slope:.3g} times the work of the forces"
        parts.append(f"{work_done}, {slope.explained:.0%} explained")
    if stiff is not None:
        parts.append(f"bonds of {stiff.value:.3g} eV/Angstrom^2 where about {springs.USUAL:.0f} is usual")
    return "; ".join(parts)
