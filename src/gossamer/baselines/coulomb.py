"""Fixed charges: the Coulomb energy of atoms that are three or more bonds apart.

    V(r) = k q_i q_j erf(r / a) / r,   a = 1 Angstrom,   k = 14.3996 eV Angstrom

The charges are smeared: from 2 Angstrom on V is that of points, and it stays finite where atoms meet.  Nearer
neighbours are left to what is learned.  `charges` fits them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gossamer.baselines.screening import COULOMB, keeps_pairs
from gossamer.errors import UsageError

if TYPE_CHECKING:
    from gossamer.data.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Coulomb:
    """Coulomb energy of charges (N,), in elementary charges, between the atoms of pairs (P, 2)."""

    charges: np.ndarray
    pairs: np.ndarray
    kind: ClassVar[str] = "coulomb"

    def __post_init__(self) -> None:
        charges = np.asarray(self.charges, dtype=np.float64)
        pairs = np.asarray(self.pairs, dtype=np.int64).reshape(-1, 2)
        if charges.ndim != 1 or not np.isfinite(charges).all():
            raise UsageError("coulomb: its charges must be one finite number for every atom.")
        if len(pairs) and (pairs.min() < 0 or pairs.max() >= len(charges) or np.any(pairs[:, 0] == pairs[:, 1])):
            raise UsageError(f"coulomb: its pairs must join two of the {len(charges)} atoms.")
        object.__setattr__(self, "charges", charges)
        object.__setattr__(self, "pairs", pairs)

    def __repr__(self) -> str:
        return f"Coulomb({len(self.pairs)} pairs of {len(self.charges)} atoms)"

    @classmethod
    def fitted(cls, data: "Dataset", perms: np.ndarray, total: float = 0.0) -> "Coulomb":
        """Charges that sum to `total`, fitted to the forces of `data`, between atoms three or more bonds apart in every
        image of the pair under atom permutations perms (S, N).

        Raises DataError where no atoms are so far apart, and for elements without a covalent radius."""
        from gossamer.baselines.charges import fitted_charges

        return cls(*fitted_charges(data, perms, total))

    def __call__(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies (Q,) eV and forces (Q, N, 3) eV/Angstrom of structures positions (Q, N, 3), Angstrom."""
        from gossamer.baselines import _coulomb  # compiled when it is first needed

        positions = np.ascontiguousarray(positions, dtype=np.float64)
        forces = np.zeros(positions.shape)
        return _coulomb.add(positions, self.pairs, self.strengths, forces), forces

    @cached_property
    def strengths(self) -> np.ndarray:
        """k q_i q_j of every pair (P,), eV Angstrom."""
        i, j = self.charges[self.pairs].T
        return COULOMB * i * j

    def keeps(self, perms: np.ndarray) -> np.ndarray:
        """Which atom permutations perms (S, N) take its pairs and charges to their like, a mask (S,)."""
        return keeps_pairs(len(self.charges), self.pairs, self.strengths, perms)

    def to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"kind": self.kind}, {"charges": self.charges, "pairs": self.pairs}
