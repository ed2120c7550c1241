"""What a model read from a file must be before anything is computed with it.  A ValueError names what is wrong."""

from typing import Any

import numpy as np

from gossamer.chemistry.bonds import COINCIDENT
from gossamer.chemistry.groups import is_group
from gossamer.chemistry.symmetry import symmetry_from_perms
from gossamer.files import is_shallow

LARGEST = 1e30  # of coefficients: products of four such numbers are finite
RANGE = (1e-12, 1e12)  # of lengths, amplitudes, scales and weights, whose squares are divided by
NEAREST = 1.001 / COINCIDENT  # 1/Angstrom; the largest inverse distance, and some rounding
ENERGY = 1e12  # eV; the largest constant
ELEMENTS = (1, 118)
SHOWN = 40  # characters of a value in a message


def shown(value: Any) -> str:
    """A value, cut short for a message."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def number(value: Any, name: str, least: float, most: float) -> float:
    """`value` as a float.  Raises ValueError unless it is a real number, and no truth value, in least ... most."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and value.size == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} is {shown(value)}, and must be a number from {least:g} to {most:g}")
    return float(value)


def positive(value: Any, name: str) -> float:
    """`value` as a float within RANGE."""
    return number(value, name, *RANGE)


def array(value: Any, name: str, kind: str, *shape: int | None) -> np.ndarray:
    """`value` as an array of int64 (kind "i") or float64 (kind "f") in the given shape; None: any length but zero.

    Raises ValueError for another shape or kind, and for values that are not finite or beyond LARGEST."""
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{name} is missing")
    fits = value.ndim == len(shape) and all(n > 0 and n == (m or n) for n, m in zip(value.shape, shape, strict=True))
    if not fits:
        wanted = " x ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} has the shape {value.shape}, and must be {wanted}")
    if value.dtype.kind not in ("iu" if kind == "i" else "f"):
        raise ValueError(f"{name} holds {value.dtype}, and must hold {'whole' if kind == 'i' else 'real'} numbers")
    if not np.all(np.abs(value.astype(np.float64)) <= LARGEST):
        raise ValueError(f"{name} holds values that are NaN, infinite or beyond {LARGEST:g}")
    return np.array(value, dtype=np.int64 if kind == "i" else np.float64, order="C")


def descriptors(value: Any, name: str, weights: np.ndarray, rows: int | None = None) -> np.ndarray:
    """Weighted inverse distances (rows, P), weights (P,): those of atoms that do not coincide."""
    X = array(value, name, "f", rows, len(weights))
    if np.any(X <= 0) or np.any(X / weights > NEAREST):
        raise ValueError(f"{name} must hold inverse distances, above 0 and up to {NEAREST:g} / Angstrom")
    return X


def elements(value: Any, name: str) -> np.ndarray:
    """Atomic numbers (N,) int64 of at least two atoms."""
    numbers = array(value, name, "i", None)
    least, most = ELEMENTS
    if len(numbers) < 2 or numbers.min() < least or numbers.max() > most:
        raise ValueError(f"{name} must be the atomic numbers, {least} to {most}, of two atoms or more")
    return numbers


def indices(value: Any, name: str, below: int, *shape: int | None) -> np.ndarray:
    """Whole numbers from 0 to below - 1."""
    found = array(value, name, "i", *shape)
    if found.min() < 0 or found.max() >= below:
        raise ValueError(f"{name} must lie in 0 ... {below - 1}")
    return found


def group(value: Any, name: str, n: int) -> np.ndarray:
    """Permutations (H, n) of n things, which must be a closed group with the identity first."""
    perms = indices(value, name, n, None, n)
    if np.any(np.sort(perms, axis=1) != np.arange(n)) or np.any(perms[0] != np.arange(n)):
        raise ValueError(f"{name} must be permutations, the identity first")
    if len(set(np.unique(perms, axis=0, return_counts=True)[1].tolist())) > 1 or not is_group(perms):
        raise ValueError(f"{name} must be a group, every product of two once")
    return perms


def atom_group(value: Any, name: str, numbers: np.ndarray) -> np.ndarray:
    """Permutations (S, N) of the atoms `numbers` (N,): a closed group that exchanges like atoms, each row once."""
    perms = indices(value, name, len(numbers), None, len(numbers))
    if len(symmetry_from_perms(perms, numbers).perms) != len(perms):
        raise ValueError(f"{name} holds a permutation twice")
    return perms


def provenance(value: Any, numbers: np.ndarray) -> dict[str, Any]:
    """Where a model of the atoms `numbers` (N,) comes from: a dict in which what others read of it has its type."""
    if not isinstance(value, dict) or not is_shallow(value):
        raise ValueError(f"provenance is {shown(value)}, and must be an object")
    for key in ("made_by", "name", "theory", "source", "train_fingerprint"):
        if not isinstance(value.get(key, ""), str):
            raise ValueError(f"provenance: {key} is {shown(value[key])}, and must be a text")
    if value.get("noise") is not None:
        number(value["noise"], "provenance: noise", 0, LARGEST)
    train = value.get("train_indices", [])
    if not isinstance(train, list) or not all(type(i) is int and 0 <= i < 2**63 for i in train):
        raise ValueError("provenance: train_indices must be a list of whole numbers")
    symmetry = value.get("symmetry", {})
    if not isinstance(symmetry, dict):
        raise ValueError(f"provenance: symmetry is {shown(symmetry)}, and must be an object")
    if "perms" in symmetry:
        rows = symmetry["perms"]
        whole = isinstance(rows, list) and all(isinstance(r, list) and all(type(a) is int for a in r) for r in rows)
        if not whole or not rows or {len(row) for row in rows} != {len(numbers)}:
            raise ValueError("provenance: symmetry: perms must be rows that name every atom")
        atom_group(np.array(rows), "provenance: symmetry: perms", numbers)
    return value
