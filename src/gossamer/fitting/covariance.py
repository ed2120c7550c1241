"""The covariance between the labels of two sets of structures: products without the matrix, columns when wanted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.backends.choice import backend_of, covariance_backend, summed_at_once
from gossamer.backends.kernel_sum import centred_kernel_sum
from gossamer.backends.numba.batch import BatchEvaluator
from gossamer.backends.products import contract
from gossamer.backends.protocol import ChosenLabels, Structures
from gossamer.backends.rows import TrainingRows, fold_images, permuted_rows, rows_per_block, squared_distances
from gossamer.descriptors import Descriptor
from gossamer.devices import block_bytes
from gossamer.fitting.function_covariance import FunctionCovariance
from gossamer.fitting.labels import LabelLayout, blocks_of
from gossamer.kernels import Profile
from gossamer.model.force_field import TermCoefficients
from gossamer.model.pair_functions import NEED, PairFunctions
from gossamer.model.pairs import as_pairs
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

    Kept = Sequence[Profile | None]  # radial factors of every term that were kept


@dataclass(frozen=True, eq=False)
class Covariance:
    """C = sum_t amplitude_t C_t, and what pair functions add to it: the covariance of the labels of `left` structures
    (rows) with those of `right` ones (columns): forces (structure, atom, axis), then, where `energies` is set, one
    energy of every structure.

    queries: per term the left descriptors (M_left*L, P) less the shift of the right rows."""

    terms: tuple[Term, ...]
    pairs: Descriptor
    left: Structures
    right: Structures
    queries: "tuple[Tensor, ...]"
    energies: bool = False
    functions: PairFunctions | None = None

    @classmethod
    def of(
        cls,
        terms: tuple[Term, ...],
        pairs: Descriptor,
        left: Structures,
        right: Structures,
        energies: bool = False,
        functions: PairFunctions | None = None,
    ) -> "Covariance":
        if left is right:
            queries = tuple(rows.centred for rows in left.rows)
        else:
            queries = tuple(own.whole - other.shift for own, other in zip(left.rows, right.rows, strict=True))
        return cls(terms, pairs, left, right, queries, energies, functions)

    @classmethod
    def among(
        cls,
        terms: tuple[Term, ...],
        pairs: Descriptor,
        positions: "Tensor",
        energies: bool = False,
        functions: PairFunctions | None = None,
    ) -> "Covariance":
        """Of the labels of structures positions (M, N, 3), Angstrom, with themselves."""
        structures = Structures.of(terms, pairs, positions)
        return cls.of(terms, pairs, structures, structures, energies, functions)

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows_layout.size, self.columns_layout.size

    @cached_property
    def rows_layout(self) -> LabelLayout:
        return LabelLayout(self.left.n, self.pairs.n_atoms, blocks_of(self.energies))

    @cached_property
    def columns_layout(self) -> LabelLayout:
        return LabelLayout(self.right.n, self.pairs.n_atoms, blocks_of(self.energies))

    @property
    def T(self) -> "Covariance":
        """The covariance of the labels of `right` with those of `left`."""
        return self if self.left is self.right else Covariance.of(
            self.terms, self.pairs, self.right, self.left, self.energies, self.functions
        )  # fmt: skip

    def _pushed(self, v: "Tensor") -> "tuple[Tensor, Tensor | None]":
        """Coefficients v (n_right,) of forces in the descriptor (M, P_all), and of energies (M,) or None."""
        n_forces = self.columns_layout.starts[1]
        pushed = -self.pairs.push(self.right.dx, v[:n_forces].view(self.right.n, -1, 3))
        return pushed, v[n_forces:] if self.energies else None

    def coefficients(self, v: "Tensor") -> "list[tuple[Tensor, Tensor | None]]":
        """Per term the descriptor coefficients V (M*L, P) and energy coefficients w (M*L,) or None of v (n_right,)."""
        pushed, w = self._pushed(v)
        return [(term.gather(pushed), None if w is None else w.repeat_interleave(term.n_places)) for term in self.terms]

    def function_coefficients(self, v: "Tensor") -> "Tensor":
        """Those of the pair functions, which there must be, (K, B), of v (n_right,)."""
        assert self.functions is not None
        c = self.functions.transposed(self.right.x, *self._pushed(v))
        return c * c.new_tensor(self.functions.variances)[:, None]

    def __matmul__(self, v: "Tensor") -> "Tensor":
        """C v (n_left,) for v (n_right,)."""
        (rows,) = self.products(v, [range(self.left.n)])
        return rows

    def products(self, v: "Tensor", spans: Sequence[range], kept: "Sequence[Kept] | None" = None) -> "list[Tensor]":
        """For every span of left structures its rows of C v: forces, then energies.

        kept: for every span what `factors` gave, or None for a term whose factors are to be made again."""
        coefficients = self.coefficients(v)
        c = None if self.functions is None else self.function_coefficients(v)
        sums = self._sums_at_once(spans, coefficients, c)
        every = [[None] * len(self.terms)] * len(spans) if kept is None else kept
        return [
            self._rows(span, factors, coefficients, e, g)
            for span, factors, (e, g) in zip(spans, every, sums, strict=True)
        ]

    @cached_property
    def at_once(self) -> BatchEvaluator:
        """The terms that one compiled pass sums, laid out, their coefficients to come."""
        holds = tuple(summed_at_once(term, self.right.dx.device) for term in self.terms)
        none = TermCoefficients(np.zeros((0, 1)), np.zeros((0, 1)))
        rows = (
            TermCoefficients(rows.whole.numpy(), np.zeros(rows.centred.shape)) if held else none
            for held, rows in zip(holds, self.right.rows, strict=True)
        )
        return BatchEvaluator.build(self.terms, tuple(rows), holds)

    def _sums_at_once(self, spans: Sequence[range], coefficients, c: "Tensor | None") -> "list[tuple[Tensor, Tensor]]":
        """At the structures of every span the energies (m,) and descriptor gradients (m, P) of the terms `at_once`,
        and of the pair functions of coefficients c (K, B)."""
        structures, sizes = [s for span in spans for s in span], [len(span) for span in spans]
        dx = self.left.dx
        e, g = dx.new_zeros(len(structures)), dx.new_zeros((len(structures), len(self.pairs)))
        if self.at_once.flat is not None:
            loaded = self.at_once.with_coefficients(
                [(V.numpy(), None if w is None else w.numpy()) for V, w in coefficients]
            )
            loaded.add(self.left.x[structures].numpy(), e.numpy(), g.numpy(), torch.get_num_threads())
        if self.functions is not None and c is not None:
            self.functions.add(self.left.x[structures], e, g, c)
        return list(zip(e.split(sizes), g.split(sizes), strict=True))

    def _rows(self, span: range, kept: "Kept", coefficients, e: "Tensor", g: "Tensor") -> "Tensor":
        """Rows of a span from what the terms `at_once` give, e (m,) and g (m, P), to which the others are added."""
        parts = zip(self.at_once.holds, self.terms, self.queries, self.right.rows, kept, coefficients, strict=True)
        for done, term, queries, rows, factors, (V, w) in parts:
            if done:
                continue
            x = queries[span.start * term.n_places : span.stop * term.n_places]
            part_e: Tensor | None
            if factors is None:
                part_e, part_g = centred_kernel_sum(term.kernel, x, rows, V, w, images=term.perms)
            else:
                part_e, part_g = _with_factors(factors, x, rows, V, w, term.perms)
            term.scatter(part_g.mul_(term.amplitude), g)
            if self.energies and part_e is not None:
                e += part_e.mul_(term.amplitude).view(len(span), -1).sum(1)
        forces = -self.pairs.pull(self.left.dx[span.start : span.stop], g).view(-1)
        return torch.cat([forces, e]) if self.energies else forces

    def factors(self, t: int, span: range) -> Profile:
        """Radial factors of term t between a span of left structures and all right ones, (H*m*L, M*L); k0 only where
        energies are labels.  Made in blocks to keep temporaries small."""
        term, rows = self.terms[t], self.right.rows[t]
        queries = self.queries[t][span.start * term.n_places : span.stop * term.n_places]
        H, backend = len(term.perms), backend_of(term.kernel, queries.device)
        shape = H * len(queries), len(rows)
        k1, k2 = queries.new_empty(shape), queries.new_empty(shape)
        k0 = queries.new_empty(shape if self.energies else (0, 0))
        step = rows_per_block(len(rows), H, block_bytes(k1.device))
        for start in range(0, len(queries), step):
            part = permuted_rows(queries[start : start + step], term.perms)
            made = backend.radial_factors(term.kernel, squared_distances(part, rows))
            at = slice(start * H, start * H + len(part))
            k1[at], k2[at] = made.k1, made.k2
            if self.energies:
                k0[at] = made.k0
        return Profile(k0, k1, k2)

    def columns(self, chosen: np.ndarray, spans: Sequence[range] | None = None) -> "Iterator[Tensor]":
        """For every span of left structures (None: all, one span) the rows there of the columns `chosen` (C,),
        transposed: (C, labels of the span)."""
        labels = ChosenLabels.grouped(*self.columns_layout.located(chosen))
        spans = [range(self.left.n)] if spans is None else spans
        backend = covariance_backend(self.terms, self.pairs, self.left.dx.device)
        parts = backend.columns(self.terms, self.pairs, self.left, self.right, labels, spans, self.energies)
        for span, part in zip(spans, parts, strict=True):
            if self._added is not None:
                self._added.add_columns(self.left, self.right, labels, span, self.energies, part)
            yield part

    def diagonal(self) -> "Tensor":
        """Variance (n_left,) of the left labels."""
        backend = covariance_backend(self.terms, self.pairs, self.left.dx.device)
        out = backend.diagonal(self.terms, self.pairs, self.left)
        if self._added is not None:
            self._added.add_diagonal(self.left, out)
        forces = out[:, :-1].reshape(-1)
        return torch.cat([forces, out[:, -1]]) if self.energies else forces

    def lower_triangle(self) -> "Tensor":
        """The lower triangle of the covariance (n_left, n_left) of the left labels with themselves; what stands above
        it has no meaning."""
        backend = covariance_backend(self.terms, self.pairs, self.left.dx.device)
        out = backend.lower_triangle(self.terms, self.pairs, self.left, self.energies)
        if self._added is not None:
            self._added.add_matrix(self.left, self.energies, out)
        return out

    @property
    def of_terms(self) -> "Covariance":
        """What the terms alone give."""
        return self if self.functions is None else replace(self, functions=None)

    def function_factor(self, least: float, most: int, agreed: "Callable[[Tensor], Tensor]") -> "Tensor":
        """Rows (r, n_left), at most `most`, whose products are near what pair functions add to the covariance of the
        left labels with themselves (FunctionCovariance.factor); none without functions."""
        if self._added is None:
            return self.left.x.new_zeros((0, self.shape[0]))
        return self._added.factor(self.left, self.energies, least, most, agreed)

    @cached_property
    def _added(self) -> FunctionCovariance | None:
        """What pair functions add."""
        return None if self.functions is None else FunctionCovariance(self.functions, as_pairs(self.pairs, NEED))


def _with_factors(
    kept: Profile, x: "Tensor", rows: TrainingRows, V: "Tensor", w: "Tensor | None", images: np.ndarray
) -> "tuple[Tensor | None, Tensor]":
    """Energies (m,) (None without w) and descriptor gradients (m, P) of one term at centred queries x (m, P) whose
    factors (H*m, M) are kept."""
    H, gradients = len(images), torch.empty_like(x)
    energies = None if w is None else x.new_empty(len(x))
    step = rows_per_block(len(rows), H, block_bytes(x.device))
    for start in range(0, len(x), step):
        queries = permuted_rows(x[start : start + step], images)
        factors = Profile(*(k[start * H : start * H + len(queries)] if len(k) else k for k in kept))
        e, g = fold_images(*contract(factors, queries, rows, V, w, energies=w is not None), images)
        gradients[start : start + step] = g
        if energies is not None and e is not None:
            energies[start : start + step] = e
    return energies, gradients


def mean_variance(
    terms: tuple[Term, ...], pairs: Descriptor, positions: np.ndarray, functions: PairFunctions | None = None
) -> float:
    """Mean prior variance of a force component of the structures (Q, N, 3)."""
    C = Covariance.among(terms, pairs, torch.from_numpy(positions), functions=functions)
    return float(C.diagonal().mean())
