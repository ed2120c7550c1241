"""Molecular dynamics in LAMMPS: a deck is written, read, and run with the model attached.

    python lammps_md.py ethanol.gossamer ethanol.npz [STEPS]

Needs pip install 'gossamer[lammps]'."""

import os
import sys

import gossamer as gs
from gossamer.engines.decks import lammps_deck
from gossamer.engines.lammps import attach, start


def main(model: str, data: str, steps: int = 1000) -> None:
    force_field = gs.load(model)
    lammps_deck(force_field, gs.read(data, labels=False).positions[0], "deck")
    os.chdir("deck")
    lmp = start("-log", "none", "-screen", "none")
    lmp.file("in.lammps")
    attached = attach(lmp, force_field, guard="stop")
    for _ in range(4):
        attached.run(steps // 4)
        total = lmp.get_thermo("etotal")
        print(f"step {lmp.extract_global('ntimestep')}: {lmp.get_thermo('temp'):.0f} K, total energy {total:.4f} eV")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:4]))
