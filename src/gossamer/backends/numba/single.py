"""One structure at a time, as an MD step needs it: the compiled twin of descriptors, kernel_sum and pull-back.

A force field of any number of terms becomes a few flat arrays, walked through once; nothing is allocated per step but
the forces returned.
"""

import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gossamer.backends.numba import _step
from gossamer.backends.numba.layout import FlatTerms, aligned, flat_functions
from gossamer.baselines.repulsion import Repulsion
from gossamer.model.pairs import COINCIDENT, PairSet, as_pairs, refuse_infinite

if TYPE_CHECKING:
    from gossamer.baselines import Baseline
    from gossamer.model.force_field import ForceField
    from gossamer.model.pair_functions import FlatFunctions

NO_WALL = np.zeros((0, 2), np.int64), np.zeros((0, 4))
PARALLEL_WORK = 1_500_000  # numbers read per step for every thread but the first (benchmarks/bench_step.py)


@dataclass(frozen=True, eq=False)
class SingleEvaluator:
    """A force field laid out for one structure at a time, with those of its baselines that are compiled: walls."""

    pairs: tuple[np.ndarray, ...]  # (P_all, 2), and the wall of baselines._repulsion
    terms: tuple[np.ndarray, ...]  # of FlatTerms
    functions: "FlatFunctions"
    constant: float
    scale: float
    positions: np.ndarray  # (N, 3), scratch
    scratch: tuple[np.ndarray, ...]  # x (P_all,), dx (P_all, 3), g (threads, P_all), work (threads, work_size)
    threads: int
    left_out: "tuple[Baseline, ...]" = ()  # the other baselines
    follows: bool = False  # whether it uses no more threads than torch does at the time of a call
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # the scratch serves one call at a time

    @classmethod
    def build(
        cls, model: "ForceField", stored_single: "tuple[bool, ...] | None" = None, threads: int | None = 1
    ) -> "SingleEvaluator":
        """threads: at most this many, None: as many as torch uses at the time of a call; one where the model is too
        small for more to pay.  stored_single: see FlatTerms."""
        flat = FlatTerms.build(model.terms, model.coefficients, stored_single)
        threads, follows = threads_worth(flat.work, threads)
        pairs = as_pairs(model.pairs, "compiled code for one structure")
        n, positions = len(pairs), np.empty((model.n_atoms, 3))
        scratch = np.empty(n), np.empty((n, 3)), np.empty((threads, n)), aligned((threads, flat.work_size))
        walls = [baseline.laid_out for baseline in model.baselines if isinstance(baseline, Repulsion)]
        wall = tuple(np.concatenate(part) for part in zip(NO_WALL, *walls, strict=True))
        left_out = tuple(baseline for baseline in model.baselines if not isinstance(baseline, Repulsion))
        ends, summed = (np.array(pairs.pairs), *wall), (tuple(flat), flat_functions(model.functions))
        parts = ends, *summed, model.constant, model.scale
        return cls(*parts, positions, scratch, threads, left_out, follows)

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (N, 3) (eV/Angstrom) of one structure positions (N, 3) Angstrom.

        Raises DataError for positions that are not finite or coincide."""
        forces, scratch = np.empty(self.positions.shape), self.scratch
        if (threads := threads_now(self.threads, self.follows)) < self.threads:
            x, dx, g, work = scratch
            scratch = x, dx, g[:threads], work[:threads]
        with self.lock:
            self.positions[:] = positions
            energy, nearest = _step.evaluate(
                self.positions, self.pairs, self.terms, self.functions, scratch, self.scale, forces
            )
        refuse_wrong(positions, nearest, energy)
        return self.constant + energy, forces


def threads_worth(work: int, threads: int | None) -> tuple[int, bool]:
    """Threads for the work of a step (`FlatTerms.work`), at most `threads`, None: as many as torch uses at the time of
    a call; and whether it has to be asked then."""
    worth = max(1, min(threads or _step.most_threads(), 1 + work // max(1, PARALLEL_WORK)))
    return worth, threads is None and worth > 1


def threads_now(threads: int, follows: bool) -> int:
    """Those of a call."""
    if not follows:
        return threads
    import torch

    return min(threads, torch.get_num_threads())


def refuse_wrong(positions: np.ndarray, nearest: float, energy: float) -> None:
    """Raise DataError where positions (N, 3) are not finite, or two atoms coincide, which 1/r of the nearest pair
    tells, or an energy that is no number."""
    if not (nearest < 1 / COINCIDENT and math.isfinite(energy)):
        refuse_infinite(positions)
        PairSet.full(len(positions)).refuse_coincident(positions[None], "positions")
