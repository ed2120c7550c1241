"""The public edge: what calls take, what they return, and how it prints."""

from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import get_type_hints

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from cases import METHYL, NUMBERS, arrays, random_model, structures

import gossamer as gs
from gossamer.errors import DataError, UsageError
from gossamer.fitting.options import ARGUMENTS, Options

GIVEN = {"terms": "global", "length": 3.0, "noise": 1e-8, "symmetry": METHYL, "force": True}


@pytest.fixture(scope="module")
def model():
    return random_model("several", n_train=6)[0]


@pytest.fixture(scope="module")
def data(model):
    R = structures(40, seed=1)
    p = model.predict(R, warn=False)
    return gs.Dataset(NUMBERS, R, p.forces, p.energies)


@pytest.fixture(scope="module")
def found(data):
    return gs.train(data.take(slice(0, 20)), data.take(slice(20, 30)), data.take(slice(30, 40)), **GIVEN)


# Structures in, predictions out ------------------------------------------------------------------------------------


def test_structures_come_in_any_dress(model):
    R = structures(3, seed=2)
    images = [Atoms(NUMBERS, r) for r in R]
    wanted = model.predict(R, warn=False)
    for given in (images, tuple(images), gs.Dataset(NUMBERS, R), R.tolist(), list(R)):
        for a, b in zip(arrays(model.predict(given, warn=False)), arrays(wanted), strict=True):
            np.testing.assert_array_equal(a, b)
    for given in (images[1], R[1], images[1:2]):
        one = model.predict(given, warn=False)
        assert one.energies.shape == (1,)
        np.testing.assert_allclose(one.forces[0], wanted.forces[1], rtol=0, atol=1e-12)


def test_other_atoms_are_refused(model):
    R = structures(2, seed=2)
    with pytest.raises(UsageError, match=r"^atoms: C2H3O differs from the model's atoms in their order, first at"):
        model.predict(Atoms(NUMBERS[::-1], R[0]))
    with pytest.raises(UsageError, match=r"^frame 1: .* differs"):
        model.predict([Atoms(NUMBERS, R[0]), Atoms(NUMBERS[::-1], R[1])])
    with pytest.raises(UsageError, match="the cell is periodic"):
        model.predict(Atoms(NUMBERS, R[0], cell=[9, 9, 9], pbc=True))
    with pytest.raises(UsageError, match="other atoms, or another order"):
        model.predict(gs.Dataset(NUMBERS[::-1].copy(), R))
    with pytest.raises(UsageError, match=r"positions: shape \(0,\)"):
        model.predict([])


def test_far_structures_of_a_dataset_are_named_by_frame(model):
    R = structures(5, seed=2)
    R[3, 3] = R[3, 0] + 9.0
    far = gs.Dataset(NUMBERS, R, provenance=gs.Dataset(NUMBERS, R).provenance, indices=np.arange(100, 105))
    with pytest.warns(gs.errors.ExtrapolationWarning, match="frame 103"):
        model.predict(far)


def test_a_prediction_is_frozen(model):
    p = model.predict(structures(2), warn=False)
    assert isinstance(p, gs.Prediction)
    with pytest.raises(FrozenInstanceError):
        p.energies = None
    assert repr(p).startswith("Prediction(2 structures of 6 atoms, energies ")
    assert repr(p).endswith(" eV/Angstrom)")


def test_data_sets_are_made_of_atoms(data):
    images = [data.atoms(k) for k in range(3)]
    for k, atoms in enumerate(images):
        atoms.calc = SinglePointCalculator(atoms, energy=data.energies[k], forces=data.forces[k])
        atoms.set_constraint(FixAtoms([0]))
    back = gs.Dataset.from_atoms(images)
    assert back.fingerprint == data.take(slice(0, 3)).fingerprint
    images[1].calc = None
    with pytest.raises(DataError, match="frame 1 has no forces"):
        gs.Dataset.from_atoms(images)
    for atoms in images:
        atoms.calc = EMT()  # has nothing at hand
    bare = gs.Dataset.from_atoms(images)
    assert bare.forces is None
    assert bare.energies is None
    assert len(gs.Dataset.from_atoms(images[0])) == 1
    with pytest.raises(DataError, match="frame 1 or their order differ from frame 0"):
        gs.Dataset.from_atoms([images[0], images[0][::-1]])
    images[2].pbc = True
    with pytest.raises(DataError, match="frame 2 has a periodic cell"):
        gs.Dataset.from_atoms(images)
    with pytest.raises(DataError, match="no structures"):
        gs.Dataset.from_atoms([])


def test_moved_atoms_have_no_labels_of_before(data):
    atoms = data.atoms(0)
    atoms.calc = SinglePointCalculator(atoms, forces=data.forces[0])
    atoms.positions += 0.1
    assert gs.Dataset.from_atoms([atoms]).forces is None


# How results print -------------------------------------------------------------------------------------------------


def test_errors_print_with_units():
    errors = gs.Errors(0.0282, 0.041, 0.0123, 0.02)
    assert str(errors).splitlines() == [
        "forces: MAE 28.2 meV/Angstrom (0.65 kcal/mol/Angstrom), RMSE 41 meV/Angstrom (0.945 kcal/mol/Angstrom)",
        "energies: MAE 12.3 meV (0.284 kcal/mol), RMSE 20 meV (0.461 kcal/mol)",
    ]
    assert "\n" not in repr(errors)
    assert len(str(gs.Errors(0.1, 0.2)).splitlines()) == 1
    assert "-3.25 eV" in str(gs.Errors(0.1, 0.2, 0.1, 0.2, -3.25))


def test_everything_public_prints_on_one_line(found, data):
    model = found.model
    shown = [
        found, model, model.terms[0], model.pairs, model.coefficients[0], data, data.split(10, 5), found.record,
        found.symmetry, gs.Fragment(np.array([0, 1, 2]), np.arange(3)[None], "bent"), model.predict(data),
        found.settings, model.test(data, force=True), model.evaluator(), *random_model("several")[0].terms,
    ]  # fmt: skip
    for thing in shown:
        assert "\n" not in repr(thing), type(thing)
        assert len(repr(thing)) < 500, type(thing)
    assert repr(model) == "ForceField(C2H3O: 6 atoms, 1 term, 15 pairs, 20 training structures)"
    assert repr(data) == "Dataset(40 structures of C2H3O, 6 atoms, forces and energies)"


# Results of training -----------------------------------------------------------------------------------------------


def test_training_returns_a_result(found, data):
    assert is_dataclass(found)
    assert isinstance(found, gs.TrainResult)
    with pytest.raises(FrozenInstanceError):
        found.test = None
    assert not hasattr(found, "predict")  # it is no model
    assert isinstance(found.record, gs.TrainRecord)
    assert found.record is found.record
    assert found.record.full.tested_on == "test"
    assert found.record.full.force_rmse == found.model.errors(data.take(slice(30, 40))).force_rmse
    assert (found.settings.length, found.status) == (3.0, found.record.full.status)


def test_history_is_that_of_the_solver(data):
    found = gs.train(data.take(slice(0, 20)), data.take(slice(20, 30)), solver="cg", **GIVEN)
    assert found.history[-1].residual < found.history[0].residual
    assert [step.iteration for step in found.record.history] == [step.iteration for step in found.history]


def test_settings_and_keywords_are_the_same(data):
    train = data.take(slice(0, 20))
    settings = gs.Settings(length=3.0, noise=1e-8)
    one = gs.train(train, settings=settings, terms="global", symmetry=METHYL, force=True)
    two = gs.train(train, settings=gs.Settings(length=4.0, noise=1e-8), **GIVEN)
    assert one.settings == two.settings
    np.testing.assert_array_equal(one.model.coefficients[0].V, two.model.coefficients[0].V)


def test_keywords_are_those_of_settings():
    assert get_type_hints(Options) == get_type_hints(gs.Settings)


@pytest.mark.parametrize(
    ("given", "meant"),
    [("lenght", "length"), ("nois", "noise"), ("symetry", "symmetry"), ("max_image", "max_images"), ("term", "terms")],
)
@pytest.mark.parametrize("call", [gs.train, gs.reduce, gs.estimate])
def test_unknown_options_name_the_nearest(data, call, given, meant):
    with pytest.raises(UsageError, match=f"^options: {given} is not known; did you mean {meant}\\?$"):
        call(data, data, **{given: 1})
    with pytest.raises(UsageError, match="zzz is not known; use length, noise, "):
        call(data, data, zzz=1)


def test_arguments_that_are_named_exist():
    from inspect import signature

    known = {name for call in (gs.train, gs.reduce) for name in signature(call).parameters}
    assert set(ARGUMENTS) <= known
    assert not set(ARGUMENTS) & {item.name for item in fields(gs.Settings)}


def test_every_public_name_is_there_and_documented():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    for name in gs.__all__:
        assert getattr(gs, name) is not None
        assert f"`{name}`" in text, name
