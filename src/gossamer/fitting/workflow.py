"""From labelled structures to a force field: symmetry, terms, searches, and the final fit."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np

from gossamer.chemistry.fragments import Fragment
from gossamer.chemistry.symmetry import Symmetry, find_symmetry, symmetry_from_perms, usual_limit
from gossamer.data.checks import require_sound
from gossamer.data.dataset import Dataset
from gossamer.descriptors import Descriptor
from gossamer.devices import resolve_device
from gossamer.errors import DataError, UsageError
from gossamer.events import Event, Progress, silent
from gossamer.fitting.baselines import AUTO, baselines_of, check_baseline
from gossamer.fitting.checkpoint import HERE, Run
from gossamer.fitting.descriptor import descriptor_of
from gossamer.fitting.dipoles import dipoles_of
from gossamer.fitting.options import Options, make_settings
from gossamer.fitting.problem import Context, Problem
from gossamer.fitting.resources import GIB, memory_budget
from gossamer.fitting.search import Trial
from gossamer.fitting.settings import Settings
from gossamer.fitting.solvers import Solution
from gossamer.fitting.stages import Choice, check_terms, stages_of
from gossamer.fitting.training import Fitted, make_provenance
from gossamer.model.force_field import ForceField
from gossamer.model.pairs import PairSet


@dataclass(frozen=True, eq=False)
class Fit:
    """What `fit` returns: the model, what was settled on the way to it, and the problem that was solved, its labels
    without the baselines."""

    model: ForceField
    choice: Choice
    problem: Problem
    seconds: float  # all of it, symmetry and searches included

    @property
    def fitted(self) -> Fitted:
        """The one training that gave the model, with its own seconds."""
        assert self.choice.fitted is not None
        return self.choice.fitted

    @property
    def solution(self) -> Solution:
        return self.fitted.solution

    @property
    def symmetry(self) -> Symmetry:
        """That all terms keep (the global term may have more, where fragments given by hand break it)."""
        return self.choice.symmetry

    @property
    def settings(self) -> Settings:
        """With the length and noise that were found."""
        return self.choice.settings

    @property
    def trials(self) -> tuple[Trial, ...]:
        return self.choice.trials


def fit(
    train: Dataset,
    valid: Dataset | None = None,
    *,
    terms: "str | Sequence[Fragment | str]" = "auto",
    pairs: PairSet | None = None,
    descriptor: "str | Descriptor" = "pairs",
    symmetry: "str | np.ndarray | Symmetry" = "auto",
    baseline: Any = AUTO,
    settings: Settings | None = None,
    keep_global: bool = False,
    run: Run = HERE,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> Fit:
    """Train a force field on the forces of `train` and say how that went.

    valid: structures on which terms, length and noise are chosen, where they are not given, and iterations are stopped.
    Without them the terms are chosen on a fifth of `train` left out of the trials, and one global term has length 20
    and relative noise 1e-5 unless given.  terms: "global", one term over all pairs (or over `pairs`), sgdml's model;
    "local", terms of atoms within one, two and three bonds, and around contacts, with learned weights;
    "pairs", local ones and functions of the distances of pairs three or more bonds apart; "both",
    local ones and the global term; "all", all of these; "auto", "pairs" ("local" terms where no pairs are so far
    apart), with the global term, or that alone, where the validation set says so; or a list of Fragment, with "global"
    among them for the whole molecule and "pairs" for the functions, such as
    ``[*gs.local_fragments(R, z, radii=(3.5,)), "global"]``.  keep_global: never let "auto" take local terms alone.
    descriptor: what the model looks at: "pairs"; "angles", the pairs and the cosines of angles between bonds; or a
    FeatureSet (docs/architecture.md).  With another than pairs the model is one global term.
    symmetry: "auto", "none", an array (S, N) of atom permutations, or a Symmetry.  baseline: what is taken off the
    labels and added at prediction: "auto", the repulsion of atoms that no bond joins, but nothing with terms "global";
    "none"; "repulsion", "coulomb", "gfn2-xtb", "gfnff", "d4", or several, joined by commas; a ForceField, an ASE
    calculator, or a list (gossamer.fitting.baselines).  settings: what else may vary, see Settings; options:
    fields of it that are to have other values.
    run: the ranks that call this together, and the journal to go on from.
    Raises UsageError, DataError, MemoryBudgetError or FitError."""
    began = time.perf_counter()
    settings = make_settings(options, settings)
    device = resolve_device(settings.device)
    settings = replace(settings, device=str(device))
    if settings.memory is None:  # settled once, so that every fit, and every run of it, plans alike
        budget = run.once("memory", lambda: run.ranks.machines * memory_budget(None, device) / GIB)
        settings = replace(settings, memory=budget)
    context = Context(settings, run, progress)
    check_baseline(baseline)
    posed = pose(train, valid, settings, terms=terms, pairs=pairs, descriptor=descriptor, symmetry=symmetry)
    progress(Event("symmetry", 1, 1, posed.group.note))
    problem = posed.less(baselines_of(baseline, terms, train, posed.group.perms, run))
    dipole_model = dipoles_of(train, valid, posed.group.perms, context)
    choice, stages = stages_of(problem, context, keep_global)
    for stage in stages:
        choice = stage(choice, problem, context)
    assert choice.fitted is not None
    provenance = make_provenance(train, choice.symmetry, choice.settings) | {"terms": choice.name}
    provenance |= {"noise": choice.settings.noise}
    model = replace(choice.fitted.model, provenance=provenance, baselines=problem.baselines)
    model = replace(model, error_bars=choice.error_bars, dipole_model=dipole_model)
    return Fit(model, choice, problem, time.perf_counter() - began)


def pose(
    train: Dataset, valid: Dataset | None, settings: Settings, *, terms: Any, pairs: PairSet | None, descriptor: Any,
    symmetry: Any,
) -> Problem:  # fmt: skip
    """The problem that the arguments of `fit` name, its baselines not yet taken off.  Raises what `fit` raises for
    arguments and data that cannot be."""
    check_terms(terms, settings)
    check_trainable(train, valid)
    group = resolve_symmetry(symmetry, train, settings)
    return Problem(train, valid, descriptor_of(descriptor, pairs, train, group.perms), group, terms)


def resolve_symmetry(symmetry: "str | np.ndarray | Symmetry", train: Dataset, settings: Settings) -> Symmetry:
    """ "auto": found in the training structures, at most `max_images` permutations (None: `usual_limit`); "none"; an
    array (S, N); or a Symmetry made before.  Raises UsageError where the permutations are no group of these atoms."""
    if isinstance(symmetry, Symmetry):
        return replace(symmetry, perms=symmetry_from_perms(symmetry.perms, train.numbers).perms)
    if isinstance(symmetry, np.ndarray):
        return symmetry_from_perms(symmetry, train.numbers)
    if symmetry == "none":
        return Symmetry.trivial(train.n_atoms)
    if symmetry == "auto":
        limit = settings.max_images or usual_limit(train.n_atoms)
        return find_symmetry(train.positions, train.numbers, limit=limit, seed=settings.seed)
    raise UsageError(f"symmetry: {symmetry!r} is not known; use auto, none, or an array of permutations.")


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


def check_labels(parts: Mapping[str, Dataset | None]) -> None:
    """Look at the labels of every part as `inspect` does, by name.  Raises DataError for errors."""
    for name, part in parts.items():
        if part is not None and len(part):
            require_sound(part, name)


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
