"""Sign and unit of the labels, and which unit would explain what is seen.

Energies against the work of the forces come first, and bonds last: where energies and work agree, or where bonds are
not of the kind that has a usual stiffness, bonds are not asked.
"""

import numpy as np

from gossamer.data import stiffness as springs
from gossamer.data.dataset import Dataset
from gossamer.data.energy_checks import EnergyCheck
from gossamer.data.findings import Finding
from gossamer.data.work import Slope
from gossamer.units import ENERGY, LENGTH

_UNRELATED = 100  # frames from which the absence of any relation between energies and work means something
SIGN_AND_UNIT = "sign and unit"
_FORCE_UNITS = (
    ("eV", "Angstrom"), ("kcal/mol", "Angstrom"), ("Hartree", "Bohr"), ("kJ/mol", "Angstrom"), ("kJ/mol", "nm"),
    ("Hartree", "Angstrom"), ("eV", "Bohr"), ("Rydberg", "Bohr"), ("kcal/mol", "Bohr"), ("meV", "Angstrom"),
)  # fmt: skip


def check_sign_and_unit(data: Dataset, energy: EnergyCheck | None, stiff: springs.Stiffness | None) -> Finding:
    """One sentence about sign and unit, from the best evidence there is."""
    if energy is not None and energy.believed:
        return _by_work(energy.slope, stiff, data)
    if energy is not None and len(energy.data) >= _UNRELATED and energy.slope.explained < 0.3:
        on_bonds = _by_bonds(stiff, data)
        if on_bonds.level == "error":
            return on_bonds
        message = (
            f"the forces explain only {max(energy.slope.explained, 0):.0%} of the energy differences between "
            "neighbouring frames: the labels do not belong together, or the frames are too far apart to tell."
        )
        return Finding("warning", SIGN_AND_UNIT, message)
    return _by_bonds(stiff, data)


def _by_work(slope: Slope, stiff: springs.Stiffness | None, data: Dataset) -> Finding:
    """Energies and work depend on each other: their sign and their ratio are known."""
    whole = stiff if stiff is not None and stiff.usual else None
    evidence = _evidence(slope, whole)
    if slope.slope < 0:
        wrong = "energies" if whole is not None and whole.value > 0 else "forces"
        why = ": they look like gradients" if wrong == "forces" else ""
        return Finding(
            "error", SIGN_AND_UNIT, f"the {wrong} have the wrong sign{why} ({evidence}); multiply them by -1."
        )
    if abs(np.log(slope.slope)) > _tolerance(slope):
        positive = whole if whole is not None and whole.value > 0 else None
        return _look_like(slope, positive, data, evidence, "energies and forces do not fit each other")
    ratio = None if whole is None or not whole.alike else whole.value / springs.USUAL
    if ratio is None or abs(np.log(abs(ratio))) <= springs.TOLERANCE:
        if ratio is not None and ratio < 0:
            return Finding(
                "error", SIGN_AND_UNIT, f"the forces and energies have the wrong sign ({evidence}); multiply by -1."
            )
        return Finding("ok", SIGN_AND_UNIT, f"forces fit the energies ({evidence}).")
    if ratio < 0 or likely_units(slope, whole, *_read(data)) is None:
        return Finding("ok", SIGN_AND_UNIT, f"forces fit the energies ({_evidence(slope, None)}).")
    found = _look_like(slope, whole, data, evidence, "")
    if ratio > 1:
        return found
    message = f"{found.message[:-1]} if they are those of whole molecules; differences between methods may be so small."
    return Finding("warning", SIGN_AND_UNIT, message)


def _by_bonds(stiff: springs.Stiffness | None, data: Dataset) -> Finding:
    """Energies say nothing: bonds of the usual kind tell sign and unit, other covalent ones a sign."""
    unknown = Finding("ok", SIGN_AND_UNIT, "cannot be judged from these frames.")
    if stiff is None or not (stiff.usual or stiff.sure):
        return unknown
    evidence = _evidence(None, stiff)
    if stiff.value < 0:
        if stiff.as_usual or (not stiff.usual and abs(stiff.value) > springs.USUAL):
            message = f"the forces have the wrong sign: they look like gradients ({evidence}); multiply them by -1."
            return Finding("error", SIGN_AND_UNIT, message)
        message = (
            f"the forces push stretched bonds apart ({evidence}): right for differences between methods only; "
            "if these are forces of whole molecules, they are gradients in another unit."
        )
        return Finding("warning", SIGN_AND_UNIT, message) if stiff.usual and stiff.alike else unknown
    if not stiff.usual:
        return unknown
    if stiff.as_usual:
        return Finding("ok", SIGN_AND_UNIT, f"forces fit the bonds ({evidence}).")
    if not stiff.alike:
        return unknown
    return _look_like(None, stiff, data, evidence, "forces are of an unusual size")


def _look_like(
    slope: Slope | None, stiff: springs.Stiffness | None, data: Dataset, evidence: str, otherwise: str
) -> Finding:
    """The units that explain it, as an error with the options to give; without any, the words `otherwise`."""
    energy_read, force_read = _read(data)
    length_read = data.provenance.length_unit or "Angstrom"
    likely = likely_units(slope, stiff, energy_read, force_read)
    if likely is None or likely == (energy_read, force_read):
        message = f"{otherwise} ({evidence}), and no common unit explains it; check where they come from."
        return Finding("warning" if slope is None else "error", SIGN_AND_UNIT, message)
    energy, force = likely
    wrong = [("energies", energy_read, energy)] if slope is not None and energy != energy_read else []
    wrong += [("forces", force_read, force)] if force != force_read else []
    what, read, looks = (" and ".join(words) for words in zip(*wrong, strict=True))
    options = [f"--energy-unit {energy}"] if wrong[0][0] == "energies" else []
    options += [f"--forces-unit {force}"] if force != f"{energy}/{length_read}" else []
    remedy = f"give {' '.join(options)}"
    return Finding("error", SIGN_AND_UNIT, f"{what} were read in {read} but look like {looks} ({evidence}); {remedy}.")


def _read(data: Dataset) -> tuple[str, str]:
    """The units that energies and forces were read in."""
    energy, length = data.provenance.energy_unit or "eV", data.provenance.length_unit or "Angstrom"
    return energy, data.provenance.forces_unit or f"{energy}/{length}"


def likely_units(
    slope: Slope | None, stiff: springs.Stiffness | None, energy_read: str, force_read: str
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
            if (slope is None or hard <= _tolerance(slope)) and soft <= springs.TOLERANCE and cost < lowest:
                best, lowest = (energy, f"{force_energy}/{force_length}"), cost
    return best


def _tolerance(slope: Slope) -> float:
    """By how much the logarithm of a right slope may differ from 0: it is blurred as far as work explains energies
    badly.  Thermal data give slopes of 1.00 to 1.08 at 0.72 to 0.98 explained, and 0.75 where 0.53 is explained."""
    return 0.1 + 0.9 * (1 - slope.explained)


def _evidence(slope: Slope | None, stiff: springs.Stiffness | None) -> str:
    parts = []
    if slope is not None:
        work_done = f"energy differences are {slope.slope:.3g} times the work of the forces"
        parts.append(f"{work_done}, {slope.explained:.0%} explained")
    if stiff is not None:
        parts.append(f"bonds of {stiff.value:.3g} eV/Angstrom^2 where about {springs.USUAL:.0f} is usual")
    return "; ".join(parts)
