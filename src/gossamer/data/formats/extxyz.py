"""Writing extended XYZ.  ASE's own writer cuts numbers at 8 decimals; this one keeps every bit and names the units."""

import re
from pathlib import Path

import numpy as np

from gossamer.data.dataset import Dataset, LabelStd, symbols
from gossamer.files import atomic_path
from gossamer.units import energy_in_ev, energy_unit, length_in_angstrom, length_unit


def write(data: Dataset, path: Path, energy: str, length: str, std: LabelStd | None = None) -> None:
    """One frame per structure; `energy_unit` and `length_unit` stand in every comment line.
    energy, length: the units to write in; std: standard deviations of the labels.  Raises OutputError
    when the path is not writable."""
    energy, length = energy_unit(energy), length_unit(length)
    per_ev, per_angstrom = 1 / energy_in_ev(energy), 1 / length_in_angstrom(length)
    columns = data.positions * per_angstrom
    properties = "species:S:1:pos:R:3"
    if data.forces is not None:
        columns = np.concatenate([columns, data.forces * (per_ev / per_angstrom)], axis=2)
        properties += ":forces:R:3"
    if std is not None:
        columns = np.concatenate([columns, std.forces * (per_ev / per_angstrom)], axis=2)
        properties += ":forces_std:R:3"
    common = {"energy_unit": energy, "length_unit": length}
    if data.forces is not None:
        common["forces_unit"] = f"{energy}/{length}"
    if data.dipoles is not None:
        common["dipole_unit"] = "e*Angstrom"
    texts = {"name": data.provenance.name, "theory": data.provenance.theory}
    common |= {key: " ".join(text.split()) for key, text in texts.items() if text}
    tail = " ".join(f"{key}={_quoted(value)}" for key, value in common.items()) + ' pbc="F F F"'
    names = symbols(data.numbers)
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        for row, frame in enumerate(columns.tolist()):
            label = "" if data.energies is None else f"energy={float(data.energies[row] * per_ev)!r} "
            if data.dipoles is not None:
                label += f'dipole="{" ".join(map(repr, data.dipoles[row].tolist()))}" '
            if std is not None:
                label += f"energy_std={float(std.energies[row] * per_ev)!r} "
            file.write(f"{len(names)}\nProperties={properties} {label}{tail}\n")
            lines = zip(names, frame, strict=True)
            file.writelines(f"{name} {' '.join(map(repr, numbers))}\n" for name, numbers in lines)


def _quoted(text: str) -> str:
    """A value as extended XYZ has it: in quotes unless it is one plain word."""
    if re.fullmatch(r"[\w/.+-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
