"""Fragments of a molecule spelled as a chemist does: CH3–CH2–OH."""

from collections.abc import Mapping, Sequence

Neighbours = Mapping[int, Sequence[int]]


def spelled(atoms: Sequence[int], symbols: Sequence[str], bonds: Sequence[tuple[int, int]]) -> str:
    """Atoms of a fragment, its centre first: hydrogens beside their atom, the centre in the midst of its neighbours,
    further branches in brackets; parts that no bond joins, such as those of a hydrogen bond, after "···"."""
    near = _neighbours(atoms, bonds)
    parts, seen = [], set[int]()
    for start in sorted(atoms, key=lambda a: (a != atoms[0], symbols[a] == "H")):
        if start not in seen:
            tree = _tree(start, near)
            seen |= set(tree)
            parts.append(_around(start, tree, symbols))
    return " ··· ".join(parts)


def molecules(n_atoms: int, bonds: Sequence[tuple[int, int]]) -> list[int]:
    """For every atom the first atom of its molecule."""
    near, found = _neighbours(range(n_atoms), bonds), [-1] * n_atoms
    for start in range(n_atoms):
        for atom in _tree(start, near) if found[start] < 0 else ():
            found[atom] = start
    return found


def _neighbours(atoms: Sequence[int], bonds: Sequence[tuple[int, int]]) -> dict[int, list[int]]:
    near: dict[int, list[int]] = {a: [] for a in atoms}
    for i, j in bonds:
        if i in near and j in near:
            near[i].append(j)
            near[j].append(i)
    return near


def _tree(start: int, near: Neighbours) -> dict[int, list[int]]:
    """What hangs on each atom, walking outwards from `start`; a bond that closes a ring is left out."""
    tree: dict[int, list[int]] = {start: []}
    reached = [start]
    for a in reached:  # grows while it is walked
        for b in near[a]:
            if b not in tree:
                tree[b] = []
                tree[a].append(b)
                reached.append(b)
    return tree


def _around(centre: int, tree: Neighbours, symbols: Sequence[str]) -> str:
    """The centre between its first and its last branch."""
    branches = _heavy(centre, tree, symbols)
    if len(branches) < 2:
        return _group(centre, branches, tree, symbols, first=bool(branches))
    return f"{_ending(branches[0], tree, symbols)}–{_group(centre, branches[1:], tree, symbols)}"


def _group(atom: int, branches: Sequence[int], tree: Neighbours, symbols: Sequence[str], *, first: bool = False) -> str:
    """An atom with its hydrogens, then its branches: all but the last in brackets."""
    inner = "".join(f"({_beginning(b, tree, symbols)})" for b in branches[:-1])
    last = f"–{_beginning(branches[-1], tree, symbols)}" if branches else ""
    return _with_hydrogens(atom, tree, symbols, first=first) + inner + last


def _beginning(atom: int, tree: Neighbours, symbols: Sequence[str]) -> str:
    """A branch written away from the centre, which stands on its left."""
    return _group(atom, _heavy(atom, tree, symbols), tree, symbols)


def _ending(atom: int, tree: Neighbours, symbols: Sequence[str]) -> str:
    """A branch written towards the centre, which stands on its right."""
    branches = _heavy(atom, tree, symbols)
    head = f"{_ending(branches[0], tree, symbols)}–" if branches else ""
    inner = "".join(f"({_beginning(b, tree, symbols)})" for b in branches[1:])
    return head + _with_hydrogens(atom, tree, symbols, first=not branches) + inner


def _with_hydrogens(atom: int, tree: Neighbours, symbols: Sequence[str], *, first: bool = False) -> str:
    """CH3, OH; at the beginning of a chain CH3, HO."""
    count = sum(_is_leaf_hydrogen(b, tree, symbols) for b in tree[atom])
    hydrogens = "" if count == 0 else "H" if count == 1 else f"H{count}"
    return hydrogens + symbols[atom] if first and symbols[atom] != "C" else symbols[atom] + hydrogens


def _heavy(atom: int, tree: Neighbours, symbols: Sequence[str]) -> list[int]:
    """The branches of an atom that are more than a hydrogen, as chains are written: carbons first, nitrogens last."""
    return sorted(
        (b for b in tree[atom] if not _is_leaf_hydrogen(b, tree, symbols)),
        key=lambda b: (symbols[b] != "C", symbols[b] == "N", symbols[b], -len(tree[b]), b),
    )


def _is_leaf_hydrogen(atom: int, tree: Neighbours, symbols: Sequence[str]) -> bool:
    return symbols[atom] == "H" and not tree[atom]
