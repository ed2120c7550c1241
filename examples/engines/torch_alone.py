"""A model in torch alone: what `gossamer export torch` wrote runs where gossamer is not installed.

gossamer export torch ethanol.gossamer --out ethanol.pt2
python torch_alone.py ethanol.pt2 ethanol.npz
"""

import sys

import numpy as np
import torch


def main(program: str, data: str) -> None:
    extra = {"gossamer.json": ""}
    force_field = torch.export.load(program, extra_files=extra).module()
    positions = torch.from_numpy(np.load(data)["R"].astype(np.float64)).requires_grad_(True)  # Angstrom
    energies, forces = force_field(positions)
    (slope,) = torch.autograd.grad(energies.sum(), positions)
    print(
        f"{len(energies)} structures: forces are minus the slope within {(forces + slope).abs().max():.1g} eV/Angstrom"
    )


if __name__ == "__main__":
    main(*sys.argv[1:3])
