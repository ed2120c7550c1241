"""`train`, and what it returns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Unpack

import numpy as np

from gossamer.chemistry.fragments import Fragment
from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.descriptors import Descriptor
from gossamer.events import Progress, silent
from gossamer.fitting.baselines import AUTO
from gossamer.fitting.checkpoint import HERE, Run
from gossamer.fitting.options import Options, make_settings
from gossamer.fitting.record import train_record
from gossamer.fitting.settings import Settings
from gossamer.fitting.solvers import Step
from gossamer.fitting.workflow import Fit, check_labels, check_trainable, check_usable, fit
from gossamer.model.force_field import ForceField
from gossamer.model.pairs import PairSet
from gossamer.records.record import TrainRecord


@dataclass(frozen=True, eq=False)
class TrainResult:
    """What `train` found.

    fit: all that is known of it (gossamer.fitting.workflow.Fit); train, valid, test: the structures it was given."""

    fit: Fit
    train: Dataset
    valid: Dataset | None = None
    test: Dataset | None = None

    @property
    def model(self) -> ForceField:
        return self.fit.model

    @property
    def settings(self) -> Settings:
        """With the length and noise that were found."""
        return self.fit.settings

    @property
    def symmetry(self) -> Symmetry:
        """The permutations that the model keeps."""
        return self.fit.symmetry

    @property
    def status(self) -> str:
        """How the solver ended, in a few words."""
        return self.fit.solution.status.value

    @property
    def history(self) -> tuple[Step, ...]:
        """Of the solver: iteration, residual and validation force RMSE (eV/Angstrom) at every look; () where it was
        direct."""
        return self.fit.solution.history

    @property
    def seconds(self) -> float:
        """Wall time of all, symmetry and searches included."""
        return self.fit.seconds

    @cached_property
    def record(self) -> TrainRecord:
        """What was done and measured, the errors on `test`, else `valid`, else `train`; they are predicted when it is
        first asked for."""
        return train_record(self.fit, self.train, self.valid, self.test)

    def __repr__(self) -> str:
        return f"TrainResult({self.model!r}; {self.status}, {self.seconds:.1f} s)"


def train(
    train: Dataset,
    valid: Dataset | None = None,
    test: Dataset | None = None,
    *,
    terms: "str | Sequence[Fragment | str]" = "auto",
    pairs: PairSet | None = None,
    descriptor: "str | Descriptor" = "pairs",
    symmetry: "str | np.ndarray | Symmetry" = "auto",
    baseline: Any = AUTO,
    settings: Settings | None = None,
    force: bool = False,
    run: Run = HERE,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> TrainResult:
    """Train a force field on the forces of `train`; the other arguments and errors are those of `fit`.

    test: structures on which the record measures errors.  The labels are looked at first, unless `force`: raises
    DataError for what `inspect` calls an error, and warns of the rest (LabelWarning)."""
    settings = make_settings(options, settings)
    check_trainable(train, valid)
    if test is not None and len(test):
        check_usable("test", test, train.numbers)
    if not force:
        check_labels({"training": train, "validation": valid, "test": test})
    found = fit(
        train, valid, terms=terms, pairs=pairs, descriptor=descriptor, symmetry=symmetry, baseline=baseline,
        settings=settings, run=run, progress=progress,
    )  # fmt: skip
    return TrainResult(replace(found, choice=found.choice.light()), train, valid, test)
