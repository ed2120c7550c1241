"""Fragments as a JSON file that people edit: a list of entries such as

{"name": "ring", "elements": ["C", "C", "O"], "atoms": [[0, 1, 2], [5, 4, 3]], "perms": [[0, 1, 2], [1, 0, 2]]}
{"global": true}

atoms: counted from 0, one row per place; perms: exchanges of the columns, completed to a group, none if left out;
elements: if given, those of every place, as a check; global: the whole molecule, with the permutations a fit finds.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gossamer.chemistry.fragments import GLOBAL, Fragment
from gossamer.chemistry.groups import close_group
from gossamer.errors import UsageError
from gossamer.files import read_json, write_text

KEYS = ("name", "atoms", "perms", "elements", "global")
FRAGMENTS_FILE = "file of fragments, which `gossamer inspect DATA --fragments-to FILE` makes"
SHOWN = 60  # characters of a value in a message
MAX_PERMS = 1000  # exchanges of a fragment's atoms; the cost of its term is proportional to them


def write_fragments(path: str | Path, fragments: Sequence[Fragment | str], numbers: np.ndarray) -> Path:
    """Write fragments of the molecule `numbers` (N,), an entry to the line.  Raises OutputError."""
    lines = ",\n".join(json.dumps(entry) for entry in entries_of(fragments, numbers))
    return write_text(path, f"[\n{lines}\n]\n")


def entries_of(fragments: Sequence[Fragment | str], numbers: np.ndarray) -> list[dict[str, Any]]:
    """The entries of a file, as plain JSON values."""
    return [{GLOBAL: True} if isinstance(f, str) or f.is_global else _entry(f, numbers) for f in fragments]


def _entry(fragment: Fragment, numbers: np.ndarray) -> dict[str, Any]:
    from ase.data import chemical_symbols

    elements = [chemical_symbols[z] for z in numbers[fragment.atoms[0]]]
    entry = {"name": fragment.name, "elements": elements, "atoms": fragment.atoms.tolist()}
    return entry | ({"perms": fragment.perms.tolist()} if len(fragment.perms) > 1 else {})


def read_fragments(path: str | Path, numbers: np.ndarray) -> tuple[Fragment | str, ...]:
    """The fragments in a file, for a molecule of the elements `numbers` (N,), as `train` takes them for its argument
    `terms`.  Raises UsageError, naming the file and the entry, for what cannot be used."""
    entries = _entries(path)
    found: list[Fragment | str] = []
    for k, entry in enumerate(entries):
        name = entry.get("name", f"entry {k}") if isinstance(entry, dict) else None
        where = f"{path}: entry {k}" + (
            f" ({_cut(repr(name))})" if isinstance(name, str) and name != f"entry {k}" else ""
        )
        fragment = _fragment(entry, name, numbers, where)
        if any(_title(fragment) == _title(other) for other in found):
            raise UsageError(f"{where}: there are two fragments of this name; rename one.")
        found.append(fragment)
    return tuple(found)


def _title(fragment: Fragment | str) -> str:
    return fragment if isinstance(fragment, str) else fragment.name


def _entries(path: str | Path) -> list[Any]:
    entries = read_json(path, FRAGMENTS_FILE, UsageError)
    if not isinstance(entries, list) or not entries:
        raise UsageError(f'{path}: it must hold a list of entries such as {{"name": "ring", "atoms": [[0, 1, 2]]}}.')
    return entries


def _fragment(entry: Any, name: Any, numbers: np.ndarray, where: str) -> Fragment | str:
    """What an entry says.  where: file and entry, for messages."""
    if not isinstance(entry, dict):
        raise UsageError(f'{where}: it must be an object such as {{"name": "ring", "atoms": [[0, 1, 2]]}}; rewrite it.')
    unknown = sorted(set(entry) - set(KEYS))
    if unknown:
        raise UsageError(f"{where}: the key {_cut(repr(unknown[0]))} is not known; use {', '.join(KEYS)}.")
    if entry.get(GLOBAL, False) is True:
        if set(entry) - {GLOBAL, "name"}:
            raise UsageError(
                f"{where}: the global term has all atoms, and the symmetry of the fit; leave the rest out."
            )
        return GLOBAL
    if not isinstance(name, str) or not name or name == GLOBAL or GLOBAL in entry:
        raise UsageError(
            f'{where}: name must be a text other than "{GLOBAL}", and {{"global": true}} is an entry alone.'
        )
    atoms = _atoms(entry.get("atoms"), numbers, where)
    _check_elements(atoms, entry.get("elements"), numbers, where)
    perms = _perms(entry.get("perms"), numbers[atoms[0]], where)
    try:
        return Fragment(atoms, perms, name)
    except UsageError as error:
        raise UsageError(f"{where}: {str(error).removeprefix(f'fragment {name!r}: ')}") from error


def _rows(value: Any) -> np.ndarray | None:
    """Rows of whole numbers of one length, or a single row; None for anything else."""
    rows = [value] if isinstance(value, list) and not any(isinstance(row, list) for row in value) else value
    if not isinstance(rows, list) or not all(isinstance(row, list) and row for row in rows):
        return None
    if any(type(a) is not int or abs(a) > 10**9 for row in rows for a in row) or len({len(row) for row in rows}) != 1:
        return None
    return np.array(rows, dtype=np.int64)


def _shown(value: Any) -> str:
    """What a file says, cut short for a message."""
    return "none are" if value is None else f"{_cut(json.dumps(value))} is"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def _atoms(value: Any, numbers: np.ndarray, where: str) -> np.ndarray:
    atoms = _rows(value)
    if atoms is None:
        raise UsageError(
            f"{where}: atoms must be rows of whole numbers of one length, as in [[0, 1, 2], [5, 4, 3]]; "
            f"{_shown(value)} given."
        )
    outside = atoms[(atoms < 0) | (atoms >= len(numbers))]
    if len(outside):
        raise UsageError(f"{where}: there is no atom {outside[0]}; atoms count from 0 to {len(numbers) - 1}.")
    if len({frozenset(row) for row in atoms.tolist()}) < len(atoms):
        raise UsageError(f"{where}: two places are the same atoms; keep one, and give exchanges of atoms as perms.")
    return atoms


def _check_elements(atoms: np.ndarray, given: Any, numbers: np.ndarray, where: str) -> None:
    """Raise UsageError unless all places have the elements of the first, which are those `given`, if any are."""
    from ase.data import chemical_symbols

    symbols = [[chemical_symbols[z] for z in row] for row in numbers[atoms]]
    differing = next((k for k, row in enumerate(symbols) if row != symbols[0]), None)
    if differing is not None:
        raise UsageError(
            f"{where}: place {differing} has the elements {' '.join(symbols[differing])} and place 0 "
            f"{' '.join(symbols[0])}; name corresponding atoms in the same order."
        )
    if given is not None and given != symbols[0]:
        shown = _cut(" ".join(map(str, given)) if isinstance(given, list) else repr(given))
        raise UsageError(
            f"{where}: the elements are said to be {shown}, but the atoms are {' '.join(symbols[0])}; "
            "correct the atoms, or use the molecule this file was made for."
        )


def _perms(value: Any, elements: np.ndarray, where: str) -> np.ndarray:
    """The group (H, n) that the exchanges of the fragment's atoms make."""
    identity = np.arange(len(elements))
    if value is None or value == []:
        return identity[None]
    rows = _rows(value)
    if rows is None or rows.shape[1] != len(identity) or np.any(np.sort(rows, axis=1) != identity):
        raise UsageError(
            f"{where}: perms must be rows that name each of its columns 0 to {identity[-1]} once; "
            f"{_shown(value)} given."
        )
    if np.any(elements[rows] != elements):
        raise UsageError(f"{where}: a row of perms exchanges atoms of different elements; correct it.")
    try:
        return close_group(rows, MAX_PERMS)
    except UsageError as error:
        raise UsageError(f"{where}: its perms make a group of more than {MAX_PERMS}; leave some out.") from error
