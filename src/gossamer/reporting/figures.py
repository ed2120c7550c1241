"""Records -> pictures.  Each function takes a record (eV and Angstrom) and returns a matplotlib
Figure, or None when the record has not what the picture needs.  Forces are shown in meV/A."""

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gossamer.errors import UsageError
from gossamer.files import atomic_path
from gossamer.records.parts import Pair
from gossamer.records.record import Record, ReduceRecord, TrainRecord
from gossamer.reporting import molecule
from gossamer.reporting.drawing import (
    PANEL,
    PLAIN,
    SQUARE,
    distance_axis,
    dots,
    error_range,
    handle,
    logarithmic,
    note,
    panel,
    ring,
)
from gossamer.reporting.reading import (
    FAR,
    Quantity,
    Which,
    atom_errors,
    by_global_term,
    far_terms,
    fixed_pairs,
    kept_pairs,
    limit,
    model_name,
    parity_values,
    points,
    relevance_models,
    size,
    sized_points,
    stated_rmse,
)
from gossamer.reporting.theme import LIGHT, atom_colour, heat, style
from gossamer.reporting.words import MEV, count_of, digits

DOTS = 3000  # of a kind that a picture shows; of more, evenly spaced ones
WITHIN = 1.2  # by which factor errors may differ from their bars, as shaded
_RIVALS = (("random", LIGHT["random"], (0, (4, 2)), "s"), ("shortest first", LIGHT["shortest"], (0, (1, 1.6)), "^"))


def accuracy(record: ReduceRecord, key: str = "force_rmse", title: str = "Force RMSE, meV/Å") -> Figure | None:
    """Error `key` against the number of pairs: chosen by relevance, at random, shortest first; limit and choice."""
    if not relevance_models(record, key):
        return None
    with panel() as (figure, axes):
        _draw_accuracy(axes, record, key, title)
        return figure


def choice(record: ReduceRecord) -> Figure | None:
    """A close-up of the validation error near the limit, for the models selected by relevance."""
    key, models = "valid_force_rmse", relevance_models(record, "valid_force_rmse")
    most = limit(record, key)
    if most is None or not models:
        return None
    x, y = sized_points(record, models, key)
    room = max(4 * (most - y.min()), 0.02 * most)
    with panel() as (figure, axes):
        axes.set_ylim((y.min() - 0.7 * room) * MEV, (most + 1.6 * room) * MEV)
        axes.plot(x, y * MEV, color=LIGHT["kept"], marker="o")
        _limit_line(axes, record, most)
        _mark_chosen(axes, record, key)
        _pairs_axis(axes, record)
        axes.set_title("Validation force RMSE near the limit, meV/Å")
        axes.legend(loc="upper right")
        return figure


def cost(record: ReduceRecord) -> Figure | None:
    """Training time against the number of pairs of the reduced models; that of the full one holds the searches too."""
    reduced = [model for model in relevance_models(record, "seconds") if model != record.full]
    x, y = sized_points(record, reduced, "seconds")
    if len(x) < 2:
        return None
    with panel() as (figure, axes):
        axes.plot(x, y, color=LIGHT["kept"], marker="o")
        axes.set_ylim(0, y.max() * 1.15)
        for at, seconds in zip(*sized_points(record, [record.chosen], "seconds"), strict=True):
            ring(axes, at, seconds, f"{digits(seconds)} s")
        _pairs_axis(axes, record)
        axes.set_title("Training time, s")
        return figure


def relevance(record: ReduceRecord) -> Figure | None:
    """Relevance score of each pair against its mean distance."""
    pairs = [pair for pair in record.pairs if pair.score is not None and pair.distance is not None]
    distances, scores = points((pair.distance, pair.score) for pair in pairs)
    if not (scores > 0).any():
        return None
    roles = np.array([_role_of(pair) for pair in pairs])
    heights = np.maximum(scores, scores[scores > 0].min()) * MEV  # a score of zero goes to the floor
    size = 3.6 if len(pairs) < 2000 else 2.2
    with panel() as (figure, axes):
        for role in ("dropped", "local", "kept"):
            some = _evenly(np.flatnonzero(roles == role))
            dots(axes, distances[some], heights[some], LIGHT[role], size)
        logarithmic(axes)
        distance_axis(axes, distances)
        axes.set_title("Relevance, meV/Å")
        axes.legend(handles=_role_handles(record, "o"), loc="upper right")
        return figure


def _evenly(rows: np.ndarray) -> np.ndarray:
    """At most DOTS of the rows (n,)."""
    return rows[:: -(-len(rows) // DOTS)] if len(rows) else rows


def distances(record: ReduceRecord) -> Figure | None:
    """Histogram of all pairs and of the kept ones by mean distance."""
    pairs = [pair for pair in record.pairs if pair.distance is not None]
    if not pairs:
        return None
    every = np.array([pair.distance for pair in pairs], float)
    kept, local = np.array([(pair.kept, pair.local) for pair in pairs]).T
    edges = [half / 2 for half in range(math.floor(every.min() * 2), math.ceil(every.max() * 2 + 1e-9) + 1)]
    with panel() as (figure, axes):
        axes.hist(every, edges, color=LIGHT["dropped"], alpha=0.45, label="all")
        axes.hist(every[kept], edges, color=LIGHT["kept"], label="kept", rwidth=0.82)
        if fixed_pairs(record):
            axes.hist(every[local], edges, color=LIGHT["local"], label="of them local, fixed", rwidth=0.82)
        distance_axis(axes, every)
        axes.grid(axis="x", visible=False)
        axes.set_title("Pairs per half Å")
        axes.set_ylim(top=axes.get_ylim()[1] * (1.3 if fixed_pairs(record) else 1.12))
        far = every >= FAR
        if not far.all():
            note(axes, 0.02, "left", _share(kept[~far], f"below {FAR:g} Å"))
        if far.any():
            note(axes, 0.98, "right", _share(kept[far], f"above {FAR:g} Å"))
        axes.legend(loc="upper right", bbox_to_anchor=(1, 0.85 if far.any() else 1))
        return figure


def parity(record: Record, quantity: Quantity, model: Which) -> Figure | None:
    """Predicted against reference values ("forces" or "energies") of the model "full" or "chosen"."""
    reference, predicted = parity_values(record, quantity, model)
    if len(reference) < 2:
        return None
    unit = "eV/Å" if quantity == "forces" else "eV"
    with panel(SQUARE if isinstance(record, ReduceRecord) else PANEL) as (figure, axes):
        low, high = _span(np.concatenate([reference, predicted]))
        axes.plot([low, high], [low, high], color=LIGHT["muted"], linewidth=0.8)
        _density(axes, reference, predicted, (low, high), LIGHT["kept" if model == "chosen" else "full"])
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel=f"reference, {unit}")
        name = (
            f"{model_name(record, model)}: predicted" if isinstance(record, ReduceRecord) else f"Predicted {quantity}"
        )
        axes.set_title(f"{name}, {unit}")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        rmse = stated_rmse(record, quantity, model)
        rmse = float(np.sqrt(np.mean((predicted - reference) ** 2))) if rmse is None else rmse
        note(axes, 0.97, "right", f"RMSE\n{digits(rmse * MEV)} m{unit}", height=0.04)
        return figure


def reliability(record: TrainRecord, quantity: Quantity) -> Figure | None:
    """Root mean square errors of `quantity` ("forces" or "energies") against standard deviations, in bins of these."""
    found = None if record.error_bars is None else getattr(record.error_bars, quantity)
    if found is None or min((*found.predicted, *found.found), default=0.0) <= 0:
        return None
    unit = "meV/Å" if quantity == "forces" else "meV"
    predicted, errors = (np.array(values) * MEV for values in (found.predicted, found.found))
    low, high = 0.8 * min(predicted.min(), errors.min()), 1.25 * max(predicted.max(), errors.max())
    with panel() as (figure, axes):
        ends = np.array([low, high])
        axes.fill_between(ends, ends / WITHIN, ends * WITHIN, color=LIGHT["muted"], alpha=0.15, linewidth=0)
        axes.plot(ends, ends, color=LIGHT["muted"], linewidth=0.8)
        axes.plot(predicted, errors, "o-", color=LIGHT["full"], linewidth=1.2, markersize=4)
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
        axes.set_xlabel(f"standard deviation, {unit}")
        axes.set_title(f"RMS error of {quantity}, {unit}")
        note(axes, 0.03, "left", f"{found.coverage[1]:.0%} of errors within one\nstandard deviation")
        return figure


def error_distribution(record: Record, quantity: Quantity) -> Figure | None:
    """How the errors of `quantity` ("forces" or "energies") are distributed, for every model in the record."""
    errors: dict[Which, np.ndarray] = {}
    for model in ("full", "chosen"):
        reference, predicted = parity_values(record, quantity, model)
        if len(reference) >= 2:
            errors[model] = (predicted - reference) * MEV
    if not errors:
        return None
    reach = max(float(np.quantile(np.abs(values), 0.99)) for values in errors.values()) or 1.0
    edges = np.linspace(-reach, reach, 42)
    with panel(SQUARE if isinstance(record, ReduceRecord) else PANEL) as (figure, axes):
        for model, values in errors.items():
            share = np.histogram(values, edges)[0] / len(values)
            colour = LIGHT["kept" if model == "chosen" else "full"]
            line = "solid" if model == "chosen" or len(errors) == 1 else (0, (4, 2))
            name = model_name(record, model)
            axes.stairs(share * 100, edges, color=colour, linewidth=1.5, linestyle=line, label=name)
        axes.set_title("Share of predictions, %")
        axes.set_xlabel("error, meV/Å" if quantity == "forces" else "error, meV")
        axes.set_xlim(-reach, reach)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if len(errors) > 1:
            axes.set_ylim(0, axes.get_ylim()[1] * 1.18)
            axes.legend(loc="upper left", ncols=2)
        return figure


def per_atom(record: Record) -> Figure | None:
    """Force error of each atom, coloured by element."""
    errors, symbols = atom_errors(record)
    if not len(errors):
        return None
    with panel() as (figure, axes):
        axes.bar(range(len(errors)), errors * MEV, width=0.78, color=[atom_colour(symbol) for symbol in symbols])
        axes.axhline(errors.mean() * MEV, color=LIGHT["muted"], linewidth=0.9, linestyle=(0, (4, 2)))
        axes.set_title("Force MAE, meV/Å")
        axes.set_xlabel("atom (numbered from 0)")
        axes.grid(axis="x", visible=False)
        axes.set_xlim(-0.7, len(errors) - 0.3)
        axes.set_ylim(0, errors.max() * MEV * 1.15 or 1.0)
        if len(errors) <= 16:
            axes.set_xticks(range(len(errors)), [f"{symbol}{i}" for i, symbol in enumerate(symbols)])
        else:
            axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        kinds = list(dict.fromkeys(symbols))[:8]
        handles = [handle(atom_colour(kind), marker="s", line="none", label=kind) for kind in kinds]
        handles.append(handle(LIGHT["muted"], line=(0, (4, 2)), label="mean"))
        axes.legend(handles=handles, loc="upper right", ncols=len(handles), columnspacing=0.9, handletextpad=0.2)
        return figure


def atom_map(record: Record) -> Figure | None:
    """The molecule with each atom coloured by its force error."""
    errors, _ = atom_errors(record)
    view = molecule.View.of(record.geometry)
    if view is None or len(errors) != len(view.symbols):
        return None
    with panel() as (figure, axes):
        low, high = float(errors.min()), float(errors.max())
        levels = molecule.levels(errors, low, high)
        molecule.draw(axes, view, [heat(level) for level in levels], size=1.35)
        axes.set_title("Force MAE on the molecule")
        molecule.scale(axes, f"{digits(low * MEV)}", f"{digits(high * MEV)} meV/Å")
        return figure


def web(record: Record) -> Figure | None:
    """The kept pairs drawn on the molecule; stronger threads matter more."""
    view = molecule.View.of(record.geometry)
    if view is None:
        return None
    with panel((7.2, 4.4)) as (figure, axes):
        _draw_web(axes, record, view)
        return figure


def convergence(record: TrainRecord) -> Figure | None:
    """Residual and validation error against the solver's iterations."""
    residual = points((step.iteration, step.residual) for step in record.history)
    valid = points((step.iteration, step.valid_force_rmse) for step in record.history)
    curves = (
        ("residual", "muted", (0, (4, 2)), *residual),
        ("validation force RMSE", "kept", "solid", *valid),
    )
    if not any(len(x) > 1 for *_, x, _ in curves):
        return None
    with panel() as (figure, axes):
        for name, role, line, x, y in curves:
            positive = y > 0
            marker = "o" if positive.sum() < 30 else ""
            axes.plot(x[positive], y[positive] * MEV, color=LIGHT[role], linestyle=line, marker=marker, label=name)
        logarithmic(axes)
        axes.set_title("Residual and error, meV/Å")
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.legend(loc="upper right")
        return figure


def length_search(record: TrainRecord) -> Figure | None:
    """Validation error against the length scale of the kernel; the one taken is marked."""
    found = zip(*points((trial.length, trial.valid_force_rmse) for trial in record.length_search), strict=True)
    best: dict[float, float] = {}  # by length: other settings may have been searched along with it
    for length, error in sorted(found, reverse=True):
        best[length] = error
    if len(best) < 2:
        return None
    x, y = np.array(sorted(best.items())).T
    taken = record.full.length
    at = int(np.argmin(y)) if taken is None else int(np.argmin(np.abs(x - taken)))
    with panel() as (figure, axes):
        axes.plot(x, y * MEV, color=LIGHT["kept"], marker="o")
        ring(axes, x[at], y[at] * MEV, f"length {x[at]:g}")
        error_range(axes, y * MEV)
        axes.set_title("Validation force RMSE, meV/Å")
        axes.set_xlabel("length scale of the kernel")
        return figure


def save_picture(record: Record, path: str | Path) -> Path:
    """The kept web beside the accuracy curve, on white, as .png or .svg (by the ending of `path`).  Returns the path.
    Raises UsageError for another ending or a record without geometry and reduced models, OutputError when the file
    cannot be written."""
    path = Path(path)
    view = molecule.View.of(record.geometry)
    if path.suffix not in (".png", ".svg"):
        raise UsageError(f"path: {path.name!r} does not end in .png or .svg; choose one of them.")
    if view is None or not isinstance(record, ReduceRecord) or not relevance_models(record):
        raise UsageError("record: it has no geometry or no reduced models; use the record of `gossamer reduce`.")
    with style():
        figure = Figure((11.0, 4.0), layout="constrained", facecolor="white")
        left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
        _draw_web(left, record, view)
        _draw_accuracy(right, record, "force_rmse", "Force RMSE, meV/Å")
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        with atomic_path(path) as partial:
            figure.savefig(partial, dpi=200, format=path.suffix[1:], metadata=metadata)
    return path


# How they are drawn ----------------------------------------------------------------------------------------------


def _draw_accuracy(axes: Axes, record: ReduceRecord, key: str, title: str) -> None:
    heights = []
    for models, (name, colour, line, marker) in zip((record.random, record.shortest), _RIVALS, strict=True):
        x, y = sized_points(record, sorted(models, key=lambda model: size(record, model) or 0), key)
        if len(x):
            axes.plot(x, y * MEV, color=colour, linestyle=line, marker=marker, label=name)
            heights.append(y * MEV)
    x, y = sized_points(record, relevance_models(record, key), key)
    axes.plot(x, y * MEV, color=LIGHT["kept"], marker="o", label="most relevant", zorder=3)
    heights.append(y * MEV)
    most = limit(record, key)
    if most is not None:
        _limit_line(axes, record, most)
        heights.append(np.array([most * MEV]))
    error_range(axes, np.concatenate(heights))
    _mark_chosen(axes, record, key)
    _pairs_axis(axes, record)
    axes.set_title(title)
    axes.legend(loc="upper right")


def _limit_line(axes: Axes, record: ReduceRecord, most: float) -> None:
    tolerance = record.settings.tolerance
    name = "limit" if tolerance is None else f"best + {100 * tolerance:g} %"
    axes.axhline(most * MEV, color=LIGHT["limit"], linewidth=1, linestyle=(0, (6, 3)), label=name)


def _mark_chosen(axes: Axes, record: ReduceRecord, key: str) -> None:
    for count, error in zip(*sized_points(record, [record.chosen], key), strict=True):
        name = "local terms alone" if by_global_term(record) and count == 0 else f"{int(count):,} pairs"
        ring(axes, count, error * MEV, f"{name}: {digits(error * MEV)}", foot=True)


def _pairs_axis(axes: Axes, record: ReduceRecord) -> None:
    """From zero; models without a global term stand there, with room for their marks."""
    terms = by_global_term(record)
    axes.set_xlabel(f"atom pairs in {far_terms(record)}" if terms else "atom pairs kept")
    axes.set_xlim(left=-0.03 * axes.get_xlim()[1] if terms else 0)
    axes.xaxis.set_major_formatter(PLAIN)


def _draw_web(axes: Axes, record: Record, view: molecule.View) -> None:
    local = [pair for pair in kept_pairs(record) if pair.local]
    others = [pair for pair in kept_pairs(record) if not pair.local]
    molecule.plain_threads(axes, view, local, LIGHT["local"])
    molecule.threads(axes, view, others)
    molecule.draw(axes, view, [atom_colour(symbol) for symbol in view.symbols])
    if others:
        name = f"{count_of(len(others), 'non-local pair' if local else 'pair')} kept"
        most = molecule.MOST
        above = name if len(others) <= most else f"{most} strongest of {name}"
        molecule.scale(axes, "weaker", "stronger", above=above)
    if local:
        molecule.remark(axes, f"{count_of(len(local), 'local pair')}, fixed", LIGHT["local"])


def _role_of(pair: Pair) -> str:
    """The colour role of a pair: local ones are fixed, the others were kept or dropped."""
    return "local" if pair.local else "kept" if pair.kept else "dropped"


def _role_handles(record: Record, marker: str) -> list[Line2D]:
    names = {"kept": "kept", "local": "local, fixed", "dropped": "dropped"}
    shown = [role for role in names if role != "local" or fixed_pairs(record)]
    return [handle(LIGHT[role], marker=marker, line="none", label=names[role]) for role in shown]


def _density(axes: Axes, x: np.ndarray, y: np.ndarray, span: tuple[float, float], colour: str) -> None:
    """Hexagons whose opacity grows with the logarithm of how many points they hold."""
    cells = axes.hexbin(x, y, gridsize=34, extent=(*span, *span), mincnt=1, linewidths=0)
    counts = np.asarray(cells.get_array())
    cells.set_array(None)
    cells.set_facecolor(colour)
    share = np.log1p(counts) / np.log1p(counts.max())
    cells.set_alpha(np.round(0.2 + 0.8 * share, 2))


def _span(values: np.ndarray) -> tuple[float, float]:
    """Both ends of the values with a little room."""
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _share(kept: np.ndarray, where: str) -> str:
    return f"{where}:\n{int(kept.sum())} of {len(kept)} kept"
