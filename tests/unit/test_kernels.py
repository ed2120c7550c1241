import numpy as np
import pytest
import reference
import torch

from gossamer.errors import UsageError
from gossamer.model.kernels import Matern52


def test_profile_is_the_reference():
    s = np.linspace(0, 30, 200)
    for got, expected in zip(Matern52(7.0).profile(torch.from_numpy(s**2)), reference.matern52(s, 7.0), strict=True):
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-13)


def test_factors_are_derivatives_of_each_other():
    h, s = 1e-4, np.linspace(0.5, 20, 50)
    k0, k1, k2 = (
        (lambda t: reference.matern52(t, 3.0)[0]),
        *(lambda t, n=n: reference.matern52(t, 3.0)[n] for n in (1, 2)),
    )
    np.testing.assert_allclose(-(k0(s + h) - k0(s - h)) / (2 * h) / s, k1(s), rtol=1e-6)
    np.testing.assert_allclose(-(k1(s + h) - k1(s - h)) / (2 * h) / s, k2(s), rtol=1e-6)


def test_a_distance_rounded_below_zero_counts_as_zero():
    k0, k1, k2 = Matern52(2.0).profile(torch.tensor([-1e-18, 0.0], dtype=torch.float64))
    for factor in (k0, k1, k2):
        assert factor[0] == factor[1]


@pytest.mark.parametrize("length", [0, -1, float("nan"), float("inf")])
def test_bad_lengths_are_refused(length):
    with pytest.raises(UsageError, match="length"):
        Matern52(length)
