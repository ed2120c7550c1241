"""`gossamer predict`: energies and forces of structures that need no labels."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Reading, require_same_atoms
from gossamer.cli.outputs import print_json, say, writable_data


def predict(
    model: o.ModelFile,
    structures: Annotated[Path, typer.Argument(metavar="STRUCTURES", help="Positions; labels are not needed.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write: .extxyz, .npz, .traj or .db.")],
    length_unit: o.LengthUnit = None,
    index: o.Index = ":",
    positions_key: o.PositionsKey = None,
    numbers_key: o.NumbersKey = None,
    device: o.Device = "auto",
    guard: o.Guard = "warn",
    guard_file: o.GuardFile = o.OUTSIDE,
    guard_std: o.GuardStd = None,
    std: Annotated[
        bool,
        typer.Option("--std", help="Write standard deviations as well, of a MODEL trained with --error-bars."),
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Write the energies (eV) and forces (eV/Angstrom) that MODEL gives for STRUCTURES, and dipoles (e*Angstrom) where
    it has them.

    Example: gossamer predict ethanol.gossamer conformers.xyz --out predicted.extxyz
    """
    import gossamer as gs
    from gossamer.data.dataset import LabelStd
    from gossamer.devices import resolve_device
    from gossamer.engines.guard import Guard
    from gossamer.evaluate.deviations import require_error_bars

    reading = Reading.unlabelled(length_unit, index, positions_key, numbers_key)
    resolve_device(device)
    writable_data(out, model, structures)
    force_field = gs.load(model).on(device)
    if std:
        require_error_bars(force_field)
    looking = Guard(force_field, guard, guard_file, guard_std)
    found = reading.read(structures)
    require_same_atoms(force_field, found)
    looking.look(found.positions, str(structures), found.frames)
    predicted = force_field.predict(found.positions, warn=False, std=std)
    energy_std, forces_std = predicted.energy_std, predicted.forces_std
    deviations = None if energy_std is None or forces_std is None else LabelStd(energy_std, forces_std)
    provenance = replace(found.provenance, theory=f"Gossamer model {model.name}")
    labels = {"energies": predicted.energies, "forces": predicted.forces}
    if force_field.dipole_model is not None:
        labels["dipoles"] = force_field.dipoles(found.positions)
    gs.write(replace(found, provenance=provenance, **labels), out, std=deviations)
    if as_json:
        more = {} if energy_std is None else {"energy_std": energy_std.tolist()}
        if "dipoles" in labels:
            more |= {"dipoles": labels["dipoles"].tolist(), "dipole_unit": "e*Angstrom"}
        values = {
            "out": str(out),
            "structures": len(found),
            "energies": predicted.energies.tolist(),
            "energy_unit": "eV",
        }
        print_json(values | more)
    else:
        from gossamer.reporting.words import count_of

        what = f"energies{', dipoles' if 'dipoles' in labels else ''} and forces"
        what += ", with standard deviations," if std else ""
        say([f"{out}: {what} of {count_of(len(found), 'structure')}, in eV and Angstrom"])
