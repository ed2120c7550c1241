"""What a report says first: headline, key numbers and the order of its sections, for each kind of record."""

from typing import NamedTuple

from gossamer.reporting import sections
from gossamer.reporting.markup import Html, element, formula, join
from gossamer.reporting.reading import LOCAL, Record, get, is_number, limit, tested_on
from gossamer.reporting.sections import Section
from gossamer.reporting.words import KCAL, MEV, count_of, digits, duration, listed, mev, when

_SPLIT = (("n_train", "training"), ("n_valid", "validation"), ("n_test", "test"))


class Tile(NamedTuple):
    """One key number."""

    label: str
    value: str
    unit: str = ""
    note: str = ""


class Page(NamedTuple):
    """Everything a report says."""

    subject: str
    headline: str
    lead: Html
    tiles: list[Tile]
    sections: list[Section]
    footer: str


def reduce_page(record: Record) -> Page:
    """How few pairs keep the accuracy, which they are, and how good the models are."""
    parts = (
        sections.accuracy, sections.web, sections.which_pairs, sections.predictions, sections.atoms,
        sections.models, sections.details,
    )  # fmt: skip
    return _page(record, _reduce_headline(record), _reduce_tiles(record), [part(record) for part in parts])


def train_page(record: Record) -> Page:
    """How good the model is and how the training went."""
    model = record["full"]
    trained = count_of(get(record, "data", "n_train"), "structure")
    errors = f"force MAE {digits(model['force_mae'] * MEV)} and RMSE {mev(model['force_rmse'])}"
    headline = f"Trained on {trained}: {errors}." if trained else f"Trained: {errors}."
    parts = (
        sections.training, sections.predictions, sections.atoms, sections.web, sections.models, sections.details,
    )  # fmt: skip
    return _page(record, headline, _train_tiles(record), [part(record) for part in parts])


def _page(record: Record, headline: str, tiles: list[Tile], parts: list[Section]) -> Page:
    made = [when(record.get("created")), f"gossamer {record['version']}" if record.get("version") else ""]
    made = [part for part in made if part]
    footer = "This page holds its data and its viewer; it loads nothing from the network."
    return Page(
        subject=str(get(record, "data", "name") or "unnamed molecule"),
        headline=headline,
        lead=_lead(record),
        tiles=tiles,
        sections=[part for part in parts if part.body],
        footer=f"Made {' with '.join(made)}. {footer}" if made else footer,
    )


def _lead(record: Record) -> Html:
    """Which molecule, which reference method, how many structures."""
    data = record.get("data") or {}
    parts: list[object] = [element("strong", data.get("name") or "A molecule")]
    inside = [data["formula"] and formula(data["formula"])] if data.get("formula") else []
    atoms = count_of(data.get("n_atoms"), "atom")
    if inside or atoms:
        parts += [" (", *inside, ", " if inside and atoms else "", atoms, ")"]
    parts += [", ", data["theory"]] if data.get("theory") else []
    sizes = [f"{data[key]:,} {name}" for key, name in _SPLIT if is_number(data.get(key)) and data[key]]
    parts += [". ", listed(sizes), " structures"] if sizes else []
    return join([*parts, f". Errors are on {tested_on(record)}."])


def _reduce_headline(record: Record) -> str:
    full, chosen = record["full"], record["chosen"]
    rmse = f"force RMSE {mev(chosen['force_rmse'])}"
    if chosen["pairs"] >= full["pairs"]:
        return f"All {full['pairs']:,} pairs are needed: {rmse}, and no smaller set stays within the tolerance."
    most = limit(record, "force_rmse")
    keeps = most is None or chosen["force_rmse"] <= max(most, full["force_rmse"])
    start = f"{chosen['pairs']:,} of {full['pairs']:,} pairs{' keep the accuracy' if keeps else ''}"
    return f"{start}: {rmse} instead of {digits(full['force_rmse'] * MEV)}."


def _reduce_tiles(record: Record) -> list[Tile]:
    full, chosen = record["full"], record["chosen"]
    share = 100 * chosen["pairs"] / max(full["pairs"], 1)
    tiles = [
        Tile("Pairs kept", f"{share:.0f}", "%", f"{chosen['pairs']:,} of {full['pairs']:,}"),
        _error_tile("Force RMSE", chosen, "force_rmse", full),
        _error_tile("Force MAE", chosen, "force_mae", full),
    ]
    if is_number(chosen.get("pairs_above_5A")):
        below = f"{chosen['pairs_below_5A']:,} below" if is_number(chosen.get("pairs_below_5A")) else ""
        longest = f"longest {digits(chosen['longest_A'])} Å" if is_number(chosen.get("longest_A")) else ""
        note = "\n".join(part for part in (below, longest) if part)
        tiles.append(Tile(f"Kept beyond {LOCAL:g} Å", f"{chosen['pairs_above_5A']:,}", "pairs", note))
    if is_number(chosen.get("pairs_per_atom")):
        whole = f"full model {digits(full['pairs_per_atom'])}" if is_number(full.get("pairs_per_atom")) else ""
        tiles.append(Tile("Pairs per atom", digits(chosen["pairs_per_atom"], 2), "", whole))
    return tiles + _time_tile(record)


def _train_tiles(record: Record) -> list[Tile]:
    model = record["full"]
    tiles = [_error_tile("Force RMSE", model, "force_rmse"), _error_tile("Force MAE", model, "force_mae")]
    if is_number(model.get("energy_mae")):
        energy = model["energy_mae"]
        tiles.append(Tile("Energy MAE", digits(energy * MEV), "meV", f"{digits(energy * KCAL)} kcal/mol"))
    tiles.append(Tile("Pairs", f"{model['pairs']:,}", "", count_of(get(record, "data", "n_atoms"), "atom")))
    if is_number(model.get("iterations")):
        residual = f"residual {mev(model['residual'])}" if is_number(model.get("residual")) else ""
        tiles.append(Tile("Iterations", f"{model['iterations']:,}", "", residual))
    return tiles + _time_tile(record)


def _error_tile(label: str, model: Record, key: str, full: Record | None = None) -> Tile:
    beside = f"\nfull model {digits(full[key] * MEV)}" if full else ""
    return Tile(label, digits(model[key] * MEV), "meV/Å", f"{digits(model[key] * KCAL)} kcal/mol/Å{beside}")


def _time_tile(record: Record) -> list[Tile]:
    seconds = record.get("seconds")
    cores = count_of(get(record, "machine", "cores"), "core")
    return [Tile("Total time", duration(seconds), "", cores)] if is_number(seconds) else []
