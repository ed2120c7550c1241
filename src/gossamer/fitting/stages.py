"""What a fit does, stage by stage: `stages_of` decides, `fit` carries the stages out, `estimate` prices them.

A stage is a record that takes what is settled so far, a Choice, and returns it with more of it settled."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from gossamer.baselines import kept_by
from gossamer.chemistry.bonds import bond_graph, molecules
from gossamer.chemistry.fragments import Fragment, local_fragments
from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.errors import UsageError
from gossamer.events import Event
from gossamer.fitting.checkpoint import key_of
from gossamer.fitting.error_bars import check_error_bars, committee
from gossamer.fitting.learning import Learned, LearningRule, learn_terms, learning_structures
from gossamer.fitting.makeup import PAIRS, Makeup, makeup_of
from gossamer.fitting.problem import Context, Problem
from gossamer.fitting.representatives import arrays_of, check_condense, condensed, with_arrays
from gossamer.fitting.resources import GIB
from gossamer.fitting.search import Search, Trial, fit_with_noise_search, nearest_noise, pilot_search
from gossamer.fitting.settings import NOISES, START_LENGTH, START_NOISE, Settings
from gossamer.fitting.training import Fitted, fit_terms
from gossamer.model.error_bars import ErrorBars
from gossamer.model.pairs import PairSet, as_pairs
from gossamer.model.terms import kept

WORTH = 0.03  # by how much, relatively, a global term must lower the validation error to stand beside other terms
HOPELESS = 3  # times the error of a sum, from which on one global term is not searched further
LESS_NOISE = 0.1  # of the noise learned on a few structures, what all of them are fitted with (decision 14)
ENOUGH = 20  # structures, below which weights cannot be learned and "auto" is "global"


@dataclass(frozen=True, eq=False)
class Choice:
    """What is settled: the terms, the settings to fit them with, the symmetry that all of them keep, and in the end the
    fit, and its error bars where they are asked for.  search: whether the noise is still to be searched at full size;
    errors: validation force RMSE (eV/Angstrom) of what was tried on a part of the data, by name."""

    makeup: Makeup
    settings: Settings
    symmetry: Symmetry
    search: bool = False
    trials: tuple[Trial, ...] = ()
    errors: dict[str, float] = field(default_factory=dict)
    learned: Learned | None = None
    fitted: Fitted | None = None
    error_bars: ErrorBars | None = None

    @property
    def name(self) -> str:
        return self.makeup.name

    def light(self) -> "Choice":
        """Without what only further fits can use."""
        return replace(self, fitted=None if self.fitted is None else self.fitted.light())


class Stage(Protocol):
    """The context has the settings that `fit` was given; those found stand in the Choice."""

    def __call__(self, so_far: Choice, problem: Problem, context: Context) -> Choice: ...


def stages_of(problem: Problem, context: Context, keep_global: bool = False) -> tuple[Choice, tuple[Stage, ...]]:
    """What to begin with, and the stages of its fit.

    One global term: length and noise searched on a part of the data where there are structures to judge by, then the
    fit.  A sum: its weights learned, and, where "auto" has the choice, the kinds of model tried, then the fit; last
    representatives and error bars, where they are asked for.  Raises UsageError or MemoryBudgetError."""
    settings = context.settings
    if settings.error_bars:
        check_error_bars(len(problem.train), 0 if problem.valid is None else len(problem.valid))
    if settings.condense:
        check_condense(problem.valid)
    condensing, calibrating = [Condensing()] * settings.condense, [Calibrating()] * settings.error_bars
    ending: tuple[Stage, ...] = (Solving(), *condensing, *calibrating)
    if is_global(problem):
        searching = [Searching()] if problem.valid is not None and _is_searched(settings) else []
        return _one_term(problem, settings), (*searching, Claiming(), *ending)
    made = makeup_of(problem.terms, problem.train, problem.group, problem.pairs, settings.sum_kernel)
    learning = Learning(_learned_on(made, problem, context))
    choosing: list[Stage] = [Choosing(keep_global), Completing(learning)] if problem.terms == "auto" else []
    summed = replace(settings, length=None)  # the terms of a sum have lengths of their own
    return Choice(made, summed, problem.group), (learning, *choosing, Claiming(), *ending)


def is_global(problem: Problem) -> bool:
    """Whether the model is one global term without a choice: asked for, or there are too few structures or atoms for
    others, or no pairs."""
    if problem.terms != "auto":
        return isinstance(problem.terms, str) and problem.terms == "global"
    if not isinstance(problem.pairs, PairSet):
        return True
    train = problem.train
    return len(train) < ENOUGH or not local_fragments(train.positions, train.numbers)  # none in two atoms


def _learned_on(made: Makeup, problem: Problem, context: Context) -> int:
    """How many structures a step of learning fits to; 0 where nothing is learned."""
    settings, train = context.settings, problem.train
    if not settings.learning_steps or len(train) < ENOUGH:
        return 0
    on_card = settings.device != "cpu"  # whose memory is another; every rank learns, on the processor
    budget = float("inf") if on_card or settings.memory is None else settings.memory * GIB / context.run.ranks.size
    return learning_structures(made.terms, len(train), train.n_atoms, budget)


def _whole(problem: Problem, length: float, settings: Settings) -> Makeup:
    return Makeup.whole(problem.pairs, problem.group.perms, settings.global_kernel(length))


def _one_term(problem: Problem, settings: Settings) -> Choice:
    """The model that is one global term, before anything is searched."""
    length = settings.length or START_LENGTH
    search = problem.valid is not None and not settings.noise_given
    return Choice(_whole(problem, length, settings), replace(settings, length=length), problem.group, search)


def _is_searched(settings: Settings) -> bool:
    """Whether something of one global term is not given."""
    return not (settings.length and settings.noise_given)


@dataclass(frozen=True)
class Searching:
    """Length and noise of one global term, where they are not given, on a part of the data."""

    def __call__(self, so_far: Choice, problem: Problem, context: Context) -> Choice:
        return searched(so_far, problem.pilot(), context)


def searched(so_far: Choice, pilot: Problem, context: Context, hopeless: float = float("inf")) -> Choice:
    """With what is not given found on the structures of `pilot`; hopeless: see `pilot_search`."""
    given = context.settings
    settings, trials = pilot_search(lambda length: _whole(pilot, length, given), pilot, context, hopeless)
    made = _whole(pilot, settings.length or START_LENGTH, given)
    return replace(so_far, makeup=made, settings=settings, trials=(*so_far.trials, *trials))


@dataclass(frozen=True)
class Learning:
    """Weights, amplitudes and noise learned on the training structures, so many in a step, or none (0); amplitudes
    scaled to a prior variance of 1, so that a noise given by the user means the same in every model."""

    structures: int

    def __call__(self, so_far: Choice, problem: Problem, context: Context) -> Choice:
        made, given = so_far.makeup, context.settings
        learned = self._learned(so_far, problem, context)
        made = learned.made.scaled(1 / learned.made.mean_variance(problem.train.positions[:1]))
        settings = so_far.settings
        if not given.noise_given:
            noise = learned.relative_noise
            if self.structures:
                noise = max(LESS_NOISE * noise, min(noise, NOISES[0]))
            settings = replace(settings, relative_noise=noise)
        return replace(so_far, makeup=made, settings=settings, learned=replace(learned, made=made))

    def _learned(self, so_far: Choice, problem: Problem, context: Context) -> Learned:
        made, given, train = so_far.makeup, context.settings, problem.train
        start = so_far.settings.relative_noise or START_NOISE
        if not self.structures:
            return Learned(made, start, ())
        rule = LearningRule(steps=given.learning_steps, seed=given.seed, structures=self.structures)

        def learn() -> dict[str, np.ndarray]:
            return learn_terms(made, train, start, rule, progress=context.progress).arrays()

        key = key_of("learned", made, train, start, rule)
        return Learned.of(made, context.run.arrays_once(key, learn))


@dataclass(frozen=True)
class Choosing:
    """One global term, a sum with one, or that sum without it: every kind is fitted to the same part of the training
    structures and judged on the validation set, or, without that, on structures left out of that part.  One global
    term is tried last, and only once where that is HOPELESS.  A global term joins those that were learned with its
    usual share; keep_global: never take local terms without anything else."""

    keep_global: bool

    def __call__(self, so_far: Choice, problem: Problem, context: Context) -> Choice:
        pilot, given = problem.pilot(), context.settings
        sums = self._sums(so_far, problem)
        tried = {kind.name: _tried(kind, pilot, context) for kind in sums}
        errors = {name: _least(more) for name, (_, more) in tried.items()}
        one = _one_term(problem, given)
        if _is_searched(given):
            one = searched(one, pilot, context, HOPELESS * min(errors.values()))
        else:
            one = replace(one, trials=_tried(one, pilot, context)[1])
        trials = (*(trial for _, more in tried.values() for trial in more), *one.trials)
        errors["global"] = _least(one.trials)
        name = _cheapest(errors)
        best = next((replace(kind, settings=tried[name][0]) for kind in sums if kind.name == name), one)
        return replace(best, trials=trials, errors=errors)

    def _sums(self, so_far: Choice, problem: Problem) -> list[Choice]:
        """The sum that was learned, and the same with a global term more, or less."""
        made, pairs = so_far.makeup, problem.pairs
        if made.name == PAIRS:
            assert isinstance(pairs, PairSet)
            more = made.with_global(pairs, problem.group.perms, problem.train.positions)
            return [replace(so_far, makeup=more), so_far] if _joins(made, problem) else [replace(so_far, makeup=more)]
        less = made.without_global()
        return [so_far] if self.keep_global or not _joins(less, problem) else [so_far, replace(so_far, makeup=less)]


def _cheapest(errors: dict[str, float]) -> str:
    """Of the kinds of model tried, by validation error: the one without a global term, unless that lowers the error by
    WORTH; else the sum, unless one global term is better."""
    summed = next(name for name in ("all", "both") if name in errors)
    alone = next((name for name in (PAIRS, "local") if name in errors), None)
    if alone is not None and errors[alone] <= (1 + WORTH) * min(errors.values()):
        return alone
    return summed if errors[summed] <= errors["global"] else "global"


@dataclass(frozen=True)
class Completing:
    """Learning once more where a global term has joined terms that were learned without it."""

    learning: Learning

    def __call__(self, so_far: Choice, problem: Problem, context: Context) -> Choice:
        return self.learning(so_far, problem, context) if so_far.name == "all" else so_far


def _tried(kind: Choice, pilot: Problem, context: Context) -> tuple[Settings, tuple[Trial, ...]]:
    """The settings with the best noise near that of a kind of model, and the trials; one, where the noise is given, or
    was learned: a part of the structures would ask for more of it than all of them."""
    search, settings = Search(pilot, context), kind.settings
    if context.settings.noise_given or (kind.learned is not None and kind.learned.history):
        search.error(kind.makeup, settings)
    else:
        near = nearest_noise(settings.relative_noise or START_NOISE)
        settings = replace(settings, relative_noise=search.best_noise(kind.makeup, settings, near))
    return settings, tuple(search.trials)


def _least(trials: Sequence[Trial]) -> float:
    return min((trial.valid_force_rmse for trial in trials), default=float("inf"))


def _joins(made: Makeup, problem: Problem) -> bool:
    """Whether bonds and the pairs of the terms together hold all atoms in one piece; parts that no pair joins would not
    feel each other."""
    train, near = problem.train, as_pairs(made.pairs, "terms: local ones").pairs
    joined = np.vstack([bond_graph(train.positions, train.numbers), near])
    return not molecules(joined, train.n_atoms).any()


@dataclass(frozen=True)
class Claiming:
    """The symmetry that all terms and the baselines keep."""

    def __call__(self, so_far: Choice, problem: Problem, context: Context) -> Choice:
        made, group = so_far.makeup, problem.group
        keeps = kept(made.terms, made.pairs, group.perms, made.functions) & kept_by(problem.baselines, group.perms)
        claimed = group.cut_to(keeps)
        if claimed.order < group.order:
            context.progress(Event("symmetry", 1, 1, claimed.note))
        return replace(so_far, symmetry=claimed)


@dataclass(frozen=True)
class Solving:
    """The fit to all training structures, with a search for the noise where that is still open."""

    def __call__(self, so_far: Choice, problem: Problem, context: Context) -> Choice:
        here, trials = context.at(so_far.settings), so_far.trials
        if so_far.search:
            fitted, more = fit_with_noise_search(so_far.makeup, problem, here)
            trials = (*trials, *more)
        else:
            fitted = fit_terms(so_far.makeup, problem, here)
        settings = replace(so_far.settings, noise=fitted.noise, relative_noise=fitted.noise / fitted.mean_variance)
        return replace(so_far, fitted=fitted.without_system(), settings=settings, trials=trials)


@dataclass(frozen=True)
class Condensing:
    """Few representatives in place of the rows of local terms in the model that was solved for."""

    def __call__(self, so_far: Choice, problem: Problem, context: Context) -> Choice:
        assert so_far.fitted is not None
        assert problem.valid is not None
        return replace(so_far, fitted=condensed_fit(so_far.fitted, problem.train, problem.valid, context))


def condensed_fit(fitted: Fitted, train: Dataset, valid: Dataset, context: Context) -> Fitted:
    """With few representatives in place of the rows of local terms, found once for all ranks and noted in the journal;
    labels of train and valid are without the baselines that the model is without."""
    model = fitted.model
    key = key_of("condensed", model.terms, fitted.solution.coefficients, train, valid)

    def made() -> dict[str, np.ndarray]:
        return arrays_of(condensed(model, train, valid, fitted.noise, context.progress))

    return replace(fitted, model=with_arrays(model, context.run.arrays_once(key, made)))


@dataclass(frozen=True)
class Calibrating:
    """The error bars of the model that was solved for, with its terms and noise."""

    def __call__(self, so_far: Choice, problem: Problem, context: Context) -> Choice:
        assert so_far.fitted is not None
        bars = committee(so_far.makeup, so_far.fitted.model, problem, context.at(so_far.settings))
        return replace(so_far, error_bars=bars)


def check_terms(terms: str | Sequence[Fragment | str], settings: Settings) -> None:
    """Raise UsageError for a name that is no choice of terms, and for a length that no term would take."""
    if isinstance(terms, str) and terms not in (known := ("auto", "global", "local", "both", PAIRS, "all")):
        raise UsageError(f"terms: {terms!r} is not known; use {', '.join(known)}, or a list of fragments.")
    if settings.length is not None and terms not in ("auto", "global"):
        raise UsageError(
            f"length: {settings.length:g} given, but the terms of a sum take their lengths from the data; leave it "
            "out, or use terms 'global'."
        )
