"""A few structures at a time on a card, as MD steps need them: one structure, or replicas in a batch.

A step is a fixed chain of small kernels, so that launching them costs more than running them: it is captured once as a
CUDA graph and replayed.  For that the chain reads nothing from host memory, which tests/contract/test_device.py checks
on a CPU.  Sums run in a fixed order: a step repeats itself bit for bit."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.backends.rows import TrainingRows
from gossamer.backends.torch.backend import ARRAYS
from gossamer.descriptors.arrays import inverse_distance
from gossamer.descriptors.basis import Basis
from gossamer.descriptors.dense import occurrences
from gossamer.devices import resolve_device
from gossamer.displacements import displacements
from gossamer.kernels import Kernel
from gossamer.model.pairs import COINCIDENT, PairSet, as_pairs, refuse_infinite

if TYPE_CHECKING:
    from torch import Tensor

    from gossamer.model.force_field import ForceField, TermCoefficients
    from gossamer.model.pair_functions import PairFunctions
    from gossamer.model.terms import Term

WARM_UP = 3  # calls before the capture, in which libraries allocate and compile what they need


@dataclass(frozen=True, eq=False)
class _TermOnDevice:
    """One term.  images (I*P,): the molecule's pairs in the slots of its images; weights (I*P,) of these slots."""

    kernel: Kernel
    amplitude: float
    rows: TrainingRows
    V: "Tensor"
    w: "Tensor | None"
    XV: "Tensor"
    images: "Tensor"
    weights: "Tensor"

    @classmethod
    def build(cls, term: "Term", c: "TermCoefficients", device: torch.device) -> "_TermOnDevice":
        X, V = (torch.from_numpy(a).to(device) for a in (c.X, c.V))
        rows = TrainingRows.build(X, term.perms)
        w = None if c.w is None else torch.from_numpy(c.w).to(device)
        images = torch.as_tensor(images_of(term).ravel(), device=device)
        weights = torch.as_tensor(np.tile(term.weights, term.n_images), device=device)
        return cls(term.kernel, term.amplitude, rows, V, w, (rows.centred * V).sum(1), images, weights)

    def __call__(self, x: "Tensor") -> "tuple[Tensor, Tensor]":
        """Energies (Q,) and gradients by slot (Q, I*P) at the molecule's descriptors x (Q, P_all)."""
        queries = (x[:, self.images] * self.weights).view(-1, self.V.shape[1]) - self.rows.shift
        e, g = ARRAYS.centred_sum(self.kernel, queries, self.rows, self.V, self.w, XV=self.XV)
        by_slot = g.view(len(x), -1) * self.weights
        return e.view(len(x), -1).sum(1) * self.amplitude, by_slot * self.amplitude


@dataclass(frozen=True, eq=False)
class _FunctionsOnDevice:
    """Pair functions.  slots (P,); c (P, B): the coefficients of every pair's class; offsets (B,) of the centres."""

    basis: Basis
    slots: "Tensor"
    c: "Tensor"
    offsets: "Tensor"

    @classmethod
    def build(cls, functions: "PairFunctions", device: torch.device) -> "_FunctionsOnDevice":
        assert functions.coefficients is not None
        tables = functions.slots, functions.coefficients[functions.classes], functions.basis.offsets
        return cls(functions.basis, *(torch.as_tensor(table, device=device) for table in tables))

    def __call__(self, x: "Tensor") -> "tuple[Tensor, Tensor]":
        """Energies (Q,) and gradients by slot (Q, P) at the molecule's descriptors x (Q, P_all)."""
        return self.basis.summed(x[:, self.slots], self.c, self.offsets)


def images_of(term: "Term") -> np.ndarray:
    """The molecule's pairs (I, P) in the slots of every place and permutation."""
    return np.concatenate([place[term.perms] for place in term.places])


@dataclass(frozen=True, eq=False)
class DeviceForceField:
    """A force field whose every number is on one device: called with positions (Q, N, 3) there, it returns energies
    (Q,) eV, forces (Q, N, 3) eV/Angstrom and the largest inverse distance, there.

    slots (P_all, K): where each pair's gradients stand among all terms' slots; the last, empty slot fills up the table.
    """

    terms: "tuple[_TermOnDevice | _FunctionsOnDevice, ...]"
    first: "Tensor"  # (P_all,)
    second: "Tensor"
    slots: "Tensor"
    incident: "Tensor"  # (N, D) pairs at each atom and the sign of their gradient
    signs: "Tensor"
    constant: float
    scale: float

    @classmethod
    def build(cls, model: "ForceField", device: torch.device) -> "DeviceForceField":
        sides = zip(model.terms, model.summed, strict=True)
        terms: list[_TermOnDevice | _FunctionsOnDevice] = [_TermOnDevice.build(t, c, device) for t, c in sides]
        owners = np.concatenate([images_of(term).ravel() for term in model.terms])
        if model.functions is not None:
            terms.append(_FunctionsOnDevice.build(model.functions, device))
            owners = np.concatenate([owners, model.functions.slots])
        pairs = as_pairs(model.pairs, "a CUDA graph of the model")
        tables = (*pairs.pairs.T, occurrences(owners, len(pairs)), *pairs.incidence)
        i, j, slots, incident, signs = (torch.as_tensor(np.ascontiguousarray(t), device=device) for t in tables)
        return cls(tuple(terms), i, j, slots, incident, signs, model.constant, model.scale)

    def __call__(self, positions: "Tensor") -> "tuple[Tensor, Tensor, Tensor]":
        x, dx = inverse_distance(displacements(positions, self.first, self.second))
        parts = [term(x) for term in self.terms]
        energies = torch.stack([e for e, _ in parts]).sum(0) * self.scale + self.constant
        by_slot = torch.cat([*(g for _, g in parts), x.new_zeros((len(x), 1))], 1)
        g = by_slot[:, self.slots].sum(2)
        pulled = dx * (g * -self.scale)[..., None]  # -dE/dr of the pair's first atom
        forces = (pulled[:, self.incident] * self.signs[..., None]).sum(2)
        return energies, forces, x.amax()


@dataclass(frozen=True, eq=False)
class GraphedEvaluator:
    """A force field captured as a CUDA graph for a fixed number of structures.  inbox, outbox: pinned host memory."""

    pairs: PairSet
    graph: "torch.cuda.CUDAGraph"
    positions: "Tensor"
    packed: "Tensor"
    inbox: "Tensor"
    outbox: "Tensor"
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # buffers serve one call at a time

    @classmethod
    def build(cls, model: "ForceField", replicas: int = 1) -> "GraphedEvaluator":
        """Capture `model`, which must be on a card, for `replicas` structures at a time."""
        device = resolve_device(model.device)
        step = DeviceForceField.build(model, device)
        with torch.cuda.device(device):
            shape = (replicas, model.n_atoms, 3)
            positions = torch.arange(float(np.prod(shape)), dtype=torch.float64, device=device).view(shape)
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP):
                    _pack(step(positions))
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                packed = _pack(step(positions))
        inbox, outbox = (torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in (positions, packed))
        return cls(as_pairs(model.pairs, "a CUDA graph"), graph, positions, packed, inbox, outbox)

    def __call__(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies (Q,) eV and forces (Q, N, 3) eV/Angstrom of positions (Q, N, 3), Q as captured.

        Raises DataError for positions that are not finite or coincide."""
        refuse_infinite(positions)
        with self.lock, torch.cuda.device(self.positions.device):
            self.inbox.copy_(torch.from_numpy(positions))
            self.positions.copy_(self.inbox, non_blocking=True)
            self.graph.replay()
            self.outbox.copy_(self.packed, non_blocking=True)
            torch.cuda.current_stream().synchronize()
            numbers = self.outbox.numpy().copy()
        if not numbers[-1] < 1 / COINCIDENT:
            self.pairs.refuse_coincident(positions, "positions")
        n = len(positions)
        return numbers[:n], numbers[n:-1].reshape(positions.shape)

    def one(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy and forces (N, 3) of one structure (N, 3); the call of SingleEvaluator."""
        energies, forces = self(np.ascontiguousarray(positions)[None])
        return float(energies[0]), forces[0]


def _pack(results: "tuple[Tensor, Tensor, Tensor]") -> "Tensor":
    energies, forces, nearest = results
    return torch.cat([energies, forces.reshape(-1), nearest[None]])
