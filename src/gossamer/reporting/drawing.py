"""Parts that pictures share: an empty plot in our style, its axes, and what is written into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from gossamer.reporting.reading import FAR
from gossamer.reporting.theme import LIGHT, style

PANEL = (5.0, 3.5)  # inches: two of them side by side
SQUARE = (3.6, 3.6)  # three of them

PLAIN = FuncFormatter(lambda value, _: f"{value:,.10g}")


@contextmanager
def panel(size: tuple[float, float] = PANEL) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one plot, `size` in inches, to be drawn in our style."""
    with style():
        figure = Figure(size, layout="constrained")
        yield figure, figure.add_subplot()


def dots(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, size: float) -> None:
    """Many round dots as one path: a tenth of the bytes of a scatter."""
    gaps = np.full(len(x), np.nan)
    axes.plot(
        np.column_stack([x, x, gaps]).ravel(), np.column_stack([y, y, gaps]).ravel(),
        color=colour, linewidth=size, solid_capstyle="round", alpha=0.75,
    )  # fmt: skip


def ring(axes: Axes, x: float, y: float, text: str, *, foot: bool = False) -> None:
    """Mark the one that was taken and say what it is; foot: at the foot of the axes, below a curve that falls."""
    colour = LIGHT["chosen"]
    axes.plot(x, y, "o", markersize=11, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=2, zorder=4)
    side, ha = (10, "left") if x < np.mean(axes.get_xlim()) else (-10, "right")
    at: Any = {"textcoords": "offset points", "ha": ha, "color": colour, "weight": "bold", "zorder": 5}
    if foot:
        axes.annotate(text, (x, 0), (side, 5), xycoords=axes.get_xaxis_transform(), va="bottom", **at)
    else:
        axes.annotate(text, (x, y), (side, -14), va="top", **at)


def error_range(axes: Axes, heights: np.ndarray) -> None:
    """A y axis for errors: logarithmic when they span much, with room for a label below and a legend above."""
    low, high = float(heights.min()), float(heights.max())
    if low > 0 and high / low > 4:
        logarithmic(axes)
        axes.set_ylim(low * (low / high) ** 0.16, high * (high / low) ** 0.12)
    else:
        room = (high - low) or abs(high) or 1.0
        axes.set_ylim(low - 0.25 * room, high + 0.35 * room)


def logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    steps = (1, 2, 5) if high / low < 200 else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_major_formatter(PLAIN)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def distance_axis(axes: Axes, distances: np.ndarray) -> None:
    axes.set_xlabel("mean distance of the pair, Å")
    if distances.max() < FAR:
        return
    colour = LIGHT["limit"]
    axes.axvline(FAR, color=colour, linewidth=1, linestyle=(0, (6, 3)))
    at: Any = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points", "ha": "center"}
    axes.annotate(f"{FAR:g} Å", (FAR, 1), (0, 3), color=colour, fontsize=8, **at)


def note(axes: Axes, x: float, side: Literal["left", "right"], text: str, height: float = 0.98) -> None:
    """A remark in a corner; x and height in parts of the plot."""
    at: Any = {"ha": side, "va": "top" if height > 0.5 else "bottom", "transform": axes.transAxes}
    axes.text(x, height, text, fontsize=8.5, linespacing=1.35, **at)


def handle(colour: str, *, marker: str = "", line: Any = "solid", label: str = "") -> Line2D:
    return Line2D([], [], color=colour, marker=marker, linestyle=line, label=label, markersize=5)
