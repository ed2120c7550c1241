"""Compiled twins of `basis`.

With t' = t - middle, b' = b - (B - 1) / 2, spacing d and q = exp(d t' / w^2), equally spaced Gaussians are a
polynomial,

    G_b = exp(-t'^2 / 2 w^2) q^b' exp(-(d b')^2 / 2 w^2),

so that a function costs one logarithm, two exponentials and two sums of Horner's, whose coefficients hold the last
factor.
"""

import numpy as np
from numba import njit, prange

from gossamer.loops import falling, parallel_loop, use_threads

PARTS = 8  # of the structures, summed one after the other, so that no digit depends on the number of threads


@njit(fastmath=True, cache=True)
def _fall(r, inner, cutoff):
    """S and dS/dr of a distance within the cutoff."""
    if r <= inner:
        return 1.0, 0.0
    width = cutoff - inner
    fall, by_s = falling((r - inner) / width)
    return fall, by_s / width


@njit(fastmath=True, error_model="numpy", cache=True)
def add_functions(share, x, functions, g):
    """The share (part, parts) of the pairs: adds to g (P_all,) the slopes at x (P_all,), returns the energy.

    functions: slots and classes (P,), a table (K, B) of the coefficients times `Basis.tails`, and `Basis.numbers`."""
    part, parts = share
    slots, classes, table, numbers = functions
    middle, spacing, rate, inner, cutoff = numbers
    last = table.shape[1] - 1
    half = 0.5 * last
    energy = 0.0
    for k in range(part * len(slots) // parts, (part + 1) * len(slots) // parts):
        inverse = x[slots[k]]
        r = 1.0 / inverse
        if r >= cutoff:
            continue
        t = np.log(r) - middle
        q = np.exp(spacing * rate * t)
        row = table[classes[k]]
        value, slope = row[last], 0.0
        for b in range(last - 1, -1, -1):
            slope = slope * q + value
            value = value * q + row[b]
        front = np.exp(-rate * t * (0.5 * t + spacing * half))
        slope = front * rate * (spacing * (q * slope - half * value) - t * value)
        value *= front
        fall, by_r = _fall(r, inner, cutoff)
        energy += fall * value
        g[slots[k]] -= r * (fall * slope + r * by_r * value)
    return energy


@parallel_loop(fastmath=True)
def _sums(x, functions, energies, g):
    for q in prange(len(x)):
        energies[q] += add_functions((0, 1), x[q], functions, g[q])


@njit(fastmath=True, error_model="numpy", cache=True)
def add_transposed(x, functions, slopes, value, out):
    """Add to out (K, B) what one structure x (P_all,) gives to `transposed`, with its slopes (P_all,), None: zeros, and
    its value; functions: slots and classes (P,), and `Basis.numbers`."""
    slots, classes, numbers = functions
    middle, spacing, rate, inner, cutoff = numbers
    size = out.shape[1]
    half = 0.5 * (size - 1)
    for k in range(len(slots)):
        inverse = x[slots[k]]
        r = 1.0 / inverse
        if r >= cutoff:
            continue
        t = np.log(r) - middle
        q = np.exp(spacing * rate * t)
        power = np.exp(-rate * t * (0.5 * t + spacing * half))
        fall, by_r = _fall(r, inner, cutoff)
        weight = 0.0 if slopes is None else r * slopes[slots[k]]
        first = fall * value - weight * (r * by_r - fall * rate * (t + spacing * half))
        step = -weight * fall * rate * spacing
        own = out[classes[k]]
        for b in range(size):
            own[b] += (first + step * b) * power
            power *= q


@parallel_loop(fastmath=True, error_model="numpy")
def _transposed(x, functions, slopes, values, out):
    parts = len(out)
    for part in prange(parts):
        for j in range(part * len(x) // parts, (part + 1) * len(x) // parts):
            add_transposed(x[j], functions, slopes[j], values[j], out[part])


def sums(x, functions, energies, g, threads: int) -> None:
    """Add to energies (Q,) and g (Q, P_all) the functions at x (Q, P_all); see `add_functions`."""
    use_threads(threads)
    _sums(x, functions, energies, g)


def transposed(x, functions, slopes, values, threads: int) -> np.ndarray:
    """By class and centre (K, B) the sum over structures x (M, P_all) and pairs of slopes (M, P_all) times the
    functions' slopes and values (M,) times their values, without `Basis.tails`."""
    slots, classes, table, numbers = functions
    out = np.zeros((PARTS, *table.shape))
    use_threads(threads)
    _transposed(x, (slots, classes, numbers), slopes, values, out)
    return out.sum(0)
