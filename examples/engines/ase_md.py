"""Molecular dynamics in ASE, which stops where the molecule leaves what the model was trained on.

python ase_md.py ethanol.gossamer ethanol.npz [STEPS]
"""

import sys

from ase import units
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

import gossamer as gs


def main(model: str, data: str, steps: int = 1000) -> None:
    atoms = gs.read(data, labels=False).atoms(0)
    atoms.calc = gs.load(model).ase(guard="stop")
    MaxwellBoltzmannDistribution(atoms, temperature_K=100)
    before = atoms.get_total_energy()
    VelocityVerlet(atoms, timestep=0.5 * units.fs).run(steps)
    print(f"{steps} steps: {atoms.get_temperature():.0f} K, drift {atoms.get_total_energy() - before:.2g} eV")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:4]))
