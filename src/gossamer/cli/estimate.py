"""`gossamer estimate`: memory and time of a training run, before it is begun."""

import typer

from gossamer.cli import options as o
from gossamer.cli.inputs import Fitting, Job, Reading, Sizes
from gossamer.cli.outputs import print_json, say
from gossamer.cli.progress import showing
from gossamer.events import Event


def estimate(
    context: typer.Context,
    data: o.Data,
    train_size: o.TrainSize,
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
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Predict memory and time of `gossamer train` with the same options, without training.

    The speed of the CPU is measured for a few seconds (there is no estimate for a card yet); figures are usually
    right within a factor of two.

    Example: gossamer estimate ethanol.npz --train 1000
    """
    from gossamer.fitting.estimate import as_dict
    from gossamer.fitting.estimate import estimate as predict

    reading = Reading(
        energy_unit, length_unit, forces_unit, energy_key, forces_key, index, positions_key, numbers_key, gradients_key,
        dipole_unit=dipole_unit,
    )  # fmt: skip
    sizes = Sizes(train_size, valid_size, test_size, seed)
    fitting = Fitting(
        length, noise, energies, solver, memory, seed, max_images, "cpu", kernel, baseline, descriptor, error_bars,
        condense,
        dipoles,
    )  # fmt: skip
    job = Job(data, reading, sizes, fitting, symmetry, quiet, context.obj, terms, fragments)
    parts, options = job.prepare()
    with showing(quiet) as progress:
        progress(Event("estimate", message="the speed of this machine"))
        found = as_dict(predict(parts.train, parts.valid, **options))
    if as_json:
        print_json(found)
    else:
        from gossamer.cli import text

        say(text.estimate(found))
