"""NetworkModel: a neural network of inverse distances, the kind of model that has no kernel.

E(R) = constant + scale * mean over images s of module((x[s] - mean) / spread), and F = -dE/dR by autograd, where x are
the inverse distances of the model's pairs and the images are what its permutations make of them, so that like atoms may
be exchanged."""

import warnings
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from gossamer.data.dataset import hill_formula
from gossamer.errors import DataError, ExtrapolationWarning, UsageError
from gossamer.model.pairs import PairSet, refuse_infinite
from gossamer.model.results import Errors, Prediction, errors_of
from gossamer.model.seen import WIDER
from gossamer.model.structures import asked, require_atoms

if TYPE_CHECKING:
    from gossamer.data.dataset import Dataset
    from gossamer.model.structures import Structures

ROWS = 2048  # that a module is given at a time
SOFT = 0.3  # of a perceptron's inputs: the smaller, the smoother a function it begins as
NARROWEST = 1e-3  # of an inverse distance: the least it is taken to vary by


class PairNetwork(nn.Module):
    """Inputs z (B, P) -> (B,): a multilayer perceptron with SiLU beside a linear and a quadratic function of every
    input, which are most of a molecule's energy near its mean structure."""

    def __init__(self, n_inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        sizes = [n_inputs, *hidden]
        layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.SiLU())]
        self.body = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))
        self.linear = nn.Parameter(torch.zeros(n_inputs))
        self.quadratic = nn.Parameter(torch.zeros(n_inputs))

    def forward(self, z: Tensor) -> Tensor:
        return self.body(SOFT * z)[:, 0] / SOFT + z @ self.linear + (z * z) @ self.quadratic


class Pull(torch.autograd.Function):
    """`PairSet.pull`, which is linear in the pair gradients and whose transpose is `push`, for autograd."""

    @staticmethod
    def forward(ctx: Any, pairs: PairSet, dx: Tensor, g: Tensor) -> Tensor:
        ctx.pairs = pairs
        ctx.save_for_backward(dx)
        return pairs.pull(dx, g)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor]:
        (dx,) = ctx.saved_tensors
        return None, None, ctx.pairs.push(dx, grads[0].contiguous())


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a network is shown of a structure.  pairs: P of them; images (S, P): what the permutations make of them;
    mean, spread, least, most (P,): of the inverse distances in training, 1/Angstrom, the same within an orbit."""

    pairs: PairSet
    images: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    least: np.ndarray
    most: np.ndarray

    @classmethod
    def of(cls, pairs: PairSet, perms: np.ndarray, positions: np.ndarray) -> "Inputs":
        """Standardised over training structures positions (M, N, 3), Angstrom.  perms (S, N): a group, under which the
        pairs are whole orbits."""
        images = pairs.permuted(perms)
        x = pairs.forward(torch.from_numpy(positions))[0].numpy()
        every = x[:, images].reshape(-1, len(pairs))  # structures whose atoms are exchanged are as good
        spread = np.maximum(every.std(0), NARROWEST * every.mean(0))
        return cls(pairs, images, every.mean(0), spread, every.min(0), every.max(0))

    def __len__(self) -> int:
        return len(self.pairs)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs z (Q, P) of structures positions (Q, N, 3), Angstrom, in the order of the pairs, and their gradients
        (Q, P, 3), 1/Angstrom."""
        x, dx = self.pairs.forward(positions)
        mean, spread = torch.from_numpy(self.mean), torch.from_numpy(self.spread)
        return (x - mean) / spread, dx / spread[:, None]

    def warn(self, positions: np.ndarray, name: str, frames: np.ndarray | None, stacklevel: int) -> None:
        """Give one ExtrapolationWarning where an inverse distance leaves its range in training by WIDER times that."""
        z = self.forward(torch.from_numpy(positions))[0].numpy()
        reach = WIDER * (self.most - self.least)
        low, high = ((edge - self.mean) / self.spread for edge in (self.least - reach, self.most + reach))
        outside = (z < low) | (z > high)
        if not outside.any():
            return
        q, p = np.argwhere(outside)[0]
        (i, j), frame = self.pairs.pairs[p], q if frames is None else frames[q]
        warnings.warn(
            f"{name}: in frame {frame} atoms {j} and {i} lie far outside the range of distances that the network was "
            "trained on, where its answers are guesses; train on such structures, too.",
            ExtrapolationWarning,
            stacklevel=stacklevel + 1,
        )


def slope(module: nn.Module, z: Tensor, *, create_graph: bool = False) -> tuple[Tensor, Tensor]:
    """Values (B,) of a module and their gradients (B, P) at inputs z (B, P)."""
    z = z.detach().requires_grad_()
    with torch.enable_grad():
        values = module(z)
        (g,) = torch.autograd.grad(values.sum(), z, create_graph=create_graph)
    return values, g


@dataclass(frozen=True, eq=False)
class NetworkModel:
    """numbers (N,); module: inputs (B, P) float64 -> (B,), see `Inputs`; constant eV; scale eV/Angstrom (the labels
    were divided by it); provenance: plain JSON values; hidden: sizes of the layers of a `PairNetwork`, None: the module
    is another one, which no file can hold."""

    numbers: np.ndarray
    inputs: Inputs
    module: nn.Module
    constant: float = 0.0
    scale: float = 1.0
    provenance: dict[str, Any] = field(default_factory=dict)
    hidden: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        counts = f"{len(self.numbers)} atoms, {len(self.pairs)} pairs, {self.parameters:,} parameters"
        return f"NetworkModel({hill_formula(self.numbers)}: {counts})"

    @property
    def pairs(self) -> PairSet:
        return self.inputs.pairs

    @property
    def parameters(self) -> int:
        """How many numbers were trained."""
        return sum(p.numel() for p in self.module.parameters())

    def predict(self, structures: "Structures", *, warn: bool = True) -> Prediction:
        """Energies (Q,) and forces (Q, N, 3) of structures: positions (Q, N, 3) or (N, 3), Angstrom, an ase.Atoms or a
        list of them, or a Dataset.  warn: give one ExtrapolationWarning where distances are far from those of training.
        Raises UsageError for other atoms or another number of them, DataError for
        positions that are not finite or coincide."""
        positions, name, frames = asked(structures, self.numbers)
        if positions.shape[1:] != (len(self.numbers), 3):
            raise UsageError(f"positions: shape {positions.shape}, but the model has (Q, {len(self.numbers)}, 3).")
        refuse_infinite(positions)
        if warn:
            self.inputs.warn(positions, name, frames, stacklevel=2)
        energies, forces = np.empty(len(positions)), np.empty(positions.shape)
        step = max(1, ROWS // len(self.inputs.images))
        for start in range(0, len(positions), step):
            e, f = self._block(torch.from_numpy(np.ascontiguousarray(positions[start : start + step])))
            energies[start : start + step], forces[start : start + step] = e.numpy(), f.numpy()
        if not (np.isfinite(energies).all() and np.isfinite(forces).all()):
            raise DataError("positions: two atoms coincide, or lie where the network gives no number; remove those.")
        return Prediction(energies, forces)

    def _block(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        z, dz = self.inputs.forward(positions)
        values, g = averaged(self.module, z, self.inputs.images)
        return self.constant + self.scale * values, -self.scale * self.pairs.pull(dz, g)

    def errors(self, dataset: "Dataset") -> Errors:
        """Errors on a labelled data set of the same molecule, whatever its labels are."""
        require_atoms(dataset, self.numbers)
        return errors_of(self.predict(dataset.positions, warn=False), dataset)

    def save(self, path: str | Path) -> Path:
        """Write a .gossamer file (safetensors, no pickle), which `load_network` reads."""
        from gossamer.model.network_file import save

        return save(self, path)


def averaged(module: nn.Module, z: Tensor, images: np.ndarray) -> tuple[Tensor, Tensor]:
    """Values (B,) of a module, averaged over the images (S, P) of inputs z (B, P), and their gradients (B, P)."""
    index = torch.from_numpy(images)
    values, g = slope(module, z[:, index].reshape(-1, z.shape[1]))
    g = g.reshape(len(z), *images.shape)
    back = torch.zeros_like(z).index_add_(1, index.reshape(-1), g.reshape(len(z), -1))
    return values.detach().reshape(len(z), -1).mean(1), back / len(images)
