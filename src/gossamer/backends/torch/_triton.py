"""A fused CUDA twin of `kernel_sum.contract` behind its distances: one kernel from centred queries to energies and
gradients, in float64 on the tensor cores, without a (queries, training rows) matrix in memory.

Training rows stream through tiles as keys and values do in flash attention (Dao et al. 2022).  Descriptors are too
long for the registers, so the gradient of a tile of queries stays in memory and is added to by the one program that
owns it: no atomics, and two runs agree bit for bit.  Equations: kernel_sum.py and kernels.radial;
tests/contract/test_triton.py holds them together, in Triton's interpreter where there is no card."""

from types import FunctionType
from typing import TYPE_CHECKING, NamedTuple

import torch
import triton
import triton.language as tl

from gossamer.kernels import Kernel, compiled_form, radial

if TYPE_CHECKING:
    from torch import Tensor

    from gossamer.backends.rows import TrainingRows

PARTIAL_BYTES = 2**28  # gradients of parts of the training rows, summed at the end


class Tile(NamedTuple):
    """Queries, training rows and pairs that a program works on at once, and the warps that do it.  parts: programs that
    the training rows are dealt to, several when queries are few; None: as suits the sizes."""

    queries: int
    rows: int
    pairs: int
    warps: int
    parts: int | None = None


MANY, FEW = (
    Tile(64, 32, 16, 8),
    Tile(16, 32, 16, 4),
)  # queries: a batch; some replicas.  Both compile without spills (sm_90)


def _compiled(function):
    """A plain function for Triton, which wants to find its language among the function's globals."""
    return triton.jit(FunctionType(function.__code__, {**function.__globals__, "tl": tl}, function.__name__))


_polynomials, _exponent = _compiled(radial.polynomials), _compiled(radial.exponent)


@triton.jit
def _tiles(
    x, x_squares, X, X_squares, V, XV, w, numbers, e, g, n_queries, n_rows, n_pairs, rows_per_part,
    HAS_W: tl.constexpr, ORDER: tl.constexpr, Q: tl.constexpr, M: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """Energies e (parts, queries) and gradients g (parts, queries, pairs), zero before, of Q queries and one part."""
    q = tl.program_id(0).to(tl.int64) * Q + tl.arange(0, Q)
    part = tl.program_id(1).to(tl.int64)
    p = tl.arange(0, P)
    there = q < n_queries
    at_q = q[:, None] * n_pairs
    at_g = part * n_queries * n_pairs + at_q
    own = tl.load(x_squares + q, mask=there, other=0.0)
    rate, norm = tl.load(numbers), tl.load(numbers + 1)
    square = rate * rate
    energy = tl.zeros((Q,), tl.float64)
    along = tl.zeros((Q,), tl.float64)
    first = part * rows_per_part
    last = tl.minimum(first + rows_per_part, n_rows)
    for start in range(first, last, M):
        m = start + tl.arange(0, M)
        used = m < last
        at_m = m[:, None] * n_pairs
        product = tl.zeros((Q, M), tl.float64)
        a = tl.zeros((Q, M), tl.float64)
        for p0 in range(0, n_pairs, P):
            inside = p0 + p < n_pairs
            queries = tl.load(x + at_q + p0 + p, mask=there[:, None] & inside, other=0.0)
            keys = tl.load(X + at_m + p0 + p, mask=used[:, None] & inside, other=0.0)
            values = tl.load(V + at_m + p0 + p, mask=used[:, None] & inside, other=0.0)
            product = tl.dot(queries, tl.trans(keys), acc=product, input_precision="ieee", out_dtype=tl.float64)
            a = tl.dot(queries, tl.trans(values), acc=a, input_precision="ieee", out_dtype=tl.float64)
        a -= tl.load(XV + m, mask=used, other=0.0)
        s2 = own[:, None] + tl.load(X_squares + m, mask=used, other=0.0) - 2.0 * product
        arg = rate * tl.sqrt(tl.maximum(s2, 0.0))
        decay = norm * tl.exp(_exponent(arg, ORDER))  # of rows past the last, too: V, a and w are zero there
        low, middle, high = _polynomials(tl.full((Q, M), 1.0, tl.float64), arg, ORDER)
        k1 = square * middle * decay
        slope = square * square * low * decay * a
        energy += tl.sum(k1 * a, 1)
        if HAS_W:
            weight = tl.load(w + m, mask=used, other=0.0)
            energy += tl.sum(high * decay * weight, 1)
            slope += k1 * weight
        along += tl.sum(slope, 1)
        for p0 in range(0, n_pairs, P):
            inside = p0 + p < n_pairs
            keys = tl.load(X + at_m + p0 + p, mask=used[:, None] & inside, other=0.0)
            values = tl.load(V + at_m + p0 + p, mask=used[:, None] & inside, other=0.0)
            total = tl.load(g + at_g + p0 + p, mask=there[:, None] & inside, other=0.0)
            total = tl.dot(k1, values, acc=total, input_precision="ieee", out_dtype=tl.float64)
            total = tl.dot(slope, keys, acc=total, input_precision="ieee", out_dtype=tl.float64)
            tl.store(g + at_g + p0 + p, total, mask=there[:, None] & inside)
        tl.debug_barrier()  # what some threads stored, others load in the next turn
    for p0 in range(0, n_pairs, P):
        inside = p0 + p < n_pairs
        queries = tl.load(x + at_q + p0 + p, mask=there[:, None] & inside, other=0.0)
        total = tl.load(g + at_g + p0 + p, mask=there[:, None] & inside, other=0.0)
        tl.store(g + at_g + p0 + p, total - along[:, None] * queries, mask=there[:, None] & inside)
    tl.store(e + part * n_queries + q, energy, mask=there)


def fused_sum(
    kernel: Kernel,
    x: "Tensor",
    rows: "TrainingRows",
    V: "Tensor",
    w: "Tensor | None" = None,
    *,
    XV: "Tensor | None" = None,
    tile: Tile | None = None,
) -> "tuple[Tensor, Tensor]":
    """Energies (Q,) and gradients (Q, P) of centred queries x (Q, P): profile, distances and `contract` in one.

    XV as in `centred_sum`.  tile: as suits the sizes unless given."""
    n, P = x.shape
    order, rate, norm = compiled_form(kernel)
    tile = tile or (MANY if n >= 4 * MANY.queries else FEW)
    n_tiles, n_blocks = triton.cdiv(n, tile.queries), triton.cdiv(len(rows), tile.rows)
    parts = tile.parts
    if parts is None:
        parts = min(2 * _processors(x) // n_tiles, PARTIAL_BYTES // (8 * n * P))
    per_part = triton.cdiv(n_blocks, max(1, min(parts, n_blocks))) * tile.rows
    parts = triton.cdiv(len(rows), per_part)
    x, V = x.contiguous(), V.contiguous()
    e, g = x.new_empty((parts, n)), x.new_zeros((parts, n, P))
    if XV is None:
        XV = (rows.centred * V).sum(1)
    with torch.cuda.device_of(x):
        _tiles[n_tiles, parts](
            x, (x * x).sum(1), rows.centred, rows.squares, V, XV, V if w is None else w,
            x.new_tensor([rate, norm]), e, g, n, len(rows), P, per_part,
            HAS_W=w is not None, ORDER=order, Q=tile.queries, M=tile.rows, P=tile.pairs, num_warps=tile.warps,
        )  # fmt: skip
    return e.sum(0), g.sum(0)


def _processors(x: "Tensor") -> int:
    return torch.cuda.get_device_properties(x.device).multi_processor_count if x.is_cuda else 1
