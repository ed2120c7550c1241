"""Whatever is wrong: one sentence that names the thing and the remedy, the right exit code, nothing left behind."""

from pathlib import Path

import pytest
from cli.support import TRAIN, Command


def train(data: str, more: str = "") -> str:
    return f"train {data} {TRAIN} --out x {more}"  # the last --out counts


def reduce(data: str, more: str = "") -> str:
    return f"reduce {data} {TRAIN} --out x {more}"


def fragments(file: str) -> str:
    return train("good.npz", f"--terms auto --fragments {file}")


# name: command line, exit code, what the sentence must say (the remedy last)
CASES: dict[str, tuple[str, int, list[str]]] = {
    "missing data file": (train("lost.npz"), 1, ["lost.npz", "check the path"]),
    "missing forces": (train("no_forces.npz"), 1, ["no_forces.npz", "no forces", "--forces-key"]),
    "missing energies": (train("no_energies.npz", "--energies"), 1, ["none", "leave --energies out"]),
    "units not said": (train("no_units.npz"), 2, ["energies and forces", "--energy-unit"]),
    "units not said, xyz": ("inspect silent.extxyz", 2, ["silent.extxyz", "--energy-unit"]),
    "units unknown, file": (train("odd_units.npz"), 2, ["'furlong'", "use one of eV"]),
    "units unknown, option": ("inspect good.npz --energy-unit furlong", 2, ["'furlong'", "use one of eV"]),
    "units wrong": ("inspect in_bohr.npz", 2, ["not in Angstrom", "--length-unit Bohr"]),
    "key unknown": ("inspect good.npz --energy-key U", 2, ["'U'", "it has"]),
    "one frame": ("train one_frame.npz --train 1 --quiet --out x", 1, ["1 to train on", "at least 2"]),
    "two frames to reduce": ("reduce two_frames.npz --train 2 --quiet --out x", 2, ["--valid", "lower --train"]),
    "one atom": (train("one_atom.npz"), 1, ["have 1", "at least 2"]),
    "NaN": (train("nan.npz"), 1, ["nan.npz", "frame 3", "remove these frames"]),
    "coincident atoms": (train("coincident.npz"), 1, ["atoms 1 and 2", "remove that frame"]),
    "forces all zero": (train("no_motion.npz"), 1, ["zero", "check the file's forces"]),
    "atoms in another order": ("inspect shuffled.extxyz --energy-unit eV", 1, ["frame 1", "another order", "reorder"]),
    "truncated data": (train("cut.npz"), 1, ["cut.npz", "truncated"]),
    "foreign data": ("inspect text.npz", 1, ["text.npz", "not a readable npz"]),
    "empty data": ("inspect empty.npz", 1, ["empty.npz", "is empty"]),
    "data are a model": ("inspect m.gossamer", 1, ["m.gossamer", "format is not known"]),
    "too many structures": ("train good.npz --train 200 --out x", 2, ["200", "there are 60", "ask for fewer"]),
    "too many without repeats": ("train repeats.npz --train 65 --out x", 2, ["10 duplicates", "ask for fewer"]),
    "too many in all": ("reduce good.npz --train 40 --valid 30 --out x", 2, ["there are 60", "ask for fewer"]),
    "no structures": ("train good.npz --train 0 --out x", 2, ["--train", "gossamer train --help"]),
    "negative size": ("reduce good.npz --train 40 --valid -3 --out x", 2, ["--valid", "gossamer reduce --help"]),
    "size is a word": ("train good.npz --train many --out x", 2, ["--train", "gossamer train --help"]),
    "negative seed": (train("good.npz", "--seed -1"), 2, ["--seed", "gossamer train --help"]),
    "negative length": ("train good.npz --train 30 --quiet --length -5 --out x", 2, ["length", "-5"]),
    "negative noise": (train("good.npz", "--noise -1"), 2, ["noise", "cannot be negative"]),
    "negative tolerance": (reduce("good.npz", "--tolerance -1"), 2, ["tolerance", "cannot be negative"]),
    "no memory at all": (train("good.npz", "--memory 0"), 2, ["memory", "positive"]),
    "too little memory": (train("good.npz", "--memory 1e-4"), 1, ["memory", "--memory"]),
    "too little memory to reduce": (reduce("good.npz", "--memory 1e-4"), 1, ["memory", "--memory"]),
    "no card": (train("good.npz", "--device cuda"), 2, ["'cuda'", "no CUDA card", "use cpu"]),
    "no card to predict on": ("predict m.gossamer good.npz --device cuda --out y.npz", 2, ["'cuda'", "use cpu"]),
    "device unknown": (train("good.npz", "--device tpu"), 2, ["'tpu'", "use auto, cpu or cuda"]),
    "solver unknown": (train("good.npz", "--solver magic"), 2, ["--solver", "cholesky", "--help"]),
    "symmetry unknown": ("train good.npz --train 9 --quiet --out x --symmetry C3", 2, ["C3: there is", "auto", "none"]),
    "symmetry of words": (train("good.npz", "--symmetry words.txt"), 2, ["permutations", "three"]),
    "symmetry of a data set": (train("good.npz", "--symmetry good.npz"), 2, ["good.npz", "no text", "permutation"]),
    "symmetry of other atoms": (train("good.npz", "--symmetry short.txt"), 2, ["permutations", "atoms 0 to 8"]),
    "fragments missing": (fragments("lost.json"), 2, ["lost.json", "no such file", "inspect DATA --fragments-to"]),
    "fragments foreign": (fragments("words.txt"), 2, ["words.txt", "not JSON", "correct it"]),
    "fragments of a record": (fragments("m.json"), 2, ["m.json", "a list of entries"]),
    "fragments of other atoms": (fragments("far.json"), 2, ["far.json", "entry 1 ('far')", "no atom 9", "0 to 8"]),
    "fragments without perms": (fragments("bent.json"), 2, ["bent.json", "entry 0 ('bent')", "columns 0 to 2"]),
    "fragments and terms": (train("good.npz", "--fragments far.json"), 2, ["--terms", "--fragments", "leave one out"]),
    "fragments to estimate": ("estimate good.npz --train 9 --quiet --fragments far.json", 2, ["'far'", "no atom 9"]),
    "fragments to reduce": (reduce("good.npz", "--terms auto --fragments near.json"), 2, ['{"global": true}', "add"]),
    "fragments over the data": ("inspect good.npz --fragments-to good.npz", 2, ["--fragments-to", "another name"]),
    "fragments to no folder": ("inspect good.npz --fragments-to no/x.json", 1, ["--fragments-to", "another place"]),
    "fragments of no size": ("inspect good.npz --bonds 0", 2, ["--bonds", "gossamer inspect --help"]),
    "fragments of no radius": ("inspect good.npz --radius -1", 2, ["radii", "must be positive"]),
    "index malformed": ("inspect good.npz --index last", 2, ["'last'", "start:stop:step"]),
    "index selects nothing": ("inspect good.npz --index 99", 1, ["none of its 60", "0 to 59"]),
    "missing model": ("test lost.gossamer good.npz", 1, ["lost.gossamer", "check the path"]),
    "truncated model": ("test cut.gossamer good.npz", 1, ["cut.gossamer", "truncated"]),
    "foreign model": ("predict text.npz good.npz --out x.npz", 1, ["text.npz", "not a model file"]),
    "model is a data set": ("test good.npz good.npz", 1, ["good.npz", "not an sgdml model"]),
    "model of the future": ("test future.gossamer good.npz", 1, ["version 9", "upgrade"]),
    "another molecule": ("test m.gossamer two_atoms.npz", 2, ["two_atoms.npz", "H2", "C2H6O"]),
    "model's atoms, another order": ("predict m.gossamer other_order.npz --out x.npz", 2, ["another order", "reorder"]),
    "nothing to test against": ("test m.gossamer positions.npz", 1, ["positions.npz", "no forces", "--forces-key"]),
    "missing record": ("report lost.json", 1, ["lost.json", "check the path"]),
    "truncated record": ("report cut.json", 1, ["cut.json", "not JSON"]),
    "foreign record": ("report list.json", 1, ["list.json", "no record"]),
    "output in no folder": (train("good.npz", "--out no/x"), 1, ["--out", "no/x", "another place"]),
    "output below a file": (train("good.npz", "--out good.npz/x"), 1, ["--out", "another place"]),
    "output is a folder": (train("good.npz", "--out results"), 1, ["--out", "is a folder", "name of a file"]),
    "output is the input": (train("good.npz", "--out good.npz"), 2, ["--out", "lost", "another name"]),
    "record is the fragments": (fragments("near.json") + " --out near", 2, ["--record", "near.json", "another name"]),
    "output is the symmetry": (train("good.npz", "--symmetry short.txt --out short.txt"), 2, ["--out", "another name"]),
    "outputs are the same": (train("good.npz", "--out x.json"), 2, ["--record", "x.json", "another name"]),
    "report in no folder": (train("good.npz", "--out x --report no/x.html"), 1, ["--report", "another place"]),
    "results in no folder": (reduce("good.npz", "--out no/x"), 1, ["--out", "another place"]),
    "results into a file": (reduce("good.npz", "--out good.npz"), 2, ["--out", "is a file", "folder"]),
    "results among other files": (reduce("good.npz", "--out results"), 2, ["'thesis.tex'", "new or an empty folder"]),
    "converted into itself": ("convert good.npz good.npz", 2, ["OUT", "lost"]),
    "converted into what": ("convert good.npz good.pdf", 2, [".pdf", ".extxyz"]),
    "converted to what units": ("convert good.npz x.npz --to-energy-unit cal", 2, ["'cal'", "use one of"]),
    "converted to no folder": ("convert good.npz no/x.npz", 1, ["OUT", "another place"]),
    "predicted into the model": ("predict m.gossamer good.npz --out m.gossamer", 2, ["--out", "lost"]),
    "relaxed into the model": ("relax m.gossamer good.npz --out m.gossamer", 2, ["--out", "lost"]),
    "relaxed into what": ("relax m.gossamer good.npz --out x.pdf", 2, [".pdf", ".extxyz"]),
    "relaxed by what": ("relax m.gossamer good.npz --out x.npz --optimizer newton", 2, ["--optimizer", "--help"]),
    "another molecule to relax": ("relax m.gossamer two_atoms.npz --out x.npz", 2, ["two_atoms.npz", "H2", "C2H6O"]),
    "no card to relax on": ("relax m.gossamer good.npz --device cuda --out y.npz", 2, ["'cuda'", "use cpu"]),
    "vibrations of several": ("vibrations m.gossamer good.npz --index 0:3", 2, ["--index", "3 struct", "one frame"]),
    "vibrations of another": ("vibrations m.gossamer two_atoms.npz", 2, ["two_atoms.npz", "H2", "C2H6O"]),
    "modes into what": ("vibrations m.gossamer good.npz --modes x.pdf", 2, ["--modes", ".extxyz"]),
    "modes into the model": ("vibrations m.gossamer good.npz --modes m.gossamer", 2, ["--modes", "lost"]),
    "gas of no temperature": ("vibrations m.gossamer good.npz --temperature 0", 2, ["temperature", "positive"]),
    "md of no length": ("md m.gossamer good.npz --out x.traj", 2, ["--steps, --picoseconds", "give one"]),
    "md of two lengths": ("md m.gossamer good.npz --steps 9 --picoseconds 1 --out x.traj", 2, ["both", "one of them"]),
    "md into what": ("md m.gossamer good.npz --steps 9 --out x.npz", 2, ["--out", ".npz", ".extxyz"]),
    "md into the model": ("md m.gossamer good.npz --steps 9 --out m.gossamer", 2, ["--out", "lost"]),
    "md of another molecule": ("md m.gossamer two_atoms.npz --steps 9 --out x.traj", 2, ["two_atoms.npz", "H2"]),
    "md from many": ("md m.gossamer good.npz --steps 9 --index 0:3 --out x.traj", 2, ["3 structures", "a frame"]),
    "md in what ensemble": ("md m.gossamer good.npz --steps 9 --ensemble npt --out x.traj", 2, ["'npt'", "--help"]),
    "md report over it": ("md m.gossamer good.npz --steps 9 --out x.xyz --report x.xyz", 2, ["--report", "lost"]),
    "md of no model": ("md lost.gossamer good.npz --steps 9 --out x.traj", 1, ["lost.gossamer", "check the path"]),
    "a deck without a start": ("export lammps m.gossamer --out deck", 2, ["--data", "lammps", "name a file"]),
    "a deck of other atoms": ("export ipi m.gossamer --data two_atoms.npz --out deck", 2, ["H2", "C2H6O"]),
    "a deck in another order": ("export ipi m.gossamer --data other_order.npz --out x", 2, ["another order"]),
    "a deck of NaN": ("export lammps m.gossamer --data nan.npz --index 3 --out deck", 1, ["NaN", "nan.npz"]),
    "a deck among other files": ("export ipi m.gossamer --data good.npz --out results", 1, ["results", "empty folder"]),
    "a deck of no model": ("export ipi lost.gossamer --data good.npz --out x", 1, ["lost.gossamer", "check the path"]),
    "a deck without beads": ("export ipi m.gossamer --data good.npz --beads 0 --out deck", 2, ["--beads", "--help"]),
    "exported into the model": ("export torch m.gossamer --out m.gossamer", 2, ["--out", "lost"]),
    "exported to what": ("export amber m.gossamer --out x", 2, ["amber", "gossamer export --help"]),
    "guard unknown": ("predict m.gossamer good.npz --out x.npz --guard explode", 2, ["--guard", "predict --help"]),
    "guard into a pdf": ("test m.gossamer good.npz --guard save --guard-file x.pdf", 2, [".pdf", ".extxyz"]),
    "guard into other atoms": (
        "test m.gossamer good.npz --guard save --guard-file two_atoms.npz", 2, ["two_atoms.npz", "other atoms"],
    ),
    "verb unknown": ("tarin good.npz", 2, ["'tarin'", "train", "gossamer --help"]),
    "option unknown": ("train good.npz --epochs 5", 2, ["--epochs", "gossamer train --help"]),
    "argument missing": ("reduce", 2, ["DATA", "gossamer reduce --help"]),
    "option missing": ("train good.npz --out x", 2, ["--train", "gossamer train --help"]),
    "argument too many": ("inspect good.npz nan.npz", 2, ["nan.npz", "gossamer inspect --help"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_sentence(name: str, gossamer: Command, shelf: Path) -> None:
    line, code, words = CASES[name]
    found = gossamer(line)
    assert found.err.startswith("gossamer: ")
    assert found.err.endswith(".\n")
    assert found.err.count("\n") == 1
    assert [word for word in words if word.lower() not in found.err.lower()] == [], found.err
    assert found.out == ""
    assert found.code == code


@pytest.mark.parametrize("line", [
    "train two_frames.npz --train 2 --symmetry none --quiet --out x",
    train("two_atoms.npz"),
    "reduce two_atoms.npz --train 5 --valid 5 --length 20 --symmetry none --quiet --out x",
])  # fmt: skip
def test_small_is_not_bad(line: str, gossamer: Command, shelf_folder: Path, tmp_path: Path, monkeypatch) -> None:
    for name in ("two_frames.npz", "two_atoms.npz"):
        (tmp_path / name).write_bytes((shelf_folder / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    found = gossamer(line)
    assert (found.code, found.err) == (0, "")
    assert "pair" in found.out


def test_suspicious_labels_fail_inspection(gossamer: Command, shelf: Path) -> None:
    found = gossamer("inspect wrong_sign.npz")
    assert found.code == 1
    assert "error" in found.out
    assert found.err == ""


@pytest.mark.parametrize("error", [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
])  # fmt: skip
def test_memory_runs_out(error: Exception, gossamer: Command, shelf: Path, monkeypatch) -> None:
    monkeypatch.setattr("gossamer.fitting.result.train", _raises(error))
    found = gossamer(train("good.npz"))
    assert found.code == 1
    assert found.err.startswith("gossamer: memory: ")
    assert "--memory" in found.err


@pytest.mark.parametrize(
    ("line", "failing"),
    [
        (reduce("good.npz"), "gossamer.reduction.reducer.reduce"),
        (train("good.npz", "--out x"), "gossamer.model.force_field.ForceField.save"),
        ("inspect good.npz", "gossamer.data.checks.inspect"),
    ],
)
def test_a_bug_asks_to_be_reported(line: str, failing: str, gossamer: Command, shelf: Path, monkeypatch) -> None:
    monkeypatch.setattr(failing, _raises(ZeroDivisionError("division\nby zero")))
    found = gossamer(line)
    assert found.code == 1
    assert found.err.count("\n") == 1
    assert "ZeroDivisionError (division by zero); please report" in found.err
    assert "Traceback" in gossamer(f"--debug {line}").err
    monkeypatch.setenv("GOSSAMER_DEBUG", "1")
    assert "Traceback" in gossamer(line).err
    if failing.endswith("save"):  # the training was done: --resume would go on from there
        (shelf / "x.checkpoint").unlink()


def test_the_system_says_no(gossamer: Command, shelf: Path, monkeypatch) -> None:
    monkeypatch.setattr("gossamer.fitting.result.train", _raises(OSError(28, "No space left on device", "/scratch/x")))
    found = gossamer(train("good.npz"))
    assert (found.code, found.err.count("\n")) == (1, 1)
    assert "/scratch/x: no space left on device" in found.err


def _raises(error: Exception):
    def fail(*arguments, **options):
        raise error

    return fail
