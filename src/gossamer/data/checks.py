"""`inspect`: what is in a data set, and whether its labels can be right."""

import warnings
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from gossamer.data import label_checks as labels
from gossamer.data import structure_checks as structures
from gossamer.data.dataset import Dataset
from gossamer.data.energy_checks import check_energies
from gossamer.data.findings import Finding, Level, concerning
from gossamer.data.geometry import Skeleton
from gossamer.data.stiffness import Stiffness, stiffness
from gossamer.data.timing import check_late
from gossamer.data.unit_checks import SIGN_AND_UNIT, check_sign_and_unit
from gossamer.data.work import Slope
from gossamer.errors import DataError, LabelWarning

_LEVELS: tuple[Level, ...] = ("ok", "warning", "error")


@dataclass(frozen=True)
class Inspection:
    """Summary of a data set and the outcome of every check; energies in eV, forces in eV/Angstrom, lengths in Angstrom.

    energies: lowest, highest and standard deviation; forces: RMS and largest component; distances: shortest, longest;
    dipoles: shortest, longest, e*Angstrom;
    order: "in time", "by energy" or "none seen"; slope, explained: energy differences per work of the forces (1 is
    right) and how much of them it accounts for; stiffness: of the bonds, by the forces (about 30 is right).
    None stands where the data do not say.
    """

    source: str
    name: str
    theory: str
    formula: str
    n_atoms: int
    n_frames: int
    fingerprint: str
    energy_unit: str
    length_unit: str
    read: dict[str, str]
    duplicates: int
    energies: tuple[float, float, float] | None
    forces: tuple[float, float] | None
    distances: tuple[float, float] | None
    dipoles: tuple[float, float] | None
    order: str
    slope: float | None
    explained: float | None
    stiffness: float | None
    findings: tuple[Finding, ...]

    @property
    def level(self) -> Level:
        """The worst level among the findings."""
        return max((finding.level for finding in self.findings), key=_LEVELS.index, default="ok")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self) | {"level": self.level}


def inspect(data: Dataset) -> Inspection:
    """Look at every frame and check what can be checked without a reference calculation.
    The same data give the same findings.  Raises DataError when there are no structures."""
    if not len(data):
        raise DataError(f"{data.provenance.source or 'data'}: it holds no structures; nothing can be inspected.")
    finite, findings = _finite_part(data)
    findings += labels.check_present(data)
    distances, evidence = None, _Evidence()
    if len(finite):
        shortest, longest = structures.extreme_distances(finite)
        distances = (float(shortest.min()), longest) if longest else None
        lengths = structures.check_lengths(finite)
        findings += [structures.check_duplicates(finite)]
        if lengths.level != "error":
            findings.append(structures.check_coincident(finite, shortest))
            evidence = _check_bonded(finite.take(shortest >= structures.COINCIDENT))
        else:
            evidence = _Evidence(tuple(labels.check_net(finite)))
        findings += _blamed_on_lengths(lengths, evidence.findings)
    slope, stiff = evidence.slope, evidence.stiff
    source = data.provenance
    return Inspection(
        source=source.source, name=source.name, theory=source.theory, formula=data.formula, n_atoms=data.n_atoms,
        n_frames=len(data), fingerprint=data.fingerprint, energy_unit=source.energy_unit,
        length_unit=source.length_unit, read=dict(source.read), duplicates=len(data.repeats()[0]),
        energies=_energy_summary(finite), forces=_force_summary(finite), distances=distances,
        dipoles=_dipole_summary(finite), order=_order(finite),
        slope=slope.slope if slope else None, explained=slope.explained if slope else None,
        stiffness=stiff.value if stiff else None,
        findings=tuple(sorted(findings, key=lambda finding: -_LEVELS.index(finding.level))),
    )  # fmt: skip


def _blamed_on_lengths(lengths: Finding, about_labels: tuple[Finding, ...]) -> list[Finding]:
    """Both in one list.  Of a single bond the length alone tells little; where sign and unit of its forces are wrong as
    well, it is the length, and one fault gives one error."""
    wrong = [finding for finding in about_labels if finding.level == "error" and finding.check == SIGN_AND_UNIT]
    if lengths.level != "warning" or not wrong:
        return [lengths, *about_labels]
    return [replace(lengths, level="error"), *(finding for finding in about_labels if finding not in wrong)]


def require_sound(data: Dataset, name: str = "") -> Inspection:
    """Look at `data` as `inspect` does.  Raises DataError with the sentences of its errors; warns of the rest
    (LabelWarning).  name: of the data in the messages, by default where they came from."""
    found = inspect(data)
    name = name or found.source or "data"
    if found.level == "error":
        raise DataError(refusal(found, name, "pass force=True"))
    for finding in found.findings:
        if finding.level != "ok":
            warnings.warn(f"{name}: {finding.message}", LabelWarning, stacklevel=3)
    return found


def refusal(found: Inspection, name: str, remedy: str) -> str:
    """The errors among the findings as one sentence; `remedy` says how to go on all the same."""
    wrong = " ".join(finding.message for finding in found.findings if finding.level == "error")
    return f"{name}: {wrong[:-1]}; or {remedy} to go on all the same."


@dataclass(frozen=True, eq=False)
class _Evidence:
    """What bonds and labels say: findings, energy differences per work, and stiffness of bonds where they tell."""

    findings: tuple[Finding, ...] = ()
    slope: Slope | None = None
    stiff: Stiffness | None = None


def _check_bonded(data: Dataset) -> _Evidence:
    """The checks that need bonds, on frames without coincident atoms and with lengths in Angstrom.  Labels are judged
    on the frames whose structures are right."""
    if not len(data):
        return _Evidence()
    skeleton = Skeleton.of(data.numbers, data.positions)
    about_bonds = structures.check_bonds(data, skeleton)
    wrong = [frame for finding in about_bonds if finding.level == "error" for frame in finding.frames]
    right = data.take(~np.isin(data.frames, wrong))
    found = _check_labels(right, skeleton) if len(right) else _Evidence()
    return replace(found, findings=(*about_bonds, *found.findings))


def _check_labels(data: Dataset, skeleton: Skeleton) -> _Evidence:
    """Forces and energies, the strongest evidence first; one fault gives one error, so the checks end with the first
    that says that forces and positions do not belong together."""
    if data.forces is None:
        return _Evidence()
    if (late := check_late(data)) is not None:
        return _Evidence((late,))
    about_forces = (*labels.check_net(data), labels.check_large_forces(data))
    if any(finding.level == "error" for finding in about_forces):
        return _Evidence(about_forces)
    stiff = stiffness(data, skeleton)
    energy = check_energies(data, np.random.default_rng(0))
    odd, others = labels.check_odd_frames(data, stiff, energy)
    if len(others) < len(data):
        stiff, energy = stiffness(others, skeleton), check_energies(others, np.random.default_rng(0))
    sign = check_sign_and_unit(others, energy, stiff)
    zero = () if energy is None else (energy.zero,)
    return _Evidence((*about_forces, odd, sign, *zero), energy.slope if energy else None, stiff)


def _finite_part(data: Dataset) -> tuple[Dataset, list[Finding]]:
    """The frames without NaN or infinite numbers, and what to say of the others."""
    good = np.isfinite(data.positions).all(axis=(1, 2))
    if data.forces is not None:
        good &= np.isfinite(data.forces).all(axis=(1, 2))
    if data.energies is not None:
        good &= np.isfinite(data.energies)
    if data.dipoles is not None:
        good &= np.isfinite(data.dipoles).all(axis=1)
    if good.all():
        return data, [Finding("ok", "numbers", "all finite.")]
    message = "NaN or infinite numbers in {frames}; remove these frames."
    return data.take(good), [concerning("error", "numbers", message, data.frames[~good])]


def _energy_summary(data: Dataset) -> tuple[float, float, float] | None:
    if data.energies is None or not len(data):
        return None
    return float(data.energies.min()), float(data.energies.max()), float(data.energies.std())


def _dipole_summary(data: Dataset) -> tuple[float, float] | None:
    if data.dipoles is None or not len(data):
        return None
    sizes = np.linalg.norm(data.dipoles, axis=1)
    return float(sizes.min()), float(sizes.max())


def _force_summary(data: Dataset) -> tuple[float, float] | None:
    if data.forces is None or not len(data):
        return None
    return float(np.sqrt((data.forces**2).mean())), float(np.abs(data.forces).max())


def _order(data: Dataset) -> str:
    """How the frames are sorted, which decides whether neighbours in the file are neighbours in space."""
    if len(data) < 10:
        return "none seen"
    if data.energies is not None and np.ptp(data.energies) > 0:
        rising = np.diff(data.energies)
        if (rising >= 0).all() or (rising <= 0).all():
            return "by energy"
    centred = data.positions - data.positions.mean(axis=1, keepdims=True)
    inside = np.linalg.norm(centred, axis=2)
    spread = 2 * inside.var(axis=0).mean()
    return "in time" if (np.diff(inside, axis=0) ** 2).mean() < 0.5 * spread else "none seen"
