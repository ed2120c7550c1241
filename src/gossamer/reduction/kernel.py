"""The family of kernel models: every descriptor is trained with the terms, weights and relative noise of the full
model, whose global term and pair functions are thinned out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from gossamer.chemistry.fragments import GLOBAL, Fragment
from gossamer.data.dataset import Dataset
from gossamer.errors import UsageError
from gossamer.events import Progress
from gossamer.fitting import record as rec
from gossamer.fitting.baselines import AUTO
from gossamer.fitting.checkpoint import key_of
from gossamer.fitting.makeup import PAIRS, Makeup
from gossamer.fitting.preconditioners import Nystrom
from gossamer.fitting.problem import Context
from gossamer.fitting.settings import Settings
from gossamer.fitting.stages import condensed_fit
from gossamer.fitting.training import Fitted, Start, fit_terms, make_provenance, preconditioner_of
from gossamer.fitting.workflow import Fit
from gossamer.fitting.workflow import fit as fit_model
from gossamer.model.force_field import ForceField
from gossamer.model.pairs import PairSet, as_pairs, orbit_numbers
from gossamer.model.terms import Term
from gossamer.records import parts
from gossamer.reduction.family import Relevance, Task, drawn
from gossamer.reduction.relevance import masking_scores

SHARED = 0.1  # of the pairs: with fewer, iterations with the full model's preconditioner go astray
FEW_ITERATIONS, PATIENCE = 200, 2  # a random selection may take as many, or PATIENCE times those of the full model


@dataclass(frozen=True, eq=False)
class KernelFamily:
    """begun: the fit of all pairs, light; train: the structures with all their labels; context: its settings are those
    of every fit; fixed (P,): the pairs that local terms see, and that are therefore never dropped; preconditioner: of
    the full model, where its local terms make it one of every descriptor's system too."""

    begun: Fit
    train: Dataset
    context: Context
    fixed: np.ndarray
    preconditioner: Nystrom | None
    kind: ClassVar[str] = "kernel"

    @classmethod
    def of(cls, begun: Fit, train: Dataset, context: Context) -> "KernelFamily":
        """After the fit of all pairs, whose preconditioner is kept where fits share it."""
        _thinned(begun.model)
        fixed = rec.seen_locally(begun.model)
        inverse = preconditioner_of(begun.choice.makeup, begun.problem, context, begun.fitted) if fixed.any() else None
        return cls(replace(begun, choice=begun.choice.light()), train, context, fixed, inverse)

    @property
    def full(self) -> Fitted:
        return replace(self.begun.fitted, model=self.begun.model)

    @property
    def length(self) -> float | None:
        return self.context.settings.length

    @property
    def pairs(self) -> PairSet:
        return as_pairs(self.begun.model.pairs, "reduce")

    def fit(self, rows: np.ndarray, nearest: Fitted, selection: parts.Selection) -> Fitted:
        made, begun, context = self._makeup(rows), self.begun, self.context
        provenance = make_provenance(self.train, begun.symmetry, context.settings) | {"terms": begun.choice.name}
        if selection == "random":  # for comparison, at worst far from convergence
            stop = context.settings.stop
            most = min(stop.max_iterations, max(FEW_ITERATIONS, PATIENCE * begun.solution.iterations))
            context = context.at(stop=replace(stop, max_iterations=most))
        fitted = fit_terms(made, begun.problem, context, self._start(rows, nearest))
        provenance |= {"noise": fitted.noise}
        model = replace(fitted.model, provenance=provenance, baselines=begun.model.baselines)
        return replace(fitted, model=model).light()

    def relevance(self, source: Dataset, wanted: int | None, progress: Progress) -> Relevance:
        part, begun = _thinned(self.begun.model), self.begun
        images, orbits = len(begun.symmetry.perms), np.empty(len(self.pairs), dtype=np.int64)
        if part.terms:
            (whole,) = part.terms
            images, orbits[whole.places[0]] = whole.n_images, orbit_numbers(whole.perms)
        else:
            orbits = self.pairs.orbits(begun.symmetry.perms)
        scored = drawn(source, wanted, images, begun.settings.seed)
        key = key_of("scores", begun.solution.coefficients, begun.model.terms, begun.model.functions, scored, orbits)
        found = self.context.run.arrays_once(
            key, lambda: {"scores": masking_scores(part, scored.positions, orbits, progress=progress)}
        )
        return Relevance(orbits, found["scores"], self.fixed, len(scored))

    def condensed(self, fitted: Fitted, valid: Dataset) -> Fitted:
        """With few representatives in place of the rows of local terms, judged on `valid`."""
        return condensed_fit(fitted, self.train, valid, self.context)

    def parameters(self, fitted: Fitted) -> int:
        """A coefficient for every label that was fitted to."""
        return fitted.solution.coefficients.numel()

    def described(self, fitted: Fitted) -> dict[str, Any]:
        return rec.describe_fit(self.begun, fitted.model, self.train)

    def _start(self, rows: np.ndarray, nearest: Fitted) -> Start:
        """What a fit that sees `rows` beside local pairs begins with; the full model's preconditioner costs more
        iterations than one of its own, and less time, but where a global term is cut below SHARED of the pairs."""
        cut = any(term.is_global for term in self.begun.model.terms)
        shared = not cut or len(rows) >= SHARED * len(self.pairs)
        return Start(previous=nearest, columns_of=self.preconditioner if shared else None)

    def _makeup(self, rows: np.ndarray) -> Makeup:
        """The terms of the full model with the global one cut down to the pairs `rows`, and pair functions to these and
        the local ones, over the pairs they see."""
        seen_too = self.fixed.copy()
        seen_too[rows] = True
        pairs, kept = self.pairs, self.pairs.keep(seen_too)
        terms: list[Term | None] = []
        for term in self.begun.model.terms:
            if not term.is_global:
                terms.append(term.over(pairs, kept))
            elif len(rows):
                seen = pairs.keep(rows)
                cut = term.over(pairs, seen)
                terms.append(None if cut is None else cut.over(seen, kept))
        functions = self.begun.model.functions
        if functions is not None:
            functions = replace(functions, coefficients=None).over(pairs, kept)
        used = tuple(term for term in terms if term is not None)
        return Makeup(self.begun.choice.name, kept, used, functions=functions)


@dataclass(frozen=True, eq=False)
class Kernel:
    """The kernel models that `reduce` is asked for by its arguments `terms` and `baseline`."""

    terms: "str | Sequence[Fragment | str]" = AUTO
    baseline: Any = AUTO

    def check(self, settings: Settings) -> None:
        check_terms(self.terms)

    def begin(self, task: Task) -> KernelFamily:
        settings, run, progress = task.context.settings, task.context.run, task.context.progress
        begun = fit_model(
            task.train, task.valid, terms=self.terms, symmetry=task.symmetry, baseline=self.baseline,
            settings=settings, keep_global=True, run=run, progress=progress,
        )  # fmt: skip
        context = Context(replace(begun.settings, noise=settings.noise), run, progress)
        return KernelFamily.of(begun, task.train, context)


def check_terms(terms: Any) -> None:
    """Raise UsageError where the terms asked for lack those whose pairs are thinned out."""
    if terms == "local":
        raise UsageError("terms: 'local' leaves out the global term, whose pairs are what is reduced; use auto.")
    far = (GLOBAL, PAIRS)
    if not isinstance(terms, str) and not any(f.is_global if isinstance(f, Fragment) else f in far for f in terms):
        raise UsageError(
            "terms: the fragments leave out the global term, whose pairs are what is reduced; add 'global' to the "
            'list, in a file {"global": true}.'
        )


def _thinned(model: ForceField) -> ForceField:
    """The part of a model whose pairs are thinned out: its global term and its pair functions.  Raises UsageError where
    it has neither."""
    sides = [(term, c) for term, c in zip(model.terms, model.coefficients, strict=True) if term.is_global]
    if not sides and model.functions is None:
        raise UsageError("terms: no atoms are three bonds apart, so there are no pair functions to reduce; use both.")
    return replace(model, terms=tuple(term for term, _ in sides), coefficients=tuple(c for _, c in sides))
