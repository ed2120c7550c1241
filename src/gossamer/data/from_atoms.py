"""A data set from ASE's Atoms in memory; files of them are read by `formats`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.data.dataset import Dataset, Provenance
from gossamer.errors import DataError

if TYPE_CHECKING:
    from ase import Atoms


def dataset_of(images: "Atoms | Sequence[Atoms]") -> Dataset:
    """As `Dataset.from_atoms`, whose work this is."""
    frames: list[Any] = [images] if hasattr(images, "pbc") else list(images)
    if not frames:
        raise DataError("atoms: no structures given; give at least one.")
    for k, atoms in enumerate(frames):
        if not np.array_equal(atoms.numbers, frames[0].numbers):
            raise DataError(f"atoms: those of frame {k} or their order differ from frame 0; use one molecule.")
        if np.any(atoms.pbc):
            raise DataError(f"atoms: frame {k} has a periodic cell, and models know single molecules; set pbc = False.")
    forces, energies, dipoles = (_labels(frames, name) for name in ("forces", "energy", "dipole"))
    found = {"forces": forces, "energies": energies, "dipoles": dipoles}
    read = {what: "calculator results" for what, values in found.items() if values is not None}
    positions = np.array([atoms.positions for atoms in frames])
    provenance = Provenance("atoms", energy_unit="eV", length_unit="Angstrom", read=read)
    return Dataset(frames[0].numbers.copy(), positions, forces, energies, provenance, dipoles=dipoles)


def _labels(frames: "list[Atoms]", name: str) -> np.ndarray | None:
    """What the calculators of all frames have of a property, None where none has it."""
    found = [_at_hand(atoms, name) for atoms in frames]
    lacking = [k for k, value in enumerate(found) if value is None]
    if len(lacking) == len(found):
        return None
    if lacking:
        raise DataError(f"atoms: frame {lacking[0]} has no {name}, but others have; label all of them, or none.")
    return np.array(found, dtype=np.float64)


def _at_hand(atoms: "Atoms", name: str) -> Any:
    """A property that the calculator has of these positions, without constraints; None where it would have to work."""
    from ase.calculators.calculator import PropertyNotImplementedError

    if atoms.calc is None:
        return None
    try:
        return atoms.calc.get_property(name, atoms, allow_calculation=False)
    except PropertyNotImplementedError:
        return None
