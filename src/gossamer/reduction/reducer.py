"""The automatic reducer: score, cut at the paper's quantiles, retrain, and find the smallest descriptor that holds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Unpack

import numpy as np

from gossamer.chemistry.fragments import GLOBAL, Fragment
from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.errors import UsageError
from gossamer.events import Event, Progress, silent
from gossamer.fitting import record as rec
from gossamer.fitting.baselines import AUTO
from gossamer.fitting.checkpoint import HERE, Run, key_of
from gossamer.fitting.makeup import PAIRS, Makeup
from gossamer.fitting.options import Options, make_settings
from gossamer.fitting.preconditioners import Nystrom
from gossamer.fitting.problem import Context
from gossamer.fitting.settings import Settings
from gossamer.fitting.solvers import Step
from gossamer.fitting.training import Fitted, Start, fit_terms, make_provenance, preconditioner_of
from gossamer.fitting.workflow import Fit, check_labels, check_trainable, check_usable
from gossamer.fitting.workflow import fit as fit_model
from gossamer.model.force_field import ForceField
from gossamer.model.pairs import PairSet, as_pairs, orbit_numbers
from gossamer.model.results import Errors
from gossamer.model.terms import Term
from gossamer.records import parts
from gossamer.records.record import ReduceRecord
from gossamer.reduction.choice import is_within, limit_of, smallest_within
from gossamer.reduction.relevance import masking_scores

QUANTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
COMPARED = (50, 70, 90)
SCORE_STRUCTURES = 3000  # the paper's number; divided by the number of images, which multiply the samples
REFINEMENTS = 4  # bisection steps between two quantiles
SHARED = 0.1  # of the pairs: with fewer, iterations with the full model's preconditioner go astray
NEARLY = 0.2  # of the chosen model's pairs, by which a descriptor with nearly as many differs at most
FEW_ITERATIONS, PATIENCE = 200, 2  # a random selection may take as many, or PATIENCE times those of the full model


@dataclass(frozen=True, eq=False)
class Reduction:
    """model: the smallest that stays within the tolerance; full: the model of all pairs; record: all that was tried
    (docs/record.md); history: of the solver that made `model`, () where it was direct."""

    model: ForceField
    full: ForceField
    record: ReduceRecord
    history: tuple[Step, ...] = ()

    def __repr__(self) -> str:
        return f"Reduction({len(self.model.pairs)} of {len(self.full.pairs)} pairs; {self.model!r})"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A descriptor that was tried: the pairs that are thinned out (rows of the full PairSet), model and errors."""

    rows: np.ndarray
    model: ForceField
    errors: dict[str, Errors]
    entry: parts.Model
    history: tuple[Step, ...] = ()

    def renamed(self, label: str, **extra: Any) -> "Candidate":
        return replace(self, entry=replace(self.entry, label=label, **extra))


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
    def scored(self) -> Dataset:
        """Where those are drawn from on which pairs are scored."""
        return self.pool if self.pool is not None and len(self.pool) else self.shown


@dataclass(frozen=True, eq=False)
class _Bench:
    """Everything that stays the same while descriptors are tried.  context: its settings are those of every fit;
    preconditioner: of the full model, where its local terms make it one of every descriptor's system too."""

    parts: _Parts
    fit: Fit
    orbits: np.ndarray
    scores: np.ndarray
    distances: np.ndarray
    rank_needed: int
    n_scored: int
    fixed: np.ndarray  # (P,) the pairs that local terms see, and that are therefore never dropped
    context: Context
    preconditioner: Nystrom | None

    @property
    def pairs(self) -> PairSet:
        return as_pairs(self.fit.model.pairs, "reduce")

    def start(self, rows: np.ndarray, nearest: Fitted) -> Start:
        """What a fit that sees `rows` beside local pairs begins with; the full model's preconditioner costs more
        iterations than one of its own, and less time, but where a global term is cut below SHARED of the pairs."""
        cut = any(term.is_global for term in self.fit.model.terms)
        shared = not cut or len(rows) >= SHARED * len(self.pairs)
        return Start(previous=nearest, columns_of=self.preconditioner if shared else None)

    def kept(self, rows: np.ndarray) -> np.ndarray:
        """Mask (P,) of the pairs of a model that sees `rows` beside local pairs."""
        kept = self.fixed.copy()
        kept[rows] = True
        return kept

    def makeup(self, rows: np.ndarray) -> Makeup:
        """The terms of the full model with the global one cut down to the pairs `rows`, and pair functions to these and
        the local ones, over the pairs they see."""
        pairs, kept = self.pairs, self.pairs.keep(self.kept(rows))
        terms: list[Term | None] = []
        for term in self.fit.model.terms:
            if not term.is_global:
                terms.append(term.over(pairs, kept))
            elif len(rows):
                seen = pairs.keep(rows)
                cut = term.over(pairs, seen)
                terms.append(None if cut is None else cut.over(seen, kept))
        functions = self.fit.model.functions
        if functions is not None:
            functions = replace(functions, coefficients=None).over(pairs, kept)
        used = tuple(term for term in terms if term is not None)
        return Makeup(self.fit.choice.name, kept, used, functions=functions)


def reduce(
    train: Dataset,
    valid: Dataset,
    test: Dataset | None = None,
    *,
    tolerance: float = 0.02,
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
) -> Reduction:
    """Train the full model, score its pairs by masking, and keep the fewest whose retrained model stays good.

    tolerance: the chosen model's validation force RMSE may exceed the best model's by this fraction.  quantiles: the
    cuts of the paper.  compared: quantiles at which random and shortest-first selections of equal size are trained
    for comparison, and once more at the chosen size; () for none.  Iterations of random ones are limited, since some
    would take many hundreds.  pool: structures to score on, used neither in training nor validation (None: the test
    set, else the validation set); at most score_structures (None: 3000 divided by the number of images, at
    least 100) are drawn from it.  terms, symmetry, baseline, settings and options: as for `train`; every descriptor is
    trained with the lengths, weights and relative noise (or the absolute one, where given) of the full model.  Where
    the model has local terms, the pairs of its global term and of its pair functions are thinned out together, down to
    none but those of the local terms, which are kept.
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
    _check_quantiles(quantiles, compared)
    data = _Parts(train, valid, test, pool)
    _check_parts(data, score_structures)
    if not force:
        check_labels({"training": train, "validation": valid, "test": test})
    fit = fit_model(
        train, valid, terms=terms, symmetry=symmetry, baseline=baseline, settings=settings, keep_global=True,
        run=run, progress=progress,
    )  # fmt: skip
    context = Context(replace(fit.settings, noise=settings.noise), run, progress)
    bench = _bench(data, fit, score_structures, context)
    dipoles = fit.model.dipole_model
    del fit  # with its preconditioner, which the bench has where fits share it
    full, done = _full_candidate(bench)
    total = len(quantiles) + REFINEMENTS + 2 * (len(compared) + 1 if compared else 0)
    found = _search(bench, full, _Attempts(bench, full, done, total), tolerance, quantiles, compared)
    chosen = found.chosen
    described = _described(bench, full, chosen, command) | found.entries
    record = ReduceRecord(**described, limit=found.limit, seconds=time.perf_counter() - began)
    settled = replace(record.settings, tolerance=tolerance, score_structures=bench.n_scored)
    small, large = (one.model.with_dipoles(dipoles) for one in (chosen, full))
    return Reduction(small, large, replace(record, settings=settled), chosen.history)


class _Attempts:
    """Trains on pairs of the full PairSet, each time from the fit nearest in size; descriptors met before are not
    fitted again."""

    def __init__(self, bench: _Bench, full: Candidate, fitted: Fitted, total: int) -> None:
        """full, fitted: with all pairs; total: of the attempts that will be made, for those who are told."""
        self._bench, self._total, self._made = bench, total, 0
        self._tried = {full.rows.tobytes(): (full, fitted)}

    def __call__(self, label: str, rows: np.ndarray, **extra: Any) -> Candidate:
        """Train on the pairs `rows`; extra: further fields of the entry."""
        bench, tried = self._bench, self._tried
        message = f"{label}: {len(rows)} of {len(bench.pairs)} pairs"
        bench.context.progress(Event("reduce", self._made, self._total, message))
        self._made += 1
        if (key := rows.tobytes()) in tried:
            return tried[key][0].renamed(label, **extra)
        nearest = min(tried.values(), key=lambda t: abs(len(t[0].rows) - len(rows)))[1]
        tried[key] = _train_candidate(bench, label, rows, nearest, **extra)
        return tried[key][0]


class _Found(NamedTuple):
    """What was tried beside the full model, and which descriptor is the smallest within the limit."""

    chosen: Candidate
    limit: parts.Limit
    cuts: list[Candidate]
    local: Candidate | None
    refined: list[Candidate]
    random: list[Candidate]
    shortest: list[Candidate]

    @property
    def entries(self) -> dict[str, Any]:
        """The fields of the record that list them."""
        return {
            "quantiles": _entries(self.cuts),
            "local": None if self.local is None else self.local.entry,
            "refined": _entries(self.refined),
            "random": _entries(self.random),
            "shortest": _entries(self.shortest),
        }


def _search(
    bench: _Bench,
    full: Candidate,
    attempt: _Attempts,
    tolerance: float,
    quantiles: tuple[int, ...],
    compared: tuple[int, ...],
) -> _Found:
    """Cut at the quantiles, refine around the smallest descriptor that holds, and compare with other selections."""
    cuts = [attempt(f"Q{q}", rows, quantile=q, selection="relevance", added_orbits=added)
            for q in sorted(quantiles) for rows, added in [_cut(bench, q)]]  # fmt: skip
    local = _local_alone(bench, attempt)
    tried_first = [full, *cuts, *([] if local is None else [local])]
    limit = limit_of([c.entry for c in tried_first], tolerance)
    refined = _refine(bench, tried_first, limit, attempt)
    chosen = smallest_within([*tried_first, *refined], limit)
    random, shortest = _compared(bench, compared, cuts, chosen, attempt)
    return _Found(chosen, limit, cuts, local, refined, random, shortest)


def check_choice(tolerance: float, terms: Any) -> None:
    """Raise UsageError for a tolerance that is no fraction, and for terms of which none is over all pairs."""
    if not 0 <= tolerance < 10:
        raise UsageError(f"tolerance: {tolerance} given; it is a fraction such as 0.02 and cannot be negative.")
    _check_global(terms)


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


def _check_global(terms: Any) -> None:
    """Raise UsageError where the terms asked for lack those whose pairs are thinned out."""
    if terms == "local":
        raise UsageError("terms: 'local' leaves out the global term, whose pairs are what is reduced; use auto.")
    far = (GLOBAL, PAIRS)
    if not isinstance(terms, str) and not any(f.is_global if isinstance(f, Fragment) else f in far for f in terms):
        raise UsageError(
            "terms: the fragments leave out the global term, whose pairs are what is reduced; add 'global' to the "
            'list, in a file {"global": true}.'
        )


def _bench(data: _Parts, fit: Fit, score_structures: int | None, context: Context) -> _Bench:
    """Score the pairs of the full model."""
    pairs, source = as_pairs(fit.model.pairs, "reduce"), data.scored
    part = _thinned(fit.model)
    images, orbits = len(fit.symmetry.perms), np.empty(len(pairs), dtype=np.int64)
    if part.terms:
        (whole,) = part.terms
        images, orbits[whole.places[0]] = whole.n_images, orbit_numbers(whole.perms)
    else:
        orbits = pairs.orbits(fit.symmetry.perms)
    wanted = score_structures or max(100, SCORE_STRUCTURES // images)
    rng = np.random.default_rng(fit.settings.seed)
    drawn = source.take(np.sort(rng.permutation(len(source))[:wanted]))
    key = key_of("scores", fit.solution.coefficients, fit.model.terms, fit.model.functions, drawn, orbits)
    found = context.run.arrays_once(
        key, lambda: {"scores": masking_scores(part, drawn.positions, orbits, progress=context.progress)}
    )
    fixed = rec.seen_locally(fit.model)
    distances = rec.mean_distances(data.train.positions, pairs)
    rank = pairs.jacobian_rank(data.train.positions[:3])
    inverse = preconditioner_of(fit.choice.makeup, fit.problem, context, fit.fitted) if fixed.any() else None
    fit = replace(fit, choice=fit.choice.light())
    return _Bench(data, fit, orbits, found["scores"], distances, rank, len(drawn), fixed, context, inverse)


def _thinned(model: ForceField) -> ForceField:
    """The part of a model whose pairs are thinned out: its global term and its pair functions.  Raises UsageError where
    it has neither."""
    sides = [(term, c) for term, c in zip(model.terms, model.coefficients, strict=True) if term.is_global]
    if not sides and model.functions is None:
        raise UsageError("terms: no atoms are three bonds apart, so there are no pair functions to reduce; use both.")
    return replace(model, terms=tuple(term for term, _ in sides), coefficients=tuple(c for _, c in sides))


def _full_candidate(bench: _Bench) -> tuple[Candidate, Fitted]:
    fit = bench.fit
    rows = np.arange(len(bench.pairs))
    candidate = _candidate(
        bench, "full", rows, fit.model, fit.solution, fit.fitted.seconds, selection="full", quantile=None
    )
    return candidate, fit.fitted


def _train_candidate(
    bench: _Bench, label: str, rows: np.ndarray, nearest: Fitted, selection: str, **extra: Any
) -> tuple[Candidate, Fitted]:
    made, fit, context = bench.makeup(rows), bench.fit, bench.context
    provenance = make_provenance(bench.parts.train, fit.symmetry, context.settings) | {"terms": fit.choice.name}
    if selection == "random":
        stop = context.settings.stop
        most = min(stop.max_iterations, max(FEW_ITERATIONS, PATIENCE * fit.solution.iterations))
        context = context.at(stop=replace(stop, max_iterations=most))
    fitted = fit_terms(made, fit.problem, context, bench.start(rows, nearest))
    model = replace(fitted.model, provenance=provenance | {"noise": fitted.noise}, baselines=fit.model.baselines)
    found = _candidate(bench, label, rows, model, fitted.solution, fitted.seconds, selection=selection, **extra)
    return found, fitted.light()


def _candidate(
    bench: _Bench, label: str, rows: np.ndarray, model: ForceField, solution, seconds: float, **extra
) -> Candidate:
    shown = {"test": bench.parts.test, "valid": bench.parts.valid}
    errors = {name: model.errors(data) for name, data in shown.items() if data is not None and len(data)}
    entry = rec.describe_model(
        label, model.pairs, bench.distances[bench.kept(rows)], errors, solution, seconds,
        orbits=len(np.unique(bench.orbits[bench.kept(rows)])), global_pairs=len(rows),
        local_pairs=int(bench.fixed.sum()), length=bench.context.settings.length, **extra,
    )  # fmt: skip
    return Candidate(rows, model, errors, entry, solution.history)


def _ranked_orbits(bench: _Bench) -> tuple[np.ndarray, np.ndarray]:
    """Orbits by falling score, and how many pairs the first k of them hold."""
    n = int(bench.orbits.max()) + 1
    score, size = np.zeros(n), np.bincount(bench.orbits, minlength=n)
    score[bench.orbits] = bench.scores
    order = np.argsort(-score, kind="stable")
    return order, np.cumsum(size[order])


def _cut(bench: _Bench, quantile: float) -> tuple[np.ndarray, int]:
    """Rows kept when pairs strictly below the quantile of the scores go, whole orbits at a time, and the number of
    orbits that had to come back to fix the molecule's shape."""
    return _repair_rank(bench, np.flatnonzero(bench.scores >= np.percentile(bench.scores, quantile)))


def _repair_rank(bench: _Bench, rows: np.ndarray) -> tuple[np.ndarray, int]:
    """Add the best missing orbits that raise the Jacobian's rank until it is that of all pairs."""
    positions = bench.parts.train.positions[:3]
    kept = bench.kept(rows)
    rank = bench.pairs.keep(kept).jacobian_rank(positions) if kept.any() else 0
    added: list[np.ndarray] = []
    for orbit in _ranked_orbits(bench)[0]:
        if rank >= bench.rank_needed:
            break
        members = bench.orbits == orbit
        if kept[members].all():
            continue
        better = bench.pairs.keep(kept | members).jacobian_rank(positions)
        if better > rank:
            kept, rank, added = kept | members, better, [*added, np.flatnonzero(members)]
    return np.unique(np.concatenate([rows, *added])).astype(int), len(added)


def _local_alone(bench: _Bench, attempt: _Attempts) -> Candidate | None:
    """The model without a global term, where there are others; with as much of it as the molecule's shape needs."""
    if not bench.fixed.any():
        return None
    rows, added = _repair_rank(bench, np.zeros(0, dtype=int))
    return attempt("local terms", rows, quantile=None, selection="relevance", added_orbits=added)


def _refine(bench: _Bench, tried: list[Candidate], limit: parts.Limit, attempt: _Attempts) -> list[Candidate]:
    """Bisection between the smallest descriptor within the limit and the next smaller one, which fails."""
    good = smallest_within(tried, limit)
    floor = max((len(c.rows) for c in tried if len(c.rows) < len(good.rows)), default=0)
    order, cumulative = _ranked_orbits(bench)
    refined: list[Candidate] = []
    for _ in range(REFINEMENTS):
        count = int(np.searchsorted(cumulative, (len(good.rows) + floor) / 2, side="right"))
        rows, added = _repair_rank(bench, np.flatnonzero(np.isin(bench.orbits, order[: max(count, 1)])))
        if not floor < len(rows) < len(good.rows) or len(good.rows) - floor < 0.02 * len(bench.pairs):
            break
        label = f"refined {len(refined) + 1}"
        refined.append(attempt(label, rows, quantile=None, selection="relevance", added_orbits=added))
        if is_within(refined[-1].entry, limit):
            good = refined[-1]
        else:
            floor = len(rows)
    return refined


def _compared(bench: _Bench, at: tuple[int, ...], cuts: list[Candidate], chosen: Candidate, attempt: _Attempts):
    """Random and shortest-first selections of as many pairs as the cuts `at` and the chosen model keep, as many of them
    non-local; cuts with nearly as many pairs as that model would show nothing more."""
    random: list[Candidate] = []
    shortest: list[Candidate] = []
    if not at:
        return random, shortest
    n = int(bench.orbits.max()) + 1
    distance = np.bincount(bench.orbits, bench.distances, n) / np.bincount(bench.orbits, minlength=n)
    rng = np.random.default_rng(bench.context.settings.seed)
    orders = {"random": rng.permutation(n), "shortest": np.argsort(distance, kind="stable")}
    apart = [c for c in cuts if abs(len(c.rows) - len(chosen.rows)) > NEARLY * len(chosen.rows)]
    targets = [c for c in [*(c for c in apart if c.entry.quantile in at), chosen] if len(c.rows)]
    for target in targets:
        for kind, found in (("random", random), ("shortest", shortest)):
            rows = _first_rows(bench.orbits, bench.fixed, orders[kind], target.rows)
            quantile = target.entry.quantile
            found.append(attempt(f"{kind} {target.entry.label}", rows, quantile=quantile, selection=kind))
    return random, shortest


def _first_rows(orbits: np.ndarray, fixed: np.ndarray, order: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of the first orbits in `order` that together hold as many `fixed` pairs (P,) as `rows`, which local terms
    see in any case, and as many others; the nearest counts to them."""
    sizes, local = np.bincount(orbits), np.bincount(orbits, fixed) > 0
    chosen = []
    for part in (False, True):
        mine, wanted = order[local[order] == part], int((local[orbits[rows]] == part).sum())
        if wanted:
            chosen.append(mine[: int(np.argmin(np.abs(np.cumsum(sizes[mine]) - wanted))) + 1])
    return np.flatnonzero(np.isin(orbits, np.concatenate(chosen)))


def _entries(candidates: list[Candidate]) -> tuple[parts.Model, ...]:
    return tuple(c.entry for c in candidates)


def _described(bench: _Bench, full: Candidate, chosen: Candidate, command: str) -> dict[str, Any]:
    """The fields of the record that tell of the full and the chosen model."""
    fit, data, shown = bench.fit, bench.parts, bench.parts.shown
    rank = as_pairs(chosen.model.pairs, "reduce").jacobian_rank(data.train.positions[:3])
    return rec.describe_run(fit, chosen.model, data.train, data.valid, data.test, command) | {
        "full": full.entry,
        "chosen": chosen.entry,
        "pairs": _describe_pairs(bench, bench.kept(chosen.rows)),
        "parity": rec.describe_parity(shown, fit.settings.seed, full=full.model, chosen=chosen.model),
        "per_atom": rec.per_atom_mae(chosen.model, shown),
        "rank": parts.Rank(bench.rank_needed, rank, chosen.entry.added_orbits),
    }


def _describe_pairs(bench: _Bench, kept: np.ndarray) -> tuple[parts.Pair, ...]:
    """Every pair of the full model; kept (P,): whether the chosen one has it."""
    columns = (bench.pairs.pairs, bench.distances, bench.scores, bench.orbits, kept, bench.fixed)
    return tuple(
        parts.Pair(int(i), int(j), round(float(d), 4), float(f"{s:.6g}"), int(o), bool(k), bool(f))
        for (i, j), d, s, o, k, f in zip(*columns, strict=True)
    )
