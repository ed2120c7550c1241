"""Which of the models that were tried is taken: the smallest that stays within the tolerance of the best."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from gossamer.records.parts import Limit, Model


class _Tried(Protocol):
    """A model that was tried: the pairs (n,) of its global term, and its line in the record."""

    @property
    def rows(self) -> np.ndarray: ...

    @property
    def entry(self) -> Model: ...


T = TypeVar("T", bound=_Tried)


def limit_of(models: Sequence[Model], tolerance: float) -> Limit:
    """What the chosen model's force RMSE may be: (1 + tolerance) times that of the best of `models`, which is the one
    of lowest error on the validation structures; the same above its error on the structures shown."""
    best = min(models, key=_error)
    return Limit((1 + tolerance) * _error(best), (1 + tolerance) * best.force_rmse)


def is_within(model: Model, limit: Limit) -> bool:
    """Whether a model's error on the validation structures stays within the limit."""
    return _error(model) <= limit.valid_force_rmse


def smallest_within(tried: Sequence[T], limit: Limit) -> T:
    """The smallest that stays within the limit, of equal ones the first; the largest where none does."""
    by_size = sorted(tried, key=lambda t: len(t.rows))
    return next((t for t in by_size if is_within(t.entry, limit)), by_size[-1])


def _error(model: Model) -> float:
    return float("inf") if model.valid_force_rmse is None else model.valid_force_rmse
