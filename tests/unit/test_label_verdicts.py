"""Verdicts on labels: right ones pass, of every kind of molecule and label, and one fault gives one error."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from gossamer.data.checks import inspect, require_sound
from gossamer.data.dataset import Dataset
from gossamer.data.formats import read
from gossamer.errors import DataError, LabelWarning

DATA = Path(__file__).parents[1] / "data"
REFERENCE = Path(__file__).parents[3] / "shared" / "data"  # third-party data, not part of this repository
HARTREE_PER_BOHR, KCAL = 51.422067, 0.0433641
MOLECULES = (
    "SiH4", "BH3", "LiH", "NaH", "NaCl", "NH4Cl", "N2", "HCN", "C2H2", "O3", "SO2", "NaBH4", "GeH4", "CH4",
    "formic_acid_dimer", "water_dimer",
)  # fmt: skip
FEW_KINDS_OF_BOND = ("SiH4", "BH3", "LiH", "NaCl", "N2", "HCN", "C2H2", "O3", "SO2")
DIFFERENCES = ("SiH4", "C2H2", "CH4", "O3", "LiH", "formic_acid_dimer", "water_dimer")


@cache
def labels():
    with np.load(DATA / "labels_xtb.npz") as file:
        return dict(file)


def molecule(name, kind=""):
    """100 frames with total labels, or with those of a kind: "_delta", "_interaction"."""
    arrays = labels()
    return Dataset(arrays[f"{name}/z"], arrays[f"{name}/R"], arrays[f"{name}/F{kind}"], arrays[f"{name}/E{kind}"])


def case(name):
    return read(DATA / "cases" / name)


def wrong(data, level="error"):
    return {finding.check: finding.message for finding in inspect(data).findings if finding.level == level}


def only(data, check, words, level="error"):
    found = wrong(data, level)
    assert list(found) == [check], found
    assert words in found[check], found[check]


# nothing is wrong


@pytest.mark.parametrize("name", MOLECULES)
def test_total_labels_are_right_whatever_the_bonds(name):
    data = molecule(name)
    assert not wrong(data) | wrong(data, "warning")
    assert list(wrong(replace(data, energies=None)) | wrong(replace(data, energies=None), "warning")) == ["labels"]


@pytest.mark.parametrize(("every", "left_out"), [(4, 3), (5, 0), (11, 0), (13, 3)])
def test_regions_that_few_frames_join_are_no_second_energy_zero(every, left_out):
    data = molecule("GeH4")
    kept = data.take(np.arange(len(data)) % every != left_out)
    assert not wrong(kept) | wrong(kept, "warning")
    shifted = replace(kept, energies=kept.energies + 100 * (np.arange(len(kept)) % 2))
    only(shifted, "energy zero", "two groups, 100 eV apart")


@pytest.mark.parametrize("every", [2, 3])
def test_two_conformers_are_no_second_energy_zero(every):
    data = case("12/two_conformers.npz")
    for first in range(every):
        part = data.take(slice(first, None, every))
        assert not wrong(part) | wrong(part, "warning")
    later = replace(data, energies=data.energies + (np.arange(len(data)) >= 80))
    only(later, "energy zero", "two groups, 1.02 eV apart")


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_between_methods_have_no_bonds_to_judge_by(name):
    data = molecule(name, "_delta")
    assert not wrong(data) | wrong(data, "warning")
    assert not wrong(replace(data, energies=None))


@pytest.mark.parametrize("name", ["formic_acid_dimer", "water_dimer"])
def test_interaction_energies_have_no_bonds_to_judge_by(name):
    data = molecule(name, "_interaction")
    assert not wrong(data) | wrong(data, "warning")
    assert not wrong(replace(data, energies=None))
    only(replace(data, forces=-data.forces), "sign and unit", "multiply them by -1")


@pytest.mark.parametrize("name", ["04/two_body", "05/malonaldehyde", "06/co2", "12/two_conformers", "16/shifted_zero"])
def test_cases_with_right_labels(name):
    assert inspect(case(f"{name}.npz")).level == "ok"


def test_a_hydride_without_energies():
    assert list(wrong(case("06/alh3.npz")) | wrong(case("06/alh3.npz"), "warning")) == ["labels"]


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference data are not on this machine")
@pytest.mark.slow
def test_reference_data_stay_clean():
    """Warned of are proton transfers in acetylacetone, and two structures of ethanol that stand twice."""
    files = sorted(REFERENCE.glob("*.npz"))
    found = {path.stem: inspect(read(path)) for path in files if path.stem != "gfnff_nanotube"}  # 334 atoms: 20 s
    assert not [name for name, inspection in found.items() if inspection.level == "error"]
    warned = {name for name, inspection in found.items() if inspection.level == "warning"}
    assert {name.split("_")[0] for name in warned} <= {"acac", "ccsdt"}


# sign and unit


@pytest.mark.parametrize("name", [*MOLECULES[:13], "water_dimer"])
@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (-1, "forces have the wrong sign"),
        (1 / HARTREE_PER_BOHR, "look like Hartree/Bohr"),
        (1 / KCAL, "look like kcal"),
    ],
)
def test_forces_are_judged_by_energies(name, factor, words):
    data = molecule(name)
    only(replace(data, forces=factor * data.forces), "sign and unit", words)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_signs_of_differences_are_judged_by_energies(name):
    data = molecule(name, "_delta")
    only(replace(data, forces=-data.forces), "sign and unit", "wrong sign")


def test_cases_of_wrong_labels():
    only(case("03/gradients.npz"), "sign and unit", "they look like gradients")
    only(case("03/hartree_per_bohr.npz"), "sign and unit", "give --forces-unit Hartree/Bohr")


def test_bonds_of_the_usual_kind_judge_forces_alone_and_others_do_not():
    methane, silane = molecule("CH4"), molecule("SiH4")
    flipped = replace(methane, energies=None, forces=-methane.forces)
    assert "gradients" in wrong(flipped)["sign and unit"]
    assert not wrong(replace(silane, energies=None, forces=silane.forces / HARTREE_PER_BOHR))


def test_small_differences_without_energies_are_no_gradients():
    difference = molecule("CH4", "_delta")
    assert "differences between methods" in wrong(replace(difference, energies=None), "warning")["sign and unit"]


# one fault, one error


@pytest.mark.parametrize("name", ["SiH4", "NaCl", "C2H2", "O3", "formic_acid_dimer"])
@pytest.mark.parametrize("frames", [1, 2, -1, -2])
@pytest.mark.parametrize("what", ["forces", "energies", "forces and energies"])
def test_labels_of_other_frames(name, frames, what):
    data = molecule(name)
    moved = {part: np.roll(getattr(data, part), frames, axis=0) for part in what.split(" and ")}
    count = {1: "one frame", 2: "two frames"}[abs(frames)]
    way = "late" if frames > 0 else "early"
    only(replace(data, **moved).take(slice(3, -3)), "order of labels", f"the {what} are {count} {way}")


def test_forces_late_without_energies_show_in_the_torque():
    data = molecule("NH4Cl")
    late = replace(data, energies=None, forces=np.roll(data.forces, 1, axis=0)).take(slice(3, None))
    only(late, "order of labels", "the forces are one frame late")


def test_case_of_late_forces():
    only(case("04/shifted.npz"), "order of labels", "the forces are one frame late")


def test_case_of_atoms_in_another_order():
    only(case("16/mixed_order.npz"), "atom order", "80 frames (80, 81")


@pytest.mark.parametrize("name", FEW_KINDS_OF_BOND)
@pytest.mark.parametrize("factor", [-1, 1 / KCAL])
def test_single_frames_with_other_forces_are_found_without_bonds(name, factor):
    data, odd = molecule(name), np.array([7, 30, 31, 77])
    forces = data.forces.copy()
    forces[odd] *= factor
    found = inspect(replace(data, forces=forces))
    errors = [finding for finding in found.findings if finding.level == "error"]
    assert [finding.check for finding in errors] == ["mixed forces"]
    assert set(errors[0].frames) <= set(odd)
    assert len(errors[0].frames) >= 3


def test_half_the_frames_in_another_unit():
    data = molecule("C2H2")
    odd = np.arange(100) % 2 == 1
    only(replace(data, forces=np.where(odd[:, None, None], data.forces / KCAL, data.forces)), "mixed forces", "frames")


@pytest.mark.parametrize("name", ["CH4", "SiH4", "SO2"])
def test_energies_in_two_units(name):
    data = molecule(name)
    odd = np.arange(100) % 2 == 1
    only(
        replace(data, energies=np.where(odd, data.energies / KCAL, data.energies)),
        "energy zero",
        "the ratio of two units",
    )


def test_a_broken_off_frame():
    data = molecule("CH4")
    positions = data.positions.copy()
    positions[40, -1] += 4 * (positions[40, -1] - positions[40, 0])
    found = inspect(replace(data, positions=positions))
    errors = [finding for finding in found.findings if finding.level == "error"]
    assert [(finding.check, finding.frames) for finding in errors] == [("bonds", (40,))]


# those who use labels look at them


def test_labels_that_are_wrong_stop_with_the_sentence_of_inspect():
    data = case("03/gradients.npz")
    with pytest.raises(DataError, match=r"training: the forces have the wrong sign.*force=True"):
        require_sound(data, "training")
    with pytest.warns(LabelWarning, match="near-duplicates"):
        require_sound(case("14/rounded_twins.npz"))
