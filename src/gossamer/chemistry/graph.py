"""The graph of a molecule, with the handedness of its centres, and the relabellings of the atoms that it allows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from gossamer.chemistry.bonds import bond_graph, neighbours_of

RIGID = 0.98  # a centre has a handedness when it shows the same one in this fraction of the structures
STEPS = 20_000  # a search for a relabelling gives up after this many trials


@dataclass(frozen=True, eq=False)
class MolecularGraph:
    """Elements, bonds and handedness of a molecule of N atoms.

    neighbours: the bonded atoms of every atom, ascending.  hands (N,): the sign of the volume that the three or four
    neighbours of a centre span, in that order, if it never changes in the data; 0 where there is no such sign (flat
    or inverting centres, chain ends).  A methyl group and a CH2 group have one: exchanging two of their hydrogens
    inverts it, and no motion short of breaking a bond does that.
    """

    numbers: tuple[int, ...]
    neighbours: tuple[tuple[int, ...], ...]
    hands: tuple[int, ...]

    @classmethod
    def build(cls, positions: np.ndarray, numbers: np.ndarray, *, share: float = 0.1) -> "MolecularGraph":
        """Graph of the structures positions (n, N, 3) Angstrom; `share` as in `bond_graph`."""
        neighbours = neighbours_of(bond_graph(positions, numbers, share=share), len(numbers))
        flat = cls(tuple(map(int, numbers)), neighbours, (0,) * len(numbers))
        hands = np.array([_hand(positions, c, bonded) for c, bonded in enumerate(flat.neighbours)], dtype=int)
        classes, _ = flat.colours(1)
        for kind in set(classes):  # centres of one kind are all rigid or all free, or the relabellings form no group
            alike = np.array(classes) == kind
            hands[alike] *= np.all(hands[alike])
        return replace(flat, hands=tuple(hands.tolist()))

    @property
    def bonds(self) -> np.ndarray:
        """Bonded pairs (B, 2), both ways."""
        found = [(a, b) for a, near in enumerate(self.neighbours) for b in near]
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def without_hands(self) -> "MolecularGraph":
        return replace(self, hands=(0,) * len(self.numbers))

    def colours(self, sign: int) -> tuple[list[int], list[int]]:
        """Colours of the atoms as sources and as targets of a relabelling, equal where a may go to c as far as
        elements, bonds and (times `sign`) the handedness of all-different centres, seen ever further away, can tell."""
        n = len(self.numbers)
        bonded = [*self.neighbours, *(tuple(n + b for b in near) for near in self.neighbours)]
        hands = [sign * hand for hand in self.hands] + list(self.hands)
        colour = list(self.numbers) * 2
        while True:
            kinds = len(set(colour))
            views = []
            for atom, near in enumerate(bonded):
                around = [colour[b] for b in near]
                hand = hands[atom] * parity(around) if hands[atom] and len(set(around)) == len(around) else 0
                views.append((colour[atom], tuple(sorted(around)), hand))
            rank = {view: r for r, view in enumerate(sorted(set(views)))}
            colour = [rank[view] for view in views]
            if len(rank) == kinds:
                return colour[:n], colour[n:]

    def relabelling(
        self, fixed: Mapping[int, int], sign: int, colours: tuple[list[int], list[int]] | None = None
    ) -> np.ndarray | None:
        """A permutation (N,) of the atoms that keeps elements and bonds, sends every a in `fixed` to fixed[a], and
        keeps (sign 1) or inverts (sign -1) every handedness; it leaves atoms in place where it can.  None if there
        is none, or none was met in STEPS trials.  colours: `self.colours(sign)`, to compute them once."""
        source, target = colours or self.colours(sign)
        if sorted(source) != sorted(target):
            return None
        order, parent = self._walk(fixed)
        complete = self._completed_at(order)
        image = [-1] * len(order)
        used = [False] * len(order)

        def candidates(atom: int) -> Iterator[int]:
            if atom in fixed:
                return iter((fixed[atom],))
            options = range(len(order)) if parent[atom] < 0 else self.neighbours[image[parent[atom]]]
            return iter(sorted(options, key=lambda c: c != atom))

        def fits(atom: int, c: int) -> bool:
            return (
                not used[c]
                and source[atom] == target[c]
                and all(image[b] < 0 or image[b] in self.neighbours[c] for b in self.neighbours[atom])
            )

        stack = [candidates(order[0])]
        for _ in range(STEPS):
            atom = order[len(stack) - 1]
            if image[atom] >= 0:
                used[image[atom]], image[atom] = False, -1
            for c in stack[-1]:
                if fits(atom, c):
                    image[atom], used[c] = c, True
                    if all(self._hand_follows(x, image, sign) for x in complete[len(stack) - 1]):
                        break
                    image[atom], used[c] = -1, False
            else:
                stack.pop()
                if not stack:
                    return None
                continue
            if len(stack) == len(order):
                return np.array(image)
            stack.append(candidates(order[len(stack)]))
        return None

    def generators(self) -> tuple[list[np.ndarray], int]:
        """Generators of all permutations that keep elements, bonds and handedness, and how many those are: with the
        atoms before k in place, k can reach an orbit of atoms; the product of the orbits' sizes is the order."""
        n = len(self.numbers)
        colours = self.colours(1)
        found: list[np.ndarray] = []
        order = 1
        for k in reversed(range(n)):
            orbit = _orbit(k, found)
            for c in range(k + 1, n):
                rooted = all(b in self.neighbours[c] for b in self.neighbours[k] if b < k)  # those stay in place
                if c in orbit or colours[0][k] != colours[1][c] or not rooted:
                    continue
                perm = self.relabelling({**{a: a for a in range(k)}, k: c}, 1, colours)
                if perm is not None:
                    found.append(perm)
                    orbit = _orbit(k, found)
            order *= len(orbit)
        return found, order

    def _walk(self, fixed: Mapping[int, int]) -> tuple[list[int], list[int]]:
        """All atoms, the fixed ones first, then along the bonds; and the atom from which each was reached, or -1."""
        order, parent = list(fixed), [-1] * len(self.numbers)
        seen = set(order)
        at = 0
        while len(order) < len(parent):
            if at == len(order):
                order.append(min(set(range(len(parent))) - seen))
                seen.add(order[-1])
            for b in self.neighbours[order[at]]:
                if b not in seen:
                    seen.add(b)
                    order.append(b)
                    parent[b] = order[at]
            at += 1
        return order, parent

    def _completed_at(self, order: list[int]) -> list[list[int]]:
        """For every step of the walk, the centres with a handedness of which it places the last atom."""
        step = {atom: k for k, atom in enumerate(order)}
        complete: list[list[int]] = [[] for _ in order]
        for centre, hand in enumerate(self.hands):
            if hand:
                complete[max(step[a] for a in (centre, *self.neighbours[centre]))].append(centre)
        return complete

    def _hand_follows(self, centre: int, image: list[int], sign: int) -> bool:
        turned = parity([image[b] for b in self.neighbours[centre]])
        return self.hands[image[centre]] * turned == sign * self.hands[centre]


def _orbit(start: int, perms: list[np.ndarray]) -> set[int]:
    """The atoms that `start` reaches under `perms`."""
    orbit, todo = {start}, [start]
    while todo:
        atom = todo.pop()
        for perm in perms:
            if (reached := int(perm[atom])) not in orbit:
                orbit.add(reached)
                todo.append(reached)
    return orbit


def parity(values: list[int]) -> int:
    """+1 or -1: the sign of the permutation that sorts the distinct `values`."""
    swaps = sum(values[i] > values[j] for i in range(len(values)) for j in range(i + 1, len(values)))
    return -1 if swaps % 2 else 1


def _hand(positions: np.ndarray, centre: int, bonded: tuple[int, ...]) -> int:
    """Sign of the volume spanned at a centre with three or four neighbours; 0 if it changes from frame to frame."""
    if len(bonded) not in (3, 4):
        return 0
    origin = centre if len(bonded) == 3 else bonded[3]
    volume = np.linalg.det(positions[:, list(bonded[:3])] - positions[:, [origin]])
    for sign in (1, -1):
        if np.mean(sign * volume > 0) >= RIGID:
            return sign
    return 0
