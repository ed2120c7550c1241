"""A trained model as the baseline of another: delta learning (Ramakrishnan et al. 2015)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField


@dataclass(frozen=True, eq=False)
class ModelBaseline:
    """Energies and forces of a ForceField; a file holds the whole of it."""

    model: "ForceField"
    kind: ClassVar[str] = "model"

    def __call__(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies (Q,) eV and forces (Q, N, 3) eV/Angstrom of structures positions (Q, N, 3), Angstrom."""
        p = self.model.predict(positions)
        return p.energies, p.forces

    def keeps(self, perms: np.ndarray) -> np.ndarray:
        """Which atom permutations perms (S, N) leave it as it is, a mask (S,)."""
        from gossamer.baselines import kept_by
        from gossamer.model.terms import kept

        model = self.model
        return kept(model.terms, model.pairs, perms, model.functions) & kept_by(model.baselines, perms)

    def to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Only that it is a model, whose own contents model_file adds."""
        return {"kind": self.kind}, {}
