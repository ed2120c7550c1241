"""Array operations: any device, any kernel; on a card a fused kernel where that should be quicker."""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.backends.products import energies_of, products_around, turn_along
from gossamer.backends.protocol import ChosenLabels, Structures
from gossamer.backends.rows import TrainingRows
from gossamer.backends.torch.covariance import ArrayTerm, LabelGroup, add_columns, add_diagonal, triangle_by_columns
from gossamer.devices import block_bytes
from gossamer.kernels import Kernel, Profile
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

# Where the fused kernel of a card takes over.  A query and a training row cost 8 P operations and, unfused, some 100
# bytes of passes over (Q, M) factors: at 50 TFLOP/s and 3 TB/s the passes weigh as much as the products at P = 200.
# An estimate from data sheets, to be measured (docs/gpu.md).
FUSED_PAIRS = 256


class ArrayBackend:
    """See backends.protocol."""

    def at_once(self, term: Term) -> bool:
        return False

    def radial_factors(self, kernel: Kernel, s2: "Tensor") -> Profile:
        return kernel.profile(s2)

    def block_room(self, device: torch.device) -> float:
        return block_bytes(device) / 4  # `weigh` makes as much again, and more

    def workspace(self, kernel: Kernel, x: "Tensor", n_queries: int, n_rows: int) -> "tuple[Tensor, Tensor] | None":
        if is_fused(kernel, x):
            return None
        return x.new_empty((n_queries, n_rows)), x.new_empty((n_queries, n_rows))

    def weigh(
        self, kernel: Kernel, products: "Tensor", a: "Tensor", squares: "Tensor", rows: TrainingRows, XV: "Tensor",
        w: "Tensor | None" = None,
    ) -> "tuple[Tensor, Tensor]":  # fmt: skip
        factors = kernel.profile(products.mul_(-2).add_(squares[:, None]).add_(rows.squares))
        a -= XV
        energies = energies_of(factors, a, w)
        turn_along(factors, a, w)
        products.copy_(factors.k1)
        return energies, a.sum(1)

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
        if is_fused(kernel, x):
            from gossamer.backends.torch._triton import fused_sum

            return fused_sum(kernel, x, rows, V, w, XV=XV)
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
        groups = LabelGroup.of(labels, pairs.n_atoms, left.dx.device)
        tables = [ArrayTerm.build(term, pairs, left.dx.device) for term in terms]
        sides = list(zip(tables, left.places(terms), right.places(terms), strict=True))
        for span in spans:
            forces = left.dx.new_zeros((len(labels.order), len(span), pairs.n_atoms, 3))
            kept = left.dx.new_zeros((len(labels.order), len(span))) if energies else None
            for term, X, other in sides:
                add_columns(term, (X, left.dx), (other, right.dx), span, groups, forces, kept)
            rows = forces.view(len(forces), -1)
            rows = rows if kept is None else torch.cat([rows, kept], 1)
            yield rows if labels.in_order else rows[np.argsort(labels.order)]

    def diagonal(self, terms: tuple[Term, ...], pairs: PairSet, structures: Structures) -> "Tensor":
        out = structures.dx.new_zeros((structures.n, 3 * pairs.n_atoms + 1))
        for term, X in zip(terms, structures.places(terms), strict=True):
            add_diagonal(ArrayTerm.build(term, pairs, out.device), X, structures.dx, out)
        return out

    def lower_triangle(
        self, terms: tuple[Term, ...], pairs: PairSet, structures: Structures, energies: bool
    ) -> "Tensor":
        return triangle_by_columns(self.columns, terms, pairs, structures, energies)


ARRAYS = ArrayBackend()


def is_fused(kernel: Kernel, x: "Tensor") -> bool:
    """Whether `centred_sum` of queries x (Q, P) is one fused kernel."""
    return (
        kernel.form is not None and x.device.type == "cuda" and x.shape[1] <= FUSED_PAIRS and _fused_runs_on(x.device)
    )


@cache
def _fused_runs_on(device: torch.device) -> bool:
    """Whether Triton is installed and the card multiplies float64 matrices (compute capability 8.0)."""
    return find_spec("triton") is not None and torch.cuda.get_device_capability(device) >= (8, 0)
