"""The radial factors, compiled for numbers and for vectors of them.

What takes vectors is not cached by itself, only within its callers: an index of numba's cache would name the vector
type by its module, and could not be read once that has moved."""

import numpy as np
from numba import njit

from gossamer.kernels import radial

polynomials = njit(fastmath=True)(radial.polynomials)
exponent = njit(fastmath=True)(radial.exponent)


@njit(fastmath=True, cache=True)
def factors(s2, order, rate, norm):
    """The three radial factors at squared distance s2 (kernels.radial)."""
    q = rate * np.sqrt(s2)
    decay = norm * np.exp(exponent(q, order))
    low, middle, high = polynomials(1.0, q, order)
    square = rate * rate
    return high * decay, square * middle * decay, square * square * low * decay
