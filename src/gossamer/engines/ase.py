"""The door to ASE."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from gossamer.engines.door import Door
from gossamer.engines.guard import GuardChoice
from gossamer.errors import UsageError
from gossamer.evaluate.evaluator import Evaluator
from gossamer.model.force_field import ForceField
from gossamer.model.structures import require_molecule

DEVIATIONS = ("energy_std", "forces_std")


class GossamerCalculator(Calculator):
    """Energies in eV and forces in eV/Angstrom of a ForceField; the atoms must stand in the model's order.

    guard: what is done where atoms leave what the model was trained on, see `gossamer.engines.guard.Guard`.
    Their standard deviations are worked out where they are asked for, `calculator.get_property("energy_std", atoms)`
    or "forces_std", of a model with error bars.
    Changes are found by comparing positions and numbers alone, which costs a tenth of ASE's own comparison."""

    implemented_properties = ["energy", "free_energy", "forces", *DEVIATIONS]  # noqa: RUF012 (ASE's own protocol)

    def __init__(
        self, model: ForceField, evaluator: Evaluator | None = None, guard: GuardChoice = "warn", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.door = Door.build(model, name="atoms", guard=guard, evaluator=evaluator)
        self._positions: np.ndarray | None = None
        self._numbers: np.ndarray | None = None

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation, as ASE asks for it."""
        changes = []
        if self._positions is None or not np.array_equal(self._positions, atoms.positions):
            changes.append("positions")
        if self._numbers is None or not np.array_equal(self._numbers, atoms.numbers):
            changes.append("numbers")
        if atoms.pbc.any():
            changes.append("pbc")
        return changes

    def calculate(
        self, atoms: Atoms | None = None, properties: list[str] | None = None, system_changes: list[str] = all_changes
    ) -> None:
        """Fill `results` for `atoms`.  Raises UsageError for other atoms than the model's, or a periodic cell."""
        atoms = atoms if atoms is not None else self.atoms
        if atoms is None:
            raise UsageError("atoms: none given to the calculator; attach it with `atoms.calc = model.ase()`.")
        require_molecule(atoms, self.model.numbers)
        energy, forces = self.door.one(atoms.positions)
        self._positions, self._numbers = atoms.positions.copy(), atoms.numbers.copy()
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        if not set(DEVIATIONS).isdisjoint(properties or ()):
            found = self.door.evaluator.std.one(atoms.positions)
            self.results |= dict(zip(DEVIATIONS, found, strict=True))
