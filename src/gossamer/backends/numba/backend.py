"""Compiled loops, for the CPU and the kernels that they have; matrix products, too, with a compiled pass in between."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.backends.numba import _covariance, _weighing
from gossamer.backends.numba.layout import reads_in_blocks
from gossamer.backends.products import products_around
from gossamer.backends.protocol import ChosenLabels, Structures
from gossamer.backends.rows import TrainingRows
from gossamer.kernels import Kernel, Profile, compiled_form
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

PRODUCT_BYTES = 8 * 2**20  # the two (queries, M) matrices of a block


class CompiledBackend:
    """See backends.protocol."""

    def at_once(self, term: Term) -> bool:
        return reads_in_blocks(term)

    def radial_factors(self, kernel: Kernel, s2: "Tensor") -> Profile:
        s2 = s2.contiguous()
        factors = Profile(torch.empty_like(s2), torch.empty_like(s2), torch.empty_like(s2))
        k0, k1, k2 = (factor.view(-1).numpy() for factor in factors)
        _weighing.profile(s2.view(-1).numpy(), compiled_form(kernel), k0, k1, k2, torch.get_num_threads())
        return factors

    def block_room(self, device: torch.device) -> float:
        return PRODUCT_BYTES

    def workspace(self, kernel: Kernel, x: "Tensor", n_queries: int, n_rows: int) -> "tuple[Tensor, Tensor] | None":
        return x.new_empty((n_queries, n_rows)), x.new_empty((n_queries, n_rows))

    def weigh(
        self, kernel: Kernel, products: "Tensor", a: "Tensor", squares: "Tensor", rows: TrainingRows, XV: "Tensor",
        w: "Tensor | None" = None,
    ) -> "tuple[Tensor, Tensor]":  # fmt: skip
        energies, sums = torch.empty_like(squares), torch.empty_like(squares)
        weight = np.zeros(0) if w is None else w.numpy()
        _weighing.weights(
            (products.numpy(), a.numpy()), squares.numpy(), (rows.squares.numpy(), XV.numpy(), weight),
            compiled_form(kernel), energies.numpy(), sums.numpy(), torch.get_num_threads(),
        )  # fmt: skip
        return energies, sums

    def centred_sum(
        self,
        kernel: Kernel,
        x: "Tensor",
        rows: TrainingRows,
        V: "Tensor",
        w: "Tensor | None" = None,
        *,
        XV: "Tensor",
        room: "tuple[Tensor, Tensor] | None" = None,
    ) -> "tuple[Tensor, Tensor]":
        return products_around(partial(self.weigh, kernel), x, rows, V, w, XV, room)

    def columns(
        self,
        terms: tuple[Term, ...],
        pairs: PairSet,
        left: Structures,
        right: Structures,
        labels: ChosenLabels,
        spans: Sequence[range],
        energies: bool,
    ) -> "Iterator[Tensor]":
        n3, count, groups = 3 * pairs.n_atoms, len(labels.order), labels[:3]
        flat = [_covariance.FlatTerm.of(term, pairs) for term in terms]
        sides = list(zip(flat, left.places(terms), right.places(terms), strict=True))
        for span in spans:
            forces, kept = np.zeros((len(span), n3, count)), np.zeros((len(span) if energies else 0, count))
            for term, X, other in sides:
                mine, theirs = (X.numpy(), left.dx.numpy()), (other.numpy(), right.dx.numpy())
                _covariance.covariance_columns(
                    groups, term, mine, theirs, span.start, (forces, kept), torch.get_num_threads()
                )
            n_forces = len(span) * n3
            part = left.dx.new_empty((count, n_forces + len(kept)))
            part.numpy()[labels.order, :n_forces] = forces.reshape(n_forces, -1).T
            part.numpy()[labels.order, n_forces:] = kept.T
            yield part  # torch's memory is aligned, and products of numpy's would vary with its address

    def diagonal(self, terms: tuple[Term, ...], pairs: PairSet, structures: Structures) -> "Tensor":
        out = np.zeros((structures.n, 3 * pairs.n_atoms + 1))
        for term, X in zip(terms, structures.places(terms), strict=True):
            flat, arrays = _covariance.FlatTerm.of(term, pairs), (X.numpy(), structures.dx.numpy())
            _covariance.covariance_diagonal(flat, *arrays, out, torch.get_num_threads())
        return torch.from_numpy(out)

    def lower_triangle(
        self, terms: tuple[Term, ...], pairs: PairSet, structures: Structures, energies: bool
    ) -> "Tensor":
        n = structures.n * (3 * pairs.n_atoms + energies)
        out = structures.dx.new_zeros((n, n))
        for term, X in zip(terms, structures.places(terms), strict=True):
            flat, arrays = _covariance.FlatTerm.of(term, pairs), (X.numpy(), structures.dx.numpy())
            _covariance.covariance_matrix(flat, *arrays, out.numpy(), energies, torch.get_num_threads())
        return out


COMPILED = CompiledBackend()
