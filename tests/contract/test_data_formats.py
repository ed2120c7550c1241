"""Every format: what is written comes back, in any unit; what cannot be read gives one sentence with the remedy."""

import contextlib
import gzip
import os
import shutil
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, Hartree, kcal, mol
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gossamer.data.dataset import Dataset, Provenance
from gossamer.data.formats import read, write
from gossamer.errors import DataError, GossamerError, OutputError, UnitsError, UsageError

ANY_UNIT = ("npz", "extxyz", "xyz")
FORMATS = (*ANY_UNIT, "traj", "db")
UNITS = {"energy_unit": "kcal/mol", "length_unit": "Bohr"}
WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


def water(n=5, seed=0, **changes):
    """n shaken water molecules with made-up labels."""
    rng = np.random.default_rng(seed)
    positions = WATER + 0.05 * rng.normal(size=(n, 3, 3))
    provenance = Provenance(name="water", theory="PBE/def2-SVP, made up")
    data = Dataset(np.array([8, 1, 1]), positions, rng.normal(size=(n, 3, 3)), rng.normal(size=n) - 2000, provenance)
    return replace(data, **changes)


def extxyz(path, data, *, energy="energy={}", forces="forces", extra="", frames=None):
    """An extxyz file as other programs write it: no units; energy and forces under any key."""
    lines = []
    for row in range(len(data)) if frames is None else frames:
        columns = [data.positions[row], *([data.forces[row]] if forces else [])]
        properties = "species:S:1:pos:R:3" + (f":{forces}:R:3" if forces else "")
        lines += ["3", f"Properties={properties} {energy.format(data.energies[row])} {extra}"]
        lines += [f"{s} {' '.join(map(repr, row))}" for s, row in zip("OHH", np.hstack(columns).tolist(), strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def npz(path, data, **changes):
    """An sgdml data set; a change of None drops an array."""
    content = {"type": "d", "R": data.positions, "z": data.numbers.astype(np.uint8), "E": data.energies[:, None]}
    content |= {"F": data.forces, "r_unit": "Ang", "e_unit": "eV", "name": "water", "theory": "none"} | changes
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return path


def assert_same(left, right, rtol=1e-13):
    assert np.array_equal(left.numbers, right.numbers)
    assert np.array_equal(left.frames, right.frames)
    np.testing.assert_allclose(left.positions, right.positions, rtol=rtol, atol=1e-14)
    for one, other in ((left.forces, right.forces), (left.energies, right.energies)):
        if one is None:
            assert other is None
        else:
            np.testing.assert_allclose(other, one, rtol=rtol, atol=1e-14)


def sentence(error):
    """The message, checked to be one sentence for a person."""
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert "Traceback" not in text
    return text


# what is written comes back


@pytest.mark.parametrize("suffix", FORMATS)
def test_round_trip_keeps_every_bit(tmp_path, suffix):
    data = water()
    write(data, tmp_path / f"w.{suffix}")
    back = read(tmp_path / f"w.{suffix}")
    assert back.fingerprint == data.fingerprint
    assert back.provenance.energy_unit == "eV"
    if suffix != "db":
        assert (back.provenance.name, back.provenance.theory) == (data.provenance.name, data.provenance.theory)
    assert set(back.provenance.read) >= {"atoms", "positions", "energies", "forces"}
    assert os.listdir(tmp_path) == [f"w.{suffix}"]


@pytest.mark.parametrize("suffix", ANY_UNIT)
def test_two_unit_systems_give_the_same_data(tmp_path, suffix):
    data = water()
    for name, units in (("plain", {}), ("other", UNITS)):
        write(data, tmp_path / f"{name}.{suffix}", **units)
    plain, other = (read(tmp_path / f"{name}.{suffix}") for name in ("plain", "other"))
    assert_same(plain, other)
    assert other.provenance.energy_unit == "kcal/mol"
    assert other.provenance.forces_unit == "kcal/mol/Bohr"
    assert "kcal/mol/Bohr" in other.provenance.read["forces"]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("missing", ["energies", "forces", "both"])
def test_absent_labels_stay_absent(tmp_path, suffix, missing):
    names = ("energies", "forces") if missing == "both" else (missing,)
    data = water(**dict.fromkeys(names))
    write(data, tmp_path / f"w.{suffix}")
    back = read(tmp_path / f"w.{suffix}")
    assert back.fingerprint == data.fingerprint
    assert not set(names) & set(back.provenance.read)


finite = st.floats(-1e6, 1e6, allow_nan=False, width=64)


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float64, (2, 2, 3), elements=finite),
    arrays(np.float64, (2,), elements=finite),
    st.sampled_from(ANY_UNIT),
    st.sampled_from(["eV", "kcal/mol", "Hartree", "kJ/mol"]),
    st.sampled_from(["Angstrom", "Bohr", "nm"]),
)
def test_any_numbers_survive_any_units(tmp_path_factory, forces, energies, suffix, energy, length):
    path = tmp_path_factory.mktemp("any") / f"d.{suffix}"
    data = Dataset(np.array([6, 8]), np.array([[[0, 0, 0], [0, 0, 1.1]]] * 2), forces, energies)
    write(data, path, energy_unit=energy, length_unit=length)
    assert_same(data, read(path))


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=20).filter(lambda t: t.strip()))
def test_any_theory_name_leaves_the_numbers_alone(tmp_path_factory, theory):
    path = tmp_path_factory.mktemp("names") / "d.extxyz"
    data = water(2, provenance=Provenance(name="w", theory=theory))
    write(data, path)
    assert read(path).fingerprint == data.fingerprint


def test_single_atoms_and_single_frames(tmp_path):
    for suffix in FORMATS:
        data = Dataset(np.array([18]), np.zeros((1, 1, 3)), np.ones((1, 1, 3)), np.array([-3.0]))
        write(data, tmp_path / f"argon.{suffix}")
        assert read(tmp_path / f"argon.{suffix}").fingerprint == data.fingerprint


def test_sgdml_would_compute_the_same_md5(tmp_path):
    """md5 recorded from sgdml 1.0.3: `io.dataset_md5(np.load("w.npz"))` in its own environment."""
    r = np.arange(18).reshape(2, 3, 3) / 7.0
    write(Dataset(np.array([8, 1, 1]), r, r - 1.5, np.array([-1.25, 0.5])), tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as file:
        assert file["md5"] == b"c825c1a78054eace96d13721624eefe6"
        assert file["type"] == "d"
        assert file["E"].shape == (2, 1)
        assert (str(file["r_unit"]), str(file["e_unit"])) == ("Ang", "eV")


def test_convert_twice_gives_the_same_file(tmp_path):
    for name in ("a.npz", "b.npz", "a.extxyz", "b.extxyz"):
        write(water(), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (tmp_path / "a.extxyz").read_bytes() == (tmp_path / "b.extxyz").read_bytes()


# choosing frames


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("index", [":", "2", "-1", "1:4", "::2", "1:", "-3:", "3:0:-1", slice(0, 2), 3, "4:99"])
def test_index_chooses_frames_and_keeps_their_numbers(tmp_path, suffix, index):
    data = water(6)
    write(data, tmp_path / f"w.{suffix}")
    parts = [int(p) if p else None for p in str(index).split(":")] if isinstance(index, str) else []
    rows = np.arange(6)[index if isinstance(index, slice) else slice(*parts) if len(parts) > 1 else [int(index)]]
    back = read(tmp_path / f"w.{suffix}", index=index)
    assert back.frames.tolist() == rows.tolist()
    assert back.fingerprint == data.take(rows).fingerprint


@pytest.mark.parametrize("suffix", ["npz", "extxyz", "traj"])
@pytest.mark.parametrize(
    ("index", "kind"), [("9", DataError), ("7:9", DataError), ("x", UsageError), ("1:2:3:4", UsageError)]
)
def test_bad_index(tmp_path, suffix, index, kind):
    write(water(), tmp_path / f"w.{suffix}")
    with pytest.raises(kind) as error:
        read(tmp_path / f"w.{suffix}", index=index)
    sentence(error)


# units: known, given, or asked for


def test_extxyz_without_units_asks_for_them(tmp_path):
    path = extxyz(tmp_path / "w.xyz", water())
    with pytest.raises(UnitsError) as error:
        read(path)
    assert "--energy-unit" in sentence(error)
    assert "energies and forces" in str(error.value)


def test_given_units_are_used_and_said(tmp_path):
    data = water()
    back = read(extxyz(tmp_path / "w.xyz", data), energy_unit="kcal/mol")
    np.testing.assert_allclose(back.forces, data.forces * kcal / mol, rtol=1e-8)
    np.testing.assert_allclose(back.energies, data.energies * kcal / mol, rtol=1e-8)
    assert back.provenance.read["forces"].endswith("'forces', kcal/mol/Angstrom (--energy-unit)")
    assert back.provenance.read["positions"].endswith("Angstrom (by the format's definition)")


def test_forces_in_a_unit_of_their_own(tmp_path):
    data = water()
    back = read(extxyz(tmp_path / "w.xyz", data), energy_unit="eV", forces_unit="Hartree/Bohr")
    np.testing.assert_allclose(back.forces, data.forces * Hartree / Bohr, rtol=1e-8)
    np.testing.assert_allclose(back.energies, data.energies)
    assert back.provenance.forces_unit == "Hartree/Bohr"


@pytest.mark.parametrize("unit", ["Hartree", "au", "Rydberg"])
def test_energies_in_atomic_units_leave_the_forces_in_doubt(tmp_path, unit):
    data = water()
    path = extxyz(tmp_path / "w.xyz", data)
    for said in ({}, {"length_unit": "Angstrom"}):
        with pytest.raises(UnitsError) as error:
            read(path, energy_unit=unit, **said)
        assert "/Bohr or --forces-unit" in sentence(error)
    with pytest.raises(UnitsError, match="as most programs write them"):
        read(extxyz(tmp_path / "d.xyz", data, extra=f"energy_unit={unit}"))
    assert read(extxyz(tmp_path / "e.xyz", data, forces=""), energy_unit=unit).forces is None
    back = read(path, energy_unit="Hartree", forces_unit="au")
    np.testing.assert_allclose(back.forces, data.forces * Hartree / Bohr, rtol=1e-8)
    np.testing.assert_allclose(back.energies, data.energies * Hartree, rtol=1e-8)


def test_forces_alone_need_only_their_unit(tmp_path):
    path = extxyz(tmp_path / "w.xyz", water(), energy="")
    assert read(path, forces_unit="eV/Angstrom").energies is None
    with pytest.raises(UnitsError, match="unit of its forces"):
        read(path)


def test_xyz_in_bohr_is_noticed(tmp_path):
    data = water()
    path = extxyz(tmp_path / "w.xyz", replace(data, positions=data.positions / Bohr))
    with pytest.raises(UnitsError) as error:
        read(path, energy_unit="eV")
    assert "--length-unit Bohr" in sentence(error)
    np.testing.assert_allclose(read(path, energy_unit="eV", length_unit="Bohr").positions, data.positions, rtol=1e-8)


def test_geometries_need_no_energy_unit(tmp_path):
    back = read(extxyz(tmp_path / "w.xyz", water(), energy="", forces=""))
    assert back.energies is None
    assert back.forces is None


@pytest.mark.parametrize("extra", ["energy_unit=Hartree length_unit=Bohr", "e_unit=Hartree r_unit=Bohr"])
def test_units_in_the_comment_line(tmp_path, extra):
    data = water()
    bohr = replace(data, positions=data.positions / Bohr)
    back = read(extxyz(tmp_path / "w.xyz", bohr, extra=extra))
    np.testing.assert_allclose(back.positions, data.positions, rtol=1e-8)
    np.testing.assert_allclose(back.forces, data.forces * Hartree / Bohr, rtol=1e-8)
    assert "as the file says" in back.provenance.read["energies"]


def test_frames_that_declare_different_units(tmp_path):
    one = extxyz(tmp_path / "a.xyz", water(), extra="energy_unit=eV").read_text()
    two = extxyz(tmp_path / "b.xyz", water(), extra="energy_unit=Hartree").read_text()
    (tmp_path / "c.xyz").write_text(one + two)
    with pytest.raises(UnitsError, match="different units"):
        read(tmp_path / "c.xyz")


def test_npz_without_units_asks_and_with_option_reads(tmp_path):
    data = water()
    path = npz(tmp_path / "w.npz", data, e_unit=None)
    with pytest.raises(UnitsError, match="--energy-unit"):
        read(path)
    np.testing.assert_allclose(read(path, energy_unit="meV").energies, data.energies / 1000)


def test_unknown_units_are_named(tmp_path):
    path = npz(tmp_path / "w.npz", water(), e_unit="furlong")
    with pytest.raises(UnitsError, match="'furlong' is not known"):
        read(path)
    with pytest.raises(UnitsError, match="'parsec' is not known"):
        read(path, energy_unit="eV", length_unit="parsec")


def test_an_option_goes_before_the_file(tmp_path):
    data = water()
    back = read(npz(tmp_path / "w.npz", data, e_unit="kcal/mol"), energy_unit="eV")
    assert np.array_equal(back.energies, data.energies)
    assert "--energy-unit" in back.provenance.read["energies"]


@pytest.mark.parametrize("suffix", ["traj", "db"])
def test_formats_with_fixed_units_refuse_others(tmp_path, suffix):
    with pytest.raises(UnitsError, match="by definition"):
        write(water(), tmp_path / f"w.{suffix}", **UNITS)
    assert not list(tmp_path.iterdir())


# labels: found, named, chosen


@pytest.mark.parametrize(
    ("energy", "forces"),
    [("REF_energy={}", "REF_forces"), ("Energy={}", "Forces"), ("dft-energy={}", "force"), ("E={}", "F")],
)
def test_common_keys_are_found_and_reported(tmp_path, energy, forces):
    data = water()
    back = read(extxyz(tmp_path / "w.xyz", data, energy=energy, forces=forces), energy_unit="eV")
    assert back.fingerprint == data.fingerprint
    assert energy.split("=")[0] in back.provenance.read["energies"]
    assert forces in back.provenance.read["forces"]


def test_two_kinds_of_energies_must_be_chosen_from(tmp_path):
    data = water()
    path = extxyz(tmp_path / "w.xyz", data, energy="energy={} REF_energy=-1.5")
    with pytest.raises(DataError) as error:
        read(path, energy_unit="eV")
    assert "--energy-key energy or --energy-key REF_energy" in sentence(error)
    assert np.array_equal(read(path, energy_unit="eV", energy_key="REF_energy").energies, np.full(5, -1.5))
    assert np.array_equal(read(path, energy_unit="eV", energy_key="energy").energies, data.energies)


def test_the_same_energies_under_two_keys_are_no_conflict(tmp_path):
    back = read(extxyz(tmp_path / "w.xyz", water(), energy="energy={0} REF_energy={0}"), energy_unit="eV")
    assert "'energy'" in back.provenance.read["energies"]


def test_keys_that_are_not_there(tmp_path):
    path = extxyz(tmp_path / "w.xyz", water(), energy="foo={}", forces="bar")
    assert read(path).forces is None
    back = read(path, energy_unit="eV", energy_key="foo", forces_key="bar")
    assert back.fingerprint == water().fingerprint
    for option in ({"energy_key": "nix"}, {"forces_key": "nix"}):
        with pytest.raises(UsageError) as error:
            read(path, **option)
        assert ("foo" if "energy_key" in option else "bar") in sentence(error)
        with pytest.raises(UsageError, match="no array 'nix'"):
            read(npz(tmp_path / "w.npz", water()), **option)


def test_rmd17_keys(tmp_path):
    data = water()
    np.savez(
        tmp_path / "rmd17_water.npz",
        nuclear_charges=data.numbers.astype(np.uint8), coords=data.positions, old_indices=np.arange(5),
        energies=data.energies, forces=data.forces,
    )  # fmt: skip
    back = read(tmp_path / "rmd17_water.npz", energy_unit="eV")
    assert back.fingerprint == data.fingerprint
    assert back.provenance.name == "rmd17_water"


def test_npz_keys_can_be_named(tmp_path):
    data = water()
    back = read(
        npz(tmp_path / "w.npz", data, F=None, E2=data.energies + 1, F2=-data.forces), energy_key="E2", forces_key="F2"
    )
    assert np.array_equal(back.energies, data.energies + 1)
    assert np.array_equal(back.forces, -data.forces)


@pytest.mark.parametrize("what", ["energies", "forces"])
def test_labels_missing_in_some_frames(tmp_path, what):
    data = water()
    bare = {"energy": ""} if what == "energies" else {"forces": ""}
    full = extxyz(tmp_path / "a.xyz", data, frames=[0, 1, 2]).read_text()
    part = extxyz(tmp_path / "b.xyz", data, frames=[3, 4], **bare).read_text()
    (tmp_path / "c.xyz").write_text(full + part)
    with pytest.raises(DataError) as error:
        read(tmp_path / "c.xyz", energy_unit="eV")
    assert f"2 of 5 frames have no {what}" in sentence(error)
    assert "first: frame 3" in str(error.value)


# frames that are not one molecule


def test_atoms_in_another_order(tmp_path):
    images = [Atoms("OHH", WATER), Atoms("OHH", WATER), Atoms("HOH", WATER[[1, 0, 2]])]
    ase.io.write(tmp_path / "w.extxyz", images)
    with pytest.raises(DataError) as error:
        read(tmp_path / "w.extxyz")
    assert "frame 2 lists the atoms of frame 0 in another order (atom 0" in sentence(error)


def test_another_molecule(tmp_path):
    ase.io.write(tmp_path / "w.traj", [Atoms("OHH", WATER), Atoms("OH", WATER[:2])])
    with pytest.raises(DataError) as error:
        read(tmp_path / "w.traj")
    assert "frame 1 is HO but frame 0 is H2O" in sentence(error)


def test_npz_with_atoms_per_frame(tmp_path):
    data = water()
    same = np.tile(data.numbers, (5, 1))
    assert read(npz(tmp_path / "w.npz", data, z=same)).fingerprint == data.fingerprint
    same[3] = [1, 8, 1]
    with pytest.raises(DataError, match="frame 3 lists the atoms of frame 0 in another order"):
        read(npz(tmp_path / "w.npz", data, z=same))


def test_an_npz_with_sgdmls_lattice_is_made_whole(tmp_path):
    data, box = water(), np.array([[9.0, 0, 0], [2, 9, 0], [0, 1, 9]])
    cut = data.positions.copy()
    cut[::2, 1] += box[1] - box[2]
    back = read(npz(tmp_path / "w.npz", data, R=cut, lattice=box.T))
    np.testing.assert_allclose(back.positions, data.positions, atol=1e-12)
    assert "made whole in 3 of 5 frames" in back.provenance.read["periodic box"]


def test_a_periodic_box_is_ignored_aloud(tmp_path):
    ase.io.write(tmp_path / "w.traj", [Atoms("OHH", WATER, cell=[9, 9, 9], pbc=True)])
    assert "ignored in 1 of 1 frames" in read(tmp_path / "w.traj").provenance.read["periodic box"]


# programs


def orca(positions, energy=-76.422436201230, gradient=None, end="ORCA TERMINATED NORMALLY"):
    """The parts of an ORCA 5 output that hold a structure and its labels."""
    rows = "\n".join(f"  {s}  {x:.7f}  {y:.7f}  {z:.7f}" for s, (x, y, z) in zip("OHH", positions, strict=True))
    text = f"* O   R   C   A *\nNumber of atoms                             ...      3\n{'-' * 33}\n"
    text += f"CARTESIAN COORDINATES (ANGSTROEM)\n{'-' * 33}\n{rows}\n\n"
    text += f"FINAL SINGLE POINT ENERGY     {energy:.12f}\n"
    if gradient is not None:
        text += "------------------\nCARTESIAN GRADIENT\n------------------\n\n"
        text += "".join(
            f"   {i + 1}   {s}   :  {x:.9f}  {y:.9f}  {z:.9f}\n"
            for i, (s, (x, y, z)) in enumerate(zip("OHH", gradient, strict=True))
        )
    return f"{text}\n{end}\n"


def test_orca_output_is_in_ev_and_forces_are_minus_the_gradient(tmp_path):
    gradient = np.arange(9).reshape(3, 3) / 100
    (tmp_path / "water.out").write_text(orca(WATER, gradient=gradient))
    data = read(tmp_path / "water.out")
    np.testing.assert_allclose(data.energies, [-76.422436201230 * Hartree], rtol=1e-9)
    np.testing.assert_allclose(data.forces[0], -gradient * Hartree / Bohr, rtol=1e-6)
    assert "from the units of ORCA" in data.provenance.read["forces"]
    assert read(tmp_path / "water.out", energy_unit="eV").fingerprint == data.fingerprint


@pytest.mark.parametrize(
    "option", [{"energy_unit": "Hartree"}, {"length_unit": "Bohr"}, {"forces_unit": "Hartree/Bohr"}]
)
def test_converted_output_refuses_other_units(tmp_path, option):
    (tmp_path / "water.out").write_text(orca(WATER, gradient=np.ones((3, 3))))
    with pytest.raises(UnitsError) as error:
        read(tmp_path / "water.out", **option)
    assert f"leave out --{next(iter(option)).replace('_', '-')}" in sentence(error)


def test_an_unfinished_calculation(tmp_path):
    (tmp_path / "water.out").write_text(orca(WATER).partition("FINAL")[0])
    with pytest.raises(DataError, match="did not finish"):
        read(tmp_path / "water.out")


def test_fhi_aims_and_vasp_outputs_of_ase(tmp_path):
    """The sample outputs that ASE ships with its tests, where it ships them."""
    samples = Path(ase.__file__).parent / "test" / "testdata"
    if not (samples / "aims" / "md.out").exists():
        pytest.skip("this ASE carries no sample outputs")
    (tmp_path / "aims.out").write_text("Invoking FHI-aims ...\n" + (samples / "aims" / "md.out").read_text())
    data = read(tmp_path / "aims.out")
    assert (len(data), data.formula, data.provenance.energy_unit) == (5, "H2O", "eV")
    np.testing.assert_allclose(data.forces[0, 0], [-0.481289284665163, -0.615051370384412, 0], rtol=1e-6, atol=1e-9)
    shutil.copy(samples / "vasp" / "OUTCAR_example_1", tmp_path / "OUTCAR")
    nickel = read(tmp_path / "OUTCAR")
    assert nickel.forces is not None
    assert "periodic box" in nickel.provenance.read


def test_compressed_files(tmp_path):
    data = water()
    write(data, tmp_path / "w.xyz")
    with gzip.open(tmp_path / "w.xyz.gz", "wb") as file:
        file.write((tmp_path / "w.xyz").read_bytes())
    assert read(tmp_path / "w.xyz.gz").fingerprint == data.fingerprint


def test_a_name_with_an_at_sign(tmp_path):
    write(water(), tmp_path / "w@1.xyz")
    assert len(read(tmp_path / "w@1.xyz")) == 5


def test_traj_of_a_calculation_with_constraints_keeps_raw_forces(tmp_path):
    from ase.constraints import FixAtoms

    atoms = Atoms("OHH", WATER, constraint=FixAtoms([0]))
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.ones((3, 3)))
    ase.io.write(tmp_path / "w.traj", atoms)
    assert read(tmp_path / "w.traj").forces.min() == 1.0


# files that cannot be read


def broken(name):
    """Makers of files that are no data set."""
    return {
        "missing.npz": lambda path: None,
        "folder.npz": lambda path: path.mkdir(),
        "empty.npz": lambda path: path.write_bytes(b""),
        "empty.xyz": lambda path: path.write_bytes(b""),
        "text.npz": lambda path: path.write_text("this is no npz"),
        "truncated.npz": lambda path: path.write_bytes(npz(path, water(50)).read_bytes()[:2000]),
        "model.npz": lambda path: np.savez(path, type="m", R_desc=np.zeros((3, 2))),
        "foreign.npz": lambda path: np.savez(path, weights=np.zeros(3)),
        "pickled.npz": lambda path: npz(path, water(), R=np.array([{"a": 1}], dtype=object)),
        "single-array.npz": lambda path: _save_npy(path),
        "shapes.npz": lambda path: npz(path, water(), z=np.array([8, 1])),
        "forces.npz": lambda path: npz(path, water(), F=np.zeros((4, 3, 3))),
        "one-force.npz": lambda path: npz(path, water(), F=np.array(1.0)),
        "energies.npz": lambda path: npz(path, water(), E=np.zeros(4)),
        "elements.npz": lambda path: npz(path, water(), z=np.array([8, 1, 300])),
        "no-frames.npz": lambda path: npz(
            path, water(1), R=np.zeros((0, 3, 3)), E=np.zeros((0, 1)), F=np.zeros((0, 3, 3))
        ),
        "words.npz": lambda path: npz(path, water(), F=np.full((5, 3, 3), "a")),
        "nan-forces.npz": lambda path: npz(path, water(), F=_spoiled(water().forces, np.nan)),
        "inf-positions.npz": lambda path: npz(path, water(), R=_spoiled(water().positions, np.inf)),
        "nan-energies.npz": lambda path: npz(path, water(), E=np.full((5, 1), np.nan)),
        "nan.xyz": lambda path: extxyz(path, water(forces=_spoiled(water().forces, np.nan)), extra="energy_unit=eV"),
        "words.xyz": lambda path: extxyz(path, water(), energy="energy=low"),
        "truncated.xyz": lambda path: path.write_text(extxyz(path, water(1)).read_text()[:-100]),
        "prose.xyz": lambda path: path.write_text("once upon a time\n"),
        "truncated.traj": lambda path: (write(water(50), path), path.write_bytes(path.read_bytes()[:300])),
        "text.traj": lambda path: path.write_text("nothing"),
        "text.db": lambda path: path.write_text("nothing"),
        "data.unknown": lambda path: path.write_text("nothing"),
        "binary.xyz": lambda path: path.write_bytes(bytes(range(256))),
        "truncated.xyz.gz": lambda path: path.write_bytes(gzip.compress(os.urandom(500))[:100]),
    }[name]


def _save_npy(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def _spoiled(array, value):
    array = array.copy()
    array[3, 1, 2] = value
    return array


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.npz", "no such data file"), ("folder.npz", "folder"), ("empty.npz", "empty"), ("empty.xyz", "empty"),
        ("text.npz", "not a readable npz"), ("truncated.npz", "truncated"), ("model.npz", "an sgdml model"),
        ("foreign.npz", "weights"), ("pickled.npz", "pickle"), ("single-array.npz", "npz"), ("shapes.npz", r"\(2,\)"),
        ("forces.npz", "'F' has shape"),
        ("one-force.npz", "'F' has shape"), ("energies.npz", "'E' has shape"), ("elements.npz", "atomic numbers"),
        ("no-frames.npz", "no structures"), ("words.npz", "not numbers"),
        ("nan-forces.npz", "forces of 1 of 5 frames hold NaN .* frame 3"),
        ("inf-positions.npz", "positions of 1 of 5 frames"), ("nan-energies.npz", "energies of 5 of 5"),
        ("nan.xyz", "forces of 1 of 5"), ("words.xyz", "not a number"), ("truncated.xyz", "no frame is complete"),
        ("prose.xyz", "cannot be read"), ("truncated.traj", "cannot be read"), ("text.traj", "cannot be read"),
        ("text.db", "cannot be read"), ("data.unknown", "not known"), ("binary.xyz", "cannot be read"),
        ("truncated.xyz.gz", "cannot be read"),
    ],
)  # fmt: skip
def test_bad_files_give_one_sentence(tmp_path, name, words):
    path = tmp_path / name
    broken(name)(path)
    with pytest.raises(DataError, match=words) as error:
        read(path)
    assert name in sentence(error)


def test_damage_anywhere_in_an_npz_never_escapes(tmp_path):
    whole = npz(tmp_path / "w.npz", water(20)).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / "d.npz").write_bytes(bytes(damaged[: rng.integers(1, len(whole) + 1)]))
        with contextlib.suppress(GossamerError):
            read(tmp_path / "d.npz")


def test_nothing_is_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    np.savez(
        tmp_path / "w.npz", R=water().positions, z=water().numbers, F=np.array([Bomb()], dtype=object), e_unit="eV"
    )
    with pytest.raises(DataError, match="pickle"):
        read(tmp_path / "w.npz")
    npz(tmp_path / "w.npz", water(), name=np.array([Bomb()], dtype=object))
    assert read(tmp_path / "w.npz").provenance.name == "w"
    assert not (tmp_path / "exploded").exists()


# files that cannot be written


@pytest.mark.parametrize("suffix", FORMATS)
def test_unwritable_places(tmp_path, suffix):
    (tmp_path / f"folder.{suffix}").mkdir()
    for place in (tmp_path / "nowhere" / f"w.{suffix}", tmp_path / f"folder.{suffix}"):
        with pytest.raises(OutputError) as error:
            write(water(), place)
        assert str(place) in sentence(error)
    assert os.listdir(tmp_path) == [f"folder.{suffix}"]


def test_unknown_suffix(tmp_path):
    with pytest.raises(UsageError, match=r"'\.pdf' files cannot be written"):
        write(water(), tmp_path / "w.pdf")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_failed_write_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"w.{suffix}"
    write(water(), path)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="No space left"):
        write(water(9), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", FORMATS)
def test_writing_replaces_what_was_there(tmp_path, suffix):
    for n in (9, 4):
        write(water(n), tmp_path / f"w.{suffix}")
    assert len(read(tmp_path / f"w.{suffix}")) == 4


# size and speed


def test_the_bundled_peptide_reads_quickly():
    import time

    path = Path(__file__).parents[2] / "examples" / "ac-ala3" / "ac-ala3.npz"
    assert path.stat().st_size < 3_000_000
    start = time.perf_counter()
    data = read(path)
    assert time.perf_counter() - start < 1.0
    assert (len(data), data.n_atoms, data.formula, data.provenance.name) == (2000, 42, "C12H22N4O4", "Ac-Ala3-NHMe")
    assert data.provenance.energy_unit == "eV"
