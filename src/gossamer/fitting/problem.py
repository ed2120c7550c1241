"""What a fit is asked, and under which settings, where, and seen by whom it is worked on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.baselines import taken_off
from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.descriptors import Descriptor
from gossamer.events import Progress, silent
from gossamer.fitting.checkpoint import HERE, Run
from gossamer.fitting.resources import pilot_structures
from gossamer.fitting.settings import Settings
from gossamer.model.pairs import PairSet

if TYPE_CHECKING:
    from gossamer.baselines import Baseline
    from gossamer.chemistry.fragments import Fragment


@dataclass(frozen=True, eq=False)
class Problem:
    """Structures to learn from, `train`, and to judge by, `valid`, with labels that `baselines` were taken off; the
    pairs that descriptors may see, or another descriptor, the symmetry, and the terms asked for, as `fit` is given
    them."""

    train: Dataset
    valid: Dataset | None
    pairs: Descriptor
    group: Symmetry
    terms: "str | Sequence[Fragment | str]" = "global"
    baselines: "tuple[Baseline, ...]" = ()

    @classmethod
    def of(cls, train: Dataset, valid: Dataset | None = None) -> "Problem":
        """All pairs, and no symmetry."""
        return cls(train, valid, PairSet.full(train.n_atoms), Symmetry.trivial(train.n_atoms))

    def less(self, baselines: "tuple[Baseline, ...]") -> "Problem":
        """What is left to learn when the baselines are taken off the labels."""
        valid = None if self.valid is None else taken_off(baselines, self.valid)
        return replace(self, train=taken_off(baselines, self.train), valid=valid, baselines=baselines)

    def pilot(self) -> "Problem":
        """The structures that trials are fitted to, and judged by, before the real fit: a part of `train`, and, where
        there are none to judge by, a fifth of `train` that is left out of it."""
        n = pilot_structures(len(self.train), self.train.n_atoms)
        part = self.train.evenly(n)
        if self.valid is not None:
            return replace(self, train=part)
        judge = self.train.take(np.arange(0, len(self.train), 5))
        return replace(self, train=part.take(~np.isin(part.frames, judge.frames)), valid=judge)


@dataclass(frozen=True, eq=False)
class Context:
    """How a fit is worked on.  run: the ranks that share it, and the journal to go on from; progress: who is told."""

    settings: Settings
    run: Run = HERE
    progress: Progress = silent

    def at(self, settings: Settings | None = None, **changes: Any) -> "Context":
        """With other settings, or with some of them changed."""
        return replace(self, settings=replace(settings or self.settings, **changes))

    @property
    def quiet(self) -> "Context":
        """With nobody told."""
        return replace(self, progress=silent)
