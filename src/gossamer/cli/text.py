"""Results as text for people: tables and sentences on standard output."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gossamer.cli.streams import plain
from gossamer.reporting.reading import fixed_pairs
from gossamer.reporting.terms import choice_sentence, made_of
from gossamer.reporting.words import KCAL, MEV, count_of, digits

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from gossamer.data.checks import Inspection
    from gossamer.data.dataset import Dataset
    from gossamer.model.fragments import Fragment

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


def errors_table(errors: Mapping[str, float | None], over: str) -> "Table":
    """Mean absolute and root mean square errors in both units; `over` says on which structures."""
    table = _table(f"Errors on {over}", "", "MAE", "RMSE")
    for kind, unit in (("force", "/Å"), ("energy", "")):
        mae, rmse = errors[f"{kind}_mae"], errors[f"{kind}_rmse"]
        if mae is not None and rmse is not None:
            cells = (f"{digits(MEV * e)} meV{unit}  {digits(KCAL * e)} kcal/mol{unit}" for e in (mae, rmse))
            table.add_row("forces" if kind == "force" else "energies", *cells)
    return table


def models_table(record: Mapping[str, Any]) -> "Table":
    """Every model of a reduction: pairs, errors, seconds; an arrow marks the chosen one."""
    inside = ["in global\nterm"] if fixed_pairs(record) else []
    units = [f"{kind}\n{unit}" for unit in ("meV/Å", "kcal/\nmol/Å") for kind in ("MAE", "RMSE")]
    table = _table(
        f"Force errors on {tested_on(record)}; ← is the chosen model",
        "model", "pairs", *inside, "< 5 Å", "≥ 5 Å", *units, "s",
    )  # fmt: skip
    chosen = record["chosen"]["from"]
    groups = [[record["full"], *record["quantiles"]], record["refined"], record["random"], record["shortest"]]
    for group in groups:
        for row in group:
            mine = row["label"] == chosen
            label = f"{row['label']} ←" if mine else row["label"]
            table.add_row(label, *_cells(row, bool(inside)), style="bold" if mine else None)
        if group:
            table.add_section()
    return table


def _cells(row: Mapping[str, Any], inside: bool) -> Sequence[str]:
    keys = ("pairs", "global_pairs", "pairs_below_5A", "pairs_above_5A")
    counts = [f"{row[key]:,}" for key in keys if inside or key != "global_pairs"]
    errors = (row["force_mae"], row["force_rmse"])
    return [*counts, *(f"{MEV * e:.1f}" for e in errors), *(f"{KCAL * e:.3f}" for e in errors), f"{row['seconds']:.1f}"]


def reduction_paragraph(record: Mapping[str, Any]) -> str:
    """What the chosen model kept, and what that did to its errors."""
    full, chosen, added = record["full"], record["chosen"], record["rank"]["added_orbits"]
    change = chosen["force_rmse"] / full["force_rmse"] - 1
    tolerance = 100 * record["settings"]["tolerance"]
    lines = [
        f"The chosen model keeps {_kept(record)},",
        f"{chosen['pairs_per_atom']:.1f} per atom: {chosen['pairs_below_5A']:,} below 5 Å and",
        f"{chosen['pairs_above_5A']:,} above, the longest {chosen['longest_A']:.1f} Å.",
        f"Its force RMSE is {MEV * chosen['force_rmse']:.1f} meV/Å on {tested_on(record)},",
        f"{abs(change):.1%} {'above' if change > 0 else 'below'} that of all pairs;",
        f"on the validation structures it had to stay within {tolerance:g}% of the best.",
    ]
    if len(record["terms"]) > 1:
        inside = count_of(chosen["global_pairs"], "pair") if chosen["global_pairs"] else ""
        lines.append(f"It is a sum of {made_of(record)}{', which sees ' + inside if inside else ''}.")
    lines.append(choice_sentence(record))
    if added:
        lines.append(f"{count_of(added, 'set')} of equivalent pairs came back to keep the molecule's shape determined.")
    return " ".join(line for line in lines if line)


def _kept(record: Mapping[str, Any]) -> str:
    """ "331 of 861 pairs (38%)"; beside local terms those that only the global term sees, and how many are fixed."""
    full, chosen, fixed = record["full"]["pairs"], record["chosen"]["pairs"], fixed_pairs(record)
    if not fixed:
        return f"{chosen:,} of {full:,} pairs ({chosen / full:.0%})"
    if full == fixed:
        return f"all {full:,} pairs, which are local"
    return f"{chosen - fixed:,} of {full - fixed:,} non-local pairs and the {fixed:,} local ones, which are fixed"


def tested_on(record: Mapping[str, Any]) -> str:
    """ "500 test structures"."""
    part = record["full"]["tested_on"]
    name = {"test": "test", "valid": "validation", "train": "training"}[part]
    return count_of(record["data"][f"n_{part}"], f"{name} structure")


def how_it_was_solved(row: Mapping[str, Any]) -> str:
    """The solver's own sentence; iterations and residual where it iterated."""
    if row["iterations"] <= 1:
        return str(row["status"])
    return f"{row['status']} ({row['iterations']} iterations, residual {digits(MEV * row['residual'])} meV/Å)"


def inspection(found: "Inspection") -> list[str]:
    """The summary of a data set, as lines, without the findings."""
    rows = {
        "molecule": f"{found.formula}, {count_of(found.n_atoms, 'atom')}",
        "structures": f"{found.n_frames:,}, order: {found.order}, {count_of(found.duplicates, 'duplicate')}",
        "theory": found.theory,
        **{f"{what} from": where for what, where in found.read.items()},
        "energies": _span(found.energies, "{:.6g} to {:.6g} eV, spread {:.3g} eV"),
        "forces": _span(found.forces, "RMS {:.3g} eV/Å, largest component {:.3g} eV/Å"),
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
