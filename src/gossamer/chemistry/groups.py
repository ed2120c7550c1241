"""Groups of permutations: closing, testing and counting them, and writing them as cycles.

A permutation p acts by (pR)[a] = R[p[a]]; p[q] is "p first, then q".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from gossamer.errors import UsageError


def close_group(generators: np.ndarray | Sequence[np.ndarray], limit: int) -> np.ndarray:
    """All products of the generators (G, N), as rows (S, N) int64 in ascending order, the identity first.

    Raises UsageError when there are more than `limit`, and when a row is no permutation.
    """
    rows = checked(generators)
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
    return missing_product(checked(perms)) is None


def group_order(generators: np.ndarray | Sequence[np.ndarray]) -> int:
    """Order of the group that the rows (G, N) generate, by the algorithm of Schreier and Sims."""
    levels: list[_Level] = []
    for row in checked(generators):
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


def checked(perms: np.ndarray | Sequence[np.ndarray], numbers: np.ndarray | None = None) -> np.ndarray:
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


def missing_product(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
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
