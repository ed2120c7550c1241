"""Predictions are held against what happens where that does not depend on the machine's speed; for times see
benchmarks/bench_estimate.py."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import CASES, NUMBERS, structures

import gossamer as gs
from gossamer.errors import DataError, MemoryBudgetError, UsageError
from gossamer.fitting import estimate as module
from gossamer.fitting import resources
from gossamer.fitting.estimate import PRICES, estimate, estimate_stages
from gossamer.fitting.labels import LabelLayout
from gossamer.fitting.learning import learning_bytes, learning_structures
from gossamer.fitting.makeup import Makeup
from gossamer.fitting.options import make_settings
from gossamer.fitting.problem import Problem
from gossamer.fitting.rates import Rates
from gossamer.fitting.resources import GIB, memory_budget, plan_of
from gossamer.fitting.stages import Choice, Solving
from gossamer.fitting.workflow import fit
from gossamer.kernels import Matern52

RATES = Rates(
    products=1e9, bandwidth=1e9, factors=1e8, elementwise=1e9, compiled=1e-5, block=1e-3, strip=1e-4, loading=2.0
)
FIXED = {"terms": "global", "length": 20.0, "relative_noise": 1e-5, "symmetry": "none"}


@pytest.fixture
def at_known_rates(monkeypatch):
    monkeypatch.setattr(module, "measure_rates", lambda *_: RATES)


@pytest.mark.parametrize("compiled", [True, False])
def test_time_is_operations_over_rates(ethanol_file, at_known_rates, monkeypatch, compiled):
    monkeypatch.setattr(resources, "summed_at_once", lambda term, device: compiled and device.type == "cpu")
    train = gs.read(ethanol_file).take(np.arange(40))
    found = estimate(train, **FIXED, solver="cholesky")
    n = 40 * 27
    assert found.n_unknowns == n
    assert found.seconds == {"start": 2.0, "matrix": 1e-3 * 40**2 / 2, "factorisation": pytest.approx(n**3 / 3 / 1e9)}
    found = estimate(train, **FIXED, solver="cg")
    m, factors = found.plan.columns, 0 if compiled else 40**2
    columns = factors / 1e8 + m / 8 * 40 * 1e-4 + (2 * n * m**2 + m**3 / 3) / 1e9
    product = 6 * factors * 36 / 1e9 + factors / 1e9 + 16 * n * m / 1e9 + 1e-5 * 40**2
    assert found.seconds["preconditioner"] == pytest.approx(columns)
    assert found.seconds["iterations"] == pytest.approx(120 * product)


def test_the_budget_does_not_follow_every_byte_that_comes_free(monkeypatch):
    def budget(free):
        monkeypatch.setattr(resources, "memory_here", lambda: (free * GIB, 20 * GIB))
        return memory_budget(None) / GIB

    assert [budget(free) for free in (19.0, 16.0, 15.0, 8.0, 7.0)] == pytest.approx([14.0, 14.0, 7.0, 7.0, 3.5])
    assert 0 < budget(0.0) * GIB < 2
    assert memory_budget(2.5) == 2.5 * GIB


def test_searches_are_part_of_the_time(ethanol_file, at_known_rates):
    data = gs.read(ethanol_file)
    train, valid = data.take(np.arange(40)), data.take(np.arange(40, 60))
    fixed, searched = estimate(train, valid, **FIXED), estimate(train, valid, terms="global", symmetry="none")
    assert searched.seconds["search on a part"] > fixed.total_seconds - fixed.seconds["start"]
    assert searched.plan.columns == fixed.plan.columns
    assert searched.bytes == fixed.bytes + 8 * (40 * 27) ** 2  # the pilot keeps its matrix beside the factor


def test_a_matrix_that_is_too_large_to_keep_is_made_for_every_trial(ethanol_file, at_known_rates, monkeypatch):
    data = gs.read(ethanol_file)
    train, valid = data.take(np.arange(40)), data.take(np.arange(40, 60))
    kept = estimate(train, valid, terms="global", symmetry="none")
    monkeypatch.setattr(resources, "PILOT_UNKNOWNS", 500)  # then a part of the data has 30 structures, 810 unknowns
    anew = estimate(train, valid, terms="global", symmetry="none")
    matrix, factor = 1e-3 * 30**2 / 2, (30 * 27) ** 3 / 3 / 1e9
    assert anew.seconds["search on a part"] == pytest.approx(module.PILOT_FITS * (matrix + factor))
    assert anew.bytes == kept.bytes - 8 * (40 * 27) ** 2


def test_learning_draws_fewer_structures_where_memory_is_short():
    _, terms = CASES["several"]()
    most = learning_structures(terms, 1000, 6)
    assert most == 222
    budget = learning_bytes(terms, 6, 50)
    assert learning_structures(terms, 1000, 6, budget) == 50
    with pytest.raises(MemoryBudgetError, match=r"memory: learning pair weights needs .* give more"):
        learning_structures(terms, 1000, 6, learning_bytes(terms, 6, 9))


def test_several_terms_are_counted(at_known_rates, monkeypatch):
    monkeypatch.setattr(resources, "summed_at_once", lambda term, device: False)
    pairs, terms = CASES["several"]()
    data = gs.Dataset(NUMBERS, structures(20), np.ones((20, 6, 3)))
    settings = make_settings({"length": 1.0, "noise": 1e-6, "solver": "cg"})
    problem = Problem.of(data)
    both, one = (
        estimate_stages(
            Choice(Makeup("given", pairs, chosen), settings, problem.group), (Solving(),), problem, settings
        )
        for chosen in (terms, terms[1:])
    )
    assert both.total_seconds > one.total_seconds


def test_rates_are_measured_on_the_structures(ethanol_file):
    train = gs.read(ethanol_file).take(np.arange(6))
    found = estimate(train, **FIXED)
    assert all(np.isfinite(rate) and rate > 0 for rate in vars(found.rates).values())


def test_a_budget_that_is_too_small_is_refused_before_anything_runs(ethanol_file):
    with pytest.raises(MemoryBudgetError, match="--memory"):
        estimate(gs.read(ethanol_file), **FIXED, memory=0.3)


@pytest.mark.parametrize("call", [estimate, fit])
def test_data_that_cannot_be_trained_on_are_refused_alike(ethanol_file, at_known_rates, call):
    with pytest.raises(DataError, match="structures: 1 to train on"):
        call(gs.read(ethanol_file, index="0:1"), **FIXED)


@pytest.mark.parametrize("call", [estimate, fit])
def test_terms_that_are_not_known_are_refused(ethanol_file, at_known_rates, call):
    for train in (gs.read(ethanol_file), gs.read(ethanol_file, index="0:9")):
        with pytest.raises(UsageError, match="terms: 'foo' is not known; use auto, global, local, both"):
            call(train, terms="foo", symmetry="none")


def diatomic(n: int) -> gs.Dataset:
    """Nitrogen on a Morse curve."""
    r = np.linspace(1.0, 1.4, n)
    x = np.exp(-2.7 * (r - 1.1))
    energies, slope = 9.9 * (1 - x) ** 2, 2 * 9.9 * 2.7 * (1 - x) * x
    R, F = np.zeros((n, 2, 3)), np.zeros((n, 2, 3))
    R[:, 1, 2], F[:, 0, 2], F[:, 1, 2] = r, slope, -slope
    return gs.Dataset(np.array([7, 7]), R, F, energies)


@pytest.mark.parametrize(
    ("atoms", "n", "judged", "options"),
    [
        (2, 40, True, {}),
        (2, 40, False, {}),
        (2, 40, True, {"relative_noise": 1e-6}),
        (9, 30, True, {"learning_steps": 2}),
        (9, 30, False, {"learning_steps": 2}),
        (9, 12, True, {}),
        (9, 30, True, {"terms": "both", "learning_steps": 0}),
        (9, 30, True, {"terms": "global", "length": 20.0, "relative_noise": 1e-5}),
    ],
)
def test_what_is_priced_is_what_is_done(ethanol_file, at_known_rates, atoms, n, judged, options):
    """Also where two atoms leave "auto" nothing to choose."""
    data = gs.read(ethanol_file) if atoms == 9 else diatomic(60)
    train, valid, _ = data.split(n, 10, 0, seed=0)
    options = {"symmetry": "none", "memory": 4.0} | options
    events = []
    found = fit(train, valid if judged else None, progress=events.append, **options)
    priced = estimate(train, valid if judged else None, **options)
    assert found.choice.name == "global" or atoms > 2
    assert ("learning of weights" in priced.seconds) == any(event.stage == "learn" for event in events)
    assert ("choice of terms" in priced.seconds) == bool(found.choice.errors)
    searched = any(event.stage == "search" for event in events) and not found.choice.errors
    assert ("search on a part" in priced.seconds) == searched
    if not found.choice.errors:
        assert priced.n_unknowns == found.solution.coefficients.numel()
        assert priced.n_pairs == len(found.model.pairs)
        again = priced.seconds["factorisation"] / (priced.n_unknowns**3 / 3 / RATES.products)
        assert (again > 1.5) == any(event.stage == "search noise" for event in events)


def test_every_stage_has_a_price():
    from gossamer.fitting import stages

    kinds = {kind for kind in vars(stages).values() if isinstance(kind, type) and "__call__" in vars(kind)}
    assert kinds - {stages.Stage} == set(PRICES)


EXAMPLE = Path(__file__).parents[2] / "examples" / "ac-ala3" / "ac-ala3.npz"
PEAK = """
import re
def peak():
    status = open("/proc/self/status").read()  # getrusage would count what the parent process held at the fork
    return int(re.search(r"VmHWM:\\s+(\\d+)", status).group(1)) * 1024
"""
MEASURED = """
import sys
import numpy as np
import gossamer as gs
from gossamer.kernels import Matern52
from gossamer.fitting.makeup import makeup_of
from gossamer.fitting.problem import Context, Problem
from gossamer.fitting.options import make_settings
from gossamer.fitting.training import fit_terms
from gossamer.fitting.workflow import resolve_symmetry
path, terms, solver, n = sys.argv[1:]
data = gs.read(path)
moved = data.positions[np.arange(int(n)) % len(data)]
moved = moved + np.random.default_rng(0).normal(scale=0.05, size=moved.shape)
many = gs.Dataset(data.numbers, moved, data.forces[np.arange(int(n)) % len(data)])
settings = make_settings({"relative_noise": 1e-4, "solver": solver})
group = resolve_symmetry("none", many, settings)
made = makeup_of(terms, many, group, gs.PairSet.full(many.n_atoms), lambda smooth: Matern52(1.0))
fitted = fit_terms(made, Problem.of(many), Context(settings))
print(peak(), fitted.plan.bytes, fitted.plan.solver)
"""


def in_a_process(script: str, *arguments) -> list[str]:
    """The words that a script prints which may ask for its `peak()`, bytes."""
    command = [sys.executable, "-c", PEAK + script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of a process's memory")
@pytest.mark.parametrize(
    ("molecule", "terms", "solver", "n"),
    [
        ("ethanol", "global", "cholesky", 240),
        ("ethanol", "global", "cg", 240),
        ("ethanol", "both", "cg", 240),
        ("peptide", "global", "cg", 60),  # 861 pairs are summed by matrix products
        ("peptide", "both", "cholesky", 50),
    ],
)
def test_peak_memory_stays_within_the_plan(ethanol_file, molecule, terms, solver, n):
    """6300 to 7560 unknowns in a process of its own; the plan may not be exceeded, nor be more than twice of what is
    used."""
    path = str(ethanol_file if molecule == "ethanol" else EXAMPLE)
    peak, planned, used = in_a_process(MEASURED, path, terms, solver, n)
    assert used == solver
    assert float(peak) <= float(planned) <= 2 * float(peak)


LEARNED = """
import sys
import gossamer as gs
from gossamer.fitting.estimate import estimate
from gossamer.fitting.workflow import fit
train, valid, _ = gs.read(sys.argv[1]).split(50, 20, 0, seed=0)
options = {"symmetry": "none", "learning_steps": 1, "memory": float(sys.argv[2])}
fit(train, valid, **options)
print(peak(), estimate(train, valid, **options).bytes)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of a process's memory")
@pytest.mark.parametrize("budget", [8.0, 0.8])
def test_peak_memory_of_learning_and_choosing_is_predicted_and_within_the_budget(budget):
    peak, predicted = map(float, in_a_process(LEARNED, EXAMPLE, budget))
    assert peak <= predicted <= 2 * peak
    assert peak <= budget * GIB


def test_a_card_caches_the_factors_that_a_processor_makes_anew(ethanol_file):
    data = gs.read(ethanol_file)
    pairs = gs.PairSet.full(data.n_atoms)
    terms = (gs.Term.over_all(pairs, np.arange(data.n_atoms)[None], Matern52(20.0)),)
    here, there = (
        plan_of(terms, 36, LabelLayout(200, 9), 8 * GIB, "cg", on_card=on_card).bytes for on_card in (False, True)
    )
    assert there - here == pytest.approx(16 * 200**2)
