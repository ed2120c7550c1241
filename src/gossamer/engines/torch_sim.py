"""The door to torch-sim: many replicas of the model's molecule in one batch, without a cell."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gossamer.devices import resolve_device
from gossamer.engines.door import Door
from gossamer.engines.extras import extra
from gossamer.engines.guard import GuardChoice
from gossamer.errors import UsageError
from gossamer.model.structures import require_numbers

if TYPE_CHECKING:
    from torch_sim.state import SimState

    from gossamer.model.force_field import ForceField


_ModelInterface: Any = extra("torch-sim", "torch_sim.models.interface").ModelInterface


class GossamerModel(_ModelInterface):
    """Energies, eV, and forces, eV/Angstrom, of states whose systems all are the model's molecule, on its device, in
    float64.  No stresses.  guard: see `gossamer.engines.guard.Guard`; std: give energy_std and forces_std as well.

    Raises UsageError for std of a model without error bars."""

    def __init__(self, model: "ForceField", guard: GuardChoice = "warn", std: bool = False) -> None:
        super().__init__()
        self.model, self.std = model, std
        self.door = Door.build(model, name="state", guard=guard, std=std)
        self._device, self._dtype = resolve_device(model.device), torch.float64
        self._compute_forces, self._compute_stress = True, False
        self._memory_scales_with = "n_atoms"
        self._looked_at: torch.Tensor | None = None

    def forward(self, state: "SimState | dict[str, Any]", **more: Any) -> dict[str, torch.Tensor]:
        """energy (Q,) and forces (Q N, 3) of a state of Q systems; energy_std and forces_std where they are asked for.

        Raises UsageError for other atoms than the model's in any system, and for a periodic cell, and what `Door.many`
        raises."""
        given = state if isinstance(state, dict) else vars(state)
        self._look_at(given)
        positions = given["positions"].detach().reshape(-1, self.model.n_atoms, 3).cpu().numpy()
        found = dict(zip(("energy", "forces"), self.door.many(positions), strict=True))
        if self.std:
            found |= zip(("energy_std", "forces_std"), self.door.std(positions), strict=True)
        like = {"dtype": given["positions"].dtype, "device": given["positions"].device}
        return {
            name: torch.as_tensor(values if values.ndim == 1 else values.reshape(-1, 3), **like)
            for name, values in found.items()
        }

    def _look_at(self, given: dict[str, Any]) -> None:
        """Refuse what the model does not know; atoms that were looked at before are not looked at again."""
        if np.any(np.asarray(given["pbc"])):
            raise UsageError("state: its cell is periodic, and the model knows single molecules; set pbc = False.")
        numbers = given["atomic_numbers"]
        if numbers is self._looked_at:
            return
        if len(numbers) % self.model.n_atoms:
            raise UsageError(f"state: {len(numbers)} atoms are no whole molecules; give {self.model.n_atoms} a system.")
        for q, system in enumerate(numbers.cpu().numpy().reshape(-1, self.model.n_atoms)):
            require_numbers(system, self.model.numbers, f"system {q}")
        self._looked_at = numbers
