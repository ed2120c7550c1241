"""What records say: the numbers that pictures and pages look up, whatever a record leaves out."""

import math
from collections.abc import Iterable
from typing import Any, Literal, TypeGuard

import numpy as np

from gossamer.records.parts import Columns, Model, Pair, Term
from gossamer.records.record import Record, ReduceRecord

FAR = 5.0  # Angstrom: pairs longer than this are called far
PARTS = {"test": "test", "valid": "validation", "train": "training"}

ErrorKey = Literal["force_rmse", "force_mae", "valid_force_rmse"]
Quantity = Literal["forces", "energies"]
Which = Literal["full", "chosen"]


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a finite number, and not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_near(pair: Pair) -> bool:
    """Whether a pair is closer than FAR on average."""
    return pair.distance is not None and pair.distance < FAR


def pairs_of(record: Record) -> tuple[Pair, ...]:
    """The pairs of atoms that a reduction scored."""
    return record.pairs if isinstance(record, ReduceRecord) else ()


def kept_pairs(record: Record) -> list[Pair]:
    return [pair for pair in pairs_of(record) if pair.kept]


def fixed_pairs(record: Record) -> int:
    """How many pairs the local terms see, which no reduced model drops; 0 where there is only a global term."""
    return sum(pair.local for pair in pairs_of(record))


def local_terms(record: Record) -> list[Term]:
    return [term for term in record.terms if term.kind != "global"]


def shown_model(record: Record) -> Model:
    """The model that a report is about."""
    return record.chosen if isinstance(record, ReduceRecord) else record.full


def by_global_term(record: Record) -> bool:
    """Whether the models of a reduction differ by the pairs of the global term, which is so beside local terms."""
    return record.full.global_pairs is not None and any(pair.local for pair in pairs_of(record))


def has_functions(record: Record) -> bool:
    """Whether the choice of terms was one with pair functions."""
    return record.choice.name in ("pairs", "all")


def far_terms(record: Record) -> str:
    """What sees pairs that no local term sees, and is thinned out."""
    if not has_functions(record):
        return "the global term"
    return "pair functions" if record.choice.name == "pairs" else "the global term and pair functions"


def size(record: Record, model: Model) -> int | None:
    """The number of pairs by which a model is compared with the others."""
    return model.global_pairs if by_global_term(record) else model.pairs


def relevance_models(record: ReduceRecord, key: str = "force_rmse") -> list[Model]:
    """The models on the relevance curve that have a number `key`, by their size, the last of equal ones."""
    models = [*record.by_relevance[1:], record.chosen, record.full]
    sizes = [size(record, model) for model in models]
    found = {n: m for n, m in zip(sizes, models, strict=True) if n is not None and is_number(getattr(m, key))}
    return [found[n] for n in sorted(found)] if len(found) > 1 else []


def limit(record: ReduceRecord, key: str) -> float | None:
    """What the error `key` of the chosen model may be; None where the tolerance does not bound it."""
    if record.limit is None or key not in ("force_rmse", "valid_force_rmse"):
        return None
    value = getattr(record.limit, key)
    return value if is_number(value) else None


def model_name(record: Record, model: Which) -> str:
    """How a picture calls the model "full" or "chosen": by its number of pairs."""
    found = record.full if model == "full" else shown_model(record)
    return f"{'Full' if model == 'full' else 'Reduced'}, {found.pairs} pairs"


def points(rows: Iterable[tuple[float | None, float | None]]) -> tuple[np.ndarray, np.ndarray]:
    """Two columns, of the rows that have both numbers."""
    found = [(x, y) for x, y in rows if is_number(x) and is_number(y)]
    values = np.array(found, float).reshape(-1, 2)
    return values[:, 0], values[:, 1]


def sized_points(record: ReduceRecord, models: Iterable[Model], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of models, and their numbers `key`."""
    return points((size(record, model), getattr(model, key)) for model in models)


def parity_values(record: Record, quantity: Quantity, model: Which) -> tuple[np.ndarray, np.ndarray]:
    """Reference and predicted values, energies counted from the mean reference energy; empty when not recorded."""
    columns: Columns = getattr(record.parity, quantity)
    reference, predicted = points(zip(columns.reference, getattr(columns, model), strict=False))
    if quantity == "energies" and len(reference):
        return reference - reference.mean(), predicted - reference.mean()
    return reference, predicted


def stated_rmse(record: Record, quantity: Quantity, model: Which) -> float | None:
    """The RMSE that the record states for "forces" or "energies", over all that was tested."""
    found = record.full if model == "full" else shown_model(record)
    return found.force_rmse if quantity == "forces" else found.energy_rmse


def atom_errors(record: Record) -> tuple[np.ndarray, list[str]]:
    """Force MAE (N,) eV/A and symbols of the atoms; empty when not recorded."""
    errors = record.per_atom.force_mae
    symbols = [symbol[:3] for symbol in record.geometry.symbols]
    return np.array(errors, float), symbols if len(symbols) == len(errors) else ["?"] * len(errors)


def tested_on(record: Record) -> str:
    """What the errors were measured on: "500 test structures"."""
    part = shown_model(record).tested_on
    count = record.data.count(part)
    return f"{count:,} {PARTS[part]} structure{'' if count == 1 else 's'}" if count else f"{PARTS[part]} structures"
