"""The system that training solves: the covariance of the training labels with the noise on its diagonal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.backends.choice import summed_at_once
from gossamer.descriptors import Descriptor
from gossamer.fitting.covariance import Covariance
from gossamer.fitting.parallel import ALONE, Ranks, Shards
from gossamer.kernels import Profile
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.terms import Term

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class KernelOperator:
    """K = sum_t amplitude_t K_t + K_pair functions + noise I over the labels of M structures of N atoms.

    Vectors are flat, n = 3NM force components (structure, atom, axis), then M energies when they are labels.
    Rows are worked on in the shards of fitting.parallel, and each rank does its own; vectors are whole on every rank.
    cached: per own shard and term the radial factors (H*rows, M*L) that products take, if they fit the memory given to
    `build`, else None.
    """

    covariance: Covariance
    shards: Shards
    noise: float
    cached: tuple[tuple[Profile | None, ...], ...]

    @classmethod
    def build(
        cls,
        terms: tuple[Term, ...],
        pairs: Descriptor,
        positions: "Tensor",
        noise: float,
        *,
        energies: bool = False,
        cache_bytes: float = 2e9,
        ranks: Ranks = ALONE,
    ) -> "KernelOperator":
        """Of terms alone, at positions (M, N, 3) Angstrom; the other arguments: see `of`."""
        covariance = Covariance.among(terms, pairs, positions, energies)
        return cls.of(covariance, noise, cache_bytes=cache_bytes, ranks=ranks)

    @classmethod
    def of(
        cls, covariance: Covariance, noise: float, *, cache_bytes: float = 2e9, ranks: Ranks = ALONE
    ) -> "KernelOperator":
        """covariance: of the training labels with themselves; noise: variance added to the diagonal, in units of the
        scaled labels; cache_bytes: for the factors of this rank's rows."""
        shards = Shards.of(covariance.rows_layout, ranks)
        own = [shards.structures[s] for s in shards.own]
        return cls(covariance, shards, noise, _kept_factors(covariance, own, cache_bytes))

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.covariance.terms

    @property
    def pairs(self) -> Descriptor:
        return self.covariance.pairs

    @property
    def energies(self) -> bool:
        return self.covariance.energies

    @property
    def n_structures(self) -> int:
        return self.covariance.left.n

    @property
    def n_forces(self) -> int:
        return self.covariance.rows_layout.starts[1]

    @property
    def size(self) -> int:
        return self.covariance.shape[0]

    @property
    def device(self) -> "torch.device":
        return self.covariance.left.dx.device

    @property
    def ranks(self) -> Ranks:
        return self.shards.ranks

    @property
    def of_terms(self) -> "KernelOperator":
        """Without what pair functions add."""
        return replace(self, covariance=self.covariance.of_terms)

    @property
    def _own(self) -> list[range]:
        return [self.shards.structures[s] for s in self.shards.own]

    def __matmul__(self, v: "Tensor") -> "Tensor":
        """K v for v (n,)."""
        return self.shards.join(self.covariance.products(v, self._own, self.cached)).add_(v, alpha=self.noise)

    def columns(self, chosen: np.ndarray) -> "Tensor":
        """Columns `chosen` (C,) of K without the noise, as a matrix (n, C), whole on this rank."""
        (rows,) = self.covariance.columns(chosen)
        return rows.T

    def own_columns(self, chosen: np.ndarray) -> "list[Tensor]":
        """`columns`, transposed: for every own shard the rows of these columns that it holds, (C, labels)."""
        return list(self.covariance.columns(chosen, self._own))

    def diagonal(self) -> "Tensor":
        """Diagonal (n,) of K without the noise."""
        return self.covariance.diagonal()

    def function_factor(self, least: float, most: int) -> "Tensor":
        """Rows (r, n), the same on every rank, near what pair functions add (Covariance.function_factor)."""
        return self.covariance.function_factor(least, most, self.ranks.from_first)

    def lower_triangle(self) -> "Tensor":
        """The lower triangle of the matrix (n, n) without the noise; what stands above it has no meaning."""
        return self.covariance.lower_triangle()


def _kept_factors(
    covariance: Covariance, own: Sequence[range], cache_bytes: float
) -> tuple[tuple[Profile | None, ...], ...]:
    """Per span and term the radial factors that fit into cache_bytes; terms that are summed at once need none."""
    kept: list[list[Profile | None]] = [[] for _ in own]
    device, rows = covariance.left.dx.device, covariance.right.rows
    for t, term in enumerate(covariance.terms):
        n_rows = term.n_places * sum(map(len, own))
        need = covariance.rows_layout.kept_factors * 8 * len(term.perms) * n_rows * len(rows[t])
        keeps = need <= cache_bytes and not summed_at_once(term, device)
        for part, span in zip(kept, own, strict=True):
            part.append(covariance.factors(t, span) if keeps else None)
        cache_bytes -= need if keeps else 0
    return tuple(map(tuple, kept))


def assemble(
    K: KernelOperator, v: "Tensor", numbers: np.ndarray, scale: float, constant: float, provenance: dict[str, Any]
) -> ForceField:
    """The force field of coefficients v (n,) of the operator K."""
    C = K.covariance
    coefficients = tuple(
        TermCoefficients(rows.whole.cpu().numpy(), V.cpu().numpy(), None if w is None else w.cpu().numpy())
        for rows, (V, w) in zip(C.right.rows, C.coefficients(v), strict=True)
    )
    functions = C.functions
    if functions is not None:
        functions = replace(functions, coefficients=C.function_coefficients(v).cpu().numpy())
    return ForceField(
        numbers, C.pairs, C.terms, coefficients, constant, scale, provenance, str(K.device), functions=functions
    )
