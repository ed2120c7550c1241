"""How hard forces pull stretched bonds back: a yardstick for sign and unit of forces that needs no energies.

Bonds of hydrogen to carbon, nitrogen and oxygen have force constants near 30 eV/Angstrom^2 whatever the molecule and
the method, so a sign or a factor shows in every single frame.  Other bonds have other ones: 5 for an ion pair, 10 for
a metal hydride, 150 for a triple bond.  They tell a sign at most, and frames that differ from the rest.
"""

from dataclasses import dataclass

import numpy as np

from gossamer.data.dataset import Dataset
from gossamer.data.geometry import COVALENT, Skeleton, bond_lengths, radius_sums

USUAL = 30.0  # eV/Angstrom^2; 21 to 48 in all the thermal data we have
TOLERANCE = 0.75  # in the logarithm, a factor of 2.1
_YARDSTICK = (6, 7, 8)  # elements whose bonds to hydrogen are near USUAL
_INTACT = 0.25  # relative change of length up to which a bond is a spring
_SHARED = 1.75  # sums of covalent radii; a hydrogen this near to a second heavy atom is on its way there
_LASTING = 0.9  # of the frames in which it is a spring: no bond that moves to another atom
_MOVING = 0.3  # of the mean square bond motion: calmer frames are not judged
_STILL = 0.015  # Angstrom, RMS; in frames this near a minimum other forces hide those of the bonds
_CLEAR = 0.6  # correlation of length and force; thermal data give 0.9 and more
_SURE = 0.8  # correlation from which a sign is believed without energies
_ALIKE = 0.8  # of the bonds are within a factor of two of the median


@dataclass(frozen=True, eq=False)
class Stiffness:
    """value: eV/Angstrom^2, median over frames, negative when forces push stretched bonds further apart.
    frames: (n,) the same per frame, NaN where a frame is too calm or has too few bonds to tell.
    usual: the bonds are of a kind that has USUAL, so that sign and size mean something; alike: at least three of them,
    and all about equally stiff; sure: the sign means something, whatever the bonds."""

    value: float
    frames: np.ndarray
    usual: bool = True
    alike: bool = True
    sure: bool = True

    @property
    def as_usual(self) -> bool:
        """Are the bonds of the kind that has USUAL, and as stiff but for the sign?"""
        return self.usual and abs(np.log(abs(self.value) / USUAL)) <= TOLERANCE

    def odd_frames(self) -> np.ndarray:
        """Rows of the frames whose stiffness has the other sign, or is below a third or above three times the usual
        (0.45 to 2.4 in all the data we have)."""
        with np.errstate(invalid="ignore"):
            ratio = self.frames / self.value
            return np.flatnonzero((ratio < 1 / 3) | (ratio > 3))


def stiffness(data: Dataset, skeleton: Skeleton) -> Stiffness | None:
    """Regression of the pull along bonds on their lengths, frame by frame, on hydrogen's bonds to carbon, nitrogen and
    oxygen where there are any, else on all of hydrogen's, else on all.
    None where nothing can be said: no bonds, fewer than 10 frames, bonds that do not move or do not act as springs."""
    assert data.forces is not None
    if not len(skeleton.bonds) or len(data) < 10:
        return None
    spring = _springs(data, skeleton)
    chosen, usual = _yardstick(data.numbers, skeleton.bonds, spring.mean(axis=0) > _LASTING)
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
    correlation = float(np.median(together[moving] / np.sqrt(motion[moving] * effort[moving])))
    if abs(correlation) < _CLEAR:
        return None
    value = _middle(together[moving] / motion[moving])
    frames = np.full(len(data), np.nan)
    if len(bonds) >= 4:
        frames[moving] = together[moving] / motion[moving]
    each = -(stretch * pull)[moving].sum(axis=0) / np.maximum((stretch**2)[moving].sum(axis=0), 1e-12)
    near = (each / value > 0.5) & (each / value < 2)
    covalent = bool(np.isin(data.numbers[bonds], COVALENT).all())
    return Stiffness(
        value, frames, usual, len(bonds) >= 3 and near.mean() >= _ALIKE, covalent and abs(correlation) > _SURE
    )


def _middle(values: np.ndarray) -> float:
    """The median; of two halves that differ the one nearer to USUAL, and nothing between them."""
    low, high = (float(np.quantile(values, 0.5, method=method)) for method in ("lower", "higher"))
    return min(low, high, key=lambda value: abs(value - USUAL))


def _springs(data: Dataset, skeleton: Skeleton) -> np.ndarray:
    """(n, B): is the bond near its usual length, and its hydrogen, if it has one, shared with no other heavy atom?"""
    spring = np.abs(skeleton.stretch(data.positions) - 1) < _INTACT
    sums = radius_sums(data.numbers)
    for column, (i, j) in enumerate(skeleton.bonds):
        if (data.numbers[[i, j]] == 1).sum() != 1:
            continue
        hydrogen, partner = (i, j) if data.numbers[i] == 1 else (j, i)
        others = np.flatnonzero((data.numbers > 1) & (np.arange(data.n_atoms) != partner))
        between = np.linalg.norm(data.positions[:, others] - data.positions[:, hydrogen, None], axis=2)
        spring[:, column] &= (between > _SHARED * sums[hydrogen, others]).all(axis=1)
    return spring


def _yardstick(numbers: np.ndarray, bonds: np.ndarray, lasting: np.ndarray) -> tuple[np.ndarray, bool]:
    """Which bonds (B,) to measure, and whether they are of the kind that has USUAL."""
    ends = numbers[bonds]
    with_hydrogen = lasting & (ends == 1).any(axis=1)
    usual = with_hydrogen & np.isin(ends, _YARDSTICK).any(axis=1)
    if usual.any():
        return usual, True
    return (with_hydrogen if with_hydrogen.any() else lasting), False


def _pull(data: Dataset, bonds: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Force (n, B) in eV/Angstrom that lengthens each bond: on its hydrogen, or half the difference of both ends."""
    assert data.forces is not None
    i, j = bonds.T
    along = (data.positions[:, i] - data.positions[:, j]) / lengths[:, :, None]
    light_i, light_j = data.numbers[i] == 1, data.numbers[j] == 1
    share = np.where(light_i == light_j, 0.5, np.where(light_i, 1.0, 0.0))[:, None]
    return ((share * data.forces[:, i] - (1 - share) * data.forces[:, j]) * along).sum(axis=2)
