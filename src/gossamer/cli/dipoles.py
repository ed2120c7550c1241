"""`gossamer dipoles`: dipole moments for a model that is there already."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Reading, Sizes, require_same_atoms
from gossamer.cli.outputs import print_json, say, writable
from gossamer.cli.progress import showing

if TYPE_CHECKING:
    from gossamer.data.dataset import Dataset
    from gossamer.model.dipoles import DipoleModel


def dipoles(
    model: o.ModelFile,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Structures with dipoles; other labels are not needed.")],
    train_size: o.TrainSize,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Model file to write: MODEL's force field, and dipoles.")],
    valid_size: o.ValidSize = None,
    test_size: o.TestSize = None,
    seed: o.Seed = 0,
    dipole_unit: o.DipoleUnit = None,
    energy_unit: o.EnergyUnit = None,
    length_unit: o.LengthUnit = None,
    index: o.Index = ":",
    positions_key: o.PositionsKey = None,
    numbers_key: o.NumbersKey = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Learn dipole moments from DATA, which need no forces, and add them to MODEL, whose forces stay as they are.

    Example: gossamer dipoles ethanol.gossamer dipoles.npz --train 200 --out polar.gossamer
    """
    import gossamer as gs

    reading = Reading(
        energy_unit, length_unit, index=index, positions_key=positions_key, numbers_key=numbers_key,
        dipole_unit=dipole_unit,
    )  # fmt: skip
    writable(out, model, data)
    force_field = gs.load(model)
    found = reading.read(data)
    require_same_atoms(force_field, found)
    found.labelled_dipoles()
    parts = Sizes(train_size, valid_size, test_size, seed).split(found)
    with showing(quiet) as progress:
        learned = gs.train_dipoles(parts.train, parts.valid, progress=progress)
    force_field.with_dipoles(learned).save(out)
    errors = {"mae": None, "rmse": None} if parts.test is None else _errors(learned, parts.test)
    sizes = {
        name: 0 if part is None else len(part) for name, part in zip(("train", "valid", "test"), parts[:3], strict=True)
    }
    if as_json:
        told = {"out": str(out), "charge": learned.charge, "structures": sizes}
        print_json(told | errors | {"unit": "e*Angstrom"})
        return
    from gossamer.cli import text

    say([*text.about_dipoles(errors, sizes, learned.charge), f"model: {out}"])


def _errors(learned: "DipoleModel", test: "Dataset") -> dict[str, float | None]:
    """Of components, e*Angstrom."""
    error = learned(test.positions) - test.labelled_dipoles()
    return {"mae": float(abs(error).mean()), "rmse": float((error**2).mean() ** 0.5)}
