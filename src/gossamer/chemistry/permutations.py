"""Permutations as a user writes them down."""

import json
import re
from typing import Any

import numpy as np

from gossamer.errors import UsageError


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
    except (ValueError, RecursionError) as error:
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
        if not re.fullmatch(r"(\s*\([\d\s,]*\))*\s*", entry) or re.search(r"\d{10}", entry):
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
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"permutations: '{shown}' is neither a row of atoms nor cycles; correct it.") from None
    if len(perm) != n_atoms or np.any(np.sort(perm) != np.arange(n_atoms)):
        raise UsageError(f"permutations: the row '{shown}' must name each of the atoms 0 to {n_atoms - 1} once.")
    return perm
