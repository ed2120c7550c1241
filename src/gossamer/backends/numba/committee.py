"""A committee at one structure at a time: the members of error bars in one compiled pass.

They have the terms of their model, and each holds rows of it that no other holds, so that all of them together cost
what the model does: descriptors once, and every row once, with the coefficients of its member."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gossamer.backends.numba import _step
from gossamer.backends.numba._places import BLOCK
from gossamer.backends.numba.layout import FlatTerms, Pool, aligned, flat_functions, is_small, member_blocks
from gossamer.backends.numba.single import SingleEvaluator, refuse_wrong, threads_now, threads_worth
from gossamer.model.pairs import as_pairs

if TYPE_CHECKING:
    from gossamer.model.error_bars import ErrorBars
    from gossamer.model.force_field import ForceField
    from gossamer.model.pair_functions import FlatFunctions


@dataclass(frozen=True, eq=False)
class SpreadEvaluator:
    """A force field at one structure, and the energies of its K members from the same pass over its rows: a member has
    rows of the model under other coefficients, so that it costs no more than one dot product a row."""

    single: SingleEvaluator
    theirs: tuple[np.ndarray, ...]  # of _step.evaluate_with_members
    tables: np.ndarray  # (K, classes, B), of pair functions
    constants: np.ndarray  # (K,), eV

    @classmethod
    def build(cls, model: "ForceField", bars: "ErrorBars", single: SingleEvaluator) -> "SpreadEvaluator | None":
        """None where the pass is another: rows that do not stand in blocks, energy coefficients, representatives in
        place of rows, several threads."""
        plain = all(c.w is None and c.few is None for c in model.coefficients)
        if not plain or single.threads > 1 or not all(is_small(term) for term in model.terms):
            return None
        return cls(single, _laid_out(model, bars), tables_of(model, bars), bars.constants)

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Energy (eV) and forces (N, 3) (eV/Angstrom) of one structure positions (N, 3), Angstrom, without baselines
        that `single` leaves out, and the members' energies (K,), eV, without any baseline.

        Raises DataError for positions that are not finite or coincide."""
        s, energies = self.single, np.empty(len(self.constants) + 1)
        forces, members = np.empty(s.positions.shape), (s.scale, self.theirs, self.tables, energies)
        with s.lock:
            s.positions[:] = positions
            energy, nearest = _step.evaluate_with_members(
                s.positions, s.pairs, s.terms, s.functions, s.scratch, members, forces
            )
        refuse_wrong(positions, nearest, energy)
        return s.constant + energy, forces, energies[:-1] + self.constants


def _laid_out(model: "ForceField", bars: "ErrorBars") -> tuple[np.ndarray, ...]:
    """Coefficients of the members as blocks (see _blocks.over_blocks_and_members), flat; the members of rows; where the
    blocks of each term begin in either."""
    blocks, folds = Pool(np.float64), Pool(np.int64)
    first, first_row = [], []
    of_structures = np.where(bars.folds < 0, bars.n_members, bars.folds)
    for term, c, V in zip(model.terms, model.coefficients, bars.V, strict=True):
        filled = -(-len(V) // BLOCK) * BLOCK - len(V)
        first.append(blocks.add(member_blocks(term, c.X, V)))
        of_rows = np.repeat(of_structures, term.n_places)
        first_row.append(folds.add(of_rows, np.full(filled, bars.n_members)))
    return blocks.array(), folds.array(), np.array(first), np.array(first_row)


def tables_of(model: "ForceField", bars: "ErrorBars") -> np.ndarray:
    """The members' tables (K, classes, B) of pair functions; zeros where there are none."""
    if model.functions is not None and bars.functions is not None:
        return np.array([model.functions.flat(c)[2] for c in bars.functions])
    return np.zeros((bars.n_members, *flat_functions(model.functions)[2].shape))


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
        slots, classes, _, numbers = flat_functions(model.functions)
        tables = tables_of(model, bars)
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
