"""Dipole moments of charges on the atoms of fragments, which depend on the fragment's distances (docs/dipoles.md).

mu(R) = charge * centre of mass + sum over terms and their images of sum_a q_a(x) (r_a - mean r),
q_a(x) = fixed_a + sum_j k(|x - X_j|) U_ja,   x = 1/r of all pairs of the fragment, j over training rows.

Arms r_a - mean r see differences of charges alone, so that a fragment is neutral and a shift changes nothing but the
part of the whole charge.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from gossamer.chemistry.pairs import all_pairs
from gossamer.descriptors.arrays import inverse_distance
from gossamer.displacements import displacements
from gossamer.errors import UsageError
from gossamer.kernels import Kernel
from gossamer.model.pairs import refuse_infinite

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 2**23  # numbers held at once


class Surroundings(NamedTuple):
    """Of Q structures at I images of a fragment of n atoms and P pairs: x (Q, I, P), 1/Angstrom; dx (Q, I, P, 3), its
    gradient by the first atom of every pair; arms (Q, I, n, 3), Angstrom."""

    x: "Tensor"
    dx: "Tensor"
    arms: "Tensor"


def surroundings(images: np.ndarray, positions: "Tensor") -> Surroundings:
    """What charges on the images (I, n) of a fragment depend on and act upon, of structures positions (Q, N, 3)."""
    first, second = all_pairs(images.shape[1]).T
    x, dx = inverse_distance(displacements(positions, images[:, first], images[:, second]))
    atoms = positions[:, images]
    return Surroundings(x, dx, atoms - atoms.mean(dim=2, keepdim=True))


@dataclass(frozen=True, eq=False)
class ChargeTerm:
    """Charges on a fragment of n atoms.

    atoms (L, n), perms (H, n): its places and the exchanges of its atoms, as of a Fragment; kernel: of inverse
    distances; fixed (n,), e; X (R, P), 1/Angstrom, and U (R, n), e: training rows."""

    atoms: np.ndarray
    perms: np.ndarray
    kernel: Kernel
    fixed: np.ndarray
    X: np.ndarray
    U: np.ndarray

    def __post_init__(self) -> None:
        n = self.atoms.shape[1]
        fits = self.fixed.shape == (n,) and self.X.shape[1] == n * (n - 1) // 2 and self.U.shape == (len(self.X), n)
        if not fits or not all(np.all(np.isfinite(a)) for a in (self.fixed, self.X, self.U)):
            raise UsageError("dipoles: charges of a fragment are not finite or do not fit its atoms; train them again.")

    def __repr__(self) -> str:
        return f"ChargeTerm({len(self.X)} rows of {self.atoms.shape[1]} atoms, {len(self.images)} images)"

    @cached_property
    def images(self) -> np.ndarray:
        """Atoms (L * H, n) of every place in every order of its atoms, place by place."""
        return self.atoms[:, self.perms].reshape(-1, self.atoms.shape[1])

    @cached_property
    def _rows(self) -> "tuple[Tensor, Tensor, Tensor]":
        fixed, X, U = (torch.from_numpy(np.ascontiguousarray(a)) for a in (self.fixed, self.X, self.U))
        return fixed, X, U

    def moments(self, positions: "Tensor") -> "Tensor":
        """What the charges give (Q, 3), e*Angstrom, of structures positions (Q, N, 3)."""
        fixed, X, U = self._rows
        around = surroundings(self.images, positions)
        charges = fixed + self.kernel.profile(squared_distances(around.x, X)).k0 @ U
        return torch.einsum("qia,qiad->qd", charges, around.arms)

    def add_gradients(self, positions: "Tensor", out: "Tensor") -> None:
        """Add d mu / d r to `out` (Q, N, 3 of r, 3 of mu), e, of structures positions (Q, N, 3)."""
        fixed, X, U = self._rows
        x, dx, arms = surroundings(self.images, positions)
        k0, k1, _ = self.kernel.profile(squared_distances(x, X))
        charges = fixed + k0 @ U
        charges -= charges.mean(dim=2, keepdim=True)  # the mean of r moves with every atom
        moved = k1[..., None] * torch.einsum("qiad,ra->qird", arms, U)  # (Q, I, R, 3): minus d mu / d k * dk / ds / s
        by_x = torch.einsum("qird,rp->qipd", moved, X) - x[..., None] * moved.sum(dim=2)[:, :, None]
        pull = dx[..., None] * by_x[:, :, :, None]  # (Q, I, P, 3, 3)
        first, second = (torch.from_numpy(self.images[:, side]) for side in all_pairs(self.atoms.shape[1]).T)
        for q in range(len(positions)):
            out[q].index_put_((first,), pull[q], accumulate=True)
            out[q].index_put_((second,), -pull[q], accumulate=True)
            diagonal = charges[q][..., None, None] * torch.eye(3, dtype=out.dtype)
            out[q].index_put_((torch.from_numpy(self.images),), diagonal, accumulate=True)


def squared_distances(x: "Tensor", X: "Tensor") -> "Tensor":
    """(..., R) of descriptors x (..., P) from rows X (R, P)."""
    return (x * x).sum(-1)[..., None] + (X * X).sum(-1) - 2 * (x @ X.T)


@dataclass(frozen=True, eq=False)
class DipoleModel:
    """Dipole moments of molecules of the atoms `numbers` (N,).  charge, e: by how much the dipole grows per Angstrom
    that the molecule is shifted; terms: as in the head of this module."""

    numbers: np.ndarray
    charge: int
    terms: tuple[ChargeTerm, ...]

    def __post_init__(self) -> None:
        if any(term.atoms.min() < 0 or term.atoms.max() >= len(self.numbers) for term in self.terms):
            raise UsageError("dipoles: their charges are those of other atoms; train them again.")

    def __repr__(self) -> str:
        rows = sum(len(term.X) for term in self.terms)
        return f"DipoleModel({len(self.numbers)} atoms, {len(self.terms)} terms of {rows} rows, charge {self.charge})"

    @cached_property
    def weights(self) -> np.ndarray:
        """Shares (N,) of the atoms in the mass."""
        from ase.data import atomic_masses

        masses = atomic_masses[self.numbers]
        return masses / masses.sum()

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Dipoles (Q, 3), e*Angstrom, of structures positions (Q, N, 3), Angstrom.  Raises UsageError for another
        shape, DataError for positions that are not finite."""
        structures = self.checked(positions)
        found = torch.from_numpy(self.of_charge(structures))
        for rows in self._blocks(len(structures)):
            part = torch.from_numpy(structures[rows])
            for term in self.terms:
                found[rows] += term.moments(part)
        return found.numpy()

    def gradients(self, positions: np.ndarray) -> np.ndarray:
        """Derivatives (Q, 3, N, 3) of the dipole, e: component by component of mu, then of every atom's position.
        Raises what a call does."""
        structures = self.checked(positions)
        own = self.charge * self.weights[:, None, None] * np.eye(3)
        found = torch.from_numpy(np.tile(own, (len(structures), 1, 1, 1)))
        for rows in self._blocks(len(structures)):
            part = torch.from_numpy(structures[rows])
            for term in self.terms:
                term.add_gradients(part, found[rows])
        return found.permute(0, 3, 1, 2).numpy()

    def of_charge(self, structures: np.ndarray) -> np.ndarray:
        """The part (Q, 3), e*Angstrom, of the charge at the centre of mass, of structures (Q, N, 3)."""
        return self.charge * np.einsum("n,qnd->qd", self.weights, structures)

    def checked(self, positions: np.ndarray) -> np.ndarray:
        """Positions (Q, N, 3) in double precision, row by row.  Raises what a call does."""
        structures = np.ascontiguousarray(positions, dtype=np.float64)
        if structures.ndim != 3 or structures.shape[1:] != (len(self.numbers), 3):
            wanted = f"(structures, {len(self.numbers)}, 3)"
            raise UsageError(f"positions: shape {np.shape(positions)}, but the model needs {wanted}.")
        refuse_infinite(structures)
        return structures

    def _blocks(self, n: int) -> Iterator[slice]:
        """Structures worked on together."""
        most = max((len(term.images) * (4 * len(term.X) + 9 * term.X.shape[1]) for term in self.terms), default=1)
        step = max(1, BLOCK // most)
        return (slice(start, start + step) for start in range(0, n, step))
