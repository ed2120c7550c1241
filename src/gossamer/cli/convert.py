"""`gossamer convert`: a data set from one format and unit to another."""

from pathlib import Path
from typing import Annotated

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Reading
from gossamer.cli.outputs import print_json, say, writable_data


def convert(
    data: o.Data,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write: .npz, .extxyz, .xyz, .traj or .db.")],
    to_energy_unit: Annotated[str, typer.Option(metavar="UNIT", help="Energies of OUT.")] = "eV",
    to_length_unit: Annotated[str, typer.Option(metavar="UNIT", help="Lengths of OUT.")] = "Angstrom",
    energy_unit: o.EnergyUnit = None,
    length_unit: o.LengthUnit = None,
    forces_unit: o.ForcesUnit = None,
    energy_key: o.EnergyKey = None,
    forces_key: o.ForcesKey = None,
    index: o.Index = ":",
    positions_key: o.PositionsKey = None,
    numbers_key: o.NumbersKey = None,
    gradients_key: o.GradientsKey = None,
    dipole_unit: o.DipoleUnit = None,
    as_json: o.Json = False,
) -> None:
    """Write DATA in another format or in other units, and show which keys and units were read.

    Example: gossamer convert traj.xyz traj.npz --energy-unit Hartree --forces-unit Hartree/Bohr
    """
    import gossamer as gs

    reading = Reading(
        energy_unit, length_unit, forces_unit, energy_key, forces_key, index, positions_key, numbers_key, gradients_key,
        dipole_unit=dipole_unit,
    )  # fmt: skip
    writable_data(out, data, option="OUT", energy_unit=to_energy_unit, length_unit=to_length_unit)
    found = reading.read(data)
    gs.write(found, out, energy_unit=to_energy_unit, length_unit=to_length_unit)
    labels = [name for name in ("forces", "energies", "dipoles") if getattr(found, name) is not None]
    if as_json:
        written = {"energy_unit": to_energy_unit, "length_unit": to_length_unit, "labels": labels}
        print_json({"out": str(out), "structures": len(found), "read": found.provenance.read, "written": written})
    else:
        from gossamer.cli.text import what_was_read

        done = f"{out}: written in {to_energy_unit} and {to_length_unit}, with {' and '.join(labels) or 'no labels'}"
        say([*what_was_read(found), done])
