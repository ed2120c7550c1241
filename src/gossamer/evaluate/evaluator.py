"""One force field, ready to be called."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.backends.choice import of_one_structure, of_replicas, summed_at_once
from gossamer.backends.kernel_sum import kernel_sum
from gossamer.backends.numba.batch import BatchEvaluator
from gossamer.backends.rows import TrainingRows
from gossamer.baselines import added
from gossamer.devices import block_bytes, resolve_device
from gossamer.errors import UsageError
from gossamer.evaluate.deviations import Deviations
from gossamer.evaluate.precision import Precision, as_stored, check_precision, is_stored_single
from gossamer.model.pairs import PairSet, refuse_infinite

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from gossamer.baselines import Baseline
    from gossamer.model.force_field import ForceField, TermCoefficients


@dataclass(frozen=True, eq=False)
class Evaluator:
    """What calls of a force field share.

    device: where it computes; threads: of the CPU at most, None: as many as torch uses at the time of a call; replicas:
    on a card, structures per call that are captured as a CUDA graph, None: one.
    precision of the training rows of large terms (arithmetic is always float64): "float64"; "float32"; "auto", float32
    where that is estimated to change forces by less than SINGLE_LIMIT of the labels' spread.  One structure and many
    use the same, so that they agree; on a card, and with a descriptor other than pairs, it is float64.  What is laid
    out is made at the first call."""

    model: "ForceField"
    device: torch.device
    precision: Precision = "auto"
    threads: int | None = None
    replicas: int | None = None

    @classmethod
    def build(
        cls,
        model: "ForceField",
        device: str | None = None,
        precision: Precision = "auto",
        threads: int | None = None,
        replicas: int | None = None,
    ) -> "Evaluator":
        """device None: the model's.  Raises UsageError for values that cannot be."""
        check_precision(precision)
        for name, value in (("threads", threads), ("replicas", replicas)):
            if value is not None and value < 1:
                raise UsageError(f"{name}: {value} given; at least 1 is needed.")
        return cls(model, resolve_device(device or model.device), precision, threads, replicas)

    def one(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (N, 3) (eV/Angstrom) of one structure positions (N, 3), Angstrom.

        Raises UsageError for another shape, DataError for positions that are not finite or coincide."""
        structure = self.structure(positions)
        compute, left_out = self.of_one
        energy, forces = compute(structure)
        if left_out:
            more, pushed = added(left_out, structure[None])
            return energy + float(more[0]), forces + pushed[0]
        return energy, forces

    def structure(self, positions: np.ndarray) -> np.ndarray:
        """Positions (N, 3) of one structure as float64.  Raises UsageError for another shape."""
        shape = positions.shape if type(positions) is np.ndarray else np.shape(positions)  # np.shape costs as much
        if shape != self._shape:
            raise UsageError(f"positions: shape {shape}, but one structure of the model has {self._shape}.")
        return np.asarray(positions, dtype=np.float64)

    def many(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies (Q,) eV and forces (Q, N, 3) eV/Angstrom of structures positions (Q, N, 3), Angstrom.

        Raises UsageError for another shape, DataError for positions that are not finite or coincide."""
        structures = np.ascontiguousarray(positions, dtype=np.float64)
        if structures.ndim != 3 or structures.shape[1:] != (self.model.n_atoms, 3):
            shape = np.shape(positions)
            raise UsageError(f"positions: shape {shape}, but the model needs (structures, {self.model.n_atoms}, 3).")
        if len(structures) == self.replicas and self._graph is not None:
            energies, forces = self._graph(structures)
        else:
            energies, forces = self._learned(structures)
        if self.model.baselines:
            more, pushed = added(self.model.baselines, structures)
            return energies + more, forces + pushed
        return energies, forces

    def _learned(self, structures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`many` without baselines."""
        refuse_infinite(structures)
        pairs, energies, forces = self.model.pairs, np.empty(len(structures)), np.empty(structures.shape)
        step = max(1, int(max(2**26, block_bytes(self.device)) // (len(pairs) * 8 * 6)))
        for start in range(0, len(structures), step):
            part = torch.from_numpy(structures[start : start + step]).to(self.device)
            x, dx = pairs.forward(part)
            if not pairs.apart(x):
                pairs.refuse_coincident(part.cpu().numpy(), "positions", np.arange(start, start + len(part)))
            e, g = self.descriptor_sums(x)
            energies[start : start + step] = e.cpu().numpy()
            forces[start : start + step] = -pairs.pull(dx, g).cpu().numpy()
        return self.model.constant + self.model.scale * energies, self.model.scale * forces

    def descriptor_sums(self, x: "Tensor") -> "tuple[Tensor, Tensor]":
        """Sum over terms and pair functions at descriptors x (Q, P): energies (Q,) and dE/dx (Q, P), before scale and
        constant."""
        energies, gradients = x.new_zeros(len(x)), x.new_zeros(x.shape)
        if self._at_once.flat is not None:
            threads = self.threads or torch.get_num_threads()
            self._at_once.add(x.contiguous().numpy(), energies.numpy(), gradients.numpy(), threads)
        for term, coefficients in zip(self.model.terms, self._tensors, strict=True):
            if coefficients is None:
                continue
            rows, V, w = coefficients
            e, g = kernel_sum(term.kernel, term.gather(x), rows, V, w, images=term.perms)
            energies += term.amplitude * e.view(len(x), -1).sum(1)
            term.scatter(g.mul_(term.amplitude), gradients)
        functions = self.model.functions
        if functions is not None:
            functions.add(x, energies, gradients, x.new_tensor(functions.coefficients))
        return energies, gradients

    @cached_property
    def std(self) -> Deviations:
        """Its standard deviations of energies and forces.  Raises UsageError for a model without error bars."""
        return Deviations.build(self)

    @cached_property
    def stored_single(self) -> tuple[bool, ...]:
        """Which terms' training rows are kept in float32."""
        if self.device.type == "cuda" or not isinstance(self.model.pairs, PairSet):
            return (False,) * len(self.model.terms)
        sides = zip(self.model.terms, self.model.summed, strict=True)
        return tuple(is_stored_single(term, c, self.precision) for term, c in sides)

    @cached_property
    def _shape(self) -> tuple[int, int]:
        """Of one structure."""
        return self.model.n_atoms, 3

    @cached_property
    def of_one(self) -> "tuple[Callable[[np.ndarray], tuple[float, np.ndarray]], tuple[Baseline, ...]]":
        """A call for one structure, and the baselines that it leaves out."""

        def through_batch(structure: np.ndarray) -> tuple[float, np.ndarray]:
            energies, forces = self._learned(np.ascontiguousarray(structure)[None])
            return float(energies[0]), forces[0]

        found = of_one_structure(self.model, self.device, self.stored_single, self.threads)
        return found or (through_batch, self.model.baselines)

    @cached_property
    def _graph(self) -> "Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None":
        return of_replicas(self.model, self.device, self.replicas)

    @cached_property
    def _at_once(self) -> BatchEvaluator:
        """The terms that one compiled pass sums for a batch; none of them is kept in float32, being small."""
        holds = tuple(summed_at_once(term, self.device) for term in self.model.terms)
        return BatchEvaluator.build(self.model.terms, self.model.summed, holds)

    @cached_property
    def _tensors(self) -> "list[tuple[TrainingRows, Tensor, Tensor | None] | None]":
        """Rows and coefficients of the terms that are summed one by one, None for the others."""
        sides = zip(self.model.terms, self.model.summed, self.stored_single, self._at_once.holds, strict=True)
        return [
            None if done else _on(self.device, as_stored(c, term.perms) if single else c, term.perms)
            for term, c, single, done in sides
        ]


def _on(device: torch.device, c: "TermCoefficients", perms: np.ndarray) -> "tuple[TrainingRows, Tensor, Tensor | None]":
    X, V = torch.from_numpy(c.X).to(device), torch.from_numpy(c.V).to(device)
    return TrainingRows.build(X, perms), V, None if c.w is None else torch.from_numpy(c.w).to(device)
