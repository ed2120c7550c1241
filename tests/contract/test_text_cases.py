"""Text files as people have them (tests/data/cases, made by us): the right numbers, or the right sentence."""

from pathlib import Path

import numpy as np
import pytest
from ase.units import Bohr, Hartree, kcal, mol

from gossamer.data.checks import inspect
from gossamer.data.formats import read
from gossamer.errors import DataError, UnitsError

CASES = Path(__file__).parents[1] / "data" / "cases"
ENERGIES = np.array([-419.41595086, -419.44025024])  # eV, of the first two structures of every file but 10's
FORCE = np.array([-0.08551661, -0.14548870, -0.08542452])  # eV/Angstrom, on the first atom of the first


def assert_right(data, n, *, energies=ENERGIES, force=FORCE):
    assert (len(data), data.formula) == (n, "C2H4Cl2")
    np.testing.assert_allclose(data.positions[0, 0], [-1.58661332, -0.34248382, -1.09432825], atol=1e-12)
    np.testing.assert_allclose(data.energies[:2], energies, atol=1e-7)
    if force is None:
        assert data.forces is None
    else:
        np.testing.assert_allclose(data.forces[0, 0], force, atol=3e-7)


def test_01_blank_lines():
    assert_right(read(CASES / "01" / "blank_lines.xyz"), 20)


@pytest.mark.parametrize("name", ["force_units", "hyphen"])
def test_02_units_that_frames_declare(name):
    data = read(CASES / "02" / f"{name}.xyz")
    assert_right(data, 20)
    assert (data.provenance.energy_unit, data.provenance.forces_unit) == ("Hartree", "Hartree/Bohr")


def test_02_a_unit_that_is_none():
    path = CASES / "02" / "bad_unit.xyz"
    with pytest.raises(UnitsError, match="'nonsense' is not known"):
        read(path)
    assert_right(read(path, energy_unit="au", forces_unit="au"), 2)
    with pytest.raises(UnitsError, match="Hartree/Bohr, as most programs write them"):
        read(path, energy_unit="Hartree")


def test_08_sgdml_plain():
    path = CASES / "08" / "sgdml_plain.xyz"
    with pytest.raises(UnitsError, match="the unit of its energies and forces"):
        read(path)
    assert_right(read(path, energy_unit="kcal/mol"), 20)
    np.testing.assert_allclose(
        read(path, energy_unit="eV").forces * kcal / mol, read(path, energy_unit="kcal/mol").forces
    )


@pytest.mark.parametrize("name", ["xtb.trj", "orca_trj.xyz"])
def test_08_energies_in_comments(name):
    data = read(CASES / "08" / name)
    assert_right(data, 20, force=None)
    assert data.provenance.energy_unit == "Hartree"
    np.testing.assert_allclose(data.energies[0], -15.413252029432 * Hartree, rtol=1e-10)


def test_10_wrapped():
    data = read(CASES / "10" / "wrapped.xyz")
    bonds = [(0, 1), (1, 2), (2, 3), (1, 4), (1, 5), (2, 6), (2, 7)]
    lengths = np.array([np.linalg.norm(data.positions[:, i] - data.positions[:, j], axis=1) for i, j in bonds])
    assert lengths.max() < 2.1
    assert "made whole in 40 of 40 frames" in data.provenance.read["periodic box"]
    assert inspect(data).level != "error"


@pytest.mark.parametrize("name", ["bom", "atomic_numbers", "unit_text"])
def test_11_spellings(name):
    assert_right(read(CASES / "11" / f"{name}.xyz"), 2)


@pytest.mark.parametrize(("name", "words"), [("24-n", "it has 1 of 999999999999 atoms"), ("25-n3", "names no pos:R:3")])
def test_18_sizes_that_cannot_be(name, words):
    with pytest.raises(DataError, match=words):
        read(CASES / "18" / f"fuzz-{name}.extxyz")


def test_the_unit_of_atomic_forces():
    data = read(CASES / "02" / "force_units.xyz", forces_unit="a.u.")
    np.testing.assert_allclose(data.forces[0, 0, 0], -0.00166303 * Hartree / Bohr, rtol=1e-9)
