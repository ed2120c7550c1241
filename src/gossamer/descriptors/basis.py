"""Smooth functions of one pair distance: Gaussians in log r, equally spaced, which fall smoothly to zero at a cutoff.

    G_b(t) = exp(-(t - t_b)^2 / 2 w^2),  t = log r = -log x,    E = S(r) sum_b c_b G_b(t)

    S = falling(s) (gossamer.switching),  s = (r - r_1) / (r_2 - r_1) from 0 to 1,  r_2 the cutoff, r_1 = FALLS r_2.

Array operations on any device; compiled twins for the CPU in `_basis`, held together by contract tests."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gossamer.chemistry.bonds import COINCIDENT
from gossamer.switching import falling

if TYPE_CHECKING:
    from torch import Tensor

FALLS = 0.8  # of the cutoff, where functions begin to fall to zero


class Basis(NamedTuple):
    """middle: t half-way between the first and last of `size` centres; spacing of these; width w; cutoff, Angstrom."""

    middle: float
    spacing: float
    width: float
    cutoff: float
    size: int

    @property
    def offsets(self) -> np.ndarray:
        """Of the centres from the middle (B,)."""
        return self.spacing * (np.arange(self.size) - (self.size - 1) / 2)

    @property
    def numbers(self) -> np.ndarray:
        """For compiled code: middle, spacing, 1 / w^2, where functions begin to fall and have fallen."""
        return np.array([self.middle, self.spacing, self.width**-2, FALLS * self.cutoff, self.cutoff])

    @property
    def steepest(self) -> float:
        """The largest exponent d t' (B - 1) / w^2 that compiled code meets between coincident atoms and the cutoff."""
        far = max(abs(np.log(end) - self.middle) for end in (COINCIDENT, self.cutoff))
        return float(self.spacing * (self.size - 1) * far / self.width**2)

    @property
    def tails(self) -> np.ndarray:
        """exp(-(t_b - middle)^2 / 2 w^2) of every centre (B,), by which compiled code multiplies coefficients."""
        return np.exp(-((self.offsets / self.width) ** 2) / 2)

    def __call__(self, x: "Tensor") -> "tuple[Tensor, Tensor]":
        """The functions at x (..., ) = 1/r, values (..., B), and their slopes d/dx (..., B)."""
        return self.at(x, x.new_tensor(self.offsets))

    def at(self, x: "Tensor", offsets: "Tensor") -> "tuple[Tensor, Tensor]":
        """The same where the offsets (B,) are a tensor already."""
        u = (-x.log() - self.middle)[..., None] - offsets
        values = (-0.5 * (u / self.width) ** 2).exp()
        slopes = -u / self.width**2 * values  # by t
        r = (1 / x)[..., None]
        fall, by_r = self.fall(r)
        return values * fall, -r * (slopes * fall + r * by_r * values)

    def summed(self, x: "Tensor", c: "Tensor", offsets: "Tensor") -> "tuple[Tensor, Tensor]":
        """Of pairs at x (Q, P), with coefficients c (P, B) of each: the sums (Q,) over all of them, and their slopes
        d/dx (Q, P); offsets (B,) as in `at`."""
        values, slopes = self.at(x, offsets)
        return (values * c).sum((1, 2)), (slopes * c).sum(2)

    def fall(self, r: "Tensor") -> "tuple[Tensor, Tensor]":
        """S and dS/dr."""
        width = (1 - FALLS) * self.cutoff
        fall, by_s = falling(((r - FALLS * self.cutoff) / width).clamp(0, 1))
        return fall, by_s / width
