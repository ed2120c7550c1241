"""Terms before they are fitted: made of fragments, or over all pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from gossamer.chemistry.fragments import GLOBAL, Fragment, local_fragments
from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.descriptors import Descriptor
from gossamer.errors import UsageError
from gossamer.kernels import Kernel, with_length
from gossamer.model.fragment_terms import term_of
from gossamer.model.pairs import PairSet, as_pairs, orbit_numbers
from gossamer.model.terms import Term

FLEXIBILITY = 15.0  # kernel length over the rms distance between the term's descriptors of two structures
GLOBAL_SHARE = 0.05  # prior variance of the global term beside that of a local one, before learning


@dataclass(frozen=True, eq=False)
class Makeup:
    """The terms of a model before it is fitted: terms over `pairs`, or another descriptor, and per term the weight
    number (P,) of every slot (see fitting.learning)."""

    name: str
    pairs: Descriptor
    terms: tuple[Term, ...]
    groups: tuple[np.ndarray, ...] = ()

    @classmethod
    def whole(cls, pairs: Descriptor, perms: np.ndarray, kernel: Kernel) -> "Makeup":
        """One term over all of them, with pairs sgdml's model."""
        return cls("global", pairs, (Term.over_all(pairs, perms, kernel),))

    @property
    def length(self) -> float:
        """Of the kernel of one global term, 1/Angstrom; 0 where every term has its own."""
        return self.terms[0].kernel.length if len(self.terms) == 1 and self.terms[0].is_global else 0.0

    def without_global(self) -> "Makeup":
        """The local terms alone, over the pairs that they see."""
        kept = [t for t, term in enumerate(self.terms) if not term.is_global]
        terms, pairs = compressed(tuple(self.terms[t] for t in kept), self.pairs)
        return Makeup("local", pairs, terms, tuple(self.groups[t] for t in kept))


def makeup_of(
    terms: str | Sequence[Fragment | str], train: Dataset, group: Symmetry, pairs: Descriptor, kernel: Kernel
) -> Makeup:
    """What `fit` makes of its argument: those given, or local terms and the global one; for "local" that of contacts
    instead, without which molecules that no hydrogen bond joins would not feel each other."""
    if isinstance(terms, str):
        as_pairs(pairs, f"terms: {terms!r}")
    whole = Fragment.whole(train.n_atoms, group.perms)
    if not isinstance(terms, str):
        return makeup("given", _given(terms, whole), pairs, train, kernel)
    local = local_fragments(train.positions, train.numbers, contacts=terms == "local", perms=group.perms)
    if terms == "local":
        if not local:
            raise UsageError("terms: 'local' needs an atom with two bonds, and there is none; use 'global'.")
        return makeup("local", local, pairs, train, kernel)
    return makeup("both", [*local, whole], pairs, train, kernel)


def _given(terms: Sequence[Fragment | str], whole: Fragment) -> list[Fragment]:
    """The fragments given, with the whole molecule where they say "global"."""
    wrong = [f for f in terms if not isinstance(f, Fragment) and f != GLOBAL]
    if wrong or not len(terms):
        shown = f"{wrong[0]!r} is among them" if wrong else "the list is empty"
        raise UsageError(f"terms: {shown}; give Fragments, and 'global' for the term over the whole molecule.")
    names = [f if isinstance(f, str) else f.name for f in terms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"terms: two of them are called {twice!r}; rename one.")
    return [whole if isinstance(f, str) else f for f in terms]


def makeup(name: str, fragments: Sequence[Fragment], pairs: Descriptor, train: Dataset, kernel: Kernel) -> Makeup:
    """Terms over `fragments` with kernels of the kind of `kernel`, whose lengths fit how much their descriptors vary,
    with equal prior variance."""
    terms = []
    for fragment in fragments:
        term = _term(fragment, pairs, kernel)
        length = FLEXIBILITY * _spread(term, pairs, train.positions)
        share = GLOBAL_SHARE if fragment.is_global and len(fragments) > 1 else 1.0
        terms.append(replace(term, kernel=with_length(kernel, length), amplitude=share * length**2))
    used, compact = compressed(tuple(terms), pairs)
    return Makeup(name, compact, used, tuple(orbit_numbers(term.perms) for term in used))


def _term(fragment: Fragment, pairs: Descriptor, kernel: Kernel) -> Term:
    """The term over a fragment, which with another descriptor than pairs has to be the whole molecule."""
    if fragment.is_global and not isinstance(pairs, PairSet):
        return Term.over_all(pairs, fragment.perms, kernel)
    return term_of(fragment, as_pairs(pairs, f"terms: {fragment.name!r}"), kernel)


def compressed(terms: tuple[Term, ...], pairs: Descriptor) -> tuple[tuple[Term, ...], Descriptor]:
    """The same terms over no more pairs than they use."""
    used = np.unique(np.concatenate([term.places.ravel() for term in terms]))
    position = np.full(len(pairs), -1)
    position[used] = np.arange(len(used))
    return tuple(replace(term, places=position[term.places]) for term in terms), pairs.keep(used)


def _spread(term: Term, pairs: Descriptor, positions: np.ndarray) -> float:
    """Root mean square distance between the term's descriptors of two structures, 1/Angstrom."""
    x = term.gather(pairs.forward(torch.from_numpy(positions[:200]))[0])
    return float(x.var(0, correction=0).sum().mul(2).sqrt().clamp_min(1e-6))
