"""What the model may look at beside pairs: lists of features of a few atoms each, of any kinds that are registered."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from gossamer.descriptors import Feature, InverseDistance, dense
from gossamer.devices import block_bytes
from gossamer.errors import UsageError
from gossamer.model.pairs import PairSet

if TYPE_CHECKING:
    from torch import Tensor


class Part(NamedTuple):
    """Features of one kind.  atoms (F_k, A_k) int64: row by row those that one is a function of."""

    feature: Feature
    atoms: np.ndarray


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """F features of a molecule of N atoms, part after part: see descriptors.Descriptor, whose generic form it is.

    Gradients dx (Q, F, A, 3) are by the atoms of every feature.  No feature stands in the list twice, in another order
    of its atoms either."""

    n_atoms: int
    parts: tuple[Part, ...]
    kind: ClassVar[str] = "features"

    def __post_init__(self) -> None:
        parts = tuple(Part(feature, np.asarray(atoms, dtype=np.int64)) for feature, atoms in self.parts)
        object.__setattr__(self, "parts", parts)
        if not sum(len(atoms) for _, atoms in parts):
            raise UsageError(f"features: none given for {self.n_atoms} atoms; a model needs at least one.")
        for feature, atoms in parts:
            wanted = len(feature.orders[0])
            if atoms.ndim != 2 or not len(atoms) or atoms.shape[1] != wanted:
                raise UsageError(f"features: {feature.name!r} needs {wanted} atoms in every row, not {atoms.shape}.")
            if atoms.min() < 0 or atoms.max() >= self.n_atoms or np.any(np.diff(np.sort(atoms, axis=1)) == 0):
                raise UsageError(
                    f"features: every {feature.name!r} must name {wanted} different ones of the {self.n_atoms} atoms."
                )
        name, count = Counter(self._names).most_common(1)[0]
        if count > 1:
            raise UsageError(f"features: {name[0].name!r} of atoms {name[1]} stands in the list twice; name it once.")

    def __len__(self) -> int:
        return sum(len(atoms) for _, atoms in self.parts)

    @property
    def noun(self) -> str:
        """ "features (36 inverse, 13 cosine)"."""
        return f"features ({', '.join(f'{len(atoms)} {feature.name}' for feature, atoms in self.parts)})"

    def __repr__(self) -> str:
        return f"FeatureSet({len(self)} {self.noun} of {self.n_atoms} atoms)"

    @property
    def _starts(self) -> np.ndarray:
        """Where every part begins, and the last ends."""
        return np.cumsum([0, *(len(atoms) for _, atoms in self.parts)])

    @cached_property
    def atoms(self) -> np.ndarray:
        """The atoms (F, A) of every feature, filled up with its first."""
        width = max(atoms.shape[1] for _, atoms in self.parts)
        return np.vstack([
            np.hstack([atoms, np.repeat(atoms[:, :1], width - atoms.shape[1], axis=1)]) for _, atoms in self.parts
        ])  # fmt: skip

    @property
    def inverse_distances(self) -> np.ndarray:
        """The features (K,) that are 1/r of a pair."""
        sides = zip(self._starts, self.parts, strict=False)
        return np.concatenate([
            np.arange(start, start + len(atoms) * isinstance(feature, InverseDistance))
            for start, (feature, atoms) in sides
        ])  # fmt: skip

    @property
    def _names(self) -> "list[tuple[Feature, tuple[int, ...]]]":
        """Every feature with its atoms in the first of their orders."""
        return [name for feature, atoms in self.parts for name in _names(feature, atoms)]

    def keep(self, rows: Any) -> "FeatureSet":
        """The features `rows` (indices or boolean mask), in that order."""
        chosen = np.arange(len(self))[rows]
        owners = np.searchsorted(self._starts, chosen, side="right") - 1
        groups = np.split(np.arange(len(chosen)), np.flatnonzero(np.diff(owners)) + 1)
        return FeatureSet(self.n_atoms, tuple(
            Part(self.parts[k].feature, self.parts[k].atoms[chosen[group] - self._starts[k]])
            for group in groups if len(group) for k in [owners[group[0]]]
        ))  # fmt: skip

    def images(self, perms: np.ndarray) -> np.ndarray:
        """Entry f of row s (S, F): the feature on which the atom permutation perms[s] (S, N) puts feature f, -1 where
        that is not in the list."""
        at = {name: f for f, name in enumerate(self._names)}
        moved = ([name for feature, atoms in self.parts for name in _names(feature, perm[atoms])] for perm in perms)
        return np.array([[at.get(name, -1) for name in row] for row in moved])

    def permuted(self, perms: np.ndarray) -> np.ndarray:
        """`images`, all of which are there.  Raises UsageError where one is not."""
        images = self.images(perms)
        if np.any(images < 0):
            s, f = np.argwhere(images < 0)[0]
            feature, atoms = self._names[f]
            moved = tuple(perms[s, list(atoms)].tolist())
            raise UsageError(
                f"features: {feature.name!r} of atoms {atoms} is in the list and its image {moved} under permutation "
                f"{s} is not; list whole orbits."
            )
        return images

    def apart(self, x: "Tensor") -> bool:
        """False: what features are where atoms coincide, only they know."""
        return False

    def refuse_coincident(self, positions: np.ndarray, what: str, frames: np.ndarray | None = None) -> None:
        """Raise DataError if any atoms coincide; see PairSet.refuse_coincident."""
        PairSet.full(self.n_atoms).refuse_coincident(positions, what, frames)

    def forward(self, positions: "Tensor") -> "tuple[Tensor, Tensor]":
        """positions (Q, N, 3), Angstrom -> x (Q, F) and their gradients dx (Q, F, A, 3)."""
        return dense.forward(self.parts, positions)

    def push(self, dx: "Tensor", a: "Tensor") -> "Tensor":
        """(dx/dR) a:  dx (Q, F, A, 3), a (Q, N, 3) -> (Q, F)."""
        return dense.push(self.atoms, dx, a)

    def pull(self, dx: "Tensor", g: "Tensor") -> "Tensor":
        """(dx/dR)^T g:  dx (Q, F, A, 3), g (Q, F) -> (Q, N, 3)."""
        import torch

        incidence = torch.as_tensor(self.incidence, device=dx.device)
        out = dx.new_empty((len(dx), self.n_atoms, 3))
        step = max(1, int(block_bytes(dx.device) // (2 * 8 * 3 * incidence.numel())))
        for start in range(0, len(dx), step):
            part = slice(start, start + step)
            out[part] = dense.pull(incidence, dx[part], g[part])
        return out

    def jacobian(self, dx: "Tensor") -> "Tensor":
        """dx itself."""
        return dx

    @cached_property
    def incidence(self) -> np.ndarray:
        """Where every atom stands in the flattened `atoms` (N, D), but where it fills them up; F A fills up this."""
        widths = np.repeat([atoms.shape[1] for _, atoms in self.parts], np.diff(self._starts))
        real = np.flatnonzero(np.arange(self.atoms.shape[1]) < widths[:, None])
        return np.append(real, self.atoms.size)[dense.occurrences(self.atoms.ravel()[real], self.n_atoms)]


def _names(feature: Feature, atoms: np.ndarray) -> "Iterator[tuple[Feature, tuple[int, ...]]]":
    """The feature with each row of atoms (F, A), in the first of their orders."""
    for row in atoms.tolist():
        yield feature, min(tuple(row[k] for k in order) for order in feature.orders)
