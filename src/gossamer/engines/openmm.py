"""The door to OpenMM: the potential "gossamer" of openmm-ml, alone or as a part of a system in other force fields.

    from openmmml import MLPotential
    system = MLPotential("gossamer", model="m.gossamer").createSystem(topology)

openmm-ml finds it through the entry point openmmml.potentials."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.engines.door import Door, Units
from gossamer.engines.extras import extra
from gossamer.engines.guard import GuardChoice
from gossamer.errors import UsageError
from gossamer.units import energy_in_ev, length_in_angstrom

if TYPE_CHECKING:
    from openmm import Context, State, System
    from openmm.app import Topology
    from openmm.unit import Quantity

    from gossamer.model.force_field import ForceField


_openmm: Any = extra("openmm", "openmm")
_openmmml: Any = extra("openmm", "openmmml.mlpotential")

UNITS = Units(energy=energy_in_ev("kJ/mol"), length=length_in_angstrom("nm"))


class GossamerFactory(_openmmml.MLPotentialImplFactory):
    """Makes the potential from `MLPotential("gossamer", model=..., guard=...)`."""

    def createImpl(
        self, name: str, model: "ForceField | str | Path | None" = None, guard: GuardChoice = "warn", **more: Any
    ) -> "GossamerPotential":
        """model: a ForceField or its file; guard: see `gossamer.engines.guard.Guard`.  Raises UsageError without a
        model and for other options."""
        import gossamer as gs

        if model is None or more:
            wrong = ", ".join(more) or "no model"
            raise UsageError(f'{name}: {wrong} given; MLPotential("gossamer", model="m.gossamer", guard="warn").')
        return GossamerPotential(gs.load(model) if isinstance(model, str | Path) else model, guard)


class GossamerPotential(_openmmml.MLPotentialImpl):
    """Forces of a model on the atoms of a topology, or on some of them, in the model's order."""

    def __init__(self, model: "ForceField", guard: GuardChoice = "warn") -> None:
        self.model, self.guard = model, guard

    def addForces(
        self, topology: "Topology", system: "System", atoms: Iterable[int] | None, forceGroup: int, **more: Any
    ) -> None:
        """Called by openmm-ml.  atoms: those of the model, in its order; None: all.

        Raises UsageError for other atoms than the model's, for options, and for a periodic box around a molecule that
        is the whole system."""
        if more:
            raise UsageError(f"gossamer: {', '.join(more)} given, but createSystem has no such options for this model.")
        everything = list(topology.atoms())
        chosen = list(range(len(everything))) if atoms is None else list(atoms)
        if atoms is None and topology.getPeriodicBoxVectors() is not None:
            raise UsageError(
                "topology: it has a periodic box, and the model knows single molecules; "
                "topology.setPeriodicBoxVectors(None), or createMixedSystem for a molecule in solvent."
            )
        elements = [everything[k].element for k in chosen]
        numbers = np.array([0 if element is None else element.atomic_number for element in elements])
        door = Door.build(self.model, numbers, units=UNITS, name="topology", guard=self.guard)
        force = _openmm.PythonForce(_Compute(door))
        force.setName("gossamer")
        force.setForceGroup(forceGroup)
        if atoms is not None:
            force.setParticles(chosen)
        system.addForce(force)

    def std(self, context: "Context", atoms: Iterable[int] | None = None) -> "tuple[Quantity, Quantity]":
        """Standard deviations of the energy, kJ/mol, and the forces (N, 3), kJ/mol/nm, at a context's positions; atoms:
        as of `addForces`.  Raises UsageError for a model without error bars."""
        state, unit = context.getState(getPositions=True), _openmm.unit
        everywhere = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        positions = everywhere if atoms is None else everywhere[list(atoms)]
        energy, forces = self._unguarded.std(positions)
        return energy * unit.kilojoule_per_mole, forces * unit.kilojoule_per_mole / unit.nanometer

    @cached_property
    def _unguarded(self) -> Door:
        return Door.build(self.model, units=UNITS, guard="off", std=True)

    def getMLLongRange(self) -> bool:
        """What embeddings ask: the model ends at its own atoms."""
        return False


@dataclass(frozen=True, eq=False)
class _Compute:
    """What OpenMM calls at every step."""

    door: Door

    def __call__(self, state: "State") -> tuple[float, np.ndarray]:
        positions = state.getPositions(asNumpy=True).value_in_unit(_openmm.unit.nanometer)
        return self.door.one(positions)
