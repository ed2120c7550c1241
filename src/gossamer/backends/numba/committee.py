"""A committee at one structure at a time: the members of error bars in one compiled pass.

They have the terms of their model, and each holds rows of it that no other holds, so that all of them together cost
what the model does: descriptors once, and every row once, with the coefficients of its member."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gossamer.backends.numba import _step
from gossamer.backends.numba._places import BLOCK
from gossamer.backends.numba.layout import FlatTerms, aligned, flat_functions
from gossamer.backends.numba.single import refuse_wrong, threads_now, threads_worth
from gossamer.model.pairs import as_pairs

if TYPE_CHECKING:
    from gossamer.model.error_bars import ErrorBars
    from gossamer.model.force_field import ForceField
    from gossamer.model.pair_functions import FlatFunctions


@dataclass(frozen=True, eq=False)
class CommitteeEvaluator:
    """K members laid out for one structure at a time, without baselines."""

    pairs: np.ndarray  # (P_all, 2)
    terms: tuple[np.ndarray, ...]  # of FlatTerms: members one after another, filled up to as many blocks of rows
    functions: "FlatFunctions"  # tables (K, classes, B)
    constants: np.ndarray  # (K,), eV
    scale: float
    positions: np.ndarray  # (N, 3), scratch
    scratch: tuple[np.ndarray, ...]  # x (P_all,), dx (P_all, 3), g (K, P_all), work (threads, work_size)
    follows: bool = False  # whether it uses no more threads than torch does at the time of a call
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # the scratch serves one call at a time

    @classmethod
    def build(
        cls, model: "ForceField", bars: "ErrorBars", stored_single: tuple[bool, ...], threads: int | None = 1
    ) -> "CommitteeEvaluator":
        """Of the model's error bars; threads, stored_single: as of SingleEvaluator."""
        K, pairs = bars.n_members, as_pairs(model.pairs, "compiled code for one structure")
        flat = FlatTerms.build(model.terms, bars.side_by_side(model, BLOCK), stored_single)
        threads, follows = threads_worth(flat.work, threads)
        slots, classes, table, numbers = flat_functions(model.functions)
        tables = np.zeros((K, *table.shape))
        if model.functions is not None and bars.functions is not None:
            tables = np.array([model.functions.flat(c)[2] for c in bars.functions])
        n, threads = len(pairs), min(threads, K)
        scratch = np.empty(n), np.empty((n, 3)), np.empty((K, n)), aligned((threads, flat.work_size))
        summed = tuple(flat), (slots, classes, tables, numbers), bars.constants, model.scale
        return cls(np.array(pairs.pairs), *summed, np.empty((model.n_atoms, 3)), scratch, follows)

    def __call__(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies (K,), eV, and forces (K, N, 3), eV/Angstrom, of one structure positions (N, 3), Angstrom.

        Raises DataError for positions that are not finite or coincide."""
        forces = np.empty((len(self.constants), *self.positions.shape))
        return self._summed(positions, forces), forces

    def energies(self, positions: np.ndarray) -> np.ndarray:
        """The energies alone, at half the cost."""
        return self._summed(positions, None)

    def _summed(self, positions: np.ndarray, forces: np.ndarray | None) -> np.ndarray:
        energies, (x, dx, g, work) = np.empty(len(self.constants)), self.scratch
        here, members = (self.pairs, x, dx), (self.terms, self.functions)
        with self.lock:
            self.positions[:] = positions
            scratch = g, work[: threads_now(len(work), self.follows)]
            nearest = _step.evaluate_members(self.positions, here, members, scratch, self.scale, energies, forces)
        refuse_wrong(positions, nearest, float(energies.sum()))
        return energies + self.constants
