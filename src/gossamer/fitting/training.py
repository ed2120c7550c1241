"""From labelled structures to a force field."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gossamer import kernels
from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.devices import resolve_device
from gossamer.errors import FitError, UsageError
from gossamer.events import Event, Progress, silent
from gossamer.fitting.checkpoint import HERE, Entry, Run, history_of, key_of
from gossamer.fitting.labels import ENERGIES, Block, Labels, blocks_of
from gossamer.fitting.learning import LearningRule
from gossamer.fitting.operator import KernelOperator, assemble
from gossamer.fitting.preconditioners import Nystrom
from gossamer.fitting.resources import Plan, memory_budget, plan_of
from gossamer.fitting.solvers import Solution, Status, StopRule, cholesky, conjugate_gradients
from gossamer.model.force_field import ForceField
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

LENGTHS = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
NOISES = (
    1e-10,
    1e-9,
    1e-8,
    1e-7,
    1e-6,
    1e-5,
    1e-4,
    1e-3,
    1e-2,
)  # relative to the mean prior variance of a force component
START_LENGTH, START_NOISE = 20.0, 1e-5
GLOBAL_KERNEL, SUM_KERNEL = "matern52", "matern52"  # the first is sgdml's
PILOT_STRUCTURES, PILOT_UNKNOWNS = 120, 6000  # a pilot fit has no more, but 30 structures if there are so many
WORTH_A_STEP = 5e-3  # relative gain of the validation error without which a search does not go on
WATCHED = 60  # validation structures looked at while iterating


@dataclass(frozen=True)
class Settings:
    """What a fit may vary.

    length (1/Angstrom) None: searched on the validation set.  noise: variance added to labels of unit spread, as
    sgdml's lam; relative_noise: the same over the mean prior variance of a force component; both None: searched too."""

    length: float | None = None
    noise: float | None = None
    relative_noise: float | None = None
    energies: bool = False
    solver: str = "auto"
    memory: float | None = None  # GiB, of the device's memory
    seed: int = 0
    stop: StopRule = field(default_factory=StopRule)
    learning_steps: int = LearningRule.steps  # of pair weights; 0 leaves them at one
    device: str = "auto"  # cpu, cuda, or cuda where there is a card
    kernel: str | None = None  # of all terms, by name; None: GLOBAL_KERNEL for one global term, SUM_KERNEL for sums
    max_images: int | None = None  # permutations of the global term at most; None: IMAGES, more where pairs are few

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The labels that are fitted to."""
        return blocks_of(self.energies)

    def global_kernel(self, length: float) -> kernels.Kernel:
        """The kernel of a model that is one global term."""
        return kernels.make(self.kernel or GLOBAL_KERNEL, length)

    def sum_kernel(self, length: float) -> kernels.Kernel:
        """The kernel of a term of a sum."""
        return kernels.make(self.kernel or SUM_KERNEL, length)

    def __post_init__(self) -> None:
        if self.learning_steps < 0:
            raise UsageError(
                f"learning_steps: {self.learning_steps} given; use 0 for none, {LearningRule.steps} is usual."
            )
        if self.max_images is not None and self.max_images < 1:
            raise UsageError(f"max_images: {self.max_images} given; at least 1 permutation, the identity, is needed.")
        if self.solver not in ("auto", "cholesky", "cg"):
            raise UsageError(f"solver: {self.solver!r} is not known; use auto, cholesky or cg.")
        if self.noise is not None and not 0 <= self.noise < float("inf"):
            raise UsageError(
                f"noise: {self.noise} given, but it is a variance and cannot be negative; 1e-10 is sgdml's."
            )
        if self.relative_noise is not None and not 0 <= self.relative_noise < float("inf"):
            raise UsageError(f"relative_noise: {self.relative_noise} given; it is a fraction and cannot be negative.")
        if self.memory is not None and not 0 < self.memory < float("inf"):
            raise UsageError(f"memory: {self.memory} given; it is the budget in GiB and must be positive and finite.")
        if self.length is not None:
            self.global_kernel(self.length)
        if self.kernel is not None:
            self.global_kernel(START_LENGTH)
        resolve_device(self.device)


@dataclass(frozen=True, eq=False)
class System:
    """What fits of the same terms to the same structures share, whatever their noise: the operator without noise, and
    the lower triangle of its matrix where that was made and is small enough to keep."""

    K: KernelOperator
    matrix: "Tensor | None" = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """One solved system: the model, how solving went, and what a following fit can start from."""

    model: ForceField
    solution: Solution
    preconditioner: Nystrom | None
    plan: Plan
    noise: float  # variance added to labels of unit spread
    mean_variance: float  # of a force component under the prior, same units
    seconds: float
    system: System | None = None
    columns_for: float | None = None  # the noise for which the preconditioner's columns were chosen

    def light(self) -> "Fitted":
        """Without the preconditioner and the system, the largest parts: enough to start a fit of other terms."""
        return replace(self, preconditioner=None, system=None)


def fit_terms(
    terms: tuple[Term, ...],
    pairs: PairSet,
    train: Dataset,
    valid: Dataset | None,
    settings: Settings,
    *,
    previous: Fitted | None = None,
    columns_of: Nystrom | float | None = None,
    system: System | None = None,
    provenance: dict[str, Any] | None = None,
    run: Run = HERE,
    progress: Progress = silent,
) -> Fitted:
    """Solve for the coefficients of `terms` on `train`; lengths are those of the terms.

    previous: a fit on the same data whose coefficients the iterations start from.  columns_of: a preconditioner of the
    same terms on the same data, made for another noise, whose columns are used again, or that noise, for which the
    same columns are chosen.  system: of such a fit.  run: what is finished or under way in its journal is not done
    again, but a fit from there comes without preconditioner and system."""
    start = None if previous is None else previous.solution.coefficients
    columns_for = columns_of.chosen_for if isinstance(columns_of, Nystrom) else columns_of
    key = key_of("fit", terms, pairs, train, valid, settings, start, columns_for)
    found = run.journal.get(key)
    if found is None:
        try:
            fitted = _solve(
                terms, pairs, train, valid, settings, start, columns_of, system, provenance or {}, key, run, progress
            )
        except FitError as error:
            run.journal.put(key, {}, {"failed": str(error)})
            raise
        run.journal.put(key, *_entry_of(fitted))
        return fitted
    if "failed" in found.values:
        raise FitError(found.values["failed"])
    return _restored(found, terms, pairs, train, settings, provenance or {})


def _entry_of(fitted: Fitted) -> Entry:
    """What a journal keeps of a fit; the model follows from it and the arguments of `fit_terms`."""
    s = fitted.solution
    solved = {"status": s.status.name, "iterations": s.iterations, "residual": s.residual, "history": s.history}
    values = {key: getattr(fitted, key) for key in ("noise", "mean_variance", "seconds", "columns_for")}
    return Entry({"coefficients": s.coefficients.cpu().numpy()}, solved | values | {"plan": asdict(fitted.plan)})


def _restored(
    found: Entry,
    terms: tuple[Term, ...],
    pairs: PairSet,
    train: Dataset,
    settings: Settings,
    provenance: dict[str, Any],
) -> Fitted:
    """The fit that `_entry_of` was made from, without its preconditioner."""
    v, device = found.values, resolve_device(settings.device)
    solution = Solution(
        torch.from_numpy(found.arrays["coefficients"]).to(device), Status[v["status"]], v["iterations"], v["residual"],
        history_of(v["history"]),
    )  # fmt: skip
    R = torch.from_numpy(train.positions).to(device)
    K = KernelOperator.build(terms, pairs, R, v["noise"], energies=settings.energies, cache_bytes=0)
    model = _model(K, solution, Labels.of(train, settings.blocks), train, settings, provenance)
    plan = Plan(**v["plan"])
    return Fitted(model, solution, None, plan, v["noise"], v["mean_variance"], v["seconds"], None, v["columns_for"])


def _model(
    K: KernelOperator, solution: Solution, labels: Labels, train: Dataset, settings: Settings, provenance: dict
) -> ForceField:
    model = assemble(K, solution.coefficients, train.numbers, labels.scale, labels.constant, provenance)
    return model if ENERGIES in labels.layout.blocks else model.with_constant_from(train)


def _solve(
    terms: tuple[Term, ...],
    pairs: PairSet,
    train: Dataset,
    valid: Dataset | None,
    settings: Settings,
    start: "Tensor | None",
    columns_of: Nystrom | float | None,
    system: System | None,
    provenance: dict[str, Any],
    key: str,
    run: Run,
    progress: Progress,
) -> Fitted:
    """`fit_terms`, done."""
    began = time.perf_counter()
    labels = Labels.of(train, settings.blocks)
    device = resolve_device(settings.device)
    budget = memory_budget(settings.memory, device)
    y = labels.y.to(device)
    ranks = run.ranks
    solver = "cg" if ranks.machines > 1 and settings.solver == "auto" else settings.solver  # Cholesky stays on one
    chosen = plan_of(
        terms, len(pairs), labels.layout, budget, solver, ranks=ranks.size, on_card=device.type == "cuda"
    )  # fmt: skip
    if system is None:
        positions = torch.from_numpy(train.positions).to(device)
        system = System(
            KernelOperator.build(
                terms, pairs, positions, 0.0,
                energies=settings.energies, cache_bytes=chosen.cache_bytes / ranks.size, ranks=ranks,
            )
        )  # fmt: skip
    (mean_variance,) = ranks.agree(float(system.K.diagonal()[: system.K.n_forces].mean()))
    noise = _absolute_noise(settings, mean_variance)
    K = replace(system.K, noise=noise)

    def build(v: "Tensor") -> ForceField:
        return assemble(K, v, train.numbers, labels.scale, 0.0, provenance)

    preconditioner = None
    if chosen.solver == "cholesky":
        if ranks.first and system.matrix is None and keeps_matrix(K.size, chosen, budget):
            system = replace(system, matrix=K.lower_triangle())
        solution = cholesky(K, y, scale=labels.scale, matrix=system.matrix, progress=progress)
    else:
        if not isinstance(columns_of, Nystrom):
            chosen_for = replace(K, noise=noise if columns_of is None else columns_of)
            columns_of = Nystrom.build(chosen_for, chosen.columns, seed=settings.seed, progress=progress)
        preconditioner = columns_of if columns_of.noise == noise else columns_of.with_noise(noise)
        left = run.journal.state(key)
        solution = conjugate_gradients(
            K,
            y,
            preconditioner,
            scale=labels.scale,
            stop=settings.stop,
            start=None if start is None else start.to(device),
            monitor=None if valid is None else _monitor(build, valid, settings.seed),
            resume=None if left is None else left.on(device),
            keep=run.journal.keeper(key),
            progress=progress,
        )
    model = _model(K, solution, labels, train, settings, provenance)
    seconds = time.perf_counter() - began
    columns_for = None if preconditioner is None else preconditioner.chosen_for
    return Fitted(model, solution, preconditioner, chosen, noise, mean_variance, seconds, system, columns_for)


def _absolute_noise(settings: Settings, mean_variance: float) -> float:
    if settings.noise is not None:
        return settings.noise
    return mean_variance * (START_NOISE if settings.relative_noise is None else settings.relative_noise)


def _monitor(build: "Callable[[Tensor], ForceField]", valid: Dataset, seed: int) -> "Callable[[Tensor], float]":
    rng = np.random.default_rng(seed)
    watched = valid.take(np.sort(rng.permutation(len(valid))[:WATCHED]))
    return lambda v: build(v).errors(watched, precision="float64").force_rmse


@dataclass(frozen=True)
class Trial:
    """One point of a hyper-parameter search."""

    length: float  # 0 where every term has its own
    relative_noise: float
    valid_force_rmse: float  # eV/Angstrom
    n_train: int
    terms: str = "global"


def pilot_part(train: Dataset) -> Dataset:
    """The structures that trials are fitted to before the real fit."""
    n = pilot_structures(len(train), train.n_atoms)
    return train.take(np.linspace(0, len(train) - 1, n).astype(int))


def pilot_search(
    terms_of: Callable[[float], tuple[Term, ...]],
    pairs: PairSet,
    train: Dataset,
    valid: Dataset,
    settings: Settings,
    progress: Progress = silent,
    run: Run = HERE,
) -> tuple[Settings, list[Trial]]:
    """Length and relative noise, where they are not given, on the validation set and a part of the training structures.

    Each is found by climbing its geometric grid, the noise first: with too much of it, short lengths look best.
    terms_of(length) builds the terms.  Returns the settings with both set."""
    part = pilot_part(train)
    trials: list[Trial] = []
    seen: dict[tuple[float, float | None], float] = {}
    systems: dict[float, System | None] = {}  # of the length that was tried last

    def error(length: float, relative: float | None) -> float:
        if (length, relative) not in seen:
            seen[length, relative] = measure(length, relative)
        return seen[length, relative]

    def measure(length: float, relative: float | None) -> float:
        if length not in systems:
            systems.clear()
        try:
            fitted = fit_terms(
                terms_of(length), pairs, part, valid, replace(settings, relative_noise=relative),
                system=systems.get(length), run=run,
            )  # fmt: skip
        except FitError:  # too little noise for this length
            return float("inf")
        systems[length] = fitted.system
        (rmse,) = run.ranks.agree(fitted.model.errors(valid, precision="float64").force_rmse)
        trials.append(Trial(length, fitted.noise / fitted.mean_variance, rmse, len(part)))
        message = f"length {length:g}, relative noise {trials[-1].relative_noise:.0e}"
        progress(Event("search", len(trials), None, message, {"valid": trials[-1].valid_force_rmse}))
        return trials[-1].valid_force_rmse

    length, relative = settings.length or START_LENGTH, settings.relative_noise
    if settings.noise is None and relative is None:
        relative = climb(NOISES, START_NOISE, lambda noise: error(length, noise))
    if settings.length is None:
        length = climb(LENGTHS, START_LENGTH, lambda length: error(length, relative))
    if settings.length is None and not any(t.length == length for t in trials):
        raise FitError("length: none of those tried can be solved with this noise; raise --noise tenfold.")
    return replace(settings, length=length, relative_noise=relative), trials


def keeps_matrix(n: int, chosen: Plan, budget: float) -> bool:
    """Whether a direct solver of n unknowns keeps the matrix beside its factor, for fits with other noise."""
    return chosen.solver == "cholesky" and n <= PILOT_UNKNOWNS and chosen.bytes + 8 * n**2 <= budget


def pilot_structures(n_train: int, n_atoms: int) -> int:
    """How many training structures a pilot fit uses."""
    return min(n_train, PILOT_STRUCTURES, max(30, PILOT_UNKNOWNS // (3 * n_atoms)))


def climb(grid: tuple[float, ...], start: float, error: Callable[[float], float]) -> float:
    """Best point of a grid under a function with one valley, walking from `start` while a step gains more than
    WORTH_A_STEP; each point is tried once."""
    values: dict[float, float] = {}

    def at(k: int) -> float:
        if grid[k] not in values:
            values[grid[k]] = error(grid[k])
        return values[grid[k]]

    k = grid.index(start)
    step = 1 if k + 1 < len(grid) and at(k + 1) < at(k) else -1
    while 0 <= k + step < len(grid) and at(k + step) < at(k):
        k += step
        if at(k) > (1 - WORTH_A_STEP) * at(k - step):
            break
    return grid[k]


def fit_with_noise_search(
    terms: tuple[Term, ...],
    pairs: PairSet,
    train: Dataset,
    valid: Dataset,
    settings: Settings,
    start: float,
    *,
    provenance: dict[str, Any] | None = None,
    run: Run = HERE,
    progress: Progress = silent,
) -> tuple[Fitted, list[Trial]]:
    """The best fit over NOISES on the validation set, climbing from `start`.  Columns of the preconditioner are chosen
    once, coefficients carry over from one noise to the next."""
    fits: dict[float, Fitted] = {}
    trials: list[Trial] = []
    columns_of: list[Nystrom | float] = []
    systems: list[System | None] = [None]

    def error(relative: float) -> float:
        nearest = min(fits, key=lambda r: abs(np.log(r / relative)), default=None)
        previous = None if nearest is None else fits[nearest]
        try:
            fitted = fit_terms(
                terms, pairs, train, valid, replace(settings, noise=None, relative_noise=relative),
                previous=previous, columns_of=columns_of[-1] if columns_of else None, system=systems[-1],
                provenance=provenance, run=run, progress=progress,
            )  # fmt: skip
        except FitError:  # too little noise
            return float("inf")
        systems[:] = [fitted.system]
        if fitted.columns_for is not None:
            columns_of[:] = [fitted.preconditioner or fitted.columns_for]
        fits[relative] = fitted.light()
        (rmse,) = run.ranks.agree(fitted.model.errors(valid, precision="float64").force_rmse)
        trials.append(Trial(terms[0].kernel.length, relative, rmse, len(train)))
        progress(Event("search noise", len(trials), None, f"relative noise {relative:.0e}", {"valid": rmse}))
        return rmse

    best = climb(NOISES, start, error)
    if best not in fits:
        raise FitError("noise: none of those tried gives a solvable system; check the labels with `gossamer inspect`.")
    return fits[best], trials


def make_provenance(train: Dataset, group: Symmetry, settings: Settings) -> dict[str, Any]:
    """What a model file says about its making: plain JSON values, no dates, so that equal runs give equal files."""
    from gossamer.version import __version__

    return {
        "made_by": f"gossamer {__version__}",
        "name": train.provenance.name,
        "theory": train.provenance.theory,
        "source": train.provenance.source,
        "train_fingerprint": train.fingerprint,
        "train_indices": train.frames.astype(int).tolist(),
        "symmetry": {"order": len(group.perms), "note": group.note, "perms": group.perms.tolist()},
        "length": settings.length,
        "seed": settings.seed,
        "energies_fitted": train.energies is not None,
        "energies_as_labels": settings.energies,
    }
