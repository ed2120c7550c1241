"""`gossamer reduce`: the main job, from labelled structures to the pairs that matter."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Fitting, Job, Reading, Sizes
from gossamer.cli.outputs import console, print_json, say
from gossamer.cli.progress import showing
from gossamer.cli.ranks import is_first, joined, journal
from gossamer.cli.results import RESULTS, results_folder, writable_folder
from gossamer.cli.streams import plain
from gossamer.errors import UsageError
from gossamer.events import Event

if TYPE_CHECKING:
    from gossamer.fitting.parallel import Ranks
    from gossamer.records.record import ReduceRecord

BULK = ("pairs", "parity", "per_atom", "geometry")  # left out of what --json prints; they are in record.json


def reduce(
    context: typer.Context,
    data: o.Data,
    train_size: o.TrainSize,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the models, the record and the report.")],
    valid_size: o.ValidSize = None,
    test_size: o.TestSize = None,
    seed: o.Seed = 0,
    tolerance: Annotated[
        float,
        typer.Option(
            metavar="FRACTION", help="How much the validation error may rise, 0.02 for 2 %.", rich_help_panel="Model"
        ),
    ] = 0.02,
    family: Annotated[
        Literal["kernel", "network"],
        typer.Option(
            rich_help_panel="Model",
            help="The kind of models: kernels, or neural networks of the pairs, which take no terms, baseline, length, "
            "noise and solver and run in Python alone.",
        ),
    ] = "kernel",
    terms: o.Terms = "auto",
    fragments: o.Fragments = None,
    length: o.Length = None,
    kernel: o.Kernel = None,
    baseline: o.Baseline = "auto",
    noise: o.Noise = None,
    energies: o.Energies = False,
    dipoles: o.Dipoles = None,
    condense: o.Condense = False,
    symmetry: o.SymmetryOption = "auto",
    max_images: o.MaxImages = None,
    solver: o.Solver = "auto",
    memory: o.Memory = None,
    device: o.Device = "auto",
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
    resume: o.Resume = False,
    every: o.Every = 60.0,
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Find the atom pairs that the energy depends on, and train on those alone.

    Trains on all pairs, ranks the pairs, retrains with fewer and keeps the smallest model within the tolerance.

    DIR gets model.gossamer (that model), full.gossamer (all pairs), record.json and report.html.

    Example: gossamer reduce peptide.npz --train 200 --valid 100 --test 500 --out peptide
    """
    reading = Reading(
        energy_unit, length_unit, forces_unit, energy_key, forces_key, index, positions_key, numbers_key, gradients_key,
        dipole_unit=dipole_unit,
    )  # fmt: skip
    sizes = Sizes(train_size, valid_size, test_size, seed)
    fitting = Fitting(
        length, noise, energies, solver, memory, seed, max_images, device, kernel, baseline, condense=condense,
        dipoles=dipoles,
    )  # fmt: skip
    shown = not quiet and is_first()
    job = Job(data, reading, sizes, fitting, symmetry, not shown, context.obj, terms, fragments, force)
    from gossamer.fitting.options import make_settings
    from gossamer.reduction.reducer import check_choice, recipe_of

    check_choice(tolerance, terms)
    recipe = recipe_of(family, fragments or terms, baseline)
    if family != "kernel":  # whose terms a file may hold
        recipe.check(make_settings({k: v for k, v in job.options().items() if k != "baseline"}))
    if valid_size == 0:
        raise UsageError("--valid: 0 structures leave nothing to choose the pairs by; ask for some.")
    folder = writable_folder(out)
    with joined(threads) as ranks:
        record = _reduce(job, family, tolerance, folder, ranks, resume, every)
    if record is None:
        return
    if as_json:
        summary = {key: value for key, value in record.to_json().items() if key not in BULK}
        print_json(summary | {"files": [str(out / name) for name in RESULTS]})
    else:
        _show(record, out)


def _reduce(
    job: Job, family: str, tolerance: float, out: Path, ranks: "Ranks", resume: bool, every: float
) -> "ReduceRecord | None":
    """Reduce, write the results into the folder `out`, and return the record; of several ranks the first alone."""
    import gossamer as gs
    from gossamer.files import write_text
    from gossamer.fitting.checkpoint import Run
    from gossamer.reduction.reducer import COMPARED
    from gossamer.reduction.reducer import reduce as reduce_pairs

    parts, options = job.prepare()
    if parts.valid is None:
        raise UsageError("--valid: no structures are left to choose the pairs by; lower --train or --test.")
    kept = journal(out, job, parts, ranks, resume=resume, every=every, tolerance=tolerance, family=family)
    results = results_folder(out) if ranks.first else nullcontext(out)  # the checkpoint stays until they have arrived
    with kept as entries, results as folder, showing(job.quiet) as progress:
        progress(Event("symmetry", message="looking for permutations"))
        found = reduce_pairs(
            parts.train, parts.valid, parts.test, pool=parts.pool, tolerance=tolerance, family=family,
            compared=COMPARED, command=job.command, force=True, progress=progress, run=Run(ranks, entries), **options,
        )  # fmt: skip
        if not ranks.first:
            return None
        progress(Event("report"))
        found.model.save(folder / "model.gossamer")
        found.full.save(folder / "full.gossamer")
        write_text(folder / "record.json", json.dumps(found.record.to_json(), allow_nan=False))
        gs.report(found.record, folder / "report.html")
    return found.record


def _show(record: "ReduceRecord", out: Path) -> None:
    from gossamer.cli import text

    show = console()
    show.print(text.models_table(record))
    show.print(plain(text.reduction_paragraph(record)), markup=False, soft_wrap=False)
    say([f"Models, record and report are in {out}; open {out / 'report.html'} in a browser."])
