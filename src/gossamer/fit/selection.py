"""Which terms a model is made of: one global term, local terms, or both, as the validation set decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from gossamer.data.dataset import Dataset
from gossamer.model.bonds import UNCONNECTED, bond_distances, bond_graph
from gossamer.model.fragments import Fragment, local_fragments
from gossamer.model.kernels import Matern52
from gossamer.model.pairs import PairSet
from gossamer.model.symmetry import Symmetry
from gossamer.model.terms import Term

FLEXIBILITY = 15.0  # kernel length over the rms distance between the term's descriptors of two structures
GLOBAL_SHARE = 0.05  # prior variance of the global term beside that of a local one, before learning
FAR = 5  # bonds; pairs further apart share their weights


@dataclass(frozen=True, eq=False)
class Makeup:
    """The terms of a model before it is fitted: terms over `pairs`, and per term the weight number (P,) of every slot
    (see fit.learning)."""

    name: str
    pairs: PairSet
    terms: tuple[Term, ...]
    groups: tuple[np.ndarray, ...]

    def without_global(self) -> "Makeup":
        """The local terms alone, over the pairs that they see."""
        kept = [t for t, term in enumerate(self.terms) if term.name != "global"]
        terms, pairs = compressed(tuple(self.terms[t] for t in kept), self.pairs)
        return Makeup("local", pairs, terms, tuple(self.groups[t] for t in kept))


def fragments_of(train: Dataset, group: Symmetry) -> tuple[Fragment, ...]:
    """Local fragments of the molecule, and the molecule itself."""
    return (*local_fragments(train.positions, train.numbers), Fragment.whole(train.n_atoms, group.perms))


def makeup(name: str, fragments: Sequence[Fragment], pairs: PairSet, train: Dataset) -> Makeup:
    """Terms over `fragments`, whose lengths fit how much their descriptors vary, with equal prior variance."""
    terms = []
    for fragment in fragments:
        term = fragment.term(pairs, Matern52(1.0))
        length = FLEXIBILITY * _spread(term, pairs, train.positions)
        share = GLOBAL_SHARE if fragment.kind == "global" and len(fragments) > 1 else 1.0
        terms.append(replace(term, kernel=Matern52(length), amplitude=share * length**2))
    used, compact = compressed(tuple(terms), pairs)
    classes = _classes(compact, train)
    groups = tuple(_groups(term, f, classes) for term, f in zip(used, fragments, strict=True))
    return Makeup(name, compact, used, groups)


def compressed(terms: tuple[Term, ...], pairs: PairSet) -> tuple[tuple[Term, ...], PairSet]:
    """The same terms over no more pairs than they use."""
    used = np.unique(np.concatenate([term.places.ravel() for term in terms]))
    position = np.full(len(pairs), -1)
    position[used] = np.arange(len(used))
    return tuple(replace(term, places=position[term.places]) for term in terms), pairs.keep(used)


def _spread(term: Term, pairs: PairSet, positions: np.ndarray) -> float:
    """Root mean square distance between the term's descriptors of two structures, 1/Angstrom."""
    x = term.gather(pairs.forward(torch.from_numpy(positions[:200]))[0])
    return float(x.var(0, correction=0).sum().mul(2).sqrt().clamp_min(1e-6))


def _groups(term: Term, fragment: Fragment, classes: np.ndarray) -> np.ndarray:
    """Slots that share a weight: orbits in a local term, classes of pairs in the global one."""
    orbits = term.perms.min(axis=0)
    followed = classes[term.places[0]][orbits] if fragment.kind == "global" else orbits
    return np.unique(followed, return_inverse=True)[1]


def _classes(pairs: PairSet, train: Dataset) -> np.ndarray:
    """Class (P,) of every pair: bonds between its atoms, up to FAR, and how many hydrogens it has."""
    bonds = bond_distances(bond_graph(train.positions, train.numbers), train.n_atoms)
    i, j = pairs.pairs.T
    steps = np.where(bonds[i, j] == UNCONNECTED, FAR + 1, np.minimum(bonds[i, j], FAR))
    hydrogens = (train.numbers[i] == 1).astype(int) + (train.numbers[j] == 1)
    return 3 * steps + hydrogens
