"""Permutational symmetry of one molecule: finding the group that the data support, or taking it from the user.

A permutation p acts by (pR)[a] = R[p[a]]; p[q] is "p first, then q".  docs/decisions/0002-symmetry-discovery.md says
how the group is found and why so.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from gossamer.errors import DataError, UsageError
from gossamer.model.bonds import MolecularGraph
from gossamer.model.pairs import PairSet

IMAGES, IMAGE_PAIRS = 12, 4000  # permutations of a molecule by default, and those times pairs where that is more
FRAMES = 400  # structures looked at
FRAME_PAIRS = 400  # pairs of structures compared, fewer for large molecules:
DISTANCES = 2_000_000  # so many interatomic distances in all
FACTOR = 300  # elements of a group that are tried one by one on every pair of structures
TIE = 1e-9  # relative differences of overlaps below this are rounding


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


@dataclass(frozen=True, eq=False)
class _Step:
    """A generator, the fraction of frame pairs it brings closer, and by how much it multiplies the group."""

    perm: np.ndarray
    fraction: float
    index: int

    @property
    def worth(self) -> float:
        """Evidence per doubling of the cost."""
        return self.fraction / np.log2(self.index)


@dataclass(frozen=True, eq=False)
class _Factor:
    """A group tried element by element: elements (k, N), identity first; columns (C,): the atom pairs that it moves;
    images (k, C): where each element takes them."""

    elements: np.ndarray
    columns: np.ndarray
    images: np.ndarray

    @classmethod
    def build(cls, elements: np.ndarray) -> "_Factor":
        images = PairSet.full(elements.shape[1]).permuted(elements)
        columns = np.flatnonzero(np.any(images != images[0], axis=0))
        return cls(elements, columns, images[:, columns])

    def overlaps(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """x . (g y) over the moved pairs, (K, k), for descriptors (P, K): as |g y| = |y|, the largest belongs to the
        nearest image."""
        fixed = x[self.columns]
        moved, overlaps = np.empty_like(fixed), np.empty((x.shape[1], len(self.images)))
        for k, image in enumerate(self.images):
            np.einsum("ck,ck->k", fixed, np.take(y, image, axis=0, out=moved, mode="clip"), out=overlaps[:, k])
        return overlaps

    def align(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """y (P, K) with every column replaced by its image nearest to the same column of x; by which element (K,)."""
        best, y = self.overlaps(x, y).argmax(axis=1), y.copy()
        for element in np.unique(best[best > 0]):
            these = np.flatnonzero(best == element)
            y[np.ix_(self.columns, these)] = y[np.ix_(self.images[element], these)]
        return y, best


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
    supported: list[_Step] = []
    used: list[_Step] = []
    if len(positions) > 1:
        supported, used = _supported(_descriptors(positions), candidates, least, limit, rng)
    order = group_order([identity, *(step.perm for step in supported)])
    perms = close_group([identity, *(step.perm for step in used)], limit)
    evidence = tuple((cycles(step.perm), round(step.fraction, 4)) for step in supported)
    return Symmetry(perms, found, order, _note(found, order, len(perms), limit, len(positions)), evidence)


def symmetry_from_perms(perms: np.ndarray, numbers: np.ndarray) -> Symmetry:
    """The group perms (S, N), given by hand; repeated rows are dropped and the identity is put first.

    Raises UsageError when a row is no permutation or exchanges elements, or when the rows are no closed group.
    """
    rows = np.unique(_checked(perms, numbers), axis=0)  # sorted, and the identity is the smallest permutation
    missing = _missing_product(rows)
    if missing is not None:
        raise UsageError(
            f"perms: {cycles(missing[0])} followed by {cycles(missing[1])} gives {cycles(missing[0][missing[1]])}, "
            f"which is not among the {len(rows)}; a symmetry must be a closed group, and close_group completes it."
        )
    note = f"{len(rows)} permutation{'s' if len(rows) > 1 else ''}, given by hand"
    return Symmetry(rows, len(rows), len(rows), note)


def close_group(generators: np.ndarray | Sequence[np.ndarray], limit: int) -> np.ndarray:
    """All products of the generators (G, N), as rows (S, N) int64 in ascending order, the identity first.

    Raises UsageError when there are more than `limit`, and when a row is no permutation.
    """
    rows = _checked(generators)
    elements = [np.arange(rows.shape[1])]
    known = {elements[0].tobytes()}
    for element in elements:  # grows while it is read
        for product in element[rows]:
            if product.tobytes() not in known:
                known.add(product.tobytes())
                elements.append(product)
                if len(elements) > limit:
                    raise UsageError(
                        f"limit: the {len(rows)} generators make a group of {group_order(rows):,} elements, and "
                        f"{limit} are allowed; raise the limit or leave a generator out."
                    )
    return np.array(sorted(map(tuple, elements)), dtype=np.int64)


def is_group(perms: np.ndarray) -> bool:
    """Whether the rows perms (S, N) are a group: they contain the identity and every product of two of them."""
    return _missing_product(_checked(perms)) is None


def group_order(generators: np.ndarray | Sequence[np.ndarray]) -> int:
    """Order of the group that the rows (G, N) generate, by the algorithm of Schreier and Sims."""
    levels: list[_Level] = []
    for row in _checked(generators):
        _insert(levels, 0, row)
    return prod(len(level.coset) for level in levels)


def cycles(perm: np.ndarray) -> str:
    """A permutation in cycle notation: [1, 2, 0, 3] is '(0 1 2)', the identity '()'."""
    seen: set[int] = set()
    text = ""
    for start in range(len(perm)):
        cycle, atom = [], start
        while atom not in seen:
            seen.add(atom)
            cycle.append(atom)
            atom = int(perm[atom])
        if len(cycle) > 1:
            text += f"({' '.join(map(str, cycle))})"
    return text or "()"


def parse_permutations(text: str, n_atoms: int) -> np.ndarray:
    """Permutations that a user wrote down, (S, N) int64, as they stand there (not closed, not sorted).

    Atoms count from 0.  One permutation per line, as a row of all N atoms or as cycles such as "(0 1 2)(3 4)"; a #
    starts a comment.  Or JSON: a list of rows, or of such cycle strings, by itself or under the key "perms".
    Raises UsageError, naming the entry, when one is no permutation of the atoms.
    """
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    entries: Any = [line for line in lines if line]
    try:
        content = json.loads(text)
        entries = content.get("perms") if isinstance(content, dict) else content
    except json.JSONDecodeError as error:
        if text.lstrip().startswith(("{", "[[", '["')):
            raise UsageError(f"permutations: no valid JSON ({error}); correct it or give one per line.") from None
    if not isinstance(entries, list) or not entries:
        raise UsageError("permutations: none found; give one per line, as a row of atoms or as cycles like (0 1 2).")
    if isinstance(entries[0], int):
        entries = [entries]
    return np.stack([_parse_entry(entry, n_atoms) for entry in entries])


def _parse_entry(entry: Any, n_atoms: int) -> np.ndarray:
    shown = str(entry) if len(str(entry)) < 60 else str(entry)[:57] + "..."
    if isinstance(entry, str) and "(" in entry:
        if not re.fullmatch(r"(\s*\([\d\s,]*\))*\s*", entry):
            raise UsageError(f"permutations: '{shown}' is not written in cycles like (0 1 2)(3 4); correct it.")
        perm = np.arange(n_atoms)
        named = [[int(a) for a in re.findall(r"\d+", cycle)] for cycle in re.findall(r"\(([^)]*)\)", entry)]
        atoms = [a for cycle in named for a in cycle]
        if len(set(atoms)) != len(atoms) or max(atoms, default=0) >= n_atoms:
            raise UsageError(f"permutations: '{shown}' must name every atom once at most, from 0 to {n_atoms - 1}.")
        for cycle in named:
            perm[cycle] = cycle[1:] + cycle[:1]
        return perm
    row = re.split(r"[\s,]+", entry.strip(" []")) if isinstance(entry, str) else entry
    try:
        perm = np.array([int(str(a)) for a in row], dtype=np.int64)
    except (TypeError, ValueError):
        raise UsageError(f"permutations: '{shown}' is neither a row of atoms nor cycles; correct it.") from None
    if len(perm) != n_atoms or np.any(np.sort(perm) != np.arange(n_atoms)):
        raise UsageError(f"permutations: the row '{shown}' must name each of the atoms 0 to {n_atoms - 1} once.")
    return perm


def _checked(perms: np.ndarray | Sequence[np.ndarray], numbers: np.ndarray | None = None) -> np.ndarray:
    """perms as (S, N) int64.  Raises UsageError when a row is no permutation, or exchanges elements."""
    try:
        rows = np.array(perms, dtype=np.int64)
    except ValueError:
        raise UsageError("perms: the rows differ in length; every permutation names all atoms.") from None
    if rows.ndim != 2 or not len(rows) or (numbers is not None and rows.shape[1] != len(numbers)):
        raise UsageError(
            f"perms: shape {rows.shape}, expected (permutations, {'atoms' if numbers is None else len(numbers)})."
        )
    wrong = np.any(np.sort(rows, axis=1) != np.arange(rows.shape[1]), axis=1)
    if np.any(wrong):
        raise UsageError(f"perms: row {wrong.argmax()} is no permutation of 0 ... {rows.shape[1] - 1}; correct it.")
    if numbers is not None:
        moved = np.asarray(numbers)[rows] != numbers
        if np.any(moved):
            row, atom = np.argwhere(moved)[0]
            raise UsageError(
                f"perms: row {row} puts atom {rows[row, atom]} in the place of atom {atom}, which is another element; "
                "exchange like atoms only."
            )
    return rows


def _missing_product(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Two of the rows (S, N), or the identity and one, whose product is not among them; None if they are a group."""
    present = {row.tobytes() for row in rows}
    group: set[bytes] = set()
    chosen: list[np.ndarray] = []
    for row in rows:
        if row.tobytes() in group:
            continue
        chosen.append(row)  # it at least doubles the group, so there are few
        reached = [np.arange(rows.shape[1])]
        group = {reached[0].tobytes()}
        for element in reached:  # grows while it is read
            for generator in chosen:
                product = element[generator]
                if product.tobytes() not in present:
                    return element, generator
                if product.tobytes() not in group:
                    group.add(product.tobytes())
                    reached.append(product)
    return None


@dataclass
class _Level:
    """One step of a stabiliser chain: permutations that keep the base points before, and where they take `base`."""

    base: int
    coset: dict[int, np.ndarray]  # point -> a permutation that takes the base there
    generators: list[np.ndarray]


def _sift(levels: list[_Level], k: int, perm: np.ndarray) -> np.ndarray:
    """What is left of perm after dividing by elements of the chain from level k on: the identity for a member."""
    while k < len(levels) and (point := int(perm[levels[k].base])) in levels[k].coset:
        perm = np.argsort(levels[k].coset[point])[perm]
        k += 1
    return perm


def _insert(levels: list[_Level], k: int, perm: np.ndarray) -> None:
    """Add perm, which keeps the base points before level k, to the group of level k."""
    identity = np.arange(len(perm))
    if np.array_equal(_sift(levels, k, perm), identity):
        return
    if k == len(levels):
        base = int(np.argmax(perm != identity))
        levels.append(_Level(base, {base: identity}, []))
    level = levels[k]
    level.generators.append(perm)
    todo = [(point, perm) for point in level.coset]
    while todo:
        point, generator = todo.pop()
        image, product = int(generator[point]), generator[level.coset[point]]
        if image in level.coset:
            _insert(levels, k + 1, np.argsort(level.coset[image])[product])
        else:
            level.coset[image] = product
            todo += [(image, g) for g in level.generators]


def _descriptors(positions: np.ndarray) -> np.ndarray:
    """Inverse distances (n, P) of structures (n, N, 3), in the order of PairSet.full."""
    i, j = PairSet.full(positions.shape[1]).pairs.T
    distance = np.linalg.norm(positions[:, i] - positions[:, j], axis=-1)
    if not np.all(distance > 0):
        pair = np.argwhere(distance == 0)[0][1]
        raise DataError(f"positions: atoms {j[pair]} and {i[pair]} lie on the same spot; remove that structure.")
    return 1 / distance


def _frame_pairs(n: int, wanted: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two lists of structures to compare: all pairs of n, or about `wanted` in which each one occurs as often."""
    if n * (n - 1) // 2 <= wanted:
        return np.triu_indices(n, 1)
    order = np.concatenate([rng.permutation(n) for _ in range(-(-2 * wanted // n))])
    first, second = order[: 2 * wanted].reshape(2, -1)
    return first[first != second], second[first != second]


def _supported(
    x: np.ndarray, candidates: list[np.ndarray], least: float, limit: int, rng: np.random.Generator
) -> tuple[list[_Step], list[_Step]]:
    """Generators of the group that the descriptors x (n, P) support, and of the one to use within `limit`, each with
    its evidence, strongest first.

    Candidates that move the same atoms are taken together, so that their products are tried too, as long as these
    are few; the rest are tried one by one on top of what the smaller ones have shown."""
    wanted = int(np.clip(DISTANCES // x.shape[1], 100, FRAME_PAIRS))
    first, second = (x.T[:, frames] for frames in _frame_pairs(len(x), wanted, rng))
    groups, large = _factors(candidates)
    factors = [_Factor.build(group) for group in groups]
    aligned, applied = second, []
    for factor in factors:
        aligned, elements = factor.align(first, aligned)
        applied.append(elements)
    tables = [_Table.build(f, first, aligned, a, least) for f, a in zip(factors, applied, strict=True)]
    supported = _grow(tables, None)
    used = supported if prod(step.index for step in supported) <= limit else _grow(tables, limit)
    settled = [_Factor.build(group) for group in _factors([step.perm for step in supported])[0]]
    alone = [_try_alone(perm, first, second, factors, settled) for perm in large]
    alone = [step for step in alone if step.index > 1 and step.fraction >= least]  # index 1: made up of small ones
    alone.sort(key=lambda step: -step.worth)
    for step in alone:
        if group_order([s.perm for s in [*used, step]]) <= limit:
            used = [*used, step]
    return sorted(supported + alone, key=lambda step: -step.worth), used


def _factors(candidates: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Groups (k, N) that move different atoms, at most FACTOR elements each, and the candidates that fit in none."""
    factors: list[tuple[np.ndarray, list[np.ndarray]]] = []  # moved atoms, generators
    large = []
    for perm in sorted(candidates, key=lambda p: int(np.sum(p != np.arange(len(p))))):
        moved = perm != np.arange(len(perm))
        touching = [factor for factor in factors if np.any(factor[0] & moved)]
        merged = [perm] + [generator for _, generators in touching for generator in generators]
        if group_order(merged) > FACTOR:
            large.append(perm)
            continue
        factors = [factor for factor in factors if not np.any(factor[0] & moved)]
        factors.append((np.any([p != np.arange(len(p)) for p in merged], axis=0), merged))
    return [close_group(generators, FACTOR) for _, generators in factors], large


@dataclass(frozen=True, eq=False)
class _Table:
    """A group that the data support, of which a part is taken so far: elements (k, N); overlaps (K, k) with each on K
    pairs of structures; product[a, b], the element "a first, then b"; taken (k,), a mask; generators of that part."""

    elements: np.ndarray
    overlaps: np.ndarray
    product: np.ndarray
    taken: np.ndarray
    generators: tuple[int, ...] = ()

    @classmethod
    def build(
        cls, factor: _Factor, first: np.ndarray, second: np.ndarray, applied: np.ndarray, least: float
    ) -> "_Table":
        """From pairs of structures first, second (P, K), the latter after the element applied[pair] of the factor.

        The data support the group generated by the elements that are the best one for some pairs, without the rarest
        of these, which together serve less than the fraction `least`."""
        index = {row.tobytes(): k for k, row in enumerate(factor.elements)}
        product = np.array([[index[row.tobytes()] for row in a[factor.elements]] for a in factor.elements])
        overlaps = np.empty((first.shape[1], len(product)))
        np.put_along_axis(overlaps, product[applied], factor.overlaps(first, second), axis=1)
        best = np.where(overlaps.max(axis=1) > overlaps[:, 0] * (1 + TIE), overlaps.argmax(axis=1), 0)
        share = np.bincount(best, minlength=len(product)) / len(best)
        order = np.argsort(-share, kind="stable")
        seen = order[np.cumsum(share[order][::-1])[::-1] >= least]
        group = np.flatnonzero(_closure(product, tuple(seen)))
        product = np.searchsorted(group, product[np.ix_(group, group)])
        return cls(factor.elements[group], overlaps[:, group], product, np.arange(len(group)) == 0)

    def extensions(self) -> "list[tuple[_Step, _Table]]":
        """Every further element, and the part of the group with it and what it brings along."""
        best = self.overlaps[:, self.taken].max(axis=1)
        found = []
        for k in np.flatnonzero(~self.taken):
            generators = (*self.generators, int(k))
            larger = _closure(self.product, generators)
            fraction = np.mean(self.overlaps[:, larger].max(axis=1) > best * (1 + TIE))
            step = _Step(self.elements[k], float(fraction), int(larger.sum() // self.taken.sum()))
            found.append((step, replace(self, taken=larger, generators=generators)))
        return found


def _grow(tables: list[_Table], limit: int | None) -> list[_Step]:
    """Build up a group from groups that move different atoms: again and again the element whose inclusion helps the
    most pairs of structures per doubling of the group, as long as the order stays in `limit`."""
    options = [table.extensions() for table in tables]
    steps: list[_Step] = []
    order = 1
    while True:
        possible = [
            (step, t, grown)
            for t, extensions in enumerate(options)
            for step, grown in extensions
            if limit is None or order * step.index <= limit
        ]
        if not possible:
            return steps
        step, t, grown = max(possible, key=lambda option: (option[0].worth, -option[0].index))
        options[t] = grown.extensions()
        steps.append(step)
        order *= step.index


def _closure(product: np.ndarray, generators: tuple[int, ...]) -> np.ndarray:
    """Mask of the elements that the generators make; product[a, b] is the element "a first, then b"."""
    inside = np.arange(len(product)) == 0
    while True:
        grown = inside.copy()
        grown[product[np.ix_(inside, generators)]] = True
        if np.all(grown == inside):
            return inside
        inside = grown


def _try_alone(
    perm: np.ndarray, first: np.ndarray, second: np.ndarray, factors: list[_Factor], settled: list[_Factor]
) -> _Step:
    """Evidence for one large permutation and its powers, each followed by the best of the settled small ones.

    The permutation is found only up to the small ones: of each factor the element is put in that fits most pairs,
    which matters where a group does not turn in the data."""
    pairs = PairSet.full(len(perm))
    for factor in factors:
        fits = factor.overlaps(first, second[pairs.permuted(perm[None])[0]]).argmax(axis=1)
        perm = perm[factor.elements[np.bincount(fits).argmax()]]
    powers = [np.arange(len(perm)), perm]
    while np.any(powers[-1] != powers[0]):
        powers.append(powers[-1][perm])
    values = []
    for image in pairs.permuted(np.array(powers[:-1])):
        aligned = second[image]
        for factor in settled:
            aligned, _ = factor.align(first, aligned)
        values.append(np.einsum("pk,pk->k", first, aligned))
    closer = np.max(values, axis=0) > values[0] * (1 + TIE)
    return _Step(perm, float(np.mean(closer)), len(values))


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
