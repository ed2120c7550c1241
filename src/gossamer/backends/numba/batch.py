"""Many structures: the terms whose rows stay in a cache, summed by the code of a single one, a query a thread's."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gossamer.backends.numba import _places as at
from gossamer.backends.numba import _step
from gossamer.backends.numba.irreps import AdaptedBasis
from gossamer.backends.numba.layout import FlatTerms, aligned, load_coefficients

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from gossamer.model.force_field import TermCoefficients
    from gossamer.model.terms import Term


@dataclass(frozen=True, eq=False)
class BatchEvaluator:
    """The terms of a force field that compiled code sums at many queries at once; a query is one thread's."""

    holds: tuple[bool, ...]  # which of the force field's terms
    flat: FlatTerms | None
    bases: "tuple[csr_array, ...]" = ()  # of the held terms' slots

    @classmethod
    def build(
        cls, terms: "tuple[Term, ...]", coefficients: "tuple[TermCoefficients, ...]", holds: tuple[bool, ...]
    ) -> "BatchEvaluator":
        if not any(holds):
            return cls(holds, None)
        small = tuple(itertools.compress(terms, holds)), tuple(itertools.compress(coefficients, holds))
        adapted = tuple(AdaptedBasis.build(term.perms) for term in small[0])
        return cls(holds, FlatTerms.build(*small, adapted=adapted), tuple(a.basis for a in adapted))

    def with_coefficients(self, coefficients: "Sequence[tuple[np.ndarray, np.ndarray | None]]") -> "BatchEvaluator":
        """The same terms and rows with other coefficients V (M*L, P) and w (M*L,) or None, given for every term of the
        force field."""
        if self.flat is None:
            return self
        doubles = aligned(self.flat.doubles.shape)
        doubles[:] = self.flat.doubles
        mine = itertools.compress(coefficients, self.holds)
        for row, basis, (V, w) in zip(self.flat.layout, self.bases, mine, strict=True):
            P, tiles, start = int(row[at.SLOTS]), int(row[at.TILES]), int(row[at.DATA])
            shape = tiles, 2 * P + 3, at.BLOCK
            load_coefficients(doubles[start : start + math.prod(shape)].reshape(shape), (basis @ V.T).T, w)
        return replace(self, flat=self.flat._replace(doubles=doubles))

    def add(self, x: np.ndarray, energies: np.ndarray, g: np.ndarray, threads: int) -> None:
        """Add energies to (Q,) and their gradients to g (Q, P_all) at descriptors x (Q, P_all)."""
        if self.flat is not None:
            threads = max(1, min(threads, len(x)))
            _step.add_queries(x, tuple(self.flat), aligned((threads, self.flat.work_size)), energies, g)
