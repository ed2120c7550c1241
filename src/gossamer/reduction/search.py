"""The search for the smallest descriptor that holds: cut at the paper's quantiles, retrain, refine by bisection, and
compare with other selections.  It knows a family of models by its protocol alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeAlias

import numpy as np

from gossamer.data.dataset import Dataset
from gossamer.events import Event, Progress, silent
from gossamer.fitting import record as rec
from gossamer.fitting.solvers import Step
from gossamer.model.pairs import PairSet
from gossamer.model.results import Errors
from gossamer.records import parts
from gossamer.reduction.choice import is_within, limit_of, smallest_within
from gossamer.reduction.family import Family, Relevance, T

REFINEMENTS = 4  # bisection steps between two quantiles
NEARLY = 0.2  # of the chosen model's pairs, by which a descriptor with nearly as many differs at most


@dataclass(frozen=True, eq=False)
class Ranking:
    """All P pairs of a molecule with what their choice goes by.  positions (n, N, 3): some training structures;
    distances (P,): mean ones, Angstrom."""

    pairs: PairSet
    relevance: Relevance
    distances: np.ndarray
    positions: np.ndarray

    @cached_property
    def rank_needed(self) -> int:
        """Internal degrees of freedom of the molecule."""
        return self.pairs.jacobian_rank(self.positions)

    def kept(self, rows: np.ndarray) -> np.ndarray:
        """Mask (P,) of the pairs of a model that sees `rows` beside those that are fixed."""
        kept = self.relevance.fixed.copy()
        kept[rows] = True
        return kept

    @cached_property
    def orbits_by_score(self) -> tuple[np.ndarray, np.ndarray]:
        """Orbits by falling score, and how many pairs the first k of them hold."""
        orbits = self.relevance.orbits
        n = int(orbits.max()) + 1
        score, size = np.zeros(n), np.bincount(orbits, minlength=n)
        score[orbits] = self.relevance.scores
        order = np.argsort(-score, kind="stable")
        return order, np.cumsum(size[order])

    def cut(self, quantile: float) -> tuple[np.ndarray, int]:
        """Rows kept when pairs strictly below the quantile of the scores go, whole orbits at a time, and the number of
        orbits that had to come back to fix the molecule's shape."""
        scores = self.relevance.scores
        return self.repaired(np.flatnonzero(scores >= np.percentile(scores, quantile)))

    def first(self, count: int) -> tuple[np.ndarray, int]:
        """Rows of so many orbits of the highest scores, and how many more had to come back."""
        return self.repaired(np.flatnonzero(np.isin(self.relevance.orbits, self.orbits_by_score[0][:count])))

    def repaired(self, rows: np.ndarray) -> tuple[np.ndarray, int]:
        """Rows with the best missing orbits that raise the Jacobian's rank until it is that of all pairs, and how many
        these are."""
        kept = self.kept(rows)
        rank = self.pairs.keep(kept).jacobian_rank(self.positions) if kept.any() else 0
        added: list[np.ndarray] = []
        for orbit in self.orbits_by_score[0]:
            if rank >= self.rank_needed:
                break
            members = self.relevance.orbits == orbit
            if kept[members].all():
                continue
            better = self.pairs.keep(kept | members).jacobian_rank(self.positions)
            if better > rank:
                kept, rank, added = kept | members, better, [*added, np.flatnonzero(members)]
        return np.unique(np.concatenate([rows, *added])).astype(int), len(added)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A descriptor that was tried: the pairs that are thinned out (rows of the full PairSet), model and errors."""

    rows: np.ndarray
    model: Any
    entry: parts.Model
    history: tuple[Step, ...] = ()

    def renamed(self, label: str, **extra: Any) -> "Candidate":
        return replace(self, entry=replace(self.entry, label=label, **extra))


@dataclass(frozen=True)
class Plan:
    """What is tried.  tolerance: of the validation force RMSE, a fraction; quantiles: the cuts; compared: those of them
    at which other selections are trained too; seed: of random ones."""

    tolerance: float
    quantiles: tuple[int, ...]
    compared: tuple[int, ...]
    seed: int

    @property
    def attempts(self) -> int:
        """How many at most."""
        return len(self.quantiles) + REFINEMENTS + 2 * (len(self.compared) + 1 if self.compared else 0)


class Attempts(Generic[T]):
    """Trains on pairs of the full PairSet, each time from the fit nearest in size; descriptors met before are not
    fitted again."""

    def __init__(
        self, family: Family[T], ranking: Ranking, judged: dict[str, Dataset], total: int, progress: Progress = silent
    ) -> None:
        """judged: the structures that errors are measured on, by part; total: of the attempts that will be made, for
        those who are told."""
        self._family, self._ranking, self._judged = family, ranking, judged
        self._total, self._made, self._progress = total, 0, progress
        rows = np.arange(len(ranking.pairs))
        self.full = self._candidate("full", rows, family.full, selection="full", quantile=None)
        self._tried = {rows.tobytes(): (self.full, family.full)}

    def __call__(self, label: str, rows: np.ndarray, *, selection: parts.Selection, **extra: Any) -> Candidate:
        """Train on the pairs `rows`; extra: further fields of the entry."""
        tried, extra = self._tried, extra | {"selection": selection}
        message = f"{label}: {len(rows)} of {len(self._ranking.pairs)} pairs"
        self._progress(Event("reduce", self._made, self._total, message))
        self._made += 1
        if (key := rows.tobytes()) in tried:
            return tried[key][0].renamed(label, **extra)
        nearest = min(tried.values(), key=lambda t: abs(len(t[0].rows) - len(rows)))[1]
        fitted = self._family.fit(rows, nearest, selection)
        tried[key] = self._candidate(label, rows, fitted, **extra), fitted
        return tried[key][0]

    def fitted(self, candidate: Candidate) -> T:
        """The fit that gave a candidate."""
        return self._tried[candidate.rows.tobytes()][1]

    def judged(self, candidate: Candidate, fitted: T) -> Candidate:
        """The candidate with another fit to its pairs, whose errors are measured anew."""
        names = ("selection", "quantile", "added_orbits")
        extra = {name: getattr(candidate.entry, name) for name in names}
        return self._candidate(candidate.entry.label, candidate.rows, fitted, **extra)

    def _candidate(self, label: str, rows: np.ndarray, fitted: T, **extra: Any) -> Candidate:
        ranking, kept = self._ranking, self._ranking.kept(rows)
        errors: dict[str, Errors] = {name: fitted.model.errors(data) for name, data in self._judged.items()}
        entry = rec.describe_model(
            label, ranking.pairs.keep(kept), ranking.distances[kept], errors, fitted.solution, fitted.seconds,
            orbits=len(np.unique(ranking.relevance.orbits[kept])), global_pairs=len(rows),
            local_pairs=int(ranking.relevance.fixed.sum()), length=self._family.length,
            parameters=self._family.parameters(fitted), **extra,
        )  # fmt: skip
        return Candidate(rows, fitted.model, entry, fitted.solution.history)


Attempt: TypeAlias = Callable[..., Candidate]


class Found(NamedTuple):
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


def search(ranking: Ranking, full: Candidate, attempt: Attempt, plan: Plan) -> Found:
    """Cut at the quantiles, refine around the smallest descriptor that holds, and compare with other selections.
    attempt(label, rows, selection=..., **fields of the entry): trains on the pairs `rows`."""
    cuts = [attempt(f"Q{q}", rows, quantile=q, selection="relevance", added_orbits=added)
            for q in sorted(plan.quantiles) for rows, added in [ranking.cut(q)]]  # fmt: skip
    local = _local_alone(ranking, attempt)
    tried_first = [full, *cuts, *([] if local is None else [local])]
    limit = limit_of([c.entry for c in tried_first], plan.tolerance)
    refined = _refine(ranking, tried_first, limit, attempt)
    chosen = smallest_within([*tried_first, *refined], limit)
    random, shortest = _compared(ranking, plan, cuts, chosen, attempt)
    return Found(chosen, limit, cuts, local, refined, random, shortest)


def _local_alone(ranking: Ranking, attempt: Attempt) -> Candidate | None:
    """The model without a global term, where there are others; with as much of it as the molecule's shape needs."""
    if not ranking.relevance.fixed.any():
        return None
    rows, added = ranking.repaired(np.zeros(0, dtype=int))
    return attempt("local terms", rows, quantile=None, selection="relevance", added_orbits=added)


def _refine(ranking: Ranking, tried: list[Candidate], limit: parts.Limit, attempt: Attempt) -> list[Candidate]:
    """Bisection between the smallest descriptor within the limit and the next smaller one, which fails."""
    good = smallest_within(tried, limit)
    floor = max((len(c.rows) for c in tried if len(c.rows) < len(good.rows)), default=0)
    cumulative = ranking.orbits_by_score[1]
    refined: list[Candidate] = []
    for _ in range(REFINEMENTS):
        count = int(np.searchsorted(cumulative, (len(good.rows) + floor) / 2, side="right"))
        rows, added = ranking.first(max(count, 1))
        if not floor < len(rows) < len(good.rows) or len(good.rows) - floor < 0.02 * len(ranking.pairs):
            break
        label = f"refined {len(refined) + 1}"
        refined.append(attempt(label, rows, quantile=None, selection="relevance", added_orbits=added))
        if is_within(refined[-1].entry, limit):
            good = refined[-1]
        else:
            floor = len(rows)
    return refined


def _compared(ranking: Ranking, plan: Plan, cuts: list[Candidate], chosen: Candidate, attempt: Attempt):
    """Random and shortest-first selections of as many pairs as the cuts compared and the chosen model keep, as many of
    them non-local; cuts with nearly as many pairs as that model would show nothing more."""
    random: list[Candidate] = []
    shortest: list[Candidate] = []
    if not plan.compared:
        return random, shortest
    orbits, fixed = ranking.relevance.orbits, ranking.relevance.fixed
    n = int(orbits.max()) + 1
    distance = np.bincount(orbits, ranking.distances, n) / np.bincount(orbits, minlength=n)
    rng = np.random.default_rng(plan.seed)
    orders = {"random": rng.permutation(n), "shortest": np.argsort(distance, kind="stable")}
    apart = [c for c in cuts if abs(len(c.rows) - len(chosen.rows)) > NEARLY * len(chosen.rows)]
    targets = [c for c in [*(c for c in apart if c.entry.quantile in plan.compared), chosen] if len(c.rows)]
    for target in targets:
        for kind, found in (("random", random), ("shortest", shortest)):
            rows = first_rows(orbits, fixed, orders[kind], target.rows)
            quantile = target.entry.quantile
            found.append(attempt(f"{kind} {target.entry.label}", rows, quantile=quantile, selection=kind))
    return random, shortest


def first_rows(orbits: np.ndarray, fixed: np.ndarray, order: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of the first orbits in `order` that together hold as many `fixed` pairs (P,) as `rows`, which are seen in
    any case, and as many others; the nearest counts to them."""
    sizes, local = np.bincount(orbits), np.bincount(orbits, fixed) > 0
    chosen = []
    for part in (False, True):
        mine, wanted = order[local[order] == part], int((local[orbits[rows]] == part).sum())
        if wanted:
            chosen.append(mine[: int(np.argmin(np.abs(np.cumsum(sizes[mine]) - wanted))) + 1])
    return np.flatnonzero(np.isin(orbits, np.concatenate(chosen)))


def _entries(candidates: list[Candidate]) -> tuple[parts.Model, ...]:
    return tuple(c.entry for c in candidates)
