"""Pair functions: one smooth function of the distance for every class of atom pairs, shared by all of its pairs."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gossamer.descriptors import Descriptor
from gossamer.descriptors.basis import Basis
from gossamer.devices import block_bytes, on_host
from gossamer.errors import UsageError
from gossamer.model.pairs import PairSet, as_pairs

if TYPE_CHECKING:
    from torch import Tensor

FlatFunctions = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
NEED = "a function of pair distances"
STEEPEST = 500.0  # exponent of a Gaussian over the one beside the middle, whose exponential is a number


@dataclass(frozen=True, eq=False)
class PairFunctions:
    """E(R) = sum over pairs p of sum_b c[class(p), b] G_b(r_p),   c ~ N(0, variance of the class), b = 1 ... B.

    slots (P,): the pairs, indices into the force field's PairSet; classes (P,): the class of each, 0 ... K - 1; names:
    of the classes, for people; variances (K,): prior variances of the coefficients, over the squared scale of the
    labels (eV/Angstrom), Angstrom^2; shortest (P,): each pair's least distance in the training structures, Angstrom;
    coefficients (K, B): what training left behind, None before."""

    basis: Basis
    slots: np.ndarray
    classes: np.ndarray
    names: tuple[str, ...]
    variances: np.ndarray
    shortest: np.ndarray
    coefficients: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, kind in (("slots", np.int64), ("classes", np.int64), ("variances", float), ("shortest", float)):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=kind))
        K = len(self.names)
        if not len(self.slots) == len(self.classes) == len(self.shortest) or len(self.slots) == 0:
            raise UsageError(
                f"pair functions: {len(self.slots)} pairs, {len(self.classes)} classes and {len(self.shortest)} "
                "shortest distances given; there must be one of each for every pair, and at least one pair."
            )
        if len(np.unique(self.slots)) < len(self.slots):
            raise UsageError("pair functions: a pair stands in the list twice; name each pair once.")
        if not np.array_equal(np.unique(self.classes), np.arange(K)) or self.variances.shape != (K,):
            raise UsageError(f"pair functions: classes must be numbered 0 to {K - 1}, as their names and variances.")
        if not np.all((self.variances >= 0) & np.isfinite(self.variances)):
            raise UsageError("pair functions: variances must be finite and cannot be negative.")
        if not self.basis.steepest <= STEEPEST:
            raise UsageError(
                f"pair functions: {self.basis.size} Gaussians {self.basis.spacing:g} apart are too narrow with a width "
                f"of {self.basis.width:g} to be summed; give wider ones."
            )
        if self.coefficients is not None and self.coefficients.shape != (K, self.basis.size):
            raise UsageError(
                f"pair functions: coefficients {self.coefficients.shape} do not fit {K} classes of {self.basis.size}."
            )

    def __repr__(self) -> str:
        return f"PairFunctions({len(self.names)} classes of {len(self.slots)} pairs, to {self.basis.cutoff:g} Angstrom)"

    def require_fitted(self, n_pairs: int) -> None:
        """Raise UsageError unless there are finite coefficients, and slots among n_pairs pairs."""
        if self.slots.min() < 0 or self.slots.max() >= n_pairs:
            raise UsageError(f"pair functions: they name pairs outside the model's {n_pairs}.")
        if self.coefficients is None or not np.all(np.isfinite(self.coefficients)):
            raise UsageError("pair functions: coefficients are missing, NaN or infinite; train the model again.")

    @property
    def shape(self) -> tuple[int, int]:
        """Classes and centres, (K, B)."""
        return len(self.names), self.basis.size

    def flat(self, c: np.ndarray | None = None) -> "FlatFunctions":
        """As compiled code reads them, with coefficients c (K, B), None: those of training."""
        table = np.ascontiguousarray((self.coefficients if c is None else c) * self.basis.tails)
        return self.slots, self.classes, table, self.basis.numbers

    def of_pairs(self, position: np.ndarray) -> "PairFunctions":
        """Those pairs for which position (P_all,) of their slots is not negative, in other slots, with the classes
        that are left.  Raises UsageError where none is."""
        slots = position[self.slots]
        kept = slots >= 0
        left, classes = np.unique(self.classes[kept], return_inverse=True)
        return replace(
            self, slots=slots[kept], classes=classes, names=tuple(self.names[k] for k in left),
            variances=self.variances[left], shortest=self.shortest[kept],
            coefficients=None if self.coefficients is None else self.coefficients[left],
        )  # fmt: skip

    def over(self, pairs: PairSet, kept: PairSet) -> "PairFunctions | None":
        """Of those pairs that `kept` holds, with slots in it; slots here are indices into `pairs`.  None where none is
        left."""
        position = kept.index(pairs.pairs)
        return self.of_pairs(position) if np.any(position[self.slots] >= 0) else None

    def keeps(self, pairs: Descriptor, perms: np.ndarray) -> np.ndarray:
        """Which of the atom permutations perms (S, N) take every pair to one of its class, a mask (S,); slots are
        indices into `pairs`."""
        known = np.full(len(pairs) + 1, -1)
        known[self.slots] = self.classes
        moved = as_pairs(pairs, NEED).images(perms)[:, self.slots]
        return (known[moved] == self.classes).all(axis=1)

    def sums(self, x: "Tensor", c: "Tensor | None" = None) -> "tuple[Tensor, Tensor]":
        """Energies (Q,) and dE/dx (Q, P_all) at descriptors x (Q, P_all), with coefficients c (K, B), None: those of
        training."""
        energies, g = x.new_zeros(len(x)), x.new_zeros(x.shape)
        self.add(x, energies, g, x.new_tensor(self.coefficients) if c is None else c)
        return energies, g

    def add(self, x: "Tensor", energies: "Tensor", g: "Tensor", c: "Tensor") -> None:
        """Add energies to (Q,) and dE/dx to g (Q, P_all) at descriptors x (Q, P_all), with coefficients c (K, B)."""
        import torch

        if on_host(x):
            from gossamer.descriptors import _basis

            flat = self.flat(c.numpy())
            _basis.sums(x.contiguous().numpy(), flat, energies.numpy(), g.numpy(), torch.get_num_threads())
            return
        slots, own = (torch.as_tensor(a, device=x.device) for a in (self.slots, self.classes))
        of_pairs, offsets = c[own], x.new_tensor(self.basis.offsets)
        for part in self._blocks(x):
            sums, slopes = self.basis.summed(x[part][:, slots], of_pairs, offsets)
            energies[part] += sums
            g[part].index_add_(1, slots, slopes)

    def transposed(self, x: "Tensor", pushed: "Tensor", w: "Tensor | None" = None) -> "Tensor":
        """The transpose of `sums`: by class and centre (K, B) the sum over structures x (M, P_all) and pairs of pushed
        (M, P_all) times the slopes of the functions, and of w (M,) times their values."""
        import torch

        if on_host(x):
            from gossamer.descriptors import _basis

            weights = np.zeros(len(x)) if w is None else w.contiguous().numpy()
            flat, by_x = self.flat(np.ones(self.shape)), pushed.contiguous().numpy()
            out = _basis.transposed(x.contiguous().numpy(), flat, by_x, weights, torch.get_num_threads())
            return torch.from_numpy(out * self.basis.tails)
        slots, own = (torch.as_tensor(a, device=x.device) for a in (self.slots, self.classes))
        by_pair = x.new_zeros((len(slots), self.basis.size))
        for part in self._blocks(x):
            values, slopes = self.basis(x[part][:, slots])
            by_pair += torch.einsum("mpb,mp->pb", slopes, pushed[part][:, slots])
            if w is not None:
                by_pair += torch.einsum("mpb,m->pb", values, w[part])
        return x.new_zeros(self.shape).index_add_(0, own, by_pair)

    def _blocks(self, x: "Tensor") -> "list[slice]":
        """Structures (Q, P_all) in parts whose temporaries are small enough."""
        step = max(1, int(block_bytes(x.device) // (8 * 6 * len(self.slots) * self.basis.size)))
        return [slice(start, start + step) for start in range(0, len(x), step)]
