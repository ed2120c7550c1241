"""Dipole moments: labels in every dress, the model's symmetries, its fit, and its file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reference
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_masses
from cases import METHYL, NUMBERS, random_model, some_dipoles, structures
from safetensors.numpy import load_file, save_file

import gossamer as gs
from gossamer.backends.choice import of_dipoles
from gossamer.errors import DataError, ModelFileError, UnitsError, UsageError
from gossamer.fitting.dipoles import charge_fragments, train_dipoles
from gossamer.model.dipoles import DipoleModel
from gossamer.model.model_file import _packed
from gossamer.simulate.vibrations import vibrations
from gossamer.units import dipole_in_e_angstrom, dipole_unit

ETHANOL = Path(__file__).parents[1] / "data" / "ethanol_dipoles.npz"
GIVEN = {"terms": "global", "length": 3.0, "noise": 1e-8, "symmetry": METHYL, "force": True}


def turn(seed):
    found = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return found * np.linalg.det(found)


@pytest.fixture(scope="module")
def ethanol():
    return gs.read(ETHANOL)


@pytest.fixture(scope="module")
def learned(ethanol):
    return train_dipoles(ethanol.take(slice(0, 60)), ethanol.take(slice(60, 80)))


# The model ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("charge", [0, -2])
def test_dipoles_are_those_of_the_slow_twin(charge):
    model, R = some_dipoles(charge), structures(7, seed=3)
    wanted = reference.dipoles(model, R)
    np.testing.assert_allclose(model(R), wanted, rtol=0, atol=1e-12)
    compiled = of_dipoles(model)
    assert compiled is not model
    np.testing.assert_allclose(compiled(R), wanted, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(np.concatenate([compiled(R[k : k + 1]) for k in range(7)]), compiled(R))
    with pytest.raises(UsageError, match=r"^positions: shape \(5, 3\)"):
        compiled(R[0, :5])


def test_blocks_of_any_size_agree(monkeypatch):
    model, R = some_dipoles(), structures(7, seed=3)
    whole, gradients = model(R), model.gradients(R)
    monkeypatch.setattr("gossamer.model.dipoles.BLOCK", 3 * 18 * (16 + 9 * 15))
    np.testing.assert_allclose(model(R), whole, rtol=0, atol=1e-13)
    np.testing.assert_allclose(model.gradients(R), gradients, rtol=0, atol=1e-13)


@pytest.mark.parametrize("charge", [0, 1])
def test_dipoles_turn_and_move_with_the_molecule(charge):
    model, R, Q = some_dipoles(charge), structures(3, seed=4), turn(5)
    np.testing.assert_allclose(model(R @ Q.T), model(R) @ Q.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(model(-R), -model(R), rtol=0, atol=1e-12)
    shift = np.array([0.3, -7.0, 2.0])
    np.testing.assert_allclose(model(R + shift), model(R) + charge * shift, rtol=0, atol=1e-11)


def test_equal_atoms_may_be_exchanged():
    model, R = some_dipoles(), structures(3, seed=4)
    for perm in METHYL:
        np.testing.assert_allclose(model(R[:, perm]), model(R), rtol=0, atol=1e-12)
    assert np.abs(model(R[:, [0, 1, 2, 4, 3, 5]]) - model(R)).max() > 1e-3  # a mirror image, which is another


@pytest.mark.parametrize("charge", [0, 1])
def test_gradients_are_the_slope_of_the_dipole(charge):
    model, R, h = some_dipoles(charge), structures(2, seed=6), 1e-5
    found = model.gradients(R)
    for atom, axis in np.ndindex(R.shape[1:]):
        step = np.zeros(R.shape[1:])
        step[atom, axis] = h
        slope = (model(R + step) - model(R - step)) / (2 * h)
        np.testing.assert_allclose(found[:, :, atom, axis], slope, rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.sum(axis=2), charge * np.tile(np.eye(3), (2, 1, 1)), rtol=0, atol=1e-12)


def test_structures_of_another_shape_are_refused():
    with pytest.raises(UsageError, match=r"^positions: shape \(5, 3\), but the model needs \(structures, 6, 3\)"):
        some_dipoles()(np.zeros((5, 3)))
    with pytest.raises(DataError):
        some_dipoles().gradients(np.full((1, 6, 3), np.nan))
    with pytest.raises(UsageError, match=r"^dipoles: their charges are those of other atoms"):
        DipoleModel(NUMBERS[:3], 0, some_dipoles().terms)


# The fit -----------------------------------------------------------------------------------------------------------


def test_dipoles_of_ethanol_are_learned(ethanol, learned):
    test = ethanol.take(slice(80, None))
    error = learned(test.positions) - test.dipoles
    assert np.sqrt((error**2).mean()) < 0.05 * test.dipoles.std()
    assert learned.charge == 0
    again = train_dipoles(ethanol.take(slice(0, 60)), ethanol.take(slice(60, 80)))
    np.testing.assert_array_equal(again(test.positions), learned(test.positions))


def test_the_molecule_s_permutations_are_kept(ethanol, learned):
    perms = gs.find_symmetry(ethanol.positions, ethanol.numbers).perms
    assert len(perms) > 1
    for perm in perms:
        np.testing.assert_allclose(
            learned(ethanol.positions[:3, perm]), learned(ethanol.positions[:3]), rtol=0, atol=1e-9
        )


@pytest.mark.parametrize("charge", [1, -2])
def test_the_charge_of_an_ion_is_found_where_labels_have_one_origin(ethanol, learned, charge):
    rng = np.random.default_rng(7)
    R = ethanol.positions + 0.5 * rng.normal(size=(len(ethanol), 1, 3))
    moved = np.einsum("n,qnd->qd", learned.weights, R)
    ion = replace(ethanol, positions=R, dipoles=ethanol.dipoles + charge * moved)
    found = train_dipoles(ion.take(slice(0, 60)), ion.take(slice(60, 80)))
    assert found.charge == charge
    assert np.abs(found(R[80:]) - ion.dipoles[80:]).max() < 0.1
    odd = replace(ion, dipoles=ethanol.dipoles + 0.4 * moved)
    with pytest.raises(DataError, match=r"dipoles grow by 0\.4\d? e where the molecule is shifted, which no charge"):
        train_dipoles(odd.take(slice(0, 60)), odd.take(slice(60, 80)))


def test_a_molecule_without_fragments_has_one_of_itself():
    R = np.zeros((30, 2, 3))
    R[:, 1, 0] = np.linspace(0.8, 1.3, 30)
    hcl = gs.Dataset(np.array([17, 1]), R, dipoles=0.2 * R[:, 1] ** 2)
    assert [f.is_global for f in charge_fragments(hcl, np.arange(2)[None])] == [True]
    found = train_dipoles(hcl)
    np.testing.assert_allclose(found(R), hcl.dipoles, atol=1e-3)


def test_labels_that_cannot_be_are_refused_in_a_sentence(ethanol):
    train = ethanol.take(slice(0, 20))
    with pytest.raises(DataError, match=r"ethanol_dipoles\.npz: it has no dipoles.*; give data with them"):
        train_dipoles(replace(train, dipoles=None, provenance=replace(train.provenance, read={})))
    dipoles = train.dipoles.copy()
    dipoles[3, 1] = np.nan
    with pytest.raises(DataError, match="the dipole of frame 3 is NaN or infinite; remove that frame"):
        train_dipoles(replace(train, dipoles=dipoles))
    with pytest.raises(DataError, match=r"^dipoles: shape \(20, 2\), expected \(20, 3\)"):
        replace(train, dipoles=train.dipoles[:, :2])
    with pytest.raises(UsageError, match=r"^dipoles: 5 structures to train on; give 10 or more"):
        train_dipoles(train.take(slice(0, 5)))
    with pytest.raises(UsageError, match="other atoms"):
        train_dipoles(train, gs.Dataset(NUMBERS, structures(12), dipoles=np.zeros((12, 3))))


# In a force field --------------------------------------------------------------------------------------------------


def labelled(n=40):
    R = structures(n, seed=1)
    p = random_model("several", n_train=6)[0].predict(R, warn=False)
    return gs.Dataset(NUMBERS, R, p.forces, p.energies, dipoles=some_dipoles()(R))


def test_a_force_field_has_the_dipoles_of_its_data():
    data = labelled()
    train, valid, test = data.take(slice(0, 25)), data.take(slice(25, 32)), data.take(slice(32, 40))
    found = gs.train(train, valid, test, **GIVEN)
    error = found.model.dipoles(test) - test.dipoles
    assert np.sqrt((error**2).mean()) == pytest.approx(found.record.full.dipole_rmse)
    assert found.record.full.dipole_rmse < 0.3 * test.dipoles.std()
    errors = found.model.errors(test)
    assert f"dipoles: MAE {errors.dipole_mae:.3g} e*Angstrom ({errors.dipole_mae / 0.208194:.3g} Debye)" in str(errors)
    assert "with dipoles" in repr(found.model)
    bare = gs.train(train, valid, test, dipoles=False, **GIVEN)
    assert bare.model.dipole_model is None
    assert bare.record.full.dipole_rmse is None
    np.testing.assert_array_equal(bare.model.coefficients[0].V, found.model.coefficients[0].V)
    with pytest.raises(UsageError, match=r"^dipoles: the model has none; train on data with dipoles"):
        bare.model.dipoles(test)
    again = bare.model.with_dipoles(found.model.dipole_model)
    np.testing.assert_array_equal(again.dipoles(test), found.model.dipoles(test))
    with pytest.raises(DataError, match="it has no dipoles"):
        gs.train(replace(train, dipoles=None), valid, dipoles=True, **GIVEN)


def test_dipoles_come_back_from_a_file(tmp_path):
    model = random_model("several")[0].with_dipoles(some_dipoles(-1))
    again, R = gs.load(model.save(tmp_path / "m.gossamer")), structures(3)
    np.testing.assert_array_equal(again.dipoles(R), model.dipoles(R))
    assert again.dipole_model.charge == -1
    with pytest.raises(UsageError, match=r"^dipoles: "):
        model.with_dipoles(replace(some_dipoles(), numbers=NUMBERS[::-1]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"charge": 0.5}, "charge of the dipoles is 0.5"),
        ({"charge": None}, "charge of the dipoles is None"),
        ({"terms": [{"kernel": "none", "length": 1.0}] * 2}, "kernel: 'none' is not known"),
        ({"terms": [{"kernel": "matern52", "length": -1.0}] * 2}, r"dipoles\.0\.length is -1"),
        ({"terms": []}, "belongs to none of their terms"),
        ({"terms": 3}, "must be an object with a list of terms"),
    ],
)
def test_damaged_dipoles_are_named(tmp_path, change, said):
    model = random_model("several")[0].with_dipoles(some_dipoles())
    path = model.save(tmp_path / "m.gossamer")
    header, _ = _packed(model)
    header["dipoles"] |= change
    save_file(load_file(path), path, {"gossamer": json.dumps(header)})
    with pytest.raises(ModelFileError, match=said):
        gs.load(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("0.U", np.zeros((4, 2))),
        ("0.atoms", np.full((3, 3), 9)),
        ("1.fixed", np.full(6, np.inf)),
        ("0.atoms", np.zeros((3, 3), int)),
    ],
)
def test_damaged_arrays_of_dipoles_are_named(tmp_path, key, value):
    model = random_model("several")[0].with_dipoles(some_dipoles())
    path = model.save(tmp_path / "m.gossamer")
    save_file(load_file(path) | {f"dipoles.{key}": value}, path, {"gossamer": json.dumps(_packed(model)[0])})
    with pytest.raises(ModelFileError, match=r"the file is damaged \(dipoles"):
        gs.load(path)


def test_ase_asks_for_dipoles():
    model = random_model("several")[0]
    atoms = Atoms(NUMBERS, structures(1)[0])
    atoms.calc = model.ase(guard="off")
    atoms.get_forces()
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_dipole_moment()
    atoms.calc = model.with_dipoles(some_dipoles()).ase(guard="off")
    atoms.get_forces()
    assert "dipole" not in atoms.calc.results  # it costs, and nobody asked
    np.testing.assert_allclose(atoms.get_dipole_moment(), some_dipoles()(atoms.positions[None])[0], rtol=0, atol=1e-12)
    atoms.positions[3] += 0.1
    np.testing.assert_allclose(atoms.get_dipole_moment(), some_dipoles()(atoms.positions[None])[0], rtol=0, atol=1e-12)


def test_infrared_intensities_are_squares_of_the_dipole_s_slope_along_modes():
    model = random_model("several")[0].with_dipoles(some_dipoles())
    R, h = structures(1)[0], 1e-4
    found, masses = vibrations(model, R), atomic_masses[NUMBERS]
    for mode, intensity in zip(found.modes, found.intensities, strict=True):
        step = h * mode / np.sqrt((masses[:, None] * mode**2).sum())  # h in Angstrom times the root of u
        slope = (model.dipoles(R + step) - model.dipoles(R - step))[0] / (2 * h) / 0.2081943  # Debye/Angstrom/root(u)
        assert intensity == pytest.approx(42.2561 * slope @ slope, rel=1e-4, abs=1e-6)  # the textbooks' factor
    assert vibrations(model.with_dipoles(None), R).intensities is None


# Labels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "unit"),
    [("eA", "e*Angstrom"), ("e*Å", "e*Angstrom"), ("e Angstrom", "e*Angstrom"), ("D", "Debye"), ("debyes", "Debye"),
     ("au", "e*Bohr"), ("e*a0", "e*Bohr"), ("ea0", "e*Bohr"), ("e*Bohr", "e*Bohr")],
)  # fmt: skip
def test_units_of_dipoles_are_spelled_as_people_do(said, unit):
    assert dipole_unit(said) == unit
    assert dipole_in_e_angstrom(unit) == pytest.approx(
        {"e*Angstrom": 1, "Debye": 0.20819434, "e*Bohr": 0.52917721}[unit]
    )


@pytest.mark.parametrize("said", ["e", "e*e", "Angstrom", "e/Angstrom", "Debye/e", "e*nm", "eV", ""])
def test_units_that_are_none_of_a_dipole_are_refused(said):
    with pytest.raises(UnitsError, match=r"dipole unit .* is not known; use one of e\*Angstrom, Debye, e\*Bohr"):
        dipole_unit(said)


@pytest.mark.parametrize("suffix", [".npz", ".extxyz", ".traj", ".db"])
def test_dipoles_are_written_and_read(tmp_path, ethanol, suffix):
    data = ethanol.take(slice(0, 4))
    gs.write(data, tmp_path / f"d{suffix}")
    back = gs.read(tmp_path / f"d{suffix}")
    np.testing.assert_allclose(back.dipoles, data.dipoles, rtol=0, atol=1e-15)
    assert "e*Angstrom" in back.provenance.read["dipoles"]
    assert gs.read(tmp_path / f"d{suffix}", labels=False).dipoles is None


def arrays(data, **more):
    return {"z": data.numbers, "R": data.positions, "E": data.energies, "F": data.forces, "e_unit": "eV",
            "r_unit": "Ang"} | more  # fmt: skip


@pytest.mark.parametrize("key", ["D", "dipoles", "Dipole_Moment", "dipole_Debye"])
def test_arrays_of_dipoles_have_a_unit_or_are_left_out(tmp_path, ethanol, key):
    data, path = ethanol.take(slice(0, 4)), tmp_path / "d.npz"
    inside = data.dipoles / 0.20819433442462576
    np.savez(path, **arrays(data, **{key: inside, "dipole_unit": "Debye"}))
    np.testing.assert_allclose(gs.read(path).dipoles, data.dipoles, rtol=1e-12)
    np.savez(path, **arrays(data, **{key: inside}))
    if key != "dipole_Debye":
        silent = gs.read(path)
        assert silent.dipoles is None
        assert f"'{key}' not read: nothing says their unit" in silent.provenance.read["dipoles"]
        with pytest.raises(DataError, match=f"no dipoles .*'{key}' not read: nothing says their unit"):
            silent.labelled_dipoles()
    np.testing.assert_allclose(gs.read(path, dipole_unit="D").dipoles, data.dipoles, rtol=1e-12)


def test_what_is_no_dipole_is_left_out_and_named(tmp_path, ethanol):
    data, path = ethanol.take(slice(0, 4)), tmp_path / "d.npz"
    np.savez(path, **arrays(data, D=np.zeros((4, 2)), D_unit="Debye"))
    found = gs.read(path)
    assert found.dipoles is None
    assert "'D' not read: it holds no vector per structure" in found.provenance.read["dipoles"]
    np.savez(path, **arrays(data, D=np.array([None] * 4), D_unit="Debye"), allow_pickle=True)
    assert gs.read(path).dipoles is None
    np.savez(path, **arrays(data, D=np.full((4, 3), np.nan), D_unit="Debye"))
    with pytest.raises(DataError, match="the dipoles of 4 of 4 frames hold NaN"):
        gs.read(path)
    with pytest.raises(UnitsError, match="dipole unit 'furlong' is not known"):
        gs.read(path, dipole_unit="furlong")


def test_frames_of_xyz_have_dipoles(tmp_path):
    def frame(comment):
        return f"3\nenergy=-1.0 energy_unit=eV {comment}\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"

    path = tmp_path / "w.xyz"
    path.write_text(frame('dipole="0.1 0.2 -0.3" dipole_unit=eA') + frame('dipole="[1, 2, 3]" dipole_unit=eA'))
    np.testing.assert_array_equal(gs.read(path).dipoles, [[0.1, 0.2, -0.3], [1, 2, 3]])
    path.write_text(frame('dipole_Debye="1 0 0"'))
    np.testing.assert_allclose(gs.read(path).dipoles, [[0.20819433, 0, 0]])
    path.write_text(frame('dipole="0.1 0.2 -0.3"') + frame("charge=0"))
    found = gs.read(path)
    assert found.dipoles is None
    assert found.provenance.read["dipoles"] == "comment key 'dipole' not read: 1 of 2 frames have none"
    path.write_text(frame('dipole="0.1 0.2 -0.3"') + frame('dipole="0.1 0.2 0.3"'))
    assert "nothing says their unit" in gs.read(path).provenance.read["dipoles"]
    path.write_text(frame('dipole="1 0 0" dipole_unit=Debye Lattice="9 0 0 0 9 0 0 0 9" pbc="T T T"'))
    assert "periodic box" in gs.read(path).provenance.read["dipoles"]


def test_atoms_give_their_dipoles(ethanol):
    images = [ethanol.atoms(k) for k in range(3)]
    for k, atoms in enumerate(images):
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, dipole=ethanol.dipoles[k])
    np.testing.assert_array_equal(gs.Dataset.from_atoms(images).dipoles, ethanol.dipoles[:3])
    images[1].calc = SinglePointCalculator(images[1], energy=0.0)
    with pytest.raises(DataError, match="frame 1 has no dipole, but others have"):
        gs.Dataset.from_atoms(images)


def test_data_sets_keep_their_dipoles(ethanol):
    assert repr(ethanol).endswith("forces and energies and dipoles)")
    part = ethanol.take([5, 2])
    np.testing.assert_array_equal(part.dipoles, ethanol.dipoles[[5, 2]])
    bare = replace(part, dipoles=None)
    assert bare.fingerprint != part.fingerprint
    found = gs.inspect(ethanol)
    assert found.dipoles == pytest.approx((0.26, 0.57), abs=0.1)
    assert any("energies, forces and dipoles" in finding.message for finding in found.findings)
