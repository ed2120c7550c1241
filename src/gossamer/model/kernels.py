"""Radial kernels.  A kernel answers one question: given squared distance, what are your three radial factors?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gossamer.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

SQRT5 = 5**0.5


class Profile(NamedTuple):
    """k0 = k(s),  k1 = -k'(s)/s,  k2 = -k1'(s)/s."""

    k0: "Tensor"
    k1: "Tensor"
    k2: "Tensor"


@dataclass(frozen=True)
class Matern52:
    """k(s) = (1 + q + q^2/3) exp(-q),  q = sqrt(5) s / length   (Rasmussen & Williams 2006, eq. 4.17).

    length: 1/Angstrom, in units of the descriptor.  Smooth twice: energies have continuous second derivatives.
    """

    length: float

    def __post_init__(self) -> None:
        if not 0 < self.length < float("inf"):
            raise UsageError(f"length: {self.length} given, but a kernel length must be positive; 10 to 90 is usual.")

    def profile(self, s2: "Tensor") -> Profile:
        """Radial factors at squared distances s2 (any shape); s2 below zero by rounding counts as zero.

        k1 = c (1 + q) exp(-q),  k2 = c (5/l^2) exp(-q)  with  c = 5/(3 l^2)."""
        q = s2.clamp_min(0).sqrt_().mul_(SQRT5 / self.length)
        decay = (-q).exp_()
        c = 5 / (3 * self.length**2)
        k1 = (q + 1).mul_(decay)
        k0 = (q * q).mul_(decay).div_(3).add_(k1)
        return Profile(k0, k1.mul_(c), decay.mul_(c * 5 / self.length**2))

    def third(self, s2: "Tensor", k2: "Tensor") -> "Tensor":
        """k3 = -k2'(s)/s = k2 sqrt(5) / (length s); s is kept above 1e-7, since what k3 multiplies vanishes with s."""
        return k2 / s2.clamp_min(1e-14).sqrt_().mul_(self.length / SQRT5)
