"""`gossamer inspect`: what is in a data set, whether its labels can be right, and which fragments its molecule has."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Reading
from gossamer.cli.outputs import console, print_json, say, writable

if TYPE_CHECKING:
    import numpy as np

    from gossamer.chemistry.fragments import Fragment
    from gossamer.data.checks import Inspection
    from gossamer.data.dataset import Dataset

_PANEL = "Fragments"


def inspect(
    data: o.Data,
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
    fragments: Annotated[
        bool, typer.Option("--fragments", help="List the fragments of local terms.", rich_help_panel=_PANEL)
    ] = False,
    fragments_to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json", rich_help_panel=_PANEL,
            help="Write them, and the global term, to edit and to give to train --fragments.",
        ),
    ] = None,
    bonds: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N", min=1, rich_help_panel=_PANEL,
            help="Atoms within N bonds of every atom; several times for several sizes, by default 1, 2 and 3.",
        ),
    ] = None,
    radius: Annotated[
        list[float] | None,
        typer.Option(
            metavar="R", rich_help_panel=_PANEL,
            help="And atoms within R Angstrom of every heavy atom; several times for several sizes.",
        ),
    ] = None,
    contacts: Annotated[
        bool,
        typer.Option(help="And atoms around contacts between molecules.", rich_help_panel=_PANEL),
    ] = True,
    as_json: o.Json = False,
) -> None:  # fmt: skip
    """Report what is in DATA and check its labels: sign, units, net forces, duplicates, order of atoms.

    Ends with exit code 1 when an error is found, 0 when there are warnings at most.

    Example: gossamer inspect traj.extxyz --energy-unit eV

    Example: gossamer inspect dimer.npz --fragments-to terms.json --radius 3.5
    """
    import gossamer as gs
    from gossamer.chemistry.fragments import check_radii

    check_radii(radius or ())
    reading = Reading(
        energy_unit, length_unit, forces_unit, energy_key, forces_key, index, positions_key, numbers_key, gradients_key,
        dipole_unit=dipole_unit,
    )  # fmt: skip
    if fragments_to is not None:
        writable(fragments_to, data, option="--fragments-to")
    read = reading.read(data)
    asked = fragments or fragments_to is not None or bonds or radius or not contacts
    local = _fragments(read, bonds, radius, contacts) if asked else ()
    found = gs.inspect(read)
    if fragments_to is not None:
        from gossamer.chemistry.fragments_file import write_fragments

        write_fragments(fragments_to, [*local, "global"], read.numbers)
    if as_json:
        from gossamer.chemistry.fragments_file import entries_of

        print_json(found.as_dict() | ({"fragments": entries_of(local, read.numbers)} if asked else {}))
    else:
        _show(found, local if asked else None, read.numbers)
        if fragments_to is not None:
            say([f"fragments: {fragments_to}"])
    if found.level == "error":
        raise typer.Exit(1)


def _show(found: "Inspection", fragments: "tuple[Fragment, ...] | None", numbers: "np.ndarray") -> None:
    from gossamer.cli import text

    say(text.inspection(found))
    console().print("\nChecks\n" + "\n".join(text.findings(found)))
    if fragments is not None:
        console().print(text.fragments_table(fragments, numbers))


def _fragments(
    data: "Dataset", bonds: list[int] | None, radius: list[float] | None, contacts: bool
) -> "tuple[Fragment, ...]":
    from gossamer.chemistry.fragments import local_fragments
    from gossamer.chemistry.symmetry import find_symmetry, usual_limit

    R, z = data.positions, data.numbers
    group = find_symmetry(R, z, limit=usual_limit(data.n_atoms))
    sizes = tuple(bonds or (1, 2, 3))
    return local_fragments(R, z, bonds=sizes, radii=tuple(radius or ()), contacts=contacts, perms=group.perms)
