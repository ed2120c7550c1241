"""The compiled one-structure path against tests/reference.py, for every kind of term, with one thread and with two."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from cases import CASES, random_model, structures

from gossamer.backends.numba import layout, single
from gossamer.errors import DataError, UsageError
from gossamer.evaluate.precision import SINGLE_LIMIT, single_error
from gossamer.kernels import Matern52
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term


def large_model(n_train=11, energies=False, seed=0):
    """One term without symmetry whose rows stand one after the other (`_step._rows`)."""
    rng = np.random.default_rng(seed)
    pairs = PairSet.full(6)
    x = np.array([reference.descriptor(pairs.pairs, s)[0] for s in structures(n_train, seed)])
    term = Term.over_all(pairs, np.arange(6)[None], Matern52(2.0), amplitude=0.7)
    w = rng.normal(size=n_train) if energies else None
    return ForceField(
        np.ones(6, dtype=np.int64), pairs, (term,), (TermCoefficients(x, rng.normal(size=x.shape), w),), -3.0, 0.9
    )


def check(model, evaluator, tolerance):
    for structure in structures(3, seed=9):
        energy, forces = evaluator(structure)
        e_ref, f_ref = reference.predict(model, structure[None])
        scale = np.abs(f_ref).max()
        assert energy == pytest.approx(e_ref[0], abs=tolerance * scale)
        np.testing.assert_allclose(forces, f_ref[0], rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("energies", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_one_structure_is_the_reference(monkeypatch, case, energies, threads):
    monkeypatch.setattr(single, "PARALLEL_WORK", 0)
    model, _, _ = random_model(case, energies=energies)
    evaluator = single.SingleEvaluator.build(model, threads=threads)
    assert evaluator.threads == threads
    check(model, evaluator, 1e-10)


@pytest.mark.parametrize("energies", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_of_large_terms_are_the_reference(monkeypatch, energies, threads):
    monkeypatch.setattr(single, "PARALLEL_WORK", 0)
    monkeypatch.setattr(layout, "COLUMN_BYTES", 0)
    model = large_model(energies=energies)
    check(model, single.SingleEvaluator.build(model, threads=threads), 1e-10)
    check(model, single.SingleEvaluator.build(model, (True,), threads), 1e-6)


def test_forces_from_float32_rows_are_the_gradient_of_their_energy(monkeypatch):
    monkeypatch.setattr(layout, "COLUMN_BYTES", 0)
    model = large_model()
    rounded = single.SingleEvaluator.build(model, (True,))
    R, step = structures(1, seed=4)[0], 1e-4
    _, forces = rounded(R)
    assert not np.array_equal(forces, single.SingleEvaluator.build(model)(R)[1])
    for atom, axis in ((0, 0), (2, 1), (5, 2)):
        moved = np.zeros_like(R)
        moved[atom, axis] = step
        slope = (
            8 * (rounded(R + moved)[0] - rounded(R - moved)[0]) - rounded(R + 2 * moved)[0] + rounded(R - 2 * moved)[0]
        ) / (12 * step)
        assert -slope == pytest.approx(forces[atom, axis], abs=1e-9 * np.abs(forces).max())


def test_float32_is_chosen_only_where_forces_hardly_change(monkeypatch):
    """Coefficients that cancel by many digits forbid it, and the predicted change is about the change met."""
    monkeypatch.setattr(layout, "COLUMN_BYTES", 0)
    model = large_model()
    (term,), (c,) = model.terms, model.coefficients
    plain = single_error(term, c)
    assert plain < SINGLE_LIMIT
    assert model.evaluator().stored_single == (True,)
    assert model.evaluator(precision="float64").stored_single == (False,)
    opposite = TermCoefficients(
        np.concatenate([c.X, c.X + 1e-7]), np.concatenate([c.V + 1e4 * c.X, -1e4 * c.X])
    )  # two rows nearly equal, with large and opposite coefficients
    assert single_error(term, opposite) > SINGLE_LIMIT
    assert replace(model, coefficients=(opposite,)).evaluator().stored_single == (False,)
    for coefficients in (c, opposite):
        changed = ForceField(model.numbers, model.pairs, model.terms, (coefficients,))
        exact, rounded = (changed.evaluator(precision=p).one for p in ("float64", "float32"))
        met = np.sqrt(np.mean([(exact(R)[1] - rounded(R)[1]) ** 2 for R in structures(11)]))
        assert met / 5 < single_error(term, coefficients) < 5 * met


@pytest.mark.parametrize("precision", ["auto", "float64", "float32"])
@pytest.mark.parametrize("energies", [False, True])
def test_one_structure_and_many_agree(monkeypatch, precision, energies):
    """Where rows are kept in float32, for both; the rounding of what is kept is 1e5 times larger than what is left."""
    monkeypatch.setattr(layout, "COLUMN_BYTES", 0)
    model, R = large_model(energies=energies), structures(5, seed=9)
    batch = model.predict(R, precision=precision)
    for q, structure in enumerate(R):
        alone = model.predict(structure, precision=precision)
        np.testing.assert_allclose(alone.forces[0], batch.forces[q], rtol=0, atol=1e-12 * np.abs(batch.forces).max())
        assert alone.energies[0] == pytest.approx(batch.energies[q], abs=1e-12 * np.abs(batch.forces).max())
    exact = np.abs(batch.forces - reference.predict(model, R)[1]).max() < 1e-10 * np.abs(batch.forces).max()
    assert exact == (precision == "float64")


@pytest.mark.parametrize("case", CASES)
def test_one_structure_and_many_agree_for_small_terms(case):
    model, _, _ = random_model(case)
    R = structures(3, seed=9)
    np.testing.assert_allclose(model.predict(R[:1]).forces[0], model.predict(R).forces[0], rtol=0, atol=1e-11)


@pytest.mark.parametrize("option", ["threads", "replicas"])
def test_an_evaluator_needs_one_of_each(option):
    with pytest.raises(UsageError, match=f"{option}: 0 given"):
        random_model("plain")[0].evaluator(**{option: 0})


def test_a_batch_is_no_structure():
    with pytest.raises(UsageError, match=r"positions: shape \(2, 6, 3\), but one structure"):
        random_model("plain")[0].evaluator().one(structures(2))


def test_precision_is_one_of_three():
    model, _, _ = random_model("plain")
    with pytest.raises(UsageError, match="precision: 'half' given"):
        model.evaluator(precision="half")


def test_positions_that_read_only_or_strided_arrays_hold_are_taken():
    model, _, _ = random_model("methyl")
    evaluator = single.SingleEvaluator.build(model)
    R = structures(1, seed=3)[0]
    expected = evaluator(R)[1]
    frozen = R.copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(evaluator(frozen)[1], expected)
    np.testing.assert_array_equal(evaluator(np.asfortranarray(R))[1], expected)
    assert len(single._step._one_thread.signatures) == 1


@pytest.mark.parametrize("case", CASES)
def test_a_step_repeats_itself_and_leaves_no_trace(case):
    model, _, _ = random_model(case)
    evaluator = single.SingleEvaluator.build(model)
    a, b = structures(2, seed=3)
    first = evaluator(a)
    evaluator(b)
    again = evaluator(a)
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])


@pytest.mark.parametrize("distance", [0.0, 1e-9, 5e-3])
def test_atoms_on_one_place_are_refused(distance):
    model, _, _ = random_model("methyl")
    R = structures(1, seed=3)[0]
    R[4] = R[1] + [distance, 0, 0]
    with pytest.raises(DataError, match="atoms 1 and 4 of frame 0 coincide"):
        single.SingleEvaluator.build(model)(R)
    with pytest.raises(DataError, match="atoms 1 and 4 of frame 1 coincide"):
        model.predict(np.stack([structures(1, seed=3)[0], R]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_positions_that_are_not_finite_are_refused(value):
    model, _, _ = random_model("methyl")
    evaluator = single.SingleEvaluator.build(model)
    R = structures(1, seed=3)[0]
    expected = evaluator(R)
    broken = R.copy()
    broken[5, 2] = value
    with pytest.raises(DataError, match="positions: some are NaN or infinite"):
        evaluator(broken)
    assert evaluator(R)[0] == expected[0]


def test_small_models_stay_on_one_thread():
    model, _, _ = random_model("methyl")
    assert single.SingleEvaluator.build(model, threads=8).threads == 1
