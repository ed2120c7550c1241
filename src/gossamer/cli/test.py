"""`gossamer test`: errors of a model on labelled structures."""

from dataclasses import asdict

from gossamer.cli import options as o
from gossamer.cli.inputs import Reading, look_at_labels, require_same_atoms
from gossamer.cli.outputs import console, print_json, say


def test(
    model: o.ModelFile,
    data: o.Data,
    energy_unit: o.EnergyUnit = None,
    length_unit: o.LengthUnit = None,
    forces_unit: o.ForcesUnit = None,
    energy_key: o.EnergyKey = None,
    forces_key: o.ForcesKey = None,
    index: o.Index = ":",
    force: o.Force = False,
    positions_key: o.PositionsKey = None,
    numbers_key: o.NumbersKey = None,
    gradients_key: o.GradientsKey = None,
    dipole_unit: o.DipoleUnit = None,
    device: o.Device = "auto",
    guard: o.Guard = "warn",
    guard_file: o.GuardFile = o.OUTSIDE,
    guard_std: o.GuardStd = None,
    as_json: o.Json = False,
) -> None:
    """Measure the errors of MODEL on the labelled structures in DATA.

    Example: gossamer test ethanol.gossamer holdout.extxyz --energy-unit eV
    """
    import gossamer as gs
    from gossamer.devices import resolve_device
    from gossamer.engines.guard import Guard

    reading = Reading(
        energy_unit, length_unit, forces_unit, energy_key, forces_key, index, positions_key, numbers_key, gradients_key,
        dipole_unit=dipole_unit,
    )  # fmt: skip
    resolve_device(device)
    force_field = gs.load(model).on(device)
    looking = Guard(force_field, guard, guard_file, guard_std)
    found = reading.read(data)
    require_same_atoms(force_field, found)
    look_at_labels(found, force=force)
    looking.look(found.positions, str(data), found.frames)
    errors = force_field.errors(found)
    seen = int(force_field.trained_on(found.positions).sum())
    bars = None if force_field.error_bars is None else force_field.reliability(found)
    if as_json:
        values = {"model": str(model), "data": str(data), "structures": len(found), "trained_on": seen}
        print_json(values | asdict(errors) | ({} if bars is None else {"error_bars": asdict(bars)}))
    else:
        from gossamer.cli.text import about_test, errors_table, reliability_table
        from gossamer.reporting.words import count_of

        console().print(errors_table(errors, count_of(len(found), "structure")))
        if bars is not None:
            console().print(reliability_table(bars))
        for sentence in about_test(errors, len(found), seen):
            say([sentence])
