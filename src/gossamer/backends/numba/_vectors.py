"""The vectors that compiled sums are written in: those of `_simd`, or, where this machine's numba and llvmlite do not
compile them, or the environment says GOSSAMER_VECTORS=plain, single numbers (`_plain`).

Whether they compile is tried once, and numba keeps the result on disk.  It also keeps compiled functions, which do not
know which of the two they were made from; with plain numbers nothing is kept (CACHED)."""

import os
from typing import Any

import numpy as np
from numba import njit


def _compiled_vectors() -> Any:
    """The module `_simd`; None where it cannot be used."""
    if os.environ.get("GOSSAMER_VECTORS") == "plain":
        return None
    try:
        from gossamer.backends.numba import _simd
        from gossamer.backends.numba._simd import exp, fma, lane, load, root, splat, store, total, totals

        @njit(cache=True)
        def trial(x):
            a, b = load(x, 0), splat(2.0)
            c = totals(a, b, a - b, a * b + root(a))
            store(x, 0, fma(a, exp(b), c))
            return total(a) + lane(c, 0)

        trial(np.ones(_simd.WIDTH))
    except Exception:  # another numba or llvmlite may fail in any way
        return None
    return _simd


_simd = _compiled_vectors()
CACHED = _simd is not None
if _simd is not None:
    from gossamer.backends.numba._simd import WIDTH, exp, fma, lane, load, root, splat, store, total
else:
    from gossamer.backends.numba._plain import WIDTH, exp, fma, lane, load, root, splat, store, total

__all__ = ["CACHED", "WIDTH", "exp", "fma", "lane", "load", "root", "splat", "store", "total"]
