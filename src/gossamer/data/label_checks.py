"""Checks of the labels: presence, net force and torque, outliers, single wrong frames."""

import numpy as np

from gossamer.data import factors
from gossamer.data.dataset import Dataset
from gossamer.data.energy_checks import EnergyCheck
from gossamer.data.findings import Finding, concerning
from gossamer.data.stiffness import Stiffness

_NET = 0.1  # net force or torque against the size of the forces
_CALM = 0.01  # eV/Angstrom; what is left of forces this small is the noise of the calculation
_CAUSES = {
    "net force": "an external field, missing atoms, or forces that were not all read",
    "net torque": "forces turned against the positions, in another atom order, or of other frames",
}


def check_present(data: Dataset) -> list[Finding]:
    """Forces are needed; energies are wanted."""
    found = []
    if data.forces is None:
        message = "there are no forces, and a force field is trained on forces; name their key with --forces-key."
        found.append(Finding("error", "labels", message))
    if data.energies is None:
        message = "there are no energies, so forces cannot be checked against them, and the energy zero is arbitrary."
        found.append(Finding("warning", "labels", message))
    what = "energies and forces" if data.dipoles is None else "energies, forces and dipoles"
    return found or [Finding("ok", "labels", f"{what} for every frame.")]


def check_net(data: Dataset) -> list[Finding]:
    """The forces on a molecule alone in space add up to nothing, and turn it in no direction.  Empty without forces;
    without the torque where the forces do not add up, which alone is reason for one."""
    if data.forces is None:
        return []
    centred = data.positions - data.positions.mean(axis=1, keepdims=True)
    size = np.sqrt((data.forces**2).sum(axis=(1, 2)).mean() + 3 * data.n_atoms * _CALM**2)
    extent = np.sqrt((centred**2).sum(axis=2).mean())
    if not data.forces.any():
        return [Finding("warning", "net force", "all forces are zero; check what was read.")]
    force = np.linalg.norm(data.forces.sum(axis=1), axis=1) / size
    torque = np.linalg.norm(np.cross(centred, data.forces).sum(axis=1), axis=1) / (size * max(extent, 1e-6))
    net = _judge_net("net force", force, data.frames, _without_forces(data) or _CAUSES["net force"])
    if net.level == "error":
        return [net]
    return [net, _judge_net("net torque", torque, data.frames, _CAUSES["net torque"])]


def _without_forces(data: Dataset) -> str:
    """Atoms whose forces are zero in every frame, in words; "" where there are none, or where it is a few frames."""
    assert data.forces is not None
    silent = np.flatnonzero(~data.forces.any(axis=(0, 2)))
    if not len(silent) or len(data) < 2:
        return ""
    listed = ", ".join(map(str, silent[:5])) + (", ..." if len(silent) > 5 else "")
    atoms = f"atom{'s' * (len(silent) > 1)} {listed}"
    return f"those on {atoms} are zero in every frame: frozen, or not all forces were read"


def _judge_net(check: str, values: np.ndarray, frames: np.ndarray, cause: str) -> Finding:
    bad = values > _NET
    if not bad.any():
        return Finding("ok", check, f"at most {values.max():.1g} of the forces.")
    message = f"{check} above {_NET:.0%} of the forces in {{frames}}, the largest {values.max():.2g}: {cause}."
    return concerning("error" if bad.mean() > 0.05 else "warning", check, message, frames[bad])


def check_large_forces(data: Dataset) -> Finding:
    """Frames whose forces stand far above all others."""
    assert data.forces is not None
    size = np.sqrt((data.forces**2).mean(axis=(1, 2)))
    usual = float(np.quantile(size, 0.95))
    bad = size > 5 * usual
    if bad.any() and usual > 0:
        message = (
            "forces more than 5 times those of 95 % of the frames in {frames}, "
            f"RMS up to {size.max():.3g} eV/Angstrom; look at them before training."
        )
        return concerning("warning", "large forces", message, data.frames[bad])
    return Finding("ok", "large forces", f"RMS of a frame at most {size.max():.3g} eV/Angstrom.")


def check_odd_frames(data: Dataset, stiff: Stiffness | None, energy: EnergyCheck | None) -> tuple[Finding, Dataset]:
    """Single frames whose forces have another sign or unit than those of the others; and the data without them.

    Bonds name them frame by frame, unless the energies fit the forces as they are; where bonds cannot tell, the
    energies name them."""
    check = "mixed forces"
    fit = energy is not None and energy.believed
    if stiff is not None and not np.isnan(stiff.frames).all() and stiff.as_usual:
        odd = stiff.odd_frames()
        why = "pull on stretched bonds with another sign or strength than in the other frames"
        if energy is not None and fit:
            odd = _not_contradicted(data, odd, stiff, energy)
    elif energy is not None and (fit or energy.slope.explained < 0.5):
        rows, factor = factors.odd_frames(energy.steps, energy.energies)
        odd = np.flatnonzero(np.isin(data.frames, energy.data.frames[rows]))
        why = f"fit the energies once multiplied by {factor:.3g}, and those of the other frames as they are"
    else:
        return Finding("ok", check, "cannot be judged from these frames."), data
    if not len(odd):
        return Finding("ok", check, "one sign and one unit in every frame, as far as can be told."), data
    message = f"the forces in {{frames}} {why}; they come from another unit, sign or method, so correct or remove them."
    return concerning("error", check, message, data.frames[odd]), data.take(np.setdiff1d(np.arange(len(data)), odd))


def _not_contradicted(data: Dataset, odd: np.ndarray, stiff: Stiffness, energy: EnergyCheck) -> np.ndarray:
    """Of the rows `odd` those whose forces the energies do not call right, and all that were not looked at."""
    where = {frame: row for row, frame in enumerate(energy.data.frames)}
    seen = np.array([data.frames[row] in where for row in odd], dtype=bool)
    rows = np.array([where[data.frames[row]] for row in odd[seen]], dtype=np.int64)
    ratios = stiff.frames[odd[seen]] / stiff.value
    kept = factors.not_contradicted(energy.steps, energy.energies, rows, ratios)
    return np.concatenate([odd[~seen], odd[seen][np.isin(rows, kept)]])
