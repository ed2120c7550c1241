"""The automatic reducer: train a family of models on all pairs, score these, and find the smallest descriptor that
holds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, Unpack

import numpy as np

from gossamer.chemistry.fragments import Fragment
from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.errors import UsageError
from gossamer.events import Progress, silent
from gossamer.fitting import record as rec
from gossamer.fitting.baselines import AUTO
from gossamer.fitting.checkpoint import HERE, Run
from gossamer.fitting.dipoles import dipoles_of
from gossamer.fitting.options import Options, make_settings
from gossamer.fitting.problem import Context
from gossamer.fitting.settings import Settings
from gossamer.fitting.solvers import Step
from gossamer.fitting.workflow import check_labels, check_trainable, check_usable
from gossamer.records import parts
from gossamer.records.record import ReduceRecord
from gossamer.reduction.family import PairModel, Recipe, Task
from gossamer.reduction.kernel import Kernel, KernelFamily, check_terms
from gossamer.reduction.network import Network
from gossamer.reduction.search import Attempts, Candidate, Plan, Ranking, search

QUANTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
COMPARED = (50, 70, 90)

M = TypeVar("M", bound=PairModel)


@dataclass(frozen=True, eq=False)
class Reduction(Generic[M]):
    """model: the smallest that stays within the tolerance; full: the model of all pairs; record: all that was tried
    (docs/record.md); history: of the solver that made `model`, () where it was direct."""

    model: M
    full: M
    record: ReduceRecord
    history: tuple[Step, ...] = ()

    def __repr__(self) -> str:
        return f"Reduction({len(self.model.pairs)} of {len(self.full.pairs)} pairs; {self.model!r})"


@dataclass(frozen=True, eq=False)
class _Parts:
    """The structures of a reduction."""

    train: Dataset
    valid: Dataset
    test: Dataset | None
    pool: Dataset | None

    @property
    def shown(self) -> Dataset:
        """On which errors are shown: the test structures, else the validation structures."""
        return self.test if self.test is not None and len(self.test) else self.valid

    @property
    def judged(self) -> dict[str, Dataset]:
        """On which errors are measured, by part."""
        found = {"test": self.test, "valid": self.valid}
        return {name: part for name, part in found.items() if part is not None and len(part)}

    @property
    def scored(self) -> Dataset:
        """Where those are drawn from on which pairs are scored."""
        return self.pool if self.pool is not None and len(self.pool) else self.shown


def reduce(
    train: Dataset,
    valid: Dataset,
    test: Dataset | None = None,
    *,
    tolerance: float = 0.02,
    family: "str | Recipe" = KernelFamily.kind,
    quantiles: tuple[int, ...] = QUANTILES,
    compared: tuple[int, ...] = (),
    pool: Dataset | None = None,
    score_structures: int | None = None,
    terms: "str | Sequence[Fragment | str]" = "auto",
    symmetry: "str | np.ndarray | Symmetry" = "auto",
    baseline: Any = AUTO,
    settings: Settings | None = None,
    command: str = "",
    force: bool = False,
    run: Run = HERE,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> Reduction[Any]:
    """Train the full model, score its pairs by masking, and keep the fewest whose retrained model stays good.

    tolerance: the chosen model's validation force RMSE may exceed the best model's by this fraction.  family: the kind
    of models, "kernel", "network", or a `Network` with layers or a torch module of your own; of what follows networks
    take symmetry, energies, seed and max_images.  quantiles: the cuts of the paper.  compared: quantiles at which
    random and shortest-first selections of equal size are trained for comparison, and once more at the chosen size; ()
    for none.  Iterations of random ones are limited, since some would take many hundreds.  pool: structures to score
    on, used neither in training nor validation (None: the test set, else the validation set); at most score_structures
    (None: 3000 divided by the number of images, at least 100) are drawn from it.  terms, symmetry, baseline, settings
    and options: as for `train`; every descriptor is trained with the lengths, weights and relative noise (or the
    absolute one, where given) of the full model.  Where the model has local terms, the pairs of its global term and of
    its pair functions are thinned out together, down to none but those of the local terms, which are kept.  condense:
    few representatives stand for the rows of local terms in the model that is found, whose errors in the record are
    with them.
    force: do not look at the labels; else what `inspect` calls an error raises DataError, and it warns of the rest
    (LabelWarning).  run: the ranks that call this together, and the journal to go on from.
    Raises UsageError, DataError, MemoryBudgetError or FitError."""
    began = time.perf_counter()
    if "descriptor" in options:
        raise UsageError("descriptor: reduce thins out pairs, and takes no other descriptor; leave it out.")
    settings = make_settings(options, settings)
    check_choice(tolerance, terms)
    if settings.error_bars:
        raise UsageError("error_bars: `reduce` gives none; leave them out, or use `train`.")
    recipe = recipe_of(family, terms, baseline)
    recipe.check(settings)
    _check_quantiles(quantiles, compared)
    data = _Parts(train, valid, test, pool)
    _check_parts(data, score_structures)
    if not force:
        check_labels({"training": train, "validation": valid, "test": test})
    context = Context(settings, run, progress)
    dipoles = dipoles_of(train, valid, None, context) if isinstance(recipe, Kernel) else None
    begun = recipe.begin(Task(train, valid, symmetry, context.at(dipoles=False, condense=False)))
    relevance = begun.relevance(data.scored, score_structures, progress)
    distances = rec.mean_distances(train.positions, begun.pairs)
    ranking = Ranking(begun.pairs, relevance, distances, train.positions[:3])
    plan = Plan(tolerance, quantiles, compared, settings.seed)
    attempts = Attempts(begun, ranking, data.judged, plan.attempts, progress)
    found = search(ranking, attempts.full, attempts, plan)
    chosen = attempts.fitted(found.chosen)
    if settings.condense and isinstance(begun, KernelFamily):
        chosen = begun.condensed(chosen, valid)
        found = found._replace(chosen=attempts.judged(found.chosen, chosen))
    record = ReduceRecord(
        **rec.describe_run(train, valid, test, command), **begun.described(chosen), **found.entries,
        full=attempts.full.entry, chosen=found.chosen.entry, limit=found.limit,
        pairs=_describe_pairs(ranking, ranking.kept(found.chosen.rows)), rank=_describe_rank(ranking, found.chosen),
        parity=rec.describe_parity(
            data.shown, settings.seed, full=attempts.full.model, chosen=found.chosen.model
        ),
        per_atom=rec.per_atom_mae(found.chosen.model, data.shown), seconds=time.perf_counter() - began,
    )  # fmt: skip
    settled = replace(record.settings, tolerance=tolerance, score_structures=relevance.structures, family=begun.kind)
    small: Any = found.chosen.model
    large: Any = attempts.full.model
    if dipoles is not None:
        small, large = small.with_dipoles(dipoles), large.with_dipoles(dipoles)
    return Reduction(small, large, replace(record, settings=settled), found.chosen.history)


def recipe_of(family: "str | Recipe", terms: Any, baseline: Any) -> Recipe:
    """The kind of models that `reduce` is asked for by its arguments.  Raises UsageError for an unknown name, and where
    `terms` or `baseline` are given to one that has none."""
    if family == KernelFamily.kind:
        return Kernel(terms, baseline)
    for name, value in (("terms", terms), ("baseline", baseline)):
        if not (isinstance(value, str) and value == AUTO):
            raise UsageError(f"{name}: {value!r} given, which only family 'kernel' can take; leave it out.")
    if family == Network.kind:
        return Network()
    if isinstance(family, str) or not hasattr(family, "begin"):
        raise UsageError(f"family: {family!r} is not known; use kernel, network, or a gossamer.Network.")
    return family


def check_choice(tolerance: float, terms: Any) -> None:
    """Raise UsageError for a tolerance that is no fraction, and for terms of which none is over all pairs."""
    if not 0 <= tolerance < 10:
        raise UsageError(f"tolerance: {tolerance} given; it is a fraction such as 0.02 and cannot be negative.")
    check_terms(terms)


def _check_parts(data: _Parts, score_structures: int | None) -> None:
    """Raise UsageError or DataError for structures that no reduction can be made with."""
    if data.valid is None or len(data.valid) == 0:
        raise UsageError("validation: reduce needs validation structures, none were given; ask for some with --valid.")
    check_trainable(data.train, data.valid)
    if data.test is not None and len(data.test):
        check_usable("test", data.test, data.train.numbers)
    if data.pool is not None and len(data.pool):
        check_usable("pool", data.pool, data.train.numbers, labels=False)
    if score_structures is not None and score_structures < 1:
        raise UsageError(f"score_structures: {score_structures} given; at least 1 structure is needed.")


def _check_quantiles(quantiles: tuple[int, ...], compared: tuple[int, ...]) -> None:
    for name, values in (("quantiles", quantiles), ("compared", compared)):
        if any(not 0 < q < 100 for q in values):
            raise UsageError(f"{name}: {values} given; quantiles lie between 0 and 100.")
    if set(compared) - set(quantiles):
        raise UsageError(f"compared: {compared} must be among the quantiles {quantiles}.")


def _describe_rank(ranking: Ranking, chosen: Candidate) -> parts.Rank:
    reached = ranking.pairs.keep(ranking.kept(chosen.rows)).jacobian_rank(ranking.positions)
    return parts.Rank(ranking.rank_needed, reached, chosen.entry.added_orbits)


def _describe_pairs(ranking: Ranking, kept: np.ndarray) -> tuple[parts.Pair, ...]:
    """Every pair of the full model; kept (P,): whether the chosen one has it."""
    found = ranking.relevance
    columns = (ranking.pairs.pairs, ranking.distances, found.scores, found.orbits, kept, found.fixed)
    return tuple(
        parts.Pair(int(i), int(j), round(float(d), 4), float(f"{s:.6g}"), int(o), bool(k), bool(f))
        for (i, j), d, s, o, k, f in zip(*columns, strict=True)
    )
