"""The sections of a report: pictures with captions, the viewer, tables.  An empty body means nothing to show."""

import json
from collections.abc import Callable
from dataclasses import fields
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from gossamer.records.parts import Data, Machine, Model, Pair, Settings, Symmetry, Term
from gossamer.records.record import Record, ReduceRecord, TrainRecord
from gossamer.reporting import figures, term_figures, terms
from gossamer.reporting.captions import CAPTIONS, Captions
from gossamer.reporting.chemistry import molecules
from gossamer.reporting.markup import Html, element, join, prose, table
from gossamer.reporting.molecule import MOST, View
from gossamer.reporting.reading import (
    FAR,
    Quantity,
    Which,
    by_global_term,
    far_terms,
    fixed_pairs,
    is_near,
    is_number,
    kept_pairs,
    size,
    tested_on,
)
from gossamer.reporting.theme import LEVELS, svg
from gossamer.reporting.words import KCAL, MEV, count_of, digits, entry, mev, words

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


def accuracy(record: ReduceRecord) -> Section:
    """How the error grows as pairs go, ours against the rivals, and where the choice was made."""
    plots = grid(
        picture("rmse", figures.accuracy(record)),
        picture("mae", figures.accuracy(record, "force_mae", "Force MAE, meV/Å")),
        picture("choice", figures.choice(record)),
        picture("cost", figures.cost(record)),
    )
    return Section("How many pairs are needed", _rivals(record), plots)


def web(record: Record) -> Section:
    """The kept pairs on the molecule: 3D where the browser can, flat elsewhere and on paper."""
    view, flat = View.of(record.geometry), figures.web(record)
    if view is None or flat is None:
        return Section("", "", Html(""))
    kept = kept_pairs(record)
    caption, label = CAPTIONS[_web_name(kept)]
    positions = json.dumps(np.round(view.positions, 3).tolist())
    stage = element("div", class_="stage", role="img", aria_label=f"In 3D: {label}", data_positions=positions)
    gestures = (
        f"drag to turn · click, then scroll or pinch to zoom · click an atom for its {'pairs' if kept else 'error'}"
    )
    frame = element("div", stage, element("p", gestures, class_="hint"), class_="frame")
    readout = element("p", class_="readout", aria_live="polite")
    ranked = any(not pair.local for pair in kept)
    below = element("div", readout, _ramp() if ranked else None, class_="below")
    live = element("div", _controls(record, kept), frame, below, class_="live", hidden=True)
    still = element("div", Html(svg(flat, "web", label)), class_="flat")
    body = element("figure", live, still, element("figcaption", prose(caption)))
    return Section("The web on the molecule" if kept else "The molecule", "", body)


def which_pairs(record: ReduceRecord) -> Section:
    """Relevance and distance of the pairs."""
    near = all(is_near(pair) for pair in record.pairs)
    name = "relevance-terms" if fixed_pairs(record) else "relevance-near" if near else "relevance"
    plots = grid(
        picture(name, figures.relevance(record)),
        picture("distances", figures.distances(record)),
    )
    where = f" in {far_terms(record)}" if fixed_pairs(record) else ""
    intro = (
        f"The relevance of a pair is the root mean square change of the full model's forces when it is masked{where}."
    )
    return Section("Which pairs they are", intro + _rank(record), plots)


def makeup(record: Record) -> Section:
    """The terms of the model, how they were chosen and what was learned."""
    if not terms.has_local_terms(record) and not terms.choice_sentence(record):
        return Section("", "", Html(""))
    plots = grid(
        picture("kinds" if terms.has_cheapest(record) else "kinds-sum", term_figures.kinds(record)),
        picture("weights", term_figures.weights(record)),
        picture("learning", term_figures.learning(record)),
    )
    body = join([_terms_table(record) if record.terms else None, _work_table(record), plots])
    said = [
        f"A sum of {terms.made_of(record)}." if len(record.terms) > 1 else "", terms.choice_sentence(record),
        terms.work_sentence(record),
    ]  # fmt: skip
    return Section("What the model is made of", " ".join(part for part in said if part), body)


def predictions(record: Record) -> Section:
    """Parity and errors of forces and energies."""
    names: list[Which] = ["full", "chosen"] if isinstance(record, ReduceRecord) else ["full"]
    rows = []
    quantities: tuple[Quantity, ...] = ("forces", "energies")
    for quantity in quantities:
        plots = [picture(f"{quantity}-{name}", figures.parity(record, quantity, name)) for name in names]
        plots.append(picture(f"{quantity}-errors", figures.error_distribution(record, quantity)))
        rows.append(grid(*plots, kind="grid three" if len(names) == 2 else "grid"))
    if isinstance(record, TrainRecord):
        rows.append(
            grid(*(picture(f"{quantity}-bars", figures.reliability(record, quantity)) for quantity in quantities))
        )
    return Section("How good the predictions are", "", join(rows))


def atoms(record: Record) -> Section:
    """Errors atom by atom."""
    plots = grid(picture("per-atom", figures.per_atom(record)), picture("atom-map", figures.atom_map(record)))
    return Section("Where the errors sit", "", plots)


def training(record: TrainRecord) -> Section:
    """Convergence, and the search for the length scale where it is that of the model."""
    lengths = None if terms.has_local_terms(record) else figures.length_search(record)
    plots = grid(picture("convergence", figures.convergence(record)), picture("lengths", lengths))
    return Section("How the training went", "", plots)


def models(record: Record) -> Section:
    """Every model's numbers."""
    reduced = record if isinstance(record, ReduceRecord) else None
    rows = [(record.full.label or "full", record.full)] if reduced is None else _named_models(reduced)
    columns = [(title, show) for title, show in _columns(record) if any(show(model) for _, model in rows)]
    cells = [[name, *(show(model) or "–" for _, show in columns)] for name, model in rows]
    chosen = -1 if reduced is None else len(reduced.by_relevance)
    intro = "Qn is the model without the n % least relevant pairs." if reduced and reduced.quantiles else ""
    head = ["Model", *(title for title, _ in columns)]
    body = table(f"Force errors on {tested_on(record)}", head, cells, chosen)
    return Section("All models" if len(rows) > 1 else "The model", intro, body)


def details(record: Record) -> Section:
    """Command, data, settings, symmetry, machine, and the record to take away."""
    command, tables = record.command, []
    for part in (record.data, record.settings, record.symmetry, record.machine):
        rows = [(_NAMES.get(key, words(key)), entry(key, value)) for key, value in _facts(part).items()]
        tables.append(table(type(part).__name__, [], rows) if rows else None)
    link = element(
        "a", "Download the record (JSON)", id="download", class_="download", download="record.json", hidden=True
    )
    return Section(
        "Details",
        "All that is needed to make these numbers again." if command else "",
        join([element("pre", element("code", command)) if command else None, grid(*tables, kind="grid facts"), link]),
    )


# Parts of sections -----------------------------------------------------------------------------------------------


def _named_models(record: ReduceRecord) -> list[tuple[str, Model]]:
    """Every model of a reduction under its name, the chosen one once more after those it was chosen from."""
    said = record.chosen.label
    chosen = (f"chosen: {said}" if said and said != "chosen" else "chosen", record.chosen)
    others = [*record.random, *record.shortest]
    return [*((m.label or "full", m) for m in record.by_relevance), chosen, *((m.label, m) for m in others)]


def _rivals(record: ReduceRecord) -> str:
    """One sentence that compares the chosen model with other selections of about its size."""
    chosen, said, inside = record.chosen, [], by_global_term(record)
    count, rmse = size(record, chosen), mev(chosen.force_rmse)
    if inside and count == 0:
        return f"The local terms alone give a force RMSE of {rmse}, as no other pairs are needed."
    if count is None:
        return ""
    for models, name in ((record.random, "random pairs"), (record.shortest, "shortest pairs")):
        sized = [(size(record, m), m) for m in models if is_number(m.force_rmse)]
        usable = [(n, m) for n, m in sized if n is not None]
        if usable:
            n, near = min(usable, key=lambda rival: abs(rival[0] - count))
            said.append(f"{n:,} {name} give {mev(near.force_rmse)}")
    where = f" in {far_terms(record)}, beside the local ones," if inside else ""
    ours = f"The {count:,} most relevant pairs{where} give a force RMSE of {rmse}"
    return f"{ours}; {' and '.join(said)}." if said else f"{ours}."


def _rank(record: ReduceRecord) -> str:
    """One sentence on whether the kept distances fix the geometry."""
    rank = record.rank
    if rank is None:
        return ""
    back = f", after {count_of(rank.added_orbits, 'set')} of equivalent pairs had been put back"
    internal = f"{rank.reached} of {rank.needed} internal degrees of freedom"
    return f" The kept distances fix {internal}{back if rank.added_orbits else ''}."


def _controls(record: Record, kept: list[Pair]) -> Html:
    parts: list[Html] = []
    others = [pair for pair in kept if not pair.local]
    if others:
        near = sum(is_near(pair) for pair in others)
        first = min(len(others), MOST)
        slider = element("input", type="range", name="count", min=0, max=len(others), value=first, step=1)
        name = "Strongest pairs" if len(others) == len(kept) else "Strongest non-local pairs"
        parts = [
            element("label", name, slider, element("output", first), class_="slider"),
            _checkbox("near", f"below {FAR:g} Å ({near})"),
            _checkbox("far", f"beyond {FAR:g} Å ({len(others) - near})"),
            *_between(record, others),
        ]
    if len(others) < len(kept):
        dot = element("i", class_="local")
        parts.append(_checkbox("local", join([dot, f"local, fixed ({len(kept) - len(others)})"])))
    if record.per_atom.force_mae:
        options = element("option", "element", value="element"), element("option", "force error", value="error")
        parts.append(element("label", "Colour atoms by", element("select", *options, name="colour")))
    parts.append(element("button", "Reset view", type="button", name="reset"))
    return element("div", *parts, class_="controls")


def _between(record: Record, pairs: list[Pair]) -> list[Html]:
    """The boxes for pairs inside molecules and between them, where there are several."""
    found = molecules(len(record.geometry.symbols), record.geometry.bonds)
    if len(set(found)) < 2:
        return []
    across = sum(found[pair.i] != found[pair.j] for pair in pairs if max(pair.i, pair.j) < len(found))
    return [
        _checkbox("inside", f"inside a molecule ({len(pairs) - across})"),
        _checkbox("across", f"between molecules ({across})"),
    ]


def _web_name(kept: list[Pair]) -> str:
    """Which caption fits the web of the kept pairs."""
    if any(pair.local for pair in kept):
        return "web-terms"
    return "molecule" if not kept else "web-near" if all(is_near(pair) for pair in kept) else "web"


def _terms_table(record: Record) -> Html:
    """A row per term."""
    head = ["Term", "around", "atoms", "pairs", "places", "exchanges", "kernel", "length, 1/Å", "prior variance, %"]
    rows = [_term_row(term, record) for term in record.terms]
    shown = [k for k in range(len(head)) if any(row[k] for row in rows)]
    cells = [[row[k] or "–" for k in shown] for row in rows]
    return table("Terms, and what each looks at", [head[k] for k in shown], cells)


def _work_table(record: Record) -> Html | None:
    """What a step costs, a row per kind of term."""
    rows: list[list[object]] = [[work.name, *(_count(number) for number in work[1:])] for work in terms.work(record)]
    if record.functions is not None:
        counts = (record.functions.classes, record.functions.pairs, None, record.functions.pairs, None)
        rows.append(["pair functions", *(_count(number) or "–" for number in counts)])
    head = ["Kind", "terms", "places", "rows", "evaluated", "numbers of rows read"]
    return table("What a step costs", head, rows) if rows else None


def _term_row(term: Term, record: Record) -> list[object]:
    reach = terms.reach_text(term)
    name = join([terms.spelled_term(term, record), f" {reach}" if reach else None])
    counts = [_count(number) for number in (term.n_atoms, term.pairs, term.places, term.permutations)]
    percent = "" if term.prior_share is None else f"{100 * term.prior_share:.1f}"
    return [name, terms.centres(term, record), *counts, term.kernel, _digits(term.length), percent]


def _facts(part: Data | Settings | Symmetry | Machine) -> dict[str, object]:
    """What a part tells, by field; nothing where it is empty."""
    if part == type(part)():
        return {}
    found = {f.name: getattr(part, f.name) for f in fields(part)}
    return {key: value for key, value in found.items() if value not in (None, "", (), {})}


def _checkbox(name: str, text: str) -> Html:
    return element("label", element("input", type="checkbox", name=name, checked=True), text)


def _ramp() -> Html:
    steps = [element("i", style=f"background:var(--heat-{level})") for level in range(LEVELS)]
    return element("span", "weak", *steps, "strong", class_="ramp")


def picture(name: str, figure: Figure | None, captions: Captions = CAPTIONS) -> Html | None:
    """A picture under its name in `captions`; None when there is no picture."""
    if figure is None:
        return None
    caption, label = captions[name]
    return element("figure", Html(svg(figure, name, label)), element("figcaption", prose(caption)))


def grid(*items: Html | None, kind: str = "grid") -> Html:
    """Pictures or tables side by side."""
    shown = [item for item in items if item]
    return element("div", *shown, class_=kind) if shown else Html("")


def _digits(value: float | None, factor: float = 1) -> str:
    return digits(value * factor) if is_number(value) else ""


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _columns(record: Record) -> list[tuple[str, Callable[[Model], str]]]:
    """Of the table of models; beside local terms, which pairs are theirs matters too."""
    fixed = fixed_pairs(record)
    if not fixed:
        return list(_COLUMNS)
    others = ("non-local", lambda model: f"{model.pairs - fixed:,}")
    return [_COLUMNS[0], others, (f"in {far_terms(record)}", lambda model: _count(model.global_pairs)), *_COLUMNS[1:]]


_COLUMNS: tuple[tuple[str, Callable[[Model], str]], ...] = (
    ("pairs", lambda model: _count(model.pairs)),
    ("below 5 Å", lambda model: _count(model.pairs_below_5A)),
    ("above 5 Å", lambda model: _count(model.pairs_above_5A)),
    ("longest, Å", lambda model: _digits(model.longest_A)),
    ("MAE, meV/Å", lambda model: _digits(model.force_mae, MEV)),
    ("RMSE, meV/Å", lambda model: _digits(model.force_rmse, MEV)),
    ("MAE, kcal/mol/Å", lambda model: _digits(model.force_mae, KCAL)),
    ("RMSE, kcal/mol/Å", lambda model: _digits(model.force_rmse, KCAL)),
    ("energy MAE, meV", lambda model: _digits(model.energy_mae, MEV)),
    ("length", lambda model: _digits(model.length)),
    ("seconds", lambda model: _digits(model.seconds)),
    ("iterations", lambda model: _count(model.iterations)),
    ("residual, meV/Å", lambda model: _digits(model.residual, MEV)),
    ("status", lambda model: model.status),
)
