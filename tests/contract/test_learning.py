"""The gradient that weights are learned by, against finite differences of the error itself."""

import numpy as np
import pytest
import reference
from cases import CASES, NUMBERS, pair_functions, structures

from gossamer.data.dataset import Dataset
from gossamer.fitting.learning import LearningRule, count_of_factors, held_out, learn_terms, with_factors
from gossamer.fitting.makeup import Makeup
from gossamer.model.pairs import orbit_numbers


def labelled(n, seed):
    rng = np.random.default_rng(seed)
    positions = structures(n, seed)
    return Dataset(NUMBERS, positions, rng.normal(size=positions.shape))


def made_of(case, functions=None):
    pairs, terms = CASES[case]()
    return Makeup("given", pairs, terms, tuple(orbit_numbers(term.perms) for term in terms), functions)


MAKEUPS = {case: made_of(case) for case in CASES} | {"functions": made_of("several", pair_functions())}


@pytest.mark.parametrize("case", MAKEUPS)
def test_gradient_is_that_of_the_held_out_error(case):
    made, fitted, judged = MAKEUPS[case], labelled(4, 1), labelled(3, 2)

    def error(logs):
        return held_out(with_factors(made, logs), fitted, judged, 0.7, 1e-3 * np.exp(logs[-1]))

    n = count_of_factors(made) + 1
    _, gradient = error(np.zeros(n))
    directions = np.random.default_rng(0).normal(size=(3, n))
    directions = np.vstack([directions, np.eye(n)[[0, -1, -2]]])  # one weight, the noise, an amplitude or variance
    for d in directions:
        slope = (error(1e-5 * d)[0] - error(-1e-5 * d)[0]) / 2e-5
        assert gradient @ d == pytest.approx(slope, abs=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("case", MAKEUPS)
def test_held_out_error_is_that_of_the_reference(case):
    made, fitted, judged = MAKEUPS[case], labelled(3, 1), labelled(2, 2)
    everything = np.concatenate([fitted.positions, judged.positions])
    K = reference.covariance_matrix(made.terms, made.pairs.pairs, everything, False, made.functions)
    n = fitted.positions.size
    a = np.linalg.solve(K[:n, :n] + 1e-3 * np.eye(n), fitted.labelled_forces().ravel())
    wrong = K[n:, :n] @ a - judged.labelled_forces().ravel()
    mse, _ = held_out(made, fitted, judged, 1.0, 1e-3)
    assert mse == pytest.approx(np.mean(wrong**2), rel=1e-9)


def test_learning_finds_the_pair_that_matters():
    """Forces that depend on one pair alone: its weight must come to stand above the others."""
    made = made_of("plain")
    data = labelled(40, 5)
    i, j = made.pairs.pairs[3]
    d = data.positions[:, i] - data.positions[:, j]
    r = np.linalg.norm(d, axis=1, keepdims=True)
    forces = np.zeros_like(data.positions)
    forces[:, i] = np.sin(3 * r) * d / r
    forces[:, j] = -forces[:, i]
    data = Dataset(NUMBERS, data.positions, forces)
    learned = learn_terms(made, data, 1e-4, LearningRule(steps=20))
    weights = learned.made.terms[0].weights
    assert np.argmax(weights) == 3
    assert weights[3] > 1.5 * np.median(weights)
    assert learned.history[-1] < 0.5 * learned.history[0]
    once, again = (learn_terms(made, data, 1e-4, LearningRule(steps=2)) for _ in range(2))
    np.testing.assert_array_equal(again.made.terms[0].weights, once.made.terms[0].weights)
