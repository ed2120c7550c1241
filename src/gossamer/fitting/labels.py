"""Labels as one vector: the blocks it has, where they stand in it, and what they are shifted and divided by."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.data.dataset import Dataset
from gossamer.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Block:
    """A kind of label.  name: the field of a Dataset that holds it; a structure of N atoms has per_atom N + alone of
    them; centred: their mean is taken off, since no covariance knows it."""

    name: str
    per_atom: int
    alone: int
    centred: bool = False

    def count(self, n_atoms: int) -> int:
        """How many one structure has."""
        return self.per_atom * n_atoms + self.alone

    def values(self, data: Dataset) -> np.ndarray:
        """Those of `data`, flat, structure after structure.  Raises DataError where it has none."""
        if self == FORCES:
            return data.labelled_forces().ravel()
        found = getattr(data, self.name)
        if found is None:
            raise DataError(f"{self.name}: asked for as labels, but the data have none; leave --{self.name} out.")
        return found.ravel()


FORCES, ENERGIES = Block("forces", 3, 0), Block("energies", 0, 1, centred=True)


def blocks_of(energies: bool) -> tuple[Block, ...]:
    """What is fitted to: forces, and energies where they are asked for."""
    return (FORCES, ENERGIES) if energies else (FORCES,)


@dataclass(frozen=True)
class LabelLayout:
    """Where the labels of M structures of N atoms stand in a vector (n,): block after block, in a block structure after
    structure.  The components of one structure are numbered through all blocks: 3N forces, then the energy."""

    n_structures: int
    n_atoms: int
    blocks: tuple[Block, ...] = (FORCES,)

    @property
    def counts(self) -> tuple[int, ...]:
        """Per block, how many labels a structure has."""
        return tuple(block.count(self.n_atoms) for block in self.blocks)

    @property
    def size(self) -> int:
        """n, the number of labels."""
        return self.n_structures * sum(self.counts)

    @property
    def starts(self) -> tuple[int, ...]:
        """Per block its first place in the vector, and the vector's end."""
        return tuple(int(at) * self.n_structures for at in np.cumsum((0, *self.counts)))

    @property
    def kept_factors(self) -> int:
        """How many kinds of radial factors products of the covariance take: k1 and k2, with energies k0 too."""
        return 3 if ENERGIES in self.blocks else 2

    def part(self, v: "Tensor", block: Block) -> "Tensor":
        """The labels of one block (M, count) of v (n,)."""
        b = self.blocks.index(block)
        return v[self.starts[b] : self.starts[b + 1]].view(self.n_structures, self.counts[b])

    def of_structures(self, structures: range) -> np.ndarray:
        """The places of the labels of these structures, block after block."""
        return np.concatenate([
            np.arange(start + structures.start * count, start + structures.stop * count)
            for start, count in zip(self.starts, self.counts, strict=False)
        ])  # fmt: skip

    def located(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The structures (C,) and components (C,) of the labels at `places` (C,)."""
        structure, component = np.empty_like(places), np.empty_like(places)
        first = 0
        for b, count in enumerate(self.counts):
            mine = (places >= self.starts[b]) & (places < self.starts[b + 1])
            structure[mine] = (places[mine] - self.starts[b]) // count
            component[mine] = first + (places[mine] - self.starts[b]) % count
            first += count
        return structure, component

    @cached_property
    def owners(self) -> np.ndarray:
        """The structure (n,) of every label."""
        return self.located(np.arange(self.size))[0]


@dataclass(frozen=True, eq=False)
class Labels:
    """Training labels y (n,), where they stand in it, the means that were taken off the blocks, and the number `scale`
    (eV/Angstrom) that they were then divided by.

    As in sgdml: scale is the standard deviation of all labels together."""

    y: "Tensor"
    layout: LabelLayout
    means: tuple[float, ...]
    scale: float

    @classmethod
    def of(cls, data: Dataset, blocks: Sequence[Block] = (FORCES,)) -> "Labels":
        """Raises DataError where a block is missing, or all labels are alike."""
        values = [block.values(data) for block in blocks]
        means = tuple(float(v.mean()) if block.centred else 0.0 for block, v in zip(blocks, values, strict=True))
        y = np.concatenate([v - mean for v, mean in zip(values, means, strict=True)])
        scale = float(y.std())
        if not scale > 0:
            raise DataError("forces: all of them are zero, so there is nothing to learn; check the file's forces.")
        return cls(torch.from_numpy(y / scale), LabelLayout(len(data), data.n_atoms, tuple(blocks)), means, scale)

    @property
    def constant(self) -> float:
        """The mean energy that was taken off, eV; 0 where energies are no labels."""
        return sum(mean for block, mean in zip(self.layout.blocks, self.means, strict=True) if block == ENERGIES)
