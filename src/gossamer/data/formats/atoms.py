"""Atoms as files list them: numbers, symbols, one list for all structures or one for each, padded or not."""

import numpy as np

from gossamer.data.formats.raw import same_atoms
from gossamer.errors import DataError


def atomic_numbers(what: str, listed: np.ndarray) -> np.ndarray:
    """Atomic numbers, 0 for padding, in the shape (N,) or (n, N) of `listed`: whole numbers, or symbols such as "Cl".
    Raises DataError naming the first that is neither."""
    listed = np.asarray(listed)
    if listed.ndim not in (1, 2) or not listed.size:
        raise DataError(f"{what} has shape {listed.shape}, expected (atoms,) or (structures, atoms); write it again.")
    if listed.dtype.kind in "USO":
        text = np.char.decode(listed, "latin-1") if listed.dtype.kind == "S" else listed.astype(str)
        kinds, places = np.unique(text, return_inverse=True)
        numbers = np.array([_number_of(what, kind) for kind in kinds])[places].reshape(listed.shape)
    elif listed.dtype.kind in "fiu":
        numbers = listed
    else:
        raise DataError(f"{what} holds {listed.dtype} and neither atomic numbers nor symbols; write the file again.")
    bad = ~((numbers >= 0) & (numbers <= 118) & (numbers == np.round(numbers)))
    if listed.dtype.kind == "i":
        bad &= numbers != -1  # another way of padding
    if bad.any():
        raise DataError(f"{what} holds values that are not atomic numbers (1 to 118); write the file again.")
    return np.maximum(numbers, 0).astype(np.int64)


def _number_of(what: str, symbol: str) -> int:
    from ase.data import atomic_numbers as known

    symbol = symbol.strip()
    if symbol.isascii() and symbol.isdigit() and len(symbol) <= 3:
        return int(symbol)
    number = known.get(symbol.capitalize(), 0) if symbol else 0
    if symbol and not number:
        raise DataError(f"{what} holds {symbol[:20]!r}, which is no chemical element; write its symbol or number.")
    return number


def without_padding(
    what: str, numbers: np.ndarray, frames: np.ndarray, forces: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Atomic numbers (N,) of the one molecule, its places (N,) among those listed, and how many were padding.
    numbers (N',) or (all structures, N'); frames: the rows in use; forces (frames, N', 3) or None.
    Raises DataError when structures differ, none has atoms, or padding carries forces."""
    each = numbers[frames] if numbers.ndim == 2 and len(numbers) > 1 else np.atleast_2d(numbers)
    real = np.flatnonzero(each[0])
    if not len(real):
        raise DataError(f"{what} holds no atoms, only zeros; write the file again.")
    if (each != each[0]).any():
        same_atoms(what, [row[row > 0] for row in each], frames)
        raise DataError(f"{what} has its padding (number 0) at other places in some structures; put it at the end.")
    padding = each.shape[1] - len(real)
    if padding and forces is not None and np.abs(np.delete(forces, real, axis=1)).max(initial=0) > 0:
        raise DataError(f"{what} is 0 for atoms that have forces; write their atomic numbers.")
    return each[0][real], real, padding
