"""Baselines: cheap models taken off the labels before a fit, and added again at prediction.

A baseline is a frozen record with the members of `Baseline`.  `taken_off` and `added` are the one place each where that
happens.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from gossamer.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gossamer.data.dataset import Dataset


class Baseline(Protocol):
    """Energies and forces that need no training.  kind: as in files and options."""

    kind: ClassVar[str]

    def __call__(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies (Q,) eV and forces (Q, N, 3) eV/Angstrom of structures positions (Q, N, 3), Angstrom."""

    def keeps(self, perms: np.ndarray) -> np.ndarray:
        """Which atom permutations perms (S, N) leave its energies as they are, a mask (S,)."""

    def to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What a model file keeps of it: plain JSON values, and arrays."""


def added(baselines: "Sequence[Baseline]", positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the baselines' energies (Q,) and forces (Q, N, 3) at structures positions (Q, N, 3), Angstrom.

    Raises DataError where one fails or gives no finite number, as where atoms meet."""
    energies, forces = _summed(baselines, positions)
    finite = _finite(energies, forces)
    if not finite.all():
        q = int(np.argmin(finite))
        raise DataError(f"baseline: it is not finite at structure {q}, where atoms may meet; leave that structure out.")
    return energies, forces


def _summed(baselines: "Sequence[Baseline]", positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    energies, forces = np.zeros(len(positions)), np.zeros(positions.shape)
    for baseline in baselines:
        e, f = baseline(positions)
        energies += e
        forces += f
    return energies, forces


def _finite(energies: np.ndarray, forces: np.ndarray) -> np.ndarray:
    """Where energies (Q,) and forces (Q, N, 3) are finite, a mask (Q,)."""
    return np.isfinite(energies) & np.isfinite(forces).all(axis=(1, 2))


def kept_by(baselines: "Sequence[Baseline]", perms: np.ndarray) -> np.ndarray:
    """Which atom permutations perms (S, N) every baseline keeps, a mask (S,)."""
    masks = [baseline.keeps(perms) for baseline in baselines]
    return np.all(masks, axis=0) if masks else np.ones(len(perms), dtype=bool)


def taken_off(baselines: "Sequence[Baseline]", data: "Dataset") -> "Dataset":
    """The data with what the baselines give taken off its energies and forces.

    Raises DataError, naming the frame, where a baseline fails or gives no finite number."""
    if not baselines:
        return data
    energies, forces = np.empty(len(data)), np.empty(data.positions.shape)
    for row, frame in enumerate(data.frames):
        try:
            e, f = _summed(baselines, data.positions[row : row + 1])
        except DataError as error:
            raise DataError(f"baseline: frame {frame} has none ({str(error).rstrip('.')}).") from error
        if not _finite(e, f).all():
            raise DataError(f"baseline: it is not finite at frame {frame}; leave that frame out, or the baseline.")
        energies[row], forces[row] = e[0], f[0]
    return replace(
        data,
        energies=None if data.energies is None else data.energies - energies,
        forces=None if data.forces is None else data.forces - forces,
    )
