"""Results as text for people: tables and sentences on standard output."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gossamer.cli.streams import plain
from gossamer.reporting.reading import far_terms, fixed_pairs, has_functions, tested_on
from gossamer.reporting.terms import choice_sentence, made_of
from gossamer.reporting.words import KCAL, MEV, count_of, digits
from gossamer.units import dipole_in_e_angstrom

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from gossamer.chemistry.fragments import Fragment
    from gossamer.data.checks import Inspection
    from gossamer.data.dataset import Dataset
    from gossamer.model.results import Errors
    from gossamer.records.parts import ErrorBars, Model
    from gossamer.records.record import ReduceRecord
    from gossamer.simulate.dynamics import MdRun
    from gossamer.simulate.relax import Relaxed
    from gossamer.simulate.vibrations import Thermochemistry, Vibrations

DEBYE = 1 / dipole_in_e_angstrom("Debye")  # Debye in an e*Angstrom
_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def what_was_read(data: "Dataset") -> list[str]:
    """Which file, which molecule, and from which keys and in which units it was taken."""
    p = data.provenance
    theory = f", {p.theory}" if p.theory else ""
    first = (
        f"{p.source}: {count_of(len(data), 'structure')} of {data.formula}, {count_of(data.n_atoms, 'atom')}{theory}"
    )
    return [first, *(f"  {what:<10} {where}" for what, where in p.read.items())]


def sizes(parts: Mapping[str, "Dataset | None"], seed: int, removed: int) -> str:
    """ "structures: 200 to train, 100 to validate, 500 to test (seed 0; 3 duplicates left out)"."""
    found = [f"{len(part):,} to {purpose}" for purpose, part in parts.items() if part is not None]
    gone = f"; {count_of(removed, 'duplicate')} left out" if removed else ""
    return f"structures: {', '.join(found)} (seed {seed}{gone})"


class _Errors(Protocol):
    """Errors of a model; forces in eV/Angstrom, energies in eV, dipoles in e*Angstrom, or None."""

    @property
    def force_mae(self) -> float: ...

    @property
    def force_rmse(self) -> float: ...

    @property
    def energy_mae(self) -> float | None: ...

    @property
    def energy_rmse(self) -> float | None: ...

    @property
    def dipole_mae(self) -> float | None: ...

    @property
    def dipole_rmse(self) -> float | None: ...


def errors_table(errors: _Errors, over: str) -> "Table":
    """Mean absolute and root mean square errors in both units; `over` says on which structures."""
    table = _table(f"Errors on {over}", "", "MAE", "RMSE")
    rows = (
        ("forces", "/Å", errors.force_mae, errors.force_rmse),
        ("energies", "", errors.energy_mae, errors.energy_rmse),
    )
    for name, unit, mae, rmse in rows:
        if mae is not None and rmse is not None:
            cells = (f"{digits(MEV * e)} meV{unit}  {digits(KCAL * e)} kcal/mol{unit}" for e in (mae, rmse))
            table.add_row(name, *cells)
    if errors.dipole_mae is not None and errors.dipole_rmse is not None:
        dipoles = (errors.dipole_mae, errors.dipole_rmse)
        table.add_row("dipoles", *(f"{digits(MEV * e)} me Å  {digits(DEBYE * e)} Debye" for e in dipoles))
    return table


def about_dipoles(errors: "Mapping[str, float | None]", counts: "Mapping[str, int]", charge: int) -> list[str]:
    """Errors of dipoles on test structures, e*Angstrom, None without, and how many they were learned from."""
    lines = [f"dipoles learned from {count_of(counts['train'], 'structure')}, charge {charge}"]
    known = {name: e for name, e in errors.items() if e is not None}
    if known:
        both = ", ".join(
            f"{name.upper()} {digits(MEV * e)} me Å ({digits(DEBYE * e)} Debye)" for name, e in known.items()
        )
        lines.append(f"errors of components on {count_of(counts['test'], 'test structure')}: {both}")
    return lines


def reliability_table(bars: "ErrorBars") -> "Table":
    """The size of errors over that of their error bars, and how many errors lie within the intervals of these."""
    from gossamer.records.parts import LEVELS

    table = _table(
        "Error bars: RMS error over RMS standard deviation, and shares of errors within intervals",
        "", "all", "lowest tenth", "highest tenth", *(f"in {level:.0%}" for level in LEVELS),
    )  # fmt: skip
    for name, found in (("forces", bars.forces), ("energies", bars.energies)):
        if found is not None:
            ratios = [f"{ratio:.2f}" for ratio in (found.ratio, found.ratios[0], found.ratios[-1])]
            table.add_row(name, *ratios, *(f"{share:.0%}" for share in found.coverage))
    return table


def about_test(errors: "Errors", n: int, seen: int) -> list[str]:
    """What to know of the errors on `n` structures: another energy zero, and structures that were trained on."""
    said = []
    offset, mae = errors.energy_offset, errors.energy_mae
    if offset is not None and mae is not None:
        way = "above" if offset > 0 else "below"
        said.append(
            f"The energies of the data lie {abs(offset):.3f} eV {way} those of the model, a constant that was taken "
            f"off: their mean absolute error is {digits(MEV * mae)} meV without it. Another energy zero or method?"
        )
    if seen:
        which = "All" if seen == n else f"{seen:,} of the {n:,}"
        said.append(f"{which} structures tested are among those the model was trained on; test it on others.")
    return said


def models_table(record: "ReduceRecord") -> "Table":
    """Every model of a reduction: pairs, errors, seconds; an arrow marks the chosen one."""
    inside = ["in " + far_terms(record).replace(" ", "\n", 1)] if fixed_pairs(record) else []
    units = [f"{kind}\n{unit}" for unit in ("meV/Å", "kcal/\nmol/Å") for kind in ("MAE", "RMSE")]
    table = _table(
        f"Force errors on {tested_on(record)}; ← is the chosen model",
        "model", "pairs", *inside, "< 5 Å", "≥ 5 Å", *units, "s",
    )  # fmt: skip
    alone = () if record.local is None else (record.local,)
    groups = ((record.full, *record.quantiles), (*alone, *record.refined), record.random, record.shortest)
    for group in groups:
        for row in group:
            mine = row == record.chosen
            label = f"{row.label} ←" if mine else row.label
            table.add_row(label, *_cells(row, bool(inside)), style="bold" if mine else None)
        if group:
            table.add_section()
    return table


def _cells(row: "Model", inside: bool) -> Sequence[str]:
    among = [row.global_pairs] if inside else []
    counts = ["" if n is None else f"{n:,}" for n in (row.pairs, *among, row.pairs_below_5A, row.pairs_above_5A)]
    errors = (row.force_mae, row.force_rmse)
    seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
    return [*counts, *(f"{MEV * e:.1f}" for e in errors), *(f"{KCAL * e:.3f}" for e in errors), seconds]


def reduction_paragraph(record: "ReduceRecord") -> str:
    """What the chosen model kept, and what that did to its errors."""
    full, chosen = record.full, record.chosen
    change, tolerance = chosen.force_rmse / full.force_rmse - 1, 100 * (record.settings.tolerance or 0.0)
    lines = [
        f"The chosen model keeps {_kept(record)},",
        f"{chosen.pairs_per_atom:.1f} per atom: {chosen.pairs_below_5A:,} below 5 Å and",
        f"{chosen.pairs_above_5A:,} above, the longest {chosen.longest_A:.1f} Å.",
        f"Its force RMSE is {MEV * chosen.force_rmse:.1f} meV/Å on {tested_on(record)},",
        f"{abs(change):.1%} {'above' if change > 0 else 'below'} that of all pairs;",
        f"on the validation structures it had to stay within {tolerance:g}% of the best.",
    ]
    if len(record.terms) > 1:
        inside = count_of(chosen.global_pairs, "pair") if chosen.global_pairs else ""
        beyond = f"; {far_terms(record)} see " if has_functions(record) else ", which sees "
        lines.append(f"It is a sum of {made_of(record)}{beyond + inside if inside else ''}.")
    lines.append(choice_sentence(record))
    if chosen.added_orbits:
        back = count_of(chosen.added_orbits, "set")
        lines.append(f"{back} of equivalent pairs came back to keep the molecule's shape determined.")
    return " ".join(line for line in lines if line)


def _kept(record: "ReduceRecord") -> str:
    """ "331 of 861 pairs (38%)"; beside local terms those that none of them sees, and how many are fixed."""
    full, chosen, fixed = record.full.pairs, record.chosen.pairs, fixed_pairs(record)
    if not fixed:
        return f"{chosen:,} of {full:,} pairs ({chosen / full:.0%})"
    if full == fixed:
        return f"all {full:,} pairs, which are local"
    return f"{chosen - fixed:,} of {full - fixed:,} non-local pairs and the {fixed:,} local ones, which are fixed"


def how_it_was_solved(row: "Model") -> str:
    """The solver's own sentence; iterations and residual where it iterated."""
    if row.residual is None or row.iterations is None or row.iterations <= 1:
        return row.status
    return f"{row.status} ({row.iterations} iterations, residual {digits(MEV * row.residual)} meV/Å)"


_TAKEN = ("atoms", "positions", "energies", "forces", "dipoles")  # the others say what was left out, and why


def inspection(found: "Inspection") -> list[str]:
    """The summary of a data set, as lines, without the findings."""
    rows = {
        "molecule": f"{found.formula}, {count_of(found.n_atoms, 'atom')}",
        "structures": f"{found.n_frames:,}, order: {found.order}, {count_of(found.duplicates, 'duplicate')}",
        "theory": found.theory,
        **{f"{what} from" if what in _TAKEN else what: where for what, where in found.read.items()},
        "energies": _span(found.energies, "{:.6g} to {:.6g} eV, spread {:.3g} eV"),
        "forces": _span(found.forces, "RMS {:.3g} eV/Å, largest component {:.3g} eV/Å"),
        "dipoles": _span(found.dipoles, "{:.3g} to {:.3g} e Å"),
        "distances": _span(found.distances, "{:.3g} to {:.3g} Å"),
        "fingerprint": found.fingerprint,
    }
    return [found.source, *(f"  {name:<16} {value}" for name, value in rows.items() if value)]


def findings(found: "Inspection") -> list[str]:
    """One line per check, with the level coloured where there is colour."""
    from rich.markup import escape

    return [f"  [{_COLOURS[f.level]}]{f.level:<8}[/] {f.check:<18} {escape(plain(f.message))}" for f in found.findings]


def fragments_table(fragments: "Sequence[Fragment]", numbers: "np.ndarray") -> "Table":
    """A row per fragment: its atoms, and how often the molecule has it."""
    from gossamer.data.dataset import hill_formula

    places = sum(len(f.atoms) for f in fragments)
    title = f"{count_of(len(fragments), 'local fragment')} in {count_of(places, 'place')}"
    table = _table(title, "fragment", "formula", "atoms", "pairs", "places", "exchanges")
    for f in fragments:
        sizes = (len(f.atoms[0]), len(f.inner), len(f.atoms), len(f.perms))
        table.add_row(f.name, hill_formula(numbers[f.atoms[0]]), *map(str, sizes))
    return table


def relaxed_table(ended: "Relaxed", frames: "np.ndarray") -> "Table":
    """A row per structure: how far it went down, in how many steps, and what force is left."""
    table = _table(
        "Relaxed structures", "frame", "steps", "energy, eV", "below the start, meV", "largest force, meV/Å", ""
    )
    for row, frame in enumerate(frames):
        table.add_row(
            str(frame), f"{ended.steps[row]:,}", f"{ended.energies[row]:.6f}",
            digits(MEV * (ended.before[row] - ended.energies[row])), digits(MEV * ended.largest[row]),
            "" if ended.converged[row] else "not at rest",
        )  # fmt: skip
    return table


def frequencies_table(found: "Vibrations") -> "Table":
    """A row per normal mode; imaginary frequencies have an i; infrared intensities where the model has dipoles."""
    from ase.units import invcm

    strong = [] if found.intensities is None else [f"{value:.1f}" for value in found.intensities]
    table = _table("Normal modes", "mode", "1/cm", "meV", *(["infrared, km/mol"] if strong else []))
    for mode, frequency in enumerate(found.frequencies):
        imaginary = "i" if frequency <= 0 else ""
        cells = (f"{abs(frequency):.1f}{imaginary}", f"{MEV * invcm * abs(frequency):.2f}{imaginary}")
        table.add_row(str(mode), *cells, *strong[mode : mode + 1])
    return table


def about_vibrations(found: "Vibrations", thermal: "Thermochemistry | None") -> list[str]:
    """Zero-point energy, then the energies of the ideal gas or why there are none."""
    rest = f"energy {found.energy:.6f} eV, largest force {digits(MEV * found.largest, 2)} meV/Å"
    lines = [rest, f"zero-point energy {found.zero_point_energy:.5f} eV"]
    if thermal is None:
        imaginary = int((found.frequencies <= 0).sum())
        return [*lines, f"no thermochemistry: {imaginary} imaginary, the structure is no minimum of the energy"]
    gas = thermal.settings
    at = f"{gas.temperature:g} K, {gas.pressure:g} Pa, symmetry number {gas.symmetry_number}, spin {gas.spin:g}"
    return [
        *lines,
        f"ideal gas at {at}:",
        f"  enthalpy     {thermal.enthalpy:.5f} eV",
        f"  entropy      {MEV * thermal.entropy:.5f} meV/K",
        f"  Gibbs energy {thermal.gibbs_energy:.5f} eV",
    ]


def about_md(run: "MdRun") -> list[str]:
    """How long and how fast, then a line per trajectory."""
    s = run.settings
    length = f"{s.steps:,} steps of {s.timestep:g} fs, {s.steps * s.timestep / 1000:,g} ps"
    went_on = f", from step {run.began:,} on" if run.began else ""
    lines = [f"{length}{went_on}; {digits(run.ns_per_day)} ns/day"]
    for path, found in zip(run.files.trajectories, run.averages, strict=True):
        sure = "" if found.temperature_error is None else f" ± {found.temperature_error:.1f}"
        drift = f", drift {found.drift:.2g} eV per atom per ns" if s.ensemble == "nve" else ""
        mean = f"temperature {found.temperature:.1f}{sure} K, potential energy {found.energy:.4f} eV{drift}"
        lines.append(f"{path}: {count_of(found.frames, 'frame')}, {mean}")
    return lines


def _span(values: tuple[float, ...] | None, text: str) -> str:
    return text.format(*values) if values else ""


def _table(title: str, *columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k == 0 else "right", no_wrap=True, vertical="bottom")
    return table


def estimate(found: dict[str, Any]) -> list[str]:
    """What a training run will take."""
    how = f"cg, {found['columns']} columns" if found["solver"] == "cg" else "cholesky"
    sizes = (found["unknowns"], found["pairs"], found["permutations"])
    lines = ["{:,} unknowns, {} pairs, {} permutations; solved by ".format(*sizes) + how]
    lines += [f"{duration(seconds):>10}  {part}" for part, seconds in found["parts"].items()]
    return [*lines, f"{duration(found['seconds']):>10}  in all", f"{found['memory_gib']:>6.2f} GiB  of memory at most"]


def duration(seconds: float) -> str:
    """Rounded to what an estimate can mean."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
