"""Radial kernels.  A kernel is a name, a length and its radial factors: given squared distances, k0 = k(s) and
k_{n+1} = -k_n'(s)/s.

Those here are of one form (`radial`), which compiled code has; any other class with the members of `Kernel` works too
once it is registered, in array operations.
"""

from dataclasses import dataclass
from math import inf, prod
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

from gossamer.errors import NotRegisteredError, UsageError
from gossamer.kernels.radial import GAUSS, exponent, polynomials

if TYPE_CHECKING:
    from torch import Tensor

NEAREST = 1e-14  # squared distance below which the third factor is taken as there; what it multiplies vanishes


class Profile(NamedTuple):
    """k0 = k(s),  k1 = -k'(s)/s,  k2 = -k1'(s)/s."""

    k0: "Tensor"
    k1: "Tensor"
    k2: "Tensor"


class Form(NamedTuple):
    """What compiled code needs of a kernel: see `radial`."""

    order: int
    rate: float
    norm: float


@runtime_checkable
class Kernel(Protocol):
    """k(s) of the distance s between two descriptors; k(0) = 1, and k twice differentiable at least.

    name: as in files and options; length: 1/Angstrom, in units of the descriptor; form: None where compiled code does
    not have it."""

    name: ClassVar[str]

    @property
    def length(self) -> float: ...

    @property
    def form(self) -> Form | None: ...

    def profile(self, s2: "Tensor") -> Profile:
        """Radial factors at squared distances s2 (any shape); s2 below zero by rounding counts as zero."""

    def third(self, s2: "Tensor") -> "Tensor":
        """k3 = -k2'(s)/s; it may be finite at s = 0, where what it multiplies vanishes."""


@dataclass(frozen=True)
class _Built:
    """A kernel of the form of `radial`."""

    length: float
    name: ClassVar[str]
    order: ClassVar[int]

    def __post_init__(self) -> None:
        if not 0 < self.length < inf:
            raise UsageError(f"length: {self.length} given, but a kernel length must be positive; 10 to 90 is usual.")

    @property
    def form(self) -> Form:
        """rate: sqrt(2p + 1) / length (Gaussian: 1 / length); norm: 1 / theta_p(0) = 1 / (1 3 5 ... (2p - 1))."""
        return Form(self.order, (2 * self.order + 1) ** 0.5 / self.length, 1 / prod(range(1, 2 * self.order, 2)))

    def profile(self, s2: "Tensor") -> Profile:
        order, rate, norm = self.form
        q = s2.clamp_min(0).sqrt_().mul_(rate)
        decay = exponent(q, order).exp_().mul_(norm)
        low, middle, high = polynomials(1.0, q, order)
        return Profile(high * decay, (middle * decay).mul_(rate**2), (low * decay).mul_(rate**4))

    def third(self, s2: "Tensor") -> "Tensor":
        order, rate, norm = self.form
        q = s2.clamp_min(NEAREST).sqrt_().mul_(rate)
        decay = exponent(q, order).exp_().mul_(norm * rate**6)
        if order == 2:  # theta_{-1} = 1/q
            return decay.div_(q)
        below = 1.0 if order in (GAUSS, 3) else polynomials(1.0, q, order - 1)[0]
        return below * decay


class Matern52(_Built):
    """(1 + q + q^2/3) exp(-q), twice differentiable (Rasmussen & Williams 2006, eq. 4.17): sgdml's."""

    name, order = "matern52", 2


class Matern72(_Built):
    """Three times differentiable."""

    name, order = "matern72", 3


class Matern92(_Built):
    """Four times differentiable."""

    name, order = "matern92", 4


class Gauss(_Built):
    """exp(-s^2 / (2 length^2)), as often differentiable as one likes."""

    name, order = "gauss", GAUSS


_K = TypeVar("_K", bound=Kernel)
_KINDS: dict[str, type] = {kind.name: kind for kind in (Matern52, Matern72, Matern92, Gauss)}


def register(kind: type[_K]) -> type[_K]:
    """Make a class known by its `name`, so that models with it can be loaded and options can name it; it is called with
    the length.  Can stand as a decorator.  Raises UsageError for a name that is taken by another class."""
    if _KINDS.setdefault(kind.name, kind) is not kind:
        raise UsageError(
            f"kernel: the name {kind.name!r} is taken by {_KINDS[kind.name].__qualname__}; choose another."
        )
    return kind


def names() -> tuple[str, ...]:
    """Every kernel that is known."""
    return tuple(_KINDS)


def make(name: str, length: float) -> Kernel:
    """The kernel of that name and length.  Raises NotRegisteredError for a name that is not known."""
    if name not in _KINDS:
        raise NotRegisteredError(f"kernel: {name!r} is not known; use {', '.join(_KINDS)}, or register it before.")
    return _KINDS[name](length)


def with_length(kernel: Kernel, length: float) -> Kernel:
    """The same kernel with another length."""
    return type(kernel)(length)  # type: ignore[call-arg]  # registered classes are called with the length


def compiled_form(kernel: Kernel) -> Form:
    """What compiled code needs of a kernel.  Raises UsageError where it does not have it."""
    if kernel.form is None:
        raise UsageError(
            f"kernel: compiled code does not have {kernel.name!r}; predict batches, or use another kernel."
        )
    return kernel.form
