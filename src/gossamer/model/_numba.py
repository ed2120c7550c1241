"""Compiled CPU twins of loops that array libraries do badly.  Every function here has its equation elsewhere, and a
contract test that holds the two together."""

from typing import NamedTuple

import numba
import numpy as np
from numba import njit, prange


@njit(parallel=True, fastmath=True, cache=True)
def _push(pairs, dx, a, out):
    for q in prange(dx.shape[0]):
        for p in range(pairs.shape[0]):
            i, j = pairs[p]
            v = 0.0
            for c in range(3):
                v += dx[q, p, c] * (a[q, i, c] - a[q, j, c])
            out[q, p] = v


@njit(parallel=True, fastmath=True, cache=True)
def _pull(pairs, dx, g, out):
    for q in prange(dx.shape[0]):
        for p in range(pairs.shape[0]):
            i, j = pairs[p]
            for c in range(3):
                f = dx[q, p, c] * g[q, p]
                out[q, i, c] += f
                out[q, j, c] -= f


def _use(threads: int) -> None:
    """Let the parallel loops that follow use `threads` threads, or as many as numba was started with."""
    numba.set_num_threads(max(1, min(threads, numba.config.NUMBA_NUM_THREADS)))  # type: ignore[attr-defined]


def push(pairs: np.ndarray, dx: np.ndarray, a: np.ndarray, out: np.ndarray, threads: int) -> None:
    """out (Q, P) = (dx/dR) a; see PairSet.push."""
    _use(threads)
    _push(pairs, dx, a, out)


def pull(pairs: np.ndarray, dx: np.ndarray, g: np.ndarray, out: np.ndarray, threads: int) -> None:
    """out (Q, N, 3) += (dx/dR)^T g; see PairSet.pull."""
    _use(threads)
    _pull(pairs, dx, g, out)


@njit(fastmath=True, inline="always")
def _matern52(s2, length):
    """The three radial factors of kernels.Matern52 at squared distance s2."""
    q = np.sqrt(5.0 * s2) / length
    decay = np.exp(-q)
    c = 5.0 / (3.0 * length * length)
    return (1.0 + q + q * q / 3.0) * decay, c * (1.0 + q) * decay, c * decay * 5.0 / (length * length)


class Scratch(NamedTuple):
    """Work space of `evaluate`: x (P_all,), dx (P_all, 3), and per thread g (P_all,), image descriptors, image
    gradients and the sums of energies."""

    x: np.ndarray
    dx: np.ndarray
    g: np.ndarray
    rows: np.ndarray
    sums: np.ndarray
    energy: np.ndarray

    @classmethod
    def build(cls, n_pairs: int, widest: int, threads: int) -> "Scratch":
        """widest: the largest images * pairs of a term."""
        per_thread = (threads, widest)
        return cls(
            np.empty(n_pairs), np.empty((n_pairs, 3)), np.empty((threads, n_pairs)),
            np.empty(per_thread), np.empty(per_thread), np.empty(threads),
        )  # fmt: skip


@njit(fastmath=True, cache=True)
def _descriptors(positions, pairs, x, dx):
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0], pairs[p, 1]
        a = positions[i, 0] - positions[j, 0]
        b = positions[i, 1] - positions[j, 1]
        c = positions[i, 2] - positions[j, 2]
        inverse = 1.0 / np.sqrt(a * a + b * b + c * c)
        cube = -inverse * inverse * inverse
        x[p] = inverse
        dx[p, 0], dx[p, 1], dx[p, 2] = a * cube, b * cube, c * cube


@njit(fastmath=True, cache=True)
def _rows_of_terms(part, parts, layout, lengths, amplitudes, X, V, w, images, weights, x, g, rows, sums):
    """The share `part` of `parts` of every term's training rows: adds to g (P_all,), returns the energy.

    E = sum_j k1 a + k0 w,  g = sum_j k1 V - (k2 a + k1 w) delta  (kernel_sum.py)."""
    energy = 0.0
    g[:] = 0.0
    for t in range(layout.shape[0]):
        P, n_rows, n_images = layout[t, 0], layout[t, 1], layout[t, 2]
        at_row, at_image, at_weight, at_w = layout[t, 3], layout[t, 4], layout[t, 5], layout[t, 6]
        for k in range(n_images):
            for p in range(P):
                rows[k * P + p] = weights[at_weight + p] * x[images[at_image + k * P + p]]
                sums[k * P + p] = 0.0
        first, last = part * n_rows // parts, (part + 1) * n_rows // parts
        total = 0.0
        for j in range(first, last):
            Xj, Vj = X[at_row + j * P : at_row + (j + 1) * P], V[at_row + j * P : at_row + (j + 1) * P]
            wj = w[at_w + j] if at_w >= 0 else 0.0
            for k in range(n_images):
                query, out = rows[k * P : (k + 1) * P], sums[k * P : (k + 1) * P]
                s2 = 0.0
                a = 0.0
                for p in range(P):
                    delta = query[p] - Xj[p]
                    s2 += delta * delta
                    a += delta * Vj[p]
                k0, k1, k2 = _matern52(s2, lengths[t])
                total += k1 * a + k0 * wj
                along = k2 * a + k1 * wj
                for p in range(P):
                    out[p] += k1 * Vj[p] - along * (query[p] - Xj[p])
        energy += amplitudes[t] * total
        for k in range(n_images):
            for p in range(P):
                g[images[at_image + k * P + p]] += amplitudes[t] * weights[at_weight + p] * sums[k * P + p]
    return energy


@njit(parallel=True, fastmath=True, cache=True)
def _rows_in_parallel(parts, layout, lengths, amplitudes, X, V, w, images, weights, x, g, rows, sums, energy):
    for part in prange(parts):
        energy[part] = _rows_of_terms(
            part, parts, layout, lengths, amplitudes, X, V, w, images, weights, x, g[part], rows[part], sums[part]
        )


@njit(fastmath=True, cache=True)
def _gather_parts(pairs, dx, g, energy, scale, forces):
    forces[:] = 0.0
    for p in range(pairs.shape[0]):
        total = 0.0
        for part in range(g.shape[0]):
            total += g[part, p]
        for c in range(3):
            f = scale * total * dx[p, c]
            forces[pairs[p, 0], c] -= f
            forces[pairs[p, 1], c] += f
    return scale * energy.sum()


@njit(fastmath=True, cache=True)
def _one_thread(positions, pairs, layout, lengths, amplitudes, X, V, w, images, weights, scale, scratch, forces):
    x, dx, g, rows, sums, energy = scratch
    _descriptors(positions, pairs, x, dx)
    energy[0] = _rows_of_terms(0, 1, layout, lengths, amplitudes, X, V, w, images, weights, x, g[0], rows[0], sums[0])
    return _gather_parts(pairs, dx, g, energy, scale, forces)


def evaluate(
    positions, pairs, layout, lengths, amplitudes, X, V, w, images, weights, scale, threads, scratch, forces
) -> float:
    """Energy of one structure, without the constant, and its forces into `forces` (N, 3); see model.single."""
    if threads == 1:
        return _one_thread(
            positions, pairs, layout, lengths, amplitudes, X, V, w, images, weights, scale, scratch, forces
        )
    _use(threads)
    _descriptors(positions, pairs, scratch.x, scratch.dx)
    _rows_in_parallel(
        threads, layout, lengths, amplitudes, X, V, w, images, weights,
        scratch.x, scratch.g, scratch.rows, scratch.sums, scratch.energy,
    )  # fmt: skip
    return _gather_parts(pairs, scratch.dx, scratch.g, scratch.energy, scale, forces)
