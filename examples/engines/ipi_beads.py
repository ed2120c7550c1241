"""A path integral in i-PI whose beads are one batch of the model.

    python ipi_beads.py ethanol.gossamer ethanol.npz [STEPS]

Needs pip install 'gossamer[ipi]'."""

import subprocess
import sys
from pathlib import Path

import numpy as np

import gossamer as gs
from gossamer.engines.decks import PathIntegral, ipi_deck


def main(model: str, data: str, steps: int = 200) -> None:
    start = gs.read(data, labels=False).positions[0]
    ipi_deck(gs.load(model), start, "beads", PathIntegral(beads=8, steps=steps))
    subprocess.run(
        [Path(sys.executable).parent / "i-pi", "input.xml"], cwd="beads", check=True, stdout=subprocess.DEVNULL
    )
    _, _, conserved, kelvin, _ = np.atleast_2d(np.loadtxt("beads/run.out")).T
    print(f"8 beads, {steps} steps: {kelvin.mean():.0f} K, conserved quantity within {np.ptp(conserved):.2g} eV")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:4]))
