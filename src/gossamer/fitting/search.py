"""Searches for the length and the noise: fits that differ in these alone, judged by their validation error."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from gossamer.errors import FitError
from gossamer.events import Event
from gossamer.fitting.makeup import Makeup
from gossamer.fitting.problem import Context, Problem
from gossamer.fitting.settings import LENGTHS, NOISES, START_LENGTH, START_NOISE, WORTH_A_STEP, Settings
from gossamer.fitting.training import COLD, Fitted, Start, fit_terms


@dataclass(frozen=True)
class Trial:
    """One point of a hyper-parameter search."""

    length: float  # 0 where every term has its own
    relative_noise: float
    valid_force_rmse: float  # eV/Angstrom
    n_train: int
    terms: str = "global"


@dataclass(eq=False)
class Search:
    """Fits to one problem, with one length and noise after another; each is solved once, and a system that cannot be
    solved, for want of noise, has an infinite error.

    stage: of the events that tell of it.  carry: whether a fit starts from the coefficients of the one nearest in
    noise, with the columns of the first, and tells how it is solved; then all are kept in `fits`, by relative noise.
    What terms that are tried in succession share, the matrix above all, is shared."""

    problem: Problem
    context: Context
    stage: str = "search"
    carry: bool = False
    trials: list[Trial] = field(default_factory=list)
    fits: dict[float, Fitted] = field(default_factory=dict)
    _errors: dict[tuple[float, float | None], float] = field(default_factory=dict)
    _last: tuple[Makeup, Start] | None = None

    def error(self, made: Makeup, settings: Settings) -> float:
        """Validation force RMSE, eV/Angstrom, of the terms `made` under these settings."""
        key = made.length, settings.relative_noise
        if key not in self._errors:
            self._errors[key] = self._measured(made, settings)
        return self._errors[key]

    def best_noise(self, made: Makeup, settings: Settings, start: float) -> float:
        """The best of NOISES, climbing from `start`."""
        return climb(NOISES, start, lambda noise: self.error(made, replace(settings, relative_noise=noise)))

    def _measured(self, made: Makeup, settings: Settings) -> float:
        start = self._start(made, settings.relative_noise)
        context = (self.context if self.carry else self.context.quiet).at(settings)
        try:
            fitted = fit_terms(made, self.problem, context, start)
        except FitError:
            return float("inf")
        self._keep(made, settings.relative_noise, fitted, start)
        assert self.problem.valid is not None
        error = fitted.model.errors(self.problem.valid, precision="float64").force_rmse
        (rmse,) = self.context.run.ranks.agree(error)
        relative = fitted.noise / fitted.mean_variance
        self.trials.append(Trial(made.length, relative, rmse, len(self.problem.train), made.name))
        what = f"length {made.length:g}" if made.length else f"{made.name} terms"
        message = f"{what}, relative noise {relative:.0e}"
        self.context.progress(Event(self.stage, len(self.trials), None, message, {"valid": rmse}))
        return rmse

    def _start(self, made: Makeup, relative: float | None) -> Start:
        if self._last is not None and self._last[0] is not made:
            self._last = None  # whose matrix must not stand beside the next one
        start = COLD if self._last is None else self._last[1]
        if not self.fits or relative is None:
            return start
        return replace(start, previous=self.fits[min(self.fits, key=lambda other: abs(np.log(other / relative)))])

    def _keep(self, made: Makeup, relative: float | None, fitted: Fitted, start: Start) -> None:
        """What the next fits may start from."""
        columns = start.columns_of
        if self.carry and relative is not None:
            self.fits[relative] = fitted.light()
            columns = (fitted.preconditioner or fitted.columns_for) if fitted.columns_for is not None else columns
        self._last = made, Start(columns_of=columns, system=fitted.system)


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


def nearest_noise(relative: float) -> float:
    """The one of NOISES next to a noise."""
    return min(NOISES, key=lambda noise: abs(np.log(noise / relative)))


def pilot_search(
    made_of: Callable[[float], Makeup], problem: Problem, context: Context, hopeless: float = float("inf")
) -> tuple[Settings, tuple[Trial, ...]]:
    """Length and relative noise, where they are not given, on the structures of a pilot problem.

    Each is found by climbing its geometric grid, the noise first: with too much of it, short lengths look best.
    made_of(length) makes the terms.  hopeless: an error of the first trial (eV/Angstrom) from which on nothing is
    searched.  Returns the settings with both set."""
    settings, search = context.settings, Search(problem, context)
    length = settings.length or START_LENGTH
    made, first = made_of(length), settings
    if not settings.noise_given:
        first = replace(settings, relative_noise=START_NOISE)
    if hopeless < search.error(made, first) < float("inf"):  # what cannot be solved may be with more noise
        return replace(first, length=length), tuple(search.trials)
    if not settings.noise_given:
        settings = replace(settings, relative_noise=search.best_noise(made, settings, START_NOISE))
    if settings.length is None:
        length = climb(LENGTHS, length, lambda at: search.error(made_of(at), settings))
        if not any(trial.length == length for trial in search.trials):
            raise FitError("length: none of those tried can be solved with this noise; raise --noise tenfold.")
    return replace(settings, length=length), tuple(search.trials)


def fit_with_noise_search(made: Makeup, problem: Problem, context: Context) -> tuple[Fitted, tuple[Trial, ...]]:
    """The best fit over NOISES on the validation set, climbing from two below the noise that settings bring from a
    part of the structures, since more of them bear less.  Columns of the preconditioner are chosen once, coefficients
    carry over from one noise to the next."""
    search = Search(problem, context, "search noise", carry=True)
    start = NOISES[max(0, NOISES.index(context.settings.relative_noise or START_NOISE) - 2)]
    best = search.best_noise(made, replace(context.settings, noise=None), start)
    if best not in search.fits:
        raise FitError("noise: none of those tried gives a solvable system; check the labels with `gossamer inspect`.")
    return search.fits[best], tuple(search.trials)
