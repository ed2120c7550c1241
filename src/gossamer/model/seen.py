"""What a model saw in training, of which its coefficients hold the descriptors: which structures, which distances, and
structures that leave these: broken and new bonds, colliding atoms.

A conformer change or a proton that jumps in the training structures, too, is no such thing; a conformer far outside the
range of the training structures is told of by `range_left_by` alone.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gossamer.chemistry.bonds import STRETCH
from gossamer.data.twins import among
from gossamer.descriptors import _pairs as loops
from gossamer.errors import ExtrapolationWarning
from gossamer.model.pairs import orbit_numbers
from gossamer.units import LENGTH

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField, TermCoefficients
    from gossamer.model.terms import Term

LASTING = 1.6  # a bond is shorter than this many sums of covalent radii in every training structure, or may break
LONGER = 1.25  # a bond this many times as long as ever in training is broken,
FAR = 1.4  # if it is also this many sums of covalent radii long: else it is hotter than in training
SHORTER = 0.8  # atoms closer than this fraction of their shortest distance in training are too close,
NEAR = 1.5  # if they are also within this many sums of covalent radii: else they may be another conformer
# An inverse distance may leave its range in training by WIDER times that range, which is taken for at least the part
# SURE of its upper end.  Of 21,000 structures not trained on (9 molecules, 50 and 200 trained on) none left it.
WIDER = 2.0
SURE = 0.05
STRAINED = 0.3  # by a factor of e^STRAINED bonds may differ from usual ones once their unit is put right
NAMED = 3  # pairs, and frames, named in a message
ALIKE = 1e-4  # relative, RMS over the distances that the largest term sees, up to which two structures are one


def training_rows(term: "Term", c: "TermCoefficients") -> np.ndarray:
    """The descriptors of the training structures at every place (M, L, P): weights / distances."""
    return c.X.reshape(-1, *term.places.shape)


def seen_in_training(model: "ForceField", positions: np.ndarray) -> np.ndarray:
    """Which of positions (Q, N, 3), Angstrom, are training structures (Q,), rounded or turned ones included, as far as
    the term of most pairs tells them apart."""
    import torch

    index = max(range(len(model.terms)), key=lambda k: model.terms[k].places.size)
    term = model.terms[index]
    known = training_rows(term, model.coefficients[index])
    known = known.reshape(len(known), -1)
    asked = np.concatenate(
        [
            term.gather(model.pairs.forward(torch.from_numpy(block))[0]).numpy().reshape(len(block), -1)
            for block in np.array_split(positions, max(1, len(positions) // 1000))
        ]
    )
    counted = (known > 0).all(axis=0) & (asked > 0).all(axis=0)  # features other than 1/r have any sign
    if not counted.any():
        return np.zeros(len(positions), dtype=bool)
    freedom = max(1, min(3 * model.n_atoms - 6, int(counted.sum())))
    return among(np.log(asked[:, counted]), np.log(known[:, counted]), ALIKE, freedom)


@dataclass(frozen=True, eq=False)
class SeenDistances:
    """numbers (N,); pairs (P, 2); shortest, longest (P,): distances in training, Angstrom; least, most (P,): where
    predictions begin to be guesses, infinite where no distance is too long."""

    numbers: np.ndarray
    pairs: np.ndarray
    shortest: np.ndarray
    longest: np.ndarray
    least: np.ndarray
    most: np.ndarray

    @classmethod
    def build(cls, model: "ForceField") -> "SeenDistances":
        """From the training descriptors of the terms, and their permutations, which are training structures as well; of
        a pair that pair functions alone see only the shortest distance is known.  Features that are no inverse
        distances tell of none."""
        from ase.data import covalent_radii

        numbers, pairs = model.numbers, model.pairs
        radii = np.append(covalent_radii, np.zeros(200))[numbers]
        sums = radii[pairs.atoms[:, :2]].sum(1)
        shortest, longest = np.full(len(pairs), np.inf), np.zeros(len(pairs))
        bonded, rows = np.zeros(len(pairs)), np.zeros(len(pairs))
        for term, c in zip(model.terms, model.coefficients, strict=True):
            orbits = orbit_numbers(term.perms)
            X = training_rows(term, c)
            for k, slots in enumerate(term.places):
                x, w = X[:, k], term.weights
                near = x.max(0) / w, x.min(0) / w, (x > w / (STRETCH * sums[slots])).mean(0)
                largest, smallest, share = _over_orbits(orbits, *near)
                shortest[slots] = np.minimum(shortest[slots], _inverse(largest))
                longest[slots] = np.maximum(longest[slots], _inverse(smallest))
                bonded[slots] += share
                rows[slots] += 1
        if model.functions is not None:
            slots = model.functions.slots
            shortest[slots] = np.minimum(shortest[slots], model.functions.shortest)
        longest[rows == 0] = np.inf
        lasting = (2 * bonded >= rows) & (longest < LASTING * sums)
        least = np.minimum(SHORTER * shortest, NEAR * sums)
        most = np.where(lasting, np.maximum(LONGER * longest, FAR * sums), np.inf)
        told = pairs.inverse_distances
        return cls(numbers, pairs.atoms[told, :2], *(found[told] for found in (shortest, longest, least, most)))

    @cached_property
    def range(self) -> tuple[np.ndarray, np.ndarray]:
        """Shortest and longest distances (P,), Angstrom, that the descriptor's range allows: those of training, its
        range widened on both sides."""
        high, low = 1 / self.shortest, _inverse(self.longest)
        wider = WIDER * np.maximum(high - low, SURE * high)
        return 1 / (high + wider), _inverse(low - wider)

    @cached_property
    def _squares(self) -> tuple[np.ndarray, np.ndarray]:
        return self.least**2, self.most**2

    @cached_property
    def _range_squares(self) -> tuple[np.ndarray, np.ndarray]:
        nearest, farthest = self.range
        return np.maximum(self.least, nearest) ** 2, np.minimum(self.most, farthest) ** 2

    def left_by(self, structure: np.ndarray) -> bool:
        """Whether the bonds or contacts of a structure (N, 3), contiguous float64, Angstrom, are unlike those of any
        training structure.  It takes microseconds."""
        return bool(loops.is_outside(self.pairs, structure, *self._squares))

    def range_left_by(self, structure: np.ndarray) -> bool:
        """As `left_by`, or whether one of its distances is far outside the range that it has in training."""
        return bool(loops.is_outside(self.pairs, structure, *self._range_squares))

    def likely_unit(self, structure: np.ndarray) -> str | None:
        """The unit in which a structure (N, 3), taken for Angstrom, is like the training structures: all bonds are as
        many times too long or too short as that unit makes them.  None where there is none."""
        bonds = np.isfinite(self.most) if np.isfinite(self.most).any() else np.ones(len(self.most), dtype=bool)
        i, j = self.pairs[bonds].T
        usual = np.sqrt(self.shortest * self.longest)[bonds]
        ratios = np.log(np.maximum(np.linalg.norm(structure[i] - structure[j], axis=1), 1e-300) / usual)
        for unit, size in LENGTH.items():
            if unit != "Angstrom" and np.all(np.abs(ratios + np.log(size)) < STRAINED):
                return unit
        return None

    def warn(self, positions: np.ndarray, what: str = "positions", frames: Sequence[int] | np.ndarray | None = None,
             stacklevel: int = 1) -> bool:  # fmt: skip
        """Warn, once, where bonds or contacts of structures positions (Q, N, 3), Angstrom, leave what was seen; returns
        whether they do.

        what: the data in the message; frames (Q,): the structures' numbers there; stacklevel: as for warnings.warn."""
        structures = np.ascontiguousarray(positions, dtype=np.float64)
        left = np.array([self.left_by(structure) for structure in structures], dtype=bool)
        if left.any():
            warnings.warn(self.told(structures, left, what, frames), ExtrapolationWarning, stacklevel=stacklevel + 1)
        return bool(left.any())

    def told(self, positions: np.ndarray, left: np.ndarray, what: str = "positions",
             frames: Sequence[int] | np.ndarray | None = None) -> str:  # fmt: skip
        """The sentence about structures positions (Q, N, 3), of which those of the mask left (Q,) leave what was seen;
        what, frames: as for `warn`."""
        rows = np.flatnonzero(left)
        named = rows if frames is None else np.asarray(frames)[rows]
        where = "the structure has"
        if len(positions) > 1:
            more = ", ..." if len(rows) > NAMED else ""
            numbers = ", ".join(map(str, named[:NAMED]))
            where = f"{len(rows)} of {len(positions)} structures (frame{'s' * (len(rows) > 1)} {numbers}{more}) have"
        worst = positions[rows[0]]
        if self.left_by(np.ascontiguousarray(worst)):
            return (
                f"{what}: {where} bonds or contacts unlike any training structure "
                f"({self._pairs(worst, self.least, self.most)}); energies and forces there are guesses: "
                "check the order of atoms, or train on such structures too."
            )
        return (
            f"{what}: {where} distances far outside their range in training ({self._pairs(worst, *self.range)}); "
            "errors there can be larger than the model's own: train on such structures too."
        )

    def _pairs(self, structure: np.ndarray, least: np.ndarray, most: np.ndarray) -> str:
        """The pairs of a structure (N, 3) that leave the distances least ... most (P,) by the largest factor."""
        from ase.data import chemical_symbols

        i, j = self.pairs.T
        r = np.linalg.norm(structure[i] - structure[j], axis=1)
        excess = np.maximum(r / most, least / np.maximum(r, 1e-300))
        worst = np.argsort(-excess, kind="stable")[: min(NAMED, np.count_nonzero(excess > 1))]
        said = []
        for p in worst:
            b, a = (f"{chemical_symbols[self.numbers[k]]}{k}" for k in self.pairs[p])
            end = "at most" if r[p] > most[p] else "at least"
            limit = self.longest[p] if r[p] > most[p] else self.shortest[p]
            said.append(f"{a}-{b} {r[p]:.2f} Angstrom, {end} {limit:.2f} in training")
        more = np.count_nonzero(excess > 1) - len(said)
        return "; ".join(said) + (f"; and {more} more" if more else "")


def _over_orbits(orbits: np.ndarray, largest: np.ndarray, smallest: np.ndarray, share: np.ndarray):
    """Largest, smallest and mean over the slots of every orbit (P,), slot by slot."""
    top, bottom = np.full(orbits.max() + 1, -np.inf), np.full(orbits.max() + 1, np.inf)
    np.maximum.at(top, orbits, largest)
    np.minimum.at(bottom, orbits, smallest)
    mean = np.bincount(orbits, share) / np.bincount(orbits)
    return top[orbits], bottom[orbits], mean[orbits]


def _inverse(x: np.ndarray) -> np.ndarray:
    """1 / x, infinite where x is no inverse distance."""
    return np.divide(1.0, x, out=np.full(x.shape, np.inf), where=x > 0)
