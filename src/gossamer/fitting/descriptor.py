"""Which descriptor a fit looks through."""

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.chemistry.bonds import bond_graph, neighbours_of
from gossamer.chemistry.pairs import all_pairs
from gossamer.descriptors import Cosine, Descriptor, InverseDistance
from gossamer.errors import UsageError
from gossamer.model.features import FeatureSet, Part
from gossamer.model.pairs import PairSet

if TYPE_CHECKING:
    from gossamer.data.dataset import Dataset

PAIRS, ANGLES = "pairs", "angles"  # by name
COSINE = 0.3  # 1/Angstrom; scale of the cosines beside inverse distances (docs/decisions/0011-descriptors.md)


def check_descriptor(asked: Any) -> None:
    """Raise UsageError for a name that cannot be, before any data are read."""
    if isinstance(asked, str) and asked not in (PAIRS, ANGLES):
        raise UsageError(f"descriptor: {asked!r} is not known; use {PAIRS}, {ANGLES}, or a FeatureSet.")


def descriptor_of(asked: Any, pairs: PairSet | None, train: "Dataset", perms: np.ndarray) -> Descriptor:
    """What `fit` makes of its arguments `descriptor` and `pairs`; perms (S, N): of the atoms.  Raises UsageError for
    what is none."""
    check_descriptor(asked)
    if asked == PAIRS:
        return pairs or PairSet.full(train.n_atoms)
    if pairs is not None:
        raise UsageError(f"pairs: given beside the descriptor {asked!r}, which has its own; leave one out.")
    if asked == ANGLES:
        return angles(train.positions, train.numbers, perms)
    if not isinstance(asked, PairSet | FeatureSet):
        raise UsageError(f"descriptor: {type(asked).__name__} given; use {PAIRS}, {ANGLES}, or a FeatureSet.")
    if asked.n_atoms != train.n_atoms:
        raise UsageError(
            f"descriptor: it is of {asked.n_atoms} atoms, and the training structures have {train.n_atoms}; give one "
            "of the same molecule."
        )
    return asked


def angles(positions: np.ndarray, numbers: np.ndarray, perms: np.ndarray, scale: float = COSINE) -> FeatureSet:
    """Inverse distances of all pairs, and the cosines of the angles between bonds, times scale (1/Angstrom).

    positions (M, N, 3), Angstrom: bonds are those of most structures, and their images under perms (S, N), which may be
    other ones where a proton jumps.  Raises UsageError where no two bonds meet."""
    neighbours = neighbours_of(bond_graph(positions, numbers), len(numbers))
    corners = [(vertex, *ends) for vertex, near in enumerate(neighbours) for ends in combinations(near, 2)]
    if not corners:
        raise UsageError("descriptor: 'angles' needs an atom with two bonds, and there is none; use 'pairs'.")
    n_atoms, vertices = len(numbers), np.array(corners)
    images = perms[:, vertices].reshape(-1, 3)
    images[:, 1:].sort(axis=1)
    return FeatureSet(
        n_atoms, (Part(InverseDistance(), all_pairs(n_atoms)), Part(Cosine(scale), np.unique(images, axis=0)))
    )
