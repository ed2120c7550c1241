"""The members of error bars in one compiled pass: what calls of one member after the other give."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from cases import pair_functions, random_model, structures, with_bars

from gossamer.errors import DataError, UsageError
from gossamer.evaluate import deviations

MEMBERS = 5


def with_committee(case="several", n_train=23, **options):
    """A model of folds that differ in size, and the deviations of its evaluator in double precision."""
    model = with_bars(random_model(case, n_train=n_train, **options)[0], MEMBERS)
    return model, model.evaluator(precision="float64").std


@pytest.mark.parametrize("energies", [False, True])
@pytest.mark.parametrize("functions", [None, pair_functions()], ids=["terms", "pairs"])
@pytest.mark.parametrize("case", ["methyl", "several", "matern92"])
def test_one_pass_is_member_after_member(case, functions, energies):
    model, std = with_committee(case, functions=functions, energies=energies)
    committee = std._committee
    assert committee is not None
    for R in structures(3, seed=7):
        ours, wanted = committee(R), [member.one(R) for member in std.members]
        np.testing.assert_allclose(ours[0], [e for e, _ in wanted], rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(ours[1], [f for _, f in wanted], rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(committee.energies(R), ours[0], rtol=1e-11, atol=1e-11)
    expected = reference.deviations(model, structures(3, seed=7))[0]
    assert [std.of_energy(R) for R in structures(3, seed=7)] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("functions", [None, pair_functions()], ids=["terms", "pairs"])
@pytest.mark.parametrize("case", ["methyl", "several", "matern92"])
def test_a_step_with_the_energy_s_deviation_is_one_pass(case, functions):
    """The model's energy and forces, and the energies of the members from its own rows."""
    model, std = with_committee(case, functions=functions)
    together, left_out = std._with_members
    assert together is not None
    assert not left_out
    for R in structures(3, seed=7):
        wanted = [member.one(R)[0] for member in std.members]
        np.testing.assert_allclose(together(R)[2], wanted, rtol=1e-9, atol=1e-10)
        energy, forces, deviation = std.step(R)
        np.testing.assert_allclose(energy, std.evaluator.one(R)[0], rtol=1e-12)
        np.testing.assert_allclose(forces, std.evaluator.one(R)[1], rtol=1e-11, atol=1e-12)
        assert deviation == pytest.approx(std.of_energy(R), rel=1e-7)
        assert deviation == pytest.approx(reference.deviations(model, R[None])[0][0], rel=1e-7)


@pytest.mark.parametrize("why", ["energies", "large", "threads", "representatives", "folds"])
def test_a_step_is_two_where_one_pass_is_another(why, monkeypatch):
    from gossamer.backends.numba import layout, single

    if why == "large":
        monkeypatch.setattr(layout, "COLUMN_BYTES", 0)
    if why == "threads":
        monkeypatch.setattr(single, "PARALLEL_WORK", 1)
        monkeypatch.setattr(single._step, "most_threads", lambda: 3)
    model, std = with_committee("plain" if why == "large" else "several", energies=why == "energies")
    if why == "threads":
        std = model.evaluator(precision="float64", threads=3).std
    if why == "representatives":
        few = tuple(replace(c, few=c) for c in model.coefficients)
        std = replace(model, coefficients=few).evaluator(precision="float64").std
    if why == "folds":  # a structure that is no member's
        folds = np.where(np.arange(model.n_train) == 3, -1, model.error_bars.folds)
        std = replace(model, error_bars=replace(model.error_bars, folds=folds)).evaluator(precision="float64").std
    assert (std._with_members[0] is None) == (why != "folds")
    R = structures(1)[0]
    energy, forces, deviation = std.step(R)
    np.testing.assert_allclose(energy, std.evaluator.one(R)[0], rtol=1e-12)
    np.testing.assert_allclose(forces, std.evaluator.one(R)[1], rtol=1e-11, atol=1e-12)
    assert deviation == pytest.approx(std.of_energy(R), rel=1e-7)


def test_large_terms_have_no_images():
    """Rows one after the other, which many pairs have: in double and in single precision."""
    model, std = with_committee("plain", n_train=40)
    from gossamer.backends.numba import layout

    small, layout.COLUMN_BYTES = layout.COLUMN_BYTES, 0
    try:
        for precision, tolerance in (("float64", 1e-8), ("float32", 1e-4)):
            found = model.evaluator(precision=precision).std.one(structures(1)[0])
            for ours, theirs in zip(found, std.one(structures(1)[0]), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=tolerance)
    finally:
        layout.COLUMN_BYTES = small


def test_threads_share_the_members(monkeypatch):
    from gossamer.backends.numba import single

    model, std = with_committee(functions=pair_functions())
    monkeypatch.setattr(single, "PARALLEL_WORK", 1)
    monkeypatch.setattr(single._step, "most_threads", lambda: 3)
    shared = model.evaluator(precision="float64", threads=3).std
    assert len(shared._committee.scratch[3]) == 3
    R = structures(1)[0]
    for ours, theirs in zip(shared.one(R), std.one(R), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert shared.of_energy(R) == pytest.approx(std.of_energy(R), rel=1e-12)


def test_without_compiled_code_members_are_called_one_by_one(monkeypatch):
    model, std = with_committee()
    monkeypatch.setattr(deviations, "of_committee", lambda *_: None)
    alone, R = model.evaluator(precision="float64").std, structures(1)[0]
    assert alone._committee is None
    for ours, theirs in zip(alone.one(R), std.one(R), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8)
    assert alone.of_energy(R) == alone.one(R)[0]


def test_wrong_structures_are_refused():
    _, std = with_committee()
    R = structures(1)[0]
    for call in (std.one, std.of_energy, std.step):
        with pytest.raises(UsageError, match=r"positions: shape \(5, 3\)"):
            call(R[:5])
        broken = R.copy()
        broken[1, 2] = np.nan
        with pytest.raises(DataError, match="NaN or infinite"):
            call(broken)
        broken[1] = broken[0]
        with pytest.raises(DataError, match="coincide"):
            call(broken)
