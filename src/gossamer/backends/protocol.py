"""What a backend does."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from gossamer.backends.rows import TrainingRows
from gossamer.descriptors import Descriptor
from gossamer.kernels import Kernel, Profile
from gossamer.model.terms import Term

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Structures(NamedTuple):
    """M structures as terms see them: descriptors x (M, P_all), their gradients dx (M, P_all, ...) as the descriptor
    has them, and for every term its rows (M*L, P)."""

    x: "Tensor"
    dx: "Tensor"
    rows: tuple[TrainingRows, ...]

    @classmethod
    def of(cls, terms: tuple[Term, ...], pairs: Descriptor, positions: "Tensor") -> "Structures":
        """positions (M, N, 3), Angstrom."""
        x, dx = pairs.forward(positions)
        return cls(x.contiguous(), dx, tuple(TrainingRows.build(term.gather(x), term.perms) for term in terms))

    @property
    def n(self) -> int:
        return len(self.dx)

    def places(self, terms: tuple[Term, ...]) -> "Iterator[Tensor]":
        """Per term its descriptors (M, L, P)."""
        for term, rows in zip(terms, self.rows, strict=True):
            yield rows.whole.view(self.n, term.n_places, -1)


class ChosenLabels(NamedTuple):
    """Labels by structure: group g holds the components (0 <= c < 3N a force, 3N the energy)
    components[starts[g]:starts[g+1]] of structure structures[g], ascending.  order (C,): where they stood."""

    structures: np.ndarray
    starts: np.ndarray
    components: np.ndarray
    order: np.ndarray

    @classmethod
    def grouped(cls, structure: np.ndarray, component: np.ndarray) -> "ChosenLabels":
        """structure (C,), component (C,) of every label."""
        order = np.lexsort((component, structure))
        structures, starts = np.unique(structure[order], return_index=True)
        return cls(structures, np.append(starts, len(order)), component[order], order)

    @property
    def in_order(self) -> bool:
        return bool(np.all(np.diff(self.order) == 1))


class CovarianceBackend(Protocol):
    """How blocks of the covariance of terms are worked out.  Every method is held to tests/reference.py.

    Which one does what is chosen in backends.choice, by the kernels, the device and the descriptor `pairs`."""

    def columns(
        self,
        terms: tuple[Term, ...],
        pairs: Any,
        left: Structures,
        right: Structures,
        labels: ChosenLabels,
        spans: "Sequence[range]",
        energies: bool,
    ) -> "Iterator[Tensor]":
        """For every span of left structures (C, labels of the span): the covariance of chosen labels of the right
        structures with the forces, then, if asked for, the energies there."""

    def diagonal(self, terms: tuple[Term, ...], pairs: Any, structures: Structures) -> "Tensor":
        """(M, 3N + 1): the variance of every force component and, last, of the energy."""

    def lower_triangle(self, terms: tuple[Term, ...], pairs: Any, structures: Structures, energies: bool) -> "Tensor":
        """The lower triangle of the covariance (n, n) of all labels; what stands above it has no meaning."""


class Backend(CovarianceBackend, Protocol):
    """How the sums, too, are worked out."""

    def at_once(self, term: Term) -> bool:
        """Whether the term belongs to those that one compiled pass over all queries sums."""

    def radial_factors(self, kernel: Kernel, s2: "Tensor") -> Profile:
        """`kernel.profile(s2)`."""

    def block_room(self, device: "torch.device") -> float:
        """Bytes for the two (queries, rows) matrices of a block of `centred_sum`."""

    def workspace(self, kernel: Kernel, x: "Tensor", n_queries: int, n_rows: int) -> "tuple[Tensor, Tensor] | None":
        """Two matrices (n_queries, n_rows) for `centred_sum` to work in, where it needs them."""

    def weigh(
        self, kernel: Kernel, products: "Tensor", a: "Tensor", squares: "Tensor", rows: TrainingRows, XV: "Tensor",
        w: "Tensor | None" = None,
    ) -> "tuple[Tensor, Tensor]":  # fmt: skip
        """All that lies between the matrix products, in place.

        products x . X_j (Q, M) become k1, a = x . V_j (Q, M) becomes k2 (a - X_j . V_j) + k1 w_j, both contiguous
        float64; squares (Q,) = |x|^2, XV (M,) = X_j . V_j.  Returns by query the energies (Q,) = sum_j k1 a + k0 w and
        the sums (Q,) of the new a.  The descriptor gradient is then  k1 @ V + a @ X - x sum(a)."""

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
        """Energies (Q,) and descriptor gradients (Q, P) of centred queries x (Q, P), without images.

        XV (M,) = X_j . V_j of the centred rows; room: two matrices of at least (Q, M) to work in, if there are any."""
