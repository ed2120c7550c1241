"""What the model looks at: lists of atom pairs, their inverse distances, and the way back to atoms."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gossamer.chemistry.bonds import COINCIDENT
from gossamer.chemistry.pairs import all_pairs, pair_numbers
from gossamer.descriptors import Descriptor, arrays
from gossamer.descriptors.dense import occurrences
from gossamer.devices import on_host
from gossamer.errors import DataError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

CHECK_BYTES = 2**25  # temporaries of a check


def refuse_infinite(positions: np.ndarray) -> None:
    """Raise DataError if some of the positions are NaN or infinite."""
    if not np.all(np.isfinite(positions)):
        raise DataError("positions: some are NaN or infinite; remove those structures.")


def orbit_numbers(perms: np.ndarray) -> np.ndarray:
    """Orbit number (P,) of every one of P things under a closed group perms (S, P); numbered by first appearance."""
    return np.unique(perms.min(axis=0), return_inverse=True)[1]


def _loops_for(tensor: "Tensor"):
    """The module with `forward`, `push` and `pull` for where the tensor is."""
    if not on_host(tensor):
        return arrays
    from gossamer.descriptors import compiled

    return compiled


@dataclass(frozen=True, eq=False)
class PairSet:
    """P atom pairs of a molecule of N atoms.  pairs (P, 2) int64, first index above second, no pair twice.

    The descriptor is x = 1/r per pair (Chmiela et al. 2017).  The full set stands in numpy's lower-triangle order
    (1,0), (2,0), (2,1), (3,0) ..., the order of sgdml's files.
    """

    n_atoms: int
    pairs: np.ndarray
    kind: ClassVar[str] = "pairs"
    noun: ClassVar[str] = "pairs"

    def __post_init__(self) -> None:
        pairs = np.asarray(self.pairs, dtype=np.int64).reshape(-1, 2)
        object.__setattr__(self, "pairs", pairs)
        if len(pairs) == 0:
            raise UsageError(f"pairs: none given for {self.n_atoms} atoms; a model needs at least one pair.")
        if pairs[:, 1].min() < 0 or pairs[:, 0].max() >= self.n_atoms or np.any(pairs[:, 0] <= pairs[:, 1]):
            raise UsageError(f"pairs: indices must satisfy {self.n_atoms} > i > j >= 0 in every pair (i, j).")
        if len(np.unique(self._keys)) != len(pairs):
            raise UsageError("pairs: a pair stands in the list twice; name each pair once.")

    @classmethod
    def full(cls, n_atoms: int) -> "PairSet":
        """All N(N-1)/2 pairs.  Raises UsageError for fewer than two atoms."""
        if n_atoms < 2:
            raise UsageError(f"atoms: {n_atoms} given, but a force field of pairs needs at least 2 atoms.")
        return cls(n_atoms, all_pairs(n_atoms))

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"PairSet({len(self)} pairs of {self.n_atoms} atoms)"

    @property
    def atoms(self) -> np.ndarray:
        """The two atoms (P, 2) of every pair."""
        return self.pairs

    @property
    def inverse_distances(self) -> np.ndarray:
        """All of them (P,)."""
        return np.arange(len(self))

    @property
    def _keys(self) -> np.ndarray:
        return pair_numbers(self.pairs)

    def keep(self, rows) -> "PairSet":
        """The pairs `rows` (indices or boolean mask), in that order."""
        return PairSet(self.n_atoms, self.pairs[rows])

    def index(self, pairs: np.ndarray) -> np.ndarray:
        """Positions in this list of the given pairs (..., 2), in either atom order; -1 where a pair is absent."""
        table = np.full(self.n_atoms * (self.n_atoms - 1) // 2, -1, dtype=np.int64)
        table[self._keys] = np.arange(len(self))
        return table[pair_numbers(pairs)]

    def images(self, perms: np.ndarray) -> np.ndarray:
        """Entry p of row s (S, P): the pair on which the atom permutation perms[s] (S, N) puts pair p, -1 where that is
        not in the list."""
        return self.index(perms[:, self.pairs])

    def permuted(self, perms: np.ndarray) -> np.ndarray:
        """`images`, all of which are there: the pair permutations (S, P) that atom permutations (S, N) bring about.
        Raises UsageError when an image of a pair is missing from the list."""
        images = self.images(perms)
        if np.any(images < 0):
            s, p = np.argwhere(images < 0)[0]
            i, j = self.pairs[p]
            gi, gj = perms[s, i], perms[s, j]
            raise UsageError(
                f"pairs: pair ({i}, {j}) is kept and its image ({gi}, {gj}) under permutation {s} is not; "
                "keep or drop whole orbits, `pairs.orbits(perms)` lists them."
            )
        return images

    def orbits(self, perms: np.ndarray) -> np.ndarray:
        """Orbit number (P,) of every pair under the group `perms` (S, N); numbered by first appearance."""
        return orbit_numbers(self.permuted(perms))

    @cached_property
    def incidence(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of each atom as a table: (pair, sign), both (N, D) with D the largest number of pairs at an atom;
        unused places have sign 0.  Sign is +1 where the atom is the pair's first, -1 where it is the second."""
        at = occurrences(self.pairs.ravel(), self.n_atoms)
        pair, sign = np.repeat(np.arange(len(self)), 2), np.tile([1.0, -1.0], len(self))
        return np.append(pair, 0)[at], np.append(sign, 0.0)[at]

    def apart(self, x: "Tensor") -> bool:
        """Whether inverse distances x (Q, P) are those of atoms that do not coincide."""
        return float(x.max()) < 1 / COINCIDENT

    def refuse_coincident(self, positions: np.ndarray, what: str, frames: np.ndarray | None = None) -> None:
        """Raise DataError if the atoms of a pair coincide in one of the structures positions (Q, N, 3), Angstrom.

        what: the name of the data in the message; frames (Q,): their numbers there."""
        i, j = self.pairs.T
        step = max(1, CHECK_BYTES // (24 * len(self)))
        for start in range(0, len(positions), step):
            part = positions[start : start + step]
            gaps = ((part[:, i] - part[:, j]) ** 2).sum(-1)
            if gaps.min() < COINCIDENT**2:
                q, p = np.unravel_index(np.argmin(gaps), gaps.shape)
                frame = start + q if frames is None else frames[start + q]
                raise DataError(
                    f"{what}: atoms {j[p]} and {i[p]} of frame {frame} coincide ({gaps[q, p] ** 0.5:.2g} Angstrom "
                    "apart); remove that frame."
                )

    def forward(self, positions: "Tensor") -> "tuple[Tensor, Tensor]":
        """Inverse distances and their gradients.   x = 1/r,   dx/dr_i = -(r_i - r_j) / r^3 = -dx/dr_j

        positions (Q, N, 3) Angstrom -> x (Q, P) 1/Angstrom, dx (Q, P, 3) 1/Angstrom^2."""
        return _loops_for(positions).forward(self, positions)

    def push(self, dx: "Tensor", a: "Tensor") -> "Tensor":
        """Atomic coefficients to pairs, v = (dx/dR) a:  dx (Q, P, 3), a (Q, N, 3) -> (Q, P)."""
        return _loops_for(dx).push(self, dx, a)

    def pull(self, dx: "Tensor", g: "Tensor") -> "Tensor":
        """Pair gradients to atoms, (dx/dR)^T g:  dx (Q, P, 3), g (Q, P) -> (Q, N, 3)."""
        return _loops_for(dx).pull(self, dx, g)

    def jacobian(self, dx: "Tensor") -> "Tensor":
        """Gradients (Q, P, 2, 3) of every pair by the positions of its two atoms, from dx (Q, P, 3)."""
        import torch

        return torch.stack([dx, -dx], 2)

    def jacobian_rank(self, positions: np.ndarray) -> int:
        """Largest rank of dx/dR over the structures positions (Q, N, 3): 3N-6 when the pairs fix the shape."""
        best = 0
        for structure in positions:
            d = structure[self.pairs[:, 0]] - structure[self.pairs[:, 1]]
            jac = np.zeros((len(self), self.n_atoms, 3))
            rows = np.arange(len(self))
            jac[rows, self.pairs[:, 0]] = d / np.linalg.norm(d, axis=1)[:, None]
            jac[rows, self.pairs[:, 1]] = -jac[rows, self.pairs[:, 0]]
            flat = jac.reshape(len(self), -1)
            values = np.linalg.eigvalsh(flat.T @ flat)
            best = max(best, int(np.sum(values > 1e-8 * values[-1])))
        return best


def as_pairs(descriptor: Descriptor, what: str) -> PairSet:
    """`descriptor` where it is a PairSet.  Raises UsageError, with `what` needs one, for another."""
    if not isinstance(descriptor, PairSet):
        raise UsageError(
            f"{what} needs a descriptor of pairs, and this one has {len(descriptor)} features of another kind; train "
            "with descriptor='pairs'."
        )
    return descriptor
