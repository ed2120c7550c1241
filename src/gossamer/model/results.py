"""What a model answers: predictions, and errors on labelled structures."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gossamer.units import dipole_in_e_angstrom, energy_in_ev

if TYPE_CHECKING:
    from gossamer.data.dataset import Dataset

MEV = 1e3  # meV in an eV
KCAL = 1 / energy_in_ev("kcal/mol")  # kcal/mol in an eV
DEBYE = 1 / dipole_in_e_angstrom("Debye")  # Debye in an e*Angstrom
_FAR_OFF = 5.0  # times the scatter of energy errors is what another energy zero lies off at least


@dataclass(frozen=True, eq=False)
class Prediction:
    """energies (Q,), eV, and forces (Q, N, 3), eV/Angstrom, of Q structures; float64 arrays.

    energy_std (Q,), forces_std (Q, N, 3): their standard deviations, in the same units, the same for the three
    components of a force; None where not asked for."""

    energies: np.ndarray
    forces: np.ndarray
    energy_std: np.ndarray | None = None
    forces_std: np.ndarray | None = None

    def __repr__(self) -> str:
        q, n, _ = self.forces.shape
        if not q:
            return f"Prediction(0 structures of {n} atoms)"
        low, high, most = self.energies.min(), self.energies.max(), np.abs(self.forces).max()
        span = f"energy {low:.6g}" if q == 1 else f"energies {low:.6g} to {high:.6g}"
        return f"Prediction({q} structure{'s' * (q > 1)} of {n} atoms, {span} eV, forces up to {most:.3g} eV/Angstrom)"


@dataclass(frozen=True)
class Errors:
    """Mean absolute and root mean square errors; forces per component in eV/Angstrom, energies in eV or None.

    energy_offset: by how many eV the energy zero of the data lies above that of the model, taken off before the energy
    errors are; None where both have the same, or nobody can tell.  dipole_mae, dipole_rmse: per component, in
    e*Angstrom, or None.  They print in meV, kcal/mol and Debye."""

    force_mae: float
    force_rmse: float
    energy_mae: float | None = None
    energy_rmse: float | None = None
    energy_offset: float | None = None
    dipole_mae: float | None = None
    dipole_rmse: float | None = None

    def __str__(self) -> str:
        lines = [_in_units("forces", self.force_mae, self.force_rmse, "/Angstrom")]
        if self.energy_mae is not None and self.energy_rmse is not None:
            zero = "" if self.energy_offset is None else f", an offset of {self.energy_offset:.6g} eV taken off"
            lines.append(_in_units("energies", self.energy_mae, self.energy_rmse, "") + zero)
        if self.dipole_mae is not None and self.dipole_rmse is not None:
            both = (("MAE", self.dipole_mae), ("RMSE", self.dipole_rmse))
            lines.append(
                "dipoles: " + ", ".join(f"{name} {e:.3g} e*Angstrom ({DEBYE * e:.3g} Debye)" for name, e in both)
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Errors({'; '.join(str(self).splitlines())})"


def _in_units(what: str, mae: float, rmse: float, per: str) -> str:
    """ "forces: MAE 12.3 meV/Angstrom (0.284 kcal/mol/Angstrom), RMSE ..." """
    both = (("MAE", mae), ("RMSE", rmse))
    said = (f"{name} {MEV * e:.3g} meV{per} ({KCAL * e:.3g} kcal/mol{per})" for name, e in both)
    return f"{what}: {', '.join(said)}"


def errors_of(predicted: Prediction, dataset: "Dataset") -> Errors:
    """The errors of predictions of the structures of a labelled data set, another zero of energies taken off."""
    df = predicted.forces - dataset.labelled_forces()
    force_errors = float(np.abs(df).mean()), float(np.sqrt((df**2).mean()))
    if dataset.energies is None:
        return Errors(*force_errors)
    de = dataset.energies - predicted.energies
    offset = other_zero(de, dataset.energies)
    de = de - (offset or 0.0)
    return Errors(*force_errors, float(np.abs(de).mean()), float(np.sqrt((de**2).mean())), offset)


def other_zero(differences: np.ndarray, energies: np.ndarray) -> float | None:
    """What energies (Q,) lie above a model's, where that is one number for all and cannot be the model's error: far
    above its own scatter, and above the spread of the energies."""
    if len(differences) < 3:
        return None
    offset = float(np.median(differences))
    scatter = float(np.sqrt(((differences - offset) ** 2).mean()))
    return offset if abs(offset) > max(_FAR_OFF * scatter, energies.std()) else None
