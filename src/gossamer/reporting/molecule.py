"""The molecule and its web of pairs in the plane, for pages without WebGL and for paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.patches import Circle, PathPatch, Rectangle
from matplotlib.path import Path as Outline

from gossamer.records.parts import Geometry, Pair
from gossamer.reporting.theme import LEVELS, LIGHT, heat

_RADIUS = {"H": 0.17, "C": 0.27, "N": 0.27, "O": 0.27}
_OTHER_RADIUS = 0.32
MOST = 500  # threads that a picture shows at once; more of them hide each other


@dataclass(frozen=True)
class View:
    """A molecule seen along the axis in which it is thinnest, its longest axis level.

    symbols (N,); positions (N, 3) Angstrom, turned: x to the right, y up, z towards the reader;
    bonds: pairs of atoms."""

    symbols: list[str]
    positions: np.ndarray
    bonds: list[tuple[int, int]]

    @property
    def points(self) -> np.ndarray:
        """Where the atoms are in the plane, (N, 2) Angstrom."""
        return self.positions[:, :2]

    @classmethod
    def of(cls, geometry: Geometry) -> "View | None":
        """The view of a record's geometry; None when there is none."""
        if not geometry.symbols:
            return None
        positions = np.array(geometry.positions, float)
        centred = positions - positions.mean(axis=0)
        axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
        axes *= np.where(axes[np.abs(axes).argmax(axis=0), range(3)] < 0, -1, 1)
        axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])  # a rotation, not its mirror image
        return cls([symbol[:3] for symbol in geometry.symbols], centred @ axes, list(geometry.bonds))


def levels(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Colour levels 0 to LEVELS - 1 of values between `low` and `high`; all the middle one when these are equal."""
    if not high > low:
        return np.full(len(values), LEVELS // 2)
    level: np.ndarray = np.floor((values - low) / (high - low) * LEVELS).astype(int)
    return level.clip(0, LEVELS - 1)


def pair_levels(scores: np.ndarray) -> np.ndarray:
    """Colour levels of relevance scores, on a logarithmic scale from the weakest to the strongest positive one."""
    positive = scores[scores > 0]
    if not len(positive):
        return np.full(len(scores), LEVELS // 2)
    logs = np.log(np.maximum(scores, positive.min()))
    return levels(logs, float(logs.min()), float(logs.max()))


def threads(axes: Axes, view: View, pairs: Sequence[Pair]) -> None:
    """The MOST strongest pairs as threads, the weak ones thin and below; one path per level keeps the file small."""
    pairs = [pair for pair in pairs if max(pair.i, pair.j) < len(view.symbols)]
    if not pairs:
        return
    scores = np.array([pair.score or 0.0 for pair in pairs], float)
    strongest = np.argsort(-scores, kind="stable")[:MOST]
    strength = pair_levels(scores)[strongest]
    ends = np.array([[pair.i, pair.j] for pair in pairs])[strongest]
    thinning = min(1.0, (400 / len(ends)) ** 0.5)
    for level in range(LEVELS):
        chosen = view.points[ends[strength == level]].reshape(-1, 2)
        if len(chosen):
            outline = Outline(chosen, [Outline.MOVETO, Outline.LINETO] * (len(chosen) // 2))
            width = (0.5 + 0.28 * level) * thinning
            axes.add_patch(
                PathPatch(
                    outline, fill=False, edgecolor=heat(level), linewidth=width, alpha=0.5 + 0.06 * level, zorder=1
                )
            )


def plain_threads(axes: Axes, view: View, pairs: Sequence[Pair], colour: str) -> None:
    """The pairs as thin threads of one colour, below all others, in one path."""
    ends = np.array([[pair.i, pair.j] for pair in pairs if max(pair.i, pair.j) < len(view.symbols)])
    if not len(ends):
        return
    outline = Outline(view.points[ends].reshape(-1, 2), [Outline.MOVETO, Outline.LINETO] * len(ends))
    axes.add_patch(PathPatch(outline, fill=False, edgecolor=colour, linewidth=0.6, alpha=0.5, zorder=0.9))


def draw(axes: Axes, view: View, colours: Sequence[str], size: float = 1.0) -> None:
    """Atoms and bonds, the near ones over the far ones; fills the axes and hides their frame."""
    segments = [view.points[list(bond)] for bond in view.bonds]
    axes.add_collection(LineCollection(segments, colors=LIGHT["bond"], linewidths=2.2, capstyle="round", zorder=2))
    order = np.argsort(view.positions[:, 2], kind="stable")
    circles = [Circle(tuple(view.points[k]), size * _RADIUS.get(view.symbols[k], _OTHER_RADIUS)) for k in order]
    axes.add_collection(
        PatchCollection(
            circles, facecolors=[colours[k] for k in order], edgecolors=LIGHT["surface"], linewidths=0.8, zorder=3
        )
    )
    low, high = view.points.min(axis=0) - 0.8, view.points.max(axis=0) + 0.8
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.axis("off")


def scale(axes: Axes, low: str, high: str, above: str = "") -> None:
    """A small colour scale under the picture, named at both ends."""
    width, height, bottom = 0.026, 0.03, -0.09
    left = 0.5 - width * LEVELS / 2
    for level in range(LEVELS):
        corner = (left + level * width, bottom)
        axes.add_patch(
            Rectangle(corner, width, height, color=heat(level), linewidth=0, transform=axes.transAxes, clip_on=False)
        )
    middle = bottom + height / 2
    text: dict[str, Any] = {"transform": axes.transAxes, "va": "center", "fontsize": 8.5, "color": LIGHT["muted"]}
    axes.text(left - 0.015, middle, low, ha="right", **text)
    axes.text(1 - left + 0.015, middle, high, ha="left", **text)
    if above:
        axes.text(0.0, middle, above, ha="left", **text)


def remark(axes: Axes, text: str, colour: str) -> None:
    """A few words under the picture on the right, in the colour they are about."""
    at: Any = {"transform": axes.transAxes, "ha": "right", "va": "center", "fontsize": 8.5, "weight": "bold"}
    axes.text(1.0, -0.075, text, color=colour, **at)
