"""`gossamer export`: a model for another program."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Reading, require_same_atoms
from gossamer.cli.outputs import print_json, say, writable
from gossamer.errors import UsageError

_START = "Structure to start from"
NEXT = {
    "torch": "torch.export.load runs it where gossamer is not installed",
    "lammps": "cd {out} && python run.py",
    "ipi": "cd {out} && i-pi input.xml",
}


def export(
    target: Annotated[
        Literal["torch", "lammps", "ipi"],
        typer.Argument(
            metavar="torch|lammps|ipi",
            help="torch: a file of torch.export that runs without gossamer; lammps, ipi: a folder for LAMMPS, i-PI.",
        ),
    ],
    model: o.ModelFile,
    out: Annotated[Path, typer.Option(metavar="FILE|DIR", help="The file (torch), or a new folder (lammps, ipi).")],
    data: Annotated[
        Path | None, typer.Option(metavar="DATA", help="A file with that structure.", rich_help_panel=_START)
    ] = None,
    index: Annotated[str, typer.Option(metavar="FRAME", help="Which one.", rich_help_panel=_START)] = "0",
    length_unit: Annotated[
        str | None, typer.Option(metavar="UNIT", help="Lengths of DATA: Angstrom, Bohr ...", rich_help_panel=_START)
    ] = None,
    beads: Annotated[int, typer.Option(metavar="P", min=1, max=10_000, help="Of a path integral in i-PI.")] = 8,
    as_json: o.Json = False,
) -> None:
    """Write MODEL for another program: a file, or a folder that it runs as it stands.

    Example: gossamer export lammps ethanol.gossamer --data ethanol.xyz --out deck
    """
    import gossamer as gs

    reading = Reading.unlabelled(length_unit, index)
    if target == "torch":
        from gossamer.engines.exported import export_torch

        writable(out, model)
        files = [export_torch(gs.load(model), out)]
    else:
        from gossamer.engines.decks import DECKS, PathIntegral

        if data is None:
            raise UsageError(f"--data: none given, but {target} needs a structure to start from; name a file with one.")
        force_field, found = gs.load(model), reading.read(data)
        require_same_atoms(force_field, found)
        force_field.seen.warn(found.positions[:1], str(data))
        more = {"asked": PathIntegral(beads)} if target == "ipi" else {}
        files = DECKS[target](force_field, found.positions[0], out, **more)
    if as_json:
        print_json({"target": target, "files": [str(file) for file in files]})
    else:
        say([f"{out}: {NEXT[target].format(out=out)}"])
