"""ForceField: a trained model.  It predicts without ever importing the code that trained it."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gossamer.errors import UsageError
from gossamer.model.device import block_bytes, on_host, resolve_device
from gossamer.model.pairs import COINCIDENT, PairSet, refuse_infinite
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase.calculators.calculator import Calculator
    from torch import Tensor

    from gossamer.data.dataset import Dataset
    from gossamer.model.kernel_sum import TrainingRows
    from gossamer.model.seen import SeenDistances
    from gossamer.model.single import BatchEvaluator


class Prediction(NamedTuple):
    """energies (Q,) eV and forces (Q, N, 3) eV/Angstrom."""

    energies: np.ndarray
    forces: np.ndarray


class Errors(NamedTuple):
    """Mean absolute and root mean square errors; forces per component in eV/Angstrom, energies in eV or None."""

    force_mae: float
    force_rmse: float
    energy_mae: float | None
    energy_rmse: float | None


@dataclass(frozen=True, eq=False)
class TermCoefficients:
    """What training left behind for one term: descriptors X (M*L, P), coefficients V (M*L, P), and energy
    coefficients w (M*L,) or None."""

    X: np.ndarray
    V: np.ndarray
    w: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class ForceField:
    """E(R) = constant + scale * sum_t amplitude_t * (kernel sum of term t over its training rows); F = -dE/dR.

    numbers (N,); pairs: union of the terms' pairs; coefficients: one entry per term; constant eV; scale eV/Angstrom
    (the labels were divided by it); provenance: plain JSON values (data, settings, seed, versions); device: where it
    predicts, which is not written to its file.
    """

    numbers: np.ndarray
    pairs: PairSet
    terms: tuple[Term, ...]
    coefficients: tuple[TermCoefficients, ...]
    constant: float = 0.0
    scale: float = 1.0
    provenance: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"

    def __post_init__(self) -> None:
        if len(self.terms) != len(self.coefficients) or not self.terms:
            raise UsageError(f"terms: {len(self.terms)} given with {len(self.coefficients)} sets of coefficients.")
        for term, c in zip(self.terms, self.coefficients, strict=True):
            if c.X.shape != c.V.shape or c.X.shape[1] != term.n_pairs or len(c.X) % term.n_places:
                raise UsageError(
                    f"term {term.name!r}: X {c.X.shape} and V {c.V.shape} do not fit {term.n_pairs} pairs."
                )
            if c.w is not None and c.w.shape != (len(c.X),):
                raise UsageError(f"term {term.name!r}: w {c.w.shape} does not fit {len(c.X)} rows.")
            if term.places.min() < 0 or term.places.max() >= len(self.pairs):
                raise UsageError(f"term {term.name!r}: it names pairs outside the model's {len(self.pairs)}.")
            if not all(np.all(np.isfinite(a)) for a in (c.X, c.V, c.w, self.constant, self.scale) if a is not None):
                raise UsageError(f"term {term.name!r}: some coefficients are NaN or infinite; train the model again.")

    def __getstate__(self) -> dict[str, Any]:
        """What is copied or sent to another process: the fields, not what was derived from them."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @property
    def n_atoms(self) -> int:
        return len(self.numbers)

    @property
    def n_train(self) -> int:
        return len(self.coefficients[0].X) // self.terms[0].n_places

    def on(self, device: str) -> "ForceField":
        """The model that predicts on `device`: "cpu", "cuda", "cuda:1", or "auto", CUDA where there is a card.
        Raises UsageError where there is none."""
        return replace(self, device=str(resolve_device(device)))

    def predict(self, positions: np.ndarray, *, warn: bool = True) -> Prediction:
        """Energies and forces of structures positions (Q, N, 3) or (N, 3), Angstrom.

        warn: give one ExtrapolationWarning where bonds differ from those of all training structures.
        Raises UsageError for another number of atoms, DataError for positions that are not finite or coincide."""
        structures = self._shaped(positions)
        if warn:
            self.seen.warn(structures, stacklevel=2)
        if len(structures) == 1:
            energy, force = self._single(structures[0])
            return Prediction(np.array([energy]), force[None])
        refuse_infinite(structures)
        import torch

        energies = np.empty(len(structures))
        forces = np.empty(structures.shape)
        device = resolve_device(self.device)
        step = max(1, int(max(2**26, block_bytes(device)) // (len(self.pairs) * 8 * 6)))
        for start in range(0, len(structures), step):
            part = torch.from_numpy(structures[start : start + step]).to(device)
            x, dx = self.pairs.forward(part)
            if not float(x.max()) < 1 / COINCIDENT:
                self.pairs.refuse_coincident(part.cpu().numpy(), "positions", np.arange(start, start + len(part)))
            e, g = self.descriptor_sums(x)
            energies[start : start + step] = e.cpu().numpy()
            forces[start : start + step] = -self.pairs.pull(dx, g).cpu().numpy()
        return Prediction(self.constant + self.scale * energies, self.scale * forces)

    def descriptor_sums(self, x: "Tensor") -> "tuple[Tensor, Tensor]":
        """Sum over terms at descriptors x (Q, P): energies (Q,) and dE/dx (Q, P), before scale and constant."""
        import torch

        from gossamer.model.kernel_sum import kernel_sum

        energies, gradients = x.new_zeros(len(x)), x.new_zeros(x.shape)
        compiled = on_host(x)
        if compiled:
            x = x.contiguous()
            self._batch.add(x.numpy(), energies.numpy(), gradients.numpy(), torch.get_num_threads())
        finished = self._batch.holds if compiled else (False,) * len(self.terms)
        for term, (rows, V, w), done in zip(self.terms, self._tensors, finished, strict=True):
            if done:
                continue
            e, g = kernel_sum(term.kernel, term.gather(x), rows, V, w, images=term.perms)
            energies += term.amplitude * e.view(len(x), -1).sum(1)
            term.scatter(g.mul_(term.amplitude), gradients)
        return energies, gradients

    @cached_property
    def seen(self) -> "SeenDistances":
        """The distances it was trained on."""
        from gossamer.model.seen import SeenDistances

        return SeenDistances.build(self.numbers, self.pairs, self.terms, self.coefficients)

    def test(self, dataset: "Dataset", *, warn: bool = True) -> Errors:
        """Errors on a labelled data set of the same molecule; warn: as for `predict`."""
        if not np.array_equal(dataset.numbers, self.numbers):
            raise UsageError(
                f"data: {dataset.provenance.source or 'the data set'} holds other atoms, or another order of atoms, "
                "than the model was trained on; convert it to the model's order."
            )
        if warn:
            self.seen.warn(dataset.positions, dataset.provenance.source or "data", dataset.frames, stacklevel=2)
        p = self.predict(dataset.positions, warn=False)
        df = p.forces - dataset.labelled_forces()
        de = None if dataset.energies is None else p.energies - dataset.energies
        return Errors(
            float(np.abs(df).mean()),
            float(np.sqrt((df**2).mean())),
            None if de is None else float(np.abs(de).mean()),
            None if de is None else float(np.sqrt((de**2).mean())),
        )

    def with_constant_from(self, dataset: "Dataset") -> "ForceField":
        """The model whose mean energy error on `dataset` is zero (least squares); unchanged without energies."""
        if dataset.energies is None:
            return self
        error = dataset.energies - self.predict(dataset.positions, warn=False).energies
        return replace(self, constant=self.constant + float(error.mean()))

    def save(self, path: str | Path) -> Path:
        """Write a .gossamer file (safetensors, no pickle); the file appears whole or not at all."""
        from gossamer.model.model_file import save

        return save(self, path)

    def export_sgdml(self, path: str | Path) -> Path:
        """Write an npz that sgdml loads; only one-term models over all pairs can be written."""
        from gossamer.model.sgdml_file import export_sgdml

        return export_sgdml(self, path)

    def ase(self) -> "Calculator":
        """An ASE calculator: energy in eV, forces in eV/Angstrom."""
        from gossamer.engines.ase import GossamerCalculator

        return GossamerCalculator(self)

    def _shaped(self, positions: np.ndarray) -> np.ndarray:
        structures = np.ascontiguousarray(positions, dtype=np.float64)
        if structures.ndim == 2:
            structures = structures[None]
        if structures.ndim != 3 or structures.shape[1:] != (self.n_atoms, 3):
            shape = np.shape(positions)
            raise UsageError(f"positions: shape {shape}, but the model needs (structures, {self.n_atoms}, 3).")
        return structures

    @cached_property
    def _single(self) -> "Callable[[np.ndarray], tuple[float, np.ndarray]]":
        import torch

        if resolve_device(self.device).type == "cuda":
            from gossamer.model.single_cuda import GraphedEvaluator

            return GraphedEvaluator.build(self).one
        from gossamer.model.single import SingleEvaluator

        return SingleEvaluator.build(self, threads=torch.get_num_threads())

    @cached_property
    def _batch(self) -> "BatchEvaluator":
        from gossamer.model.single import BatchEvaluator

        return BatchEvaluator.build(self.terms, self.coefficients)

    @cached_property
    def _tensors(self) -> "list[tuple[TrainingRows, Tensor, Tensor | None]]":
        import torch

        from gossamer.model.kernel_sum import TrainingRows

        device = resolve_device(self.device)
        return [
            (
                TrainingRows.build(torch.from_numpy(c.X).to(device), term.perms),
                torch.from_numpy(c.V).to(device),
                None if c.w is None else torch.from_numpy(c.w).to(device),
            )
            for term, c in zip(self.terms, self.coefficients, strict=True)
        ]
