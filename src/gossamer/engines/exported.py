"""A force field as a file that torch alone runs: `torch.export` of `ForceFieldModule`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gossamer.files import atomic_path
from gossamer.version import __version__

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField

DESCRIPTION = "gossamer.json"  # what stands in the file beside the program


def export_torch(model: "ForceField", path: str | Path) -> Path:
    """Write a program of torch.export (.pt2): positions (Q, N, 3), float64, Angstrom, any Q, to energies (Q,), eV, and
    forces (Q, N, 3), eV/Angstrom.  `torch.export.load` runs it where gossamer is not installed; its extra file
    gossamer.json holds the atomic numbers and the units.  The file appears whole or not at all.

    Raises UsageError for a baseline that is a calculator, OutputError where nothing can be written."""
    import torch

    module = model.torch()
    apart = np.zeros((3, model.n_atoms, 3))  # any structures whose atoms do not coincide; a number other than 0 and 1
    apart[..., 0] = np.arange(model.n_atoms)
    example = torch.from_numpy(apart).to(next(module.buffers()).device)
    shapes = {"positions": {0: torch.export.Dim("structures", min=1)}}
    program = torch.export.export(module, (example,), dynamic_shapes=shapes)
    described = {
        "gossamer": __version__,
        "numbers": model.numbers.tolist(),
        "inputs": {"positions": "(Q, N, 3) float64, Angstrom"},
        "outputs": ["energies (Q,) eV", "forces (Q, N, 3) eV/Angstrom"],
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.export.save(program, file, extra_files={DESCRIPTION: json.dumps(described)})
    return Path(path)
