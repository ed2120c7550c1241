import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import CASES, structures

from gossamer.errors import FitError, MemoryBudgetError
from gossamer.fitting.operator import KernelOperator
from gossamer.fitting.preconditioners import Nystrom
from gossamer.fitting.resources import GIB, TermSize, plan
from gossamer.fitting.solvers import Observer, Status, Step, StopRule, _stalled, cholesky, conjugate_gradients

OPERATORS = {
    (case, energies): lambda case=case, energies=energies: KernelOperator.build(
        *reversed(CASES[case]()), torch.from_numpy(structures(6)), 1e-6, energies=energies
    )
    for case in CASES
    for energies in (False, True)
}
TIGHT = StopRule(residual=1e-9)


def labels(K):
    return torch.from_numpy(np.random.default_rng(5).normal(size=K.size))


@pytest.mark.parametrize("make", OPERATORS.values(), ids=[f"{c}-{'EF' if e else 'F'}" for c, e in OPERATORS])
@pytest.mark.parametrize("columns", [10, 40])
def test_every_solver_solves_every_operator(make, columns):
    K = make()
    y = labels(K)
    exact = cholesky(K, y, scale=1.0)
    iterated = conjugate_gradients(K, y, Nystrom.build(K, columns, seed=0), scale=1.0, stop=TIGHT)
    assert exact.status is Status.EXACT
    assert iterated.status is Status.RESIDUAL
    assert iterated.residual <= 1e-7  # of labels of order 1; the recurrence stopped at 1e-9
    for solution in (exact, iterated):
        torch.testing.assert_close(K @ solution.coefficients, y, rtol=0, atol=1e-7)
        assert solution.residual == pytest.approx(
            float((y - K @ solution.coefficients).square().mean().sqrt()), abs=1e-9
        )


def test_a_matrix_made_before_serves_every_noise():
    K = OPERATORS["several", True]()
    y, matrix = labels(K), K.lower_triangle()
    for noise in (1e-3, 1e-6):
        K = replace(K, noise=noise)
        torch.testing.assert_close(
            cholesky(K, y, scale=1.0, matrix=matrix).coefficients, cholesky(K, y, scale=1.0).coefficients
        )


@pytest.mark.parametrize("case", CASES)
def test_a_factor_in_float32_leads_to_the_same_solution(case, monkeypatch):
    """float32 stands in the preconditioner only: it may cost iterations, not digits."""
    monkeypatch.setattr("gossamer.fitting.preconditioners.SINGLE_UP_TO", 1e99)
    monkeypatch.setattr("gossamer.fitting.preconditioners.SINGLE_FROM", 0)
    K = replace(OPERATORS[case, True](), noise=1e-4)
    y, P = labels(K), Nystrom.build(K, 40, seed=0)
    assert P.factor[0].dtype == torch.float32
    found = conjugate_gradients(K, y, P, scale=1.0, stop=TIGHT).coefficients
    torch.testing.assert_close(found, cholesky(K, y, scale=1.0).coefficients, rtol=0, atol=1e-5)


def test_residual_is_reported_in_units_of_the_labels():
    K = OPERATORS["plain", False]()
    y, P = labels(K), Nystrom.build(K, 10, seed=0)
    one = conjugate_gradients(K, y, P, scale=1.0, stop=StopRule(residual=0, max_iterations=5))
    many = conjugate_gradients(K, y, P, scale=1000.0, stop=StopRule(residual=0, max_iterations=5))
    assert one.status is Status.MAX_ITERATIONS
    assert many.residual == pytest.approx(1000 * one.residual)
    assert [s.iteration for s in one.history] == [5]


def test_a_start_at_the_solution_is_recognised():
    K = OPERATORS["methyl", False]()
    y = labels(K)
    exact = cholesky(K, y, scale=1.0).coefficients
    again = conjugate_gradients(
        K, y, Nystrom.build(K, 30, seed=0), scale=1.0, start=exact, stop=StopRule(residual=1e-6)
    )
    assert again.iterations == 1


def test_the_best_validated_coefficients_are_returned():
    """A monitor whose minimum is at the second check: later coefficients are dropped and the search ends."""
    K = OPERATORS["plain", False]()
    seen, values = [], itertools.chain([3.0, 1.0], itertools.repeat(2.0))

    def monitor(v):
        seen.append(v.clone())
        return next(values)

    rule = StopRule(residual=0, every=1, patience=3)
    solution = conjugate_gradients(K, labels(K), lambda r: r.clone(), scale=1.0, stop=rule, observer=Observer(monitor))
    assert solution.status is Status.VALIDATION
    assert solution.iterations >= 5
    assert torch.equal(solution.coefficients, seen[1])
    assert solution.residual == pytest.approx(solution.history[1].residual, rel=1e-6)


@pytest.mark.parametrize(
    ("residuals", "errors", "stalled"),
    [
        ([4, 2, 1, 0.9, 0.8], [4, 2, 2, 2, 2], True),  # the residual falls, the error does not
        ([4, 2, 1, 0.9, 0.8], [4, 2, 1.9, 1.8, 1.7], False),
        ([66, 6, 12, 27, 42], [69, 16, 18, 29, 44], False),  # ethanol, M = 600: on a hill
        ([66, 6, 12, 27, 42, 7, 5, 4, 3, 3], [69, 16, 18, 29, 44, 17, 16, 16, 16, 16], True),  # behind it
        ([4, 2, *[3] * 16], [4, 2, *[3] * 16], True),  # a hill without end
        ([1, *[3] * 18], [0.95**k for k in range(19)], False),  # a long one, whose error falls
        ([4, 2, 1, *[1.05] * 16], [0.95**k for k in range(19)], False),  # a plateau, whose error falls
    ],
)
def test_a_search_ends_where_the_error_stalls_but_not_on_a_hill_of_the_residual(residuals, errors, stalled):
    history = [Step(10 * k, r, e) for k, (r, e) in enumerate(zip(residuals, errors, strict=True), start=1)]
    assert _stalled(history, StopRule(patience=3)) is stalled


def test_an_indefinite_matrix_is_named():
    pairs, terms = CASES["plain"]()
    R = torch.from_numpy(structures(3))
    K = KernelOperator.build(terms, pairs, torch.cat([R, R]), -1e-3)
    with pytest.raises(FitError, match=r"noise: with -0\.001 the kernel matrix is not positive definite"):
        cholesky(K, labels(K), scale=1.0)


def test_plan_follows_size_and_memory():
    small = plan(2_000, [TermSize(100, 1, 36)], 1e6, 8 * GIB, "auto")
    large = plan(60_000, [TermSize(500, 1, 861)], 1e8, 8 * GIB, "auto")
    assert small.solver == "cholesky"
    assert large.solver == "cg"
    assert large.bytes < 8 * GIB
    with pytest.raises(MemoryBudgetError, match=r"memory: .* GiB are needed .* --memory"):
        plan(60_000, [TermSize(500, 1, 861)], 1e8, 0.1 * GIB, "auto")
    with pytest.raises(MemoryBudgetError):
        plan(60_000, [TermSize(500, 1, 861)], 1e8, 8 * GIB, "cholesky")
