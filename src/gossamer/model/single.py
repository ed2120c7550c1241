"""One structure at a time, as an MD step needs it: the compiled twin of descriptors, kernel_sum and pull-back.

A force field of any number of terms becomes a few flat arrays, walked through once; nothing is allocated per step but
the forces returned.
"""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gossamer.model import _numba
from gossamer.model.pairs import COINCIDENT, PairSet

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField

PARALLEL_WORK = 1_500_000  # numbers read per step for every thread but the first (benchmarks/bench_step.py)


@dataclass(frozen=True, eq=False)
class SingleEvaluator:
    """Flat copy of a force field.  `layout` (T, 7) int64 says per term: pairs P, rows M*L, images L*H, and where its
    rows, its images, its weights and its energy coefficients (-1: none) begin in the flat arrays."""

    pairs: np.ndarray  # (P_all, 2)
    layout: np.ndarray
    lengths: np.ndarray  # (T,)
    amplitudes: np.ndarray  # (T,)
    X: np.ndarray
    V: np.ndarray
    w: np.ndarray
    images: np.ndarray  # molecule pairs of every image's slots
    weights: np.ndarray
    n_atoms: int
    constant: float
    scale: float
    threads: int
    scratch: "_numba.Scratch"
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # the scratch serves one call at a time

    @classmethod
    def build(cls, model: "ForceField", threads: int = 1) -> "SingleEvaluator":
        """threads: at most this many, and one where the model is too small for more to pay."""
        layout: list[tuple[int, ...]] = []
        flat: dict[str, list[np.ndarray]] = {name: [] for name in ("X", "V", "w", "images", "weights")}
        at_row = at_image = at_weight = at_w = 0
        for term, c in zip(model.terms, model.coefficients, strict=True):
            P, rows, n_images = term.n_pairs, len(c.X), term.n_images
            layout.append((P, rows, n_images, at_row, at_image, at_weight, -1 if c.w is None else at_w))
            flat["X"].append(c.X.ravel())
            flat["V"].append(c.V.ravel())
            flat["images"].append(np.concatenate([place[perm] for place in term.places for perm in term.perms]))
            flat["weights"].append(term.weights)
            at_row, at_image, at_weight = at_row + P * rows, at_image + P * n_images, at_weight + P
            if c.w is not None:
                flat["w"].append(c.w)
                at_w += rows
        table = np.array(layout, dtype=np.int64)
        work = int((table[:, 0] * table[:, 1] * table[:, 2]).sum())
        threads = max(1, min(threads, 1 + work // max(1, PARALLEL_WORK)))
        widest = int((table[:, 0] * table[:, 2]).max())
        return cls(
            model.pairs.pairs,
            table,
            np.array([t.kernel.length for t in model.terms]),
            np.array([t.amplitude for t in model.terms]),
            np.concatenate(flat["X"]),
            np.concatenate(flat["V"]),
            np.concatenate([np.zeros(0), *flat["w"]]),
            np.concatenate(flat["images"]),
            np.concatenate(flat["weights"]),
            model.n_atoms,
            model.constant,
            model.scale,
            threads,
            _numba.Scratch.build(len(model.pairs), widest, threads),
        )

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (N, 3) (eV/Angstrom) of one structure positions (N, 3), float64 and contiguous."""
        forces = np.empty((self.n_atoms, 3))
        with self.lock:
            energy = _numba.evaluate(
                positions, self.pairs, self.layout, self.lengths, self.amplitudes, self.X, self.V, self.w, self.images,
                self.weights, self.scale, self.threads, self.scratch, forces,
            )  # fmt: skip
            nearest = self.scratch.x.max()
        if not nearest < 1 / COINCIDENT:
            PairSet(self.n_atoms, self.pairs).refuse_coincident(positions[None], "positions")
        return self.constant + energy, forces
