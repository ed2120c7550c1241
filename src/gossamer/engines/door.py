"""The door to every engine: a force field asked about another program's structures, in that program's units."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.engines.guard import Guard, GuardChoice
from gossamer.errors import DataError
from gossamer.evaluate.deviations import require_error_bars
from gossamer.model.structures import require_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from gossamer.evaluate.evaluator import Evaluator
    from gossamer.model.force_field import ForceField


@dataclass(frozen=True)
class Units:
    """What one unit of energy of a program is in eV, and one of length in Angstrom."""

    energy: float = 1.0
    length: float = 1.0


@dataclass(frozen=True, eq=False)
class Door:
    """What all engines share: structures of the model's atoms in its order, converted, guarded and predicted.

    name: of the structures in messages.  Whether the program's cell is none is for each engine to see, since it is said
    in that program's words."""

    evaluator: "Evaluator"
    guard: Guard
    units: Units = Units()
    name: str = "positions"

    @classmethod
    def build(
        cls,
        model: "ForceField",
        numbers: np.ndarray | None = None,
        *,
        units: Units = Units(),
        name: str = "atoms",
        guard: GuardChoice = "warn",
        evaluator: "Evaluator | None" = None,
        std: bool = False,
    ) -> "Door":
        """numbers (N,): the atoms as the program has them, None where it does not say; std: whether standard deviations
        will be asked for.  Raises UsageError for other atoms than the model's, or another order, and where they are to
        be asked for of a model without error bars."""
        if numbers is not None:
            require_numbers(numbers, model.numbers, name)
        if std:
            require_error_bars(model)
        return cls(evaluator or model.evaluator(), Guard.of(model, guard), units, name)

    def one(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy and forces (N, 3) of one structure positions (N, 3), all in the program's units.

        Raises what `Evaluator.one` and `Guard.look` raise, DataError for positions that are not finite."""
        return self._handed_on(self.evaluator.one, positions)

    def many(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies (Q,) and forces (Q, N, 3) of structures positions (Q, N, 3), all in the program's units: the next
        ones of Q trajectories.

        Raises what `Evaluator.many` and `Guard.look` raise, DataError for positions that are not finite."""
        return self._handed_on(self.evaluator.many, positions)

    def std(self, positions: np.ndarray) -> tuple[Any, np.ndarray]:
        """Standard deviations of the energy and the forces (N, 3) of one structure positions (N, 3), or of energies
        (Q,) and forces (Q, N, 3) of structures (Q, N, 3), all in the program's units.

        Raises UsageError for a model without error bars, and what `Deviations.one` raises."""
        deviations, structures = self.evaluator.std, positions * self.units.length
        return self._converted(*(deviations.one(structures) if structures.ndim == 2 else deviations.many(structures)))

    def step(self, positions: np.ndarray) -> tuple[float, np.ndarray, float]:
        """`one`, and the standard deviation of the energy for little more (`Deviations.step`).

        Raises what `one` raises, UsageError for a model without error bars."""
        found: list[float] = []

        def predict(structure: np.ndarray) -> tuple[float, np.ndarray]:
            energy, forces, deviation = self.evaluator.std.step(structure)
            found.append(deviation)
            return energy, forces

        energy, forces = self._handed_on(predict, positions)
        return energy, forces, found[0] / self.units.energy

    def _handed_on(self, predict: "Callable[[np.ndarray], tuple[Any, np.ndarray]]", positions: np.ndarray) -> Any:
        units = self.units
        structures = positions if units.length == 1.0 else positions * units.length
        try:
            energies, forces = predict(structures)
        except DataError as error:
            if np.all(np.isfinite(structures)):
                raise
            raise DataError(
                f"{self.name}: some positions are NaN or infinite; begin again from the last good frame, with a "
                "shorter time step."
            ) from error
        self.guard.look(structures, self.name)
        return self._converted(energies, forces)

    def _converted(self, energies: Any, forces: np.ndarray) -> tuple[Any, np.ndarray]:
        """Energies, eV, and forces, eV/Angstrom, in the program's units."""
        units = self.units
        if units.length == units.energy == 1.0:
            return energies, forces
        return energies / units.energy, forces * (units.length / units.energy)
