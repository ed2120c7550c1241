"""Running command lines inside the test process, in a folder full of good and bad files."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cli.support import TRAIN, Command, Outcome, contents

from gossamer.cli.main import run


@pytest.fixture
def gossamer(capsys: pytest.CaptureFixture[str]) -> Command:
    """Carry out a command line, written as in a shell after "gossamer"."""

    def call(line: str) -> Outcome:
        capsys.readouterr()
        code = run(shlex.split(line))
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def shelf_folder(tmp_path_factory: pytest.TempPathFactory, ethanol_file: Path) -> Path:
    """good.npz, a model m.gossamer trained on it with its record m.json, and damaged relatives of all three."""
    folder = tmp_path_factory.mktemp("shelf")
    with np.load(ethanol_file) as file:
        good = dict(file)
    for name, arrays in _variants(good).items():
        np.savez(folder / f"{name}.npz", **{key: array for key, array in arrays.items() if array is not None})
    _write_xyz(folder, good)
    assert run(shlex.split(f"train {folder}/good.npz {TRAIN} --out {folder}/m.gossamer")) == 0
    model = (folder / "m.gossamer").read_bytes()
    (folder / "cut.gossamer").write_bytes(model[: len(model) // 2])
    (folder / "future.gossamer").write_bytes(re.sub(rb'(\\"version\\": )[0-9]', rb"\g<1>9", model, count=1))
    (folder / "cut.npz").write_bytes((folder / "good.npz").read_bytes()[:1000])
    (folder / "text.npz").write_text("structures, allegedly\n")
    (folder / "empty.npz").touch()
    (folder / "words.txt").write_text("0 1 2 three\n")
    (folder / "short.txt").write_text("0 1 2\n1 0 2\n")
    (folder / "cut.json").write_text((folder / "m.json").read_text()[:100])
    (folder / "list.json").write_text("[]")
    (folder / "near.json").write_text('[{"name": "near", "atoms": [0, 1, 2]}]')
    (folder / "far.json").write_text('[{"name": "near", "atoms": [0, 1, 2]}, {"name": "far", "atoms": [0, 9]}]')
    (folder / "bent.json").write_text('[{"name": "bent", "atoms": [0, 1, 2], "perms": [[0, 1]]}]')
    (folder / "results").mkdir()
    (folder / "results" / "thesis.tex").touch()
    return folder


@pytest.fixture
def shelf(shelf_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder as the working directory.  A test must leave nothing in it."""
    monkeypatch.chdir(shelf_folder)
    before = contents(shelf_folder)
    yield shelf_folder
    assert contents(shelf_folder) == before


def _variants(good: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray | None]]:
    """Data sets by name; None leaves an array out."""
    R, E, F = good["R"], good["E"], good["F"]
    nan, coincident = R.copy(), R.copy()
    nan[3, 2] = np.nan
    coincident[:, 2] = coincident[:, 1]
    changes: dict[str, dict[str, np.ndarray | None]] = {
        "good": {},
        "no_forces": {"F": None},
        "no_energies": {"E": None},
        "no_units": {"e_unit": None},
        "odd_units": {"e_unit": np.array("furlong")},
        "in_bohr": {"R": R / 0.529177, "r_unit": None},
        "wrong_sign": {"F": -F},
        "nan": {"R": nan},
        "coincident": {"R": coincident},
        "no_motion": {"F": np.zeros_like(F)},
        "one_atom": {"R": R[:, :1], "F": F[:, :1], "z": good["z"][:1]},
        "other_order": {key: good[key][..., ::-1, :] for key in "RF"} | {"z": good["z"][::-1]},
        "fewer_atoms": {key: good[key][..., :-1, :] for key in "RF"} | {"z": good["z"][:-1]},
        "one_frame": {key: good[key][:1] for key in "REF"},
        "two_frames": {key: good[key][:2] for key in "REF"},
        "repeats": {key: np.concatenate([good[key], good[key][:10]]) for key in "REF"},
        "two_atoms": _diatomic(),
        "positions": {"E": None, "F": None},
    }
    assert len(E) == len(R)
    return {name: {**good, **change} for name, change in changes.items()}


def _diatomic(n: int = 60) -> dict[str, np.ndarray | None]:
    """H2 with a Morse potential, eV and Angstrom."""
    r = np.random.default_rng(0).uniform(0.6, 1.2, n)
    decay = np.exp(-1.9 * (r - 0.74))
    R, F = np.zeros((n, 2, 3)), np.zeros((n, 2, 3))
    R[:, 1, 0] = r
    F[:, 1, 0] = -2 * 4.7 * 1.9 * (1 - decay) * decay
    F[:, 0] = -F[:, 1]
    return {"R": R, "F": F, "E": 4.7 * (1 - decay[:, None]) ** 2, "z": np.array([1, 1]), "e_unit": np.array("eV")}


def _write_xyz(folder: Path, good: dict[str, np.ndarray]) -> None:
    """silent.extxyz says no units; shuffled.extxyz has another order of atoms in its second frame."""
    names = {1: "H", 6: "C", 8: "O"}
    order = np.arange(len(good["z"]))

    def frame(k: int, order: np.ndarray) -> str:
        rows = [f"{names[good['z'][a]]} {' '.join(map(str, [*good['R'][k, a], *good['F'][k, a]]))}" for a in order]
        head = f"Properties=species:S:1:pos:R:3:forces:R:3 energy={good['E'][k, 0]}"
        return "\n".join([str(len(rows)), head, *rows, ""])

    (folder / "silent.extxyz").write_text("".join(frame(k, order) for k in range(3)))
    (folder / "shuffled.extxyz").write_text(frame(0, order) + frame(1, order[::-1]))
