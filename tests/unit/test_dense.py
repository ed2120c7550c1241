import numpy as np
import pytest
import torch

from gossamer.fitting.dense import factorise, solve


def positive(n, seed=0):
    A = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, n)))
    return A @ A.T / n + torch.eye(n, dtype=torch.float64)


@pytest.mark.parametrize("block", [1, 3, 7, 12, 40])
def test_in_place_factor_and_solution_are_lapacks(block):
    A = positive(12)
    L = A.clone() + torch.full_like(A, 9.0).triu(1)  # nothing above the diagonal is read
    told = []
    assert factorise(L, block, told.append) == 0
    torch.testing.assert_close(L.tril(), torch.linalg.cholesky(A), rtol=0, atol=1e-12)
    assert told[-1] == 12
    y = torch.arange(12, dtype=torch.float64)
    torch.testing.assert_close(solve(L + torch.full_like(A, 5.0).triu(1), y, block), torch.linalg.solve(A, y))


@pytest.mark.parametrize("block", [3, 12])
def test_an_indefinite_matrix_is_located(block):
    A = positive(12)
    A[7, 7] = -1.0
    assert factorise(A, block) == 8
