"""Error bars of one force field, ready to be asked for."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gossamer.backends.choice import of_committee, with_members
from gossamer.baselines import added
from gossamer.errors import UsageError

if TYPE_CHECKING:
    from gossamer.backends.numba.committee import CommitteeEvaluator, SpreadEvaluator
    from gossamer.baselines import Baseline
    from gossamer.evaluate.evaluator import Evaluator
    from gossamer.model.error_bars import ErrorBars
    from gossamer.model.force_field import ForceField


@dataclass(frozen=True, eq=False)
class Deviations:
    """Standard deviations of predictions: a model's error bars, and its evaluator."""

    bars: "ErrorBars"
    evaluator: "Evaluator"

    @classmethod
    def build(cls, evaluator: "Evaluator") -> "Deviations":
        """Of an evaluator's model, with its device, precision and threads.  Raises UsageError where the model has no
        error bars."""
        return cls(require_error_bars(evaluator.model), evaluator)

    def one(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Of the energy (eV) and the forces (N, 3) (eV/Angstrom) of one structure positions (N, 3), Angstrom.

        Raises what `Evaluator.one` raises."""
        if self._committee is None:
            energies, forces = self.many(np.asarray(positions)[None])
            return float(energies[0]), forces[0]
        energy, forces = self.bars.deviations(*self._committee(self.evaluator.structure(positions)))
        return float(energy), forces

    def of_energy(self, positions: np.ndarray) -> float:
        """Of the energy alone (eV), as of `one`, at less than half the cost."""
        if self._committee is None:
            return self.one(positions)[0]
        return float(self.bars.of_energies(self._committee.energies(self.evaluator.structure(positions))))

    def step(self, positions: np.ndarray) -> tuple[float, np.ndarray, float]:
        """Energy (eV) and forces (N, 3) (eV/Angstrom) of one structure positions (N, 3), Angstrom, as of
        `Evaluator.one`, and the standard deviation of the energy (eV), as of `of_energy`, for little more than the step
        alone: in one pass where the model's terms allow it.

        Raises what `Evaluator.one` raises."""
        compute, left_out = self._with_members
        if compute is None:
            return *self.evaluator.one(positions), self.of_energy(positions)
        structure = self.evaluator.structure(positions)
        energy, forces, energies = compute(structure)
        if left_out:
            more, pushed = added(left_out, structure[None])
            energy, forces = energy + float(more[0]), forces + pushed[0]
        return energy, forces, float(self.bars.of_energies(energies))

    def many(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of energies (Q,), eV, and forces (Q, N, 3), eV/Angstrom, of structures positions (Q, N, 3), Angstrom.

        Raises what `Evaluator.many` raises."""
        answers = [member.many(positions) for member in self.members]
        return self.bars.deviations(np.array([e for e, _ in answers]), np.array([f for _, f in answers]))

    @cached_property
    def members(self) -> "tuple[Evaluator, ...]":
        """An evaluator of each."""
        return tuple(replace(self.evaluator, model=member) for member in self.bars.members(self.evaluator.model))

    @cached_property
    def _with_members(self) -> "tuple[SpreadEvaluator | None, tuple[Baseline, ...]]":
        """A call of the model and of its members' energies for one structure, where there is one, and the baselines
        that it leaves out."""
        single, left_out = self.evaluator.of_one
        return with_members(self.evaluator.model, self.bars, single), left_out

    @cached_property
    def _committee(self) -> "CommitteeEvaluator | None":
        """A call of all of them for one structure, where there is one."""
        e = self.evaluator
        return of_committee(e.model, self.bars, e.device, e.stored_single, e.threads)


def require_error_bars(model: "ForceField") -> "ErrorBars":
    """The model's.  Raises UsageError where it has none."""
    if model.error_bars is None:
        raise UsageError("std: the model has no error bars; train it again with error_bars=True (--error-bars).")
    return model.error_bars
