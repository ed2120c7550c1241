"""Which atoms a term looks at: fragments of the molecule, the places where one is found again, and how its atoms may be
exchanged.  docs/decisions/0007-local-terms.md says why these and what each is worth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gossamer.chemistry.bonds import UNCONNECTED, bond_distances
from gossamer.chemistry.groups import group_order, is_group
from gossamer.chemistry.origin import WHOLE, Kind, Origin
from gossamer.chemistry.pairs import all_pairs
from gossamer.chemistry.places import Orbits, with_images
from gossamer.chemistry.web import ENVIRONMENT, Cut, HydrogenBonds, Web
from gossamer.errors import UsageError

GLOBAL = "global"  # what people call the fragment that is the molecule itself
IMAGES, IMAGE_PAIRS = 12, 240  # exchanges of a fragment's atoms by default, and those times pairs where that is more
CLOSE = 4.0  # Angstrom; median distance below which heavy atoms of different molecules are in contact


@dataclass(frozen=True, eq=False)
class Fragment:
    """n atoms of the molecule, L places where such a fragment stands, and the exchanges of its atoms.

    atoms (L, n) int64: each row names the atoms of one place, in corresponding order; perms (H, n): permutations of the
    n columns that leave the fragment's function unchanged, a closed group with the identity first.  kind, reach: as of
    an `Origin`; its centre stands first in every row."""

    atoms: np.ndarray
    perms: np.ndarray
    name: str
    kind: Kind = "given"
    reach: float | None = None

    def __post_init__(self) -> None:
        atoms = np.atleast_2d(np.asarray(self.atoms, dtype=np.int64))
        perms = np.atleast_2d(np.asarray(self.perms, dtype=np.int64))
        odd = next((row for row in atoms.tolist() if len(row) < 2 or len(set(row)) < len(row)), None)
        if odd is not None or not len(atoms):
            raise UsageError(
                f"fragment {self.name!r}: place {odd or []} must name at least 2 atoms, none of them twice; correct it."
            )
        if perms.shape[1] != atoms.shape[1] or np.any(np.sort(perms, axis=1) != np.arange(atoms.shape[1])):
            raise UsageError(
                f"fragment {self.name!r}: perms {perms.tolist()} must be rows that name each of 0 to "
                f"{atoms.shape[1] - 1} once; correct them."
            )
        if not is_group(perms):
            raise UsageError(
                f"fragment {self.name!r}: its {len(perms)} perms are no group; add the products that are missing, and "
                "the identity."
            )
        if self.is_global and (self.name != GLOBAL or not np.array_equal(np.sort(atoms[0]), np.arange(atoms.size))):
            raise UsageError(
                f"fragment {self.name!r}: the kind 'global' is the molecule itself; leave kind out, or use "
                "Fragment.whole."
            )
        if self.name == GLOBAL and not self.is_global:
            raise UsageError(f"fragment {self.name!r}: {GLOBAL!r} names the molecule itself; give another name.")
        object.__setattr__(self, "atoms", atoms)
        object.__setattr__(self, "perms", perms)

    def __repr__(self) -> str:
        places, n = self.atoms.shape
        return f"Fragment({self.name!r}: {n} atoms, {places} places, {len(self.perms)} exchanges)"

    @classmethod
    def whole(cls, n_atoms: int, perms: np.ndarray) -> "Fragment":
        """The molecule itself, symmetric under atom permutations perms (S, N): the global term."""
        return cls(np.arange(n_atoms), perms, GLOBAL, "global")

    @property
    def is_global(self) -> bool:
        """Whether it is the molecule itself."""
        return self.kind == "global"

    @property
    def origin(self) -> Origin:
        """What a term over it was made from."""
        return WHOLE if self.is_global else Origin.of(self.kind, self.reach, self.atoms)

    @cached_property
    def inner(self) -> np.ndarray:
        """All pairs of the fragment's n atoms (P, 2), by column."""
        return all_pairs(self.atoms.shape[1])


def local_fragments(
    positions: np.ndarray,
    numbers: np.ndarray,
    *,
    bonds: Sequence[int] = (1, 2, 3),
    radii: Sequence[float] = (),
    contacts: bool = True,
    share: bool = True,
    environment: int = ENVIRONMENT,
    hydrogen_bonds: HydrogenBonds = "between",
    max_images: int | None = None,
    max_places: int = 12,
    perms: np.ndarray | None = None,
) -> tuple[Fragment, ...]:
    """The atoms within 1, 2, ... `bonds` of every atom with two or more neighbours, those whose median distance from a
    heavy atom is below one of `radii` (Angstrom), and those around contacts between molecules.

    positions (n, N, 3) Angstrom, numbers (N,).  hydrogen_bonds: which of those closed in half of the structures count
    as bonds, so that base pairs get terms too: "none", those "between" molecules, or "all".  contacts: every heavy atom
    and the nearest one of a molecule not bonded to its own, closer than CLOSE, with the atoms bonded to both, where no
    other fragment holds the two.  share: fragments whose atoms look alike are places of one term; environment: they do
    where elements and bonds agree so many bonds around, 0 where their elements do.  max_images: exchanges of like atoms
    are used up to so many (None: IMAGES, or as many as make IMAGE_PAIRS numbers of a descriptor); fragments that allow
    more are cut down to those that the surroundings tell apart.  max_places: a term's cost grows with the square of its
    places, so more of them are split among several terms, unless the molecule's symmetry can exchange them.  perms
    (S, N): a closed group of atom permutations, such as `find_symmetry(positions, numbers).perms`, under which the sum
    of the terms is invariant, by places and exchanges beyond both limits where need be.  Raises UsageError for a radius
    that is not positive.
    """
    check_radii(radii)
    web = Web.build(positions, numbers, hydrogen_bonds=hydrogen_bonds, environment=environment)
    cuts = [web.within_bonds(a, b) for b in bonds for a, near in enumerate(web.neighbours) if len(near) > 1]
    cuts += [web.within_radius(int(a), radius) for radius in radii for a in np.flatnonzero(np.asarray(numbers) > 1)]
    if contacts:
        cuts += [web.contact(i, j) for i, j in _contacts(web, cuts)]
    group = np.arange(len(numbers))[None] if perms is None else perms
    looks = np.array(web.looks(len(numbers)))
    found: list[Fragment] = []
    alike = _alike(web, cuts, share)
    first = {frozenset(cut.atoms): cut for cut, *_ in alike}
    for atoms in with_images([np.array([cut.atoms, *others]) for cut, *others in alike], group):
        cut = first[frozenset(atoms[0].tolist())]
        for orbits, exchanges in _exchanges(web, cut, atoms, group, max_images):
            for part in _split(orbits, looks, cut.heads, max_places):
                found.append(Fragment(part, exchanges, cut.name_at(part[0]), cut.kind, cut.reach))
    return tuple(found)


def check_radii(radii: Sequence[float]) -> None:
    """Raise UsageError for radii (Angstrom) that cannot be."""
    if not all(0 < radius < float("inf") for radius in radii):
        raise UsageError(f"radii: {tuple(radii)} given; they are distances in Angstrom and must be positive.")


def _exchanges(
    web: Web, cut: Cut, atoms: np.ndarray, group: np.ndarray, limit: int | None
) -> list[tuple[Orbits, np.ndarray]]:
    """The places (L, n), of which `cut` is the first, and the exchanges that all share; in several parts where the
    group needs others in each, and too many in all."""
    most = limit or max(IMAGES, IMAGE_PAIRS // (atoms.shape[1] * (atoms.shape[1] - 1) // 2))
    orbits, free = Orbits.of(atoms, group), web.exchanges(cut, most)
    if {tuple(turn) for turn in orbits.turns.tolist()} <= {tuple(perm) for perm in free.tolist()}:
        return [(orbits, free)]
    orbits = orbits.aligned(group)
    together = group_order(orbits.turns) <= max(most, len(group))
    parts = [orbits] if together else orbits.parts(group)
    return [(part, web.exchanges(cut, most, part.turns)) for part in parts]


def _split(orbits: Orbits, looks: np.ndarray, heads: list[int], most: int) -> list[np.ndarray]:
    """The places (L, n) in parts of about equal size, at most `most` if that can be.  Those whose atoms `heads` have
    equal `looks` (N,), which symmetry may exchange, stay together, and so does an orbit."""
    places = orbits.atoms
    kinds = np.unique(np.sort(looks[places[:, heads]], axis=1), axis=0, return_inverse=True)[1].ravel()
    for number in range(orbits.numbers.max() + 1):
        met = kinds[orbits.numbers == number]
        kinds[np.isin(kinds, met)] = met.min()
    kinds = np.unique(kinds, return_inverse=True)[1]
    size = len(places) / -(-len(places) // most)
    parts: list[list[int]] = [[]]
    for kind in range(kinds.max() + 1):
        members = np.flatnonzero(kinds == kind).tolist()
        if parts[-1] and (len(parts[-1]) >= size or len(parts[-1]) + len(members) > most):
            parts.append([])
        parts[-1] += members
    return [places[np.sort(part)] for part in parts]


def _alike(web: Web, cuts: Iterable[Cut], share: bool) -> list[tuple]:
    """The cuts, those of the same atoms once, by correspondence: the first of its kind, then the atoms of others in the
    order of its own."""
    found: dict[tuple[object, ...], list[tuple]] = {}
    seen: set[frozenset[int]] = set()
    for cut in cuts:
        if len(cut.atoms) < 2 or frozenset(cut.atoms) in seen:
            continue
        seen.add(frozenset(cut.atoms))
        alike = found.setdefault(web.signature(cut), [])
        for n, places in enumerate(alike if share else []):
            image = web.match(places[0], cut)
            if image is not None:
                alike[n] = (*places, image)
                break
        else:
            alike.append((cut,))
    return [places for alike in found.values() for places in alike]


def _contacts(web: Web, cuts: Iterable[Cut]) -> list[tuple[int, int]]:
    """Pairs i < j of heavy atoms of different molecules closer than CLOSE that no cut holds, at most one per atom: its
    nearest."""
    heavy = np.array(web.graph.numbers) > 1
    apart = bond_distances(web.graph.bonds, len(heavy)) == UNCONNECTED
    if not apart.any():
        return []
    apart &= heavy & heavy[:, None]
    for cut in cuts:
        apart[np.ix_(cut.atoms, cut.atoms)] = False
    distances = np.where(apart, web.distances, np.inf)
    nearest = distances.argmin(axis=1)
    found = {tuple(sorted((a, int(b)))) for a, b in enumerate(nearest) if distances[a, b] < CLOSE}
    return [(i, j) for i, j in sorted(found)]
