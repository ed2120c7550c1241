"""Make a trajectory like ac-ala3.npz: Ac-Ala3-NHMe, GFN2-xTB, Langevin dynamics at 500 K.

    pip install "gossamer[qm]"
    python make_data.py --frames 2000 --out ac-ala3-new.npz        # about an hour on one core

All atoms weigh 12 u: the configurations have the same distribution as with true masses, and the slower hydrogens allow
a longer time step.  Numbers are rounded to binary fractions (see `compact`) so that the file compresses.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import gossamer as gs
from gossamer.data.dataset import Dataset, Provenance

THEORY = "GFN2-xTB (tblite), Langevin 500 K, all masses 12 u, 16.5 fs between frames"
TEMPERATURE_K = 500
TIME_STEP_FS = 1.5
STEPS_PER_FRAME = 11
FRICTION_PER_FS = 0.01
BITS = {"positions": 24, "forces": 21, "energies": 24}


def compact(data: Dataset) -> Dataset:
    """Positions, forces and energies as multiples of 2^-24 Angstrom, 2^-21 eV/Angstrom and 2^-24 eV: the forces move by
    less than 1e-4 kcal/mol/Angstrom, and the numbers end in zero bits."""
    rounded = {name: np.round(getattr(data, name) * 2.0**bits) * 2.0**-bits for name, bits in BITS.items()}
    return replace(data, **rounded)


def simulate(start: Path, frames: int, equilibration: int, seed: int) -> Dataset:
    """frames structures along one trajectory that begins at `start`, after `equilibration` frames that are dropped."""
    import ase.io
    from ase import units
    from ase.md.langevin import Langevin
    from tblite.ase import TBLite

    rng = np.random.default_rng(seed)
    atoms = ase.io.read(start)
    atoms.set_masses(np.full(len(atoms), 12.0))
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    atoms.set_momenta(rng.normal(size=(len(atoms), 3)) * np.sqrt(12.0 * units.kB * TEMPERATURE_K))
    step, friction = TIME_STEP_FS * units.fs, FRICTION_PER_FS / units.fs
    dynamics = Langevin(atoms, step, temperature_K=TEMPERATURE_K, friction=friction, fixcm=False, rng=rng)
    positions, forces, energies = [], [], []
    for frame in range(-equilibration, frames):
        dynamics.run(STEPS_PER_FRAME)
        if frame >= 0:
            positions.append(atoms.positions - atoms.positions.mean(axis=0))
            forces.append(atoms.get_forces())
            energies.append(atoms.get_potential_energy())
        print(f"\rframe {frame + 1} of {frames}, {atoms.get_potential_energy():.3f} eV", end="", file=sys.stderr)
    print(file=sys.stderr)
    provenance = Provenance(name="Ac-Ala3-NHMe", theory=THEORY)
    return Dataset(atoms.numbers, np.array(positions), np.array(forces), np.array(energies), provenance)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).parent
    parser.add_argument("--start", type=Path, default=here / "start.xyz", help="structure to begin with")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--equilibration", type=int, default=60, help="frames to drop first (1 ps)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("ac-ala3-new.npz"))
    options = parser.parse_args()
    data = simulate(options.start, options.frames, options.equilibration, options.seed)
    gs.write(compact(data), options.out)


if __name__ == "__main__":
    main()
