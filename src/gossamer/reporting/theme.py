"""How pictures look.  Every colour has a role and one value for light and one for dark pages; a figure is drawn with
the light values and its SVG refers to the roles (`var(--kept, #0072b2)`), so a page recolours it without redrawing."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure

# Okabe and Ito's colour-blind-safe hues for meanings, plasma's path for amounts (weak to strong), muted hues for atoms.
LIGHT = {
    "ink": "#1b2430", "muted": "#5d6977", "rule": "#dfe3e8", "surface": "#ffffff", "page": "#f7f8fa",
    "kept": "#0072b2", "dropped": "#aab2bd", "chosen": "#d55e00", "full": "#4b5563",
    "random": "#b07d00", "shortest": "#008563", "limit": "#8d5a79", "local": "#2a9d8f",
    "heat-0": "#efbe4d", "heat-1": "#f89540", "heat-2": "#e66c5c", "heat-3": "#cc4778",
    "heat-4": "#a62098", "heat-5": "#7301a8", "heat-6": "#3f0f94",
    "atom-H": "#b9c0c9", "atom-C": "#56606c", "atom-N": "#3b68c9", "atom-O": "#d0382f", "atom-S": "#c29a1b",
    "atom-P": "#d9701f", "atom-halogen": "#3a9a4d", "atom-other": "#8e6bb0", "bond": "#8a94a0",
}  # fmt: skip
DARK = {
    "ink": "#e8ebef", "muted": "#9aa5b1", "rule": "#303944", "surface": "#171c23", "page": "#0f1318",
    "kept": "#56b4e9", "dropped": "#57616d", "chosen": "#ff9050", "full": "#a9b2bd",
    "random": "#e6ac2e", "shortest": "#2fc49b", "limit": "#d39cbc", "local": "#4cc9b8",
    "heat-0": "#6b2ba6", "heat-1": "#9c2fa8", "heat-2": "#c23f83", "heat-3": "#dd5e66",
    "heat-4": "#f1804d", "heat-5": "#fba63a", "heat-6": "#fbe36a",
    "atom-H": "#d7dce2", "atom-C": "#8b95a1", "atom-N": "#6f9cf5", "atom-O": "#f2665d", "atom-S": "#e0bd48",
    "atom-P": "#f0964b", "atom-halogen": "#64c278", "atom-other": "#b896d8", "bond": "#6d7783",
}  # fmt: skip
LEVELS = 7  # heat-0 (weak) ... heat-6 (strong)

_ROLE_OF = {value: role for role, value in LIGHT.items()}
_HALOGENS = ("F", "Cl", "Br", "I")

_STYLE: Any = {  # the keys are matplotlib's rcParams
    "svg.fonttype": "none", "svg.hashsalt": "gossamer", "text.parse_math": False,
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 9.5, "axes.labelsize": 9,
    "axes.titlelocation": "left", "axes.titlepad": 8,
    "axes.titlecolor": LIGHT["ink"], "axes.labelcolor": LIGHT["muted"],
    "axes.edgecolor": LIGHT["rule"], "axes.linewidth": 1.0, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": LIGHT["rule"], "grid.linewidth": 0.6,
    "xtick.color": LIGHT["rule"], "ytick.color": LIGHT["rule"], "xtick.labelcolor": LIGHT["muted"],
    "ytick.labelcolor": LIGHT["muted"], "xtick.labelsize": 8.5, "ytick.labelsize": 8.5, "text.color": LIGHT["ink"],
    "legend.frameon": False, "legend.fontsize": 8.5, "legend.handlelength": 1.9, "legend.borderaxespad": 0.2,
    "lines.linewidth": 1.6, "lines.markersize": 4.5, "figure.facecolor": "none", "axes.facecolor": "none",
    "savefig.facecolor": "none", "path.simplify": False,
}  # fmt: skip


def atom_role(symbol: str) -> str:
    """The colour role of a chemical element."""
    if f"atom-{symbol}" in LIGHT:
        return f"atom-{symbol}"
    return "atom-halogen" if symbol in _HALOGENS else "atom-other"


def atom_colour(symbol: str) -> str:
    """The light value of a chemical element's colour."""
    return LIGHT[atom_role(symbol)]


def heat(level: int) -> str:
    """The light value of a colour for an amount: 0 (weak) to LEVELS - 1 (strong)."""
    return LIGHT[f"heat-{level}"]


@contextmanager
def style() -> Iterator[None]:
    """Draw in this style whatever the user's matplotlibrc says; the settings are put back afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def svg(figure: Figure, name: str, label: str) -> str:
    """A figure as an SVG element: same figure, same bytes; text stays text; colours are roles; no outside names.

    `name` keeps the ids of several figures on one page apart, `label` is read out instead of the picture.
    """
    buffer = io.StringIO()
    with style(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    body = buffer.getvalue().partition("<svg")[2].partition(">")[2]
    width, height = (72 * side for side in figure.get_size_inches())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'stroke-linejoin="round" aria-label="{escape(label)}">{_tidy(body)}'
    )


def _tidy(body: str) -> str:
    """Matplotlib's SVG without its metadata, page-wide style, layout ids, own fonts and needless digits."""
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'\s+id="[A-Za-z0-9]+(?:\.[a-z]+)?_\d+"', "", body)
    body = re.sub(r"(font: [^;\"]*?)'DejaVu Sans'[^;\"]*", r"\1var(--font, sans-serif)", body)
    body = re.sub(r'\b(?:d|x|y|points|transform)="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), body)
    body = re.sub(r'style="[^"]*"', lambda m: re.sub(r"#[0-9a-f]{6}\b", _role_reference, m[0]), body)
    body = re.sub(r"M (\S+) (\S+) \nL \1 \2 \n", r"M\1 \2h0\n", body)  # a dot: a line of no length with round ends
    body = body.replace("xlink:href", "href").replace("<defs>\n </defs>", "")
    return re.sub(r"\s*\n\s*", "\n", body)


def _role_reference(match: re.Match[str]) -> str:
    role = _ROLE_OF.get(match[0])
    return f"var(--{role}, {match[0]})" if role else match[0]


def css_variables() -> str:
    """The roles as CSS custom properties, for light pages, dark pages and paper."""

    def rule(colours: dict[str, str]) -> str:
        return ":root{" + "".join(f"--{role}:{value};" for role, value in colours.items()) + "}"

    return f"{rule(LIGHT)}\n@media screen and (prefers-color-scheme: dark){{{rule(DARK)}}}"
