"""What the reducer asks of a kind of models: to fit given pairs, to say how much every pair matters, and to be counted.

The search over descriptors (`search`) and the record of a reduction know models by these protocols alone; `kernel` and
`network` are the kinds there are."""

from collections.abc import Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.events import Progress
from gossamer.fitting.problem import Context
from gossamer.fitting.record import Predicts
from gossamer.fitting.settings import Settings
from gossamer.fitting.solvers import Solution
from gossamer.model.pairs import PairSet
from gossamer.records import parts

SCORE_STRUCTURES = 3000  # the paper's number; divided by the number of images, which multiply the samples


class PairModel(Predicts, Protocol):
    """A trained model of some pairs."""

    @property
    def pairs(self) -> Sized: ...

    def save(self, path: str | Path) -> Path: ...


class Trained(Protocol):
    """A fit: the model, how its training ended, and the seconds that took."""

    @property
    def model(self) -> Any: ...

    @property
    def solution(self) -> Solution: ...

    @property
    def seconds(self) -> float: ...


@dataclass(frozen=True, eq=False)
class Relevance:
    """How much every one of P pairs matters: scores (P,), eV/Angstrom, the same within an orbit; orbits (P,), numbers
    of the sets that are kept or dropped whole; fixed (P,): whether a pair is never dropped; structures: how many it was
    scored on."""

    orbits: np.ndarray
    scores: np.ndarray
    fixed: np.ndarray
    structures: int


T = TypeVar("T", bound=Trained)


@dataclass(frozen=True, eq=False)
class Task:
    """What a reduction begins with: structures to train on and to judge by, the symmetry asked for, and settings."""

    train: Dataset
    valid: Dataset
    symmetry: "str | np.ndarray | Symmetry"
    context: Context


class Family(Protocol[T]):
    """A kind of models at work on the structures of a reduction, its model of all pairs trained.

    kind: its name in records; pairs: all P of them; full: the fit to these; length: of the kernel of all models,
    1/Angstrom, None where there is no such number."""

    kind: ClassVar[str]

    @property
    def pairs(self) -> PairSet: ...

    @property
    def full(self) -> T: ...

    @property
    def length(self) -> float | None: ...

    def fit(self, rows: np.ndarray, nearest: T, selection: parts.Selection) -> T:
        """Train on the pairs `rows` of the full list.  nearest: of the fits there are, the one nearest in size;
        selection: by what the rows were selected."""

    def relevance(self, source: Dataset, wanted: int | None, progress: Progress) -> Relevance:
        """Scores of all pairs by masking in the full model, on `wanted` structures of `source`, None: `drawn`'s."""

    def parameters(self, fitted: T) -> int:
        """How many numbers training found."""

    def described(self, fitted: T) -> dict[str, Any]:
        """Those of the fields `settings`, `symmetry`, `terms` and `choice` of a record that it has."""


class Recipe(Protocol):
    """A kind of models and its options, before it has seen any data."""

    def check(self, settings: Settings) -> None:
        """Raise UsageError for settings that it cannot take."""

    def begin(self, task: Task) -> Family[Any]:
        """The family at work on these structures, its model of all pairs trained."""


def drawn(source: Dataset, wanted: int | None, images: int, seed: int) -> Dataset:
    """The structures of `source` that pairs are scored on: `wanted` of them, or the paper's number divided by the
    number of images, at least 100."""
    number = wanted or max(100, SCORE_STRUCTURES // images)
    rng = np.random.default_rng(seed)
    return source.take(np.sort(rng.permutation(len(source))[:number]))
