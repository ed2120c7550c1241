"""The door to ASE."""

from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from gossamer.backends.choice import of_dipoles
from gossamer.engines.door import Door
from gossamer.engines.guard import GuardChoice
from gossamer.errors import UsageError
from gossamer.evaluate.evaluator import Evaluator
from gossamer.model.force_field import ForceField
from gossamer.model.structures import require_molecule

ENERGY_STD = "energy_std"
DEVIATIONS = (ENERGY_STD, "forces_std")
DIPOLE = "dipole"


class GossamerCalculator(Calculator):
    """Energies in eV and forces in eV/Angstrom of a ForceField; the atoms must stand in the model's order.

    guard: what is done where atoms leave what the model was trained on, see `gossamer.engines.guard.Guard`.
    Their standard deviations are worked out where they are asked for, `calculator.get_property("energy_std", atoms)`
    or "forces_std", of a model with error bars; and so are dipoles, e*Angstrom (`atoms.get_dipole_moment()`), of a
    model that has them.
    Changes are found by comparing the bytes of positions, numbers and periodic axes, and atoms are not copied: ASE's
    own comparison of all that an Atoms holds costs more than a step."""

    implemented_properties = ["energy", "free_energy", "forces", *DEVIATIONS]  # noqa: RUF012 (ASE's own protocol)

    def __init__(
        self, model: ForceField, evaluator: Evaluator | None = None, guard: GuardChoice = "warn", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self._dipoles = None if model.dipole_model is None else of_dipoles(model.dipole_model)
        if self._dipoles is not None:
            self.implemented_properties = [*self.implemented_properties, DIPOLE]
        self.door = Door.build(model, name="atoms", guard=guard, evaluator=evaluator)
        self._positions = self._atoms = b""

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation, as ASE asks for it."""
        changes = []
        if atoms.positions.tobytes() != self._positions:
            changes.append("positions")
        if _kind(atoms) != self._atoms:
            changes += ["numbers", "pbc"]
        return changes

    def calculate(
        self, atoms: Atoms | None = None, properties: list[str] | None = None, system_changes: list[str] = all_changes
    ) -> None:
        """Fill `results` for `atoms`.  Raises UsageError for other atoms than the model's, or a periodic cell, and what
        `Door.one` raises."""
        atoms = atoms if atoms is not None else self.atoms
        if atoms is None:
            raise UsageError("atoms: none given to the calculator; attach it with `atoms.calc = model.ase()`.")
        if _kind(atoms) != self._atoms:
            require_molecule(atoms, self.model.numbers)
        deviations: dict[str, Any] = {}
        if set(DEVIATIONS).intersection(properties or ()) == {ENERGY_STD}:
            energy, forces, deviations[ENERGY_STD] = self.door.step(atoms.positions)
        else:
            energy, forces = self.door.one(atoms.positions)
            if not set(DEVIATIONS).isdisjoint(properties or ()):
                deviations = dict(zip(DEVIATIONS, self.door.std(atoms.positions), strict=True))
        self._positions, self._atoms = atoms.positions.tobytes(), _kind(atoms)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces, **deviations}
        if DIPOLE in (properties or ()) and self._dipoles is not None:
            self.results[DIPOLE] = self._dipoles(atoms.positions[None])[0]


def _kind(atoms: Atoms) -> bytes:
    """What has to be looked at again where it is another: elements and periodic axes."""
    return atoms.numbers.tobytes() + atoms.pbc.tobytes()
