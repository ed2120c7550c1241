"""The sections of a report: pictures with captions, the viewer, tables.  An empty body means nothing to show."""

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from gossamer.reporting import figures
from gossamer.reporting.captions import CAPTIONS
from gossamer.reporting.markup import Html, element, join, prose, table
from gossamer.reporting.molecule import View
from gossamer.reporting.reading import LOCAL, Record, as_list, get, is_local, is_number, tested_on
from gossamer.reporting.theme import LEVELS, svg
from gossamer.reporting.words import KCAL, MEV, count_of, digits, entry, mev, words

_GROUPS = ("full", "quantiles", "refined", "chosen", "random", "shortest")
_NAMES = {
    "n_frames": "frames in the source", "duplicates_removed": "duplicates removed", "n_train": "training structures",
    "n_valid": "validation structures", "n_test": "test structures", "n_atoms": "atoms",
    "order": "permutations used", "found": "permutations found",
}  # fmt: skip


class Section(NamedTuple):
    """A titled part of the page."""

    title: str
    intro: str
    body: Html


# Sections --------------------------------------------------------------------------------------------------------


def accuracy(record: Record) -> Section:
    """How the error grows as pairs go, ours against the rivals, and where the choice was made."""
    plots = _grid(
        _figure("rmse", figures.accuracy(record)),
        _figure("mae", figures.accuracy(record, "force_mae", "Force MAE, meV/Å")),
        _figure("choice", figures.choice(record)),
        _figure("cost", figures.cost(record)),
    )
    return Section("How many pairs are needed", _rivals(record), plots)


def web(record: Record) -> Section:
    """The kept pairs on the molecule: 3D where the browser can, flat elsewhere and on paper."""
    view, flat = View.of(record.get("geometry")), figures.web(record)
    if view is None or flat is None:
        return Section("", "", Html(""))
    kept = [pair for pair in record.get("pairs") or () if pair.get("kept")]
    near = all(is_local(pair) for pair in kept)
    caption, label = CAPTIONS["molecule" if not kept else "web-near" if near else "web"]
    positions = json.dumps(np.round(view.positions, 3).tolist())
    stage = element("div", class_="stage", role="img", aria_label=f"In 3D: {label}", data_positions=positions)
    gestures = (
        f"drag to turn · click, then scroll or pinch to zoom · click an atom for its {'pairs' if kept else 'error'}"
    )
    frame = element("div", stage, element("p", gestures, class_="hint"), class_="frame")
    readout = element("p", class_="readout", aria_live="polite")
    below = element("div", readout, _ramp() if kept else None, class_="below")
    live = element("div", _controls(record, kept), frame, below, class_="live", hidden=True)
    still = element("div", Html(svg(flat, "web", label)), class_="flat")
    body = element("figure", live, still, element("figcaption", prose(caption)))
    return Section("The web on the molecule" if kept else "The molecule", "", body)


def which_pairs(record: Record) -> Section:
    """Relevance and distance of the pairs."""
    near = all(is_local(pair) for pair in record.get("pairs") or ())
    plots = _grid(
        _figure("relevance-near" if near else "relevance", figures.relevance(record)),
        _figure("distances", figures.distances(record)),
    )
    intro = "The relevance of a pair is the root mean square change of the full model's forces when it is masked."
    return Section("Which pairs they are", intro + _rank(record), plots)


def predictions(record: Record) -> Section:
    """Parity and errors of forces and energies."""
    names = [name for name in ("full", "chosen") if record.get(name)]
    rows = []
    for quantity in ("forces", "energies"):
        plots = [_figure(f"{quantity}-{name}", figures.parity(record, quantity, name)) for name in names]
        plots.append(_figure(f"{quantity}-errors", figures.error_distribution(record, quantity)))
        rows.append(_grid(*plots, kind="grid three" if len(names) == 2 else "grid"))
    return Section("How good the predictions are", "", join(rows))


def atoms(record: Record) -> Section:
    """Errors atom by atom."""
    plots = _grid(_figure("per-atom", figures.per_atom(record)), _figure("atom-map", figures.atom_map(record)))
    return Section("Where the errors sit", "", plots)


def training(record: Record) -> Section:
    """Convergence and the search for the length scale."""
    plots = _grid(
        _figure("convergence", figures.convergence(record)), _figure("lengths", figures.length_search(record))
    )
    return Section("How the training went", "", plots)


def models(record: Record) -> Section:
    """Every model's numbers."""
    rows = [(group, model) for group in _GROUPS for model in as_list(record.get(group))]
    columns = [(title, show) for title, show in _COLUMNS if any(show(model) for _, model in rows)]
    cells = [[str(model.get("label") or group), *(show(model) or "–" for _, show in columns)] for group, model in rows]
    chosen = next((k for k, (group, _) in enumerate(rows) if group == "chosen"), -1)
    intro = "Qn is the model without the n % least relevant pairs." if record.get("quantiles") else ""
    head = ["Model", *(title for title, _ in columns)]
    body = table(f"Force errors on {tested_on(record)}", head, cells, chosen)
    return Section("All models" if len(rows) > 1 else "The model", intro, body)


def details(record: Record) -> Section:
    """Command, data, settings, symmetry, machine, and the record to take away."""
    command = record.get("command")
    tables = []
    for group in ("data", "settings", "symmetry", "machine"):
        rows = [(_NAMES.get(key, words(key)), entry(key, value)) for key, value in (record.get(group) or {}).items()]
        tables.append(table(group.capitalize(), [], rows) if rows else None)
    link = element(
        "a", "Download the record (JSON)", id="download", class_="download", download="record.json", hidden=True
    )
    return Section(
        "Details",
        "All that is needed to make these numbers again." if command else "",
        join([element("pre", element("code", command)) if command else None, _grid(*tables, kind="grid facts"), link]),
    )


# Parts of sections -----------------------------------------------------------------------------------------------


def _rivals(record: Record) -> str:
    """One sentence that compares the chosen model with other selections of about its size."""
    chosen, said = record["chosen"], []
    for group, name in (("random", "random pairs"), ("shortest", "shortest pairs")):
        usable = [m for m in record.get(group) or () if is_number(m.get("pairs")) and is_number(m.get("force_rmse"))]
        if usable:
            near = min(usable, key=lambda model: abs(model["pairs"] - chosen["pairs"]))
            said.append(f"{near['pairs']:,} {name} give {mev(near['force_rmse'])}")
    ours = f"The {chosen['pairs']:,} most relevant pairs give a force RMSE of {mev(chosen['force_rmse'])}"
    return f"{ours}; {' and '.join(said)}." if said else f"{ours}."


def _rank(record: Record) -> str:
    """One sentence on whether the kept distances fix the geometry."""
    needed, reached, added = (get(record, "rank", key) for key in ("needed", "reached", "added_orbits"))
    if not is_number(needed) or not is_number(reached):
        return ""
    back = f", after {count_of(added, 'set')} of equivalent pairs had been put back" if added else ""
    return f" The kept distances fix {reached} of {needed} internal degrees of freedom{back}."


def _controls(record: Record, kept: list[Record]) -> Html:
    parts: list[Html] = []
    if kept:
        near = sum(is_local(pair) for pair in kept)
        slider = element("input", type="range", name="count", min=0, max=len(kept), value=len(kept), step=1)
        parts = [
            element("label", "Strongest pairs", slider, element("output", len(kept)), class_="slider"),
            _checkbox("near", f"below {LOCAL:g} Å ({near})"),
            _checkbox("far", f"beyond {LOCAL:g} Å ({len(kept) - near})"),
        ]
    if get(record, "per_atom", "force_mae"):
        options = element("option", "element", value="element"), element("option", "force error", value="error")
        parts.append(element("label", "Colour atoms by", element("select", *options, name="colour")))
    parts.append(element("button", "Reset view", type="button", name="reset"))
    return element("div", *parts, class_="controls")


def _checkbox(name: str, text: str) -> Html:
    return element("label", element("input", type="checkbox", name=name, checked=True), text)


def _ramp() -> Html:
    steps = [element("i", style=f"background:var(--heat-{level})") for level in range(LEVELS)]
    return element("span", "weak", *steps, "strong", class_="ramp")


def _figure(name: str, figure: Figure | None) -> Html | None:
    """A picture under its name in CAPTIONS; None when there is no picture."""
    if figure is None:
        return None
    caption, label = CAPTIONS[name]
    return element("figure", Html(svg(figure, name, label)), element("figcaption", prose(caption)))


def _grid(*items: Html | None, kind: str = "grid") -> Html:
    shown = [item for item in items if item]
    return element("div", *shown, class_=kind) if shown else Html("")


def _scaled(key: str, factor: float) -> Callable[[Record], str]:
    return lambda model: digits(model[key] * factor) if is_number(model.get(key)) else ""


def _plain(key: str) -> Callable[[Record], str]:
    return lambda model: f"{model[key]:,}" if is_number(model.get(key)) else ""


_COLUMNS: tuple[tuple[str, Callable[[Record], str]], ...] = (
    ("pairs", _plain("pairs")),
    ("below 5 Å", _plain("pairs_below_5A")),
    ("above 5 Å", _plain("pairs_above_5A")),
    ("longest, Å", _scaled("longest_A", 1)),
    ("MAE, meV/Å", _scaled("force_mae", MEV)),
    ("RMSE, meV/Å", _scaled("force_rmse", MEV)),
    ("MAE, kcal/mol/Å", _scaled("force_mae", KCAL)),
    ("RMSE, kcal/mol/Å", _scaled("force_rmse", KCAL)),
    ("energy MAE, meV", _scaled("energy_mae", MEV)),
    ("length", _scaled("length", 1)),
    ("seconds", _scaled("seconds", 1)),
    ("iterations", _plain("iterations")),
    ("residual, meV/Å", _scaled("residual", MEV)),
    ("status", lambda model: str(model.get("status") or "")),
)
