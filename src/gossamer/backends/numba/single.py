"""One structure at a time, as an MD step needs it: the compiled twin of descriptors, kernel_sum and pull-back.

A force field of any number of terms becomes a few flat arrays, walked through once; nothing is allocated per step but
the forces returned.
"""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gossamer.backends.numba import _step
from gossamer.backends.numba.layout import FlatTerms, aligned
from gossamer.model.pairs import COINCIDENT, PairSet, as_pairs, refuse_infinite

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField

PARALLEL_WORK = 1_500_000  # numbers read per step for every thread but the first (benchmarks/bench_step.py)


@dataclass(frozen=True, eq=False)
class SingleEvaluator:
    """A force field laid out for one structure at a time; positions, x, dx, g and work are its scratch."""

    pairs: np.ndarray  # (P_all, 2)
    flat: FlatTerms
    constant: float
    scale: float
    positions: np.ndarray  # (N, 3)
    x: np.ndarray
    dx: np.ndarray
    g: np.ndarray  # (threads, P_all)
    work: np.ndarray  # (threads, work_size)
    follows: bool = False  # whether it uses no more threads than torch does at the time of a call
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # the scratch serves one call at a time

    @classmethod
    def build(
        cls, model: "ForceField", stored_single: "tuple[bool, ...] | None" = None, threads: int | None = 1
    ) -> "SingleEvaluator":
        """threads: at most this many, None: as many as torch uses at the time of a call; one where the model is too
        small for more to pay.  stored_single: see FlatTerms."""
        flat = FlatTerms.build(model.terms, model.coefficients, stored_single)
        follows = threads is None
        threads = max(1, min(threads or _step.most_threads(), 1 + flat.work // max(1, PARALLEL_WORK)))
        pairs = as_pairs(model.pairs, "compiled code for one structure")
        n = len(pairs)
        scratch = (np.empty((model.n_atoms, 3)), np.empty(n), np.empty((n, 3)), np.empty((threads, n)))
        work = aligned((threads, flat.work_size))
        return cls(np.array(pairs.pairs), flat, model.constant, model.scale, *scratch, work, follows)

    @property
    def threads(self) -> int:
        return len(self.g)

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (N, 3) (eV/Angstrom) of one structure positions (N, 3) Angstrom.

        Raises DataError for positions that are not finite or coincide."""
        forces = np.empty(self.positions.shape)
        threads = min(self.threads, _torch_threads()) if self.follows and self.threads > 1 else self.threads
        with self.lock:
            self.positions[:] = positions
            energy, nearest = _step.evaluate(
                self.positions,
                self.pairs,
                *self.flat,
                self.x,
                self.dx,
                self.g[:threads],
                self.work[:threads],
                self.scale,
                forces,
            )
        if not nearest < 1 / COINCIDENT:
            refuse_infinite(positions)
            PairSet(len(positions), self.pairs).refuse_coincident(positions[None], "positions")
        return self.constant + energy, forces


def _torch_threads() -> int:
    import torch

    return torch.get_num_threads()
