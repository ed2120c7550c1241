"""`gossamer md`: molecular dynamics."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Reading, require_same_atoms
from gossamer.cli.outputs import print_json, say, writable
from gossamer.cli.progress import showing
from gossamer.errors import UsageError
from gossamer.events import Event

if TYPE_CHECKING:
    from gossamer.data.dataset import Dataset
    from gossamer.model.force_field import ForceField
    from gossamer.simulate.beads import BeadsRun
    from gossamer.simulate.dynamics import MdRun
    from gossamer.simulate.settings import MdSettings

_MOTION = "Motion"
_FILES = "Trajectory"


_Start = Annotated[
    Path | None,
    typer.Argument(metavar="[START]", help="Where to begin; by default the data that the model was trained on."),
]
_Out = Annotated[Path, typer.Option(metavar="FILE", help="Trajectory to write: .extxyz, .xyz or .traj.")]
_Index = Annotated[
    str | None,
    typer.Option(
        metavar="FRAME",
        help="Which frame of START; by default the first, or of the model's own "
        "data the first it was trained on. With --replicas, as many, or one for all.",
    ),
]
_Steps = Annotated[int | None, typer.Option(metavar="N", help="How long, in steps.", rich_help_panel=_MOTION)]
_Picoseconds = Annotated[
    float | None, typer.Option(metavar="PS", help="How long, in place of --steps.", rich_help_panel=_MOTION)
]
_Ensemble = Annotated[
    Literal["langevin", "bussi", "nve"],
    typer.Option(
        rich_help_panel=_MOTION,
        help="At a temperature by friction and noise on every atom, at a temperature by scaling velocities, or at "
        "constant energy.",
    ),
]
_Temperature = Annotated[
    float, typer.Option(metavar="KELVIN", help="In NVE, of the first velocities.", rich_help_panel=_MOTION)
]
_Timestep = Annotated[float, typer.Option(metavar="FS", help="Time step.", rich_help_panel=_MOTION)]
_Friction = Annotated[float, typer.Option(metavar="1/PS", help="Of Langevin.", rich_help_panel=_MOTION)]
_Relaxation = Annotated[
    float, typer.Option(metavar="PS", help="Of the kinetic energy, with Bussi.", rich_help_panel=_MOTION)
]
_Seed = Annotated[
    int, typer.Option(metavar="N", min=0, max=2**63 - 1, help="Of every random number.", rich_help_panel=_MOTION)
]
_Replicas = Annotated[
    int,
    typer.Option(metavar="K", help="Copies that run in one batch, each to a file of its own.", rich_help_panel=_MOTION),
]
_Beads = Annotated[
    int | None,
    typer.Option(
        metavar="P",
        rich_help_panel=_MOTION,
        help="Path integral of P beads in i-PI (pip install 'gossamer[ipi]'), all in one batch; --out is then a "
        "new folder.",
    ),
]
_Every = Annotated[int, typer.Option(metavar="STEPS", help="Between frames of the trajectory.", rich_help_panel=_FILES)]
_RestartEvery = Annotated[
    int, typer.Option(metavar="STEPS", help="Between restarts (OUT.restart).", rich_help_panel=_FILES)
]
_Dipoles = Annotated[
    bool | None,
    typer.Option(
        "--dipoles/--no-dipoles",
        rich_help_panel=_FILES,
        help="Write dipoles into the trajectory and sum up the infrared spectrum; by default where MODEL has them.",
    ),
]
_Guard = Annotated[
    Literal["warn", "stop", "save", "off"],
    typer.Option(
        rich_help_panel=_FILES,
        help="Where the molecule leaves what MODEL was trained on: say so once, stop, write such structures to "
        "OUT.outside.extxyz, or do not look.",
    ),
]
_Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        rich_help_panel=_FILES,
        help="Go on from OUT.restart, to the same trajectory as without an interruption; without that file, begin.",
    ),
]
_Record = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What the report shows, as JSON, to write.", rich_help_panel=_FILES),
]
_Report = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Page of pictures to write.", rich_help_panel=_FILES)
]


def md(
    context: typer.Context,
    model: o.ModelFile,
    start: _Start = None,
    *,
    out: _Out,
    index: _Index = None,
    steps: _Steps = None,
    picoseconds: _Picoseconds = None,
    ensemble: _Ensemble = "langevin",
    temperature: _Temperature = 300.0,
    timestep: _Timestep = 0.5,
    friction: _Friction = 10.0,
    relaxation: _Relaxation = 0.1,
    seed: _Seed = 0,
    replicas: _Replicas = 1,
    beads: _Beads = None,
    every: _Every = 20,
    restart_every: _RestartEvery = 5000,
    dipoles: _Dipoles = None,
    guard: _Guard = "warn",
    guard_std: o.GuardStd = None,
    resume: _Resume = False,
    report: _Report = None,
    record: _Record = None,
    length_unit: o.LengthUnit = None,
    positions_key: o.PositionsKey = None,
    numbers_key: o.NumbersKey = None,
    device: o.Device = "cpu",
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Run molecular dynamics of MODEL's molecule, from START.

    Example: gossamer md ethanol.gossamer ethanol.xyz --picoseconds 50 --temperature 300 --out md.extxyz

    Longer, or after it was killed: the same command with --resume
    """  # fmt: skip
    import gossamer as gs
    from gossamer.devices import resolve_device
    from gossamer.engines.guard import Guard
    from gossamer.files import write_text
    from gossamer.simulate.beads import Ring, require_beads, run_beads
    from gossamer.simulate.dynamics import MdFiles, run_md
    from gossamer.simulate.observe import observe
    from gossamer.simulate.settings import MdSettings

    settings = MdSettings(
        ensemble, _steps(steps, picoseconds, timestep), temperature, timestep, friction, relaxation, seed, replicas,
        every, restart_every, dipoles,
    )  # fmt: skip
    if beads is not None:
        require_beads(settings, beads)
        of_files = {"--report": report, "--record": record, "--dipoles": dipoles}
        _refuse_with_beads([option for option, given in of_files.items() if given], guard_std is not None)
    reading = Reading.unlabelled(length_unit, "0" if index is None else index, positions_key, numbers_key)
    resolve_device(device)
    taken = [model] if beads is not None else _writable(out, settings, model, *([] if start is None else [start]))
    pages = {option: path for option, path in (("report", report), ("record", record)) if path is not None}
    for option, path in pages.items():
        taken.append(writable(path, *taken, option=f"--{option}"))
    force_field = gs.load(model).on(device)
    began = _start(force_field, model, start, reading, index)
    if beads is not None:
        with showing(quiet) as progress:
            ring = run_beads(force_field, began, out, settings, Ring(beads, guard), resume=resume, progress=progress)
        _show_beads(ring, as_json)
        return
    looking = Guard(force_field, guard, MdFiles.outside(out), guard_std)
    with showing(quiet) as progress:
        run = run_md(force_field, began, out, settings, resume=resume, guard=looking, progress=progress)
        if pages:
            progress(Event("report"))
            seen = observe(run, force_field, model.name, context.obj)
        if report is not None:
            gs.report(seen, report)
        if record is not None:
            write_text(record, json.dumps(seen.to_json(), allow_nan=False))
    if as_json:
        print_json(_values(run) | {option: str(path) for option, path in pages.items()})
    else:
        _show(run)
        say([f"{option}: {path}" for option, path in pages.items()])


def _steps(steps: int | None, picoseconds: float | None, timestep: float) -> int:
    from gossamer.simulate.settings import steps_in

    if steps is not None and picoseconds is None:
        return steps
    if picoseconds is None or steps is not None:
        given = "neither is" if picoseconds is None else "both are"
        raise UsageError(f"--steps, --picoseconds: {given} given; give one of them.")
    return steps_in(picoseconds, timestep)


def _refuse_with_beads(of_files: list[str], of_guard: bool) -> None:
    """Raise UsageError for options of a trajectory's files, or of the guard, that i-PI has not."""
    if of_files:
        raise UsageError(f"--beads: given with {' and '.join(of_files)}, which i-PI has not; leave that out.")
    if of_guard:
        raise UsageError("--beads: given with --guard-std, which a path integral does not look at; leave it out.")


def _writable(out: Path, settings: "MdSettings", *taken: Path) -> list[Path]:
    """All files of the command.  Raises UsageError or OutputError where a trajectory or its restart cannot be
    written."""
    from gossamer.simulate.dynamics import MdFiles
    from gossamer.simulate.trajectory import kind_of

    writable(out, *taken)
    files = MdFiles.of(out, settings.replicas)
    for path in (*files.trajectories, files.restart):
        writable(path, *taken)
    try:
        kind_of(out)
    except UsageError as error:
        raise UsageError(f"--out: {error}") from error
    return [*taken, *files.trajectories, files.restart]


def _start(model: "ForceField", file: Path, start: Path | None, reading: Reading, index: str | None) -> "Dataset":
    """The structures to begin from: those of START, or of the data that the model names as its own."""
    if start is None:
        source = Path(str(model.provenance.get("source") or ""))
        if not source.is_file():
            raise UsageError(
                f"START: none given, and the data that {file} was trained on ({source}) are not there; give a file "
                "with a structure."
            )
        trained = model.provenance.get("train_indices") or [0]
        start, reading = source, reading if index is not None else replace(reading, index=str(trained[0]))
    found = reading.read(start)
    require_same_atoms(model, found)
    return found


def _values(run: "MdRun") -> dict[str, Any]:
    return {
        "trajectories": [str(path) for path in run.files.trajectories],
        "restart": str(run.files.restart),
        "steps": run.settings.steps,
        "began_at_step": run.began,
        "picoseconds": run.settings.steps * run.settings.timestep / 1000,
        "replicas": [asdict(one) for one in run.averages],
        "temperature_unit": "K",
        "energy_unit": "eV",
        "drift_unit": "eV per atom per ns",
        "ns_per_day": run.ns_per_day,
    }


def _show(run: "MdRun") -> None:
    from gossamer.cli import text

    say([*text.about_md(run), f"restart: {run.files.restart}"])


def _show_beads(run: "BeadsRun", as_json: bool) -> None:
    if as_json:
        print_json(asdict(run) | {"folder": str(run.folder), "temperature_unit": "K", "energy_unit": "eV"})
        return
    mean = f"temperature {run.temperature:.1f} K, potential energy {run.energy:.4f} eV over the second half"
    say([f"{run.folder}: {run.steps:,} steps of {run.beads} beads in {run.seconds:.0f} s; {mean}"])
