"""Vectors of compiled code against numpy."""

import numpy as np
import pytest
from numba import njit

from gossamer.backends.numba import _simd
from gossamer.backends.numba._simd import WIDTH, exp, fma, lane, load, root, splat, store, total, totals


@njit
def _map(function, x, out):
    for i in range(0, len(x), WIDTH):
        store(out, i, function(load(x, i)))


@njit
def _exp(v):
    return exp(v)


@njit
def _root(v):
    return root(v)


def test_exp_is_numpys_to_two_units_in_the_last_place():
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [-(10 ** rng.uniform(-20, 2.84, 100_000)), rng.uniform(-1, 1, 20_000), [0.0, -0.0, -708.0, 700.0]]
    )
    out = np.empty_like(x)
    _map(_exp, x, out)
    expected = np.exp(np.maximum(x, _simd.SMALLEST))
    assert np.max(np.abs(out - expected) / np.spacing(expected)) <= 2
    np.testing.assert_array_equal(out[x == 0], 1.0)


def test_exp_far_below_zero_is_next_to_nothing():
    x, out = np.array([-709.0, -745.0, -1e5, -1e300]), np.empty(4)
    _map(_exp, x, out)
    assert np.all((out >= 0) & (out < 1e-300))


def test_root_takes_negative_numbers_as_zero():
    x, out = np.array([4.0, 2.0, -1e-18, 0.0]), np.empty(4)
    _map(_root, x, out)
    np.testing.assert_array_equal(out, np.sqrt(np.maximum(x, 0)))


@njit
def _arithmetic(x, y, out):
    a, b = load(x, 1), load(y, 3)
    store(out, 0, (a + b) * (a - b))
    store(out, 4, fma(a, b, splat(0.5)))
    store(out, 8, totals(a, b, a + b, a * b))
    out[12], out[13], out[14] = total(a), lane(a, 0), lane(a, 3)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_arithmetic(kind):
    x, out = np.arange(6.0).astype(kind), np.empty(15)
    y = (x + 3).repeat(2)
    _arithmetic(x, y, out)
    a, b = x[1:5].astype(float), y[3:7].astype(float)
    sums = [v.sum() for v in (a, b, a + b, a * b)]
    expected = [*((a + b) * (a - b)), *(a * b + 0.5), *sums, a.sum(), a[0], a[3]]
    np.testing.assert_allclose(out, expected, rtol=1e-15)
