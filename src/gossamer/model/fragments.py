"""Which atoms a term looks at: fragments of the molecule, the places where one is found again, and how its atoms may be
exchanged.  docs/decisions/0007-local-terms.md says why these and what each is worth."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gossamer.errors import UsageError
from gossamer.model.bonds import MolecularGraph, parity
from gossamer.model.kernels import Matern52
from gossamer.model.pairs import PairSet
from gossamer.model.symmetry import close_group, group_order
from gossamer.model.terms import Term

CONTACT = 2.5  # Angstrom; median distance below which a polar hydrogen touches an acceptor
POLAR = (7, 8, 9, 16, 17)  # N O F S Cl: give and take hydrogen bonds
ENVIRONMENT = 1  # bonds beyond an atom within which two atoms must look alike to be called alike (decision 7)


@dataclass(frozen=True, eq=False)
class Fragment:
    """n atoms of the molecule, L places where such a fragment stands, and the exchanges of its atoms.

    atoms (L, n) int64: each row names the atoms of one place, in corresponding order; perms (H, n): permutations of the
    n columns that leave the fragment's function unchanged, a closed group with the identity first."""

    atoms: np.ndarray
    perms: np.ndarray
    name: str
    kind: str = "local"

    def __post_init__(self) -> None:
        atoms = np.atleast_2d(np.asarray(self.atoms, dtype=np.int64))
        perms = np.atleast_2d(np.asarray(self.perms, dtype=np.int64))
        if atoms.shape[1] < 2 or any(len(set(row)) < len(row) for row in atoms.tolist()):
            raise UsageError(f"fragment {self.name!r}: every place must name at least 2 atoms, none of them twice.")
        if perms.shape[1] != atoms.shape[1] or np.any(np.sort(perms, axis=1) != np.arange(atoms.shape[1])):
            raise UsageError(f"fragment {self.name!r}: perms must be permutations of its {atoms.shape[1]} atoms.")
        object.__setattr__(self, "atoms", atoms)
        object.__setattr__(self, "perms", perms)

    @classmethod
    def whole(cls, n_atoms: int, perms: np.ndarray) -> "Fragment":
        """The molecule itself, symmetric under atom permutations perms (S, N): the global term."""
        return cls(np.arange(n_atoms), perms, "global", "global")

    @cached_property
    def inner(self) -> PairSet:
        """All pairs of the fragment's n atoms, by column."""
        return PairSet.full(self.atoms.shape[1])

    def term(self, pairs: PairSet, kernel: Matern52, **kwargs) -> Term:
        """The term over all pairs of the fragment's atoms.  Raises UsageError where `pairs` lacks one of them."""
        places = pairs.index(self.atoms[:, self.inner.pairs])
        if np.any(places < 0):
            place, slot = np.argwhere(places < 0)[0]
            i, j = self.atoms[place][self.inner.pairs[slot]]
            raise UsageError(f"pairs: fragment {self.name!r} needs pair ({i}, {j}), which is not in the list; add it.")
        return Term(places, np.unique(self.inner.permuted(self.perms), axis=0), kernel, name=self.name, **kwargs)


def fragment_atoms(term: Term, pairs: PairSet) -> np.ndarray | None:
    """The atoms (L, n) of a term that `Fragment.term` made, as they stood in the fragment; None for another term."""
    n = round((1 + (1 + 8 * term.n_pairs) ** 0.5) / 2)
    inner = PairSet.full(n).pairs
    ends = pairs.pairs[term.places]
    if len(inner) != term.n_pairs:
        return None
    if n == 2:
        return ends[:, 0]
    common = [set(place[0].tolist()) & set(place[1].tolist()) for place in ends]
    if any(len(shared) != 1 for shared in common):
        return None
    first = np.array([shared.pop() for shared in common])
    spokes = ends[:, np.flatnonzero(inner[:, 1] == 0)]  # the pairs (first, k), k = 1, 2, ...
    atoms = np.column_stack([first, np.where(spokes[..., 0] == first[:, None], spokes[..., 1], spokes[..., 0])])
    if any(len(set(row)) < n for row in atoms.tolist()) or np.any(pairs.index(atoms[:, inner]) != term.places):
        return None
    return atoms


def reach_of(term: Term) -> int | None:
    """Within how many bonds of its first atom a term of `local_fragments` looks; None for another term."""
    found = re.fullmatch(r"\d+ within (\d+) bonds?", term.name)
    return None if found is None else int(found[1])


def local_fragments(
    positions: np.ndarray,
    numbers: np.ndarray,
    *,
    bonds: Sequence[int] = (1, 2),
    share: bool = True,
    max_images: int = 12,
    max_places: int = 12,
) -> tuple[Fragment, ...]:
    """For every atom with two or more neighbours, the atoms within 1, 2, ... `bonds` of it.

    positions (n, N, 3) Angstrom, numbers (N,).  Hydrogen bonds count as bonds here, so that ring closures and base
    pairs get terms too.  share: fragments whose atoms look alike are places of one term.  max_images: exchanges of like
    atoms are used up to so many; fragments that allow more are cut down to those that the surroundings tell apart.
    max_places: a term's cost grows with the square of its places, so more of them are split among several terms, unless
    the molecule's symmetry can exchange them.
    """
    graph = MolecularGraph.build(positions, numbers, share=0.1)
    web = _Web.build(graph, positions)
    found: dict[tuple[int, ...], list[Fragment]] = {}
    seen: set[tuple[int, ...]] = set()
    for reach in bonds:
        for centre in range(len(numbers)):
            if len(web.neighbours[centre]) < 2:
                continue
            atoms = web.within(centre, reach)
            if tuple(sorted(atoms)) in seen:
                continue
            seen.add(tuple(sorted(atoms)))
            key = (reach, web.colours[centre], len(atoms)) if share else (reach, centre)
            for n, fragment in enumerate(found.setdefault(key, [])):
                image = web.match(fragment.atoms[0], atoms)
                if image is not None:
                    found[key][n] = replace(fragment, atoms=np.vstack([fragment.atoms, image]))
                    break
            else:
                reached = f"within {reach} bond{'s' if reach > 1 else ''}"
                found[key].append(Fragment(np.array(atoms), web.exchanges(atoms, max_images), reached))
    looks = np.array(web.looks(len(numbers)))
    shared = (fragment for fragments in found.values() for fragment in fragments)
    return tuple(part for fragment in shared for part in _split(fragment, looks, max_places))


def _split(fragment: Fragment, looks: np.ndarray, max_places: int) -> list[Fragment]:
    """The fragment's places in parts of about equal size, named after their first centres.  Places whose centres have
    equal `looks` (N,), which symmetry may exchange, stay together."""
    looks = looks[fragment.atoms[:, 0]]
    size = len(looks) / -(-len(looks) // max_places)
    parts: list[list[int]] = [[]]
    for look in np.unique(looks):
        if len(parts[-1]) >= size:
            parts.append([])
        parts[-1] += np.flatnonzero(looks == look).tolist()
    places = [fragment.atoms[np.sort(part)] for part in parts]
    return [replace(fragment, atoms=atoms, name=f"{atoms[0, 0]} {fragment.name}") for atoms in places]


@dataclass(frozen=True, eq=False)
class _Web:
    """Bonds and hydrogen bonds of a molecule."""

    graph: MolecularGraph  # the bonds alone, with the handedness of rigid centres
    neighbours: tuple[tuple[int, ...], ...]  # hydrogen bonds included

    @classmethod
    def build(cls, graph: MolecularGraph, positions: np.ndarray) -> "_Web":
        near = [set(n) for n in graph.neighbours]
        for i, j in _hydrogen_bonds(graph, positions):
            near[i].add(j)
            near[j].add(i)
        return cls(graph, tuple(tuple(sorted(n)) for n in near))

    @cached_property
    def colours(self) -> tuple[int, ...]:
        """What atoms look like from ENVIRONMENT bonds around."""
        return self.looks(ENVIRONMENT)

    def looks(self, reach: int) -> tuple[int, ...]:
        """A number for every atom, equal where elements and bonds agree up to `reach` bonds away."""
        colours = list(self.graph.numbers)
        for _ in range(reach):
            views = [(colours[a], tuple(sorted(colours[b] for b in near))) for a, near in enumerate(self.neighbours)]
            rank = {view: r for r, view in enumerate(sorted(set(views)))}
            colours = [rank[view] for view in views]
        return tuple(colours)

    def within(self, centre: int, reach: int) -> tuple[int, ...]:
        """Atoms at most `reach` bonds from the centre, which stands first."""
        atoms, shell = [centre], [centre]
        for _ in range(reach):
            shell = sorted({b for a in shell for b in self.neighbours[a]} - set(atoms))
            atoms += shell
        return tuple(atoms)

    def exchanges(self, atoms: tuple[int, ...], limit: int) -> np.ndarray:
        """Permutations (H, n) of a fragment's atoms that keep its centre, looks, bonds, and all handedness or none."""
        local = self._part([atoms])
        generators, _ = local.generators()
        mirror = local.relabelling({}, -1)
        identity = np.arange(len(atoms))
        chosen = [identity]
        for perm in [*generators, *([] if mirror is None else [mirror])]:
            if group_order([*chosen, perm]) <= limit:
                chosen.append(perm)
        return close_group(chosen, limit)

    def match(self, atoms: np.ndarray, others: tuple[int, ...]) -> np.ndarray | None:
        """The atoms of another fragment in the order of this one, or None where they do not correspond."""
        n = len(atoms)
        both = self._part([tuple(atoms), others])
        for sign in (1, -1):
            perm = both.relabelling({0: n, n: 0}, sign)
            if perm is not None:
                return np.array(others)[perm[:n] - n]
        return None

    def _part(self, fragments: list[tuple[int, ...]]) -> MolecularGraph:
        """The fragments as a graph of their own, side by side; the first atom of each is its centre and stays one."""
        numbers: list[int] = []
        neighbours: list[tuple[int, ...]] = []
        hands: list[int] = []
        for atoms in fragments:
            start = len(numbers)
            slot = {int(a): start + k for k, a in enumerate(atoms)}
            for k, a in enumerate(atoms):
                numbers.append(2 * self.colours[a] + (k == 0))
                neighbours.append(tuple(sorted(slot[b] for b in self.neighbours[a] if b in slot)))
                bonded = self.graph.neighbours[a]
                whole = bonded == self.neighbours[a] and all(b in slot for b in bonded)
                hands.append(self.graph.hands[a] * parity([slot[b] for b in bonded]) if whole else 0)
        return MolecularGraph(tuple(numbers), tuple(neighbours), tuple(hands))


def _hydrogen_bonds(graph: MolecularGraph, positions: np.ndarray) -> list[tuple[int, int]]:
    """(hydrogen, acceptor) of the contacts within CONTACT in at least half of the structures."""
    found = []
    for h, bonded in enumerate(graph.neighbours):
        if graph.numbers[h] != 1 or not any(graph.numbers[d] in POLAR for d in bonded):
            continue
        close = {h, *bonded, *(b for d in bonded for b in graph.neighbours[d])}
        for a, number in enumerate(graph.numbers):
            if number in POLAR and a not in close:
                distance = np.linalg.norm(positions[:, h] - positions[:, a], axis=-1)
                if np.median(distance) < CONTACT:
                    found.append((h, a))
    return found
