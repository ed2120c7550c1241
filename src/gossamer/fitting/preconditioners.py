"""Low-rank preconditioners.  Columns are chosen by randomly pivoted Cholesky (Chen, Epperly, Tropp, Webber 2022)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.errors import FitError
from gossamer.events import Event, Progress, silent
from gossamer.fitting.parallel import Ranks, Shards

if TYPE_CHECKING:
    from torch import Tensor

    from gossamer.fitting.operator import KernelOperator

PIVOT_STRUCTURES = 32
SINGLE_UP_TO = 3e8  # trace over shift up to which the factor may be kept in float32 (docs/decisions/0006)
SINGLE_FROM = 2**24  # numbers in the factor from which on it is worth it
SINGLE_DAMPING = 1e-6  # relative; keeps the inverse positive where float32 has rounded the largest eigenvalues


@dataclass(frozen=True, eq=False)
class Nystrom:
    """P = F^T F + B^T B + shift I, applied inverted by the Woodbury identity.

    F (m, n) rows of a partial Cholesky factor of K; `remaining` is the trace of K - F^T F over n.  B (r, n) rows that
    stand for what is added to K, if anything is; what they leave of it is not in `remaining`.  The shift is that mean
    remaining variance plus the noise: with the noise alone the directions outside F, far from negligible, would be
    blown up by remaining/noise (measured in docs/decisions/0003-solver.md)."""

    factor: "tuple[Tensor, ...]"  # of every own shard (fit.parallel) the columns (m, labels) of F; maybe in float32
    added: "tuple[Tensor, ...]"  # the same of the rows (r, labels) beside F
    shards: Shards
    gram: "Tensor"  # lower triangle of F F^T (m, m)
    cholesky: "Tensor"  # of the gram matrix of all rows, and the shift (m + r, m + r)
    shift: float
    remaining: float
    noise: float
    chosen_for: float  # the noise when the columns were chosen, on which their precision may depend

    @classmethod
    def build(cls, K: "KernelOperator", n_columns: int, *, seed: int, progress: Progress = silent) -> "Nystrom":
        """Choose `n_columns` columns of K and factorise.  Cost: 2 n m^2 operations and n m numbers of memory, both
        divided by the number of ranks."""
        factor, remaining = pivoted_cholesky(K, n_columns, seed=seed, progress=progress)
        return cls.from_factor(factor, K.shards, remaining, K.noise)

    @classmethod
    def from_factor(cls, factor: "tuple[Tensor, ...]", shards: Shards, remaining: float, noise: float) -> "Nystrom":
        """Of the rows of a partial Cholesky factor, each own shard's part of them."""
        gram, added = _gram(factor, shards), tuple(F[:0] for F in factor)
        cholesky, shift = _inner(gram, factor, shards, remaining, noise)
        return cls(factor, added, shards, gram, cholesky, shift, remaining, noise, noise)

    def beside(self, rows: "Tensor", noise: float) -> "Nystrom":
        """The same columns for the system K + rows^T rows with another noise, rows (r, n) whole on every rank; takes
        the place of what stood beside the columns before."""
        if not len(rows) and noise == self.noise and len(self.cholesky) == len(self.gram):
            return self
        added = tuple(
            part.to(F.dtype).contiguous() for F, part in zip(self.factor, self.shards.split(rows), strict=True)
        )
        gram = _bordered(self.gram, self.factor, added, self.shards, len(rows)) if len(rows) else self.gram
        cholesky, shift = _inner(gram, self.factor, self.shards, self.remaining, noise)
        return replace(self, added=added, cholesky=cholesky, shift=shift, noise=noise)

    def __call__(self, r: "Tensor") -> "Tensor":
        """P^-1 r for r (n,)."""
        m, held = len(self.gram), list(zip(self.factor, self.added, self.shards.split(r), strict=True))
        projected = (torch.cat([rows @ part.to(F.dtype) for rows in (F, B)]).double() for F, B, part in held)
        u = torch.cholesky_solve(self.shards.sum(projected, (len(self.cholesky),))[:, None], self.cholesky)[:, 0]
        return self.shards.join(
            [(part - F.T @ u[:m].to(F.dtype) - B.T @ u[m:].to(F.dtype)).div_(self.shift) for F, B, part in held]
        )


def _gram(factor: "tuple[Tensor, ...]", shards: Shards, block: int = 512) -> "Tensor":
    """Lower triangle of F F^T (m, m); the blocks above the diagonal are not computed, and stay zero."""
    m = int(shards.ranks.agree(len(factor[0]) if factor else 0)[0])  # a rank without shards does not know it
    out = torch.zeros((m, m), dtype=torch.float64, device=factor[0].device if factor else None)
    for start in range(0, m, block):
        tiles = ((F[start:] @ F[start : start + block].T).double() for F in factor)
        out[start:, start : start + block] = shards.sum(tiles, (m - start, min(block, m - start)))
    return out


def _bordered(
    gram: "Tensor", factor: "tuple[Tensor, ...]", added: "tuple[Tensor, ...]", shards: Shards, r: int
) -> "Tensor":
    """Lower triangle (m + r, m + r) of the gram matrix of F and of r rows beside it, from that of F (m, m)."""
    m = len(gram)
    out = gram.new_zeros((m + r, m + r))
    out[:m, :m] = gram
    out[m:, :m] = shards.sum(((B @ F.T).double() for F, B in zip(factor, added, strict=True)), (r, m))
    out[m:, m:] = shards.sum(((B @ B.T).double() for B in added), (r, r))
    return out


def _inner(
    gram: "Tensor", factor: "tuple[Tensor, ...]", shards: Shards, remaining: float, noise: float
) -> "tuple[Tensor, float]":
    """The Cholesky factor of a gram matrix and the shift, remaining + noise, on its diagonal; and the shift, raised
    where it would vanish beside it."""
    inner = gram.clone()
    shift = max(remaining + noise, 1e-13 * float(inner.diagonal().sum()) / shards.layout.size)
    if any(F.dtype == torch.float32 for F in factor):
        inner.mul_(1 + SINGLE_DAMPING)
    inner.diagonal().add_(shift)
    cholesky, info = torch.linalg.cholesky_ex(inner)
    if info:
        raise FitError(f"noise: {noise:g} is too small for the preconditioner; raise --noise tenfold.")
    return shards.ranks.from_first(cholesky), shift


def pivoted_cholesky(
    K: "KernelOperator", n_columns: int, *, seed: int, progress: Progress = silent
) -> "tuple[tuple[Tensor, ...], float]":
    """Partial Cholesky factor F (m, n), K ~ F^T F, as the columns of the own shards, and the mean of the diagonal it
    leaves.

    Pivots are drawn in blocks with probability proportional to the remaining diagonal, within a block from a few
    structures only, since columns of one structure share most of their cost; a pivot whose remaining variance
    vanished within its block is dropped, so m can end a little under n_columns.  All ranks draw the same.
    After a quarter of the columns a large factor goes on in float32, half the memory and half the time, if what the
    columns will leave can hide its rounding."""
    rng = np.random.default_rng(seed)
    shards = K.shards
    left = shards.ranks.from_first(K.diagonal())
    total = float(left.sum())
    if not np.isfinite(total) or total <= 0:
        raise FitError("training: the kernel matrix has no positive diagonal; check the positions for repeated atoms.")
    n_columns = min(n_columns, K.size)
    factor = [left.new_empty((n_columns, len(shards.labels[s]))) for s in shards.own]
    block = max(16, min(256, n_columns // 8))
    done = 0
    large = n_columns * K.size >= SINGLE_FROM
    while done < n_columns and float(left.sum()) > 1e-13 * total:
        pivots = _draw(K, left.clamp_min(0).cpu().numpy(), min(block, n_columns - done), rng)
        new = K.own_columns(pivots)
        if done:
            before = shards.pick([F[:done] for F in factor], pivots, done).T
            for k, F in enumerate(factor):
                new[k] = new[k].to(F.dtype).addmm_(before.to(F.dtype).contiguous(), F[:done], alpha=-1)
        turn = _orthogonaliser(shards.pick(new, pivots, len(pivots)), float(left[pivots].max()), shards.ranks)
        new = [turn.to(rows.dtype) @ rows for rows in new]
        for F, rows in zip(factor, new, strict=True):
            F[done : done + len(turn)] = rows
        left -= shards.join([(rows * rows).sum(0).double() for rows in new])
        left[pivots] = 0
        quarter = done < n_columns / 4 <= done + len(turn)
        if large and quarter and total < SINGLE_UP_TO * _expected_shift(K, left):
            for k, F in enumerate(factor):
                factor[k] = F.new_empty(F.shape, dtype=torch.float32)
                factor[k][: done + len(turn)] = F[: done + len(turn)]
        done += len(turn)
        progress(Event("precondition", done, n_columns, "choosing columns"))
    return tuple(F[:done] for F in factor), max(float(left.clamp_min(0).sum()), 0.0) / K.size


def _expected_shift(K: "KernelOperator", left: "Tensor") -> float:
    """The least shift that may be met: a quarter of the columns chosen leave at most ten times what all will leave."""
    return 0.1 * max(float(left.clamp_min(0).sum()), 0.0) / K.size + K.noise


def _draw(K: "KernelOperator", weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """At most `count` labels, drawn by weight from PIVOT_STRUCTURES structures that were themselves drawn by weight."""
    owner = K.shards.layout.owners
    by_structure = np.bincount(owner, weights, K.n_structures)
    n_structures = min(PIVOT_STRUCTURES, int(np.count_nonzero(by_structure)))
    chosen = rng.choice(K.n_structures, n_structures, replace=False, p=by_structure / by_structure.sum())
    weights = np.where(np.isin(owner, chosen), weights, 0.0)
    count = min(count, int(np.count_nonzero(weights)))
    return np.sort(rng.choice(K.size, count, replace=False, p=weights / weights.sum()))


def _orthogonaliser(gram: "Tensor", scale: float, ranks: Ranks) -> "Tensor":
    """The matrix that makes rows of residual covariance gram (C, C) orthonormal under it, directions below rounding
    dropped.  It is that of rank 0."""
    values, vectors = torch.linalg.eigh((gram + gram.T) / 2)
    both = ranks.from_first(torch.cat([values[None], vectors]))
    values, vectors = both[0], both[1:]
    good = values > 1e-10 * scale
    return (vectors[:, good] / values[good].sqrt()).T
