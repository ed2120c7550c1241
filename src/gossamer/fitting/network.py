"""Training a network of inverse distances: Adam on forces, with a falling rate, until the validation error stops
falling."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gossamer.data.dataset import Dataset
from gossamer.errors import FitError, UsageError
from gossamer.events import Event, Progress
from gossamer.fitting.checkpoint import key_of
from gossamer.fitting.problem import Context
from gossamer.fitting.solvers import Solution, Status, Step
from gossamer.model.network import Inputs, NetworkModel, PairNetwork, Pull, slope
from gossamer.model.pairs import PairSet
from gossamer.version import __version__

HIDDEN = (128, 128)
EPOCHS = 100
BATCH = 20  # structures a step
RATE = 2e-3  # of Adam at the beginning; it falls to zero along a cosine
JUDGED = 5  # epochs between two looks at the validation structures
PATIENCE = 5  # looks without a lower error after which training ends


@dataclass(frozen=True)
class Design:
    """What is trained, and for how long at most.  hidden: sizes of the layers of a `PairNetwork`; make: instead of it,
    a function from the number of pairs P to a module that takes inputs (B, P) to (B,); epochs: passes over the
    training structures at most."""

    hidden: tuple[int, ...] = HIDDEN
    make: Callable[[int], nn.Module] | None = None
    epochs: int = EPOCHS

    def __post_init__(self) -> None:
        if not self.hidden or any(type(n) is not int or n < 1 for n in self.hidden):
            raise UsageError(f"hidden: {self.hidden} given; give the sizes of the layers, such as {HIDDEN}.")
        if type(self.epochs) is not int or self.epochs < 1:
            raise UsageError(f"epochs: {self.epochs} given; at least 1 is needed, {EPOCHS} are usual.")

    def module(self, n_inputs: int, seed: int) -> nn.Module:
        """A module in float64, whose first weights follow from the seed.  Raises UsageError for what is none, or one
        that gives other than one number a structure."""
        make = self.make or partial(PairNetwork, hidden=self.hidden)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = make(n_inputs)
        if not isinstance(module, nn.Module):
            raise UsageError(f"module: it made a {type(module).__name__}; give a function that makes a torch module.")
        module = module.to(torch.float64)
        found = module(torch.zeros(2, n_inputs, dtype=torch.float64))
        if found.shape != (2,):
            raise UsageError(
                f"module: it takes inputs (2, {n_inputs}) to {tuple(found.shape)}; it must give one number for each "
                "structure, (2,)."
            )
        return module


@dataclass(frozen=True, eq=False)
class NetworkFit:
    """A network, how its training ended, and the seconds that took."""

    model: NetworkModel
    solution: Solution
    seconds: float


def fit_network(
    train: Dataset, valid: Dataset, pairs: PairSet, perms: np.ndarray, design: Design, context: Context
) -> NetworkFit:
    """Train on the forces of `train`, and on its energies where the settings say so, and keep what had the lowest force
    error on `valid`.

    perms (S, N): a group, under which the pairs are whole orbits.  In training a structure is shown in one of its
    images, drawn anew every time; the model is the mean over all.  The same seed gives the same network.  A journal
    keeps what is finished.  Raises FitError where the error is not finite."""
    settings = context.settings
    inputs = Inputs.of(pairs, perms, train.positions)
    module = design.module(len(pairs), settings.seed)
    model = NetworkModel(
        train.numbers, inputs, module, scale=float(train.labelled_forces().std()) or 1.0,
        provenance=_provenance(train, context), hidden=None if design.make else design.hidden,
    )  # fmt: skip
    work = _Training(model, perms, train, valid, settings.energies, settings.seed)
    told = [settings.seed, settings.energies, design.epochs, list(design.hidden), repr(design.make)]
    key = key_of("network", train, valid, pairs, perms, *told)
    found = context.run.arrays_once(key, lambda: work.run(design.epochs, context.progress))
    vector = torch.from_numpy(found["weights"].copy())
    nn.utils.vector_to_parameters(vector, module.parameters())
    stopped, seconds = bool(found["ended"][0]), float(found["ended"][1])
    history = tuple(Step(int(k), float(residual), float(error)) for k, residual, error in found["history"])
    status = Status.VALIDATION if stopped else Status.EPOCHS
    best = min(history, key=lambda step: step.valid if step.valid is not None else np.inf)
    solution = Solution(vector, status, history[-1].iteration, best.residual, history)
    return NetworkFit(work.with_constant(), solution, seconds)


@dataclass(frozen=True, eq=False)
class _Training:
    """The training of a model's module, in place.  energies: whether they are labels too."""

    model: NetworkModel
    perms: np.ndarray
    train: Dataset
    valid: Dataset
    energies: bool
    seed: int

    def run(self, epochs: int, progress: Progress) -> dict[str, np.ndarray]:
        """The best weights, as one vector, the history (n, 3) of epoch, RMSE of training and of validation forces, and
        how it ended: whether it was stopped, and seconds."""
        began, module = time.perf_counter(), self.model.module
        adam = torch.optim.Adam(module.parameters(), lr=RATE)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs)
        rng = np.random.default_rng(self.seed)
        history: list[tuple[float, float, float]] = []
        best, weights, waited = np.inf, _weights(module), 0
        for epoch in range(1, epochs + 1):
            squares = [self._step(adam, rows, rng) for rows in self._batches(rng)]
            falling.step()
            if epoch % JUDGED and epoch != epochs:
                continue
            error = self.model.errors(self.valid).force_rmse
            if not np.isfinite(error):
                raise FitError(f"network: its error is not finite after {epoch} epochs; look at the labels.")
            residual = self.model.scale * float(np.sqrt(np.mean(squares)))
            history.append((epoch, residual, error))
            progress(Event("solve", epoch, epochs, "training a network", {"residual": residual, "valid": error}))
            if error < best:
                best, weights, waited = error, _weights(module), 0
            else:
                waited += 1
            if waited == PATIENCE:
                break
        ended = np.array([float(waited == PATIENCE), time.perf_counter() - began])
        return {"weights": weights, "history": np.array(history), "ended": ended}

    def with_constant(self) -> NetworkModel:
        """The model whose mean energy error on the training structures is zero; as it is without energies."""
        if self.train.energies is None:
            return self.model
        error = self.train.energies - self.model.predict(self.train.positions, warn=False).energies
        return replace(self.model, constant=float(error.mean()))

    def _batches(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        order = rng.permutation(len(self.train))
        return iter(np.array_split(order, max(1, round(len(order) / BATCH))))

    def _step(self, adam: torch.optim.Optimizer, rows: np.ndarray, rng: np.random.Generator) -> float:
        """One step on the structures `rows`, each in an image drawn for it; the mean squared error of their forces over
        scale."""
        image = self.perms[rng.integers(len(self.perms), size=len(rows))][..., None]
        positions, forces = (np.take_along_axis(a[rows], image, 1) for a in self._labels)
        z, dz = self.model.inputs.forward(torch.from_numpy(positions))
        values, g = slope(self.model.module, z, create_graph=True)
        predicted: Tensor = Pull.apply(self.model.pairs, dz, -g)
        loss = square = (predicted - torch.from_numpy(forces / self.model.scale)).square().mean()
        if self.energies and self.train.energies is not None:
            wanted = (self.train.energies[rows] - self.train.energies.mean()) / self.model.scale
            loss = loss + (values - torch.from_numpy(wanted)).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        return float(square.detach())

    @property
    def _labels(self) -> tuple[Any, Any]:
        return self.train.positions, self.train.labelled_forces()


def _provenance(train: Dataset, context: Context) -> dict[str, Any]:
    p = train.provenance
    return {
        "made_by": f"gossamer {__version__}", "name": p.name, "theory": p.theory, "source": p.source,
        "train_fingerprint": train.fingerprint, "seed": context.settings.seed,
    }  # fmt: skip


def _weights(module: nn.Module) -> np.ndarray:
    return nn.utils.parameters_to_vector(module.parameters()).detach().numpy().copy()
