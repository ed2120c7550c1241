"""Radial factors of many squared distances, and what lies between the matrix products of a kernel sum, compiled."""

from numba import njit, prange

from gossamer.backends.numba._radial import exponent, factors, polynomials
from gossamer.backends.numba._vectors import CACHED, WIDTH, exp, fma, lane, load, root, splat, store, total
from gossamer.loops import parallel_loop, use_threads


@njit(fastmath=True)
def weighted_factors(s2, a, w, order, rate, norm):
    """Energy k1 a + k0 w, and the weights k1 and k2 a + k1 w of V and X, for WIDTH rows; order, rate, norm: see
    kernels.radial."""
    q = splat(rate) * root(s2)
    decay = splat(norm) * exp(exponent(q, order))
    low, middle, high = polynomials(splat(1.0), q, order)
    k1 = splat(rate * rate) * middle * decay
    k2 = splat(rate * rate * rate * rate) * low * decay
    return fma(k1, a, high * decay * w), k1, fma(k2, a, k1 * w)


@parallel_loop(cache=CACHED, fastmath=True)
def _weights(matrices, query_squares, rows, form, energies, sums):
    (products, a), (squares, constants, w), (order, rate, norm) = matrices, rows, form
    n_rows = products.shape[1]
    whole = n_rows // WIDTH * WIDTH
    for q in prange(products.shape[0]):
        row, along_row, xx = products[q], a[q], splat(query_squares[q])
        energy, total_along, zero = splat(0.0), splat(0.0), splat(0.0)
        for j in range(0, whole, WIDTH):
            s2 = fma(splat(-2.0), load(row, j), xx + load(squares, j))
            weight = load(w, j) if len(w) > 0 else zero
            e, k1, along = weighted_factors(s2, load(along_row, j) - load(constants, j), weight, order, rate, norm)
            energy += e
            total_along += along
            store(row, j, k1)
            store(along_row, j, along)
        energies[q], sums[q] = total(energy), total(total_along)
        for j in range(whole, n_rows):
            s2 = splat(query_squares[q] + squares[j] - 2.0 * row[j])
            weight = splat(w[j]) if len(w) > 0 else zero
            e, k1, along = weighted_factors(s2, splat(along_row[j] - constants[j]), weight, order, rate, norm)
            energies[q] += lane(e, 0)
            sums[q] += lane(along, 0)
            row[j], along_row[j] = lane(k1, 0), lane(along, 0)


@parallel_loop(cache=CACHED, fastmath=True)
def _profile(s2, order, rate, norm, k0, k1, k2):
    square, whole = rate * rate, len(s2) // WIDTH
    for part in prange(whole):
        at = part * WIDTH
        q = splat(rate) * root(load(s2, at))
        decay = splat(norm) * exp(exponent(q, order))
        low, middle, high = polynomials(splat(1.0), q, order)
        store(k0, at, high * decay)
        store(k1, at, splat(square) * middle * decay)
        store(k2, at, splat(square * square) * low * decay)
    for at in range(whole * WIDTH, len(s2)):
        k0[at], k1[at], k2[at] = factors(max(s2[at], 0.0), order, rate, norm)


def profile(s2, form, k0, k1, k2, threads: int) -> None:
    """Write the radial factors at squared distances s2 (n,) to k0, k1, k2 (n,)."""
    use_threads(threads)
    order, rate, norm = form
    _profile(s2, order, rate, norm, k0, k1, k2)


def weights(matrices, query_squares, rows, form, energies, sums, threads: int) -> None:
    """In place matrices x . X_j (Q, M) -> k1 and a = x . V_j (Q, M) -> k2 a + k1 w; their sums by query.

    query_squares (Q,) |x|^2; rows: |X_j|^2 (M,), X_j . V_j (M,), and w (M,) or (0,);
    energies (Q,) = sum_j k1 a + k0 w and sums (Q,) = sum_j k2 a + k1 w are written."""
    use_threads(threads)
    _weights(matrices, query_squares, rows, tuple(form), energies, sums)
