"""`inspect`: what is in a data set, and whether its labels can be right."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gossamer.data import label_checks as labels
from gossamer.data import structure_checks as structures
from gossamer.data.dataset import Dataset
from gossamer.data.energy_checks import check_energies
from gossamer.data.findings import Finding, Level, concerning
from gossamer.data.geometry import Skeleton
from gossamer.data.stiffness import Stiffness, stiffness
from gossamer.data.work import Slope
from gossamer.errors import DataError

_LEVELS: tuple[Level, ...] = ("ok", "warning", "error")


@dataclass(frozen=True)
class Inspection:
    """Summary of a data set and the outcome of every check; energies in eV, forces in eV/Angstrom, lengths in Angstrom.

    energies: lowest, highest and standard deviation; forces: RMS and largest component; distances: shortest, longest;
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
    distances, stiff, slope = None, None, None
    if len(finite):
        shortest, longest = structures.extreme_distances(finite)
        distances = (float(shortest.min()), longest) if longest else None
        about_forces = _check_forces(finite)
        lengths = structures.check_lengths(finite)
        findings += [lengths, structures.check_duplicates(finite), *about_forces]
        if lengths.level == "ok":
            findings.append(structures.check_coincident(finite, shortest))
            sound = finite.take(shortest >= structures.COINCIDENT)
            belong = all(finding.level != "error" for finding in about_forces)
            about_bonds, stiff, slope = _check_bonded(sound, judge_labels=belong)
            findings += about_bonds
    source = data.provenance
    return Inspection(
        source=source.source, name=source.name, theory=source.theory, formula=data.formula, n_atoms=data.n_atoms,
        n_frames=len(data), fingerprint=data.fingerprint, energy_unit=source.energy_unit,
        length_unit=source.length_unit, read=dict(source.read), duplicates=len(data.repeats()[0]),
        energies=_energy_summary(finite), forces=_force_summary(finite), distances=distances, order=_order(finite),
        slope=slope.slope if slope else None, explained=slope.explained if slope else None,
        stiffness=stiff.value if stiff else None,
        findings=tuple(sorted(findings, key=lambda finding: -_LEVELS.index(finding.level))),
    )  # fmt: skip


def _check_forces(data: Dataset) -> list[Finding]:
    """The checks that need forces and nothing else."""
    return [] if data.forces is None else [*labels.check_net(data), labels.check_large_forces(data)]


def _check_bonded(data: Dataset, *, judge_labels: bool) -> tuple[list[Finding], Stiffness | None, Slope | None]:
    """The checks that need bonds, on frames without coincident atoms and with lengths in Angstrom; those of the labels
    only where forces and positions belong together."""
    if not len(data):
        return [], None, None
    skeleton = Skeleton.of(data.numbers, data.positions)
    findings = structures.check_bonds(data, skeleton)
    if data.forces is None or not judge_labels:
        return findings, None, None
    stiff = stiffness(data, skeleton)
    odd, others = labels.check_odd_frames(data, stiff)
    energy = check_energies(others, stiff, np.random.default_rng(0))
    return [*findings, odd, *energy.findings], stiff, energy.slope


def _finite_part(data: Dataset) -> tuple[Dataset, list[Finding]]:
    """The frames without NaN or infinite numbers, and what to say of the others."""
    good = np.isfinite(data.positions).all(axis=(1, 2))
    if data.forces is not None:
        good &= np.isfinite(data.forces).all(axis=(1, 2))
    if data.energies is not None:
        good &= np.isfinite(data.energies)
    if good.all():
        return data, [Finding("ok", "numbers", "all finite.")]
    message = "NaN or infinite numbers in {frames}; remove these frames."
    return data.take(good), [concerning("error", "numbers", message, data.frames[~good])]


def _energy_summary(data: Dataset) -> tuple[float, float, float] | None:
    if data.energies is None or not len(data):
        return None
    return float(data.energies.min()), float(data.energies.max()), float(data.energies.std())


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
