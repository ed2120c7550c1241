"""Structures as people have them: arrays, ASE's Atoms, a Dataset."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from gossamer.data.dataset import Dataset, hill_formula
from gossamer.errors import UsageError

if TYPE_CHECKING:
    from ase import Atoms

    Structures: TypeAlias = np.ndarray | Atoms | Sequence[Atoms] | Dataset


class Asked(NamedTuple):
    """positions (Q, N, 3) Angstrom; name: of the data in messages; frames (Q,): the numbers of structures there."""

    positions: np.ndarray
    name: str = "positions"
    frames: np.ndarray | None = None


def asked(given: "Structures", numbers: np.ndarray) -> Asked:
    """Structures of the atoms `numbers` (N,): positions (Q, N, 3) or (N, 3), Angstrom, one Atoms or several, or a
    Dataset.  Raises UsageError for other atoms, another order of atoms, or a periodic cell; shapes of arrays are not
    looked at."""
    if isinstance(given, Dataset):
        require_atoms(given, numbers)
        return Asked(given.positions, given.provenance.source or "data", given.frames)
    if not isinstance(given, np.ndarray):
        images: list[Any] = [given] if _is_atoms(given) else list(given)
        if images and all(map(_is_atoms, images)):
            for frame, atoms in enumerate(images):
                require_molecule(atoms, numbers, f"frame {frame}" if len(images) > 1 else "atoms")
            return Asked(np.array([atoms.positions for atoms in images]), "atoms")
    positions = np.asarray(given, dtype=np.float64)
    return Asked(positions[None] if positions.ndim == 2 else positions)


def _is_atoms(given: Any) -> bool:
    return hasattr(given, "positions") and hasattr(given, "numbers") and hasattr(given, "pbc")


def require_atoms(data: Dataset, numbers: np.ndarray) -> None:
    """Raise UsageError unless the data are of the atoms `numbers` (N,)."""
    if not np.array_equal(data.numbers, numbers):
        raise UsageError(
            f"data: {data.provenance.source or 'the data set'} holds other atoms, or another order of atoms, "
            "than the model was trained on; convert it to the model's order."
        )


def require_molecule(atoms: "Atoms", numbers: np.ndarray, name: str = "atoms") -> None:
    """Raise UsageError, with `name`, unless `atoms` are the model's `numbers` (N,), without a periodic cell."""
    require_numbers(atoms.numbers, numbers, name)
    if np.any(atoms.pbc):
        raise UsageError(f"{name}: the cell is periodic, and the model knows single molecules; set atoms.pbc = False.")


def require_numbers(given: np.ndarray, numbers: np.ndarray, name: str = "atoms") -> None:
    """Raise UsageError, with `name`, unless the atomic numbers `given` are the model's `numbers` (N,)."""
    if np.array_equal(given, numbers):
        return
    if np.array_equal(np.sort(given), np.sort(numbers)):
        atom = int(np.flatnonzero(np.asarray(given) != numbers)[0])
        told = f"differs from the model's atoms in their order, first at atom {atom}"
    else:
        told = f"differs from the model's atoms, {hill_formula(numbers)}"
    raise UsageError(f"{name}: {hill_formula(np.asarray(given))} {told}; give them as in the training data.")
