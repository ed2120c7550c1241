"""What a report says first: headline, key numbers and the order of its sections, for each kind of record."""

from typing import NamedTuple

from gossamer.records.record import Record, ReduceRecord, TrainRecord
from gossamer.reporting import sections
from gossamer.reporting.markup import Html, element, formula, join
from gossamer.reporting.reading import (
    FAR,
    PARTS,
    far_terms,
    fixed_pairs,
    limit,
    size,
    tested_on,
)
from gossamer.reporting.sections import Section
from gossamer.reporting.words import KCAL, MEV, count_of, digits, duration, listed, mev, when


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


def reduce_page(record: ReduceRecord) -> Page:
    """How few pairs keep the accuracy, which they are, and how good the models are."""
    parts = (
        sections.accuracy, sections.web, sections.which_pairs, sections.makeup, sections.predictions, sections.atoms,
        sections.models, sections.details,
    )  # fmt: skip
    return _page(record, _reduce_headline(record), _reduce_tiles(record), [part(record) for part in parts])


def train_page(record: TrainRecord) -> Page:
    """How good the model is and how the training went."""
    trained = count_of(record.data.n_train, "structure") if record.data.n_train else ""
    errors = f"force MAE {digits(record.full.force_mae * MEV)} and RMSE {mev(record.full.force_rmse)}"
    headline = f"Trained on {trained}: {errors}." if trained else f"Trained: {errors}."
    parts = (
        sections.makeup, sections.training, sections.predictions, sections.atoms, sections.web, sections.models,
        sections.details,
    )  # fmt: skip
    return _page(record, headline, _train_tiles(record), [part(record) for part in parts])


def _page(record: Record, headline: str, tiles: list[Tile], parts: list[Section]) -> Page:
    made = [when(record.created), f"gossamer {record.version}" if record.version else ""]
    made = [part for part in made if part]
    footer = "This page holds its data and its viewer; it loads nothing from the network."
    return Page(
        subject=record.data.name or "unnamed molecule",
        headline=headline,
        lead=_lead(record),
        tiles=tiles,
        sections=[part for part in parts if part.body],
        footer=f"Made {' with '.join(made)}. {footer}" if made else footer,
    )


def _lead(record: Record) -> Html:
    """Which molecule, which reference method, how many structures."""
    data = record.data
    parts: list[object] = [element("strong", data.name or "A molecule")]
    inside = [formula(data.formula)] if data.formula else []
    atoms = count_of(data.n_atoms, "atom") if data.n_atoms else ""
    if inside or atoms:
        parts += [" (", *inside, ", " if inside and atoms else "", atoms, ")"]
    parts += [", ", data.theory] if data.theory else []
    counts = ((data.n_train, "train"), (data.n_valid, "valid"), (data.n_test, "test"))
    sizes = [f"{count:,} {PARTS[part]}" for count, part in counts if count]
    parts += [". ", listed(sizes), " structures"] if sizes else []
    return join([*parts, f". Errors are on {tested_on(record)}."])


def _reduce_headline(record: ReduceRecord) -> str:
    full, chosen = record.full, record.chosen
    rmse = f"force RMSE {mev(chosen.force_rmse)}"
    fixed, whole = fixed_pairs(record), (size(record, chosen) or 0) >= (size(record, full) or 0)
    if fixed:
        return f"{_terms_result(record, fixed, whole)}: {rmse}{_beside_full(record, whole)}."
    if whole:
        return f"All {full.pairs:,} pairs are needed: {rmse}, and no smaller set stays within the tolerance."
    start = f"{chosen.pairs:,} of {full.pairs:,} pairs{' keep the accuracy' if _keeps(record) else ''}"
    return f"{start}: {rmse} instead of {digits(full.force_rmse * MEV)}."


def _terms_result(record: ReduceRecord, fixed: int, whole: bool) -> str:
    """How many pairs that no local term sees are left beside the `fixed` ones of the local terms."""
    kept, every = record.chosen.pairs - fixed, record.full.pairs - fixed
    inside, keeps = record.chosen.global_pairs, _keeps(record)
    beside = f"{fixed:,} local ones, which are fixed"
    if every <= 0:
        return f"All {fixed:,} pairs are local; of those in {far_terms(record)} {_far_part(record, whole)}"
    if kept >= every:
        seen = "" if whole or inside is None else f", though {inside:,} pairs would do in {far_terms(record)}"
        return f"All {every:,} non-local pairs are needed beside {beside}{seen}"
    if kept <= 0:
        left = "is needed" if keeps else "is kept"
        return f"None of the {every:,} non-local pairs {left} beside {beside}"
    return f"{kept:,} of {every:,} non-local pairs{' keep the accuracy' if keeps else ''} beside {beside}"


def _far_part(record: ReduceRecord, whole: bool) -> str:
    inside, every = record.chosen.global_pairs, record.full.global_pairs
    if whole or inside is None or every is None:
        return "every one is needed"
    return f"{inside:,} of {every:,} are kept" if inside else "none is needed"


def _beside_full(record: ReduceRecord, whole: bool) -> str:
    if whole:
        return ", and no smaller set stays within the tolerance"
    return f" instead of {digits(record.full.force_rmse * MEV)}"


def _keeps(record: ReduceRecord) -> bool:
    """Whether the chosen model's error on the structures shown is within the tolerance too."""
    most = limit(record, "force_rmse")
    return most is None or record.chosen.force_rmse <= max(most, record.full.force_rmse)


def _kept_tiles(record: ReduceRecord) -> list[Tile]:
    """How many pairs are kept; beside local terms, of those that none of them sees."""
    full, chosen, fixed, atoms = record.full, record.chosen, fixed_pairs(record), record.data.n_atoms
    if not fixed:
        share = 100 * chosen.pairs / max(full.pairs, 1)
        return [Tile("Pairs kept", f"{share:.0f}", "%", f"{chosen.pairs:,} of {full.pairs:,}")]
    kept, every = chosen.pairs - fixed, full.pairs - fixed
    if every <= 0 and chosen.global_pairs is not None:
        return [Tile(f"Pairs in {far_terms(record)}", f"{chosen.global_pairs:,}", f"of {fixed:,}", "all are local too")]
    per_atom = f"\n{digits(kept / atoms, 2)} an atom" if atoms else ""
    local = f"{digits(fixed / atoms, 2)} an atom" if atoms else ""
    return [
        Tile("Non-local pairs kept", f"{kept:,}", f"of {every:,}", f"no local term sees them{per_atom}"),
        Tile("Local pairs, fixed", f"{fixed:,}", "", local),
    ]


def _reduce_tiles(record: ReduceRecord) -> list[Tile]:
    full, chosen = record.full, record.chosen
    tiles = [
        *_kept_tiles(record),
        _error_tile("Force RMSE", chosen.force_rmse, full.force_rmse),
        _error_tile("Force MAE", chosen.force_mae, full.force_mae),
    ]
    if chosen.pairs_above_5A is not None:
        below = "" if chosen.pairs_below_5A is None else f"{chosen.pairs_below_5A:,} below"
        longest = "" if chosen.longest_A is None else f"longest {digits(chosen.longest_A)} Å"
        note = "\n".join(part for part in (below, longest) if part)
        tiles.append(Tile(f"Kept beyond {FAR:g} Å", f"{chosen.pairs_above_5A:,}", "pairs", note))
    if chosen.pairs_per_atom is not None:
        whole = "" if full.pairs_per_atom is None else f"full model {digits(full.pairs_per_atom)}"
        tiles.append(Tile("Pairs per atom", digits(chosen.pairs_per_atom, 2), "", whole))
    return tiles + _time_tile(record)


def _train_tiles(record: TrainRecord) -> list[Tile]:
    model = record.full
    tiles = [_error_tile("Force RMSE", model.force_rmse), _error_tile("Force MAE", model.force_mae)]
    if model.energy_mae is not None:
        tiles.append(
            Tile("Energy MAE", digits(model.energy_mae * MEV), "meV", f"{digits(model.energy_mae * KCAL)} kcal/mol")
        )
    atoms = count_of(record.data.n_atoms, "atom") if record.data.n_atoms else ""
    local = f"{model.local_pairs:,} in local terms" if model.local_pairs else ""
    tiles.append(Tile("Pairs", f"{model.pairs:,}", "", "\n".join(note for note in (atoms, local) if note)))
    if model.iterations is not None:
        residual = "" if model.residual is None else f"residual {mev(model.residual)}"
        tiles.append(Tile("Iterations", f"{model.iterations:,}", "", residual))
    return tiles + _time_tile(record)


def _error_tile(label: str, error: float, full: float | None = None) -> Tile:
    beside = "" if full is None else f"\nfull model {digits(full * MEV)}"
    return Tile(label, digits(error * MEV), "meV/Å", f"{digits(error * KCAL)} kcal/mol/Å{beside}")


def _time_tile(record: Record) -> list[Tile]:
    cores = count_of(record.machine.cores, "core")
    return [] if record.seconds is None else [Tile("Total time", duration(record.seconds), "", cores)]
