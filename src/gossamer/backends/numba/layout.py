"""Terms and their training rows as a few flat arrays, in the order in which compiled code walks through them."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gossamer.backends.numba import _places as at
from gossamer.backends.numba.irreps import AdaptedBasis
from gossamer.backends.rows import centre_of
from gossamer.kernels import compiled_form

if TYPE_CHECKING:
    from gossamer.model.force_field import TermCoefficients
    from gossamer.model.pair_functions import FlatFunctions, PairFunctions
    from gossamer.model.terms import Term

COLUMN_BYTES = 2**15  # training rows stand side by side while a block of them fits the nearest cache
LINE = 64  # bytes of a cache line
BATCH_BYTES = 2**19  # the same for many queries at once: half of a core's second cache, which all queries read again


class FlatTerms(NamedTuple):
    """Terms and their coefficients as compiled code reads them; see _step for the columns of layout."""

    layout: np.ndarray
    ints: np.ndarray
    doubles: np.ndarray
    floats: np.ndarray

    @classmethod
    def build(
        cls,
        terms: "tuple[Term, ...]",
        coefficients: "tuple[TermCoefficients, ...]",
        stored_single: "tuple[bool, ...] | None" = None,
        adapted: "tuple[AdaptedBasis, ...] | None" = None,
    ) -> "FlatTerms":
        """stored_single: which terms' rows are stored in float32, those of large terms only; None: no term's.
        adapted: the terms' bases, where they were made before."""
        layout = np.zeros((len(terms), at.COLUMNS_OF_LAYOUT), dtype=np.int64)
        ints, doubles, floats = Pool(np.int64), Pool(np.float64), Pool(np.float32)
        every = adapted or tuple(AdaptedBasis.build(term.perms) for term in terms)
        singles = stored_single or (False,) * len(terms)
        for row, term, c, own, single in zip(layout, terms, coefficients, every, singles, strict=True):
            basis, form = own.basis, compiled_form(term.kernel)
            shift = basis @ centre_of(c.X, term.perms)
            X, V = (basis @ c.X.T).T - shift, (basis @ c.V.T).T
            w = np.zeros(len(X)) if c.w is None else c.w
            row[at.SLOTS], row[at.PLACES], row[at.PERMS] = term.n_pairs, term.n_places, len(term.perms)
            row[at.DOTS], row[at.ORDER] = len(own.dots), form.order
            row[at.INTS] = ints.add(basis.indptr, term.places[:, basis.indices], own.dots)
            row[at.DOUBLES] = doubles.add(
                [form.rate, form.norm, term.amplitude], basis.data * term.weights[basis.indices], shift, own.table
            )
            if is_small(term):
                row[at.KIND], row[at.TILES] = at.COLUMNS, -(-len(X) // at.BLOCK)
                row[at.DATA] = doubles.add(_blocks(X, V, w))
                continue
            if single:
                X, V = X.astype(np.float32), V.astype(np.float32)
            row[at.KIND] = at.ROWS_SINGLE if single else at.ROWS
            row[at.TILES] = -(-len(X) // at.WIDTH)
            row[at.DATA] = (floats if single else doubles).add(_tiles(X, V))
            row[at.SCALARS] = doubles.add(_scalars(X, V, w, at.WIDTH))
        return cls(layout, ints.array(), doubles.array(), floats.array())

    @property
    def work_size(self) -> int:
        """Doubles of scratch that one thread needs."""
        return max(at.work_size(row) for row in self.layout)

    @property
    def work(self) -> int:
        """Training rows times numbers read of each for one query, roughly."""
        tiles, kind = self.layout[:, at.TILES], self.layout[:, at.KIND]
        rows = tiles * np.where(kind == at.COLUMNS, at.BLOCK, at.WIDTH)
        per_row = self.layout[:, at.SLOTS] + self.layout[:, at.PERMS]
        return int((rows * self.layout[:, at.PLACES] * per_row).sum())


def is_small(term: "Term") -> bool:
    """Whether compiled code reads a term's rows in blocks that stay in the nearest cache, or reuses them for images."""
    return term.n_images > 1 or 16 * at.BLOCK * term.n_pairs <= COLUMN_BYTES


def reads_in_blocks(term: "Term") -> bool:
    """Whether compiled code sums a term at many queries at once; the others go through matrix products."""
    return is_small(term) and 16 * at.BLOCK * term.n_pairs <= BATCH_BYTES


def flat_functions(functions: "PairFunctions | None") -> "FlatFunctions":
    """Pair functions as compiled code reads them; over no pairs where there are none."""
    if functions is not None:
        return functions.flat()
    nothing = np.zeros(0, dtype=np.int64)
    return nothing, nothing, np.zeros((0, 1)), np.zeros(5)


class Pool:
    """Arrays put one behind the other."""

    def __init__(self, dtype: type) -> None:
        self.dtype, self.size = dtype, 0
        self.parts: list[np.ndarray] = [np.zeros(0, dtype)]

    def add(self, *arrays) -> int:
        """Append the arrays, flattened, from the next cache line on; returns where the first begins."""
        self._append(np.zeros(-self.size % (LINE // np.dtype(self.dtype).itemsize), self.dtype))
        start = self.size
        for array in arrays:
            self._append(np.asarray(array, dtype=self.dtype).ravel())
        return start

    def _append(self, array: np.ndarray) -> None:
        self.parts.append(array)
        self.size += array.size

    def array(self) -> np.ndarray:
        out = aligned((self.size,), self.dtype)
        return np.concatenate(self.parts, out=out)


def aligned(shape: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
    """An empty array that begins at a cache line; a vector across two lines costs two reads."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def _filled(a: np.ndarray, rows: int) -> np.ndarray:
    """`a` with zero rows added up to `rows`."""
    return np.concatenate([a, np.zeros((rows - len(a), *a.shape[1:]), a.dtype)])


def _scalars(X: np.ndarray, V: np.ndarray, w: np.ndarray, tile: int) -> np.ndarray:
    """|X_j|^2, X_j . V_j and w_j of the rows as stored, tile by tile: (tiles, 3, tile)."""
    X, V = X.astype(np.float64), V.astype(np.float64)
    rows = -(-len(X) // tile) * tile
    scalars = np.stack([(X * X).sum(1), (X * V).sum(1), w], axis=1)
    return _filled(scalars, rows).reshape(-1, tile, 3).transpose(0, 2, 1)


def _blocks(X: np.ndarray, V: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Rows as `_blocks` reads them: (blocks, X (P) V (P) scalars (3), BLOCK)."""
    tile, P = at.BLOCK, X.shape[1]
    blocks = np.zeros((-(-len(X) // tile), 2 * P + 3, tile))
    blocks[:, :P] = _side_by_side(X, len(blocks))
    blocks[:, 2 * P] = (blocks[:, :P] ** 2).sum(1)
    load_coefficients(blocks, V, w)
    return blocks


def load_coefficients(blocks: np.ndarray, V: np.ndarray, w: np.ndarray | None) -> None:
    """Put coefficients V (M, P) and w (M,) into blocks of rows, with the scalars X_j . V_j that follow from them."""
    P = V.shape[1]
    X, kept = blocks[:, :P], blocks[:, P : 2 * P]
    kept[:] = _side_by_side(V, len(blocks))
    blocks[:, 2 * P + 1] = (X * kept).sum(1)
    if w is not None:
        blocks[:, 2 * P + 2] = _filled(w, len(blocks) * at.BLOCK).reshape(len(blocks), at.BLOCK)


def member_blocks(term: "Term", X: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Coefficients V (M, P) of training rows X (M, P) in place of the term's own: (blocks, V (P) X_j . V_j, BLOCK)."""
    basis = AdaptedBasis.build(term.perms).basis
    rows, kept = (basis @ X.T).T - basis @ centre_of(X, term.perms), (basis @ V.T).T
    with_constants = np.concatenate([kept, (rows * kept).sum(1)[:, None]], axis=1)
    return _side_by_side(with_constants, -(-len(X) // at.BLOCK))


def _side_by_side(rows: np.ndarray, n_blocks: int) -> np.ndarray:
    """Rows (M, P), filled up with zeros, as (blocks, P, BLOCK)."""
    return _filled(rows, n_blocks * at.BLOCK).reshape(n_blocks, at.BLOCK, -1).transpose(0, 2, 1)


def _tiles(X: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Rows as `_tiles` reads them: (tiles, WIDTH rows of X then of V, pairs filled up with zeros)."""
    tile = at.WIDTH
    rows, wide = (-(-n // tile) * tile for n in X.shape)
    out = np.zeros((2, rows, wide), X.dtype)
    for target, a in zip(out, (X, V), strict=True):
        target[: len(a), : a.shape[1]] = a
    return out.reshape(2, -1, tile, wide).transpose(1, 0, 2, 3)
