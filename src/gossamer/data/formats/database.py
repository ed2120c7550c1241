"""Databases of ASE (.db, .json) as other programs fill them: labels in a row's data or key-value pairs, and units in
the metadata, as SchNetPack writes them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

_LENGTH = ("_distance_unit", "distance_unit", "length_unit")
_PROPERTIES = ("_property_unit_dict", "property_unit_dict", "units")
_KINDS = {"energy": ("energy", "energies"), "forces": ("forces", "force", "gradient", "gradients")}


def images(path: Path, format_name: str) -> list["Atoms"]:
    """The rows as Atoms; what a row's data hold in the size of an energy stands in `info`, of forces in `arrays`, and
    units of the metadata in `info` as energy_unit, length_unit and forces_unit.  Raises what ASE does."""
    import ase.db

    with ase.db.connect(str(path), type=format_name, serial=True) as database:
        units = _units(database.metadata)
        found = []
        for row in database.select():
            atoms = row.toatoms()
            for key, value in {**row.key_value_pairs, **row.data}.items():
                _add(atoms, key, value)
            atoms.info.update(units)
            found.append(atoms)
    return found


def _add(atoms: "Atoms", key: str, value: Any) -> None:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or key in atoms.arrays:
        return
    if array.size == 1:
        atoms.info[key] = array.item()
    elif array.size == 3 * len(atoms):
        atoms.arrays[key] = array.reshape(len(atoms), 3)


def _units(metadata: Any) -> dict[str, str]:
    """Units as the metadata say them, under the names that frames use."""
    if not isinstance(metadata, dict):
        return {}
    properties: dict[str, Any] = next((metadata[key] for key in _PROPERTIES if isinstance(metadata.get(key), dict)), {})
    found = {kind: next((properties[key] for key in keys if key in properties), None) for kind, keys in _KINDS.items()}
    found["length"] = next((metadata[key] for key in _LENGTH if key in metadata), None)
    return {f"{kind}_unit": unit for kind, unit in found.items() if isinstance(unit, str)}
