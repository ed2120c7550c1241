"""The covariance of the training labels as an operator: products without the matrix, columns when they are wanted."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gossamer.backends.numba import _covariance
from gossamer.backends.numba.single import BatchEvaluator, is_compiled
from gossamer.backends.torch import covariance as on_device
from gossamer.backends.torch.kernel_sum import (
    TrainingRows,
    contract,
    fold_images,
    permuted_rows,
    radial_factors,
    rows_per_block,
    squared_distances,
)
from gossamer.devices import block_bytes, on_host
from gossamer.fitting.labels import LabelLayout, blocks_of
from gossamer.fitting.parallel import ALONE, Ranks, Shards
from gossamer.kernels import Profile, compiled_form
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class KernelOperator:
    """K = sum_t amplitude_t K_t + noise I over the labels of M structures of N atoms.

    Vectors are flat, n = 3NM force components (structure, atom, axis), then M energies when `energies` is set.
    Rows are worked on in the shards of fitting.parallel, and each rank does its own; vectors are whole on every rank.
    Small terms are summed by the compiled code of single structures (model.single), the others in matrix products.
    cached: per own shard and term the radial factors (H*rows, M*L) that products take, if they fit the memory given to
    `build`, else None.
    """

    pairs: PairSet
    terms: tuple[Term, ...]
    x: "Tensor"
    dx: "Tensor"
    rows: tuple[TrainingRows, ...]
    cached: tuple[tuple[Profile | None, ...], ...]
    shards: Shards
    noise: float
    energies: bool = False

    @classmethod
    def build(
        cls,
        terms: tuple[Term, ...],
        pairs: PairSet,
        positions: "Tensor",
        noise: float,
        *,
        energies: bool = False,
        cache_bytes: float = 2e9,
        ranks: Ranks = ALONE,
    ) -> "KernelOperator":
        """positions (M, N, 3) Angstrom; noise: variance added to the diagonal, in units of the scaled labels;
        cache_bytes: for the factors of this rank's rows."""
        x, dx = pairs.forward(positions)
        rows = tuple(TrainingRows.build(term.gather(x), term.perms) for term in terms)
        shards = Shards.of(LabelLayout(len(positions), pairs.n_atoms, blocks_of(energies)), ranks)
        cached: list[list[Profile | None]] = [[] for _ in shards.own]
        for term, row in zip(terms, rows, strict=True):
            if on_host(dx) and is_compiled(term):
                for kept in cached:
                    kept.append(None)
                continue
            mine = [_rows_of(term, shards.structures[s]) for s in shards.own]
            need = (3 if energies else 2) * 8 * len(term.perms) * sum(map(len, mine)) * len(row)
            for kept, span in zip(cached, mine, strict=True):
                kept.append(_all_factors(term, row, span, energies) if need <= cache_bytes else None)
            cache_bytes -= need if need <= cache_bytes else 0
        return cls(pairs, terms, x.contiguous(), dx, rows, tuple(map(tuple, cached)), shards, noise, energies)

    @property
    def is_compiled(self) -> bool:
        """Whether compiled code makes columns, diagonal and matrix: on the CPU, for kernels that it has."""
        return on_host(self.dx) and all(term.kernel.form is not None for term in self.terms)

    @property
    def n_structures(self) -> int:
        return len(self.dx)

    @property
    def n_forces(self) -> int:
        return 3 * self.pairs.n_atoms * self.n_structures

    @property
    def size(self) -> int:
        return self.n_forces + (self.n_structures if self.energies else 0)

    def coefficients(self, v: "Tensor") -> "list[tuple[Tensor, Tensor | None]]":
        """Per term the descriptor coefficients V (M*L, P) and energy coefficients w (M*L,) or None of v (n,)."""
        a = v[: self.n_forces].view(self.n_structures, -1, 3)
        pushed = -self.pairs.push(self.dx, a)
        w = v[self.n_forces :] if self.energies else None
        return [(term.gather(pushed), None if w is None else w.repeat_interleave(term.n_places)) for term in self.terms]

    def __matmul__(self, v: "Tensor") -> "Tensor":
        """K v for v (n,)."""
        coefficients, spans = self.coefficients(v), [self.shards.structures[s] for s in self.shards.own]
        parts = [
            self._shard_product(span, cached, coefficients, *sums)
            for span, cached, sums in zip(spans, self.cached, self._small_sums(spans, coefficients), strict=True)
        ]
        return self.shards.join(parts).add_(v, alpha=self.noise)

    @cached_property
    def _small(self) -> BatchEvaluator:
        """The terms that compiled code sums, laid out, their coefficients to come."""
        if not on_host(self.dx):
            return BatchEvaluator((False,) * len(self.terms), None)
        none = TermCoefficients(np.zeros((0, 1)), np.zeros((0, 1)))
        held = (
            TermCoefficients((rows.centred + rows.shift).numpy(), np.zeros(rows.centred.shape))
            if is_compiled(term)
            else none
            for term, rows in zip(self.terms, self.rows, strict=True)
        )
        return BatchEvaluator.build(self.terms, tuple(held))

    def _small_sums(self, spans: list[range], coefficients) -> "list[tuple[Tensor, Tensor]]":
        """At the structures of every span the energies (m,) and descriptor gradients (m, P) of compiled terms."""
        structures, sizes = [s for span in spans for s in span], [len(span) for span in spans]
        e, g = self.dx.new_zeros(len(structures)), self.dx.new_zeros((len(structures), len(self.pairs)))
        if self._small.flat is not None:
            loaded = self._small.with_coefficients(
                [(V.numpy(), None if w is None else w.numpy()) for V, w in coefficients]
            )
            loaded.add(self.x[structures].numpy(), e.numpy(), g.numpy(), torch.get_num_threads())
        return list(zip(e.split(sizes), g.split(sizes), strict=True))

    def _shard_product(
        self, span: range, cached: tuple[Profile | None, ...], coefficients, e: "Tensor", g: "Tensor"
    ) -> "Tensor":
        """The rows of one shard of (K - noise I) v, forces of its structures, then their energies, from what compiled
        terms give, e (m,) and g (m, P), to which the others are added."""
        dx = self.dx[span.start : span.stop]
        for done, term, rows, factors, (V, w) in zip(
            self._small.holds, self.terms, self.rows, cached, coefficients, strict=True
        ):
            if done:
                continue
            part_e, part_g = _product(term, rows, _rows_of(term, span), factors, V, w)
            term.scatter(part_g.mul_(term.amplitude), g)
            if part_e is not None:
                e += part_e.mul_(term.amplitude).view(len(span), -1).sum(1)
        forces = -self.pairs.pull(dx, g).view(-1)
        return torch.cat([forces, e]) if self.energies else forces

    def columns(self, chosen: np.ndarray) -> "Tensor":
        """Columns `chosen` (C,) of K without the noise, as a matrix (n, C), whole on this rank."""
        if not self.is_compiled:
            (rows,) = self.columns_on_device(chosen, [range(self.n_structures)])
            return rows.T
        ((forces, energies, order),) = self._columns(chosen, [range(self.n_structures)])
        if not self.energies and np.all(np.diff(order) == 1):
            return torch.from_numpy(forces.reshape(self.size, -1))
        result = np.empty((self.size, len(chosen)))
        result[: self.n_forces, order] = forces.reshape(self.n_forces, -1)
        result[self.n_forces :, order] = energies
        return torch.from_numpy(result)

    def own_columns(self, chosen: np.ndarray) -> "list[Tensor]":
        """`columns`, transposed: for every own shard the rows of these columns that it holds, (C, labels)."""
        spans = [self.shards.structures[s] for s in self.shards.own]
        if not self.is_compiled:
            return list(self.columns_on_device(chosen, spans))
        parts = []
        for forces, energies, order in self._columns(chosen, spans):
            n_forces = forces.shape[0] * forces.shape[1]
            part = self.dx.new_empty((len(chosen), n_forces + len(energies)))
            part.numpy()[order, :n_forces] = forces.reshape(n_forces, -1).T
            part.numpy()[order, n_forces:] = energies.T
            parts.append(part)  # torch's memory is aligned, and products of numpy's would vary with its address
        return parts

    def _columns(self, chosen: np.ndarray, spans: list[range]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each span of structures, the rows of the columns chosen[order] as forces (m, 3N, C) and energies (m, C),
        (0, C) where energies are no labels, and `order` (C,)."""
        n3 = 3 * self.pairs.n_atoms
        order, groups = self._grouped(chosen)
        flat = list(self._flat())
        for span in spans:
            forces = np.zeros((len(span), n3, len(chosen)))
            energies = np.zeros((len(span) if self.energies else 0, len(chosen)))
            for term, X in flat:
                arrays = (X, self.dx.numpy(), self.pairs.pairs, span.start, forces, energies)
                _covariance.covariance_columns(*groups, term, *arrays, torch.get_num_threads())
            yield forces, energies, order

    def diagonal(self) -> "Tensor":
        """Diagonal (n,) of K without the noise."""
        if not self.is_compiled:
            return self.diagonal_on_device()
        out = np.zeros((self.n_structures, 3 * self.pairs.n_atoms + 1))
        for term, X in self._flat():
            _covariance.covariance_diagonal(term, X, self.dx.numpy(), self.pairs.pairs, out, torch.get_num_threads())
        forces, energies = out[:, :-1].ravel(), out[:, -1]
        return torch.from_numpy(np.concatenate([forces, energies]) if self.energies else forces)

    def columns_on_device(self, chosen: np.ndarray, spans: list[range]) -> "Iterator[Tensor]":
        """For each span of structures the rows of the columns `chosen` (C,), transposed, (C, labels): in array
        operations, on any device."""
        order, groups = self._grouped(chosen)
        labels = on_device.LabelGroup.grouped(*groups, self.pairs.n_atoms, self.dx.device)
        tables = list(self._tables())
        for span in spans:
            forces = self.dx.new_zeros((len(chosen), len(span), self.pairs.n_atoms, 3))
            energies = self.dx.new_zeros((len(chosen), len(span))) if self.energies else None
            for term, X in tables:
                on_device.add_columns(term, X, self.dx, span, labels, forces, energies)
            rows = forces.view(len(chosen), -1)
            rows = rows if energies is None else torch.cat([rows, energies], 1)
            yield rows if np.all(np.diff(order) == 1) else rows[np.argsort(order)]

    def diagonal_on_device(self) -> "Tensor":
        """`diagonal` in array operations, on any device."""
        out = self.dx.new_zeros((self.n_structures, 3 * self.pairs.n_atoms + 1))
        for term, X in self._tables():
            on_device.add_diagonal(term, X, self.dx, out)
        forces = out[:, :-1].reshape(-1)
        return torch.cat([forces, out[:, -1]]) if self.energies else forces

    def lower_triangle(self) -> "Tensor":
        """The lower triangle of the matrix (n, n) without the noise; what stands above it has no meaning."""
        if not self.is_compiled:
            return self.columns(np.arange(self.size))
        out = self.dx.new_zeros((self.size, self.size))
        for term, X in self._flat():
            arrays = (X, self.dx.numpy(), self.pairs.pairs, out.numpy())
            _covariance.covariance_matrix(term, *arrays, self.energies, torch.get_num_threads())
        return out

    def _grouped(self, chosen: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Labels `chosen` (C,) ordered by structure and component: the order (C,), then structures (G,), where each
        one's labels start (G+1,), and all components (C,), 3N for an energy."""
        n3 = 3 * self.pairs.n_atoms
        is_energy = chosen >= self.n_forces
        structure = np.where(is_energy, chosen - self.n_forces, chosen // n3)
        component = np.where(is_energy, n3, chosen % n3)
        order = np.lexsort((component, structure))
        structures, starts = np.unique(structure[order], return_index=True)
        return order, (structures, np.append(starts, len(chosen)), component[order])

    def _flat(self):
        for term, X in zip(self.terms, self._descriptors(), strict=True):
            yield flat_term(term, self.pairs), X.numpy()

    def _tables(self):
        for term, X in zip(self.terms, self._descriptors(), strict=True):
            slots, signs = incident_slots(term, self.pairs)
            yield on_device.DeviceTerm.build(term, self.pairs, slots, signs, self.dx.device), X

    def _descriptors(self) -> "Iterator[Tensor]":
        """Per term its descriptors (M, L, P)."""
        for term, rows in zip(self.terms, self.rows, strict=True):
            yield (rows.centred + rows.shift).view(self.n_structures, term.n_places, -1)


def flat_term(term: Term, pairs: PairSet) -> tuple:
    """A term as plain arrays for compiled code: places, perms, weights, incident slots and their signs, kernel form,
    amplitude."""
    slots, signs = incident_slots(term, pairs)
    return term.places, term.perms, term.weights, slots, signs, *compiled_form(term.kernel), term.amplitude


def incident_slots(term: Term, pairs: PairSet) -> tuple[np.ndarray, np.ndarray]:
    """Per place and atom the slots (L, N, D) whose pair contains the atom, and the sign of its gradient there (0 ends
    the list)."""
    tables = [pairs.keep(place).incidence for place in term.places]
    width = max(signs.shape[1] for _, signs in tables)
    incident = np.zeros((term.n_places, pairs.n_atoms, width), np.int64)
    signs = np.zeros((term.n_places, pairs.n_atoms, width))
    for place, (slot, sign) in enumerate(tables):
        incident[place, :, : slot.shape[1]], signs[place, :, : slot.shape[1]] = slot, sign
    return incident, signs


def _factors(term: Term, rows: TrainingRows, start: int, stop: int) -> Profile:
    queries = permuted_rows(rows.centred[start:stop], term.perms)
    return radial_factors(term.kernel, squared_distances(queries, rows))


def _rows_of(term: Term, structures: range) -> range:
    """The rows of a term that belong to these structures."""
    return range(structures.start * term.n_places, structures.stop * term.n_places)


def _all_factors(term: Term, rows: TrainingRows, span: range, energies: bool) -> Profile:
    """Radial factors of the training rows `span`, row-blocked to keep temporaries small; k0 only when asked for."""
    shape = (len(term.perms) * len(span), len(rows))
    k1, k2 = rows.centred.new_empty(shape), rows.centred.new_empty(shape)
    k0 = rows.centred.new_empty(shape if energies else (0, 0))
    step = rows_per_block(len(rows), len(term.perms), block_bytes(k1.device))
    for start in range(0, len(span), step):
        stop = min(start + step, len(span))
        part = _factors(term, rows, span[start], span.start + stop)
        at = slice(start * len(term.perms), stop * len(term.perms))
        k1[at], k2[at] = part.k1, part.k2
        if energies:
            k0[at] = part.k0
    return Profile(k0, k1, k2)


def _product(
    term: Term, rows: TrainingRows, span: range, cached: Profile | None, V: "Tensor", w: "Tensor | None"
) -> "tuple[Tensor | None, Tensor]":
    """Energies (m,) (None without w) and descriptor gradients (m, P) of one term at m = len(span) of its own training
    rows."""
    H = len(term.perms)
    gradients = rows.centred.new_empty((len(span), rows.centred.shape[1]))
    energies = None if w is None else rows.centred.new_empty(len(span))
    step = rows_per_block(len(rows), H, block_bytes(gradients.device))
    for start in range(0, len(span), step):
        stop = min(start + step, len(span))
        if cached is None:
            factors = _factors(term, rows, span[start], span.start + stop)
        else:
            factors = Profile(*(k[start * H : stop * H] if len(k) else k for k in cached))
        queries = permuted_rows(rows.centred[span.start + start : span.start + stop], term.perms)
        e, g = fold_images(*contract(factors, queries, rows, V, w, energies=w is not None), term.perms)
        gradients[start:stop] = g
        if energies is not None and e is not None:
            energies[start:stop] = e
    return energies, gradients


def assemble(
    K: KernelOperator, v: "Tensor", numbers: np.ndarray, scale: float, constant: float, provenance: dict[str, Any]
) -> ForceField:
    """The force field of coefficients v (n,) of the operator K."""
    coefficients = tuple(
        TermCoefficients(
            (rows.centred + rows.shift).cpu().numpy(), V.cpu().numpy(), None if w is None else w.cpu().numpy()
        )
        for rows, (V, w) in zip(K.rows, K.coefficients(v), strict=True)
    )
    return ForceField(numbers, K.pairs, K.terms, coefficients, constant, scale, provenance, str(K.dx.device))
