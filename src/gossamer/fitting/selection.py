"""Which terms a model is made of: one global term, local terms, or both, as the validation set decides."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from gossamer.chemistry.bonds import bond_graph, molecules
from gossamer.chemistry.fragments import GLOBAL, Fragment, local_fragments
from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.errors import FitError, UsageError
from gossamer.events import Event, Progress, silent
from gossamer.fitting.checkpoint import HERE, Run, key_of
from gossamer.fitting.learning import Learned, LearningRule, learn_terms, learning_structures, mean_variance
from gossamer.fitting.resources import GIB
from gossamer.fitting.training import (
    NOISES,
    START_LENGTH,
    START_NOISE,
    Settings,
    Trial,
    climb,
    fit_terms,
    pilot_part,
    pilot_search,
)
from gossamer.kernels import Kernel, with_length
from gossamer.model.fragment_terms import term_of
from gossamer.model.pairs import PairSet, orbit_numbers
from gossamer.model.terms import Term

FLEXIBILITY = 15.0  # kernel length over the rms distance between the term's descriptors of two structures
GLOBAL_SHARE = 0.05  # prior variance of the global term beside that of a local one, before learning
WORTH = 0.01  # by how much, relatively, a global term must lower the validation error to be kept beside local ones
ENOUGH = 20  # structures, below which weights cannot be learned and "auto" is "global"


@dataclass(frozen=True, eq=False)
class Makeup:
    """The terms of a model before it is fitted: terms over `pairs`, and per term the weight number (P,) of every slot
    (see fitting.learning)."""

    name: str
    pairs: PairSet
    terms: tuple[Term, ...]
    groups: tuple[np.ndarray, ...]

    def without_global(self) -> "Makeup":
        """The local terms alone, over the pairs that they see."""
        kept = [t for t, term in enumerate(self.terms) if not term.is_global]
        terms, pairs = compressed(tuple(self.terms[t] for t in kept), self.pairs)
        return Makeup("local", pairs, terms, tuple(self.groups[t] for t in kept))


@dataclass(frozen=True, eq=False)
class Choice:
    """Terms to fit, over `pairs`, with the settings found; errors: validation force RMSE (eV/Angstrom) of what was
    tried on a part of the data, by name; search: whether the noise is still to be searched at full size."""

    name: str
    pairs: PairSet
    terms: tuple[Term, ...]
    settings: Settings
    search: bool
    trials: tuple[Trial, ...] = ()
    errors: dict[str, float] = field(default_factory=dict)
    learned: Learned | None = None


def choose_terms(
    terms: str | Sequence[Fragment | str],
    train: Dataset,
    valid: Dataset | None,
    group: Symmetry,
    pairs: PairSet,
    settings: Settings,
    *,
    keep_global: bool = False,
    run: Run = HERE,
    progress: Progress = silent,
) -> Choice:
    """The terms that `fit` was asked for; arguments as there.  Where "auto" has the choice, every kind is fitted to the
    same part of `train` and judged on `valid`, or, without that, on structures of `train` left out of that part."""
    if terms == "global" or (terms == "auto" and len(train) < ENOUGH):
        return _global(train, valid, group, pairs, settings, run, progress)
    if terms == "auto" and not local_fragments(train.positions, train.numbers):  # two atoms
        return _global(train, valid, group, pairs, settings, run, progress)
    chosen = makeup_of(terms, train, group, pairs, settings.sum_kernel(1.0))
    learned = _learned(chosen, train, settings, run, progress)
    chosen = replace(chosen, terms=learned.terms)
    summed = replace(settings, length=None)  # the terms of a sum have lengths of their own
    found = replace(summed, relative_noise=learned.relative_noise) if _noise_free(settings) else summed
    if terms != "auto":
        return Choice(chosen.name, chosen.pairs, chosen.terms, found, False, learned=learned)
    part, judge = pilot_part(train), valid
    if judge is None:
        judge = train.take(np.arange(0, len(train), 5))
        part = part.take(~np.isin(part.frames, judge.frames))
    one = _global(part, judge, group, pairs, settings, run, progress)
    alone = chosen.without_global()
    makeups = [chosen] if keep_global or not _joins(alone.pairs, train) else [chosen, alone]
    given = not _noise_free(settings)
    tried = [_tried(m, part, judge, found, given, run, progress) for m in makeups]
    first = (
        one.trials
        or _tried(Makeup("global", one.pairs, one.terms, ()), part, judge, one.settings, True, run, progress)[1]
    )
    trials = (*first, *(trial for _, more in tried for trial in more))
    errors = {"global": _least(first)} | {m.name: _least(more) for m, (_, more) in zip(makeups, tried, strict=True)}
    best = min(errors.values())
    if errors.get("local", float("inf")) <= (1 + WORTH) * best:
        kept, noise = makeups[1], tried[1][0]
    elif errors["both"] <= errors["global"]:
        kept, noise = makeups[0], tried[0][0]
    else:
        return replace(one, trials=trials, errors=errors)
    found = replace(summed, relative_noise=noise) if _noise_free(settings) else summed
    return Choice(kept.name, kept.pairs, kept.terms, found, False, trials, errors, learned)


def check_terms(terms: str | Sequence[Fragment | str], settings: Settings) -> None:
    """Raise UsageError for a name that is no choice of terms, and for a length that no term would take."""
    if isinstance(terms, str) and terms not in ("auto", "global", "local", "both"):
        raise UsageError(f"terms: {terms!r} is not known; use auto, global, local, both, or a list of fragments.")
    if settings.length is not None and terms not in ("auto", "global"):
        raise UsageError(
            f"length: {settings.length:g} given, but the terms of a sum take their lengths from the data; leave it "
            "out, or use terms 'global'."
        )


def _least(trials: Sequence[Trial]) -> float:
    return min((trial.valid_force_rmse for trial in trials), default=float("inf"))


def _joins(pairs: PairSet, train: Dataset) -> bool:
    """Whether bonds and `pairs` together hold all atoms in one piece; parts that no pair joins would not feel each
    other."""
    bonds = bond_graph(train.positions, train.numbers)
    return len(set(molecules(np.vstack([bonds.reshape(-1, 2), pairs.pairs]), train.n_atoms).tolist())) == 1


def _noise_free(settings: Settings) -> bool:
    return settings.noise is None and settings.relative_noise is None


def _global(
    train: Dataset,
    valid: Dataset | None,
    group: Symmetry,
    pairs: PairSet,
    settings: Settings,
    run: Run,
    progress: Progress,
) -> Choice:
    """One term over all pairs, sgdml's model, with its length and noise searched where they are not given."""

    def terms_of(length: float) -> tuple[Term, ...]:
        return (Term.over_all(pairs, group.perms, settings.global_kernel(length)),)

    trials: list[Trial] = []
    noise_given = not _noise_free(settings)
    if valid is not None and not (settings.length and noise_given):
        settings, trials = pilot_search(terms_of, pairs, train, valid, settings, progress, run)
    settings = replace(settings, length=settings.length or START_LENGTH)
    return Choice(
        "global",
        pairs,
        terms_of(settings.length or START_LENGTH),
        settings,
        valid is not None and not noise_given,
        tuple(trials),
    )


def _learned(chosen: Makeup, train: Dataset, settings: Settings, run: Run, progress: Progress) -> Learned:
    """Weights, amplitudes and noise learned on the training structures; amplitudes scaled to a prior variance of 1, so
    that a noise given by the user means the same in every model."""
    start = settings.relative_noise or START_NOISE
    learned = Learned(chosen.terms, start, ())
    if settings.learning_steps and len(train) >= ENOUGH:
        on_card = settings.device != "cpu"  # whose memory is another; every rank learns, on the processor
        budget = float("inf") if on_card or settings.memory is None else settings.memory * GIB / run.ranks.size
        size = learning_structures(chosen.terms, len(train), train.n_atoms, budget)
        rule = LearningRule(steps=settings.learning_steps, seed=settings.seed, structures=size)
        key = key_of("learned", chosen.terms, chosen.groups, chosen.pairs, train, start, rule)
        found = run.arrays_once(
            key,
            lambda: learn_terms(
                chosen.terms, chosen.groups, chosen.pairs, train, start, rule, progress=progress
            ).arrays(),
        )
        learned = Learned.of(chosen.terms, found)
    unit = mean_variance(learned.terms, chosen.pairs, train.positions[:1])
    return replace(learned, terms=tuple(replace(t, amplitude=t.amplitude / unit) for t in learned.terms))


def _tried(
    m: Makeup, part: Dataset, judge: Dataset, settings: Settings, given: bool, run: Run, progress: Progress
) -> tuple[float, list[Trial]]:
    """The best noise for a makeup near the learned one, and the trials; one, at the user's noise, where it is given."""
    trials: list[Trial] = []
    length = m.terms[0].kernel.length if m.name == "global" else 0.0
    system = None  # shared, since only the noise changes

    def error(at: Settings) -> float:
        nonlocal system
        try:
            fitted = fit_terms(m.terms, m.pairs, part, judge, at, system=system, run=run)
        except FitError:  # too little noise
            return float("inf")
        system = fitted.system
        relative = fitted.noise / fitted.mean_variance
        (rmse,) = run.ranks.agree(fitted.model.errors(judge, precision="float64").force_rmse)
        trials.append(Trial(length, relative, rmse, len(part), m.name))
        progress(Event("search", len(trials), None, f"{m.name} terms, noise {relative:.0e}", {"valid": rmse}))
        return rmse

    if given:
        error(settings)
        return settings.relative_noise or 0.0, trials
    start = min(NOISES, key=lambda noise: abs(np.log(noise / (settings.relative_noise or START_NOISE))))
    return climb(NOISES, start, lambda noise: error(replace(settings, relative_noise=noise))), trials


def makeup_of(
    terms: str | Sequence[Fragment | str], train: Dataset, group: Symmetry, pairs: PairSet, kernel: Kernel
) -> Makeup:
    """What `fit` makes of its argument: those given, or local terms and the global one; for "local" that of contacts
    instead, without which molecules that no hydrogen bond joins would not feel each other."""
    whole = Fragment.whole(train.n_atoms, group.perms)
    if not isinstance(terms, str):
        return makeup("given", _given(terms, whole), pairs, train, kernel)
    local = local_fragments(train.positions, train.numbers, contacts=terms == "local", perms=group.perms)
    if terms == "local":
        if not local:
            raise UsageError("terms: 'local' needs an atom with two bonds, and there is none; use 'global'.")
        return makeup("local", local, pairs, train, kernel)
    return makeup("both", [*local, whole], pairs, train, kernel)


def _given(terms: Sequence[Fragment | str], whole: Fragment) -> list[Fragment]:
    """The fragments given, with the whole molecule where they say "global"."""
    wrong = [f for f in terms if not isinstance(f, Fragment) and f != GLOBAL]
    if wrong or not len(terms):
        shown = f"{wrong[0]!r} is among them" if wrong else "the list is empty"
        raise UsageError(f"terms: {shown}; give Fragments, and 'global' for the term over the whole molecule.")
    names = [f if isinstance(f, str) else f.name for f in terms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"terms: two of them are called {twice!r}; rename one.")
    return [whole if isinstance(f, str) else f for f in terms]


def makeup(name: str, fragments: Sequence[Fragment], pairs: PairSet, train: Dataset, kernel: Kernel) -> Makeup:
    """Terms over `fragments` with kernels of the kind of `kernel`, whose lengths fit how much their descriptors vary,
    with equal prior variance."""
    terms = []
    for fragment in fragments:
        term = term_of(fragment, pairs, kernel)
        length = FLEXIBILITY * _spread(term, pairs, train.positions)
        share = GLOBAL_SHARE if fragment.is_global and len(fragments) > 1 else 1.0
        terms.append(replace(term, kernel=with_length(kernel, length), amplitude=share * length**2))
    used, compact = compressed(tuple(terms), pairs)
    return Makeup(name, compact, used, tuple(orbit_numbers(term.perms) for term in used))


def compressed(terms: tuple[Term, ...], pairs: PairSet) -> tuple[tuple[Term, ...], PairSet]:
    """The same terms over no more pairs than they use."""
    used = np.unique(np.concatenate([term.places.ravel() for term in terms]))
    position = np.full(len(pairs), -1)
    position[used] = np.arange(len(used))
    return tuple(replace(term, places=position[term.places]) for term in terms), pairs.keep(used)


def _spread(term: Term, pairs: PairSet, positions: np.ndarray) -> float:
    """Root mean square distance between the term's descriptors of two structures, 1/Angstrom."""
    x = term.gather(pairs.forward(torch.from_numpy(positions[:200]))[0])
    return float(x.var(0, correction=0).sum().mul(2).sqrt().clamp_min(1e-6))
