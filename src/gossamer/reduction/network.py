"""The family of networks: ours, or a torch module of the user's, on the inverse distances of the pairs kept."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.errors import DataError, FitError, UsageError
from gossamer.events import Event, Progress
from gossamer.fitting.checkpoint import key_of
from gossamer.fitting.network import EPOCHS, HIDDEN, Design, NetworkFit, fit_network
from gossamer.fitting.problem import Context
from gossamer.fitting.settings import Settings
from gossamer.fitting.workflow import resolve_symmetry
from gossamer.model.network import ROWS, NetworkModel, averaged
from gossamer.model.pairs import PairSet
from gossamer.records import parts
from gossamer.reduction.family import Relevance, Task, drawn

if TYPE_CHECKING:
    from torch import nn

TAKES = ("energies", "seed", "max_images", "memory", "device")  # of Settings
FEWEST = 10  # training structures


@dataclass(frozen=True)
class Network:
    """Networks for `reduce`.

    hidden: sizes of the layers of a `gossamer.model.network.PairNetwork`; module: instead of it, a function from the
    number of pairs P to a torch module that takes inputs (B, P), float64, to (B,); epochs: passes over the training
    structures at most.  Inputs are inverse distances less their mean, over their standard deviation in training; values
    are energies over the standard deviation of the force components."""

    hidden: tuple[int, ...] = HIDDEN
    module: "Callable[[int], nn.Module] | None" = None
    epochs: int = EPOCHS
    kind: ClassVar[str] = "network"

    def __post_init__(self) -> None:
        self.design  # noqa: B018  says what cannot be

    @property
    def design(self) -> Design:
        return Design(tuple(self.hidden), self.module, self.epochs)

    def check(self, settings: Settings) -> None:
        """Raise UsageError for settings that only kernels have."""
        usual = Settings()
        for item in fields(Settings):
            value = getattr(settings, item.name)
            if item.name not in TAKES and value != getattr(usual, item.name):
                raise UsageError(f"{item.name}: {value} given, which only family 'kernel' can take; leave it out.")
        if settings.device not in ("auto", "cpu"):
            raise UsageError(f"device: {settings.device} given, but networks are trained on the CPU; leave it out.")

    def begin(self, task: Task) -> "NetworkFamily":
        if len(task.train) < FEWEST:
            raise DataError(
                f"structures: {len(task.train)} to train a network on; at least {FEWEST} are needed, hundreds are "
                "usual."
            )
        group = resolve_symmetry(task.symmetry, task.train, task.context.settings)
        task.context.progress(Event("symmetry", 1, 1, group.note))
        pairs = PairSet.full(task.train.n_atoms)
        full = fit_network(task.train, task.valid, pairs, group.perms, self.design, task.context)
        return NetworkFamily(self.design, task.train, task.valid, group, task.context, pairs, full)


@dataclass(frozen=True, eq=False)
class NetworkFamily:
    """Networks that are all made and trained alike, each from the beginning."""

    design: Design
    train: Dataset
    valid: Dataset
    symmetry: Symmetry
    context: Context
    pairs: PairSet
    full: NetworkFit
    kind: ClassVar[str] = Network.kind
    length: ClassVar[float | None] = None

    def fit(self, rows: np.ndarray, nearest: NetworkFit, selection: parts.Selection) -> NetworkFit:
        return fit_network(
            self.train, self.valid, self.pairs.keep(rows), self.symmetry.perms, self.design, self.context
        )

    def relevance(self, source: Dataset, wanted: int | None, progress: Progress) -> Relevance:
        orbits = self.pairs.orbits(self.symmetry.perms)
        scored = drawn(source, wanted, self.symmetry.order, self.context.settings.seed)
        key = key_of("scores", self.full.solution.coefficients, scored, orbits)
        found = self.context.run.arrays_once(
            key, lambda: {"scores": masked_scores(self.full.model, scored.positions, orbits, progress)}
        )
        return Relevance(orbits, found["scores"], np.zeros(len(self.pairs), dtype=bool), len(scored))

    def parameters(self, fitted: NetworkFit) -> int:
        return fitted.model.parameters

    def described(self, fitted: NetworkFit) -> dict[str, Any]:
        settings = self.context.settings
        return {
            "settings": parts.Settings(
                energies_as_labels=settings.energies, solver="adam", device="cpu", seed=settings.seed
            ),
            "symmetry": parts.Symmetry(self.symmetry.order, int(self.symmetry.found), self.symmetry.note),
        }


def masked_scores(model: NetworkModel, positions: np.ndarray, orbits: np.ndarray, progress: Progress) -> np.ndarray:
    """Score (P,) of every pair, eV/Angstrom: the root mean square, over structures positions (Q, N, 3) and force
    components, of the change of the model's forces when the pair's orbit is masked: its inputs are set to their mean in
    training, and its pairs push no atoms.  orbits (P,): numbers under the group of the model's images.  Raises FitError
    where a score is not finite."""
    members = torch.from_numpy(orbits == np.arange(orbits.max() + 1)[:, None])  # (O, P)
    squares = torch.zeros(len(members), dtype=torch.float64)
    step = max(1, ROWS // len(model.inputs.images))
    for q, structure in enumerate(positions):
        z, dz = model.inputs.forward(torch.from_numpy(structure[None]))
        whole = model.pairs.pull(dz, averaged(model.module, z, model.inputs.images)[1])
        for start in range(0, len(members), step):
            gone = members[start : start + step]
            g = averaged(model.module, z.masked_fill(gone, 0.0), model.inputs.images)[1].masked_fill(gone, 0.0)
            change = whole - model.pairs.pull(dz.expand(len(gone), -1, -1).contiguous(), g)
            squares[start : start + step] += change.square().sum((1, 2))
        if q % 10 == 9 or q + 1 == len(positions):
            progress(Event("score", q + 1, len(positions), "masking pairs"))
    scores = model.scale * (squares / positions[0].size / len(positions)).sqrt().numpy()
    if not np.all(np.isfinite(scores)):
        raise FitError("scoring: some scores are not finite; look for exploded structures with `gossamer inspect`.")
    return scores[orbits]
