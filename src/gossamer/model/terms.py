"""A term: one unknown function of a few pair distances, and the places and permutations at which it is used."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from gossamer.chemistry.origin import GIVEN, WHOLE, Origin
from gossamer.descriptors import Descriptor
from gossamer.errors import UsageError
from gossamer.kernels import Kernel
from gossamer.model.pairs import PairSet

if TYPE_CHECKING:
    from torch import Tensor

    from gossamer.model.pair_functions import PairFunctions


@dataclass(frozen=True, eq=False)
class Term:
    """f(R) = sum over places L of phi(x_L(R)),  phi ~ GP(0, amplitude * sum over perms h of k(x, h x')).

    places (L, P) int64: indices into the force field's pairs, or the features of another descriptor that it has; every
    row is one ordered copy of those of the term.
    perms (H, P) int64: permutations of the P slots that leave phi unchanged; a closed group, row 0 the identity.
    weights (P,): the descriptor of slot p is weights[p] / r, equal within an orbit of `perms`.
    name: for people; origin: the fragment that it was made from, of which it may see fewer pairs than there are.
    Places times perms are the images of the term under the symmetry group of the molecule: copies that are mere
    permutations of one pair list are `perms` (they cost one factor H), copies elsewhere in the molecule are `places`.
    """

    places: np.ndarray
    perms: np.ndarray
    kernel: Kernel
    amplitude: float = 1.0
    weights: np.ndarray = None  # type: ignore[assignment]  # None: all 1
    name: str = "given"
    origin: Origin = GIVEN
    inverse_perms: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        places = np.atleast_2d(np.asarray(self.places, dtype=np.int64))
        perms = np.atleast_2d(np.asarray(self.perms, dtype=np.int64))
        weights = np.ones(places.shape[1]) if self.weights is None else np.asarray(self.weights, dtype=float)
        if perms.shape[1] != places.shape[1] or weights.shape != (places.shape[1],):
            raise UsageError(
                f"term {self.name!r}: places {places.shape}, perms {perms.shape} and weights {weights.shape} "
                "must agree in their last dimension."
            )
        if np.any(np.sort(perms, axis=1) != np.arange(places.shape[1])):
            raise UsageError(f"term {self.name!r}: a row of perms is no permutation of its {places.shape[1]} slots.")
        if any(len(np.unique(place)) < len(place) for place in places):
            raise UsageError(f"term {self.name!r}: a place names a pair twice; name each pair once.")
        if not np.allclose(weights[perms], weights, rtol=1e-12):
            raise UsageError(f"term {self.name!r}: weights differ within an orbit of its permutations; average them.")
        if self.origin.atoms and len(self.origin.atoms) != len(places):
            raise UsageError(f"term {self.name!r}: its origin has {len(self.origin.atoms)} places, it {len(places)}.")
        for name, value in (("places", places), ("perms", perms), ("weights", weights)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "inverse_perms", np.argsort(perms, axis=1))

    def __repr__(self) -> str:
        size = f"{self.n_pairs} pairs, {self.n_places} places, {len(self.perms)} permutations"
        kernel = f"{self.kernel.name} of length {self.kernel.length:.4g}, amplitude {self.amplitude:.4g}"
        return f"Term({self.name!r}: {size}, {kernel})"

    @classmethod
    def over_all(
        cls,
        pairs: Descriptor,
        perms: np.ndarray,
        kernel: Kernel,
        amplitude: float = 1.0,
        weights: np.ndarray | None = None,
    ) -> "Term":
        """One term over every pair (feature) of `pairs`, symmetric under atom permutations perms (S, N): sgdml's model.

        Atom permutations that act alike on the pairs are counted once."""
        images = np.unique(pairs.permuted(perms), axis=0)
        weights = np.ones(len(pairs)) if weights is None else weights
        return cls(np.arange(len(pairs))[None], images, kernel, amplitude, weights, "global", WHOLE)

    def over(self, pairs: PairSet, kept: PairSet) -> "Term | None":
        """The same term over those of its slots whose pairs `kept` holds in every place, with places in `kept`; places
        here are indices into `pairs`.  None where no slot is left."""
        places = kept.index(pairs.pairs[self.places])
        slots = np.flatnonzero(np.all(places >= 0, axis=0))
        if len(slots) == 0:
            return None
        position = np.full(self.n_pairs, -1)
        position[slots] = np.arange(len(slots))
        perms = position[self.perms[:, slots]]
        if np.any(perms < 0):
            raise UsageError(f"term {self.name!r}: the pairs kept break an orbit of it; keep or drop whole orbits.")
        return replace(self, places=places[:, slots], perms=np.unique(perms, axis=0), weights=self.weights[slots])

    @property
    def is_global(self) -> bool:
        """Whether it looks at the molecule itself."""
        return self.origin.is_global

    @property
    def n_pairs(self) -> int:
        return self.places.shape[1]

    @property
    def n_places(self) -> int:
        return self.places.shape[0]

    @property
    def n_images(self) -> int:
        return self.n_places * len(self.perms)

    def rows_of(self, structures: np.ndarray) -> np.ndarray:
        """The rows (n * L,) of structures (n,) among those of all structures, which hold one row per place each."""
        return (structures[:, None] * self.n_places + np.arange(self.n_places)).ravel()

    def gather(self, x: "Tensor") -> "Tensor":
        """Molecule's descriptors x (Q, P_all) -> this term's rows (Q * L, P), weighted."""
        rows = x[:, self.places.ravel()].reshape(-1, self.n_pairs)
        return rows * rows.new_tensor(self.weights) if np.any(self.weights != 1) else rows

    def scatter(self, g: "Tensor", out: "Tensor") -> None:
        """Transpose of `gather`: add the rows g (Q * L, P) to out (Q, P_all)."""
        if np.any(self.weights != 1):
            g = g * g.new_tensor(self.weights)
        g = g.reshape(len(out), self.n_places, self.n_pairs)
        for place, slots in enumerate(self.places):
            out[:, slots] += g[:, place]


def kept(
    terms: Sequence[Term], pairs: Descriptor, perms: np.ndarray, functions: "PairFunctions | None" = None
) -> np.ndarray:
    """Which of the atom permutations perms (S, N) leave every term, and the pair functions, as they are, a mask (S,);
    places are indices into `pairs`.

    A permutation does where it takes the places of each term to the same places again, up to the term's own perms, and
    every pair with a function to one of its class."""
    moved = pairs.images(perms)
    kept = np.ones(len(perms), dtype=bool) if functions is None else functions.keeps(pairs, perms)
    for term in terms:
        place_of: dict[bytes, int] = {}
        for number, place in enumerate(term.places):
            if place.tobytes() not in place_of:
                place_of |= {place[perm].tobytes(): number for perm in term.perms}
        before = sorted(place_of[place.tobytes()] for place in term.places)
        for s in np.flatnonzero(kept):
            after = [place_of.get(place.tobytes(), -1) for place in moved[s][term.places]]
            kept[s] = sorted(after) == before
    return kept
