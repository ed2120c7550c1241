"""Low-rank preconditioners.  Columns are chosen by randomly pivoted Cholesky (Chen, Epperly, Tropp, Webber 2022)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.errors import FitError
from gossamer.events import Event, Progress, silent

if TYPE_CHECKING:
    from torch import Tensor

    from gossamer.fit.operator import KernelOperator

PIVOT_STRUCTURES = 32


@dataclass(frozen=True, eq=False)
class Nystrom:
    """P = F^T F + shift I, applied inverted by the Woodbury identity.

    F (m, n) rows of a partial Cholesky factor of K; `remaining` is the trace of K - F^T F over n.  The shift is that
    mean remaining variance plus the noise: with the noise alone the directions outside F, far from negligible, would
    be blown up by remaining/noise (measured in docs/decisions/0003-solver.md)."""

    factor: "Tensor"
    cholesky: "Tensor"
    shift: float
    remaining: float

    @classmethod
    def build(
        cls, K: "KernelOperator", n_columns: int, *, seed: int, progress: Progress = silent, stage: str = "precondition"
    ) -> "Nystrom":
        """Choose `n_columns` columns of K and factorise.  Cost: 2 n m^2 operations and n m numbers of memory."""
        factor, remaining = pivoted_cholesky(K, n_columns, seed=seed, progress=progress, stage=stage)
        return cls.from_factor(factor, remaining, K.noise)

    @classmethod
    def from_factor(cls, factor: "Tensor", remaining: float, noise: float) -> "Nystrom":
        inner = _gram(factor)
        shift = max(remaining + noise, 1e-13 * float(inner.diagonal().sum()) / factor.shape[1])
        inner.diagonal().add_(shift)
        cholesky, info = torch.linalg.cholesky_ex(inner)
        if info:
            raise FitError(f"noise: {noise:g} is too small for the preconditioner; raise --noise tenfold.")
        return cls(factor, cholesky, shift, remaining)

    def with_noise(self, noise: float) -> "Nystrom":
        """The same columns for a system with another noise."""
        return Nystrom.from_factor(self.factor, self.remaining, noise)

    def __call__(self, r: "Tensor") -> "Tensor":
        """P^-1 r for r (n,)."""
        u = torch.cholesky_solve((self.factor @ r)[:, None], self.cholesky)[:, 0]
        return torch.addmv(r, self.factor.T, u, alpha=-1).div_(self.shift)


def _gram(factor: "Tensor", block: int = 512) -> "Tensor":
    """Lower triangle of F F^T (m, m); the blocks above the diagonal are not computed, and stay zero."""
    out = factor.new_zeros((len(factor), len(factor)))
    for start in range(0, len(factor), block):
        out[start:, start : start + block] = factor[start:] @ factor[start : start + block].T
    return out


def pivoted_cholesky(
    K: "KernelOperator", n_columns: int, *, seed: int, progress: Progress = silent, stage: str = "precondition"
) -> "tuple[Tensor, float]":
    """Partial Cholesky factor F (m, n), K ~ F^T F, and the mean of the diagonal it leaves.

    Pivots are drawn in blocks with probability proportional to the remaining diagonal, within a block from a few
    structures only, since columns of one structure share most of their cost; a pivot whose remaining variance
    vanished within its block is dropped, so m can end a little under n_columns."""
    rng = np.random.default_rng(seed)
    left = K.diagonal()
    total = float(left.sum())
    if not np.isfinite(total) or total <= 0:
        raise FitError("training: the kernel matrix has no positive diagonal; check the positions for repeated atoms.")
    n_columns = min(n_columns, K.size)
    factor = left.new_empty((n_columns, K.size))
    block = max(16, min(256, n_columns // 8))
    done = 0
    while done < n_columns and float(left.sum()) > 1e-13 * total:
        pivots = _draw(K, left.clamp_min(0).numpy(), min(block, n_columns - done), rng)
        rows = K.columns(pivots).T.contiguous()
        if done:
            rows.addmm_(factor[:done, pivots].T.contiguous(), factor[:done], alpha=-1)
        rows = _orthogonalise(rows, pivots, float(left[pivots].max()))
        factor[done : done + len(rows)] = rows
        left -= (rows * rows).sum(0)
        left[pivots] = 0
        done += len(rows)
        progress(Event(stage, done, n_columns, "choosing columns"))
    return factor[:done], max(float(left.clamp_min(0).sum()), 0.0) / K.size


def _draw(K: "KernelOperator", weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """At most `count` labels, drawn by weight from PIVOT_STRUCTURES structures that were themselves drawn by weight."""
    n3 = K.n_forces // K.n_structures
    owner = np.append(np.arange(K.n_forces) // n3, np.arange(K.size - K.n_forces))
    by_structure = np.bincount(owner, weights, K.n_structures)
    n_structures = min(PIVOT_STRUCTURES, int(np.count_nonzero(by_structure)))
    chosen = rng.choice(K.n_structures, n_structures, replace=False, p=by_structure / by_structure.sum())
    weights = np.where(np.isin(owner, chosen), weights, 0.0)
    count = min(count, int(np.count_nonzero(weights)))
    return np.sort(rng.choice(K.size, count, replace=False, p=weights / weights.sum()))


def _orthogonalise(rows: "Tensor", pivots: np.ndarray, scale: float) -> "Tensor":
    """Rows whose Gram matrix is the residual covariance rows[:, pivots], directions below rounding dropped."""
    gram = rows[:, pivots]
    values, vectors = torch.linalg.eigh((gram + gram.T) / 2)
    good = values > 1e-10 * scale
    return (vectors[:, good] / values[good].sqrt()).T @ rows
