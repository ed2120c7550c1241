"""Error bars: fitted, calibrated, kept in files, and the same for one structure and for many."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from cases import METHYL, NUMBERS, pair_functions, random_model, structures, with_bars

import gossamer as gs
from gossamer.data.dataset import Dataset, LabelStd
from gossamer.errors import ModelFileError, UsageError
from gossamer.fitting.error_bars import MEMBERS, calibration, error_bars_of, folds_of, power_calibration
from gossamer.model.error_bars import reliability, spread_of_vectors
from gossamer.model.model_file import _packed, load
from gossamer.records.record import from_json

N_TRAIN = 2 * MEMBERS


def model_with_bars(*, energies=False, functions=None):
    """Coefficients are random, those of members too."""
    model, _, _ = random_model("several", n_train=N_TRAIN, energies=energies, functions=functions)
    return with_bars(model, MEMBERS)


def small_problem(n_valid=12, energies=True):
    """Structures of a force field of springs, to train and to calibrate on."""
    teacher, _, _ = random_model("methyl", n_train=4, seed=5)
    R = structures(N_TRAIN + n_valid, seed=11)
    p = teacher.predict(R)
    data = Dataset(NUMBERS, R, p.forces, p.energies if energies else None)
    return data.take(np.arange(N_TRAIN)), data.take(np.arange(N_TRAIN, len(R)))


def fitted(**options):
    train, valid = small_problem(energies=options.pop("label_energies", True))
    return gs.train(train, valid, terms="global", length=20.0, relative_noise=1e-4, symmetry=METHYL, force=True,
                    error_bars=True, device="cpu", **options), valid  # fmt: skip


def test_folds_are_disjoint_equal_and_seeded():
    folds = folds_of(83, seed=3)
    counts = np.bincount(folds, minlength=MEMBERS)
    assert len(folds) == 83
    assert counts.sum() == 83
    assert counts.max() - counts.min() == 1
    np.testing.assert_array_equal(folds, folds_of(83, seed=3))
    assert np.any(folds != folds_of(83, seed=4))
    assert len(set(folds[:MEMBERS].tolist())) < MEMBERS  # drawn by chance, not in turn


@pytest.mark.parametrize("energies", [False, True])
@pytest.mark.parametrize("functions", [None, pair_functions()], ids=["terms", "pairs"])
def test_one_and_many_are_the_reference(energies, functions):
    model, R = model_with_bars(energies=energies, functions=functions), structures(4, seed=2)
    expected = reference.deviations(model, R)
    p = model.predict(R, std=True, precision="float64", warn=False)
    for ours, theirs in zip((p.energy_std, p.forces_std), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)
    one = model.evaluator(precision="float64").std.one(R[1])
    np.testing.assert_allclose(one[0], expected[0][1], rtol=1e-8)
    np.testing.assert_allclose(one[1], expected[1][1], rtol=1e-8, atol=1e-10)
    plain = model.predict(R, warn=False)
    assert plain.energy_std is None
    assert plain.forces_std is None


def test_members_that_agree_have_no_deviation():
    model = model_with_bars()
    bars = model.error_bars
    alike = replace(bars, V=tuple(np.zeros_like(V) for V in bars.V), constants=np.full(MEMBERS, 2.0))
    p = replace(model, error_bars=alike).predict(structures(3), std=True, warn=False)
    np.testing.assert_array_equal(p.energy_std, 0)
    np.testing.assert_array_equal(p.forces_std, 0)


def test_a_model_comes_with_the_members_it_was_given():
    found, valid = fitted()
    bars = found.model.error_bars
    np.testing.assert_array_equal(bars.folds, folds_of(N_TRAIN, seed=0))
    members = bars.members(found.model)
    train = found.train
    for k in (0, MEMBERS - 1):
        part = gs.train(train.take(np.flatnonzero(bars.folds == k)), valid, terms="global", length=20.0,
                        noise=found.settings.noise, symmetry=METHYL, force=True, device="cpu")  # fmt: skip
        ours, theirs = members[k].predict(valid.positions), part.model.predict(valid.positions)
        np.testing.assert_allclose(ours.forces, theirs.forces, atol=1e-9 * np.abs(theirs.forces).max())
        apart = ours.energies - theirs.energies
        np.testing.assert_allclose(apart, apart.mean(), atol=1e-9)
        np.testing.assert_allclose(ours.energies.mean(), found.model.predict(valid.positions).energies.mean())


@pytest.mark.parametrize("label_energies", [False, True])
def test_deviations_have_the_size_of_the_errors_they_were_calibrated_on(label_energies):
    found, valid = fitted(label_energies=label_energies)
    p = found.model.predict(valid.positions, std=True)
    np.testing.assert_allclose((((p.forces - valid.forces) / p.forces_std) ** 2).mean(), 1, rtol=1e-6)
    bars = found.model.error_bars
    if label_energies:
        np.testing.assert_allclose((p.energy_std**2).mean(), ((p.energies - valid.energies) ** 2).mean(), rtol=1e-6)
    else:
        members = bars.members(found.model)
        spreads = spread_of_vectors(np.array([m.predict(valid.positions, warn=False).forces for m in members]))
        assert bars.energy_factor == pytest.approx(calibration(p.forces - valid.forces, spreads))


def test_calibration_is_the_ratio_of_the_sizes():
    assert calibration(np.array([3.0, -4.0]), np.array([1.0, 7.0])) == pytest.approx(0.5**0.5)
    assert calibration(np.array([3.0]), np.zeros(1)) == 0.0


def test_the_power_of_the_spread_is_found():
    rng = np.random.default_rng(0)
    spreads = np.exp(rng.normal(size=20000))
    factor, power = power_calibration(0.3 * spreads**0.7 * rng.normal(size=20000), spreads)
    assert factor == pytest.approx(0.3, rel=0.03)
    assert power == pytest.approx(0.7, abs=0.03)
    assert power_calibration(np.ones(3), np.zeros(3)) == (0.0, 1.0)
    assert power_calibration(np.zeros(3), np.ones(3))[0] == 0.0


def test_baselines_have_no_deviation():
    model = model_with_bars()
    wall, _, _ = random_model("methyl", seed=8)
    from gossamer.model.model_baseline import ModelBaseline

    R = structures(3, seed=4)
    plain = model.predict(R, std=True, warn=False)
    walled = replace(model, baselines=(ModelBaseline(wall),)).predict(R, std=True, warn=False)
    assert np.any(walled.energies != plain.energies)
    np.testing.assert_array_equal(walled.forces_std, plain.forces_std)


def test_symmetric_structures_have_equal_deviations():
    found, _ = fitted()
    R = structures(1, seed=21)[0]
    p = found.model.predict(np.array([R[perm] for perm in METHYL]), std=True, warn=False)
    np.testing.assert_allclose(p.energy_std, p.energy_std[0], rtol=1e-8)
    for row, perm in enumerate(METHYL):
        np.testing.assert_allclose(p.forces_std[row], p.forces_std[0][perm], rtol=1e-7, atol=1e-12)


def test_turned_structures_have_equal_deviations():
    model, R = model_with_bars(), structures(2, seed=5)
    q, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(3, 3)))
    ours, theirs = (model.predict(at, std=True, warn=False) for at in (R, R @ q))
    np.testing.assert_allclose(ours.forces_std, theirs.forces_std, rtol=1e-8)


@pytest.mark.parametrize("energies", [False, True])
@pytest.mark.parametrize("functions", [None, pair_functions()], ids=["terms", "pairs"])
def test_files_keep_error_bars(tmp_path, energies, functions):
    model, R = model_with_bars(energies=energies, functions=functions), structures(2)
    again = load(model.save(tmp_path / "m.gossamer"))
    ours, theirs = (m.predict(R, std=True, warn=False) for m in (model, again))
    np.testing.assert_array_equal(ours.energy_std, theirs.energy_std)
    np.testing.assert_array_equal(ours.forces_std, theirs.forces_std)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("folds", np.zeros(N_TRAIN, dtype=np.int64)),
        ("folds", np.arange(N_TRAIN)),
        ("folds", np.arange(3)),
        ("constants", np.full(MEMBERS, np.nan)),
        ("constants", np.zeros(1)),
        ("0.V", np.zeros((2, 2))),
        ("1.V", None),
        ("1.w", np.zeros(2)),
        ("7.V", np.zeros((2, 2))),
        ("functions", np.zeros(3)),
    ],
)
def test_damaged_error_bars_are_named(tmp_path, name, value):
    import json

    from safetensors.numpy import save_file

    header, arrays = _packed(model_with_bars(functions=pair_functions()))
    arrays = {key: a for key, a in arrays.items() if key != f"error_bars.{name}"}
    if value is not None:
        arrays[f"error_bars.{name}"] = value
    save_file(arrays, tmp_path / "m.gossamer", {"gossamer": json.dumps(header)})
    with pytest.raises(ModelFileError, match=r"error.bars"):
        load(tmp_path / "m.gossamer")


def test_a_model_without_says_so():
    model, _, _ = random_model("plain")
    with pytest.raises(UsageError, match="std: the model has no error bars"):
        model.predict(structures(1), std=True)


def test_too_few_structures_are_refused():
    train, valid = small_problem()
    options = {"terms": "global", "length": 20.0, "error_bars": True, "force": True}
    with pytest.raises(UsageError, match="error_bars: 0 validation structures"):
        gs.train(train, **options)
    with pytest.raises(UsageError, match="error_bars: 15 training structures given, and 8 folds of them need 16"):
        gs.train(train.take(np.arange(15)), valid, **options)
    with pytest.raises(UsageError, match="error_bars: `reduce` gives none"):
        gs.reduce(train, valid, error_bars=True)


def test_error_bars_of_another_model_are_refused():
    model, _, _ = random_model("plain")
    with pytest.raises(UsageError, match="error bars: they do not fit"):
        replace(model, error_bars=model_with_bars().error_bars)


def test_members_need_not_have_one_scale():
    model = model_with_bars()
    bars = model.error_bars
    valid = Dataset(NUMBERS, structures(12, seed=3), np.ones((12, 6, 3)))
    members = [replace(m, scale=m.scale * (1 + k)) for k, m in enumerate(bars.members(model))]
    again = error_bars_of(model, members, bars.folds, valid)
    for k, (mine, theirs) in enumerate(zip(again.members(model), members, strict=True)):
        R = structures(2, seed=k)
        np.testing.assert_allclose(
            mine.predict(R, warn=False).forces, theirs.predict(R, warn=False).forces, rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("suffix", [".extxyz", ".npz", ".traj", ".db"])
def test_written_deviations_are_read_as_no_labels(tmp_path, suffix):
    R = structures(3)
    model = model_with_bars()
    p = model.predict(R, std=True, warn=False)
    path = tmp_path / f"m{suffix}"
    gs.write(Dataset(NUMBERS, R, p.forces, p.energies), path, std=LabelStd(p.energy_std, p.forces_std))
    again = gs.read(path)
    np.testing.assert_allclose(again.energies, p.energies, rtol=1e-12)
    np.testing.assert_allclose(again.forces, p.forces, rtol=1e-12)


def test_units_of_written_deviations(tmp_path):
    R = structures(2)
    p = model_with_bars().predict(R, std=True, warn=False)
    data, std = Dataset(NUMBERS, R, p.forces, p.energies), LabelStd(p.energy_std, p.forces_std)
    units = {"energy_unit": "kcal/mol", "length_unit": "Bohr"}
    gs.write(data, tmp_path / "m.npz", std=std, **units)
    gs.write(data, tmp_path / "m.extxyz", std=std, **units)
    gs.write(data, tmp_path / "ev.extxyz", std=std)
    with np.load(tmp_path / "m.npz") as file:
        np.testing.assert_allclose(file["F_std"] / file["F"], p.forces_std / p.forces, rtol=1e-10)
        np.testing.assert_allclose(file["E_std"][:, 0] / file["E"][:, 0], p.energy_std / p.energies, rtol=1e-10)
        of_npz = file["F_std"]
    import ase.io

    images = ase.io.read(tmp_path / "m.extxyz", ":")
    np.testing.assert_allclose([image.arrays["forces_std"] for image in images], of_npz, rtol=1e-10)
    np.testing.assert_allclose([image.info["energy_std"] for image in ase.io.read(tmp_path / "ev.extxyz", ":")],
                               p.energy_std, rtol=1e-12)  # fmt: skip


def test_the_calculator_gives_deviations_where_asked():
    from ase import Atoms

    model, R = model_with_bars(), structures(1)[0]
    atoms = Atoms(NUMBERS, R)
    atoms.calc = model.ase(guard="off")
    atoms.get_forces()
    assert "energy_std" not in atoms.calc.results
    p = model.predict(R, std=True, warn=False)
    assert atoms.calc.get_property("energy_std", atoms) == pytest.approx(p.energy_std[0], rel=1e-8)
    assert "forces_std" not in atoms.calc.results  # they cost more
    assert atoms.get_potential_energy() == pytest.approx(p.energies[0], rel=1e-10)
    np.testing.assert_allclose(atoms.calc.get_property("forces_std", atoms), p.forces_std[0], rtol=1e-8)
    assert atoms.calc.results["energy_std"] == pytest.approx(p.energy_std[0], rel=1e-8)
    atoms.calc = random_model("plain")[0].ase(guard="off")
    with pytest.raises(UsageError, match="std: the model has no error bars"):
        atoms.calc.get_property("energy_std", atoms)


def test_reliability_counts_what_it_says():
    rng = np.random.default_rng(0)
    std = np.exp(rng.normal(size=20000))
    found = reliability(std, 2 * std * rng.normal(size=20000))
    np.testing.assert_allclose(found.ratios, 2, rtol=0.07)
    assert found.ratio == pytest.approx(2, rel=0.05)
    assert list(found.predicted) == sorted(found.predicted)
    expected = [0.2641, 0.381, 0.5891, 0.6729]  # of a normal distribution twice as wide
    np.testing.assert_allclose(found.coverage, expected, atol=0.012)


def test_the_record_has_the_reliability():
    found, _ = fitted()
    record = found.record
    assert record.error_bars is not None
    assert len(record.error_bars.forces.predicted) == 10
    assert from_json(record.to_json()) == record
