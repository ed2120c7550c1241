import numpy as np
import pytest
import reference
import torch

from gossamer import kernels
from gossamer.backends.kernel_sum import radial_factors
from gossamer.errors import UsageError
from gossamer.kernels import Matern52

EVERY = pytest.mark.parametrize("name", reference.KERNELS)


def test_the_kernels_of_the_reference_are_those_built_in():
    assert tuple(reference.KERNELS) == kernels.names()


@EVERY
@pytest.mark.parametrize("factors", [radial_factors, lambda kernel, s2: kernel.profile(s2)], ids=["compiled", "arrays"])
def test_profile_is_the_reference(name, factors):
    s = np.linspace(0, 30, 203)
    expected = reference.KERNELS[name](s, 7.0)
    for got, want in zip(factors(kernels.make(name, 7.0), torch.from_numpy(s**2)), expected, strict=True):
        np.testing.assert_allclose(got.numpy(), want, rtol=2e-13)


@EVERY
def test_factors_are_derivatives_of_each_other(name):
    h, kernel = 1e-4, kernels.make(name, 3.0)
    s = torch.linspace(0.5, 20, 50, dtype=torch.float64)

    def factors(s):
        return (*kernel.profile(s * s), kernel.third(s * s))

    for low, high, derivative in zip(factors(s - h)[:-1], factors(s + h)[:-1], factors(s)[1:], strict=True):
        torch.testing.assert_close(-(high - low) / (2 * h) / s, derivative, rtol=1e-5, atol=1e-10)


@EVERY
def test_a_kernel_is_one_at_zero_and_its_third_factor_finite(name):
    kernel, zero = kernels.make(name, 3.0), torch.zeros(1, dtype=torch.float64)
    assert kernel.profile(zero).k0.item() == pytest.approx(1.0, rel=1e-15)
    assert torch.isfinite(kernel.third(zero)).all()


def test_an_unknown_kernel_is_refused():
    with pytest.raises(UsageError, match="'matern32' is not known; use matern52"):
        kernels.make("matern32", 1.0)


def test_a_name_cannot_be_taken_twice():
    with pytest.raises(UsageError, match="'gauss' is taken"):
        kernels.register(type("Other", (), {"name": "gauss"}))
    assert kernels.register(Matern52) is Matern52


def test_a_distance_rounded_below_zero_counts_as_zero():
    k0, k1, k2 = Matern52(2.0).profile(torch.tensor([-1e-18, 0.0], dtype=torch.float64))
    for factor in (k0, k1, k2):
        assert factor[0] == factor[1]


@pytest.mark.parametrize("length", [0, -1, float("nan"), float("inf")])
def test_bad_lengths_are_refused(length):
    with pytest.raises(UsageError, match="length"):
        Matern52(length)
