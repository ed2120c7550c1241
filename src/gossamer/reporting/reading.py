"""What records say: the numbers that pictures and pages look up, whatever a record leaves out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

Record = Mapping[str, Any]
FAR = 5.0  # Angstrom: pairs longer than this are called far
GLOBAL = "global"  # name of the term that sees the whole molecule


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a finite number, and not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_near(pair: Record) -> bool:
    """Whether a pair is closer than FAR on average."""
    return is_number(pair.get("distance")) and pair["distance"] < FAR


def get(record: Record, group: str, key: str) -> Any:
    """record[group][key], or None."""
    return (record.get(group) or {}).get(key)


def get_number(model: Record, key: str, default: float) -> float:
    """model[key] when it is a number, else `default`."""
    return model[key] if is_number(model.get(key)) else default


def as_list(value: Any) -> list[Record]:
    """One model, several or none, as a list."""
    return [value] if isinstance(value, Mapping) else list(value or ())


def fixed_pairs(record: Record) -> int:
    """How many pairs the local terms see, which no reduced model drops; 0 where there is only a global term."""
    return sum(bool(pair.get("local")) for pair in record.get("pairs") or ())


def size_key(record: Record) -> str:
    """By which number of pairs the models of a reduction differ: beside local terms, by those of the global term."""
    sized = is_number((record.get("full") or {}).get("global_pairs"))
    return "global_pairs" if fixed_pairs(record) and sized else "pairs"


def relevance_models(record: Record, key: str = "force_rmse") -> list[Record]:
    """The models on the relevance curve that have a number `key`, by their size: quantiles, refined, full."""
    size = size_key(record)
    models = [*(record.get("quantiles") or ()), *(record.get("refined") or ())]
    models += as_list(record.get("chosen")) + as_list(record.get("full"))
    by_size = {m[size]: m for m in models if is_number(m.get(key)) and is_number(m.get(size))}
    return [by_size[count] for count in sorted(by_size)] if len(by_size) > 1 else []


def limit(record: Record, key: str) -> float | None:
    """What `key` may be within the tolerance: (1 + tolerance) times that of the best model by validation error among
    the full one, the quantiles and the local terms alone, which stand among the refined as the quantile 100."""
    tolerance = get(record, "settings", "tolerance")
    models = [*as_list(record.get("full")), *(record.get("quantiles") or ())]
    models += [model for model in record.get("refined") or () if model.get("quantile") == 100]
    models = [model for model in models if is_number(model.get(key))]
    if not is_number(tolerance) or not models:
        return None
    best = min(models, key=lambda model: get_number(model, "valid_force_rmse", model[key]))
    return float(best[key] * (1 + tolerance))


def model_name(record: Record, model: str) -> str:
    """How a picture calls the model "full" or "chosen": by its number of pairs."""
    count = (record.get(model) or {}).get("pairs")
    return f"{'Full' if model == 'full' else 'Reduced'}, {count} pairs" if is_number(count) else model.capitalize()


def points(rows: Sequence[Record], x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
    """Two columns of a list of rows, from the rows that have both."""
    found = [(row[x], row[y]) for row in rows if is_number(row.get(x)) and is_number(row.get(y))]
    values = np.array(found, float).reshape(-1, 2)
    return values[:, 0], values[:, 1]


def parity_values(record: Record, quantity: str, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Reference and predicted values, energies counted from the mean reference energy; empty when not recorded."""
    values = (record.get("parity") or {}).get(quantity) or {}
    reference, predicted = values.get("reference") or [], values.get(model) or []
    rows = [(r, p) for r, p in zip(reference, predicted, strict=False) if is_number(r) and is_number(p)]
    table = np.array(rows, float).reshape(-1, 2)
    if quantity == "energies" and len(table):
        table = table - table[:, 0].mean()
    return table[:, 0], table[:, 1]


def stated_rmse(record: Record, quantity: str, model: str) -> float | None:
    """The RMSE that the record states for "forces" or "energies", over all that was tested."""
    value = (record.get(model) or {}).get("force_rmse" if quantity == "forces" else "energy_rmse")
    return value if is_number(value) else None


def atom_errors(record: Record) -> tuple[np.ndarray, list[str]]:
    """Force MAE (N,) eV/A and symbols of the atoms; empty when not recorded."""
    errors = (record.get("per_atom") or {}).get("force_mae") or []
    if not all(is_number(error) for error in errors):
        return np.zeros(0), []
    symbols = [str(symbol)[:3] for symbol in (record.get("geometry") or {}).get("symbols") or ()]
    return np.array(errors, float), symbols if len(symbols) == len(errors) else ["?"] * len(errors)


def tested_on(record: Record) -> str:
    """What the errors were measured on: "500 test structures"."""
    model = record.get("chosen") or record["full"]
    short = str(model.get("tested_on") or "test")
    name = {"test": "test", "valid": "validation", "train": "training"}.get(short, short)
    count = get(record, "data", f"n_{short}")
    return f"{count:,} {name} structures" if is_number(count) and count else f"{name} structures"
