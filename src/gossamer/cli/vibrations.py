"""`gossamer vibrations`: frequencies, normal modes and thermochemistry."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Reading, require_same_atoms
from gossamer.cli.outputs import console, print_json, say, writable
from gossamer.cli.progress import showing
from gossamer.errors import SimulationError, UsageError
from gossamer.events import Event

if TYPE_CHECKING:
    from gossamer.data.dataset import Dataset
    from gossamer.events import Progress
    from gossamer.model.force_field import ForceField
    from gossamer.simulate.relax import RelaxSettings
    from gossamer.simulate.vibrations import Thermochemistry, Vibrations

FMAX = 1e-3  # eV/Angstrom: what the relaxation before may leave
_GAS = "Thermochemistry"


def vibrations(
    model: o.ModelFile,
    structure: Annotated[Path, typer.Argument(metavar="STRUCTURE", help="Where to begin; labels are not needed.")],
    index: Annotated[str, typer.Option(metavar="FRAME", help="Which frame of STRUCTURE.")] = "0",
    as_it_is: Annotated[bool, typer.Option("--as-it-is", help="Do not relax STRUCTURE before.")] = False,
    fmax: Annotated[
        float, typer.Option(metavar="FORCE", help="Largest force that the relaxation leaves, eV/Angstrom.")
    ] = FMAX,
    displacement: Annotated[float, typer.Option(metavar="STEP", help="Of the central differences, Angstrom.")] = 0.002,
    modes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Trajectory of the modes to write: .extxyz.")
    ] = None,
    temperature: Annotated[float, typer.Option(metavar="KELVIN", rich_help_panel=_GAS)] = 298.15,
    pressure: Annotated[float, typer.Option(metavar="PASCAL", rich_help_panel=_GAS)] = 101325.0,
    symmetry_number: Annotated[
        int,
        typer.Option(
            metavar="N", help="Turns that map the molecule onto itself, 12 for benzene.", rich_help_panel=_GAS
        ),
    ] = 1,
    spin: Annotated[
        float, typer.Option(metavar="S", help="Half the number of unpaired electrons.", rich_help_panel=_GAS)
    ] = 0.0,
    length_unit: o.LengthUnit = None,
    positions_key: o.PositionsKey = None,
    numbers_key: o.NumbersKey = None,
    device: o.Device = "cpu",
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Harmonic frequencies of MODEL's molecule, relaxed from STRUCTURE, and its thermochemistry as an ideal gas.

    Example: gossamer vibrations ethanol.gossamer ethanol.xyz --symmetry-number 1 --modes modes.extxyz
    """  # fmt: skip
    import gossamer as gs
    from gossamer.devices import resolve_device
    from gossamer.simulate.relax import RelaxSettings
    from gossamer.simulate.vibrations import (
        GasSettings,
        require_displacement,
        thermochemistry,
        write_modes,
    )

    rest = None if as_it_is else RelaxSettings(fmax=fmax)
    gas = GasSettings(temperature, pressure, symmetry_number, spin)
    require_displacement(displacement)
    reading = Reading.unlabelled(length_unit, index, positions_key, numbers_key)
    resolve_device(device)
    if modes is not None:
        writable_modes(modes, model, structure)
    force_field = gs.load(model).on(device)
    start = reading.read(structure)
    require_same_atoms(force_field, start)
    with showing(quiet) as progress:
        found = _found(force_field, start, rest, displacement, progress)
    thermal = thermochemistry(found, gas) if (found.frequencies > 0).all() else None
    if modes is not None:
        write_modes(found, modes)
    if as_json:
        print_json(_values(found, thermal, modes))
    else:
        _show(found, thermal, modes)


def writable_modes(path: Path, *taken: Path) -> None:
    """Raise UsageError or OutputError where modes cannot be written to `path`."""
    from gossamer.simulate.vibrations import MODES

    writable(path, *taken, option="--modes")
    if path.suffix.lower() not in MODES:
        raise UsageError(f"--modes: {path} given; modes are written as extended XYZ, so end the name in {MODES[0]}.")


def _found(
    model: "ForceField", start: "Dataset", rest: "RelaxSettings | None", displacement: float, progress: "Progress"
) -> "Vibrations":
    """The modes at `start`, relaxed first where settings for that are given."""
    from gossamer.simulate.relax import relax
    from gossamer.simulate.vibrations import vibrations

    if len(start) != 1:
        raise UsageError(
            f"--index: it chooses {len(start)} structures, but vibrations are those of one; give one frame."
        )
    if rest is None:
        return vibrations(model, start, displacement=displacement)
    ended = relax(model, start, rest, progress=progress)
    if not ended.converged.all():
        raise SimulationError(
            f"{start.provenance.source}: the structure did not come to rest within {rest.steps} steps (largest force "
            f"{ended.largest[0]:.2g} eV/Angstrom, {rest.fmax:g} asked for); relax it with `gossamer relax`, or raise "
            "--fmax."
        )
    progress(Event("vibrations"))
    return vibrations(model, ended.positions[0], displacement=displacement)


def _values(found: "Vibrations", thermal: "Thermochemistry | None", modes: Path | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "frequencies": found.frequencies.tolist(),
        "frequencies_unit": "1/cm",
        "intensities": None if found.intensities is None else found.intensities.tolist(),
        "intensities_unit": "km/mol",
        "zero_point_energy": found.zero_point_energy,
        "energy": found.energy,
        "energy_unit": "eV",
        "largest_force": found.largest,
        "thermochemistry": None if thermal is None else asdict(thermal),
    }
    return values | ({} if modes is None else {"modes": str(modes)})


def _show(found: "Vibrations", thermal: "Thermochemistry | None", modes: Path | None) -> None:
    from gossamer.cli import text

    console().print(text.frequencies_table(found))
    say([*text.about_vibrations(found, thermal), *([] if modes is None else [f"modes: {modes}"])])
