from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import molecule
from cases import METHYL, NUMBERS, arrays, random_model, structures

import gossamer as gs
from gossamer.chemistry.fragments import Fragment
from gossamer.chemistry.symmetry import Symmetry, find_symmetry
from gossamer.data.dataset import Dataset
from gossamer.errors import DataError, FitError, MemoryBudgetError, UsageError
from gossamer.fitting import training
from gossamer.fitting.makeup import GLOBAL_SHARE, makeup_of
from gossamer.fitting.problem import Context, Problem
from gossamer.fitting.search import climb
from gossamer.fitting.settings import Settings
from gossamer.fitting.solvers import Solution, Status
from gossamer.fitting.stages import WORTH, Choice, Completing, Learning, _cheapest
from gossamer.fitting.workflow import fit
from gossamer.kernels import Matern52
from gossamer.model.model_file import load
from gossamer.model.pairs import PairSet


@pytest.fixture(scope="module")
def data():
    """60 structures labelled by a random force field with methyl symmetry: learnable, and no noise in it."""
    truth, _, _ = random_model("methyl", n_train=8)
    R = structures(60, seed=11, spread=0.08)
    p = truth.predict(R)
    return Dataset(NUMBERS, R, p.forces, p.energies)


@pytest.fixture(scope="module")
def parts(data):
    return data.split(30, 15, 15, seed=1)


OPTIONS = {"terms": "global", "length": 3.0, "symmetry": METHYL, "noise": 1e-10}


def test_a_learnable_force_field_is_learned(parts):
    model = gs.train(parts.train, parts.valid, **OPTIONS).model
    errors = model.test(parts.test)
    assert errors.force_rmse < 0.02 * parts.test.forces.std()
    assert errors.energy_rmse < 0.02 * parts.test.energies.std()


def test_both_solvers_agree(parts):
    direct = fit(parts.train, **OPTIONS, solver="cholesky")
    iterated = fit(parts.train, **OPTIONS, solver="cg")
    assert (direct.fitted.plan.solver, iterated.fitted.plan.solver) == ("cholesky", "cg")
    a, b = direct.model.predict(parts.test.positions), iterated.model.predict(parts.test.positions)
    assert np.abs(a.forces - b.forces).max() < 5 * iterated.solution.residual + 1e-6


def test_training_points_are_reproduced_without_noise(parts):
    model = gs.train(parts.train, **(OPTIONS | {"noise": 1e-12})).model
    assert model.test(parts.train).force_rmse < 1e-4 * parts.train.forces.std()


def test_energies_as_labels_are_fitted_too(parts):
    with_energies = gs.train(parts.train, **OPTIONS, energies=True).model
    assert with_energies.coefficients[0].w is not None
    assert with_energies.test(parts.train).energy_rmse < 1e-4 * parts.train.energies.std()
    assert with_energies.test(parts.test).energy_rmse < 1e-3 * parts.test.energies.std()


def test_iterations_that_end_far_from_all_labels_are_no_model(parts, monkeypatch):
    wild = 1e3 * torch.from_numpy(np.random.default_rng(0).normal(size=parts.train.forces.size))
    far = Solution(wild, Status.VALIDATION, 160, residual=1e4)
    monkeypatch.setattr(training, "conjugate_gradients", lambda *args, **kwargs: far)
    with pytest.raises(FitError, match="no model at all; raise --noise"):
        gs.train(parts.train, parts.valid, **OPTIONS, solver="cg")


def test_the_energy_constant_is_fitted(parts):
    model = gs.train(parts.train, **OPTIONS).model
    shifted = Dataset(NUMBERS, parts.train.positions, parts.train.forces, parts.train.energies + 1000.0)
    moved = gs.train(shifted, **OPTIONS).model
    assert moved.constant - model.constant == pytest.approx(1000.0)
    without = gs.train(Dataset(NUMBERS, parts.train.positions, parts.train.forces), **OPTIONS).model
    assert without.constant == 0.0


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_the_same_seed_gives_the_same_file(parts, tmp_path, solver):
    files = []
    for name in ("a", "b"):
        gs.train(parts.train, parts.valid, **OPTIONS, solver=solver, seed=4).model.save(tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]


def test_a_saved_model_predicts_the_same(parts, tmp_path):
    model = gs.train(parts.train, **OPTIONS, energies=True).model
    again = load(model.save(tmp_path / "m.gossamer"))
    for a, b in zip(arrays(model.predict(parts.test)), arrays(again.predict(parts.test)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.provenance == model.provenance


def test_the_searches_try_few_and_take_the_best(parts):
    found = fit(parts.train, parts.valid, terms="global", symmetry="none")
    pilots = [t for t in found.trials if t.n_train < len(parts.train)] or list(found.trials)
    final = found.model.test(parts.valid).force_rmse
    assert found.settings.length in {t.length for t in pilots}
    assert final == pytest.approx(min(t.valid_force_rmse for t in found.trials if t.n_train == len(parts.train)))
    assert len(found.trials) <= 20
    poor = fit(parts.train, parts.valid, terms="global", symmetry="none", length=20.0, relative_noise=1e-3)
    assert final < poor.model.test(parts.valid).force_rmse


def test_what_is_given_is_not_searched(parts):
    assert fit(parts.train, parts.valid, **OPTIONS).trials == ()
    given = fit(parts.train, parts.valid, terms="global", symmetry="none", length=3.0)
    assert {t.length for t in given.trials} == {3.0}
    given = fit(parts.train, parts.valid, terms="global", symmetry="none", relative_noise=1e-7)
    assert {round(t.relative_noise / 1e-7, 6) for t in given.trials} == {1.0}
    assert given.settings.relative_noise == pytest.approx(1e-7)


@pytest.mark.parametrize(
    ("start", "best"), [(1.0, 1.0), (1.0, 3.0), (3.0, 1.0), (5.0, 5.0), (1.0, 5.0), (5.0, 1.0), (3.0, 3.0)]
)
def test_climb_finds_the_bottom_of_one_valley(start, best):
    tried = []

    def error(x):
        tried.append(x)
        return (x - best) ** 2

    assert climb((1.0, 2.0, 3.0, 4.0, 5.0), start, error) == best
    assert len(tried) == len(set(tried))


def test_symmetry_helps_where_it_is_there(parts):
    with_it = gs.train(parts.train, **OPTIONS).model.test(parts.test).force_rmse
    without = gs.train(parts.train, **(OPTIONS | {"symmetry": "none"})).model.test(parts.test).force_rmse
    assert with_it < without


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"noise": -1.0}, UsageError, "noise: -1.0 given"),
        ({"length": 0.0}, UsageError, "length: 0.0 given"),
        ({"solver": "magic"}, UsageError, "solver: 'magic' is not known"),
        ({"symmetry": "maybe"}, UsageError, "symmetry: 'maybe' is not known"),
        ({"symmetry": METHYL[:2]}, UsageError, "perm"),
        ({"memory": -1}, UsageError, "memory: -1 given"),
        ({"memory": 1e-9}, MemoryBudgetError, "memory: .* GiB are needed"),
        ({"terms": "some"}, UsageError, "terms: 'some' is not known"),
        ({"terms": "both", "length": 20.0}, UsageError, "length: 20 given, but the terms of a sum take their lengths"),
        ({"colour": "red"}, UsageError, "options: colour is not known"),
    ],
)
def test_bad_options_are_named(parts, change, error, message):
    with pytest.raises(error, match=message):
        gs.train(parts.train, **(OPTIONS | change))


def spoil(data, **changes):
    fields = {"positions": data.positions, "forces": data.forces, "energies": data.energies, "numbers": data.numbers}
    return Dataset(**(fields | changes))


def test_bad_data_is_named(parts):
    train = parts.train
    nan, touching = train.forces.copy(), train.positions.copy()
    nan[3, 2, 1] = np.nan
    touching[5, 4] = touching[5, 1]
    cases = [
        (spoil(train, forces=None), DataError, "no forces"),
        (spoil(train, forces=nan), DataError, "NaN"),
        (spoil(train, positions=touching), DataError, "atoms 1 and 4 of frame 5 coincide"),
        (spoil(train, forces=0 * train.forces), DataError, "all of them are zero"),
        (train.take([0]), DataError, "structures: 1 to train on"),
    ]
    for bad, error, message in cases:
        with pytest.raises(error, match=message):
            gs.train(bad, **OPTIONS)
    with pytest.raises(UsageError, match="validation: the atoms differ"):
        gs.train(train, spoil(parts.valid, numbers=NUMBERS[::-1].copy()), **OPTIONS)
    with pytest.raises(DataError, match="energies: asked for"):
        gs.train(spoil(train, energies=None), **OPTIONS, energies=True)


def test_repeated_structures_without_noise_are_explained(parts):
    twice = parts.train.take(np.r_[0:10, 0:10])
    with pytest.raises(FitError, match="noise"):
        gs.train(twice, terms="global", length=3.0, symmetry="none", noise=0.0, solver="cholesky")


def test_two_structures_are_enough_to_run(parts):
    model = gs.train(parts.train.take([0, 1]), symmetry="none").model
    assert np.all(np.isfinite(model.predict(parts.test.positions).forces))


@pytest.fixture(scope="module")
def real(ethanol_file):
    """Ethanol with real labels, where local terms pay."""
    return gs.read(ethanol_file).split(30, 10, 20, seed=0)


def test_auto_takes_the_best_of_what_it_tried(real):
    found = fit(real.train, real.valid, learning_steps=4)
    errors = found.choice.errors
    assert set(errors) == {"global", "all", "pairs"}
    best = min(errors.values())
    assert errors[found.choice.name] <= (1 + WORTH) * best
    assert found.choice.name != "global"
    alone = fit(real.train, real.valid, terms="global")
    assert found.model.test(real.test).force_rmse < alone.model.test(real.test).force_rmse
    again = fit(real.train, real.valid, learning_steps=4)
    np.testing.assert_array_equal(again.model.coefficients[0].V, found.model.coefficients[0].V)


def test_every_kind_of_terms_can_be_asked_for(real, tmp_path):

    given = [Fragment(np.array([0, 1, 2]), np.arange(3)[None], "C-C-O"), Fragment.whole(9, np.arange(9)[None])]
    for terms, count in (("local", 6), ("both", 7), ("pairs", 6), ("all", 7), (given, 2)):
        found = fit(real.train, real.valid, terms=terms, learning_steps=1, relative_noise=1e-5)
        assert len(found.model.terms) == count
        assert found.choice.errors == {}
        loaded = load(found.model.save(tmp_path / "m.gossamer"))
        for a, b in zip(arrays(loaded.predict(real.test)), arrays(found.model.predict(real.test)), strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(UsageError, match="'best' is not known"):
        fit(real.train, real.valid, terms="best")


def test_auto_without_validation_judges_on_training_structures_left_out(real):
    found = fit(real.train, learning_steps=1)
    assert set(found.choice.errors) == {"global", "all", "pairs"}


def test_auto_judges_every_kind_at_the_length_and_noise_that_were_given(real):
    found = fit(real.train, real.valid, length=20.0, noise=1e-8, learning_steps=1)
    errors = found.choice.errors
    assert set(errors) == {"global", "all", "pairs"}
    assert all(np.isfinite(error) for error in errors.values())
    assert found.settings.noise == 1e-8
    assert len(found.trials) == 3


def test_auto_never_leaves_molecules_that_do_not_feel_each_other():
    """Two molecules of ethene, 3.4 Angstrom apart, with labels that know nothing of one another."""
    one = molecule("C2H4")
    R = np.concatenate([one.positions, one.positions + np.array([3.4, 0, 0])])
    R = R + 0.03 * np.random.default_rng(0).normal(size=(40, 12, 3))
    data = Dataset(np.tile(one.numbers, 2), R, np.random.default_rng(1).normal(size=R.shape))
    found = fit(data.take(np.arange(30)), data.take(np.arange(30, 40)), symmetry="none", learning_steps=1)
    assert "local" not in found.choice.errors
    pairs = found.model.pairs.pairs
    assert np.any((pairs[:, 0] >= 6) & (pairs[:, 1] < 6))


def test_a_global_term_stands_beside_others_only_where_it_pays():
    """By errors: WORTH lower than without it, and lower than alone."""
    assert _cheapest({"global": 9.0, "all": 1.00, "pairs": 1.02}) == "pairs"
    assert _cheapest({"global": 9.0, "all": 1.00, "pairs": 1.04}) == "all"
    assert _cheapest({"global": 0.9, "all": 1.00, "pairs": 1.04}) == "global"
    assert _cheapest({"global": 9.0, "both": 1.00, "local": 1.02}) == "local"
    assert _cheapest({"global": 9.0, "both": 1.00}) == "both"


def test_what_joins_is_learned_anew(real):
    """A global term that pays: its weights are no longer one, and those of the others have moved."""
    made = makeup_of(
        "auto",
        real.train,
        find_symmetry(real.train.positions, real.train.numbers),
        PairSet.full(9),
        lambda smooth: Matern52(1.0),
    )
    assert made.name == "pairs"
    perms = np.arange(9)[None]
    more = made.with_global(PairSet.full(9), perms, real.train.positions)
    assert more.name == "all"
    assert more.terms[-1].is_global
    assert len(more.terms) == len(made.terms) + 1
    share = (more.mean_variance(real.train.positions[:1]) / made.mean_variance(real.train.positions[:1])) - 1
    assert share == pytest.approx(GLOBAL_SHARE, rel=1e-9)
    less = more.without_global()
    assert less.name == "pairs"
    for before, after in zip(made.terms, less.terms, strict=True):
        np.testing.assert_array_equal(made.pairs.pairs[before.places], less.pairs.pairs[after.places])
    choice = Choice(more, Settings(learning_steps=2), Symmetry.trivial(9))
    problem, context = Problem.of(real.train, real.valid), Context(Settings(learning_steps=2))
    again = Completing(Learning(6))(choice, problem, context)
    assert np.ptp(again.makeup.terms[-1].weights) > 0
    assert Completing(Learning(6))(replace(choice, makeup=made), problem, context).makeup is made


def test_kernels_are_smooth_where_data_are_many(real, ethanol_file):
    many = gs.read(ethanol_file).take(np.tile(np.arange(60), 2))
    for train, kernel in ((many, "matern92"), (real.train, "matern52")):
        group, pairs = Symmetry.trivial(9), PairSet.full(9)
        for terms in ("pairs", "local", ["global"]):
            made = makeup_of(terms, train, group, pairs, Settings().sum_kernel)
            assert {term.kernel.name for term in made.terms} == {kernel}
    assert Settings().sum_kernel(True).name == "matern92"
    assert Settings().sum_kernel(False).name == "matern52"
    assert Settings(kernel="gauss").sum_kernel(True).name == "gauss"
