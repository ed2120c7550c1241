"""Terms and pair functions before they are fitted: made of fragments and classes of pairs, or over all pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.baselines.repulsion import closest
from gossamer.chemistry.fragments import GLOBAL, Fragment, local_fragments
from gossamer.chemistry.pair_classes import pair_classes
from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.descriptors import Descriptor
from gossamer.descriptors.basis import Basis
from gossamer.errors import UsageError
from gossamer.fitting.covariance import Covariance, mean_variance
from gossamer.kernels import Kernel, with_length
from gossamer.model.fragment_terms import term_of
from gossamer.model.pair_functions import NEED, PairFunctions
from gossamer.model.pairs import PairSet, as_pairs, orbit_numbers
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

FLEXIBILITY = 15.0  # kernel length over the rms distance between the term's descriptors of two structures
GLOBAL_SHARE = 0.05  # prior variance of the global term beside that of a local one, before learning
PAIRS = "pairs"  # what people call the pair functions
FUNCTION_SHARE = (
    0.05  # prior variance of a force component by pair functions beside that by local terms, before learning
)
CENTRES, WIDTH = 20, 0.35  # of a pair function: Gaussians in log r, and their width there
CUTOFF = 12.0  # Angstrom, of pair functions
MANY = 2500  # force components from which on smooth kernels pay
BELOW = 0.9  # of the closest distance, where the centres begin


@dataclass(frozen=True, eq=False)
class Makeup:
    """The terms and pair functions of a model before it is fitted: over `pairs`, or terms over another descriptor, and
    per term the weight number (P,) of every slot (see fitting.learning)."""

    name: str
    pairs: Descriptor
    terms: tuple[Term, ...]
    groups: tuple[np.ndarray, ...] = ()
    functions: PairFunctions | None = None

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
        terms, functions, pairs = compressed(tuple(self.terms[t] for t in kept), self.functions, self.pairs)
        name = "local" if functions is None else PAIRS
        return Makeup(name, pairs, terms, tuple(self.groups[t] for t in kept), functions)

    def with_global(self, pairs: PairSet, perms: np.ndarray, positions: np.ndarray) -> "Makeup":
        """With a term over all of `pairs` besides, of the kind of the others, with the share of the prior variance that
        it has before learning.  positions: of the training structures (M, N, 3), Angstrom."""
        position = pairs.index(as_pairs(self.pairs, "terms: a global one").pairs)
        whole = _flexible(Term.over_all(pairs, perms, self.terms[0].kernel), pairs, positions)
        share = GLOBAL_SHARE * self.mean_variance(positions[:1]) / mean_variance((whole,), pairs, positions[:1])
        terms = tuple(replace(term, places=position[term.places]) for term in self.terms)
        functions = None if self.functions is None else self.functions.of_pairs(position)
        terms = (*terms, replace(whole, amplitude=share * whole.amplitude))
        name, groups = "both" if functions is None else "all", tuple(orbit_numbers(term.perms) for term in terms)
        return Makeup(name, pairs, terms, groups, functions)

    def covariance(self, positions: "Tensor", energies: bool) -> Covariance:
        """Of the labels of structures positions (M, N, 3), Angstrom, with themselves."""
        return Covariance.among(self.terms, self.pairs, positions, energies, self.functions)

    def mean_variance(self, positions: np.ndarray) -> float:
        """Mean prior variance of a force component of the structures (Q, N, 3)."""
        return mean_variance(self.terms, self.pairs, positions, self.functions)

    def scaled(self, factor: float) -> "Makeup":
        """With all prior variances multiplied by `factor`."""
        terms = tuple(replace(term, amplitude=term.amplitude * factor) for term in self.terms)
        functions = self.functions
        if functions is not None:
            functions = replace(functions, variances=functions.variances * factor)
        return replace(self, terms=terms, functions=functions)


def makeup_of(
    terms: str | Sequence[Fragment | str],
    train: Dataset,
    group: Symmetry,
    pairs: Descriptor,
    kernel_of: Callable[[bool], Kernel],
) -> Makeup:
    """What `fit` makes of its argument: those given, or local terms; for "both" the global one besides, for "pairs"
    pair functions, for "all" both; for "auto" what "pairs" is, or, where no pairs are so far apart, "both".
    kernel_of: the kernel, by whether it is to be smooth."""
    if isinstance(terms, str):
        as_pairs(pairs, f"terms: {terms!r}")
    whole, kernel = Fragment.whole(train.n_atoms, group.perms), kernel_of(_are_many(train))
    if not isinstance(terms, str):
        fragments = _given(terms, whole)
        functions = (
            pair_functions_of(train, group, pairs) if PAIRS in [f for f in terms if isinstance(f, str)] else None
        )
        return makeup("given", fragments, pairs, train, kernel, functions)
    local = local_fragments(train.positions, train.numbers, perms=group.perms)
    if terms == "local":
        if not local:
            raise UsageError("terms: 'local' needs an atom with two bonds, and there is none; use 'global'.")
        return makeup("local", local, pairs, train, kernel)
    functions = None if terms == "both" else pair_functions_of(train, group, pairs)
    if terms == PAIRS or (terms == "auto" and functions is not None):
        return makeup(PAIRS, local, pairs, train, kernel, functions)
    return makeup("both" if functions is None else "all", [*local, whole], pairs, train, kernel, functions)


def _are_many(train: Dataset) -> bool:
    """Whether the structures are enough for smooth kernels to pay (docs/decisions/0014-kernels.md)."""
    return 3 * train.n_atoms * len(train) >= MANY


def _given(terms: Sequence[Fragment | str], whole: Fragment) -> list[Fragment]:
    """The fragments given, with the whole molecule where they say "global"; pair functions are none."""
    wrong = [f for f in terms if not isinstance(f, Fragment) and f not in (GLOBAL, PAIRS)]
    if wrong or not len(terms):
        shown = f"{wrong[0]!r} is among them" if wrong else "the list is empty"
        raise UsageError(
            f"terms: {shown}; give Fragments, 'global' for the term over the whole molecule, and 'pairs' for functions "
            "of pair distances."
        )
    names = [f if isinstance(f, str) else f.name for f in terms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"terms: two of them are called {twice!r}; rename one.")
    fragments = [whole if isinstance(f, str) else f for f in terms if f != PAIRS]
    if not fragments:
        raise UsageError("terms: pair functions alone make no model; give Fragments beside 'pairs', or use 'pairs'.")
    return fragments


def makeup(
    name: str,
    fragments: Sequence[Fragment],
    pairs: Descriptor,
    train: Dataset,
    kernel: Kernel,
    functions: PairFunctions | None = None,
) -> Makeup:
    """Terms over `fragments` with kernels of the kind of `kernel`, whose lengths fit how much their descriptors vary,
    with equal prior variance; functions, over `pairs`, are scaled to theirs."""
    terms = []
    for fragment in fragments:
        term = _flexible(_term(fragment, pairs, kernel), pairs, train.positions)
        share = GLOBAL_SHARE if fragment.is_global and len(fragments) > 1 else 1.0
        terms.append(replace(term, amplitude=share * term.amplitude))
    if functions is not None:
        local, some = tuple(term for term in terms if not term.is_global) or tuple(terms), train.positions[:1]
        share = FUNCTION_SHARE * mean_variance(local, pairs, some) / mean_variance((), pairs, some, functions)
        functions = replace(functions, variances=functions.variances * share)
    used, functions, compact = compressed(tuple(terms), functions, pairs)
    return Makeup(name, compact, used, tuple(orbit_numbers(term.perms) for term in used), functions)


def _term(fragment: Fragment, pairs: Descriptor, kernel: Kernel) -> Term:
    """The term over a fragment, which with another descriptor than pairs has to be the whole molecule."""
    if fragment.is_global and not isinstance(pairs, PairSet):
        return Term.over_all(pairs, fragment.perms, kernel)
    return term_of(fragment, as_pairs(pairs, f"terms: {fragment.name!r}"), kernel)


def compressed(
    terms: tuple[Term, ...], functions: PairFunctions | None, pairs: Descriptor
) -> tuple[tuple[Term, ...], PairFunctions | None, Descriptor]:
    """The same terms and pair functions over no more pairs than they use."""
    slots = [term.places.ravel() for term in terms] + ([] if functions is None else [functions.slots])
    used = np.unique(np.concatenate(slots))
    position = np.full(len(pairs), -1)
    position[used] = np.arange(len(used))
    moved = tuple(replace(term, places=position[term.places]) for term in terms)
    return moved, None if functions is None else functions.of_pairs(position), pairs.keep(used)


def pair_functions_of(train: Dataset, group: Symmetry, pairs: Descriptor) -> PairFunctions | None:
    """Functions of the distances that the structures visit within CUTOFF, for every class of those of `pairs` that are
    ever as close; None where there are none."""
    found = pair_classes(train.positions, train.numbers, group.perms)
    i, j = found.pairs.T
    shortest, slots = closest(train.positions, group.perms)[i, j], as_pairs(pairs, NEED).index(found.pairs)
    used = np.flatnonzero((slots >= 0) & (shortest < CUTOFF))
    if not len(used):
        return None
    i, j = found.pairs[used].T
    longest = max(np.linalg.norm(R[i] - R[j], axis=1).max() for R in train.positions)
    ends = np.log([BELOW * shortest[used].min(), min(longest, CUTOFF)])
    basis = Basis(float(ends.mean()), float(np.diff(ends)[0]) / (CENTRES - 1), WIDTH, CUTOFF, CENTRES)
    left, classes = np.unique(found.classes[used], return_inverse=True)
    names = tuple(found.names[k] for k in left)
    return PairFunctions(basis, slots[used], classes, names, np.ones(len(names)), shortest[used])


def _flexible(term: Term, pairs: Descriptor, positions: np.ndarray) -> Term:
    """With a kernel length that fits how much its descriptors vary over the structures positions (M, N, 3), and the
    amplitude that gives forces the same prior variance whatever the length."""
    length = FLEXIBILITY * _spread(term, pairs, positions)
    return replace(term, kernel=with_length(term.kernel, length), amplitude=length**2)


def _spread(term: Term, pairs: Descriptor, positions: np.ndarray) -> float:
    """Root mean square distance between the term's descriptors of two structures, 1/Angstrom."""
    x = term.gather(pairs.forward(torch.from_numpy(positions[:200]))[0])
    return float(x.var(0, correction=0).sum().mul(2).sqrt().clamp_min(1e-6))
