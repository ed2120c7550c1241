"""Representatives in place of training rows: nearly the same function, still a potential, told apart in files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import NUMBERS, SHAPE, arrays, random_model, several_terms, structures, with_bars

import gossamer as gs
from gossamer.backends.kernel_sum import kernel_sum
from gossamer.errors import ModelFileError, UsageError
from gossamer.fitting import representatives as rep
from gossamer.model.force_field import TermCoefficients
from gossamer.model.model_file import VERSION

N = 40


def labelled(model, n, seed, error=0.0):
    """Structures with the model's forces and energies, the forces off by so much."""
    R = structures(n, seed)
    p = model.predict(R, warn=False)
    return gs.Dataset(NUMBERS, R, p.forces + error * np.random.default_rng(seed).normal(size=R.shape), p.energies)


def problem(*, energies=False, error=0.01):
    """A model, its training structures and others, with labels that it misses by `error`."""
    model = random_model("several", n_train=N, energies=energies)[0]
    train = labelled(model, N, 0)
    model = replace(model, provenance={"train_fingerprint": train.fingerprint, "noise": 1e-8})
    return model, train, labelled(model, 20, 7, error)


@pytest.fixture(scope="module", params=[False, True], ids=["forces", "energies"])
def found(request):
    model, train, valid = problem(energies=request.param)
    return model, gs.condense(model, train, valid, share=0.5), train, valid


@pytest.mark.parametrize("which", [0, 1])
def test_covariances_of_slopes_are_slopes_of_the_kernel_sum(which):
    pairs, terms = several_terms()
    term = terms[which]
    left, right = (rep.LocalRows.of(term, pairs, structures(3, seed)) for seed in (1, 2))
    found = rep.covariance_of_slopes(term, left, right)
    for s in range(len(right)):
        for b in range(right.U.shape[2]):
            V = right.U[s : s + 1, :, b].contiguous()
            g = term.amplitude * kernel_sum(term.kernel, left.x, right.x[s : s + 1], V, images=term.perms)[1]
            wanted = torch.einsum("np,npa->na", g, left.U)
            np.testing.assert_allclose(found[:, :, s, b], wanted, atol=1e-12)


def test_rows_move_as_their_atoms_do():
    """|J^T g|, the forces of a place, is what S U^T g gives."""
    pairs, terms = several_terms()
    for term in terms:
        R = torch.from_numpy(structures(3))
        rows = rep.LocalRows.of(term, pairs, R.numpy())
        g = torch.from_numpy(np.random.default_rng(0).normal(size=(3, term.n_pairs)))
        _, dx = pairs.forward(R)
        for place, slots in enumerate(term.places):
            spread = torch.zeros(3, len(pairs), dtype=torch.float64)
            spread[:, slots] = g * torch.from_numpy(term.weights)
            forces = pairs.pull(dx, spread)
            mine = rows[torch.arange(place, len(rows), term.n_places)]
            size = (mine.S * (g[:, None] @ mine.U)[:, 0]).square().sum(1)
            np.testing.assert_allclose(size, forces.square().sum((1, 2)), rtol=1e-10)


def test_as_many_representatives_as_rows_are_the_same_function():
    model, train, _ = problem()
    term, c = model.terms[0], model.coefficients[0]
    rows = rep.LocalRows.of(term, model.pairs, train.positions)
    wanted, order = rep._gradient(term, c, rows.x), rep.spread_out(term, rows.x, len(rows))
    assert sorted(order.tolist()) == list(range(2 * N))
    (V,) = rep._projections(term, rows, wanted, order, [len(rows)], 1e-8)
    few = TermCoefficients(rows.x[order].numpy(), V.numpy())
    other = rep.LocalRows.of(term, model.pairs, structures(10, 5)).x
    before = rep._gradient(term, c, other)
    assert (rep._gradient(term, few, other) - before).norm() < 1e-4 * before.norm()


def test_corners_of_a_factor_are_smaller_systems():
    model, train, _ = problem()
    term, c = model.terms[0], model.coefficients[0]
    rows = rep.LocalRows.of(term, model.pairs, train.positions)
    wanted, order = rep._gradient(term, c, rows.x), rep.spread_out(term, rows.x, 32)
    args = term, rows, wanted
    first, _ = rep._projections(*args, order, [16, 32], 1e-6)
    alone = rep._gradient(term, TermCoefficients(rows.x[order[:16]].numpy(), first.numpy()), rows.x)
    assert first.shape == (16, term.n_pairs)
    (whole,) = rep._projections(*args, order, [32], 1e-6)
    better = rep._gradient(term, TermCoefficients(rows.x[order].numpy(), whole.numpy()), rows.x)
    assert (better - wanted).norm() < (alone - wanted).norm() < 0.7 * wanted.norm()


def system_of(n):
    """The normal equations of n representatives of a term, and the gradients wanted at them and at the rows fitted."""
    model, train, _ = problem()
    term, c = model.terms[0], model.coefficients[0]
    rows = rep.LocalRows.of(term, model.pairs, train.positions)
    wanted, order = rep._gradient(term, c, rows.x), rep.spread_out(term, rows.x, n)
    system, fitted = rep._system(term, rows, order, 1e-6)
    return system, wanted[order], wanted[fitted]


def test_products_of_a_system_are_those_of_its_matrix():
    system, few, part = system_of(24)
    lower = system.matrix().tril()
    whole = lower + lower.tril(-1).T
    a = torch.from_numpy(np.random.default_rng(1).normal(size=len(whole)))
    np.testing.assert_allclose(system @ a, whole @ a, atol=1e-9 * float((whole @ a).abs().max()))
    at_once = torch.linalg.solve(whole, system.right(few, part))
    np.testing.assert_allclose(system @ at_once, system.right(few, part), atol=1e-6 * float(few.abs().max()))


def test_systems_too_large_to_be_solved_at_once_are_iterated_for(monkeypatch):
    """Blocks that divide no count: the functions are about as near to the trained one, the nearer the more; in one
    block they are the same."""
    model, train, valid = problem()
    term, c = model.terms[0], model.coefficients[0]
    rows, others = (rep.LocalRows.of(term, model.pairs, data.positions) for data in (train, valid))
    wanted, order = rep._gradient(term, c, rows.x), rep.spread_out(term, rows.x, 32)
    monkeypatch.setattr(rep, "BLOCK", 24 * rows.U.shape[2])

    def missed(V):
        few = TermCoefficients(rows.x[order[: len(V)]].numpy(), V.numpy())
        return float((rep._gradient(term, few, others.x) - rep._gradient(term, c, others.x)).norm())

    ways = (rep._projections, rep._iterated)
    direct, iterated = ([missed(V) for V in way(term, rows, wanted, order, [16, 32], 1e-8)] for way in ways)
    assert iterated[0] == pytest.approx(direct[0], rel=1e-3)
    assert direct[1] < 1.5 * iterated[1] < 2 * direct[1] < iterated[0]


def test_terms_that_need_many_have_them(monkeypatch):
    """Where no system of enough unknowns can be solved at once, forces change by no more than allowed all the same."""
    model, train, valid = problem()
    monkeypatch.setattr(rep, "UNKNOWNS", 16 * 4)
    monkeypatch.setattr(rep, "BLOCK", 24 * 4)
    small = gs.condense(model, train, valid, share=0.3)
    change = small.predict(valid).forces - model.predict(valid).forces
    assert 16 < len(small.summed[0].X) < 2 * N
    assert 0 < np.sqrt((change**2).mean()) < 1.2 * 0.3 * model.errors(valid).force_rmse


def test_nothing_changes_where_nothing_may():
    model, train, valid = problem()
    same = gs.condense(model, train, valid, share=0.0)
    assert all(c.few is None for c in same.coefficients)
    for ours, theirs in zip(arrays(same.predict(train)), arrays(model.predict(train)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_forces_change_by_no_more_than_allowed(found):
    model, small, _, valid = found
    allowed = 0.5 * model.errors(valid).force_rmse
    change = small.predict(valid).forces - model.predict(valid).forces
    assert small.coefficients[0].few is not None
    assert len(small.summed[0].X) < 2 * N
    assert small.coefficients[1].few is None  # the whole molecule
    assert 0 < np.sqrt((change**2).mean()) < 1.2 * allowed  # terms, and places, taken as independent


def test_less_may_change_and_more_is_left(found):
    model, small, train, valid = found
    larger = gs.condense(model, train, valid, share=0.1)
    assert len(small.summed[0].X) < len(larger.summed[0].X) <= 2 * N
    change, more = (m.predict(valid).forces - model.predict(valid).forces for m in (larger, small))
    assert (change**2).mean() < (more**2).mean()


def test_the_energies_keep_their_mean(found):
    model, small, train, _ = found
    np.testing.assert_allclose(small.predict(train).energies.mean(), model.predict(train).energies.mean(), atol=1e-9)


def test_forces_are_minus_the_gradient_and_turns_of_the_molecule_change_nothing(found):
    small, R, h = found[1], structures(1, 3)[0], 1e-5
    forces = small.predict(R, warn=False).forces[0]
    for atom, axis in ((0, 0), (4, 2), (5, 1)):
        moved = np.repeat(R[None], 2, 0)
        moved[:, atom, axis] += h, -h
        up, down = small.predict(moved, warn=False).energies
        assert forces[atom, axis] == pytest.approx(-(up - down) / (2 * h), abs=1e-6 * np.abs(forces).max())
    np.testing.assert_allclose(forces.sum(0), 0, atol=1e-9 * np.abs(forces).max())
    turned = small.predict(R[:, [1, 2, 0]], warn=False).forces[0]
    np.testing.assert_allclose(turned, forces[:, [1, 2, 0]], atol=1e-8 * np.abs(forces).max())


def test_every_way_to_predict_sums_the_representatives(found):
    small, R = found[1], structures(3, 4)
    e, f = arrays(small.predict(R, warn=False))
    summed = replace(small, coefficients=tuple(replace(c) for c in small.summed), error_bars=None)
    np.testing.assert_allclose(arrays(summed.predict(R, warn=False))[1], f, rtol=1e-12)
    one = [small.predict(r, warn=False).forces[0] for r in R]
    np.testing.assert_allclose(one, f, atol=1e-9 * np.abs(f).max())
    energies, forces = small.torch()(torch.from_numpy(R))
    np.testing.assert_allclose(energies.detach(), e, rtol=1e-9)
    np.testing.assert_allclose(forces.detach(), f, atol=1e-8 * np.abs(f).max())


def test_what_the_model_knows_stays(found):
    model, small, train, _ = found
    assert small.n_train == N
    np.testing.assert_array_equal(small.trained_on(train.positions), True)
    np.testing.assert_array_equal(small.seen.least, model.seen.least)
    assert not small.trained_on(structures(2, 9)).any()


def test_error_bars_are_those_of_the_model(found):
    model, small, _, _ = found
    barred, both = with_bars(model, 4), with_bars(small, 4)
    R = structures(3, 8)
    std = both.predict(R, warn=False, std=True).forces_std
    np.testing.assert_allclose(std, barred.predict(R, warn=False, std=True).forces_std, rtol=1e-9)


def test_files_keep_them(tmp_path, found):
    from gossamer.model.model_file import _packed

    model, small, train, _ = found
    again = gs.load(small.save(tmp_path / "m.gossamer"))
    for ours, theirs in zip(arrays(again.predict(train)), arrays(small.predict(train)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(again.coefficients[0].X, model.coefficients[0].X)
    assert _packed(small)[0]["version"] == VERSION
    assert _packed(model)[0]["version"] < VERSION


@pytest.mark.parametrize(("name", "value"), [("few_V", None), ("few_X", None), ("few_V", np.zeros((3, 4)))])
def test_damaged_ones_are_named(tmp_path, monkeypatch, found, name, value):
    from gossamer.model import model_file

    packed = model_file._packed

    def damaged(model):
        header, arrays = packed(model)
        arrays.pop(f"terms.0.{name}")
        return header, arrays | ({} if value is None else {f"terms.0.{name}": value})

    monkeypatch.setattr(model_file, "_packed", damaged)
    path = found[1].save(tmp_path / "m.gossamer")
    with pytest.raises(ModelFileError, match=r"damaged \(terms\.0\.few_"):
        gs.load(path)


def test_representatives_of_another_term_are_refused():
    model = problem()[0]
    c = model.coefficients[0]
    for few in (TermCoefficients(c.X[:3], c.V[:2]), TermCoefficients(c.X[:3, :2], c.V[:3, :2])):
        with pytest.raises(UsageError, match=r"its representatives, X .* do not fit 4 pairs"):
            replace(model, coefficients=(replace(c, few=few), *model.coefficients[1:]))


def test_what_cannot_be_judged_is_refused():
    model, train, valid = problem()
    with pytest.raises(UsageError, match="validation structures are needed"):
        gs.condense(model, train, valid.take(slice(0, 0)))
    with pytest.raises(UsageError, match="are not those that the model was trained on"):
        gs.condense(model, valid, train)
    with pytest.raises(UsageError, match="share: -1 given"):
        gs.condense(model, train, valid, share=-1.0)
    with pytest.raises(UsageError, match="condense: True given, which only family 'kernel' can take"):
        gs.reduce(train, valid, family="network", condense=True, force=True)
    with pytest.raises(UsageError, match="validation structures are needed"):
        gs.train(train, terms="local", condense=True, force=True)


def test_training_ends_with_them():
    """The stage makes of the model what `condense` would have made of it."""
    whole = random_model("several", n_train=N)[0]
    train, valid = labelled(whole, N, 0), labelled(whole, 20, 7, 1.0)
    given = {"terms": "local", "learning_steps": 1, "noise": 1e-6, "force": True, "baseline": "none"}
    plain = gs.train(train, valid, **given).model
    small = gs.train(train, valid, condense=True, **given).model
    again = gs.condense(plain, train, valid)
    assert any(c.few is not None for c in small.coefficients)
    assert all(c.few is None for c in plain.coefficients)
    R = SHAPE + 0.05 * np.random.default_rng(3).normal(size=(4, *SHAPE.shape))
    assert arrays(small.predict(R, warn=False))[1].tolist() == arrays(again.predict(R, warn=False))[1].tolist()


def test_a_reduction_ends_with_them():
    """The model that is found is what `condense` would have made of it, and the record tells of it as it is."""
    whole = random_model("several", n_train=N)[0]
    train, valid = labelled(whole, N, 0), labelled(whole, 20, 7, 1.0)
    given = {"terms": "both", "quantiles": (50,), "learning_steps": 1, "noise": 1e-6, "force": True}
    plain, small = (gs.reduce(train, valid, condense=condense, **given) for condense in (False, True))
    again = gs.condense(plain.model, train, valid)
    assert any(c.few is not None for c in small.model.coefficients)
    assert all(c.few is None for c in small.full.coefficients)
    R = SHAPE + 0.05 * np.random.default_rng(3).normal(size=(4, *SHAPE.shape))
    forces = [arrays(model.predict(R, warn=False))[1] for model in (small.model, again, plain.model)]
    assert forces[0].tolist() == forces[1].tolist() != forces[2].tolist()
    assert small.record.chosen.valid_force_rmse == again.errors(valid).force_rmse
    assert small.record.chosen.label == plain.record.chosen.label
    assert [term.rows for term in small.record.terms] == [len(c.X) for c in small.model.summed]
    assert small.record.full == replace(plain.record.full, seconds=small.record.full.seconds)
