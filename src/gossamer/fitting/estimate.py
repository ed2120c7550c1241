"""Memory and time of a training run, said before anything runs.

The plan of fitting.resources counts operations; what the machine does per second is measured here, in a few seconds, on
a few of the structures themselves; constants of one machine only tell solvers apart (resources.product_operations)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from gossamer.fitting.baselines import check_baseline
from gossamer.fitting.dipoles import MOST, TRIED, are_learned, charge_fragments
from gossamer.fitting.error_bars import MEMBERS
from gossamer.fitting.labels import LabelLayout
from gossamer.fitting.learning import learning_bytes
from gossamer.fitting.makeup import Makeup
from gossamer.fitting.options import Options, make_settings
from gossamer.fitting.problem import Context, Problem
from gossamer.fitting.rates import COLUMNS_TOGETHER, Rates, measure_rates
from gossamer.fitting.representatives import EQUATIONS, unknowns_usual
from gossamer.fitting.resources import (
    GIB,
    ITERATIONS,
    Plan,
    keeps_matrix,
    memory_budget,
    pilot_structures,
    plan_of,
    product_operations,
    term_sizes,
)
from gossamer.fitting.settings import Settings
from gossamer.fitting.stages import (
    Calibrating,
    Choice,
    Choosing,
    Claiming,
    Completing,
    Condensing,
    Learning,
    Searching,
    Solving,
    Stage,
    stages_of,
)
from gossamer.fitting.workflow import pose
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from gossamer.chemistry.fragments import Fragment
    from gossamer.chemistry.symmetry import Symmetry
    from gossamer.data.dataset import Dataset
    from gossamer.descriptors import Descriptor

PILOT_FITS, PILOT_LENGTHS = 8, 3  # of a search on the validation set, typically; every length needs a matrix
FULL_FITS = 3  # of the search for the noise at full size
LEARNING_OVERHEAD = 1.5  # of a step, over the making and factorising of its matrix
CHOICE_MATRICES, CHOICE_FITS = 5, 12  # of a part of the data, for the three kinds of model together

DIPOLE_LENGTHS = 4  # of the kernel of dipoles that are tried, typically
DIPOLE_NUMBERS = 110, 250  # read and written for a factor in their covariance: of a part, and of more structures
DIPOLE_OVERHEAD = 4e-4  # seconds for an image of a fragment with one of its places
DECOMPOSED = 6.0  # operations of a decomposition into eigenvalues, over the cube of its size, as products go


@dataclass(frozen=True)
class Estimate:
    """What a training run will take.  seconds: of each part of it; bytes: peak memory."""

    n_unknowns: int
    n_pairs: int
    n_perms: int
    plan: Plan
    iterations: int
    seconds: dict[str, float]
    rates: Rates

    @property
    def bytes(self) -> float:
        return self.plan.bytes

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())


def estimate(
    train: "Dataset",
    valid: "Dataset | None" = None,
    *,
    terms: "str | Sequence[Fragment | str]" = "auto",
    pairs: PairSet | None = None,
    descriptor: "str | Descriptor" = "pairs",
    symmetry: "str | np.ndarray | Symmetry" = "auto",
    baseline: Any = "auto",
    settings: Settings | None = None,
    **options: Unpack[Options],
) -> Estimate:
    """Predict memory and time of `fit` with the same arguments, usually within a factor of two.

    Nothing is trained; symmetry is looked for and rates are measured, a few seconds, or as long as numba compiles where
    it never ran before; what a baseline costs is left out.  Raises what `fit` raises before it solves anything,
    MemoryBudgetError among it."""
    check_baseline(baseline)
    settings = make_settings(options, settings)
    settings = replace(settings, device="cpu", memory=memory_budget(settings.memory) / GIB)
    problem = pose(train, valid, settings, terms=terms, pairs=pairs, descriptor=descriptor, symmetry=symmetry)
    found = estimate_stages(*stages_of(problem, Context(settings)), problem, settings)
    if not are_learned(train, settings):
        return found
    price = _of_dipoles(problem, found.rates)
    plan = replace(found.plan, bytes=max(found.bytes, price.bytes))
    return replace(found, plan=plan, seconds=found.seconds | price.seconds)


def estimate_stages(first: Choice, stages: "tuple[Stage, ...]", problem: Problem, settings: Settings) -> Estimate:
    """`estimate` for the stages of a fit that begins with `first`."""
    made = first.makeup
    asked = _Asked(first, problem, settings, measure_rates(made, problem.train))
    prices = [PRICES[type(stage)](stage, asked) for stage in stages]
    seconds = {"start": asked.rates.loading}
    for price in prices:
        seconds |= price.seconds
    n, chosen = asked.planned(len(problem.train))
    plan = replace(chosen, bytes=max(price.bytes for price in prices))
    iterations = ITERATIONS if plan.solver == "cg" else 1
    perms = max(len(term.perms) for term in made.terms)
    return Estimate(n, len(made.pairs), perms, plan, iterations, seconds, asked.rates)


@dataclass(frozen=True)
class Price:
    """Seconds by name, and bytes at most, of one stage."""

    seconds: dict[str, float]
    bytes: float


@dataclass(frozen=True, eq=False)
class _Asked:
    """What prices are made from."""

    first: Choice
    problem: Problem
    settings: Settings
    rates: Rates

    @property
    def made(self) -> Makeup:
        return self.first.makeup

    @property
    def n_atoms(self) -> int:
        return self.problem.train.n_atoms

    @property
    def budget(self) -> float:
        return memory_budget(self.settings.memory)

    def planned(self, n_structures: int) -> tuple[int, Plan]:
        """Unknowns and plan of a fit to so many of the structures."""
        layout = LabelLayout(n_structures, self.n_atoms, self.settings.blocks)
        made, solver = self.made, self.settings.solver
        return layout.size, plan_of(made.terms, len(made.pairs), layout, self.budget, solver)

    def pilot(self) -> tuple[int, int, Plan, bool]:
        """Structures, unknowns and plan of a fit to a part of the data, and whether its matrix is kept, which its
        memory then holds."""
        small = pilot_structures(len(self.problem.train), self.n_atoms)
        n, found = self.planned(small)
        kept = keeps_matrix(n, found, self.budget)
        return small, n, replace(found, bytes=found.bytes + kept * 8.0 * n**2), kept


def _of_learning(stage: Learning, asked: _Asked) -> Price:
    if not stage.structures:
        return Price({}, 0.0)
    n = 3 * asked.n_atoms * stage.structures
    steps = asked.settings.learning_steps * LEARNING_OVERHEAD
    seconds = steps * sum(_direct_seconds(n, stage.structures, asked.rates))
    return Price({"learning of weights": seconds}, learning_bytes(asked.made.terms, asked.n_atoms, stage.structures))


def _of_choosing(stage: Choosing, asked: _Asked) -> Price:
    small, n, plan, kept = asked.pilot()
    matrix, fit = _direct_seconds(n, small, asked.rates)
    matrices = CHOICE_MATRICES if kept else CHOICE_FITS
    return Price({"choice of terms": matrices * matrix + CHOICE_FITS * fit}, plan.bytes)


def _of_searching(stage: Searching, asked: _Asked) -> Price:
    small, n, plan, kept = asked.pilot()
    made, solved = _seconds(n, small, asked.made.terms, plan, asked.rates)
    matrices = PILOT_LENGTHS if kept else PILOT_FITS
    return Price({"search on a part": matrices * made + PILOT_FITS * solved}, plan.bytes)


def _of_solving(stage: Solving, asked: _Asked) -> Price:
    n_structures, fits = len(asked.problem.train), FULL_FITS if asked.first.search else 1
    n, plan = asked.planned(n_structures)
    prepare, solve = _seconds(n, n_structures, asked.made.terms, plan, asked.rates)
    if plan.solver == "cg":
        return Price({"preconditioner": prepare, "iterations": fits * solve}, plan.bytes)
    return Price({"matrix": fits * prepare, "factorisation": fits * solve}, plan.bytes)


def _of_condensing(stage: Condensing, asked: _Asked) -> Price:
    local = [term for term in asked.made.terms if not term.is_global]
    sizes = [unknowns_usual(term, len(asked.problem.train)) for term in local]
    operations = sum(EQUATIONS * float(n) ** 3 for n in sizes)
    return Price({"representatives": operations / asked.rates.products}, 16.0 * max(sizes, default=0) ** 2)


def _of_calibrating(stage: Calibrating, asked: _Asked) -> Price:
    n_structures = -(-len(asked.problem.train) // MEMBERS)
    n, plan = asked.planned(n_structures)
    seconds = MEMBERS * sum(_seconds(n, n_structures, asked.made.terms, plan, asked.rates))
    return Price({"error bars": seconds}, plan.bytes)


def _of_dipoles(problem: Problem, rates: Rates) -> Price:
    """Of `dipoles.train_dipoles`: for every length a covariance of a part, and its decomposition; one of all, and a
    solution."""
    valid, most = problem.valid, min(len(problem.train), MOST)
    tried, judges = min(len(problem.train), TRIED), TRIED if valid is None else min(len(valid), TRIED)
    fragments = charge_fragments(problem.train, problem.group.perms)
    blocks = sum(len(f.perms) * len(f.atoms) ** 2 for f in fragments)  # images here, places there

    def made(factors: float, numbers: float) -> float:
        return blocks * (DIPOLE_OVERHEAD + factors * (1 / rates.factors + numbers / rates.elementwise))

    parts = made(tried**2, DIPOLE_NUMBERS[0]) + made(tried * judges, DIPOLE_NUMBERS[0])
    trial = parts + DECOMPOSED * (3.0 * tried) ** 3 / rates.products
    last = made(most**2, DIPOLE_NUMBERS[most > TRIED]) + (3.0 * most) ** 3 / rates.products
    return Price({"dipoles": DIPOLE_LENGTHS * trial + last}, 3 * 8.0 * (3 * most) ** 2)


PRICES: "dict[type, Callable[[Any, _Asked], Price]]" = {
    Searching: _of_searching,
    Learning: _of_learning,
    Choosing: _of_choosing,
    Completing: lambda stage, asked: Price({}, 0.0),  # only where a global term turns out to pay
    Claiming: lambda stage, asked: Price({}, 0.0),
    Solving: _of_solving,
    Condensing: _of_condensing,
    Calibrating: _of_calibrating,
}


def _direct_seconds(n: int, n_structures: int, rates: Rates) -> tuple[float, float]:
    """Seconds to make a matrix of n unknowns, and to factorise it."""
    return rates.block * n_structures**2 / 2, n**3 / 3 / rates.products


def _seconds(n: int, n_structures: int, terms: tuple[Term, ...], chosen: Plan, rates: Rates) -> tuple[float, float]:
    """Seconds to prepare one system, and to solve it once that is done."""
    if chosen.solver == "cholesky":
        return _direct_seconds(n, n_structures, rates)
    m, groups = chosen.columns, chosen.columns / COLUMNS_TOGETHER
    sizes = [t for t in term_sizes(terms, n_structures) if not t.compiled]
    factors = float(sum(t.factors for t in sizes))
    made = factors / rates.factors
    again = 0.0 if 16 * factors <= chosen.cache_bytes else made
    compiled = rates.compiled * n_structures**2
    product = product_operations(sizes) / rates.products + factors / rates.elementwise + again + compiled
    prepare = made + groups * n_structures * rates.strip + (2.0 * n * m**2 + m**3 / 3) / rates.products
    return prepare, ITERATIONS * (product + 2 * 8.0 * n * m / rates.bandwidth)


def as_dict(found: Estimate) -> dict[str, object]:
    """For JSON."""
    return {
        "unknowns": found.n_unknowns,
        "pairs": found.n_pairs,
        "permutations": found.n_perms,
        "solver": found.plan.solver,
        "columns": found.plan.columns,
        "iterations": found.iterations,
        "memory_gib": found.bytes / GIB,
        "seconds": found.total_seconds,
        "parts": found.seconds,
    }
