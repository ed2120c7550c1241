"""npz, HDF5, QCSchema JSON and databases: arrays under any name, units as declared, and nothing believed further than
the file goes.  The files in data/cases are ours."""

import json
import struct
import sys
import zipfile
from pathlib import Path

import ase.db
import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, Hartree, kcal, mol
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gossamer.data.formats import apart, hdf5, read
from gossamer.data.formats.raw import Options, to_dataset
from gossamer.errors import DataError, GossamerError, UnitsError, UsageError

CASES = Path(__file__).parents[1] / "data" / "cases"
NUMBERS = np.array([8, 1, 1])
WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
RNG = np.random.default_rng(0)
R = WATER + 0.05 * RNG.normal(size=(4, 3, 3))
E = RNG.normal(size=4) - 76
F = RNG.normal(size=(4, 3, 3))
EV = {"energy_unit": "eV"}
# C2H4Cl2 of cases 09 and 15: the first chlorine in frame 0, and the energy
CHLORINE, FORCE, ENERGY = [-1.58661332, -0.34248382, -1.09432825], [-0.08551661, -0.1454887, -0.08542452], -419.41595086


def npz(path, **content):
    np.savez(path, **content)
    return path


def check(data, atol=1e-12):
    assert np.array_equal(data.numbers, NUMBERS)
    np.testing.assert_allclose(data.positions, R, atol=atol)
    np.testing.assert_allclose(data.energies, E, atol=atol)
    np.testing.assert_allclose(data.forces, F, atol=atol)


# names


@pytest.mark.parametrize(
    "content",
    [
        {"Z": NUMBERS, "R": R, "E": E, "F": F},
        {"species": np.array(["O", "H", "H"]), "coordinates": R, "energies": E, "forces": F},
        {"species": np.array([b"O", b"H", b"h"]), "coordinates": R, "energies": E, "forces": F},
        {"atomic_numbers": NUMBERS, "geometry": R, "energy_ele_method": E, "grads_method": -F},
        {"N": np.full(4, 3), "Z": np.tile(NUMBERS, (4, 1)), "R": R, "E": E, "F": F, "Q": np.zeros(4)},
        {"atomic_numbers": NUMBERS, "positions": R.reshape(4, 9), "Energy": E[:, None], "gradient": -F.reshape(4, 9)},
        {"z": NUMBERS.astype(float), "R": R, "E": E, "F": F, "gradients": -F},
        {
            "nuclear_charges": NUMBERS,
            "coords": R,
            "energies": E,
            "forces": F,
            "old_energies": E + 1,
            "old_forces": F * 2,
        },
        {"z": NUMBERS, "R": R, "PBE_energy": E, "PBE_forces": F, "dipole": np.zeros((4, 3)), "energy_std": np.ones(1)},
    ],
)
def test_names_that_people_use(tmp_path, content):
    check(read(npz(tmp_path / "a.npz", **content), **EV))


@pytest.mark.parametrize("zero", [0, -1])
def test_padding_is_left_out(tmp_path, zero):
    pad = np.zeros((4, 2, 3))
    z = np.tile(np.concatenate([NUMBERS, [zero, zero]]), (4, 1))
    data = read(npz(tmp_path / "a.npz", z=z, R=np.hstack([R, pad]), E=E, F=np.hstack([F, pad])), **EV)
    check(data)
    assert "2 atoms with number 0" in data.provenance.read["padding"]


def test_padding_that_has_forces_or_moves_is_refused(tmp_path):
    pad = np.ones((4, 1, 3))
    z = np.tile([8, 1, 1, 0], (4, 1))
    with pytest.raises(DataError, match="0 for atoms that have forces"):
        read(npz(tmp_path / "a.npz", z=z, R=np.hstack([R, pad]), F=np.hstack([F, pad])), **EV)
    z[2] = [8, 1, 0, 1]
    with pytest.raises(DataError, match="padding"):
        read(npz(tmp_path / "b.npz", z=z, R=np.hstack([R, pad])), **EV)
    z[2] = [8, 1, 0, 0]
    with pytest.raises(DataError, match="frame 2 is HO but frame 0 is H2O"):
        read(npz(tmp_path / "c.npz", z=z, R=np.hstack([R, pad])), **EV)


def test_arrays_can_be_named(tmp_path):
    path = npz(tmp_path / "a.npz", a=NUMBERS, b=R, c=E, d=F, e=-F)
    keys = {"positions_key": "b", "numbers_key": "a", "energy_key": "c"}
    check(read(path, **EV, **keys, forces_key="d"))
    check(read(path, **EV, **keys, gradients_key="e"))
    for key in ("positions_key", "numbers_key", "energy_key", "forces_key", "gradients_key"):
        with pytest.raises(UsageError, match="no array 'nix'; it has a, b, c, d, e"):
            read(path, **EV, **(keys | {key: "nix"}))
    with pytest.raises(UsageError, match="leave one out"):
        read(path, **EV, **keys, forces_key="d", gradients_key="e")
    with pytest.raises(DataError, match="--positions-key"):
        read(path, **EV)


@pytest.mark.parametrize(
    ("more", "option"),
    [
        ({"energies": E + 1}, "--energy-key"),
        ({"coords": R + 1}, "--positions-key"),
        ({"forces": F * 2}, "--forces-key"),
        ({"gradients": F}, "--gradients-key gradients"),
        ({"nuclear_charges": np.array([8, 1, 6])}, "--numbers-key"),
    ],
)
def test_two_arrays_that_may_be_meant_are_asked_about(tmp_path, more, option):
    with pytest.raises(UsageError, match=option):
        read(npz(tmp_path / "a.npz", z=NUMBERS, R=R, E=E, F=F, **more), **EV)


def test_labels_are_not_looked_at_where_positions_are_all(tmp_path):
    path = npz(tmp_path / "a.npz", z=NUMBERS, R=R, E=E, energies=E + 1, F=F)
    data = read(path, labels=False)
    assert data.energies is None
    assert data.forces is None
    np.testing.assert_allclose(data.positions, R)


@pytest.mark.parametrize("field", ["energy_unit", "energy_units", "e_unit", "unit_energy"])
def test_units_in_an_npz(tmp_path, field):
    path = npz(tmp_path / "a.npz", z=NUMBERS, R=R / Bohr, E=E / Hartree, F=F / Hartree * Bohr, r_unit="bohr",
               **{field: "hartree"})  # fmt: skip
    check(read(path), atol=1e-7)


@pytest.mark.parametrize(
    ("units", "energy", "force"),
    [("eV", 1, 1), ("au", Hartree, Hartree / Bohr), ("Ha, Ha/Bohr", Hartree, Hartree / Bohr)],
)
def test_one_field_for_all_units(tmp_path, units, energy, force):
    path = npz(tmp_path / "a.npz", z=NUMBERS, R=R, E=E / energy, F=F / force, units=units)
    check(read(path), atol=1e-7)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("water")
        group["z"], group["R"], group["E"], group["F"] = NUMBERS, R, E / energy, F / force
        file.attrs["units"] = units
    check(read(tmp_path / "a.h5"), atol=1e-7)


def test_units_in_attributes_of_the_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["z"], file["R"], file["E"], file["F"] = NUMBERS, R, E / Hartree, F / Hartree * Bohr
        file.attrs["energy_unit"], file.attrs["forces_unit"] = "Hartree", "Hartree/Bohr"
    check(read(tmp_path / "a.h5"), atol=1e-7)


@pytest.mark.parametrize("field", ["e_unit", "r_unit", "f_unit"])
def test_a_unit_that_is_none_is_an_error_about_it_and_the_file(tmp_path, field):
    path = npz(tmp_path / "a.npz", z=NUMBERS, R=R, E=E, F=F, **({"e_unit": "eV"} | {field: "furlong"}))
    with pytest.raises(UnitsError, match=r"a\.npz.*'furlong' is not known"):
        read(path)


def test_symbols_that_are_no_text(tmp_path):
    path = npz(tmp_path / "a.npz", z=np.array([b"O", b"H", b"\x80"]), R=R, E=E, F=F, e_unit="eV")
    with pytest.raises(DataError, match="which is no chemical element"):
        read(path)


def test_a_unit_in_the_name_of_an_array(tmp_path):
    path = npz(tmp_path / "a.npz", z=NUMBERS, R=R, **{"energy_kcal_mol": E / (kcal / mol), "forces": F})
    np.testing.assert_allclose(read(path, forces_unit="eV/Angstrom").energies, E, rtol=1e-7)


# the cases of issue 12


@pytest.mark.parametrize(
    ("name", "forces_unit"),
    [("ani", "Hartree/Bohr"), ("physnet", "Hartree/Ang"), ("upper_z", "Hartree/Ang"), ("many_body", "Hartree/Ang")],
)
def test_npz_of_other_projects(name, forces_unit):
    path = CASES / "09" / f"{name}.npz"
    with pytest.raises(UnitsError, match="--energy-unit"):
        read(path)
    data = read(path, energy_unit="Hartree", forces_unit=forces_unit)
    assert (len(data), data.formula) == (20, "C2H4Cl2")
    np.testing.assert_allclose(data.forces[0, 0], FORCE, atol=1e-6)
    np.testing.assert_allclose(data.energies[0], ENERGY, atol=1e-6)


@pytest.mark.parametrize("name", ["09/padded.npz", "09/schnetpack.db", "15/spice.hdf5"])
def test_other_containers(name):
    data = read(CASES / name, **(EV if "padded" in name else {}))
    assert data.formula == "C2H4Cl2"
    np.testing.assert_allclose(data.positions[0, 0], CHLORINE, atol=1e-6)
    np.testing.assert_allclose(data.forces[0, 0], FORCE, atol=1e-6)
    np.testing.assert_allclose(data.energies[0], ENERGY, atol=1e-5)


def test_qcschema_of_the_cases():
    data = read(CASES / "15/qcschema.json")
    np.testing.assert_allclose(data.forces[0, 0], [0.816700, 1.289080, -1.285285], atol=1e-5)
    np.testing.assert_allclose(data.energies[0], -137.871015, atol=1e-5)


@pytest.mark.parametrize("path", sorted((CASES / "18").glob("*.npz")), ids=lambda path: path.name)
def test_fuzzed_npz(path):
    with pytest.raises(GossamerError) as error:
        read(path, energy_unit="eV", length_unit="Angstrom")
    assert path.name in str(error.value)


# what a file declares is compared with what it holds


def header(shape, descr="'<f8'", size=0):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + b"\0" * size


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        (header("(1000000000000, 3, 3)"), "damaged"),
        (header("(4, 3, 3)", size=100), "damaged"),
        (header("(-4, 3, 3)", size=288), "damaged|shape"),
        (header("(4, 3, 3)", "'|O'", 288), "pickle"),
        (header("(4, 3, 3)", "[('a', '<f8')]", 288), "not numbers"),
        (header("(4, 3, 3)", "'<U1000000000'", 288), "damaged"),
        (header("(4, 3, 3)", "(" * 100, 288), "damaged"),
        (b"\x93NUMPY\x07\x00" + b"\0" * 100, "damaged"),
        (b"hello", "damaged"),
        (b"", "damaged"),
    ],
)
def test_headers_of_an_npz_that_lie(tmp_path, positions, words):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("z.npy", header("(3,)", "'|u1'") + bytes([8, 1, 1]))
        archive.writestr("R.npy", positions)
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.npz")


def test_an_npz_that_unpacks_without_bound_is_refused_unread(tmp_path):
    size = (1 << 27) // 72 * 72
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("z.npy", header("(3,)", "'|u1'") + bytes([8, 1, 1]))
        with archive.open("R.npy", "w") as stream:
            stream.write(header(f"({size // 72}, 3, 3)"))
            for _ in range(size >> 20):
                stream.write(bytes(1 << 20))
            stream.write(bytes(size & ((1 << 20) - 1)))
    with pytest.raises(DataError, match="as no real data do"):
        read(tmp_path / "a.npz")


DTYPES = st.sampled_from(["f8", "f4", "i8", "i1", "u1", "U3", "S2", "?", "c8", "M8[s]"])
KEYS = st.sampled_from(["z", "Z", "R", "E", "F", "energies", "forces", "grads", "coords", "species", "e_unit", "r_unit",
                        "type", "name", "N", "lattice", "positions", "x/y", "", "energy_kcal", "unit"])  # fmt: skip
CONTENT = st.dictionaries(KEYS, DTYPES.flatmap(lambda t: arrays(t, array_shapes(min_dims=0, max_dims=3, max_side=4))))


def read_or_refused(path, reader=read, **units):
    """Whatever is returned is one finite data set; whatever is raised is a sentence."""
    try:
        data = reader(path, **units)
    except GossamerError as error:
        said = str(error)
        if not said.endswith(".") or "\n" in said:
            raise AssertionError(said) from error
        return
    n, atoms = len(data), data.n_atoms
    assert n
    assert atoms
    assert ((data.numbers >= 1) & (data.numbers <= 118)).all()
    for array, shape in ((data.positions, (n, atoms, 3)), (data.forces, (n, atoms, 3)), (data.energies, (n,))):
        assert array is None or (array.shape == shape and np.isfinite(array).all())


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(CONTENT, st.booleans())
def test_any_npz_is_read_or_refused_in_a_sentence(tmp_path_factory, content, with_atoms):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    base = {"z": NUMBERS, "R": R} if with_atoms else {}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in (base | content).items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, np.asarray(array))
    read_or_refused(path, energy_unit="eV", forces_unit="eV/Angstrom", length_unit="Angstrom")


# HDF5


def spice(path, groups=("water",), units=True, **more):
    with h5py.File(path, "w") as file:
        for name in groups:
            group = file.create_group(name)
            group["atomic_numbers"] = NUMBERS
            group["conformations"] = R / Bohr
            group["dft_total_energy"] = E / Hartree
            group["dft_total_gradient"] = -F / Hartree * Bohr
            group["smiles"] = ["O"]
            if units:
                group["conformations"].attrs["units"] = "bohr"
                group["dft_total_energy"].attrs["units"] = "hartree"
                group["dft_total_gradient"].attrs["units"] = np.bytes_(b"hartree/bohr")
    return path


@pytest.mark.parametrize("units", [True, False])
@pytest.mark.parametrize("name", ["a.hdf5", "a.h5", "a.dat"])
def test_a_group_of_spice(tmp_path, units, name):
    data = read(spice(tmp_path / name, units=units))
    check(data, atol=1e-7)
    assert data.provenance.name == "water"


def test_one_of_several_molecules_is_named(tmp_path):
    path = spice(tmp_path / "a.h5", [f"set/mol{i}" for i in range(7)])
    with pytest.raises(UsageError, match=r"set/mol0, .* and 2 more.*--positions-key .*set/mol0/conformations"):
        read(path)
    check(read(path, positions_key="set/mol5/conformations"), atol=1e-7)
    for key, words in (("nix/conformations", "no group 'nix'"), ("set/mol1/nix", "no array 'nix'")):
        with pytest.raises(UsageError, match=words):
            read(path, positions_key=key)
    with pytest.raises(UsageError, match="of one group"):
        read(path, positions_key="set/mol1/conformations", energy_key="set/mol2/dft_total_energy")


def test_declared_units_of_an_array_go_before_the_layout(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["species"] = ["O", "H", "H"]
        file["coordinates"] = R / 10
        file["coordinates"].attrs["units"] = "nm"
        file["dft_total_energy"] = E
        file["dft_total_energy"].attrs["units"] = "eV"
        file["forces"] = F * 10
        file["forces"].attrs["unit"] = "eV/nm"
    check(read(tmp_path / "a.h5"))


def test_hdf5_of_another_layout_asks_for_units(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("data/H2O")
        group["atomic_numbers"], group["positions"] = NUMBERS, R
        group["wB97x.energy"], group["wB97x.forces"] = E, F
    with pytest.raises(UnitsError, match="--energy-unit"):
        read(tmp_path / "a.h5")
    check(read(tmp_path / "a.h5", **EV))


def test_hdf5_that_reaches_outside_or_holds_nothing(tmp_path):
    spice(tmp_path / "real.h5")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["water"] = h5py.ExternalLink(str(tmp_path / "real.h5"), "/water")
        file["loop"] = h5py.SoftLink("/")
    with pytest.raises(DataError, match="no group"):
        read(tmp_path / "link.h5")
    (tmp_path / "secret").write_bytes(R.tobytes())
    for kind in ("external", "huge"):
        with h5py.File(tmp_path / f"{kind}.h5", "w") as file:
            file["z"] = NUMBERS
            if kind == "external":
                file.create_dataset("R", (4, 3, 3), "f8", external=[(str(tmp_path / "secret"), 0, 288)])
            else:
                file.create_dataset("R", (10**11, 3, 3), "f8", chunks=(1000, 3, 3))
    with pytest.raises(DataError, match="another file"):
        read(tmp_path / "external.h5")
    with pytest.raises(DataError, match="as no real data do"):
        read(tmp_path / "huge.h5")


def test_without_h5py_one_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    path = spice(tmp_path / "a.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"pip install 'gossamer\[hdf5\]'"):
        read(path)


HDF5_CONTENT = st.dictionaries(
    KEYS.filter(bool),
    st.sampled_from(["f8", "f4", "i8", "u1", "S2", "?", "c8", "O"]).flatmap(
        lambda t: (
            st.lists(st.text(max_size=3).filter(lambda s: "\0" not in s), min_size=1, max_size=3)
            if t == "O"
            else arrays(t, array_shapes(min_dims=0, max_dims=3, max_side=4))
        )
    ),
)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None)
@given(HDF5_CONTENT, st.booleans())
def test_any_hdf5_is_read_or_refused_in_a_sentence(tmp_path_factory, content, with_atoms):
    path = tmp_path_factory.mktemp("h5") / "a.h5"
    with h5py.File(path, "w") as file:
        for name, array in (({"z": NUMBERS, "R": R} if with_atoms else {}) | content).items():
            file[name] = array

    def in_this_process(path, **units):
        options = Options(**units)
        return to_dataset(hdf5.read(path, options), options)

    read_or_refused(path, in_this_process, energy_unit="eV", forces_unit="eV/Angstrom", length_unit="Angstrom")


@pytest.mark.parametrize("how", ["os.abort()", "[0 for _ in iter(int, 1)]"])
def test_a_library_that_ends_or_never_comes_back_costs_a_sentence(tmp_path, monkeypatch, how):
    """As HDF5 1.14 does over some damaged files: the child loops or is killed, and this process goes on."""
    monkeypatch.setattr(apart, "_SECONDS", 0)
    child = f"import os; from gossamer.data.formats import apart; apart._limit(1); {how}"
    monkeypatch.setattr(apart, "_CHILD", child)
    with pytest.raises(DataError, match="did not come back"):
        read(spice(tmp_path / "a.h5"))


@pytest.mark.parametrize("index", ["1:3", 2, -1, slice(0, 4, 2), ":"])
def test_frames_of_hdf5_are_chosen(tmp_path, index):
    data = read(spice(tmp_path / "a.h5"), index=index)
    kept = np.atleast_1d(
        np.arange(4)[index if not isinstance(index, str) else slice(1, 3) if index == "1:3" else slice(4)]
    )
    assert np.array_equal(data.frames, kept)
    np.testing.assert_allclose(data.positions, R[kept], atol=1e-7)


# QCSchema


def result(i=0, **changes):
    """A QCSchema AtomicResult, version 1."""
    molecule = {"symbols": ["O", "H", "H"], "geometry": (R[i] / Bohr).ravel().tolist()}
    return {
        "schema_name": "qcschema_output", "schema_version": 1, "molecule": molecule, "driver": "gradient",
        "model": {"method": "b3lyp", "basis": "def2-svp"}, "properties": {"return_energy": E[i] / Hartree},
        "return_result": (-F[i] / Hartree * Bohr).ravel().tolist(), "success": True,
    } | changes  # fmt: skip


def version_2(i):
    old = result(i)
    inputs = {"molecule": old["molecule"], "specification": {"driver": "gradient", "model": old["model"]}}
    kept = {key: old[key] for key in ("molecule", "properties", "return_result", "success")}
    return kept | {"schema_name": "qcschema_atomic_result", "schema_version": 2, "input_data": inputs}


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


@pytest.mark.parametrize(
    "value",
    [
        [result(i) for i in range(4)],
        {"schema_name": "qcschema_optimization_output", "trajectory": [result(i) for i in range(4)]},
        {"schema_name": "qcschema_optimization_result", "trajectory_results": [version_2(i) for i in range(4)]},
        "\n".join(json.dumps(result(i)) for i in range(4)) + "\n",
        {f"frame{i}": result(i) for i in range(4)},
        [result(i, return_result=np.array(result(i)["return_result"]).reshape(3, 3).tolist()) for i in range(4)],
        [result(i, driver="hessian", return_result=[0.0] * 81,
                properties={"return_energy": E[i] / Hartree, "return_gradient": result(i)["return_result"]})
         for i in range(4)],
    ],
)  # fmt: skip
def test_qcschema_alone_and_in_lists(tmp_path, value):
    check(read(write(tmp_path / "a.json", value)), atol=1e-7)
    data = read(tmp_path / "a.json", index=2)
    np.testing.assert_allclose(data.forces[0], F[2], atol=1e-7)


def test_failed_and_ghostly_results_are_left_out_and_named(tmp_path):
    ghost = result(2)
    ghost["molecule"]["real"] = [True, False, True]
    failed = {"success": False, "error": {"error_type": "x", "error_message": "SCF did not converge"}}
    values = [result(0), failed, ghost, result(3), result(1, success=False, error={"error_message": "late"})]
    data = read(write(tmp_path / "a.json", values))
    assert list(data.frames) == [0, 3]
    left_out = data.provenance.read["left out"]
    assert "number 1 (no molecule" in left_out
    assert "number 2 (ghost atoms)" in left_out
    assert "number 4 (failed: 'late')" in left_out


def test_energies_alone_in_qcschema(tmp_path):
    data = read(
        write(tmp_path / "a.json", [result(i, driver="energy", return_result=E[i] / Hartree) for i in range(4)])
    )
    np.testing.assert_allclose(data.energies, E)
    assert data.forces is None


@pytest.mark.parametrize(
    "value",
    [
        '{"schema_name": "qcschema_output", ',
        '{"schema_name": ' + "[" * 100_000,
        json.dumps(result(0))[:-40],
        json.dumps({"schema_name": "qcschema_output", "molecule": None}),
        json.dumps(result(0, return_result=["a"] * 9)),
        json.dumps(result(0, return_result=[1.0] * 8)),
        json.dumps(result(0, return_result=[float("nan")] * 9)),
        json.dumps(result(0, properties={"return_energy": "low"})),
        json.dumps(result(0, molecule={"symbols": ["O", "H"], "geometry": [0.0] * 9})),
        json.dumps(result(0, molecule={"symbols": "OHH", "geometry": "far"})),
        '{"schema_name": "qcschema_output", "return_result": ' + "9" * 5000 + "}",
        '{"schema_name": "qcschema_output"}',
    ],
)
def test_damaged_qcschema_gives_one_sentence(tmp_path, value):
    with pytest.raises(DataError) as error:
        read(write(tmp_path / "a.json", value))
    assert "a.json" in str(error.value)
    assert "\n" not in str(error.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["molecule", "symbols", "geometry", "driver", "properties", "return_result", "return_energy", "trajectory",
         "success", "error", "real", "input_data", "model", "method"]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(list(result())), VALUES, max_size=4), st.booleans())
def test_any_json_is_read_or_refused_in_a_sentence(tmp_path_factory, changes, whole_result):
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps((result(0) if whole_result else {"schema_name": "qcschema"}) | changes))
    read_or_refused(path)


# databases


def database(path, *, metadata=None, **labels):
    with ase.db.connect(path) as file:
        file.metadata = metadata or {}
        for i, positions in enumerate(R):
            file.write(Atoms("OHH", positions), data={key: values[i] for key, values in labels.items()})
    return path


def test_labels_in_the_data_of_rows(tmp_path):
    metadata = {"_property_unit_dict": {"energy": "kcal/mol", "forces": "kcal/mol/Ang"}, "_distance_unit": "Ang"}
    scale = kcal / mol
    path = database(tmp_path / "a.db", metadata=metadata, energy=E[:, None] / scale, forces=F / scale)
    check(read(path), atol=1e-7)


@pytest.mark.parametrize("name", ["gradient", "my_gradients"])
def test_gradients_in_a_database(tmp_path, name):
    path = database(tmp_path / "a.db", energy=E, **{name: -F})
    check(read(path, **EV, **({} if name == "gradient" else {"gradients_key": name})))
    with pytest.raises(UnitsError):
        read(path)


def test_units_that_a_database_declares_wrongly(tmp_path):
    path = database(tmp_path / "a.db", metadata={"_property_unit_dict": {"energy": "furlong"}}, energy=E)
    with pytest.raises(UnitsError, match="furlong"):
        read(path)
