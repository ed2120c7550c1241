"""Searches over fits whose errors are made up: what is solved, how often, and from where."""

from types import SimpleNamespace

import numpy as np
import pytest
from cases import NUMBERS, structures

import gossamer as gs
from gossamer.errors import FitError
from gossamer.events import silent
from gossamer.fitting import search as module
from gossamer.fitting.makeup import Makeup
from gossamer.fitting.problem import Context, Problem
from gossamer.fitting.search import Search, fit_with_noise_search, pilot_search
from gossamer.fitting.settings import Settings
from gossamer.kernels import Matern52

DATA = gs.Dataset(NUMBERS, structures(12), np.ones((12, 6, 3)))
PROBLEM = Problem.of(DATA.take(np.arange(8)), DATA.take(np.arange(8, 12)))


def whole(length):
    return Makeup.whole(PROBLEM.pairs, PROBLEM.group.perms, Matern52(length))


class Solver:
    """In the place of fit_terms: errors have their minimum at length 80 and noise 1e-7; less noise than `least` does
    not solve.  calls: length, noise, start and whether anyone is told, of every fit."""

    def __init__(self, least=0.0):
        self.least, self.calls = least, []

    def __call__(self, made, problem, context, start):
        length, noise = made.length, context.settings.relative_noise
        self.calls.append((length, noise, start, context.progress is not silent))
        if noise < self.least:
            raise FitError("noise: too little")
        rmse = 1 + abs(np.log(length / 80)) + abs(np.log10(noise / 1e-7))
        fitted = SimpleNamespace(
            noise=2 * noise, mean_variance=2.0, system=(length, noise), columns_for=1e-3, preconditioner=None,
            rate=noise, model=SimpleNamespace(errors=lambda data, precision: SimpleNamespace(force_rmse=rmse)),
        )  # fmt: skip
        fitted.light = lambda: fitted
        return fitted

    @property
    def points(self):
        return [(length, noise) for length, noise, *_ in self.calls]


@pytest.fixture
def solver(monkeypatch):
    made = Solver()
    monkeypatch.setattr(module, "fit_terms", made)
    return made


def test_a_pilot_finds_the_noise_and_then_the_length_and_solves_each_once(solver):
    events = []
    settings, trials = pilot_search(whole, PROBLEM, Context(Settings(), progress=events.append))
    assert (settings.length, settings.relative_noise) == (80.0, 1e-7)
    assert len(set(solver.points)) == len(solver.points) == len(trials) == len(events)
    assert [(t.length, t.relative_noise) for t in trials] == solver.points
    assert {t.n_train for t in trials} == {8}
    assert not any(told for *_, told in solver.calls)
    assert all(start.previous is start.columns_of is None for _, _, start, _ in solver.calls)


def test_the_matrix_is_shared_while_the_terms_stay(solver):
    search, made, other = Search(PROBLEM, Context(Settings())), whole(20.0), whole(40.0)
    for kind, noise in ((made, 1e-5), (made, 1e-6), (other, 1e-6), (other, 1e-7)):
        search.error(kind, Settings(relative_noise=noise))
    assert [start.system for _, _, start, _ in solver.calls] == [None, (20.0, 1e-5), None, (40.0, 1e-6)]


def test_what_is_given_is_kept(solver):
    settings, trials = pilot_search(whole, PROBLEM, Context(Settings(relative_noise=1e-4)))
    assert {t.relative_noise for t in trials} == {1e-4}
    assert settings.length == 80.0
    settings, trials = pilot_search(whole, PROBLEM, Context(Settings(length=10.0)))
    assert {t.length for t in trials} == {10.0}
    assert settings.length == 10.0


def test_too_little_noise_is_as_bad_as_can_be_and_no_trial(solver):
    solver.least = 1e-6
    settings, trials = pilot_search(whole, PROBLEM, Context(Settings()))
    assert settings.relative_noise == 1e-6
    assert min(t.relative_noise for t in trials) == 1e-6
    assert 1e-7 in [noise for _, noise in solver.points]
    solver.least = 1.0
    with pytest.raises(FitError, match="length: none of those tried can be solved"):
        pilot_search(whole, PROBLEM, Context(Settings()))
    with pytest.raises(FitError, match="noise: none of those tried gives a solvable system"):
        fit_with_noise_search(whole(20.0), PROBLEM, Context(Settings(relative_noise=1e-5)))


def test_at_full_size_fits_carry_over(solver):
    """From two below the noise of the pilot; coefficients of the nearest, columns and system of those before."""
    events = []
    context = Context(Settings(noise=0.5, relative_noise=1e-6), progress=events.append)
    best, trials = fit_with_noise_search(whole(80.0), PROBLEM, context)
    assert best.rate == 1e-7
    assert solver.points[:3] == [(80.0, 1e-7), (80.0, 1e-8), (80.0, 1e-6)]
    assert {event.stage for event in events} == {"search noise"}
    assert all(told for *_, told in solver.calls)
    starts = [start for _, _, start, _ in solver.calls]
    assert starts[0].previous is starts[0].columns_of is starts[0].system is None
    assert [start.previous.rate for start in starts[1:3]] == [1e-7, 1e-7]
    assert [start.columns_of for start in starts[1:]] == [1e-3] * (len(starts) - 1)
    assert [start.system[1] for start in starts[1:3]] == [1e-7, 1e-8]
    assert len(trials) == len(starts)
