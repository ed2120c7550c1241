"""What a report says first: headline, key numbers and the order of its sections, for each kind of record."""

from typing import NamedTuple

from gossamer.reporting import sections
from gossamer.reporting.markup import Html, element, formula, join
from gossamer.reporting.reading import (
    FAR,
    Record,
    fixed_pairs,
    get,
    get_number,
    is_number,
    limit,
    size_key,
    tested_on,
)
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
        sections.accuracy, sections.web, sections.which_pairs, sections.makeup, sections.predictions, sections.atoms,
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
        sections.makeup, sections.training, sections.predictions, sections.atoms, sections.web, sections.models,
        sections.details,
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
    fixed, size = fixed_pairs(record), size_key(record)
    whole = get_number(chosen, size, 0) >= get_number(full, size, 0)
    if fixed:
        return f"{_terms_result(record, fixed, whole)}: {rmse}{_beside_full(record, whole)}."
    if whole:
        return f"All {full['pairs']:,} pairs are needed: {rmse}, and no smaller set stays within the tolerance."
    keeps = _keeps(record)
    start = f"{chosen['pairs']:,} of {full['pairs']:,} pairs{' keep the accuracy' if keeps else ''}"
    return f"{start}: {rmse} instead of {digits(full['force_rmse'] * MEV)}."


def _terms_result(record: Record, fixed: int, whole: bool) -> str:
    """How many pairs that only the global term sees are left beside the `fixed` ones of the local terms."""
    kept, every = record["chosen"]["pairs"] - fixed, record["full"]["pairs"] - fixed
    inside, keeps = record["chosen"].get("global_pairs"), _keeps(record)
    beside = f"{fixed:,} local ones, which are fixed"
    if every <= 0:
        return f"All {fixed:,} pairs are local, and the global term {_global_part(record, whole)}"
    if kept >= every:
        seen = "" if whole or not is_number(inside) else f", though the global term needs only {inside:,} pairs"
        return f"All {every:,} non-local pairs are needed beside {beside}{seen}"
    if kept <= 0:
        left = "is needed" if keeps else "is kept"
        return f"None of the {every:,} non-local pairs {left} beside {beside}"
    return f"{kept:,} of {every:,} non-local pairs{' keep the accuracy' if keeps else ''} beside {beside}"


def _global_part(record: Record, whole: bool) -> str:
    inside, every = record["chosen"].get("global_pairs"), record["full"].get("global_pairs")
    if whole or not is_number(inside) or not is_number(every):
        return "needs every one"
    return f"keeps {inside:,} of its {every:,}" if inside else "is not needed"


def _beside_full(record: Record, whole: bool) -> str:
    if whole:
        return ", and no smaller set stays within the tolerance"
    return f" instead of {digits(record['full']['force_rmse'] * MEV)}"


def _keeps(record: Record) -> bool:
    """Whether the chosen model's error on the structures shown is within the tolerance too."""
    most, chosen, full = limit(record, "force_rmse"), record["chosen"]["force_rmse"], record["full"]["force_rmse"]
    return most is None or bool(chosen <= max(most, full))


def _kept_tiles(record: Record) -> list[Tile]:
    """How many pairs are kept; beside local terms, of those that only the global term sees."""
    full, chosen, fixed = record["full"], record["chosen"], fixed_pairs(record)
    if not fixed:
        share = 100 * chosen["pairs"] / max(full["pairs"], 1)
        return [Tile("Pairs kept", f"{share:.0f}", "%", f"{chosen['pairs']:,} of {full['pairs']:,}")]
    kept, every = chosen["pairs"] - fixed, full["pairs"] - fixed
    if every <= 0 and is_number(chosen.get("global_pairs")):
        return [Tile("Pairs in the global term", f"{chosen['global_pairs']:,}", f"of {fixed:,}", "all are local too")]
    atoms = get(record, "data", "n_atoms")
    per_atom = f"\n{digits(kept / atoms, 2)} an atom" if is_number(atoms) and atoms else ""
    local = f"{digits(fixed / atoms, 2)} an atom" if is_number(atoms) and atoms else ""
    return [
        Tile("Non-local pairs kept", f"{kept:,}", f"of {every:,}", f"only the global term sees them{per_atom}"),
        Tile("Local pairs, fixed", f"{fixed:,}", "", local),
    ]


def _reduce_tiles(record: Record) -> list[Tile]:
    full, chosen = record["full"], record["chosen"]
    tiles = [
        *_kept_tiles(record),
        _error_tile("Force RMSE", chosen, "force_rmse", full),
        _error_tile("Force MAE", chosen, "force_mae", full),
    ]
    if is_number(chosen.get("pairs_above_5A")):
        below = f"{chosen['pairs_below_5A']:,} below" if is_number(chosen.get("pairs_below_5A")) else ""
        longest = f"longest {digits(chosen['longest_A'])} Å" if is_number(chosen.get("longest_A")) else ""
        note = "\n".join(part for part in (below, longest) if part)
        tiles.append(Tile(f"Kept beyond {FAR:g} Å", f"{chosen['pairs_above_5A']:,}", "pairs", note))
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
    local = model.get("local_pairs")
    notes = [count_of(get(record, "data", "n_atoms"), "atom"), f"{local:,} in local terms" if local else ""]
    tiles.append(Tile("Pairs", f"{model['pairs']:,}", "", "\n".join(note for note in notes if note)))
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
