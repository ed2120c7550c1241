"""Pictures of the terms of a model: what was learned, how, and which kinds of terms were compared.  As in figures.py,
a function takes a record and returns a Figure, or None when the record has not what the picture needs."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gossamer.records.record import Record
from gossamer.reporting.drawing import distance_axis, error_range, handle, logarithmic, panel
from gossamer.reporting.reading import is_number, local_terms
from gossamer.reporting.terms import has_cheapest, kind_name, tried
from gossamer.reporting.theme import LIGHT
from gossamer.reporting.words import MEV, digits

SMOOTH = 5  # steps of learning over which a line is averaged


class _Dots(NamedTuple):
    """A kind of pairs in the picture of weights."""

    label: str
    colour: str
    filled: bool


_LOCAL = _Dots("local term", LIGHT["local"], True)
_NEAR = _Dots("global term, local pair", LIGHT["kept"], False)
_FAR = _Dots("global term, non-local pair", LIGHT["kept"], True)
_WHOLE = _Dots("global term", LIGHT["kept"], True)  # where there is nothing else


def weights(record: Record) -> Figure | None:
    """Weight of the pairs against their mean distance, term by term; None where all of them are one."""
    found = _weights(record)
    every = np.concatenate([*found.values(), np.zeros((0, 4))])
    if not np.any(np.abs(every[:, 0] - 1) > 1e-6):
        return None
    with panel() as (figure, axes):
        for kind, rows in found.items():
            _draw_weights(axes, kind, rows)
        axes.axhline(1, color=LIGHT["muted"], linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        _weights_axis(axes, every[:, 0])
        distance_axis(axes, every[:, 3])
        axes.set_title("Learned weight")
        axes.legend(handles=[_handle_of(kind) for kind in found], loc="upper right")
        return figure


def kinds(record: Record) -> Figure | None:
    """Validation error of every kind of terms that was tried; the one taken stands out."""
    errors, taken = tried(record), record.choice.name
    if len(errors) < 2:
        return None
    names = list(errors)[::-1]
    values = np.array([errors[name] for name in names]) * MEV
    with panel() as (figure, axes):
        colours = [LIGHT["chosen" if name == taken else "dropped"] for name in names]
        axes.barh(range(len(names)), values, height=0.55, color=colours)
        for k, (name, value) in enumerate(zip(names, values, strict=True)):
            said = f"{digits(value)}, taken" if name == taken else digits(value)
            at: Any = {"textcoords": "offset points", "va": "center", "fontsize": 9}
            axes.annotate(said, (value, k), (5, 0), weight="bold" if name == taken else "normal", **at)
        axes.set_yticks(range(len(names)), [kind_name(name) for name in names])
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, values.max() * 1.25)
        axes.set_ylim(-0.7, len(names) - 0.3)
        axes.set_title("Validation force RMSE, meV/Å")
        _worth_line(axes, record, values.min())
        return figure


def learning(record: Record) -> Figure | None:
    """Held-out force error against the step of learning, with its running mean: every step draws other structures."""
    errors = np.array([e for e in record.choice.learning if is_number(e)], float) * MEV
    if len(errors) < 2:
        return None
    steps = np.arange(1, len(errors) + 1)
    mean = np.array([errors[max(0, k - SMOOTH) : k].mean() for k in steps])
    with panel() as (figure, axes):
        axes.plot(steps, errors, color=LIGHT["dropped"], linestyle="none", marker="o", label="one step")
        axes.plot(steps, mean, color=LIGHT["kept"], label=f"mean of {SMOOTH} steps")
        error_range(axes, errors)
        axes.set_title("Force RMSE on held-out structures, meV/Å")
        axes.set_xlabel("step of learning")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.legend(loc="upper right")
        return figure


def _weights(record: Record) -> dict[_Dots, np.ndarray]:
    """By kind a row for all pairs of one weight in one term: weight, and mean, shortest and longest distance."""
    found: dict[_Dots, list[list[float]]] = {kind: [] for kind in (_LOCAL, _NEAR, _FAR, _WHOLE)}
    alone = not local_terms(record)
    for term in record.terms:
        w = term.weights
        for local, *row in zip(w.local, w.weight, w.distance, w.shortest, w.longest, strict=True):
            if all(value > 0 for value in row):
                kind = _LOCAL if term.kind != "global" else _WHOLE if alone else _NEAR if local else _FAR
                found[kind].append(row)
    return {kind: np.array(rows, float) for kind, rows in found.items() if rows}


def _draw_weights(axes: Axes, kind: _Dots, rows: np.ndarray) -> None:
    """Dots, each with a line over the distances that share its weight."""
    weight, mean, shortest, longest = rows.T
    gaps = np.full(len(rows), np.nan)
    x, y = np.column_stack([shortest, longest, gaps]).ravel(), np.column_stack([weight, weight, gaps]).ravel()
    axes.plot(x, y, color=kind.colour, linewidth=1, alpha=0.5, zorder=2)
    face = kind.colour if kind.filled else LIGHT["surface"]
    size = 4.2 if len(rows) < 150 else 3.2
    axes.plot(mean, weight, "o", markersize=size, markerfacecolor=face, markeredgecolor=kind.colour, zorder=3)


def _weights_axis(axes: Axes, values: np.ndarray) -> None:
    low, high = min(values.min(), 0.8), max(values.max(), 1.25)
    axes.set_ylim(low / 1.15, high * (high / low) ** 0.28)
    logarithmic(axes)


def _worth_line(axes: Axes, record: Record, lowest: float) -> None:
    """Below which a sum without a global term is taken, since it is the cheapest."""
    if not has_cheapest(record) or record.choice.worth is None:
        return
    axes.axvline(lowest * (1 + record.choice.worth), color=LIGHT["limit"], linewidth=1, linestyle=(0, (6, 3)))


def _handle_of(kind: _Dots) -> Any:
    mark = handle(kind.colour, marker="o", line="none", label=kind.label)
    mark.set_markerfacecolor(kind.colour if kind.filled else LIGHT["surface"])
    return mark
