"""The compiled one-structure path against tests/reference.py, for every kind of term, with one thread and with two."""

import numpy as np
import pytest
import reference
from cases import CASES, random_model, structures

from gossamer.model import single


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("energies", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_one_structure_is_the_reference(monkeypatch, case, energies, threads):
    monkeypatch.setattr(single, "PARALLEL_WORK", 0)
    model, _, _ = random_model(case, energies=energies)
    evaluator = single.SingleEvaluator.build(model, threads)
    assert evaluator.threads == threads
    for structure in structures(3, seed=9):
        energy, forces = evaluator(structure)
        e_ref, f_ref = reference.predict(model, structure[None])
        scale = np.abs(f_ref).max()
        assert energy == pytest.approx(e_ref[0], abs=1e-10 * scale)
        np.testing.assert_allclose(forces, f_ref[0], rtol=0, atol=1e-10 * scale)


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


def test_small_models_stay_on_one_thread():
    model, _, _ = random_model("methyl")
    assert single.SingleEvaluator.build(model, threads=8).threads == 1
