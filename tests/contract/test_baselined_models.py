"""Models with baselines: trained on what they leave, predicting the whole, saved and loaded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reference
from ase.calculators.lj import LennardJones
from cases import METHYL, NUMBERS, arrays, random_model, several_terms, structures

import gossamer as gs
from gossamer.backends.numba import single
from gossamer.baselines import added
from gossamer.baselines.calculator import CalculatorBaseline
from gossamer.baselines.coulomb import Coulomb
from gossamer.baselines.repulsion import Repulsion
from gossamer.errors import DataError, UsageError
from gossamer.model.model_baseline import ModelBaseline
from gossamer.model.pairs import PairSet

DATA = Path(__file__).parent.parent / "data/ethanol_60.npz"


@pytest.fixture(scope="module")
def parts():
    return gs.read(DATA).split(30, 10, 10, seed=0)


CHARGED = Coulomb(np.array([0.3, -0.2, -0.6, 0.2, 0.2, 0.2]), [(3, 2), (4, 2), (5, 2)])


def walled():
    model, _, _ = random_model("several")
    return replace(model, baselines=(Repulsion.between(structures(3, seed=8), NUMBERS, METHYL),))


@pytest.mark.filterwarnings("ignore::gossamer.errors.ExtrapolationWarning")
def test_one_structure_and_many_have_the_baseline():
    model, R = walled(), structures(4, seed=9)
    R[:, 3] += 0.7 * (R[:, 2] - R[:, 3])
    (wall,) = model.baselines
    e, f = reference.predict(model, R)
    more, pushed = wall(R)
    assert np.all(more > 0.1)
    np.testing.assert_allclose(model.predict(R).energies, e + more, rtol=1e-10)
    np.testing.assert_allclose(model.predict(R).forces, f + pushed, rtol=0, atol=1e-9 * np.abs(f + pushed).max())
    one = model.predict(R[2])
    np.testing.assert_allclose(one.energies, e[2:3] + more[2:3], rtol=1e-10)
    np.testing.assert_allclose(one.forces[0], f[2] + pushed[2], rtol=0, atol=1e-9 * np.abs(f + pushed).max())


@pytest.mark.filterwarnings("ignore::gossamer.errors.ExtrapolationWarning")
@pytest.mark.parametrize("threads", [1, 2])
def test_one_structure_has_every_baseline_once(monkeypatch, threads):
    """Walls are compiled into the step, and joined there; the others are added afterwards."""
    monkeypatch.setattr(single, "PARALLEL_WORK", 0)
    model, R = walled(), 0.7 * structures(1, seed=3)
    (wall,) = model.baselines
    other = ModelBaseline(random_model("methyl")[0])
    model = replace(model, baselines=(wall, other, wall, CHARGED))
    e, f = reference.predict(model, R)
    (more, pushed), (rest, forces) = wall(R), added((other, CHARGED), R)
    assert abs(CHARGED(R)[0][0]) > 0.1
    assert more[0] > 0.1
    energy, found = model.evaluator(threads=threads).one(R[0])
    f = f + 2 * pushed + forces
    assert energy == pytest.approx(e[0] + 2 * more[0] + rest[0], rel=1e-10)
    np.testing.assert_allclose(found, f[0], rtol=0, atol=1e-9 * np.abs(f).max())
    many, forces = model.evaluator(threads=threads).many(np.repeat(R, 3, axis=0))
    np.testing.assert_allclose(many, energy, rtol=1e-10)
    np.testing.assert_allclose(forces[1], found, rtol=0, atol=1e-9 * np.abs(f).max())


@pytest.mark.filterwarnings("ignore::gossamer.errors.ExtrapolationWarning")
@pytest.mark.parametrize("baseline", ["wall", "charges"])
@pytest.mark.parametrize("n", [1, 2])
def test_atoms_that_meet_where_only_a_baseline_looks_are_refused(baseline, n):
    """A reduced model need not have the pair."""
    base = walled()
    pairs, terms = several_terms()
    model = replace(base, baselines=base.baselines if baseline == "wall" else (CHARGED,))
    seen = np.unique(terms[0].places)  # of the local term alone
    places = np.searchsorted(seen, terms[0].places)
    model = replace(
        model, pairs=PairSet(6, pairs.pairs[seen]), terms=(replace(base.terms[0], places=places),),
        coefficients=base.coefficients[:1],
    )  # fmt: skip
    R = structures(n, seed=4)
    R[-1, 3] = R[-1, 2]
    with pytest.raises(DataError, match=r"(?i)coincide|where atoms may meet"):
        model.predict(R)


@pytest.mark.parametrize("joined", ["coulomb", "repulsion,coulomb"])
def test_charges_go_all_the_way(parts, joined, tmp_path):
    """Trained on what they leave, reduced, recorded, saved and loaded."""
    train, valid, test = parts
    given = {"terms": "both", "learning_steps": 1, "force": True, "baseline": joined}
    done = gs.train(train, valid, **given)
    model, charges = done.model, done.model.baselines[-1].charges
    assert ",".join(b.kind for b in model.baselines) == joined
    np.testing.assert_allclose(done.record.settings.charges, charges, rtol=1e-5)
    loaded = gs.load(model.save(tmp_path / "m.gossamer"))
    np.testing.assert_array_equal(loaded.baselines[-1].charges, charges)
    np.testing.assert_array_equal(loaded.predict(test).forces, model.predict(test).forces)
    assert model.errors(test).force_mae < 0.2
    found = gs.reduce(train, valid, test, quantiles=(50,), **given)
    np.testing.assert_array_equal(found.model.baselines[-1].charges, charges)
    assert found.record.settings.charges == done.record.settings.charges


def test_sums_have_a_wall_and_the_global_kernel_has_none(parts):
    train, valid, _ = parts
    given = {"learning_steps": 1, "force": True}
    both = gs.train(train, valid, terms="both", **given).model
    assert [b.kind for b in both.baselines] == ["repulsion"]
    plain = gs.train(train, valid, terms="both", baseline="none", **given).model
    assert plain.baselines == ()
    np.testing.assert_allclose(both.predict(train.positions).forces, plain.predict(train.positions).forces, atol=1e-7)
    assert gs.train(train, valid, terms="global", length=10, noise=1e-6, force=True).model.baselines == ()
    squeezed = train.positions[:1] * 0.5
    assert both.predict(squeezed, warn=False).energies > plain.predict(squeezed, warn=False).energies + 2


@pytest.mark.parametrize("model", ["wall", "charges", "calculator", "model"])
def test_files_hold_baselines(model, tmp_path):
    base, R = walled(), structures(2, seed=4)
    calculator = LennardJones(sigma=1.2, epsilon=0.05)
    baseline = {
        "wall": base.baselines[0], "model": ModelBaseline(replace(base, baselines=(CHARGED,))), "charges": CHARGED,
        "calculator": CalculatorBaseline(NUMBERS, "mine", calculator),
    }[model]  # fmt: skip
    saved = replace(base, baselines=(baseline,))
    loaded = gs.load(saved.save(tmp_path / "m.gossamer"))
    if model == "calculator":
        with pytest.raises(UsageError, match="difference to 'mine'"):
            loaded.predict(R)
        loaded = loaded.with_calculator(calculator)
    for got, wanted in zip(arrays(loaded.predict(R)), arrays(saved.predict(R)), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_model_can_be_the_baseline_of_another(parts):
    """The difference of two models is learned: with a good baseline a handful of structures do."""
    train, valid, test = parts
    low = gs.train(train, valid, terms="global", length=10, noise=1e-6, force=True).model
    few = train.take(np.arange(0, 30, 5))
    given = {"terms": "global", "length": 10, "noise": 1e-6, "force": True}
    delta = gs.train(few, valid, baseline=low, **given).model
    assert [b.kind for b in delta.baselines] == ["model"]
    alone = gs.train(few, valid, **given).model
    assert delta.errors(test).force_rmse < 0.7 * alone.errors(test).force_rmse


def test_reduced_models_keep_the_baseline(parts):
    train, valid, test = parts
    found = gs.reduce(train, valid, test, terms="both", quantiles=(50,), learning_steps=1, force=True)
    assert [b.kind for b in found.full.baselines] == [b.kind for b in found.model.baselines] == ["repulsion"]
    assert found.record.settings.baselines == ("repulsion",)
    rmse = found.model.errors(test).force_rmse
    assert found.record.chosen.force_rmse == pytest.approx(rmse, rel=1e-6)


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        ("wall", "baseline: 'wall' is not known; use auto, none, repulsion, coulomb, gfn2-xtb, gfnff, d4"),
        (3.0, "float given"),
    ],
)
def test_what_is_no_baseline_is_refused(parts, baseline, words):
    with pytest.raises(UsageError, match=words):
        gs.train(parts[0], parts[1], baseline=baseline, force=True)


def test_a_model_of_other_atoms_is_no_baseline(parts):
    with pytest.raises(UsageError, match="other atoms"):
        gs.train(parts[0], parts[1], baseline=random_model("plain")[0], force=True)


def test_sgdml_knows_no_baseline(tmp_path):
    model, _, _ = random_model("plain")
    with pytest.raises(UsageError, match="no baseline"):
        replace(model, baselines=walled().baselines).export_sgdml(tmp_path / "m.npz")
