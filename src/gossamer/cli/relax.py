"""`gossamer relax`: structures at rest."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Reading, require_same_atoms
from gossamer.cli.outputs import console, print_json, say, writable_data
from gossamer.cli.progress import showing

if TYPE_CHECKING:
    import numpy as np

    from gossamer.simulate.relax import Relaxed, RelaxSettings


def relax(
    model: o.ModelFile,
    structures: Annotated[Path, typer.Argument(metavar="STRUCTURES", help="Where to begin; labels are not needed.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write: .extxyz, .npz, .traj or .db.")],
    fmax: Annotated[float, typer.Option(metavar="FORCE", help="Largest force left on an atom, eV/Angstrom.")] = 0.01,
    optimizer: Annotated[Literal["bfgs", "fire"], typer.Option(help="BFGS takes fewer steps, FIRE cheaper ones.")] = (
        "bfgs"
    ),
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of one structure at most.")] = 1000,
    length_unit: o.LengthUnit = None,
    index: o.Index = ":",
    positions_key: o.PositionsKey = None,
    numbers_key: o.NumbersKey = None,
    device: o.Device = "cpu",
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Move STRUCTURES downhill on the energy of MODEL until their forces vanish.

    Example: gossamer relax ethanol.gossamer conformers.xyz --fmax 0.001 --out relaxed.extxyz
    """
    import gossamer as gs
    from gossamer.devices import resolve_device
    from gossamer.simulate.relax import RelaxSettings
    from gossamer.simulate.relax import relax as relaxed_by

    settings = RelaxSettings(optimizer, fmax, steps)
    reading = Reading.unlabelled(length_unit, index, positions_key, numbers_key)
    resolve_device(device)
    writable_data(out, model, structures)
    force_field = gs.load(model).on(device)
    found = reading.read(structures)
    require_same_atoms(force_field, found)
    with showing(quiet) as progress:
        ended = relaxed_by(force_field, found, settings, progress=progress)
    provenance = replace(found.provenance, theory=f"Gossamer model {model.name}")
    labels: dict[str, Any] = {"positions": ended.positions, "energies": ended.energies, "forces": ended.forces}
    gs.write(replace(found, provenance=provenance, **labels), out)
    if as_json:
        print_json({"out": str(out)} | _values(ended, found.frames))
    else:
        from gossamer.cli import text

        console().print(text.relaxed_table(ended, found.frames))
        say([f"structures: {out}, in eV and Angstrom"])
    _require_converged(ended, found.frames, settings, out)


def _values(ended: "Relaxed", frames: "np.ndarray") -> dict[str, Any]:
    return {
        "frames": frames.tolist(),
        "energies": ended.energies.tolist(),
        "energies_before": ended.before.tolist(),
        "steps": ended.steps.tolist(),
        "largest_forces": ended.largest.tolist(),
        "converged": ended.converged.tolist(),
        "energy_unit": "eV",
        "forces_unit": "eV/Angstrom",
    }


def _require_converged(ended: "Relaxed", frames: "np.ndarray", settings: "RelaxSettings", out: Path) -> None:
    """Raise SimulationError where a structure did not come to rest."""
    from gossamer.errors import SimulationError

    left = frames[~ended.converged]
    if not len(left):
        return
    named = ", ".join(map(str, left[:3])) + (", ..." if len(left) > 3 else "")
    raise SimulationError(
        f"relax: {len(left)} of {len(frames)} structures (frame{'s' * (len(left) > 1)} {named}) did not come to rest "
        f"within {settings.steps} steps (largest force {ended.largest.max():.2g} eV/Angstrom, {settings.fmax:g} asked "
        f"for); {out} holds where they stand: go on from there, or give more --steps."
    )
