"""What a model looks at: functions of the positions, their gradients, and the way back to atoms.

A descriptor is a list of features of a molecule, each a function of a few atoms.  There are two kinds: `PairSet`
(gossamer.model.pairs), inverse distances with loops of their own, and `FeatureSet` (gossamer.model.features), any
features that are registered here, in array operations.
"""

from dataclasses import dataclass, fields, is_dataclass
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from gossamer.descriptors.arrays import inverse_distance
from gossamer.errors import NotRegisteredError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Orders = tuple[tuple[int, ...], ...]


class Descriptor(Protocol):
    """F features of a molecule of N atoms; every feature is a function of A of them, or of fewer.

    kind: as in files.  atoms (F, A): whose positions a feature depends on; where it has fewer, the first stands again,
    with no gradient.  What `forward` returns as dx is for `push`, `pull` and `jacobian` of the same descriptor only."""

    kind: ClassVar[str]

    @property
    def n_atoms(self) -> int: ...

    @property
    def atoms(self) -> "np.ndarray": ...

    @property
    def inverse_distances(self) -> "np.ndarray":
        """The features (K,) that are 1/r of their first two atoms: models know from them which distances they saw."""

    @property
    def noun(self) -> str:
        """What the features are called, in the plural."""

    def __len__(self) -> int: ...

    def forward(self, positions: "Tensor") -> "tuple[Tensor, Tensor]":
        """positions (Q, N, 3), Angstrom -> x (Q, F) and gradients dx (Q, F, ...)."""

    def push(self, dx: "Tensor", a: "Tensor") -> "Tensor":
        """(dx/dR) a:  a (Q, N, 3) -> (Q, F)."""

    def pull(self, dx: "Tensor", g: "Tensor") -> "Tensor":
        """(dx/dR)^T g:  g (Q, F) -> (Q, N, 3).  Sums run in a fixed order."""

    def jacobian(self, dx: "Tensor") -> "Tensor":
        """Gradients (Q, F, A, 3) of every feature by the positions of its `atoms`."""

    def keep(self, rows: Any) -> "Descriptor":
        """The features `rows` (indices or boolean mask), in that order."""

    def images(self, perms: "np.ndarray") -> "np.ndarray":
        """Entry f of row s (S, F): the feature on which the atom permutation perms[s] (S, N) puts feature f, -1 where
        that is not in the list."""

    def permuted(self, perms: "np.ndarray") -> "np.ndarray":
        """`images`, all of which are there.  Raises UsageError where one is not."""

    def apart(self, x: "Tensor") -> bool:
        """Whether features x (Q, F) show by themselves that no atoms coincide."""

    def refuse_coincident(self, positions: "np.ndarray", what: str, frames: "np.ndarray | None" = None) -> None:
        """Raise DataError if atoms coincide in one of the structures positions (Q, N, 3), Angstrom.

        what: the name of the data in the message; frames (Q,): their numbers there."""


@runtime_checkable
class Feature(Protocol):
    """A smooth function of the displacements of a few atoms from the first of them; a frozen dataclass, whose fields
    are numbers.

    name: as in files; orders (S, A): the orders of its atoms between which it does not tell, the identity first."""

    name: ClassVar[str]
    orders: ClassVar[Orders]

    def forward(self, d: "Tensor") -> "tuple[Tensor, Tensor]":
        """Values (Q, F) and gradients by d (Q, F, A - 1, 3) of displacements d (Q, F, A - 1, 3), Angstrom: those of the
        second, third ... atom from the first.  Operations of torch that autograd can follow, for `model.torch()`."""


@dataclass(frozen=True)
class InverseDistance:
    """1/r of two atoms, 1/Angstrom: what PairSet has, to stand beside other features."""

    name: ClassVar[str] = "inverse"
    orders: ClassVar[Orders] = ((0, 1), (1, 0))

    def forward(self, d: "Tensor") -> "tuple[Tensor, Tensor]":
        x, dx = inverse_distance(d[..., 0, :])
        return x, dx[..., None, :]


@dataclass(frozen=True)
class Cosine:
    """scale cos(angle) between the directions from the first atom to the second and to the third.

    scale: 1/Angstrom, how much an angle counts beside inverse distances.  With e, f the two unit vectors,
    d cos/du = (f - cos e) / norm(u)  (smooth where the atoms are in a line, too)."""

    scale: float
    name: ClassVar[str] = "cosine"
    orders: ClassVar[Orders] = ((0, 1, 2), (0, 2, 1))

    def __post_init__(self) -> None:
        if not 0 < self.scale < inf:
            raise UsageError(f"scale: {self.scale} given, but that of a cosine must be positive; 0.1 to 1 is usual.")

    def forward(self, d: "Tensor") -> "tuple[Tensor, Tensor]":
        inverse = inverse_distance(d)[0][..., None]
        unit = d * inverse
        cosine = (unit[..., :1, :] * unit[..., 1:, :]).sum(-1, keepdim=True)
        slopes = (unit.flip(-2) - cosine * unit) * inverse
        return self.scale * cosine[..., 0, 0], self.scale * slopes


_F = TypeVar("_F", bound=Feature)
_KINDS: dict[str, type] = {kind.name: kind for kind in (InverseDistance, Cosine)}


def register(kind: type[_F]) -> type[_F]:
    """Make a class of features known by its `name`, so that models with it can be loaded.  Can stand as a decorator,
    above that of the dataclass.  Raises UsageError for a name that is taken by another class, and for a class that is
    no dataclass."""
    if not is_dataclass(kind):
        raise UsageError(f"feature: {kind.__qualname__} is no dataclass, whose fields a file can hold; make it one.")
    if _KINDS.setdefault(kind.name, kind) is not kind:
        raise UsageError(
            f"feature: the name {kind.name!r} is taken by {_KINDS[kind.name].__qualname__}; choose another."
        )
    return kind


def names() -> tuple[str, ...]:
    """Every kind of features that is known."""
    return tuple(_KINDS)


def make(name: str, parameters: dict[str, float]) -> Feature:
    """The feature of that name and parameters.  Raises NotRegisteredError for a name, UsageError for parameters that
    are not known."""
    if name not in _KINDS:
        raise NotRegisteredError(f"feature: {name!r} is not known; use {', '.join(_KINDS)}, or register it before.")
    wanted = [item.name for item in fields(_KINDS[name])]
    if sorted(parameters) != sorted(wanted):
        raise UsageError(f"feature: {name!r} is made of {wanted or 'nothing'}, and {sorted(parameters)} are given.")
    return _KINDS[name](**parameters)


def parameters_of(feature: Feature) -> dict[str, float]:
    """What `make` makes the feature from again, by name."""
    return {item.name: float(getattr(feature, item.name)) for item in fields(feature)}  # type: ignore[arg-type]
