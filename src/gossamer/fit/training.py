"""From labelled structures to a force field."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gossamer.data.dataset import Dataset
from gossamer.errors import DataError, FitError, UsageError
from gossamer.events import Event, Progress, silent
from gossamer.fit.operator import KernelOperator
from gossamer.fit.preconditioners import Nystrom
from gossamer.fit.resources import GIB, Plan, memory_budget, plan_of
from gossamer.fit.solvers import Solution, StopRule, cholesky, conjugate_gradients
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.kernels import Matern52
from gossamer.model.pairs import PairSet
from gossamer.model.symmetry import Symmetry, find_symmetry, symmetry_from_perms
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
PILOT_STRUCTURES, PILOT_UNKNOWNS = 120, 6000  # sizes that a pilot fit does not exceed
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
    memory: float | None = None  # GiB
    seed: int = 0
    stop: StopRule = field(default_factory=StopRule)
    max_images: int = 12  # permutations of the global term, to which its cost is proportional; 36 is thorough

    def __post_init__(self) -> None:
        if self.max_images < 1:
            raise UsageError(f"max_images: {self.max_images} given; at least 1 permutation, the identity, is needed.")
        if self.solver not in ("auto", "cholesky", "cg"):
            raise UsageError(f"solver: {self.solver!r} is not known; use auto, cholesky or cg.")
        if self.noise is not None and not 0 <= self.noise < float("inf"):
            raise UsageError(
                f"noise: {self.noise} given, but it is a variance and cannot be negative; 1e-10 is sgdml's."
            )
        if self.relative_noise is not None and not 0 <= self.relative_noise < float("inf"):
            raise UsageError(f"relative_noise: {self.relative_noise} given; it is a fraction and cannot be negative.")
        if self.memory is not None and not self.memory > 0:
            raise UsageError(f"memory: {self.memory} given; it is the budget in GiB and must be positive.")
        if self.length is not None:
            Matern52(self.length)


@dataclass(frozen=True, eq=False)
class Labels:
    """Training labels y (n,), the number `scale` (eV/Angstrom) they were divided by, and the mean energy taken off.

    As in sgdml: scale is the standard deviation of all labels together."""

    y: "Tensor"
    scale: float
    mean_energy: float

    @classmethod
    def of(cls, data: Dataset, energies: bool) -> "Labels":
        forces = data.labelled_forces().ravel()
        if energies and data.energies is None:
            raise DataError("energies: asked for as labels, but the data have none; leave --energies out.")
        mean = float(data.energies.mean()) if energies and data.energies is not None else 0.0
        y = np.concatenate([forces, data.energies - mean]) if energies and data.energies is not None else forces
        scale = float(y.std())
        if not scale > 0:
            raise DataError("forces: all of them are zero, so there is nothing to learn; check the file's forces.")
        return cls(torch.from_numpy(y / scale), scale, mean)


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
    columns_of: Nystrom | None = None,
    system: System | None = None,
    provenance: dict[str, Any] | None = None,
    progress: Progress = silent,
) -> Fitted:
    """Solve for the coefficients of `terms` on `train`; lengths are those of the terms.

    previous: a fit on the same data whose coefficients the iterations start from.  columns_of: a preconditioner of the
    same terms on the same data, made for another noise, whose columns are used again.  system: of such a fit."""
    began = time.perf_counter()
    labels = Labels.of(train, settings.energies)
    budget = memory_budget(settings.memory)
    chosen = plan_of(terms, len(pairs), len(train), len(labels.y), budget, settings.solver, energies=settings.energies)
    if system is None:
        positions = torch.from_numpy(train.positions)
        system = System(
            KernelOperator.build(
                terms, pairs, positions, 0.0, energies=settings.energies, cache_bytes=chosen.cache_bytes
            )
        )
    mean_variance = float(system.K.diagonal()[: system.K.n_forces].mean())
    noise = _absolute_noise(settings, mean_variance)
    K = replace(system.K, noise=noise)

    def build(v: "Tensor", constant: float = 0.0) -> ForceField:
        return assemble(K, v, train.numbers, labels.scale, constant, provenance or {})

    preconditioner = None
    if chosen.solver == "cholesky":
        if system.matrix is None and K.size <= PILOT_UNKNOWNS and chosen.bytes + 8 * K.size**2 <= budget:
            system = replace(system, matrix=K.lower_triangle())
        solution = cholesky(K, labels.y, scale=labels.scale, matrix=system.matrix, progress=progress)
    else:
        if columns_of is not None:
            preconditioner = columns_of.with_noise(noise)
        else:
            preconditioner = Nystrom.build(K, chosen.columns, seed=settings.seed, progress=progress)
        solution = conjugate_gradients(
            K,
            labels.y,
            preconditioner,
            scale=labels.scale,
            stop=settings.stop,
            start=None if previous is None else previous.solution.coefficients,
            monitor=None if valid is None else _monitor(build, valid, settings.seed),
            progress=progress,
        )
    model = build(solution.coefficients, labels.mean_energy)
    if not settings.energies:
        model = model.with_constant_from(train)
    seconds = time.perf_counter() - began
    return Fitted(model, solution, preconditioner, chosen, noise, mean_variance, seconds, system)


def assemble(
    K: KernelOperator, v: "Tensor", numbers: np.ndarray, scale: float, constant: float, provenance: dict[str, Any]
) -> ForceField:
    """The force field of coefficients v (n,) of the operator K."""
    coefficients = tuple(
        TermCoefficients((rows.centred + rows.shift).numpy(), V.numpy(), None if w is None else w.numpy())
        for rows, (V, w) in zip(K.rows, K.coefficients(v), strict=True)
    )
    return ForceField(numbers, K.pairs, K.terms, coefficients, constant, scale, provenance)


def _absolute_noise(settings: Settings, mean_variance: float) -> float:
    if settings.noise is not None:
        return settings.noise
    return mean_variance * (START_NOISE if settings.relative_noise is None else settings.relative_noise)


def _monitor(build: "Callable[[Tensor], ForceField]", valid: Dataset, seed: int) -> "Callable[[Tensor], float]":
    rng = np.random.default_rng(seed)
    watched = valid.take(np.sort(rng.permutation(len(valid))[:WATCHED]))
    return lambda v: build(v).test(watched).force_rmse


@dataclass(frozen=True)
class Trial:
    """One point of a hyper-parameter search."""

    length: float
    relative_noise: float
    valid_force_rmse: float  # eV/Angstrom
    n_train: int


def pilot_search(
    terms_of: Callable[[float], tuple[Term, ...]],
    pairs: PairSet,
    train: Dataset,
    valid: Dataset,
    settings: Settings,
    progress: Progress = silent,
) -> tuple[Settings, list[Trial]]:
    """Length and relative noise, where they are not given, on the validation set and a part of the training structures.

    Each is found by climbing its geometric grid, the noise first: with too much of it, short lengths look best.
    terms_of(length) builds the terms.  Returns the settings with both set."""
    n = pilot_structures(len(train), train.n_atoms)
    part = train.take(np.linspace(0, len(train) - 1, n).astype(int))
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
                system=systems.get(length),
            )  # fmt: skip
        except FitError:  # too little noise for this length
            return float("inf")
        systems[length] = fitted.system
        trials.append(Trial(length, fitted.noise / fitted.mean_variance, fitted.model.test(valid).force_rmse, n))
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
    progress: Progress = silent,
) -> tuple[Fitted, list[Trial]]:
    """The best fit over NOISES on the validation set, climbing from `start`.  Columns of the preconditioner are chosen
    once, coefficients carry over from one noise to the next."""
    fits: dict[float, Fitted] = {}
    trials: list[Trial] = []
    columns_of: list[Nystrom] = []
    systems: list[System | None] = [None]

    def error(relative: float) -> float:
        nearest = min(fits, key=lambda r: abs(np.log(r / relative)), default=None)
        previous = None if nearest is None else fits[nearest]
        try:
            fitted = fit_terms(
                terms, pairs, train, valid, replace(settings, noise=None, relative_noise=relative),
                previous=previous, columns_of=columns_of[-1] if columns_of else None, system=systems[-1],
                provenance=provenance, progress=progress,
            )  # fmt: skip
        except FitError:  # too little noise
            return float("inf")
        systems[:] = [fitted.system]
        if fitted.preconditioner is not None:
            columns_of[:] = [fitted.preconditioner]
        fits[relative] = fitted.light()
        rmse = fitted.model.test(valid).force_rmse
        trials.append(Trial(terms[0].kernel.length, relative, rmse, len(train)))
        progress(Event("search noise", len(trials), None, f"relative noise {relative:.0e}", {"valid": rmse}))
        return rmse

    best = climb(NOISES, start, error)
    if best not in fits:
        raise FitError("noise: none of those tried gives a solvable system; check the labels with `gossamer inspect`.")
    return fits[best], trials


@dataclass(frozen=True, eq=False)
class Fit:
    """What `fit` returns: the model, how the solver ended, the searches, and the symmetry used."""

    model: ForceField
    fitted: Fitted  # the one training that gave the model, with its own seconds
    symmetry: Symmetry
    settings: Settings  # with the length and noise that were found
    trials: tuple[Trial, ...]
    seconds: float  # all of it, symmetry and searches included

    @property
    def solution(self) -> Solution:
        return self.fitted.solution


def resolve_symmetry(symmetry: "str | np.ndarray | Symmetry", train: Dataset, settings: Settings) -> Symmetry:
    """ "auto": found in the training structures, at most `max_images` permutations; "none"; an array (S, N); or a
    Symmetry made before."""
    if isinstance(symmetry, Symmetry):
        return symmetry
    if isinstance(symmetry, np.ndarray):
        return symmetry_from_perms(symmetry, train.numbers)
    if symmetry == "none":
        return Symmetry.trivial(train.n_atoms)
    if symmetry == "auto":
        return find_symmetry(train.positions, train.numbers, limit=settings.max_images, seed=settings.seed)
    raise UsageError(f"symmetry: {symmetry!r} is not known; use auto, none, or an array of permutations.")


def train(train: Dataset, valid: Dataset | None = None, **options: Any) -> ForceField:
    """Train a force field on the forces of `train`; arguments and errors as for `fit`, whose model this is."""
    return fit(train, valid, **options).model


def fit(
    train: Dataset,
    valid: Dataset | None = None,
    *,
    terms: str = "global",
    pairs: PairSet | None = None,
    symmetry: "str | np.ndarray | Symmetry" = "auto",
    progress: Progress = silent,
    **options: Any,
) -> Fit:
    """Train a force field on the forces of `train` and say how that went.

    valid: structures on which length and noise are chosen, where they are not given, and iterations are stopped;
    without them the length is 20 and the relative noise 1e-5 unless given.  terms: "global", one term over all pairs
    (or over `pairs`).
    symmetry: "auto", "none", an array (S, N) of atom permutations, or a Symmetry.  options: fields of Settings
    (length, noise, relative_noise, energies, solver, memory in GiB, seed, stop, max_images).
    Raises UsageError, DataError, MemoryBudgetError or FitError."""
    began = time.perf_counter()
    if terms != "global":
        raise UsageError(f"terms: {terms!r} is not known; use 'global'.")
    settings = make_settings(options)
    settings = replace(settings, memory=memory_budget(settings.memory) / GIB)  # once, so that every fit plans alike
    check_trainable(train, valid)
    pairs = pairs or PairSet.full(train.n_atoms)
    group = resolve_symmetry(symmetry, train, settings)
    progress(Event("symmetry", 1, 1, group.note))

    def terms_of(length: float) -> tuple[Term, ...]:
        return (Term.over_all(pairs, group.perms, Matern52(length)),)

    trials: list[Trial] = []
    noise_given = settings.noise is not None or settings.relative_noise is not None
    if valid is not None and not (settings.length and noise_given):
        settings, trials = pilot_search(terms_of, pairs, train, valid, settings, progress)
    settings = replace(settings, length=settings.length or START_LENGTH)
    provenance = make_provenance(train, group, settings)
    final = terms_of(settings.length or START_LENGTH)
    if valid is not None and not noise_given:
        pilot = NOISES.index(settings.relative_noise or START_NOISE)
        start = NOISES[max(0, pilot - 2)]  # more structures bear less noise
        fitted, more = fit_with_noise_search(
            final, pairs, train, valid, settings, start, provenance=provenance, progress=progress
        )
        trials += more
    else:
        fitted = fit_terms(final, pairs, train, valid, settings, provenance=provenance, progress=progress)
    settings = replace(settings, noise=fitted.noise, relative_noise=fitted.noise / fitted.mean_variance)
    model = replace(fitted.model, provenance=provenance | {"noise": fitted.noise})
    seconds = time.perf_counter() - began
    return Fit(model, fitted.light(), group, settings, tuple(trials), seconds)


def make_settings(options: dict[str, Any]) -> Settings:
    """Settings from keyword options.  Raises UsageError for an unknown one."""
    unknown = set(options) - set(Settings.__dataclass_fields__)
    if unknown:
        known = ", ".join(Settings.__dataclass_fields__)
        raise UsageError(f"options: {', '.join(sorted(unknown))} not known; use {known}.")
    return Settings(**options)


def check_trainable(train: Dataset, valid: Dataset | None) -> None:
    """Raise DataError or UsageError for data that no model can be trained on."""
    train.labelled_forces()
    if len(train) < 2:
        raise DataError(
            f"structures: {len(train)} to train on; at least 2 different ones are needed, hundreds are usual."
        )
    check_usable("training", train, train.numbers)
    if valid is not None:
        check_usable("validation", valid, train.numbers)


def check_usable(name: str, data: Dataset, numbers: np.ndarray, *, labels: bool = True) -> None:
    """Raise DataError or UsageError for structures that do not fit a model of the atoms `numbers` (N,), or that have
    no forces although `labels` are needed.  name: of the data in the message."""
    if data.n_atoms < 2:
        raise DataError(f"atoms: the structures have {data.n_atoms}; a force field of pairs needs at least 2.")
    if len(data) == 0:
        raise UsageError(f"{name}: no structures given; ask for at least one.")
    if not np.array_equal(data.numbers, numbers):
        raise UsageError(f"{name}: the atoms differ from those of the training structures; use one molecule.")
    arrays = (data.positions, data.labelled_forces(), data.energies) if labels else (data.positions,)
    if not all(np.all(np.isfinite(a)) for a in arrays if a is not None):
        raise DataError(f"{name}: some positions, forces or energies are NaN or infinite; run `gossamer inspect`.")
    PairSet.full(data.n_atoms).refuse_coincident(data.positions, name, data.frames)


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
