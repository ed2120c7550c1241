"""The twin of `_simd` where its vectors do not compile: a vector is one double, and numba does what it can."""

import numpy as np
from numba import njit

WIDTH = 1


@njit
def load(array, at):
    return float(array[at])


@njit
def store(array, at, value):
    array[at] = value


@njit
def splat(number):
    return number


@njit
def lane(value, k):
    return value


@njit
def total(value):
    return value


@njit(fastmath=True)
def fma(a, b, c):
    return a * b + c


@njit
def root(value):
    return np.sqrt(max(value, 0.0))


@njit
def exp(value):
    return np.exp(value)
