"""Error bars of one force field, ready to be asked for."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gossamer.errors import UsageError

if TYPE_CHECKING:
    from gossamer.evaluate.evaluator import Evaluator
    from gossamer.model.error_bars import ErrorBars
    from gossamer.model.force_field import ForceField


@dataclass(frozen=True, eq=False)
class Deviations:
    """Standard deviations of predictions: a model's error bars, and an evaluator of each member."""

    bars: "ErrorBars"
    members: "tuple[Evaluator, ...]"

    @classmethod
    def build(cls, evaluator: "Evaluator") -> "Deviations":
        """Of an evaluator's model, with its device, precision and threads.  Raises UsageError where the model has no
        error bars."""
        model = evaluator.model
        bars = require_error_bars(model)
        return cls(bars, tuple(replace(evaluator, model=member) for member in bars.members(model)))

    def one(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Of the energy (eV) and the forces (N, 3) (eV/Angstrom) of one structure positions (N, 3), Angstrom.

        Raises what `Evaluator.one` raises."""
        answers = [member.one(positions) for member in self.members]
        energy, forces = self.bars.deviations(np.array([[e] for e, _ in answers]), np.array([f for _, f in answers]))
        return float(energy[0]), forces

    def many(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of energies (Q,), eV, and forces (Q, N, 3), eV/Angstrom, of structures positions (Q, N, 3), Angstrom.

        Raises what `Evaluator.many` raises."""
        answers = [member.many(positions) for member in self.members]
        return self.bars.deviations(np.array([e for e, _ in answers]), np.array([f for _, f in answers]))


def require_error_bars(model: "ForceField") -> "ErrorBars":
    """The model's.  Raises UsageError where it has none."""
    if model.error_bars is None:
        raise UsageError("std: the model has no error bars; train it again with error_bars=True (--error-bars).")
    return model.error_bars
