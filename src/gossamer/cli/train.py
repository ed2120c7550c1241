"""`gossamer train`: a force field from labelled structures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Fitting, Job, Reading, Sizes
from gossamer.cli.outputs import console, print_json, say, writable
from gossamer.cli.progress import showing
from gossamer.cli.ranks import is_first, joined, journal
from gossamer.cli.results import finish_together, results_together
from gossamer.events import Event

if TYPE_CHECKING:
    from gossamer.fitting.parallel import Ranks
    from gossamer.records.record import TrainRecord

SUMMARY = ("kind", "command", "data", "settings", "symmetry", "terms", "choice", "full", "length_search", "seconds")


def train(
    context: typer.Context,
    data: o.Data,
    train_size: o.TrainSize,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Model file to write, such as m.gossamer.")],
    valid_size: o.ValidSize = None,
    test_size: o.TestSize = None,
    seed: o.Seed = 0,
    terms: o.Terms = "auto",
    fragments: o.Fragments = None,
    length: o.Length = None,
    kernel: o.Kernel = None,
    descriptor: o.Descriptor = "pairs",
    baseline: o.Baseline = "auto",
    noise: o.Noise = None,
    energies: o.Energies = False,
    dipoles: o.Dipoles = None,
    error_bars: o.ErrorBars = False,
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
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Page of pictures to write.")] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Record to write; by default --out with the ending .json.")
    ] = None,
    resume: o.Resume = False,
    every: o.Every = 60.0,
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Train a force field on the forces of DATA.

    Example: gossamer train ethanol.npz --train 200 --valid 100 --test 500 --out ethanol.gossamer

    Terms of your own: gossamer train ethanol.npz --train 200 --fragments terms.json --out ethanol.gossamer

    Several processes: torchrun --nproc-per-node 2 -m gossamer train ... (docs/scale-out.md)
    """
    reading = Reading(
        energy_unit, length_unit, forces_unit, energy_key, forces_key, index, positions_key, numbers_key, gradients_key,
        dipole_unit=dipole_unit,
    )  # fmt: skip
    sizes = Sizes(train_size, valid_size, test_size, seed)
    fitting = Fitting(
        length, noise, energies, solver, memory, seed, max_images, device, kernel, baseline, descriptor, error_bars,
        condense,
        dipoles,
    )  # fmt: skip
    shown = not quiet and is_first()
    job = Job(data, reading, sizes, fitting, symmetry, not shown, context.obj, terms, fragments, force)
    files = _files(job, out, record, report)
    with joined(threads) as ranks:
        result = _train(job, files, ranks, resume, every)
    if result is None:
        return
    if as_json:
        values = result.to_json()
        print_json({key: values[key] for key in SUMMARY} | {"files": {what: str(path) for what, path in files.items()}})
    else:
        _show(result, files)


def _files(job: Job, out: Path, record: Path | None, report: Path | None) -> dict[str, Path]:
    """What to write where, known to be writable."""
    files = {"out": out, "record": record or out.with_suffix(".json")} | ({"report": report} if report else {})
    taken = list(job.files)
    for option, path in files.items():
        taken.append(writable(path, *taken, option=f"--{option}"))
    if is_first():
        finish_together(files)
    return files


def _train(job: Job, files: dict[str, Path], ranks: "Ranks", resume: bool, every: float) -> "TrainRecord | None":
    """Train, write the files, and return the record; of several ranks only the first has one and writes."""
    import gossamer as gs
    from gossamer.files import write_text
    from gossamer.fitting.checkpoint import Run

    parts, options = job.prepare()
    with journal(files["out"], job, parts, ranks, resume=resume, every=every) as kept, showing(job.quiet) as progress:
        progress(Event("symmetry", message="looking for permutations"))
        found = gs.train(
            parts.train, parts.valid, parts.test, force=True, progress=progress, run=Run(ranks, kept), **options
        )
        if not ranks.first:
            return None
        progress(Event("test"))
        record = replace(found.record, command=job.command)
        with results_together(files) as arriving:
            found.model.save(arriving["out"])
            write_text(arriving["record"], json.dumps(record.to_json(), allow_nan=False))
            if "report" in files:
                progress(Event("report"))
                gs.report(record, arriving["report"])
    return record


def _show(result: "TrainRecord", files: dict[str, Path]) -> None:
    from gossamer.cli import text
    from gossamer.reporting.reading import tested_on
    from gossamer.reporting.terms import choice_sentence, made_of
    from gossamer.reporting.words import count_of

    row = result.full
    console().print(text.errors_table(row, tested_on(result)))
    seen = result.settings.descriptor
    looks = count_of(row.pairs, "pair") if seen == "pairs" else f"{row.pairs} {seen}"
    size = f"{looks}, {count_of(result.symmetry.order, 'permutation')}"
    found = f"{made_of(result)}, noise {result.settings.noise:.3g}"
    lines = [
        f"{size}, {found}, {result.seconds:.1f} s",
        choice_sentence(result),
        text.how_it_was_solved(row),
        *(f"{'model' if what == 'out' else what}: {path}" for what, path in files.items()),
    ]
    say(line for line in lines if line)
