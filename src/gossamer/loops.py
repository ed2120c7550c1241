"""Compiled parallel loops that also run in a forked process.

A fork copies memory but not threads, so neither GNU OpenMP (numba's loops and torch's operations) nor its locks can be
used in the child: numba ends the process there, torch waits for ever.  A child of a process whose threads were started
therefore computes on one thread, in twins of the same loops that are compiled without threads.
"""

import os
import sys
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any

import numba

_threads_lost = False


def use_threads(threads: int) -> None:
    """Let the parallel loops that follow use `threads` threads, or as many as numba was started with."""
    if not _threads_lost:
        numba.set_num_threads(max(1, min(threads, numba.config.NUMBA_NUM_THREADS)))  # type: ignore[attr-defined]


def parallel_loop(**options: Any) -> Callable[[Any], Callable[..., Any]]:
    """numba.njit(parallel=True, cache=True, **options), with a twin without threads for a process that lost them."""

    def compiled(function: Any) -> Callable[..., Any]:
        alone = FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )
        alone.__module__ = function.__module__
        alone.__qualname__ = f"{function.__qualname__}_alone"  # numba files what it has compiled by this name
        on_threads = numba.njit(parallel=True, cache=True, **options)(function)
        on_one = numba.njit(cache=True, **options)(alone)

        @wraps(function)
        def loop(*arguments: Any) -> Any:
            return (on_one if _threads_lost else on_threads)(*arguments)

        return loop

    return compiled


def _in_child() -> None:
    global _threads_lost
    try:
        numba.threading_layer()
    except ValueError:  # no threads were started, so the child can start its own
        return
    _threads_lost = True
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
