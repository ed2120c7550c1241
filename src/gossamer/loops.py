"""Compiled parallel loops that also run in a forked process, on one thread (gossamer.forked), and what they share: the
vector between two atoms, and how functions fall to zero."""

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any

import numba

from gossamer import switching
from gossamer.forked import threads_lost

falling = numba.njit(inline="always")(switching.falling)


@numba.njit(inline="always")
def displacement(structure, i, j):
    """The vector from atom j to atom i of a structure (N, 3); see gossamer.displacements."""
    return structure[i, 0] - structure[j, 0], structure[i, 1] - structure[j, 1], structure[i, 2] - structure[j, 2]


def use_threads(threads: int) -> None:
    """Let the parallel loops that follow use `threads` threads, or as many as numba was started with."""
    if not threads_lost():
        numba.set_num_threads(max(1, min(threads, numba.config.NUMBA_NUM_THREADS)))  # type: ignore[attr-defined]


def parallel_loop(*, cache: bool = True, **options: Any) -> Callable[[Any], Callable[..., Any]]:
    """numba.njit(parallel=True, cache=cache, **options), with a twin without threads for a process that lost them."""

    def compiled(function: Any) -> Callable[..., Any]:
        alone = FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )
        alone.__module__ = function.__module__
        alone.__qualname__ = f"{function.__qualname__}_alone"  # numba files what it has compiled by this name
        on_threads = numba.njit(parallel=True, cache=cache, **options)(function)
        on_one = numba.njit(cache=cache, **options)(alone)

        @wraps(function)
        def loop(*arguments: Any) -> Any:
            return (on_one if threads_lost() else on_threads)(*arguments)

        return loop

    return compiled
