"""Every verb on good input: text for people, JSON for programs, files that hold what was promised."""

import errno
import io
import json
import os
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from cli.support import TRAIN, Command, contents

import gossamer as gs
from gossamer.cli import text
from gossamer.cli.inputs import Sizes
from gossamer.cli.main import run
from gossamer.cli.outputs import console
from gossamer.records.parts import Choice
from gossamer.records.record import read_record
from gossamer.reporting.words import digits

DIPOLES = Path(__file__).parents[1] / "data" / "ethanol_dipoles.npz"


@pytest.fixture
def work(shelf_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with good.npz, silent.extxyz, positions.npz and the model m.gossamer with its record."""
    for name in ("good.npz", "silent.extxyz", "positions.npz", "repeats.npz", "m.gossamer", "m.json"):
        (tmp_path / name).write_bytes((shelf_folder / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Reduced(NamedTuple):
    folder: Path
    out: str
    err: str


@pytest.fixture(scope="session")
def reduced(shelf_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Reduced:
    """One reduction, over the results of an earlier one."""
    folder = tmp_path_factory.mktemp("reduced") / "out"
    folder.mkdir()
    (folder / "record.json").write_text("old")
    sizes = f"{shelf_folder}/good.npz --train 15 --valid 10"
    line = f"reduce {sizes} --length 20 --symmetry none --terms global --tolerance 0.3"
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert run([*line.split(), "--out", str(folder), "--json"]) == 0
    return Reduced(folder, out.getvalue(), err.getvalue())


# inspect and convert -------------------------------------------------------------------------------------------------


def test_inspect_tells_what_was_read(gossamer: Command, work: Path) -> None:
    found = gossamer("inspect good.npz")
    assert found.code == 0
    for words in ("C2H6O, 9 atoms", "60,", "'F', kcal/mol/Angstrom (as the file says)", "sign and unit"):
        assert words in found.out


def test_inspect_json(gossamer: Command, work: Path) -> None:
    found = gossamer("inspect good.npz --index 0:30 --json")
    values = json.loads(found.out)
    assert (values["n_frames"], values["level"], values["formula"]) == (30, "ok", "C2H6O")
    assert found.err == ""


def test_inspect_lists_fragments_and_train_takes_them(gossamer: Command, work: Path) -> None:
    found = gossamer("inspect good.npz --fragments --fragments-to f.json --radius 2.3")
    assert found.code == 0
    for words in ("local fragments in", "within 1 bond", "within 2.3 A", "fragments: f.json"):
        assert words in found.out
    assert "within" not in gossamer("inspect good.npz").out
    entries = json.loads(Path("f.json").read_text())
    assert json.loads(gossamer("inspect good.npz --fragments --radius 2.3 --json").out)["fragments"] == entries[:-1]
    assert entries[-1] == {"global": True}
    Path("f.json").write_text(json.dumps([entries[0], entries[-1]]))
    options = "--train 20 --valid 5 --test 5 --symmetry none --fragments f.json --quiet"
    record = json.loads(gossamer(f"train good.npz {options} --out x.gossamer --json").out)
    assert [term["name"] for term in record["terms"]] == [entries[0]["name"], "global"]
    assert record["settings"]["terms"] == "given"
    assert record["settings"]["length"] is None
    assert record["full"]["length"] is None
    found = gossamer(f"estimate good.npz {options}")
    assert "unknowns" in found.out
    assert "measuring" not in found.err
    assert (
        "measuring: the speed of this machine" in gossamer(f"estimate good.npz {options.replace(' --quiet', '')}").err
    )


@pytest.mark.parametrize("name", ["x.extxyz", "x.npz", "x.traj"])
def test_convert_keeps_the_data(name: str, gossamer: Command, work: Path) -> None:
    found = gossamer(f"convert good.npz {name}")
    assert found.code == 0
    assert "'R', Angstrom" in found.out
    assert "written in eV and Angstrom" in found.out
    before, after = gs.read("good.npz"), gs.read(name)
    np.testing.assert_allclose(after.forces, before.forces, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(after.energies, before.energies, rtol=1e-12)


def test_convert_units_and_json(gossamer: Command, work: Path) -> None:
    options = "--energy-unit kcal/mol --to-energy-unit Hartree --to-length-unit Bohr --json"
    values = json.loads(gossamer(f"convert silent.extxyz x.npz {options}").out)
    assert values["written"] == {"energy_unit": "Hartree", "length_unit": "Bohr", "labels": ["forces", "energies"]}
    assert "kcal/mol (--energy-unit)" in values["read"]["energies"]
    with np.load("x.npz") as file:
        assert str(file["e_unit"]) == "Hartree"
    np.testing.assert_allclose(gs.read("x.npz").positions, gs.read("good.npz", index="0:3").positions, rtol=1e-12)


@pytest.mark.parametrize(
    ("pairs", "inside", "words"),
    [
        (25, 14, "keeps 5 of 16 non-local pairs and the 20 local ones, which are fixed, 2.8 per atom"),
        (20, 0, "keeps 0 of 16 non-local pairs and the 20 local ones"),
    ],
)
def test_a_reduction_of_terms_counts_non_local_pairs(pairs: int, inside: int, words: str, reduced: Reduced) -> None:
    record = read_record(reduced.folder / "record.json")
    assert isinstance(record, gs.ReduceRecord)
    record = replace(
        record,
        pairs=tuple(replace(pair, local=k < 20) for k, pair in enumerate(record.pairs)),
        chosen=replace(record.chosen, pairs=pairs, global_pairs=inside, pairs_per_atom=pairs / 9),
        terms=(*record.terms, replace(record.terms[0], kind="bonds", reach=1.0)),
        choice=Choice("both", {"both": 0.03, "global": 0.04}),
    )
    said = text.reduction_paragraph(record)
    assert words in said
    assert ("a global one, which sees 14 pairs." in said) == (inside == 14)
    assert "The reduction began with local terms with a global one" in said
    shown = text.models_table(record)
    assert any("global" in str(column.header) for column in shown.columns)


# train, test, predict ------------------------------------------------------------------------------------------------


def test_train_writes_model_record_and_report(gossamer: Command, work: Path) -> None:
    found = gossamer(f"train good.npz {TRAIN} --test 20 --out x.gossamer --report x.html")
    assert (found.code, found.err) == (0, "")
    for words in ("Errors on 20 test structures", "36 pairs, 1 permutation,", "model: x.gossamer", "report: x.html"):
        assert words in found.out
    record = json.loads(Path("x.json").read_text())
    assert record["command"].startswith("gossamer train good.npz --train 30")
    assert (record["data"]["n_train"], record["data"]["n_valid"], record["data"]["n_test"]) == (30, 10, 20)
    assert record["full"]["force_mae"] > 0
    assert "<html" in Path("x.html").read_text()[:200]
    assert gs.load("x.gossamer").n_train == 30


def test_train_says_which_terms_and_why(gossamer: Command, work: Path) -> None:
    found = gossamer("train good.npz --train 25 --valid 10 --symmetry none --quiet --out x.gossamer --report x.html")
    choice = json.loads(Path("x.json").read_text())["choice"]
    errors = choice["valid_force_rmse"]
    assert set(errors) == {"global", "all", "pairs"}
    assert len(choice["learning"]) == 60
    (line,) = [line for line in found.out.splitlines() if line.startswith("Taken: ")]
    assert all(f"{digits(1000 * error)} " in line for error in errors.values())
    assert "What the model is made of" in Path("x.html").read_text()


def test_train_twice_is_the_same_file(gossamer: Command, work: Path) -> None:
    for name in ("a", "b"):
        assert gossamer(f"train good.npz {TRAIN} --seed 3 --out {name}").code == 0
    assert Path("a").read_bytes() == Path("b").read_bytes()
    assert Path("a").read_bytes() != Path("m.gossamer").read_bytes()


def test_train_json(gossamer: Command, work: Path) -> None:
    found = gossamer(f"train good.npz {TRAIN} --noise 1e-8 --solver cg --energies --json --out x --record y")
    values = json.loads(found.out)
    assert values["files"] == {"out": "x", "record": "y"}
    assert values["settings"]["noise"] == 1e-8
    assert values["settings"]["solver"] == "cg"
    assert values["settings"]["energies_as_labels"] is True


def test_train_with_given_permutations(gossamer: Command, work: Path) -> None:
    numbers = gs.read("good.npz").numbers
    i, j = np.flatnonzero(numbers == 1)[:2]
    Path("group.txt").write_text(f"{' '.join(map(str, range(len(numbers))))}  # nothing moves\n\n({i} {j})\n")
    found = gossamer(
        "train good.npz --train 20 --length 20 --terms global --symmetry group.txt --quiet --json --out x.gossamer"
    )
    assert json.loads(found.out)["symmetry"]["order"] == 2


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ("--train 20", (20, 10, 30)),
        ("--train 50", (50, 10, 0)),
        ("--train 60", (60, 0, 0)),
        ("--train 20 --valid 0", (20, 0, 40)),
        ("--train 20 --test 5", (20, 10, 5)),
        ("--train 40 --test 15", (40, 5, 15)),
    ],
)
def test_sizes_not_given(sizes: str, expected: tuple[int, int, int], gossamer: Command, work: Path) -> None:
    found = gossamer(f"train good.npz {sizes} --length 20 --symmetry none --quiet --json --out x.gossamer")
    data = json.loads(found.out)["data"]
    assert (data["n_train"], data["n_valid"], data["n_test"]) == expected


def test_duplicates_are_left_out_and_said(gossamer: Command, work: Path) -> None:
    found = gossamer("train repeats.npz --train 20 --length 20 --symmetry none --out x.gossamer")
    assert "60 " not in found.err.splitlines()[0]
    assert "10 duplicates left out" in found.err


def test_test_measures_what_predict_gives(gossamer: Command, work: Path) -> None:
    assert gossamer("predict m.gossamer good.npz --out p.npz").code == 0
    true, predicted = gs.read("good.npz"), gs.read("p.npz")
    values = json.loads(gossamer("test m.gossamer good.npz --json").out)
    assert values["structures"] == 60
    np.testing.assert_allclose(values["force_mae"], np.abs(true.forces - predicted.forces).mean(), rtol=1e-9)
    np.testing.assert_allclose(values["energy_mae"], np.abs(true.energies - predicted.energies).mean(), rtol=1e-9)
    shown = gossamer("test m.gossamer good.npz").out
    assert f"{1000 * values['force_mae']:.0f} meV/Å" in shown
    assert f"{values['force_mae'] / 0.04336410390059322:.2f} kcal/mol/Å" in shown


def test_predict_needs_no_labels(gossamer: Command, work: Path) -> None:
    found = gossamer("predict m.gossamer positions.npz --out p.extxyz --json")
    values = json.loads(found.out)
    wanted = gs.load("m.gossamer").predict(gs.read("good.npz").positions)
    np.testing.assert_allclose(values["energies"], wanted.energies, rtol=1e-12)
    np.testing.assert_allclose(gs.read("p.extxyz").forces, wanted.forces, rtol=1e-9, atol=1e-9)
    assert gossamer("predict m.gossamer silent.extxyz --out q.extxyz").code == 0  # labels of unknown unit do not matter


def test_exchanged_atoms_are_warned_of_in_one_line(gossamer: Command, work: Path) -> None:
    data = gs.read("good.npz")
    order = np.arange(9)
    order[[3, 8]] = order[[8, 3]]  # a hydrogen of a carbon, and that of the oxygen
    gs.write(replace(data, positions=data.positions[:, order], forces=data.forces[:, order]), "swapped.npz")
    for line in ("predict m.gossamer swapped.npz --out p.npz --json", "test m.gossamer swapped.npz --json"):
        found = gossamer(line)
        assert found.code == 0
        told = [said for said in found.err.splitlines() if "warning" in said]
        assert len(told) == 1
        assert re.match(r"gossamer: warning: swapped\.npz: 60 of 60 structures \(frames 0, 1, 2, \.\.\.\)", told[0])
        json.loads(found.out)
    assert "warning" not in gossamer("predict m.gossamer good.npz --out p.npz").err


def test_the_guard_of_predict_and_test(gossamer: Command, work: Path) -> None:
    data = gs.read("good.npz")
    order = np.arange(9)
    order[[3, 8]] = order[[8, 3]]
    R = data.positions.copy()
    R[[4, 7]] = R[[4, 7]][:, order]
    gs.write(replace(data, positions=R), "some.npz")
    for line in ("predict m.gossamer some.npz --out p.npz", "test m.gossamer some.npz --force"):
        found = gossamer(f"{line} --guard stop")
        assert (found.code, found.out) == (1, "")
        assert found.err.splitlines()[-1].startswith("gossamer: some.npz: 2 of 60 structures (frames 4, 7) have bonds")
        assert not Path("p.npz").exists()
        assert "bonds or contacts" not in gossamer(f"{line} --guard off").err
        Path("p.npz").unlink(missing_ok=True)
        found = gossamer(f"{line} --guard save --guard-file left.extxyz")
        assert found.code == 0
        np.testing.assert_array_equal(gs.read("left.extxyz", labels=False).positions, R[[4, 7]])
        Path("left.extxyz").unlink()
        Path("p.npz").unlink(missing_ok=True)


# reduce, report ------------------------------------------------------------------------------------------------------


def test_reduce_writes_its_results_and_nothing_else(reduced: Reduced) -> None:
    folder = reduced.folder
    assert sorted(contents(folder)) == ["full.gossamer", "model.gossamer", "record.json", "report.html"]
    assert [path.name for path in folder.parent.iterdir()] == ["out"]
    record = json.loads((folder / "record.json").read_text())
    assert len(record["quantiles"]) == 9
    assert record["full"]["pairs"] == len(gs.load(folder / "full.gossamer").pairs) == 36
    assert record["chosen"]["pairs"] == len(gs.load(folder / "model.gossamer").pairs) < 36
    assert record["settings"]["tolerance"] == 0.3
    assert record["command"].startswith("gossamer reduce ")


def test_a_reduction_whose_results_find_no_place_is_not_lost(gossamer: Command, work: Path, monkeypatch) -> None:
    sizes = "--train 12 --valid 8 --length 20 --symmetry none --terms global --tolerance 0.3"
    line = f"reduce good.npz {sizes} --quiet --checkpoint-every 0 --out r"
    move = os.rename

    def full(source: str, target: str) -> None:
        if Path(target) == (work / "r").resolve():
            raise OSError(errno.ENOSPC, "No space left on device")
        move(source, target)

    with monkeypatch.context() as patched:
        patched.setattr("gossamer.cli.results.os.rename", full)
        found = gossamer(line)
    assert (found.code, found.err.count("\n")) == (1, 1)
    assert "no space left" in found.err.lower()
    assert (work / "r.checkpoint").exists()
    assert gossamer(f"{line} --resume").code == 0
    assert (work / "r" / "model.gossamer").exists()
    assert not (work / "r.checkpoint").exists()


def test_reduce_json_is_the_record_without_its_bulk(reduced: Reduced) -> None:
    values = json.loads(reduced.out)
    record = json.loads((reduced.folder / "record.json").read_text())
    assert values.pop("files") == [str(path) for path in sorted(reduced.folder.iterdir(), key=_order)]
    assert values == {key: record[key] for key in record if key not in ("pairs", "parity", "per_atom", "geometry")}


def _order(path: Path) -> int:
    return ["model.gossamer", "full.gossamer", "record.json", "report.html"].index(path.name)


def test_reduce_tells_how_it_goes(reduced: Reduced) -> None:
    lines = reduced.err.splitlines()
    assert "good.npz: 60 structures of C2H6O, 9 atoms, GFN2-xTB" in lines[0]
    assert "structures: 15 to train, 10 to validate, 35 to test (seed 0)" in lines
    for stage in ("symmetry", "solving", "scoring pairs", "reducing 9/", "writing report"):
        assert any(f"s] {stage}" in line for line in lines)


def test_reduce_tells_the_table(reduced: Reduced) -> None:
    record = read_record(reduced.folder / "record.json")
    assert isinstance(record, gs.ReduceRecord)
    show = console()
    with show.capture() as captured:
        show.print(text.models_table(record))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split(" ←")[0].strip() for line in lines[1:] if "←" in line] == [record.chosen.label]
    for row in [record.full, *record.quantiles, *record.random, *record.shortest]:
        counts = [str(number) for number in (row.pairs, row.pairs_below_5A, row.pairs_above_5A)]
        numbers = [*counts, f"{1000 * row.force_rmse:.1f}", f"{row.seconds:.1f}"]
        assert any(row.label in line and all(n in line.split() for n in numbers) for line in lines)
    said = text.reduction_paragraph(record)
    assert f"keeps {record.chosen.pairs} of 36 pairs" in said
    assert f"the longest {record.chosen.longest_A:.1f} Å" in said


def test_pairs_are_scored_on_unused_structures_where_there_are_enough(ethanol_file: Path) -> None:
    data = gs.read(ethanol_file)
    many = replace(
        data, positions=np.concatenate([data.positions + k for k in range(4)]), forces=None, energies=None, indices=None
    )
    parts = Sizes(train=20, valid=10, test=None, seed=0).split(data)
    assert (parts.pool, len(parts.test or ())) == (None, 30)
    parts = Sizes(train=20, valid=10, test=110, seed=0).split(many)
    used = [set(part.frames) for part in parts if part is not None]
    assert list(map(len, used)) == [20, 10, 110, 100]
    assert len(set.union(*used)) == 240


def test_report_of_a_record(gossamer: Command, work: Path) -> None:
    assert gossamer("report m.json").out == "report: report.html\n"
    assert json.loads(gossamer("report m.json --out x.html --json").out) == {"report": "x.html"}
    assert Path("report.html").read_bytes() == Path("x.html").read_bytes()


# dipoles alone -------------------------------------------------------------------------------------------------------


def test_dipoles_without_forces_are_added_to_a_model(gossamer: Command, work: Path) -> None:
    data = gs.read(DIPOLES)
    gs.write(replace(data, forces=None, energies=None), work / "dipoles.npz")
    refused = gossamer("train dipoles.npz --train 60 --quiet --out x.gossamer")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "or add its dipoles to a model with `gossamer dipoles`" in refused.err
    line = "dipoles m.gossamer dipoles.npz --train 60 --valid 20 --quiet --out polar.gossamer"
    found = gossamer(line)
    assert (found.code, found.err) == (0, "")
    for words in ("learned from 60 structures, charge 0", "on 40 test structures: MAE", "model: polar.gossamer"):
        assert words in found.out
    model, polar = gs.load("m.gossamer"), gs.load("polar.gossamer")
    np.testing.assert_array_equal(polar.predict(data).forces, model.predict(data).forces)
    test = Sizes(60, 20, None, 0).split(gs.read("dipoles.npz")).test
    assert test is not None
    values = json.loads(gossamer(f"{line.replace('polar', 'again')} --json").out)
    assert values["structures"] == {"train": 60, "valid": 20, "test": 40}
    error = polar.dipoles(test) - test.labelled_dipoles()
    assert values["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert values["rmse"] < 0.05 * data.labelled_dipoles().std()
    silent = gossamer("dipoles m.gossamer good.npz --train 30 --out y.gossamer")
    assert (silent.code, silent.err.count("\n")) == (1, 1)
    assert "good.npz: it has no dipoles" in silent.err
    lost = gossamer("dipoles m.gossamer dipoles.npz --train 30 --out m.gossamer")
    assert (lost.code, lost.err.count("\n")) == (2, 1)


def test_estimate_tells_what_dipoles_cost(gossamer: Command, work: Path) -> None:
    line = f"estimate {DIPOLES} --train 60 --terms global --length 10 --noise 1e-8 --quiet --json"
    values = json.loads(gossamer(line).out)
    assert values["parts"]["dipoles"] > 0
    assert values["seconds"] == pytest.approx(sum(values["parts"].values()))
    assert "dipoles" not in json.loads(gossamer(f"{line} --no-dipoles").out)["parts"]


# labels are looked at ------------------------------------------------------------------------------------------------


CASES = Path(__file__).parents[1] / "data" / "cases"


@pytest.mark.parametrize("name", ["gradients", "hartree_per_bohr"])
def test_wrong_labels_stop_train_reduce_and_test(gossamer: Command, work: Path, name: str) -> None:
    data = CASES / "03" / f"{name}.npz"
    words = {"gradients": "look like gradients", "hartree_per_bohr": "give --forces-unit Hartree/Bohr"}[name]
    for verb in ("train", "reduce"):
        found = gossamer(f"{verb} {data} --train 40 --valid 10 --quiet --out w")
        assert (found.code, found.out) == (1, "")
        assert words in found.err
        assert found.err.endswith("or give --force to go on all the same.\n")
        assert not (work / "w").exists()


def test_another_energy_zero_and_structures_trained_on(gossamer: Command, work: Path) -> None:
    line = (
        f"train {CASES}/12/two_conformers.npz --train 60 --valid 10 --test 10 --length 10 --terms global --noise 1e-8"
    )
    assert gossamer(f"{line} --symmetry none --quiet --out c.gossamer").code == 0
    plain = json.loads(gossamer(f"test c.gossamer {CASES}/12/two_conformers.npz --json").out)
    assert (plain["energy_offset"], plain["trained_on"]) == (None, 60)
    shifted = gossamer(f"test c.gossamer {CASES}/16/shifted_zero.npz")
    assert "eV above those of the model, a constant that was taken off" in " ".join(shifted.out.split())
    assert "60 of the 160 structures tested are among those the model was trained on" in shifted.out
    values = json.loads(gossamer(f"test c.gossamer {CASES}/16/shifted_zero.npz --json").out)
    assert values["energy_offset"] == pytest.approx(100, abs=0.01)
    assert values["energy_mae"] == pytest.approx(plain["energy_mae"], rel=0.1)
    refused = gossamer(f"test c.gossamer {CASES}/03/gradients.npz")
    assert (refused.code, refused.out) == (1, "")
    forced = gossamer(f"test c.gossamer {CASES}/03/gradients.npz --force")
    assert forced.code == 0
    assert forced.err.count("look like gradients") == 1


def test_reduce_with_networks(gossamer: Command, shelf: Path, tmp_path: Path) -> None:
    line = "reduce good.npz --train 20 --valid 8 --test 8 --symmetry none --tolerance 5 --quiet --family network"
    told = gossamer(f"{line} --out {tmp_path}/n")
    assert told.code == 0, told.err
    record = read_record(tmp_path / "n" / "record.json")
    assert record.settings.family == "network"
    assert len(gs.load_network(tmp_path / "n" / "model.gossamer").pairs) == record.chosen.pairs
    refused = gossamer(f"{line} --length 20 --out {tmp_path}/m")
    assert (refused.code, refused.err) == (
        2, "gossamer: length: 20.0 given, which only family 'kernel' can take; leave it out.\n",
    )  # fmt: skip
