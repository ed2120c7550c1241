"""Memory and time of a training run, said before anything runs.

The plan of fitting.resources counts operations; what the machine does per second is measured here, in a few seconds, on
a few of the structures themselves; constants of one machine only tell solvers apart (resources.product_operations)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch

from gossamer.backends.choice import summed_at_once
from gossamer.backends.kernel_sum import radial_factors
from gossamer.fitting.baselines import check_baseline
from gossamer.fitting.labels import LabelLayout
from gossamer.fitting.learning import learning_bytes, learning_structures
from gossamer.fitting.operator import KernelOperator
from gossamer.fitting.options import Options, make_settings
from gossamer.fitting.resources import GIB, ITERATIONS, Plan, memory_budget, plan_of, product_operations, term_sizes
from gossamer.fitting.selection import ENOUGH, check_terms, makeup_of
from gossamer.fitting.training import START_LENGTH, Settings, keeps_matrix, pilot_structures
from gossamer.fitting.workflow import check_trainable, resolve_symmetry
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from gossamer.chemistry.fragments import Fragment
    from gossamer.chemistry.symmetry import Symmetry
    from gossamer.data.dataset import Dataset

SAMPLE = 12  # structures on which rates are measured
COMPILED_SAMPLE = 60  # the same for products of compiled code, whose overhead is not to weigh
PILOT_FITS, PILOT_LENGTHS = 8, 3  # of a search on the validation set, typically; every length needs a matrix
FULL_FITS = 3  # of the search for the noise at full size
LEARNING_OVERHEAD = 1.5  # of a step, over the making and factorising of its matrix
CHOICE_MATRICES, CHOICE_FITS = 5, 12  # of a part of the data, for the three kinds of model together
COLUMNS_TOGETHER = 8  # of one structure, as they are drawn


@dataclass(frozen=True)
class Rates:
    """What this machine does per second, and how long blocks of this covariance take, seconds."""

    products: float  # float64 operations of matrix products
    bandwidth: float  # bytes read by a matrix-vector product
    factors: float  # radial factors made from squared distances
    elementwise: float  # factors applied in K v
    compiled: float  # seconds for a structure's share in another's force, of the terms that compiled code sums
    block: float  # seconds for all images of one block of the matrix, 3N x 3N
    strip: float  # the same for the few columns of a structure that a preconditioner asks for
    loading: float  # seconds until the compiled code of a fit is there; none when this process has used it before


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
    symmetry: "str | np.ndarray | Symmetry" = "auto",
    baseline: Any = "auto",
    settings: Settings | None = None,
    **options: Unpack[Options],
) -> Estimate:
    """Predict memory and time of `fit` with the same arguments, usually within a factor of two.

    Nothing is trained; symmetry is looked for and rates are measured, a few seconds; what a baseline costs is left
    out.  Raises what `fit` raises before
    it solves anything, MemoryBudgetError among it."""
    settings = make_settings(options, settings)
    check_terms(terms, settings)
    check_baseline(baseline)
    check_trainable(train, valid)
    pairs = pairs or PairSet.full(train.n_atoms)
    group = resolve_symmetry(symmetry, train, settings)
    one = (Term.over_all(pairs, group.perms, settings.global_kernel(settings.length or START_LENGTH)),)
    if terms == "global" or (terms == "auto" and len(train) < ENOUGH):
        return estimate_terms(one, pairs, train, valid, settings)
    made = makeup_of(terms, train, group, pairs, settings.sum_kernel(1.0))
    found = estimate_terms(made.terms, made.pairs, train, None, settings)
    budget = memory_budget(settings.memory)
    peak, seconds = found.plan.bytes, {}
    if settings.learning_steps and len(train) >= ENOUGH:
        size = learning_structures(made.terms, len(train), train.n_atoms, budget)
        step = sum(_direct_seconds(3 * train.n_atoms * size, size, found.rates))
        seconds["learning of weights"] = settings.learning_steps * LEARNING_OVERHEAD * step
        peak = max(peak, learning_bytes(made.terms, train.n_atoms, size))
    if terms == "auto":
        small, n, pilot, kept = _pilot(made.terms, made.pairs, train, settings, budget)
        peak = max(peak, pilot.bytes)
        matrix, fit = _direct_seconds(n, small, found.rates)
        matrices = CHOICE_MATRICES if kept else CHOICE_FITS
        seconds["choice of terms"] = matrices * matrix + CHOICE_FITS * fit
    return replace(found, plan=replace(found.plan, bytes=peak), seconds=seconds | found.seconds)


def estimate_terms(
    terms: tuple[Term, ...], pairs: PairSet, train: "Dataset", valid: "Dataset | None", settings: Settings
) -> Estimate:
    """`estimate` for given terms."""
    rates = measure_rates(terms, pairs, train)
    budget = memory_budget(settings.memory)

    n, chosen = _planned(terms, pairs, train, len(train), settings, budget)
    prepare, solve = _seconds(n, len(train), terms, chosen, rates)
    noise_given = settings.noise is not None or settings.relative_noise is not None
    fits = 1 if valid is None or noise_given else FULL_FITS
    seconds = {"start": rates.loading}
    peak = chosen.bytes
    if valid is not None and not (settings.length and noise_given):
        small, n_small, pilot, kept = _pilot(terms, pairs, train, settings, budget)
        peak = max(peak, pilot.bytes)
        made, solved = _seconds(n_small, small, terms, pilot, rates)
        matrices = PILOT_LENGTHS if kept else PILOT_FITS
        seconds["search on a part"] = matrices * made + PILOT_FITS * solved
    seconds["preconditioner" if chosen.solver == "cg" else "matrix"] = prepare
    seconds["iterations" if chosen.solver == "cg" else "factorisation"] = fits * solve
    if chosen.solver == "cholesky" and fits > 1:
        seconds["matrix"] *= fits
    iterations = ITERATIONS if chosen.solver == "cg" else 1
    perms = max(len(term.perms) for term in terms)
    return Estimate(n, len(pairs), perms, replace(chosen, bytes=peak), iterations, seconds, rates)


def _planned(
    terms: tuple[Term, ...], pairs: PairSet, train: "Dataset", n_structures: int, settings: Settings, budget: float
) -> tuple[int, Plan]:
    """Unknowns and plan of a fit to so many of the structures."""
    layout = LabelLayout(n_structures, train.n_atoms, settings.blocks)
    return layout.size, plan_of(terms, len(pairs), layout, budget, settings.solver)


def _pilot(
    terms: tuple[Term, ...], pairs: PairSet, train: "Dataset", settings: Settings, budget: float
) -> tuple[int, int, Plan, bool]:
    """Structures, unknowns and plan of a fit to a part of the data, and whether its matrix is kept, which its memory
    then holds."""
    small = pilot_structures(len(train), train.n_atoms)
    n, found = _planned(terms, pairs, train, small, settings, budget)
    kept = keeps_matrix(n, found, budget)
    return small, n, replace(found, bytes=found.bytes + kept * 8.0 * n**2), kept


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


def measure_rates(terms: tuple[Term, ...], pairs: PairSet, train: "Dataset") -> Rates:
    """Measured on this machine, on a few of the structures."""
    began = time.perf_counter()
    few = train.take(np.arange(min(SAMPLE, len(train))))
    K = KernelOperator.build(terms, pairs, torch.from_numpy(few.positions), 1e-3, cache_bytes=0)
    M, n3 = K.n_structures, 3 * train.n_atoms
    step = max(1, n3 // COLUMNS_TOGETHER)
    chosen = (np.arange(M)[:, None] * n3 + np.arange(0, step * COLUMNS_TOGETHER, step)).ravel()
    chosen = chosen[chosen < K.n_forces]
    for warm in (K.diagonal, K.lower_triangle, lambda: K.columns(chosen), lambda: K @ torch.zeros(K.size).double()):
        warm()
    loading = time.perf_counter() - began
    A = torch.randn((1024, 1024), dtype=torch.float64)
    wide, v = torch.randn((256, 2**15), dtype=torch.float64), torch.randn(2**15, dtype=torch.float64)
    s2 = torch.rand((256, 2**12), dtype=torch.float64)
    a = s2.clone()
    kernel = terms[0].kernel
    return Rates(
        products=2 * 1024**3 / best_seconds(lambda: A @ A),
        bandwidth=wide.nbytes / best_seconds(lambda: wide @ v),
        factors=s2.numel() / best_seconds(lambda: radial_factors(kernel, s2)),
        elementwise=s2.numel() / best_seconds(lambda: (a.mul_(s2), a.sum(1))),
        compiled=_compiled_seconds(terms, pairs, train),
        block=best_seconds(K.lower_triangle) / (M * (M + 1) / 2),
        strip=best_seconds(lambda: K.columns(chosen)) / M**2,
        loading=loading,
    )


def _compiled_seconds(terms: tuple[Term, ...], pairs: PairSet, train: "Dataset") -> float:
    """Seconds of K v of the terms that compiled code sums, over the square of the number of structures."""
    few = train.take(np.arange(min(COMPILED_SAMPLE, len(train))))
    small = tuple(term for term in terms if summed_at_once(term, torch.device("cpu")))
    if not small:
        return 0.0
    K = KernelOperator.build(small, pairs, torch.from_numpy(few.positions), 0.0, cache_bytes=0)
    v = torch.ones(K.size, dtype=torch.float64)
    return best_seconds(lambda: K @ v) / K.n_structures**2


def best_seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Least wall time of `call` after one call that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return max(min(times), 1e-9)


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
