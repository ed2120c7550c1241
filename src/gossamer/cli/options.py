"""Arguments and options that several verbs share."""

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

_READING = "Reading DATA"
_SIZES = "Structures"
_MODEL = "Model"
_OUTPUT = "Output"

Data = Annotated[
    Path, typer.Argument(metavar="DATA", help="Structures with forces: npz, extxyz, HDF5, a program's output ...")
]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A .gossamer file, or an sgdml model npz.")]

EnergyUnit = Annotated[
    str | None,
    typer.Option(metavar="UNIT", help="Energies of DATA: eV, kcal/mol, Hartree ...", rich_help_panel=_READING),
]
LengthUnit = Annotated[
    str | None, typer.Option(metavar="UNIT", help="Lengths of DATA: Angstrom, Bohr ...", rich_help_panel=_READING)
]
ForcesUnit = Annotated[
    str | None,
    typer.Option(metavar="UNIT", help="Forces, where not energy/length: Hartree/Bohr ...", rich_help_panel=_READING),
]
EnergyKey = Annotated[
    str | None, typer.Option(metavar="KEY", help="Where the energies stand in DATA.", rich_help_panel=_READING)
]
ForcesKey = Annotated[
    str | None, typer.Option(metavar="KEY", help="Where the forces stand in DATA.", rich_help_panel=_READING)
]
DipoleUnit = Annotated[
    str | None,
    typer.Option(
        metavar="UNIT", rich_help_panel=_READING,
        help="Unit of the dipoles in DATA: e*Angstrom, Debye or e*Bohr; dipoles whose unit nobody says are not read.",
    ),
]  # fmt: skip
GradientsKey = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Where gradients (minus forces) stand in DATA.", rich_help_panel=_READING),
]
PositionsKey = Annotated[
    str | None, typer.Option(metavar="KEY", help="Where the positions stand in DATA.", rich_help_panel=_READING)
]
NumbersKey = Annotated[
    str | None, typer.Option(metavar="KEY", help="Where the atomic numbers stand in DATA.", rich_help_panel=_READING)
]
Index = Annotated[
    str, typer.Option(metavar="FRAMES", help="Frames to read: a number or start:stop:step.", rich_help_panel=_READING)
]

TrainSize = Annotated[
    int, typer.Option("--train", metavar="N", min=1, help="Structures to train on.", rich_help_panel=_SIZES)
]
ValidSize = Annotated[
    int | None,
    typer.Option(
        "--valid", metavar="N", min=0, rich_help_panel=_SIZES,
        help="Structures that choose length, stopping and pairs; by default half of --train, at most 100.",
    ),
]  # fmt: skip
TestSize = Annotated[
    int | None,
    typer.Option(
        "--test", metavar="N", min=0, rich_help_panel=_SIZES,
        help="Structures to measure errors on; by default what remains, at most 500.",
    ),
]  # fmt: skip
Seed = Annotated[
    int, typer.Option(metavar="N", min=0, max=2**63 - 1, help="Of every random choice.", rich_help_panel=_SIZES)
]

Terms = Annotated[
    Literal["auto", "global", "local", "pairs", "both", "all"],
    typer.Option(
        rich_help_panel="Model",
        help="What the model is a sum of: global is one kernel over all pairs (sgdml's model), local are learned "
        "kernels of atoms within one, two and three bonds and around contacts of molecules, pairs adds to "
        "local ones a learned function of distance for every class of pairs three or more "
        "bonds apart, both adds the global kernel to local ones, all adds both; auto takes pairs, with the global "
        "kernel where that pays on the validation set. reduce needs a global kernel or pairs.",
    ),
]
Fragments = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.json", rich_help_panel="Model",
        help='The terms, in place of --terms: a list such as [{"name": "ring", "atoms": [[0, 1, 2], [5, 4, 3]]}, '
        '{"global": true}], atoms counted from 0. inspect --fragments-to writes the automatic ones.',
    ),
]  # fmt: skip
Length = Annotated[
    float | None,
    typer.Option(
        metavar="L",
        rich_help_panel=_MODEL,
        help="Kernel length in 1/Angstrom of the one global kernel; by default searched. Sums of terms set their own.",
    ),
]
Kernel = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", rich_help_panel=_MODEL,
        help="Radial kernel of all terms: matern52 (sgdml's), or the smoother matern72, matern92, gauss; by default "
        "matern52, and matern92 in sums that have 2,500 force components or more to learn from.",
    ),
]  # fmt: skip
Descriptor = Annotated[
    Literal["pairs", "angles"],
    typer.Option(
        rich_help_panel=_MODEL,
        help="What the model looks at: inverse distances of pairs, or these and the cosines of angles between bonds, "
        "with which it is one global term.",
    ),
]
Baseline = Annotated[
    str,
    typer.Option(
        metavar="NAME|MODEL", rich_help_panel=_MODEL,
        help="What is taken off the labels and added at prediction: auto is the repulsion of atoms that no bond joins, "
        "which keeps them apart in molecular dynamics (nothing with --terms global); none, repulsion, coulomb (fixed "
        "charges fitted to the forces; coulomb:-1 where they sum to -1), gfn2-xtb, gfnff, d4 (dispersion, of PBE; "
        "d4:pbe0 of another functional), or several joined by commas; or a .gossamer file, to learn the difference to "
        "that model.",
    ),
]  # fmt: skip
Noise = Annotated[
    float | None,
    typer.Option(
        metavar="VARIANCE", rich_help_panel=_MODEL,
        help="Variance of the noise in the labels, after division by their standard deviation (sgdml has 1e-10); by "
        "default searched for the global kernel and learned for sums of terms.",
    ),
]  # fmt: skip
Energies = Annotated[
    bool, typer.Option("--energies", help="Train on the energies as well as on the forces.", rich_help_panel=_MODEL)
]
Dipoles = Annotated[
    bool | None,
    typer.Option(
        "--dipoles/--no-dipoles", rich_help_panel=_MODEL,
        help="Let the model tell dipole moments, for which DATA must have them; by default where DATA has them.",
    ),
]  # fmt: skip
ErrorBars = Annotated[
    bool,
    typer.Option(
        "--error-bars", rich_help_panel=_MODEL,
        help="Let the model tell standard deviations of its energies and forces, calibrated on the validation set "
        "(predict --std, test).",
    ),
]  # fmt: skip
Condense = Annotated[
    bool,
    typer.Option(
        "--condense", rich_help_panel=_MODEL,
        help="Let few representatives stand for the training structures in local terms: a step takes about half the "
        "time, and forces on the validation set change by less than 15 % of their error.",
    ),
]  # fmt: skip
SymmetryOption = Annotated[
    str,
    typer.Option(
        "--symmetry", metavar="auto|none|FILE", rich_help_panel=_MODEL,
        help="Permutations of like atoms: found in the data, none, or from a file: one per line, as a row of atoms "
        "counted from 0, or as cycles such as (0 1 2)(3 4).",
    ),
]  # fmt: skip
MaxImages = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, rich_help_panel=_MODEL,
        help="Permutations used with --symmetry auto at most; by default 12, more where there are less than 26 atoms "
        "(15 atoms: 38). Cost grows with them.",
    ),
]  # fmt: skip
Solver = Annotated[
    Literal["auto", "cholesky", "cg"],
    typer.Option(
        help="Direct, iterative, or auto: direct where it fits and is at most twice as slow.", rich_help_panel=_MODEL
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        metavar="GIB",
        help="Memory budget in GiB; by default 70 % of the machine's, or 35 %, 17.5 %, ... where so much is not free.",
        rich_help_panel=_MODEL,
    ),
]

Force = Annotated[
    bool,
    typer.Option("--force", help="Go on with labels that `inspect` calls wrong.", rich_help_panel=_READING),
]

_RUNNING = "Running"

Guard = Annotated[
    Literal["warn", "stop", "save", "off"],
    typer.Option(
        help="Where a structure leaves what MODEL was trained on: say so, stop, write it to --guard-file, or do not "
        "look.",
    ),
]
GuardFile = Annotated[Path, typer.Option(metavar="FILE", help="Where --guard save puts such structures, up to 100.")]
GuardStd = Annotated[
    float | None,
    typer.Option(
        metavar="EV/ANGSTROM",
        help="Let --guard look at the standard deviations of forces as well, of a MODEL trained with --error-bars: "
        "above this, a structure has left what MODEL was trained on.",
    ),
]
OUTSIDE = Path("outside.extxyz")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


Resume = Annotated[
    bool,
    typer.Option(
        "--resume", rich_help_panel=_RUNNING,
        help="Go on from OUT.checkpoint, which an interrupted run leaves; without that file, begin.",
    ),
]  # fmt: skip
Every = Annotated[
    float,
    typer.Option(
        "--checkpoint-every", metavar="SECONDS", min=0, callback=_finite, rich_help_panel=_RUNNING,
        help="How often the checkpoint is written while iterating.",
    ),
]  # fmt: skip
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, max=512, rich_help_panel=_RUNNING,
        help="Of this process; by default all cores, under torchrun its share of them.",
    ),
]  # fmt: skip

Device = Annotated[
    str,
    typer.Option(metavar="auto|cpu|cuda", help="Where to compute; auto is CUDA where there is a card, else the CPU."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=_OUTPUT)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=_OUTPUT)]
