"""What a trajectory shows: distances beside those of training, how far it went, a peptide's angles."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from gossamer.chemistry.bonds import neighbours_of
from gossamer.chemistry.pair_classes import far_apart
from gossamer.chemistry.pairs import pair_numbers
from gossamer.data.dataset import hill_formula, symbols
from gossamer.records.md import Course, Distance, MdRecord, Residue
from gossamer.simulate.averages import frames_of

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField
    from gossamer.model.seen import SeenDistances
    from gossamer.simulate.dynamics import MdRun
    from gossamer.simulate.trajectory import Frames

SHOWN = 1000  # frames of a trajectory at most
REPLICAS = 8  # of which the course is shown
CONTACTS = 10
HIGHEST = 4500.0  # 1/cm


def observe(run: "MdRun", model: "ForceField", name: str = "", command: str = "") -> MdRecord:
    """The record of a run.  name: of the model; command: the command line.  Raises DataError where a trajectory is not
    what was written."""
    from gossamer.version import __version__

    looked_at = [frames_of(path, run, SHOWN) for path in run.files.trajectories[:REPLICAS]]
    positions, heavy = np.concatenate([frames.positions for frames in looked_at]), rigid_part(model.numbers)
    bonds = np.isfinite(model.seen.most)
    apart = far_apart(model.seen.pairs[bonds], model.n_atoms)[pair_numbers(model.seen.pairs)]
    shown = run.wavenumbers <= HIGHEST
    return MdRecord(
        version=__version__,
        command=command,
        model=name,
        formula=hill_formula(model.numbers),
        symbols=tuple(symbols(model.numbers)),
        settings=asdict(run.settings),
        picoseconds=run.settings.steps * run.settings.timestep / 1000,
        ns_per_day=run.ns_per_day,
        averages=run.averages,
        courses=tuple(_course(frames, heavy) for frames in looked_at),
        rmsd_of="all atoms" if len(heavy) == model.n_atoms else "atoms other than hydrogen",
        bonds=_distances(model.seen, bonds, positions),
        contacts=_closest(_distances(model.seen, apart, positions)),
        residues=residues(model.seen.pairs[bonds], model.numbers, positions),
        wavenumbers=tuple(run.wavenumbers[shown].tolist()),
        spectrum=tuple(run.spectrum[shown].tolist()),
        infrared=tuple(run.infrared[shown].tolist()) if len(run.infrared) else (),
    )


def rigid_part(numbers: np.ndarray) -> np.ndarray:
    """Which atoms tell whether a molecule keeps its shape: all but hydrogens, or all where fewer than three are
    left."""
    heavy = np.flatnonzero(numbers > 1)
    return heavy if len(heavy) >= 3 else np.arange(len(numbers))


def rmsd(positions: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Root mean square distances (F,) of structures (F, N, 3) from one (N, 3), each shifted and turned to be closest
    (W. Kabsch, Acta Cryst. A32, 922 (1976))."""
    a = positions - positions.mean(axis=1, keepdims=True)
    b = reference - reference.mean(axis=0)
    u, sizes, v = np.linalg.svd(np.einsum("fni,nj->fij", a, b))
    sizes[:, 2] *= np.sign(np.linalg.det(u) * np.linalg.det(v))  # turned, not mirrored
    squares = (a**2).sum(axis=(1, 2)) + (b**2).sum() - 2 * sizes.sum(axis=1)
    return np.sqrt(np.maximum(squares, 0) / len(b))


def dihedrals(positions: np.ndarray, atoms: tuple[int, int, int, int]) -> np.ndarray:
    """Dihedral angles (F,), degrees, -180 to 180, of structures (F, N, 3), by IUPAC's sign."""
    a, b, c, d = (positions[:, k] for k in atoms)
    axis = c - b
    first, second = np.cross(b - a, axis), np.cross(axis, d - c)
    along = np.linalg.norm(axis, axis=1) * ((b - a) * second).sum(axis=1)
    return np.degrees(np.arctan2(along, (first * second).sum(axis=1)))


def residues(bonds: np.ndarray, numbers: np.ndarray, positions: np.ndarray) -> tuple[Residue, ...]:
    """The residues of a peptide between two peptide bonds, C(=O)-N-CA-C(=O)-N, in structures (F, N, 3), of bonds (B,
    2)."""
    near = neighbours_of(bonds, len(numbers))

    def joined(atom: int, element: int) -> list[int]:
        return [b for b in near[atom] if numbers[b] == element]

    def is_amide(atom: int) -> bool:
        return numbers[atom] == 6 and len(near[atom]) == 3 and any(len(near[o]) == 1 for o in joined(atom, 8))

    found = []
    for alpha in map(int, np.flatnonzero(numbers == 6)):
        ends = [(n, c) for n in joined(alpha, 7) for c in joined(alpha, 6) if is_amide(c)]
        for nitrogen, carbon in ends:
            before = [c for c in joined(nitrogen, 6) if c != alpha and is_amide(c)]
            after = [n for n in joined(carbon, 7) if n != nitrogen]
            if len(near[alpha]) == 4 and len(before) == 1 and len(after) == 1:
                phi = dihedrals(positions, (before[0], nitrogen, alpha, carbon))
                psi = dihedrals(positions, (nitrogen, alpha, carbon, after[0]))
                found.append(Residue(alpha, tuple(phi.round(2).tolist()), tuple(psi.round(2).tolist())))
    return tuple(found)


def _course(frames: "Frames", heavy: np.ndarray) -> Course:
    totals = frames.energies + frames.kinetic
    moved = rmsd(frames.positions[:, heavy], frames.positions[0, heavy])
    columns = (
        frames.times / 1000,
        frames.temperatures,
        frames.energies - frames.energies[0],
        totals - totals[0],
        moved,
    )
    return Course(*(tuple(column.round(8).tolist()) for column in columns))


def _distances(seen: "SeenDistances", which: np.ndarray, positions: np.ndarray) -> tuple[Distance, ...]:
    """Of the pairs in the mask which (P,), in structures (F, N, 3)."""
    found = []
    for p in np.flatnonzero(which):
        i, j = map(int, seen.pairs[p])
        r = np.linalg.norm(positions[:, i] - positions[:, j], axis=1)
        here = (float(r.mean()), float(r.min()), float(r.max()))
        found.append(Distance(i, j, *here, float(seen.shortest[p]), float(seen.longest[p])))
    return tuple(found)


def _closest(pairs: tuple[Distance, ...]) -> tuple[Distance, ...]:
    """Those that came closest, beside what they did in training."""
    return tuple(sorted(pairs, key=lambda pair: pair.shortest / pair.trained_shortest)[:CONTACTS])
