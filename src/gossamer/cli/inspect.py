"""`gossamer inspect`: what is in a data set, and whether its labels can be right."""

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Reading
from gossamer.cli.outputs import console, print_json


def inspect(
    data: o.Data,
    energy_unit: o.EnergyUnit = None,
    length_unit: o.LengthUnit = None,
    forces_unit: o.ForcesUnit = None,
    energy_key: o.EnergyKey = None,
    forces_key: o.ForcesKey = None,
    index: o.Index = ":",
    as_json: o.Json = False,
) -> None:
    """Report what is in DATA and check its labels: sign, units, net forces, duplicates, order of atoms.

    Ends with exit code 1 when an error is found, 0 when there are warnings at most.

    Example: gossamer inspect traj.extxyz --energy-unit eV
    """
    import gossamer as gs

    reading = Reading(energy_unit, length_unit, forces_unit, energy_key, forces_key, index)
    found = gs.inspect(reading.read(data))
    if as_json:
        print_json(found.as_dict())
    else:
        from gossamer.cli import text

        out = console()
        out.print("\n".join(text.inspection(found)), markup=False)
        out.print("\nChecks\n" + "\n".join(text.findings(found)))
    if found.level == "error":
        raise typer.Exit(1)
