"""`inspect`: every defect injected into real data is named, with its frames; clean real data raise no alarm."""

import json
import re
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ase.units import Bohr, Hartree, kcal, kJ, mol

from gossamer.data.checks import inspect
from gossamer.data.dataset import Dataset, Provenance
from gossamer.data.formats import read
from gossamer.errors import DataError

ROOT = Path(__file__).parents[2]
PEPTIDE = ROOT / "examples" / "ac-ala3" / "ac-ala3.npz"
REFERENCE = ROOT.parent / "shared" / "data"  # third-party data, not part of this repository
KCAL, KJ = kcal / mol, kJ / mol
SPOILED = np.array([12, 60, 61, 150])


@cache
def peptide():
    """250 frames of the bundled peptide, numbered 0, 8, 16 ..."""
    return read(PEPTIDE, index="::8")


@cache
def reference(name):
    path = REFERENCE / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    data = read(path)
    return replace(data, provenance=replace(data.provenance, energy_unit="eV", forces_unit="eV/Angstrom"))


def findings(data, level="error"):
    return {finding.check: finding for finding in inspect(data).findings if finding.level == level}


def only(data, check, level="error"):
    """The one finding of this level, which must be of this check."""
    found = findings(data, level)
    assert list(found) == [check]
    assert found[check].message.endswith(".")
    return found[check]


def in_frames(data, rows, **arrays):
    """`data` with other arrays in the given rows only."""
    changed = {}
    for name, value in arrays.items():
        changed[name] = getattr(data, name).copy()
        changed[name][rows] = value
    return replace(data, **changed)


def permuted(data, rows, order):
    """`data` with the atoms of some rows listed in another order, forces included."""
    return in_frames(data, rows, positions=data.positions[rows][:, order], forces=data.forces[rows][:, order])


def swapped(data, element):
    """Atom order with the first and the last atom of an element exchanged."""
    same = np.flatnonzero(data.numbers == element)
    order = np.arange(data.n_atoms)
    order[same[[0, -1]]] = order[same[[-1, 0]]]
    return order


# clean data


def test_the_bundled_data_are_clean():
    start = time.perf_counter()
    found = inspect(read(PEPTIDE))
    assert time.perf_counter() - start < 20
    assert found.level == "ok"
    assert found.slope == pytest.approx(1.0, abs=0.05)
    assert found.explained > 0.8
    assert found.stiffness == pytest.approx(30, abs=5)
    assert (found.formula, found.n_frames, found.n_atoms, found.order) == ("C12H22N4O4", 2000, 42, "in time")
    assert found.duplicates == 0
    assert found.distances == pytest.approx((0.90, 16.27), abs=0.01)
    assert found.forces == pytest.approx((1.11, 7.0), abs=2)


@pytest.mark.parametrize(
    "name",
    [
        "md17_ethanol", "md17_aspirin", "rmd17_aspirin_test", "ccsdt_ethanol", "acac_train_300K", "acac_test_600K",
        "3bpa_train_300K", "3bpa_train_mixedT", "alkane_C6H14", "alkane_C10H22", "xtb_Ac-Ala3-NHMe", "xtb_DHA",
        "xtb_ethanol", "xtb_AT-AT_400K",
    ],
)  # fmt: skip
def test_clean_reference_data_raise_no_error(name):
    found = inspect(reference(name))
    assert not [finding for finding in found.findings if finding.level == "error"]
    assert 0.98 < found.slope < 1.1
    assert found.explained > 0.7
    assert 20 < found.stiffness < 40


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 19, 20, 30, 60])
@pytest.mark.parametrize("kind", ["successive", "scattered"])
def test_few_frames_raise_no_error(n, kind):
    start = {"successive": 0, "scattered": 3}[kind]
    data = read(PEPTIDE)
    rows = np.arange(start, start + n) if kind == "successive" else np.random.default_rng(n).permutation(2000)[:n]
    assert not findings(data.take(rows))


# sign and unit


@pytest.mark.parametrize(
    ("energies", "forces", "words"),
    [
        (1, -1, "the forces have the wrong sign: they look like gradients"),
        (-1, 1, "the energies have the wrong sign"),
        (-1, -1, "the forces and energies have the wrong sign"),
        (1 / KCAL, 1 / KCAL, "look like kcal/mol and kcal/mol/Angstrom .* give --energy-unit kcal/mol\\."),
        (1 / KJ, 1 / KJ, "give --energy-unit kJ/mol\\."),
        (1 / KCAL, 1, "energies were read in eV but look like kcal/mol .*--forces-unit eV/Angstrom"),
        (1 / Hartree, 1, "energies were read in eV but look like Hartree"),
        (1, 1 / KCAL, "forces were read in eV/Angstrom but look like kcal/mol/Angstrom"),
        (1, Bohr / Hartree, "forces were read in eV/Angstrom but look like Hartree/Bohr .* give --forces-unit Hartree"),
        (1, Bohr, "forces were read in eV/Angstrom but look like eV/Bohr"),
        (1 / Hartree, Bohr / Hartree, "give --energy-unit Hartree --forces-unit Hartree/Bohr\\."),
        (1, 1.7, "do not fit each other .* no common unit explains it"),
    ],
)
def test_signs_and_units_are_diagnosed(energies, forces, words):
    data = peptide()
    spoiled = replace(data, energies=data.energies * energies, forces=data.forces * forces)
    finding = only(spoiled, "sign and unit")
    assert re.search(words, finding.message), finding.message
    assert finding.frames == ()


@pytest.mark.parametrize("name", ["md17_ethanol", "md17_aspirin", "acac_train_300K", "3bpa_train_300K", "alkane_C6H14"])
def test_signs_and_units_of_reference_data(name):
    data = reference(name)
    assert "look like gradients" in only(replace(data, forces=-data.forces), "sign and unit").message
    hartree = replace(data, forces=data.forces * Bohr / Hartree)
    assert "look like Hartree/Bohr" in only(hartree, "sign and unit").message
    other = replace(data, energies=data.energies / KCAL)
    assert "energies were read in eV but look like kcal/mol" in only(other, "sign and unit").message


def test_forces_are_judged_without_energies():
    data = replace(peptide(), energies=None)
    assert "forces fit the bonds" in findings(data, "ok")["sign and unit"].message
    assert "look like gradients" in only(replace(data, forces=-data.forces), "sign and unit").message
    wrong = only(replace(data, forces=data.forces / KCAL), "sign and unit").message
    assert wrong.endswith("give --forces-unit kcal/mol/Angstrom.")


@pytest.mark.parametrize(("factor", "unit"), [(1 / Bohr, "Bohr"), (0.1, "nm"), (100, "pm")])
def test_lengths_in_another_unit(factor, unit):
    data = peptide()
    assert f"give --length-unit {unit}." in only(replace(data, positions=data.positions * factor), "lengths").message


def test_declared_units_stand_in_the_diagnosis():
    data = peptide()
    provenance = Provenance(energy_unit="kcal/mol", length_unit="Angstrom", forces_unit="kcal/mol/Angstrom")
    spoiled = replace(data, energies=data.energies * KCAL, forces=data.forces * KCAL, provenance=provenance)
    found = only(spoiled, "sign and unit", "warning").message
    assert "read in kcal/mol and kcal/mol/Angstrom but look like eV and" in found
    assert found.endswith("if they are those of whole molecules; differences between methods may be so small.")


def test_energies_of_other_frames():
    data = peptide()
    found = findings(replace(data, energies=data.energies[np.random.default_rng(0).permutation(len(data))]), "warning")
    assert "explain only" in found["sign and unit"].message


# labels that are missing or of another kind in some frames


def test_missing_forces_and_energies():
    data = peptide()
    assert "--forces-key" in findings(replace(data, forces=None))["labels"].message
    assert "no energies" in findings(replace(data, energies=None), "warning")["labels"].message


@pytest.mark.parametrize("name", ["positions", "forces", "energies"])
def test_not_a_number(name):
    data = in_frames(peptide(), SPOILED, **{name: np.nan})
    finding = only(data, "numbers")
    assert finding.frames == tuple(8 * SPOILED)
    assert "4 frames (96, 480, 488, 1200)" in finding.message


def test_nothing_but_not_a_number():
    data = peptide()
    assert inspect(replace(data, positions=data.positions * np.nan)).level == "error"


@pytest.mark.parametrize("factor", [-1, 1 / KCAL, Hartree / Bohr, 1 / Hartree])
def test_forces_of_another_sign_or_unit_in_some_frames(factor):
    data = peptide()
    finding = only(in_frames(data, SPOILED, forces=factor * data.forces[SPOILED]), "mixed forces")
    assert finding.frames == tuple(8 * SPOILED)


@pytest.mark.parametrize("kind", ["turned", "reordered", "of other frames"])
def test_forces_that_do_not_belong_to_the_positions(kind):
    data, rng = peptide(), np.random.default_rng(1)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    forces = {
        "turned": data.forces @ turn,
        "reordered": data.forces[:, rng.permutation(data.n_atoms)],
        "of other frames": data.forces[rng.permutation(len(data))],
    }[kind]
    assert "turned against the positions" in only(replace(data, forces=forces), "net torque").message


def test_a_net_force():
    data = peptide()
    assert "external field" in only(replace(data, forces=data.forces + np.array([0.4, 0, 0])), "net force").message


@pytest.mark.parametrize("atoms", [[3], [0, 7, 11]])
def test_atoms_without_forces_are_named(atoms):
    data = peptide()
    forces = data.forces.copy()
    forces[:, atoms] = 0
    message = only(replace(data, forces=forces), "net force").message
    assert f"atom{'s' * (len(atoms) > 1)} {', '.join(map(str, atoms))} are zero in every frame" in message


def test_a_single_bond_in_bohr_is_one_error():
    rng = np.random.default_rng(0)
    lengths = 0.92 + 0.05 * rng.normal(size=100)
    positions, forces = np.zeros((100, 2, 3)), np.zeros((100, 2, 3))
    positions[:, 1, 2], forces[:, 1, 2] = lengths, -60 * (lengths - 0.92)
    forces[:, 0] = -forces[:, 1]
    data = Dataset(np.array([9, 1]), positions, forces, 30 * (lengths - 0.92) ** 2)
    assert not findings(data)
    assert "look like Bohr" in only(replace(data, positions=positions / Bohr), "lengths").message
    assert list(findings(replace(data, positions=positions / Bohr), "warning")) == []


def test_one_frame_with_huge_forces():
    data = peptide()
    finding = findings(in_frames(data, [30], forces=20 * data.forces[30]), "warning")["large forces"]
    assert finding.frames == (240,)


@pytest.mark.parametrize("offset", [1.5, -40.0, 30000.0])
@pytest.mark.parametrize("share", ["half at random", "second half", "a tenth"])
def test_two_energy_zeros(offset, share):
    data = peptide()
    n = len(data)
    other = {
        "half at random": np.random.default_rng(2).random(n) < 0.5,
        "second half": np.arange(n) >= n // 2,
        "a tenth": np.arange(n) % 10 == 4,
    }[share]
    finding = only(replace(data, energies=data.energies + offset * other), "energy zero")
    assert abs(float(finding.message.split("groups, ")[1].split(" eV")[0])) == pytest.approx(abs(offset), abs=0.25)
    smaller = other if other.mean() <= 0.5 else ~other
    named = np.isin(data.frames, finding.frames)
    assert (named == smaller).mean() > 0.97 or (named == ~smaller).mean() > 0.97


def test_one_wrong_energy():
    data = peptide()
    energies = data.energies.copy()
    energies[33] += 7
    assert findings(replace(data, energies=energies), "warning")["energy zero"].frames == (264,)


# structures


def test_duplicates_are_counted_and_conflicting_ones_are_errors():
    data = peptide()
    doubled = data.take([*range(200), 3, 3, 17])
    found = inspect(doubled)
    assert found.duplicates == 3
    assert findings(doubled, "warning")["duplicates"].frames == (24, 24, 136)
    other = in_frames(doubled, [202], energies=doubled.energies[202] + 0.01)
    assert only(other, "duplicates").frames == (136,)


def test_exploded_and_coincident_atoms():
    data = peptide()
    positions = data.positions.copy()
    positions[7] *= 2.1
    positions[9, 0] = positions[9, 1] + 0.1
    found = findings(replace(data, positions=positions))
    assert found["bonds"].frames == (56,)
    assert "come apart" in found["bonds"].message
    assert found["coincident atoms"].frames == (72,)


def test_a_hydrogen_that_left():
    data = peptide()
    positions = data.positions.copy()
    positions[7, -1] += 6 * (positions[7, -1] - positions[7].mean(axis=0)) / 10 + 3
    assert findings(replace(data, positions=positions))["bonds"].frames == (56,)


@pytest.mark.parametrize("element", [1, 6, 7, 8])
def test_atoms_in_another_order(element):
    data = peptide()
    assert only(permuted(data, SPOILED, swapped(data, element)), "atom order").frames == tuple(8 * SPOILED)


def test_two_files_with_different_atom_orders():
    data = peptide()
    rng = np.random.default_rng(4)
    order = np.arange(data.n_atoms)
    for element in np.unique(data.numbers):
        same = np.flatnonzero(data.numbers == element)
        order[same] = rng.permutation(same)
    assert only(permuted(data, np.arange(150, 250), order), "atom order").frames == tuple(8 * np.arange(150, 250))


def test_atoms_in_another_order_in_reference_data():
    data = reference("md17_aspirin")
    assert only(permuted(data, [5, 700], swapped(data, 6)), "atom order").frames == (5, 700)


def test_proton_transfer_is_a_warning():
    found = findings(reference("acac_train_300K"), "warning")["bonds"]
    assert "O5-H11" in found.message or "O3-H11" in found.message


# small molecules, and the shape of the answer


@pytest.mark.parametrize("n_atoms", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 40])
@pytest.mark.parametrize("element", [1, 6, 18])
def test_tiny_systems(n_atoms, n, element):
    rng = np.random.default_rng(0)
    line = np.arange(n_atoms)[:, None] * [0.75 if element == 1 else 1.4, 0, 0]
    positions = line + 0.02 * rng.normal(size=(n, n_atoms, 3))
    data = Dataset(np.full(n_atoms, element), positions, np.zeros_like(positions), np.zeros(n))
    assert not findings(data)
    assert not findings(replace(data, energies=None))


def test_a_diatomic_on_a_spring():
    rng = np.random.default_rng(0)
    stretch = 0.05 * rng.normal(size=60)
    positions = np.zeros((60, 2, 3))
    positions[:, 1, 2] = 0.92 + stretch
    forces = np.zeros_like(positions)
    forces[:, 1, 2] = -60 * stretch
    forces[:, 0, 2] = 60 * stretch
    data = Dataset(np.array([9, 1]), positions, forces, 30 * stretch**2)
    assert inspect(data).slope == pytest.approx(1, abs=0.02)
    assert "gradients" in only(replace(data, forces=-forces), "sign and unit").message


def test_no_structures():
    with pytest.raises(DataError, match="no structures"):
        inspect(peptide().take([]))


def test_the_answer_is_plain_and_repeatable():
    data = peptide()
    first, again = inspect(data), inspect(replace(data))
    assert first == again
    text = json.dumps(first.as_dict(), allow_nan=False)
    assert json.loads(text)["level"] == "ok"
    assert {finding["check"] for finding in json.loads(text)["findings"]} >= {"labels", "bonds", "sign and unit"}
    assert first.read["forces"] == "array 'F', eV/Angstrom (as the file says)"


def test_errors_come_first():
    data = in_frames(peptide(), SPOILED, forces=np.nan)
    assert inspect(data).findings[0].level == "error"


@pytest.mark.parametrize(("order", "words"), [("time", "in time"), ("energy", "by energy"), ("none", "none seen")])
def test_the_order_of_frames_is_recognised(order, words):
    data = read(PEPTIDE, index=":300")
    rows = {
        "time": np.arange(300),
        "energy": np.argsort(data.energies),
        "none": np.random.default_rng(0).permutation(300),
    }
    assert inspect(data.take(rows[order])).order == words
