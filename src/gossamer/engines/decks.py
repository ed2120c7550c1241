"""Folders that LAMMPS and i-PI run as they stand: a model, a structure to start from, and an input to edit."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gossamer.data.dataset import hill_formula, symbols
from gossamer.files import new_folder

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField

MODEL = "model.gossamer"

IN_LAMMPS = """\
# {formula}, forces by the model in model.gossamer; run it with: python run.py
units           metal
atom_style      atomic
atom_modify     map array sort 0 0
boundary        s s s
read_data       molecule.data

# no neighbour lists are needed
pair_style      zero 2.0 nocoeff
pair_coeff      * *
neigh_modify    every 1000 delay 0 check no

fix             gossamer all external pf/callback 1 1
fix_modify      gossamer energy yes

velocity        all create 300.0 1 mom yes rot yes dist gaussian
fix             nve all nve
timestep        0.0005
thermo          100
thermo_style    custom step temp pe ke etotal
dump            positions all xyz 100 trajectory.xyz
dump_modify     positions element {elements} sort id
"""

RUN_LAMMPS = '''\
"""Molecular dynamics in LAMMPS with the model in model.gossamer: python run.py [STEPS]"""

import sys

import gossamer as gs
from gossamer.engines.lammps import attach, start

lmp = start()
lmp.file("in.lammps")
attach(lmp, gs.load("model.gossamer"), guard="warn").run(int(sys.argv[1]) if len(sys.argv) > 1 else 10000)
'''

PES = '''\
"""What i-PI loads: the driver of gossamer."""

from gossamer.engines.ipi import GossamerDriver

__DRIVER_NAME__ = "gossamer"
__DRIVER_CLASS__ = "GossamerDriver"
'''

INPUT_XML = """\
<!-- {formula}, path-integral molecular dynamics with the model in model.gossamer; run it with: i-pi input.xml -->
<simulation verbosity='medium' floatformat='%24.16e'>
  <output prefix='run'>
    <properties stride='{look}' filename='out'>
      [ step, time{{picosecond}}, conserved{{electronvolt}}, temperature{{kelvin}}, potential{{electronvolt}} ]
    </properties>
    <trajectory stride='{every}' filename='positions' format='xyz'> positions{{angstrom}} </trajectory>
    <checkpoint stride='1000'/>
  </output>
  <total_steps> {steps} </total_steps>
  <prng><seed> {seed} </seed></prng>
  <!-- all beads are one batch: batch_size is the number of beads -->
  <ffdirect name='gossamer' pbc='False'>
    <pes> custom </pes>
    <pes_path> gossamer_pes.py </pes_path>
    <batch_size> {beads} </batch_size>
    <parameters> {{ model: model.gossamer, template: start.xyz, guard: {guard} }} </parameters>
  </ffdirect>
  <system>
    <initialize nbeads='{beads}'>
      <file mode='xyz'> start.xyz </file>
      <velocities mode='thermal' units='kelvin'> {temperature} </velocities>
    </initialize>
    <forces><force forcefield='gossamer'/></forces>
    <ensemble><temperature units='kelvin'> {temperature} </temperature></ensemble>
    <motion mode='dynamics'>
      <dynamics mode='nvt'>
        <timestep units='femtosecond'> {timestep} </timestep>
        <thermostat mode='pile_g'><tau units='femtosecond'> {tau} </tau></thermostat>
      </dynamics>
    </motion>
  </system>
</simulation>
"""

CELL = 1000.0  # Angstrom; i-PI wants one, and nothing looks at it


def lammps_deck(model: "ForceField", positions: np.ndarray, out: str | Path) -> list[Path]:
    """Write a folder for LAMMPS that starts from positions (N, 3), Angstrom; returns its files.

    Raises OutputError where `out` is there already and not empty, or cannot be written."""
    names = symbols(model.numbers)
    text = IN_LAMMPS.format(formula=hill_formula(model.numbers), elements=" ".join(dict.fromkeys(names)))
    files = {"in.lammps": text, "molecule.data": _data_file(names, positions), "run.py": RUN_LAMMPS}
    return _written(model, files, out)


@dataclass(frozen=True)
class PathIntegral:
    """What a deck for i-PI asks for.  temperature, K; timestep and tau, the time in which PILE's thermostat of the
    centroid forgets, fs; look, every: steps between energies, and between frames; guard: as for the driver."""

    beads: int = 8
    temperature: float = 300.0
    timestep: float = 0.5
    tau: float = 100.0
    steps: int = 1000
    seed: int = 1
    look: int = 20
    every: int = 100
    guard: str = "warn"


def ipi_deck(
    model: "ForceField", positions: np.ndarray, out: str | Path, asked: PathIntegral | None = None
) -> list[Path]:
    """Write a folder for i-PI that starts all beads from positions (N, 3), Angstrom; returns its files.

    Raises OutputError where `out` is there already and not empty, or cannot be written."""
    formula = hill_formula(model.numbers)
    files = {
        "input.xml": INPUT_XML.format(formula=formula, **asdict(asked or PathIntegral())),
        "gossamer_pes.py": PES,
        "start.xyz": _ipi_xyz(symbols(model.numbers), positions),
    }
    return _written(model, files, out)


DECKS: dict[str, Callable[..., list[Path]]] = {"lammps": lammps_deck, "ipi": ipi_deck}


def _written(model: "ForceField", files: dict[str, str], out: str | Path) -> list[Path]:
    with new_folder(out) as folder:
        model.save(folder / MODEL)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    return [Path(out) / name for name in (MODEL, *files)]


def _data_file(names: list[str], positions: np.ndarray) -> str:
    """A data file of LAMMPS, atom_style atomic, units metal: one type for every element, IDs in the model's order."""
    from ase.data import atomic_masses, atomic_numbers

    kinds = list(dict.fromkeys(names))
    low, high = positions.min(0) - 1.0, positions.max(0) + 1.0
    lines = ["# written by gossamer: Angstrom, g/mol", "", f"{len(names)} atoms", f"{len(kinds)} atom types", ""]
    lines += [f"{a!r} {b!r} {x}lo {x}hi" for a, b, x in zip(low.tolist(), high.tolist(), "xyz", strict=True)]
    lines += ["", "Masses", "", *(f"{k} {atomic_masses[atomic_numbers[s]]}  # {s}" for k, s in enumerate(kinds, 1))]
    rows = zip(names, positions.tolist(), strict=True)
    lines += ["", "Atoms  # atomic", ""]
    lines += [f"{k} {kinds.index(s) + 1} {x!r} {y!r} {z!r}" for k, (s, (x, y, z)) in enumerate(rows, 1)]
    return "\n".join(lines) + "\n"


def _ipi_xyz(names: list[str], positions: np.ndarray) -> str:
    """An xyz file as i-PI reads it, with its units and a cell in the comment."""
    comment = f"# CELL(abcABC): {CELL} {CELL} {CELL} 90.0 90.0 90.0 cell{{angstrom}} positions{{angstrom}}"
    rows = zip(names, positions.tolist(), strict=True)
    return "\n".join([str(len(names)), comment, *(f"{s} {x!r} {y!r} {z!r}" for s, (x, y, z) in rows), ""])
