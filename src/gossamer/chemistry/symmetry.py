"""Permutational symmetry of one molecule: finding the group that the data support, or taking it from the user.

A permutation p acts by (pR)[a] = R[p[a]].  docs/decisions/0002-symmetry-discovery.md says how the group is found.
"""

from dataclasses import dataclass, replace

import numpy as np

from gossamer.chemistry.bonds import COINCIDENT
from gossamer.chemistry.evidence import Step, supported_steps
from gossamer.chemistry.graph import MolecularGraph
from gossamer.chemistry.groups import checked, close_group, cycles, group_order, missing_product
from gossamer.chemistry.pairs import all_pairs
from gossamer.errors import DataError, UsageError

IMAGES, IMAGE_PAIRS = 12, 4000  # permutations of a molecule by default, and those times pairs where that is more
FRAMES = 400  # structures looked at


@dataclass(frozen=True, eq=False)
class Symmetry:
    """A closed group of atom permutations, perms (S, N) int64, row 0 the identity.

    found: permutations that elements and bonds allow; supported: order of the group that the data support, before
    any limit; note: one sentence for the user; evidence: the group's generators as cycles, each with the fraction
    of pairs of structures that it brings closer together, strongest first.
    """

    perms: np.ndarray
    found: int
    supported: int
    note: str
    evidence: tuple[tuple[str, float], ...] = ()

    def __repr__(self) -> str:
        return f"Symmetry({self.order} of {self.found} permutations of {self.perms.shape[1]} atoms)"

    @classmethod
    def trivial(cls, n_atoms: int, note: str = "no permutational symmetry is used") -> "Symmetry":
        return cls(np.arange(n_atoms)[None], 1, 1, note)

    @property
    def order(self) -> int:
        return len(self.perms)

    def cut_to(self, kept: np.ndarray) -> "Symmetry":
        """The subgroup of the elements `kept`, a mask (S,), of a model whose other parts break the rest."""
        if np.all(kept):
            return self
        note = f"{self.note.rstrip('.')}; of these, the fragments given keep {int(kept.sum()):,}."
        return replace(self, perms=self.perms[kept], note=note)


def usual_limit(n_atoms: int) -> int:
    """How many permutations of so many atoms a model uses at most, unless asked for another number."""
    return max(IMAGES, IMAGE_PAIRS // max(1, n_atoms * (n_atoms - 1) // 2))


def find_symmetry(
    positions: np.ndarray, numbers: np.ndarray, *, limit: int = 100, seed: int = 0, least: float = 0.02
) -> Symmetry:
    """The permutation group that matters for these structures, at most `limit` elements.

    positions (n, N, 3) Angstrom, numbers (N,).  Over pairs of structures, the permutations count that bring one
    closest (in inverse distances) to the other; what serves less than the fraction `least` of the pairs is left out,
    with least=0 nothing is.  Where `limit` cuts, the generators that help the most pairs per doubling of the group
    are taken.  The same seed gives the same group.  Raises UsageError for a limit below 1 or `least` outside 0 ... 1,
    DataError for unusable positions.
    """
    if limit < 1:
        raise UsageError(f"limit: {limit} given; a group has at least 1 element, the identity.")
    if not 0 <= least <= 1:
        raise UsageError(f"least: {least} given; a fraction of frame pairs lies between 0 and 1.")
    positions, numbers = np.asarray(positions, dtype=float), np.asarray(numbers, dtype=np.int64)
    if not np.all(np.isfinite(positions)):
        raise DataError("positions: some coordinates are not finite numbers; remove those structures.")
    if len(numbers) < 2:
        return Symmetry.trivial(len(numbers))
    rng = np.random.default_rng(seed)
    if len(positions) > FRAMES:
        positions = positions[np.sort(rng.choice(len(positions), FRAMES, replace=False))]
    graph = MolecularGraph.build(positions, numbers)
    found = graph.without_hands().generators()[1]
    candidates, _ = graph.generators()
    mirror = graph.relabelling({}, -1) if any(graph.hands) else None
    if mirror is not None:
        candidates.append(mirror)
    identity = np.arange(len(numbers))
    supported: list[Step] = []
    used: list[Step] = []
    if len(positions) > 1:
        supported, used = supported_steps(_descriptors(positions), candidates, least, limit, rng)
    order = group_order([identity, *(step.perm for step in supported)])
    perms = close_group([identity, *(step.perm for step in used)], limit)
    evidence = tuple((cycles(step.perm), round(step.fraction, 4)) for step in supported)
    return Symmetry(perms, found, order, _note(found, order, len(perms), limit, len(positions)), evidence)


def symmetry_from_perms(perms: np.ndarray, numbers: np.ndarray) -> Symmetry:
    """The group perms (S, N), given by hand; repeated rows are dropped and the identity is put first.

    Raises UsageError when a row is no permutation or exchanges elements, or when the rows are no closed group.
    """
    rows = np.unique(checked(perms, numbers), axis=0)  # sorted, and the identity is the smallest permutation
    missing = missing_product(rows)
    if missing is not None:
        raise UsageError(
            f"perms: {cycles(missing[0])} followed by {cycles(missing[1])} gives {cycles(missing[0][missing[1]])}, "
            f"which is not among the {len(rows)}; a symmetry must be a closed group, and close_group completes it."
        )
    note = f"{len(rows)} permutation{'s' if len(rows) > 1 else ''}, given by hand"
    return Symmetry(rows, len(rows), len(rows), note)


def _descriptors(positions: np.ndarray) -> np.ndarray:
    """Inverse distances (n, P) of structures (n, N, 3), in the order of all pairs."""
    i, j = all_pairs(positions.shape[1]).T
    distance = np.linalg.norm(positions[:, i] - positions[:, j], axis=-1)
    if not np.all(distance >= COINCIDENT):
        pair = np.argwhere(distance < COINCIDENT)[0][1]
        raise DataError(f"positions: atoms {j[pair]} and {i[pair]} lie on the same spot; remove that structure.")
    return 1 / distance


def _note(found: int, supported: int, used: int, limit: int, n_structures: int) -> str:
    """One sentence: what was found, what is used, and why."""
    allowed = f"elements and bonds allow {found:,} permutation{'s' if found > 1 else ''} of the atoms"
    if n_structures < 2:
        return f"{allowed}, but one structure cannot show which of them matter, so no symmetry is used."
    if found == 1:
        return f"{allowed}, so there is no symmetry to use."
    if supported == 1:
        return f"{allowed}, but none of them brings structures of the data closer together, so no symmetry is used."
    if used == supported:
        return f"{allowed}, the data support {supported:,} of them, and all of these are used."
    return f"{allowed}, the data support {supported:,} of them, and the best {used:,} are used (limit {limit:,})."
