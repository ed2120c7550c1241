"""The wall: screened repulsion of nuclei that no bond joins.

Sums of functions of pair distances know nothing about distances that no training structure has; without a wall atoms
fall into each other there (docs/decisions/0009-baselines.md).

    V(r) = k Z_i Z_j / r  phi(r / a)  S(r),   a = 0.46850 / (Z_i^0.23 + Z_j^0.23) Angstrom,   k = 14.3996 eV Angstrom
    phi(x) = 0.18175 exp(-3.19980 x) + 0.50986 exp(-0.94229 x) + 0.28022 exp(-0.40290 x) + 0.02817 exp(-0.20162 x)

(Ziegler, Biersack and Littmark 1985); S falls from 1 at half of a distance r_off to 0 there (gossamer.switching).
r_off is the sum of the van der Waals radii (Alvarez 2013), or a part of the closest distance of the pair in the
training structures where that is less: the repulsion is zero on all of them and on others a little beyond, so that it
changes neither labels nor errors.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from gossamer.baselines.screening import COULOMB, keeps_pairs
from gossamer.chemistry.bonds import bond_graph
from gossamer.chemistry.pair_classes import EVER, far_apart
from gossamer.chemistry.pairs import all_pairs, pair_images
from gossamer.errors import DataError, UsageError

SCREENING_LENGTH, SCREENING_POWER = 0.46850, 0.23  # Angstrom; 0.8854 Bohr
FULL = 0.5  # of the distance where it ends, up to which the repulsion is full
NEARER = 0.85  # of the closest distance of a pair in the training structures, where its repulsion ends


class Reach(NamedTuple):
    """Per pair (P,): k Z_i Z_j (eV Angstrom), 1/a, and where S begins to fall and has fallen (Angstrom)."""

    charges: np.ndarray
    inverse_length: np.ndarray
    inner: np.ndarray
    outer: np.ndarray


@dataclass(frozen=True, eq=False)
class Repulsion:
    """Repulsion between the atoms of pairs (P, 2) of a molecule of atoms `numbers` (N,), which ends at the distances
    ends (P,), Angstrom."""

    numbers: np.ndarray
    pairs: np.ndarray
    ends: np.ndarray
    reach: Reach = field(init=False, repr=False)
    kind: ClassVar[str] = "repulsion"

    def __post_init__(self) -> None:
        numbers, pairs = np.asarray(self.numbers), np.asarray(self.pairs, dtype=np.int64).reshape(-1, 2)
        ends = np.asarray(self.ends, dtype=np.float64)
        if len(pairs) and (pairs.min() < 0 or pairs.max() >= len(numbers) or np.any(pairs[:, 0] == pairs[:, 1])):
            raise UsageError(f"repulsion: its pairs must join two of the {len(numbers)} atoms.")
        if ends.shape != (len(pairs),) or not np.all((ends > 0) & np.isfinite(ends)):
            raise UsageError("repulsion: it must end at one positive distance for every pair.")
        i, j = numbers[pairs].astype(float).T
        length = SCREENING_LENGTH / (i**SCREENING_POWER + j**SCREENING_POWER)
        reach = Reach(COULOMB * i * j, 1 / length, FULL * ends, ends)
        for name, value in (("pairs", pairs), ("ends", ends), ("reach", reach)):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Repulsion({len(self.pairs)} pairs of {len(self.numbers)} atoms)"

    @classmethod
    def between(cls, positions: np.ndarray, numbers: np.ndarray, perms: np.ndarray) -> "Repulsion":
        """Between atoms three or more bonds apart in every image of the pair under atom permutations perms (S, N).

        positions (n, N, 3) Angstrom: the training structures; two atoms bonded in a few of them do not repel each
        other.  Raises DataError for an element without a van der Waals radius."""
        bonds = bond_graph(positions, numbers, share=EVER)
        pairs = all_pairs(len(numbers))[far_apart(bonds, len(numbers), pair_images(perms))]
        ends = np.minimum(contact_distances(numbers), NEARER * closest(positions, perms))
        return cls(np.asarray(numbers), pairs, ends[tuple(pairs.T)])

    def __call__(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies (Q,) eV and forces (Q, N, 3) eV/Angstrom of structures positions (Q, N, 3), Angstrom."""
        from gossamer.baselines import _repulsion  # compiled when it is first needed

        positions = np.ascontiguousarray(positions, dtype=np.float64)
        forces = np.zeros(positions.shape)
        return _repulsion.add(positions, self.laid_out, forces), forces

    @cached_property
    def laid_out(self) -> tuple[np.ndarray, np.ndarray]:
        """What compiled code reads: pairs (P, 2), and of each the numbers of its reach (P, 4)."""
        return np.array(self.pairs), np.stack(self.reach, axis=1)

    def keeps(self, perms: np.ndarray) -> np.ndarray:
        """Which atom permutations perms (S, N) take its pairs to its pairs, a mask (S,)."""
        return keeps_pairs(len(self.numbers), self.pairs, self.ends, perms)

    def to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"kind": self.kind}, {"pairs": self.pairs, "ends": self.ends}


def contact_distances(numbers: np.ndarray) -> np.ndarray:
    """Sums (N, N) of van der Waals radii, Angstrom.  Raises DataError for an element that has none."""
    from ase.data import chemical_symbols
    from ase.data.vdw_alvarez import vdw_radii

    radii = np.full(len(chemical_symbols), np.nan)
    radii[: len(vdw_radii)] = vdw_radii
    lacking = [chemical_symbols[z] for z in np.unique(numbers).tolist() if not np.isfinite(radii[z])]
    if lacking:
        raise DataError(
            f"baseline: {', '.join(lacking)} has no van der Waals radius, so its repulsion is not known; train with "
            "baseline 'none'."
        )
    return radii[numbers][:, None] + radii[numbers]


def closest(positions: np.ndarray, perms: np.ndarray) -> np.ndarray:
    """The least distance (N, N) of every two atoms and their images under atom permutations perms (S, N), in structures
    positions (n, N, 3), Angstrom."""
    n = positions.shape[1]
    least = np.full((n, n), np.inf)
    for structure in positions:
        np.minimum(least, np.linalg.norm(structure[:, None] - structure, axis=-1), out=least)
    nearest = np.full((n, n), np.inf)
    for perm in perms:
        np.minimum(nearest, least[np.ix_(perm, perm)], out=nearest)
    return nearest
