"""Whether this process was forked from one that may have started threads.

A fork copies memory but not threads, so neither GNU OpenMP (numba's loops and torch's operations) nor its locks can be
used in the child: numba ends the process there, or both wait for ever.  Nothing tells whether torch has started its
threads, so a child of a process that has loaded torch, or started numba's threads, computes on one thread.
"""

import os
import sys

_threads_lost = False


def threads_lost() -> bool:
    """Whether this process was forked from one whose threads it may lack, and so has to do with one."""
    return _threads_lost


def _in_child() -> None:
    global _threads_lost
    torch = sys.modules.get("torch")
    _threads_lost = _threads_lost or torch is not None or _numba_started()
    if torch is not None:
        torch.set_num_threads(1)


def _numba_started() -> bool:
    """Whether numba has started its threads."""
    numba = sys.modules.get("numba")
    try:
        return numba is not None and bool(numba.threading_layer())
    except ValueError:  # how numba says no
        return False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
