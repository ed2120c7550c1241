"""Cholesky factorisation of a symmetric matrix in its own memory.

LAPACK's routines, as torch calls them, keep the matrix beside its factor and copy the factor for every solve: three
times n^2 numbers.  Here there is one."""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

BLOCK = 512


def factorise(A: "Tensor", block: int = BLOCK, step: "Callable[[int], None]" = lambda done: None) -> int:
    """Replace the lower triangle of A (n, n) by its Cholesky factor; what stands above it is not read.

    Returns 0, or the order at which A is not positive definite.  Left-looking (Golub & Van Loan, section 4.2.5): one
    matrix product per block of columns.  step: told how many columns are done."""
    n = len(A)
    for start in range(0, n, block):
        stop = min(start + block, n)
        if start:
            A[start:, start:stop].addmm_(A[start:, :start], A[start:stop, :start].T, alpha=-1)
        corner, info = torch.linalg.cholesky_ex(A[start:stop, start:stop])
        if info:
            return start + int(info)
        A[start:stop, start:stop] = corner
        if stop < n:
            A[stop:, start:stop] = torch.linalg.solve_triangular(corner.T, A[stop:, start:stop], upper=True, left=False)
        step(stop)
    return 0


def solve(L: "Tensor", y: "Tensor", block: int = BLOCK) -> "Tensor":
    """a (n,) with L L^T a = y, reading only the lower triangle of L (n, n)."""
    n = len(L)
    a = y.clone()
    for start in range(0, n, block):
        stop = min(start + block, n)
        corner = L[start:stop, start:stop]
        a[start:stop] -= L[start:stop, :start] @ a[:start]
        a[start:stop] = torch.linalg.solve_triangular(corner, a[start:stop, None], upper=False)[:, 0]
    for start in range((n - 1) // block * block, -1, -block):
        stop = min(start + block, n)
        corner = L[start:stop, start:stop]
        a[start:stop] -= L[stop:, start:stop].T @ a[stop:]
        a[start:stop] = torch.linalg.solve_triangular(corner.T, a[start:stop, None], upper=True)[:, 0]
    return a
