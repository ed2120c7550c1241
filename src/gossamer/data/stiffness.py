"""How hard forces pull stretched bonds back: a yardstick for sign and unit of forces that needs no energies.

Bonds to hydrogen have force constants near 30 eV/Angstrom^2 whatever the molecule and the method, so a sign or a factor
shows in every single frame.
"""

from dataclasses import dataclass

import numpy as np

from gossamer.data.dataset import Dataset
from gossamer.data.geometry import Skeleton, bond_lengths

USUAL = 30.0  # eV/Angstrom^2; 21 to 36 in all the thermal data we have
_INTACT = 0.25  # relative change of length up to which a bond is a spring
_LASTING = 0.9  # of the frames in which it is a spring: no bond that moves to another atom
_MOVING = 0.3  # of the mean square bond motion: calmer frames are not judged
_STILL = 0.015  # Angstrom, RMS; in frames this near a minimum other forces hide those of the bonds
_CLEAR = 0.6  # correlation of length and force; thermal data give 0.9 and more


@dataclass(frozen=True, eq=False)
class Stiffness:
    """value: eV/Angstrom^2, median over frames, negative when forces push stretched bonds further apart.
    frames: (n,) the same per frame, NaN where a frame is too calm or has too few bonds to tell."""

    value: float
    frames: np.ndarray

    def odd_frames(self) -> np.ndarray:
        """Rows of the frames whose stiffness has the other sign, or is below a third or above three times the usual
        (0.45 to 2.4 in all the data we have)."""
        with np.errstate(invalid="ignore"):
            ratio = self.frames / self.value
            return np.flatnonzero((ratio < 1 / 3) | (ratio > 3))


def stiffness(data: Dataset, skeleton: Skeleton) -> Stiffness | None:
    """Regression of the pull along bonds on their lengths, frame by frame, on hydrogen's bonds where there are any.
    None where nothing can be said: no bonds, fewer than 10 frames, bonds that do not move or do not act as springs."""
    assert data.forces is not None
    if not len(skeleton.bonds) or len(data) < 10:
        return None
    spring = np.abs(skeleton.stretch(data.positions) - 1) < _INTACT
    chosen = spring.mean(axis=0) > _LASTING
    with_hydrogen = chosen & (data.numbers[skeleton.bonds] == 1).any(axis=1)
    chosen = with_hydrogen if with_hydrogen.any() else chosen
    if not chosen.any():
        return None
    bonds, spring = skeleton.bonds[chosen], spring[:, chosen]
    lengths = bond_lengths(data.positions, bonds)
    stretch = np.where(spring, lengths - np.median(lengths, axis=0), 0.0)
    pull = _pull(data, bonds, lengths)
    pull = np.where(spring, pull - np.median(pull, axis=0), 0.0)
    motion, effort = (stretch**2).sum(axis=1), (pull**2).sum(axis=1)
    together = -(stretch * pull).sum(axis=1)
    moving = (motion > max(_MOVING * motion.mean(), len(bonds) * _STILL**2)) & (effort > 0)
    if moving.sum() < 5:
        return None
    correlation = together[moving] / np.sqrt(motion[moving] * effort[moving])
    values = together[moving] / motion[moving]
    if abs(np.median(correlation)) < _CLEAR:
        return None
    frames = np.full(len(data), np.nan)
    if len(bonds) >= 4:
        frames[moving] = values
    return Stiffness(float(np.median(values)), frames)


def _pull(data: Dataset, bonds: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Force (n, B) in eV/Angstrom that lengthens each bond: on its hydrogen, or half the difference of both ends."""
    assert data.forces is not None
    i, j = bonds.T
    along = (data.positions[:, i] - data.positions[:, j]) / lengths[:, :, None]
    light_i, light_j = data.numbers[i] == 1, data.numbers[j] == 1
    share = np.where(light_i == light_j, 0.5, np.where(light_i, 1.0, 0.0))[:, None]
    return ((share * data.forces[:, i] - (1 - share) * data.forces[:, j]) * along).sum(axis=2)
