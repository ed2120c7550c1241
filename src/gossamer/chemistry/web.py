"""What holds the atoms of a molecule together, hydrogen bonds included, and which parts of it look alike."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from gossamer.chemistry.bonds import molecules
from gossamer.chemistry.graph import MolecularGraph, parity
from gossamer.chemistry.groups import close_group, group_order
from gossamer.chemistry.origin import Kind

CONTACT = 2.5  # Angstrom; median distance below which a polar hydrogen touches an acceptor
POLAR = (7, 8, 9, 16, 17)  # N O F S Cl: give and take hydrogen bonds
ENVIRONMENT = 0  # bonds beyond an atom within which two atoms must look alike to be called alike (decision 14)
HydrogenBonds = Literal["none", "between", "all"]  # that count as bonds: "between" are those of different molecules
FRAMES = 1000  # structures over which medians are taken, evenly spread


@dataclass(frozen=True)
class Cut:
    """Atoms of the molecule that are looked at together.

    kind, reach: as of an `Origin`; only cuts of one kind and reach are compared.  atoms: the centre first.  marks, one
    per atom: 1 the centre; 2, 3, ... where a piece that no bond joins to the centre is closest to it, the closest piece
    first; 0 all others."""

    kind: Kind
    reach: float | None
    atoms: tuple[int, ...]
    marks: tuple[int, ...]

    @property
    def joints(self) -> int:
        """Pieces that no bond joins to the centre; those at one distance, such as two hydrogens of an atom that is not
        there, count as one."""
        return max(self.marks) - 1

    @property
    def heads(self) -> list[int]:
        """Where the marked atoms stand, in the order of their marks."""
        return sorted(np.flatnonzero(self.marks).tolist(), key=lambda k: self.marks[k])

    def name_at(self, atoms: Sequence[int]) -> str:
        """A name that no other place of any cut has; atoms: in the order of the cut's."""
        if self.reach is None:
            return f"{atoms[0]} {atoms[1]} {self.kind}"
        unit = "A" if self.kind == "radius" else "bonds" if self.reach > 1 else "bond"
        return f"{atoms[0]} within {self.reach:g} {unit}"

    def turned(self) -> "Cut":
        """Seen from the other of two marked atoms, which stand first."""
        first, second, *rest = self.atoms
        return replace(self, atoms=(second, first, *rest))


@dataclass(frozen=True, eq=False)
class Web:
    """What joins the atoms of a molecule, and from how many bonds around they are compared."""

    graph: MolecularGraph  # the bonds alone, with the handedness of rigid centres
    positions: np.ndarray  # (n, N, 3) Angstrom
    neighbours: tuple[tuple[int, ...], ...]  # hydrogen bonds included, where they are to be
    environment: int = ENVIRONMENT

    @classmethod
    def build(
        cls,
        positions: np.ndarray,
        numbers: np.ndarray,
        *,
        hydrogen_bonds: HydrogenBonds = "between",
        environment: int = ENVIRONMENT,
    ) -> "Web":
        graph = MolecularGraph.build(positions, numbers, share=0.1)
        near = [set(n) for n in graph.neighbours]
        molecule = molecules(graph.bonds, len(numbers))
        for i, j in _hydrogen_bonds(graph, positions) if hydrogen_bonds != "none" else ():
            if hydrogen_bonds == "all" or molecule[i] != molecule[j]:
                near[i].add(j)
                near[j].add(i)
        return cls(graph, positions, tuple(tuple(sorted(n)) for n in near), environment)

    @cached_property
    def colours(self) -> tuple[int, ...]:
        """What atoms look like from `environment` bonds around; from 0 their elements."""
        return self.looks(self.environment)

    def looks(self, reach: int) -> tuple[int, ...]:
        """A number for every atom, equal where elements and bonds agree up to `reach` bonds away."""
        colours = list(self.graph.numbers)
        for _ in range(reach):
            views = [(colours[a], tuple(sorted(colours[b] for b in near))) for a, near in enumerate(self.neighbours)]
            rank = {view: r for r, view in enumerate(sorted(set(views)))}
            colours = [rank[view] for view in views]
        return tuple(colours)

    @cached_property
    def distances(self) -> np.ndarray:
        """Median distances (N, N), Angstrom."""
        some = self.positions[:: -(-len(self.positions) // FRAMES)]
        atoms = range(len(self.neighbours))
        return np.array([np.median(np.linalg.norm(some - some[:, [a]], axis=-1), axis=0) for a in atoms])

    @cached_property
    def reach(self) -> np.ndarray:
        """Median distances (centre, atom) in which like atoms that hang on one atom alone share theirs, so that no
        radius parts the hydrogens of a methyl group."""
        twins: dict[tuple[int, int], list[int]] = {}
        for a, near in enumerate(self.neighbours):
            if len(near) == 1:
                twins.setdefault((near[0], self.graph.numbers[a]), []).append(a)
        found = self.distances.copy()
        for atoms in twins.values():
            found[:, atoms] = found[:, atoms].mean(axis=1, keepdims=True)
        np.fill_diagonal(found, 0.0)
        return found

    def within_bonds(self, centre: int, bonds: int) -> Cut:
        """Atoms at most so many bonds from the centre."""
        atoms, shell = [centre], [centre]
        for _ in range(bonds):
            shell = sorted({b for a in shell for b in self.neighbours[a]} - set(atoms))
            atoms += shell
        return Cut("bonds", float(bonds), tuple(atoms), (1,) + (0,) * (len(atoms) - 1))

    def within_radius(self, centre: int, radius: float) -> Cut:
        """Atoms whose median distance from the centre is below the radius, Angstrom."""
        distance = self.reach[centre]
        atoms = (centre, *(a for a in np.flatnonzero(distance < radius).tolist() if a != centre))
        heads = {piece: min(distance[a] for a in piece) for piece in self._pieces(atoms) if centre not in piece}
        rank = {d: 2 + r for r, d in enumerate(sorted(set(heads.values())))}
        marks = {a: rank[nearest] for piece, nearest in heads.items() for a in piece if distance[a] == nearest}
        return Cut("radius", radius, atoms, (1, *(marks.get(a, 0) for a in atoms[1:])))

    def contact(self, i: int, j: int) -> Cut:
        """Two atoms of different molecules and the atoms bonded to them."""
        rest = sorted({*self.graph.neighbours[i], *self.graph.neighbours[j]} - {i, j})
        return Cut("contact", None, (i, j, *rest), (1, 2) + (0,) * len(rest))

    def signature(self, cut: Cut) -> tuple[object, ...]:
        """Equal for cuts that may correspond."""
        heads = [(self.colours[cut.atoms[k]], cut.marks[k]) for k in cut.heads]
        seen = sorted(colour for colour, _ in heads) if cut.kind == "contact" else sorted(heads)
        return (cut.kind, cut.reach, len(cut.atoms), *seen)

    def exchanges(self, cut: Cut, limit: int, needed: np.ndarray | None = None) -> np.ndarray:
        """Permutations (H, n) of a cut's atoms that keep its centre, looks, bonds, and all handedness or none; pieces
        go nowhere, but the two sides of a contact may be exchanged.  At most `limit` of them, unless those `needed`
        (T, n), which go in first, make more."""
        local = self._part([cut])
        found, _ = local.generators()
        mirror = local.relabelling({}, -1)
        found = [perm[: len(cut.atoms)] for perm in ([*found] if mirror is None else [*found, mirror])]
        turn = self._turn(cut) if cut.kind == "contact" else None
        chosen = [np.arange(len(cut.atoms)), *(() if needed is None else needed)]
        for perm in found if turn is None else [*found, turn]:
            if group_order([*chosen, perm]) <= limit:
                chosen.append(perm)
        return close_group(chosen, max(limit, group_order(chosen)))

    def match(self, cut: Cut, other: Cut) -> np.ndarray | None:
        """The atoms of another cut in the order of this one, or None where they do not correspond."""
        found = self._image(cut, other)
        return self._image(cut, other.turned()) if found is None and cut.kind == "contact" else found

    def _turn(self, cut: Cut) -> np.ndarray | None:
        """The exchange of the two sides of a contact, if they are alike."""
        image = self._image(cut, cut.turned())
        return None if image is None else np.array([cut.atoms.index(a) for a in image])

    def _image(self, cut: Cut, other: Cut) -> np.ndarray | None:
        start = len(cut.atoms) + cut.joints
        both = self._part([cut, other])
        for sign in (1, -1):
            perm = both.relabelling({0: start, start: 0}, sign)
            if perm is not None:
                return np.array(other.atoms)[perm[: len(cut.atoms)] - start]
        return None

    def _part(self, cuts: Sequence[Cut]) -> MolecularGraph:
        """The cuts as a graph of their own, side by side, the centre of every one marked.  Where a cut is in pieces,
        the centre is joined to each over a joint, a vertex that goes only to a joint of the same mark."""
        numbers: list[int] = []
        neighbours: list[tuple[int, ...]] = []
        hands: list[int] = []
        for cut in cuts:
            start, end = len(numbers), len(numbers) + len(cut.atoms)
            joints = range(end, end + cut.joints)  # after all atoms, so that they change no parity
            slot = {a: start + k for k, a in enumerate(cut.atoms)}
            for a, mark in zip(cut.atoms, cut.marks, strict=True):
                joined = joints if mark == 1 else [end + mark - 2] if mark else []
                bonded = self.graph.neighbours[a]
                whole = bonded == self.neighbours[a] and all(b in slot for b in bonded)
                numbers.append(2 * self.colours[a] + (mark == 1))
                neighbours.append((*sorted(slot[b] for b in self.neighbours[a] if b in slot), *joined))
                hands.append(self.graph.hands[a] * parity([slot[b] for b in bonded]) if whole else 0)
            for mark in range(2, 2 + cut.joints):
                numbers.append(-mark)
                neighbours.append((start, *(slot[a] for a, m in zip(cut.atoms, cut.marks, strict=True) if m == mark)))
                hands.append(0)
        return MolecularGraph(tuple(numbers), tuple(neighbours), tuple(hands))

    def _pieces(self, atoms: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The atoms in the pieces that bonds and hydrogen bonds among them make."""
        left, pieces = set(atoms), []
        while left:
            piece, todo = set(), [left.pop()]
            while todo:
                piece.add(a := todo.pop())
                todo += [b for b in self.neighbours[a] if b in left]
                left -= set(todo)
            pieces.append(tuple(sorted(piece)))
        return pieces


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
