"""The covariance of labels under pair functions: columns, the diagonal and the matrix (docs/theory.md, Pair functions).

Every label is a row of features in its classes, (C_pf)_ab = sum_k A_k f_ak . f_bk, and few classes touch an atom: per
class the features of all labels of M structures that it touches are a matrix (M, R, B), and what is wanted products of
such matrices.  Products of the whole covariance need none of it (`PairFunctions.sums` and `transposed`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.backends.protocol import ChosenLabels, Structures
from gossamer.devices import block_bytes, on_host
from gossamer.model.pair_functions import PairFunctions
from gossamer.model.pairs import PairSet

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class _Class:
    """The pairs of a class.  slots (P,): of the molecule's pairs; components (R,): of a structure's labels, the forces
    on the atoms of these pairs, then the energy; signs (R / 3, P): +1, -1 where an atom is the pair's first, second."""

    slots: np.ndarray
    components: np.ndarray
    signs: np.ndarray

    @classmethod
    def of(cls, slots: np.ndarray, pairs: PairSet) -> "_Class":
        ends = pairs.pairs[slots]
        atoms = np.unique(ends)
        signs = (atoms[:, None] == ends[:, 0]).astype(float) - (atoms[:, None] == ends[:, 1])
        forces = (3 * atoms[:, None] + np.arange(3)).ravel()
        return cls(slots, np.append(forces, 3 * pairs.n_atoms), signs)

    def features(self, functions: PairFunctions, x: "Tensor", dx: "Tensor") -> "Tensor":
        """Of the components of structures x (M, P_all), dx (M, P_all, 3): (M, R, B)."""
        M, B = len(x), functions.basis.size
        values, slopes = functions.basis(x[:, self.slots])
        pulls = torch.einsum("mpc,mpb->mpcb", dx[:, self.slots], slopes)
        forces = -torch.einsum("ap,mpf->maf", x.new_tensor(self.signs), pulls.view(M, len(self.slots), 3 * B))
        return torch.cat([forces.reshape(M, -1, B), values.sum(1, keepdim=True)], dim=1)


@dataclass(frozen=True, eq=False)
class FunctionCovariance:
    """What pair functions add to the covariance of structures of one molecule."""

    functions: PairFunctions
    pairs: PairSet

    @cached_property
    def _classes(self) -> list[_Class]:
        members = (np.flatnonzero(self.functions.classes == k) for k in range(len(self.functions.names)))
        return [_Class.of(self.functions.slots[mine], self.pairs) for mine in members]

    def _step(self, one: _Class, device: torch.device) -> int:
        """Structures whose features are made at once."""
        return max(1, int(block_bytes(device) // (8 * 4 * self.functions.basis.size * (3 * len(one.slots) + 1))))

    def _features(self, one: _Class, structures: Structures, chosen: "Sequence[int] | np.ndarray") -> "Tensor":
        """(len(chosen), R, B)."""
        step = self._step(one, structures.dx.device)
        blocks = [list(chosen[start : start + step]) for start in range(0, len(chosen), step)]
        return torch.cat([one.features(self.functions, structures.x[b], structures.dx[b]) for b in blocks])

    def add_columns(
        self, left: Structures, right: Structures, labels: ChosenLabels, span: range, energies: bool, out: "Tensor"
    ) -> None:
        """Add to out (C, labels of the span) the covariance of chosen labels of the right structures with the forces,
        then, if asked for, the energies, of a span of left ones."""
        n3 = 3 * self.pairs.n_atoms
        owner = np.repeat(np.arange(len(labels.structures)), np.diff(labels.starts))
        if on_host(out) and not energies:
            from gossamer.backends.numba import _functions  # compiled when it is first needed

            pairs, of_right = (*self._slopes(left, list(span)), *self._in_order), self._slopes(right, labels.structures)
            chosen, threads = (owner, labels.components, labels.order), torch.get_num_threads()
            _functions.add_columns(pairs, of_right, chosen, self.functions.variances, out.numpy(), threads)
            return
        forces = out[:, : len(span) * n3].view(len(out), len(span), n3)
        for k, one in enumerate(self._classes):
            row = np.full(n3 + 1, -1)
            row[one.components] = np.arange(len(one.components))
            touched = np.flatnonzero(row[labels.components] >= 0)
            if not len(touched):
                continue
            there = self._features(one, right, labels.structures)[owner[touched], row[labels.components[touched]]]
            here = self._features(one, left, span)
            part = self.functions.variances[k] * there @ here.view(-1, here.shape[2]).T
            part, rows = part.view(len(touched), len(span), -1), torch.as_tensor(labels.order[touched])
            forces[rows[:, None], :, torch.as_tensor(one.components[:-1])] += part[:, :, :-1].transpose(1, 2)
            if energies:
                out[rows, len(span) * n3 :] += part[:, :, -1]

    def factor(
        self, structures: Structures, energies: bool, least: float, most: int, agreed: "Callable[[Tensor], Tensor]"
    ) -> "Tensor":
        """Rows (r, n) with rows^T rows near the covariance of all labels: its principal directions class by class, the
        largest, at most `most`, of those that add more than `least` along themselves.

        agreed: what all processes take for a tensor of which each has its own, maybe with other digits and signs."""
        own, turns = self._directions(structures, energies, agreed)
        order = own.ravel().sort(descending=True, stable=True)
        taken = order.indices[: min(most, int((order.values > least).sum()))]
        kept = torch.zeros(own.numel(), dtype=torch.bool, device=own.device)
        kept[taken] = True
        n3, M = 3 * self.pairs.n_atoms, structures.n
        out = own.new_zeros((len(taken), M * (n3 + energies)))
        start = 0
        for one, turn, mine in zip(self._classes, turns, kept.view(own.shape), strict=True):
            rows = torch.einsum("mrb,bk->kmr", self._features(one, structures, range(M)), turn[:, mine])
            stop = start + len(rows)
            out[start:stop, self._flat(one, structures)] = rows[:, :, :-1].flatten(1)
            if energies:
                out[start:stop, M * n3 :] = rows[:, :, -1]
            start = stop
        return out

    def _directions(
        self, structures: Structures, energies: bool, agreed: "Callable[[Tensor], Tensor]"
    ) -> "tuple[Tensor, Tensor]":
        """By class what each principal direction adds along itself (K, B), and its features (K, B, B), in columns."""
        grams = []
        for one, variance in zip(self._classes, self.functions.variances, strict=True):
            features = self._features(one, structures, range(structures.n))
            seen = features if energies else features[:, :-1]
            grams.append(variance * torch.einsum("mrb,mrc->bc", seen, seen))
        values, vectors = torch.linalg.eigh(torch.stack(grams))
        both = agreed(torch.cat([values[:, None], vectors], dim=1))
        scales = both.new_tensor(self.functions.variances).sqrt()
        return both[:, 0], scales[:, None, None] * both[:, 1:]

    def add_diagonal(self, structures: Structures, out: "Tensor") -> None:
        """Add to out (M, 3N + 1) the variance of every force component and, last, of the energy."""
        for k, one in enumerate(self._classes):
            features = self._features(one, structures, range(structures.n))
            out[:, one.components] += self.functions.variances[k] * (features * features).sum(2)

    def add_matrix(self, structures: Structures, energies: bool, out: "Tensor") -> None:
        """Add to the lower triangle of out (n, n), or to all of it, the covariance of all labels."""
        if on_host(out):
            self._add_forces_compiled(structures, out)
        else:
            self._add_forces(structures, out)
        if energies:
            self._add_energies(structures, out)

    def _add_forces_compiled(self, structures: Structures, out: "Tensor") -> None:
        """The part of `add_matrix` between forces, on the CPU."""
        from gossamer.backends.numba import _functions  # compiled when it is first needed

        classes, every = self._classes, range(structures.n)
        columns = [one.components[:-1] for one in classes]
        features = [
            (scale * self._features(one, structures, every))[:, :-1]
            for scale, one in zip(self.functions.variances, classes, strict=True)
        ]
        pairs = (*self._slopes(structures, list(every)), *self._in_order)
        components = torch.cat(features, dim=1).numpy(), np.concatenate(columns), _starts(columns)
        _functions.add_forces(pairs, components, 3 * self.pairs.n_atoms, out.numpy(), torch.get_num_threads())

    def _add_forces(self, structures: Structures, out: "Tensor") -> None:
        """The part of `add_matrix` between forces, on any device."""
        for k, one in enumerate(self._classes):
            features = self._features(one, structures, range(structures.n))[:, :-1]
            size, flat = features.shape[1], self._flat(one, structures)
            forces = features.reshape(-1, features.shape[2])
            scaled = self.functions.variances[k] * forces.T
            for m in range(structures.n):
                mine, before = slice(m * size, (m + 1) * size), (m + 1) * size
                out[flat[mine, None], flat[:before]] += forces[mine] @ scaled[:, :before]

    def _add_energies(self, structures: Structures, out: "Tensor") -> None:
        """The part of `add_matrix` between energies and all labels."""
        first = 3 * self.pairs.n_atoms * structures.n
        for k, one in enumerate(self._classes):
            features = self._features(one, structures, range(structures.n))
            own, forces = features[:, -1], features[:, :-1].reshape(-1, features.shape[2])
            scaled = self.functions.variances[k] * own
            out[first:, self._flat(one, structures)] += scaled @ forces.T
            out[first:, first:] += scaled @ own.T

    def _flat(self, one: _Class, structures: Structures) -> "Tensor":
        """Where the force components (M * (R - 1),) that a class touches stand among those of all M structures."""
        components = 3 * self.pairs.n_atoms * np.arange(structures.n)[:, None] + one.components[:-1]
        return torch.as_tensor(components.ravel(), device=structures.dx.device)

    @cached_property
    def _slots(self) -> np.ndarray:
        """Of the pairs (P,), class by class."""
        return np.concatenate([one.slots for one in self._classes])

    @property
    def _in_order(self) -> tuple[np.ndarray, np.ndarray]:
        """The atoms (P, 2) of the pairs, class by class, and where each class begins and the last ends."""
        return self.pairs.pairs[self._slots], _starts([one.slots for one in self._classes])

    def _slopes(self, structures: Structures, chosen: "Sequence[int] | np.ndarray") -> tuple[np.ndarray, np.ndarray]:
        """Of chosen structures the slopes (m, P, B) of the functions and dx (m, P, 3) of the pairs, class by class."""
        x, dx = structures.x[chosen][:, self._slots], structures.dx[chosen][:, self._slots]
        return self.functions.basis(x)[1].numpy(), dx.numpy()


def _starts(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Where each part begins, and the last ends, when they stand one after the other."""
    return np.cumsum([0, *map(len, parts)])
