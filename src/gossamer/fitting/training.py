"""One system solved: coefficients of given terms on given structures."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.devices import resolve_device
from gossamer.errors import FitError
from gossamer.fitting.checkpoint import Entry, history_of, key_of
from gossamer.fitting.labels import ENERGIES, Labels
from gossamer.fitting.makeup import Makeup
from gossamer.fitting.operator import KernelOperator, assemble
from gossamer.fitting.parallel import Ranks
from gossamer.fitting.preconditioners import Nystrom
from gossamer.fitting.problem import Context, Problem
from gossamer.fitting.resources import Plan, keeps_matrix, memory_budget, plan_of
from gossamer.fitting.settings import START_NOISE, Settings
from gossamer.fitting.solvers import Observer, Solution, Status, cholesky, conjugate_gradients
from gossamer.model.force_field import ForceField

if TYPE_CHECKING:
    from torch import Tensor

BESIDE = 0.25  # of a preconditioner's rows, those that pair functions may take
WATCHED = 60  # validation structures looked at while iterating


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

    def without_system(self) -> "Fitted":
        """With the preconditioner, which serves fits of terms that differ little."""
        return replace(self, system=None)


@dataclass(frozen=True, eq=False)
class Start:
    """What a fit may take over from another one to the same structures.

    previous: the fit whose coefficients the iterations start from.  columns_of: a preconditioner of the same terms, or
    of nearly the same, made for another noise, whose columns are used again, or that noise, for which the same columns
    are chosen.  system: of a fit of the same terms."""

    previous: Fitted | None = None
    columns_of: Nystrom | float | None = None
    system: System | None = None

    @property
    def coefficients(self) -> "Tensor | None":
        return None if self.previous is None else self.previous.solution.coefficients

    @property
    def columns_for(self) -> float | None:
        """The noise for which columns were chosen."""
        return self.columns_of.chosen_for if isinstance(self.columns_of, Nystrom) else self.columns_of


COLD = Start()


def fit_terms(made: Makeup, problem: Problem, context: Context, start: Start = COLD) -> Fitted:
    """Solve for the coefficients of the terms `made` on the problem's training structures; lengths are those of the
    terms, and iterations are stopped by the validation structures.

    What is finished or under way in the journal is not done again, but a fit from there comes without preconditioner
    and system.  Raises MemoryBudgetError or FitError."""
    journal, data = context.run.journal, (problem.train, problem.valid)
    key = key_of(
        "fit", made.terms, made.functions, made.pairs, *data, context.settings, start.coefficients, start.columns_for
    )
    found = journal.get(key)
    if found is None:
        try:
            fitted = _solve(made, problem, context, start, key)
        except FitError as error:
            journal.put(key, {}, {"failed": str(error)})
            raise
        journal.put(key, *_entry_of(fitted))
        return fitted
    if "failed" in found.values:
        raise FitError(found.values["failed"])
    return _restored(found, made, problem.train, context.settings)


def _entry_of(fitted: Fitted) -> Entry:
    """What a journal keeps of a fit; the model follows from it and the arguments of `fit_terms`."""
    s = fitted.solution
    solved = {"status": s.status.name, "iterations": s.iterations, "residual": s.residual, "history": s.history}
    values = {key: getattr(fitted, key) for key in ("noise", "mean_variance", "seconds", "columns_for")}
    return Entry({"coefficients": s.coefficients.cpu().numpy()}, solved | values | {"plan": asdict(fitted.plan)})


def _restored(found: Entry, made: Makeup, train: Dataset, settings: Settings) -> Fitted:
    """The fit that `_entry_of` was made from, without its preconditioner."""
    v, device = found.values, resolve_device(settings.device)
    solution = Solution(
        torch.from_numpy(found.arrays["coefficients"]).to(device), Status[v["status"]], v["iterations"], v["residual"],
        history_of(v["history"]),
    )  # fmt: skip
    R = torch.from_numpy(train.positions).to(device)
    K = KernelOperator.of(made.covariance(R, settings.energies), v["noise"], cache_bytes=0)
    model = _model(K, solution, Labels.of(train, settings.blocks), train)
    plan = Plan(**v["plan"])
    return Fitted(model, solution, None, plan, v["noise"], v["mean_variance"], v["seconds"], None, v["columns_for"])


def _model(K: KernelOperator, solution: Solution, labels: Labels, train: Dataset) -> ForceField:
    model = assemble(K, solution.coefficients, train.numbers, labels.scale, labels.constant, {})
    return model if ENERGIES in labels.layout.blocks else model.with_constant_from(train)


def _solve(made: Makeup, problem: Problem, context: Context, start: Start, key: str) -> Fitted:
    """`fit_terms`, done."""
    began = time.perf_counter()
    settings, ranks, train = context.settings, context.run.ranks, problem.train
    labels = Labels.of(train, settings.blocks)
    device = resolve_device(settings.device)
    budget = memory_budget(settings.memory, device)
    solver = "cg" if ranks.machines > 1 and settings.solver == "auto" else settings.solver  # Cholesky stays on one
    chosen = plan_of(
        made.terms, len(made.pairs), labels.layout, budget, solver, ranks=ranks.size, on_card=device.type == "cuda"
    )
    system = start.system
    if system is None:
        positions, cache = torch.from_numpy(train.positions).to(device), chosen.cache_bytes / ranks.size
        C = made.covariance(positions, settings.energies)
        system = System(KernelOperator.of(C, 0.0, cache_bytes=cache, ranks=ranks))
    (mean_variance,) = ranks.agree(float(system.K.diagonal()[: system.K.n_forces].mean()))
    noise = _absolute_noise(settings, mean_variance)
    K = replace(system.K, noise=noise)
    preconditioner = None
    if chosen.solver == "cholesky":
        if ranks.first and system.matrix is None and keeps_matrix(K.size, chosen, budget):
            system = replace(system, matrix=K.lower_triangle())
        y = labels.y.to(device)
        solution = cholesky(K, y, scale=labels.scale, matrix=system.matrix, progress=context.progress)
    else:
        preconditioner = _preconditioner(K, chosen.columns, context, start)
        solution = _iterated(K, labels, preconditioner, problem, context, start, key)
    model = _model(K, solution, labels, train)
    seconds = time.perf_counter() - began
    columns_for = None if preconditioner is None else preconditioner.chosen_for
    return Fitted(model, solution, preconditioner, chosen, noise, mean_variance, seconds, system, columns_for)


def _preconditioner(K: KernelOperator, n_columns: int, context: Context, start: Start) -> Nystrom:
    """For K: columns of its terms, those of the start where it brings some, and beside them the directions of its pair
    functions, which are few."""
    known, most = start.columns_of, int(BESIDE * n_columns)
    rows = K.function_factor(K.noise, most)
    if not isinstance(known, Nystrom):
        noise = K.noise if known is None else known
        beside = rows if noise == K.noise else K.function_factor(noise, most)  # as many as were chosen then
        chosen_for, wanted = replace(K.of_terms, noise=noise), n_columns - len(beside)
        known = Nystrom.build(chosen_for, wanted, seed=context.settings.seed, progress=context.progress)
    return known.beside(rows, K.noise)


def preconditioner_of(made: Makeup, problem: Problem, context: Context, fitted: Fitted) -> Nystrom | None:
    """That of a fit of the terms `made` to the problem's training structures, made again where the fit came from a
    journal; None where it was solved without."""
    if fitted.preconditioner is not None or fitted.columns_for is None:
        return fitted.preconditioner
    settings, ranks = context.settings, context.run.ranks
    positions = torch.from_numpy(problem.train.positions).to(resolve_device(settings.device))
    C = made.covariance(positions, settings.energies)
    K = KernelOperator.of(C, fitted.noise, cache_bytes=0, ranks=ranks)
    return _preconditioner(K, fitted.plan.columns, context, Start(columns_of=fitted.columns_for))


def _iterated(
    K: KernelOperator, labels: Labels, inverse: Nystrom, problem: Problem, context: Context, start: Start, key: str
) -> Solution:
    """Conjugate gradients, from where the journal left them, watched on the validation structures."""
    device, journal = K.device, context.run.journal
    left, guess = journal.state(key), start.coefficients
    begin = left.on(device) if left is not None else None if guess is None else guess.to(device)
    monitor = None if problem.valid is None else _monitor(K, labels, problem.valid, context.settings.seed)
    observer = Observer(monitor, journal.keeper(key), context.progress)
    y, stop = labels.y.to(device), context.settings.stop
    found = conjugate_gradients(K, y, inverse, scale=labels.scale, stop=stop, start=begin, observer=observer)
    if monitor is not None:
        _refuse_worse_than_nothing(found, labels, monitor, K.ranks)
    return found


def _refuse_worse_than_nothing(
    found: Solution, labels: Labels, monitor: "Callable[[Tensor], float]", ranks: Ranks
) -> None:
    """Raise FitError where the iterations ended on a hill that was longer than their patience: farther both from the
    labels and from the validation forces than coefficients of zero are."""
    zero = torch.zeros_like(found.coefficients)
    error, nothing = ranks.agree(monitor(found.coefficients), monitor(zero))
    if found.residual > labels.scale * float(labels.y.square().mean().sqrt()) and not error <= nothing:
        raise FitError(
            f"training: conjugate gradients stopped at a validation force error of {error:.3g} eV/Angstrom, above the "
            f"{nothing:.3g} of no model at all; raise --noise or --memory, or leave --energies out."
        )


def _absolute_noise(settings: Settings, mean_variance: float) -> float:
    if settings.noise is not None:
        return settings.noise
    return mean_variance * (START_NOISE if settings.relative_noise is None else settings.relative_noise)


def _monitor(K: KernelOperator, labels: Labels, valid: Dataset, seed: int) -> "Callable[[Tensor], float]":
    """The validation force RMSE of coefficients of K, on a few of the structures."""
    rng = np.random.default_rng(seed)
    watched = valid.take(np.sort(rng.permutation(len(valid))[:WATCHED]))

    def error(v: "Tensor") -> float:
        model = assemble(K, v, valid.numbers, labels.scale, 0.0, {})
        return model.errors(watched, precision="float64").force_rmse

    return error


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
