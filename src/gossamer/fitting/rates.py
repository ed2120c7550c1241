"""What this machine does per second, measured in a few seconds on a few structures."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.backends.choice import summed_at_once
from gossamer.backends.kernel_sum import radial_factors
from gossamer.descriptors import Descriptor
from gossamer.fitting.makeup import Makeup
from gossamer.fitting.operator import KernelOperator
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from gossamer.data.dataset import Dataset

SAMPLE = 12  # structures on which rates are measured
COMPILED_SAMPLE = 60  # the same for products of compiled code, whose overhead is not to weigh
COLUMNS_TOGETHER = 8  # of one structure, as they are drawn


@dataclass(frozen=True)
class Rates:
    """What this machine does per second, and how long blocks of this covariance take, seconds."""

    products: float  # float64 operations of matrix products
    bandwidth: float  # bytes read by a matrix-vector product
    factors: float  # radial factors made from squared distances
    elementwise: float  # factors applied in K v
    compiled: float  # seconds for a structure's share in another's force, of the terms that compiled code sums
    block: float  # seconds for all images of one block of the matrix, 3N x 3N
    strip: float  # the same for the few columns of a structure that a preconditioner asks for
    loading: float  # seconds until the compiled code of a fit is there; none when this process has used it before


def measure_rates(made: Makeup, train: "Dataset") -> Rates:
    """Measured on this machine, on a few of the structures."""
    began = time.perf_counter()
    few = train.take(np.arange(min(SAMPLE, len(train))))
    positions = torch.from_numpy(few.positions)
    K = KernelOperator.of(made.covariance(positions, False), 1e-3, cache_bytes=0)
    M, n3 = K.n_structures, 3 * train.n_atoms
    step = max(1, n3 // COLUMNS_TOGETHER)
    chosen = (np.arange(M)[:, None] * n3 + np.arange(0, step * COLUMNS_TOGETHER, step)).ravel()
    chosen = chosen[chosen < K.n_forces]
    for warm in (K.diagonal, K.lower_triangle, lambda: K.columns(chosen), lambda: K @ torch.zeros(K.size).double()):
        warm()
    loading = time.perf_counter() - began
    A = torch.randn((1024, 1024), dtype=torch.float64)
    wide, v = torch.randn((256, 2**15), dtype=torch.float64), torch.randn(2**15, dtype=torch.float64)
    s2 = torch.rand((256, 2**12), dtype=torch.float64)
    a = s2.clone()
    kernel = made.terms[0].kernel
    return Rates(
        products=2 * 1024**3 / best_seconds(lambda: A @ A),
        bandwidth=wide.nbytes / best_seconds(lambda: wide @ v),
        factors=s2.numel() / best_seconds(lambda: radial_factors(kernel, s2)),
        elementwise=s2.numel() / best_seconds(lambda: (a.mul_(s2), a.sum(1))),
        compiled=_compiled_seconds(made.terms, made.pairs, train),
        block=best_seconds(K.lower_triangle) / (M * (M + 1) / 2),
        strip=best_seconds(lambda: K.columns(chosen)) / M**2,
        loading=loading,
    )


def _compiled_seconds(terms: tuple[Term, ...], pairs: Descriptor, train: "Dataset") -> float:
    """Seconds of K v of the terms that compiled code sums, over the square of the number of structures."""
    few = train.take(np.arange(min(COMPILED_SAMPLE, len(train))))
    small = tuple(term for term in terms if summed_at_once(term, torch.device("cpu")))
    if not small:
        return 0.0
    K = KernelOperator.build(small, pairs, torch.from_numpy(few.positions), 0.0, cache_bytes=0)
    v = torch.ones(K.size, dtype=torch.float64)
    return best_seconds(lambda: K @ v) / K.n_structures**2


def best_seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Least wall time of `call` after one call that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return max(min(times), 1e-9)
