"""From labelled structures to a force field."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gossamer.data.dataset import Dataset
from gossamer.errors import DataError, UsageError
from gossamer.events import Event, Progress, silent
from gossamer.fit.operator import KernelOperator
from gossamer.fit.preconditioners import Nystrom
from gossamer.fit.resources import Plan, memory_budget, plan
from gossamer.fit.solvers import Solution, StopRule, cholesky, conjugate_gradients
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.kernels import Matern52
from gossamer.model.pairs import PairSet
from gossamer.model.symmetry import Symmetry, find_symmetry, symmetry_from_perms
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

LENGTHS = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
NOISES = (1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # relative to the mean prior variance of a force component
START_LENGTH, START_NOISE = 20.0, 1e-5
SEARCH_STRUCTURES = 120  # structures a length search trains on
WATCHED = 60  # validation structures looked at while iterating


@dataclass(frozen=True)
class Settings:
    """What a fit may vary.  length (1/Angstrom) None: searched on the validation set.  noise is the variance added to
    labels of unit spread, as sgdml's lam; relative_noise is that over the mean diagonal of K, used when noise is None;
    search_noise looks for a better one on the validation set."""

    length: float | None = None
    noise: float | None = None
    relative_noise: float = START_NOISE
    search_noise: bool = False
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
class Fitted:
    """One solved system: the model, how solving went, and what a following fit can start from."""

    model: ForceField
    solution: Solution
    preconditioner: Nystrom | None
    plan: Plan
    noise: float
    mean_variance: float
    seconds: float

    def light(self) -> "Fitted":
        """Without the preconditioner, the largest part: enough to start a fit of other terms."""
        return replace(self, preconditioner=None)


def fit_terms(
    terms: tuple[Term, ...],
    pairs: PairSet,
    train: Dataset,
    valid: Dataset | None,
    settings: Settings,
    *,
    previous: Fitted | None = None,
    provenance: dict[str, Any] | None = None,
    progress: Progress = silent,
) -> Fitted:
    """Solve for the coefficients of `terms` on `train`; lengths are those of the terms.

    previous: a fit on the same data whose coefficients the iterations start from; where it has the same terms, and
    only the noise differs, the columns of its preconditioner are used again too."""
    began = time.perf_counter()
    labels = Labels.of(train, settings.energies)
    rows = [(len(train) * t.n_places, len(t.perms), t.n_pairs) for t in terms]
    base = 8.0 * len(train) * (len(pairs) * 8 + sum(t.n_places * t.n_pairs * 4 for t in terms))
    budget = memory_budget(settings.memory)
    chosen = plan(len(labels.y), rows, base, budget, settings.solver)
    K = KernelOperator.build(
        terms, pairs, torch.from_numpy(train.positions), 0.0, energies=settings.energies, cache_bytes=chosen.cache_bytes
    )
    mean_variance = float(K.diagonal()[: K.n_forces].mean())
    noise = _absolute_noise(settings, mean_variance)
    K = replace(K, noise=noise)

    def build(v: "Tensor", constant: float = 0.0) -> ForceField:
        return assemble(K, v, train.numbers, labels.scale, constant, provenance or {})

    preconditioner = None
    if chosen.solver == "cholesky":
        solution = cholesky(K, labels.y, scale=labels.scale, progress=progress)
    else:
        if previous is not None and previous.preconditioner is not None and previous.model.terms == terms:
            preconditioner = previous.preconditioner.with_noise(noise)
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
    return Fitted(model, solution, preconditioner, chosen, noise, mean_variance, seconds)


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
    return settings.relative_noise * mean_variance if settings.noise is None else settings.noise


def _monitor(build: "Callable[[Tensor], ForceField]", valid: Dataset, seed: int) -> "Callable[[Tensor], float]":
    rng = np.random.default_rng(seed)
    watched = valid.take(np.sort(rng.permutation(len(valid))[:WATCHED]))
    return lambda v: build(v).test(watched).force_rmse


@dataclass(frozen=True)
class Trial:
    """One point of a hyper-parameter search."""

    length: float
    relative_noise: float
    valid_force_rmse: float


def search_length(
    terms_of: Callable[[float], tuple[Term, ...]],
    pairs: PairSet,
    train: Dataset,
    valid: Dataset,
    settings: Settings,
    progress: Progress = silent,
) -> tuple[float, list[Trial]]:
    """Best kernel length on the validation set, by climbing a geometric grid from 20 on at most SEARCH_STRUCTURES
    training structures.  terms_of(length) builds the terms."""
    part = train.take(np.linspace(0, len(train) - 1, min(len(train), SEARCH_STRUCTURES)).astype(int))
    trials: dict[float, Trial] = {}

    def error(length: float) -> float:
        fitted = fit_terms(terms_of(length), pairs, part, valid, settings)
        relative = fitted.noise / fitted.mean_variance
        trials[length] = Trial(length, relative, fitted.model.test(valid).force_rmse)
        progress(
            Event("search length", len(trials), None, f"length {length:g}", {"valid": trials[length].valid_force_rmse})
        )
        return trials[length].valid_force_rmse

    best = climb(LENGTHS, START_LENGTH, error)
    return best, [trials[length] for length in sorted(trials)]


def climb(grid: tuple[float, ...], start: float, error: Callable[[float], float]) -> float:
    """Best point of a grid under a function with one valley, walking from `start`; each point is tried once."""
    values: dict[float, float] = {}

    def at(k: int) -> float:
        return values.setdefault(grid[k], error(grid[k])) if grid[k] not in values else values[grid[k]]

    k = grid.index(start)
    step = 1 if k + 1 < len(grid) and at(k + 1) < at(k) else -1
    while 0 <= k + step < len(grid) and at(k + step) < at(k):
        k += step
    return grid[k]


def fit_with_noise_search(
    terms: tuple[Term, ...],
    pairs: PairSet,
    train: Dataset,
    valid: Dataset,
    settings: Settings,
    *,
    provenance: dict[str, Any] | None = None,
    progress: Progress = silent,
) -> tuple[Fitted, list[Trial]]:
    """The best fit over NOISES on the validation set.  Columns of the preconditioner are chosen once, coefficients
    carry over from one noise to the next."""
    fits: dict[float, Fitted] = {}
    trials: list[Trial] = []

    def error(relative: float) -> float:
        latest = fits[min(fits, key=lambda r: abs(np.log(r / relative)))] if fits else None
        fits[relative] = fit_terms(
            terms, pairs, train, valid, replace(settings, noise=None, relative_noise=relative),
            previous=latest, provenance=provenance, progress=progress,
        )  # fmt: skip
        rmse = fits[relative].model.test(valid).force_rmse
        trials.append(Trial(terms[0].kernel.length, relative, rmse))
        progress(Event("search noise", len(trials), None, f"relative noise {relative:g}", {"valid": rmse}))
        return rmse

    best = climb(NOISES, START_NOISE, error)
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

    valid: structures on which length and noise are chosen and iterations are stopped; without them the length is 20
    unless given.  terms: "global", one term over all pairs (or over `pairs`).
    symmetry: "auto", "none", an array (S, N) of atom permutations, or a Symmetry.  options: fields of Settings
    (length, noise, relative_noise, search_noise, energies, solver, memory in GiB, seed, stop, max_images).
    Raises UsageError, DataError, MemoryBudgetError or FitError."""
    began = time.perf_counter()
    if terms != "global":
        raise UsageError(f"terms: {terms!r} is not known; use 'global'.")
    settings = make_settings(options)
    check_trainable(train, valid)
    pairs = pairs or PairSet.full(train.n_atoms)
    group = resolve_symmetry(symmetry, train, settings)
    progress(Event("symmetry", 1, 1, group.note))

    def terms_of(length: float) -> tuple[Term, ...]:
        return (Term.over_all(pairs, group.perms, Matern52(length)),)

    trials: list[Trial] = []
    length = settings.length
    if length is None and valid is not None:
        length, trials = search_length(terms_of, pairs, train, valid, settings, progress)
    settings = replace(settings, length=length or START_LENGTH)
    provenance = make_provenance(train, group, settings)
    final = terms_of(settings.length or START_LENGTH)
    if settings.search_noise and valid is not None:
        fitted, more = fit_with_noise_search(
            final, pairs, train, valid, settings, provenance=provenance, progress=progress
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
    if train.n_atoms < 2:
        raise DataError(f"atoms: the structures have {train.n_atoms}; a force field of pairs needs at least 2.")
    if len(train) < 2:
        raise DataError(
            f"structures: {len(train)} to train on; at least 2 different ones are needed, hundreds are usual."
        )
    for name, data in (("training", train), ("validation", valid)):
        if data is None:
            continue
        if len(data) == 0:
            raise UsageError(f"{name}: no structures given; ask for at least one.")
        if not np.array_equal(data.numbers, train.numbers):
            raise UsageError(f"{name}: the atoms differ from those of the training structures; use one molecule.")
        arrays = (data.positions, data.labelled_forces(), data.energies)
        if not all(np.all(np.isfinite(a)) for a in arrays if a is not None):
            raise DataError(f"{name}: some positions, forces or energies are NaN or infinite; run `gossamer inspect`.")
        _refuse_coincident(name, data)


def _refuse_coincident(name: str, data: Dataset) -> None:
    i, j = np.tril_indices(data.n_atoms, -1)
    for start in range(0, len(data), 256):
        part = data.positions[start : start + 256]
        gaps = ((part[:, i] - part[:, j]) ** 2).sum(-1)
        if gaps.min() < 1e-4:
            q, p = np.unravel_index(np.argmin(gaps), gaps.shape)
            assert data.indices is not None
            raise DataError(
                f"{name}: atoms {j[p]} and {i[p]} of frame {data.indices[start + q]} coincide "
                f"({gaps[q, p] ** 0.5:.2g} Angstrom apart); remove that frame."
            )


def make_provenance(train: Dataset, group: Symmetry, settings: Settings) -> dict[str, Any]:
    """What a model file says about its making: plain JSON values, no dates, so that equal runs give equal files."""
    from gossamer.version import __version__

    assert train.indices is not None
    return {
        "made_by": f"gossamer {__version__}",
        "name": train.provenance.name,
        "theory": train.provenance.theory,
        "source": train.provenance.source,
        "train_fingerprint": train.fingerprint,
        "train_indices": np.asarray(train.indices).astype(int).tolist(),
        "symmetry": {"order": len(group.perms), "note": group.note, "perms": group.perms.tolist()},
        "length": settings.length,
        "seed": settings.seed,
        "energies_fitted": train.energies is not None,
        "energies_as_labels": settings.energies,
    }
