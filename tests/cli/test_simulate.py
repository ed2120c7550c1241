"""The verbs that use a model: relax and vibrations."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from cli.support import Command

import gossamer as gs


@pytest.fixture
def work(shelf_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with good.npz, positions.npz and the model m.gossamer."""
    for name in ("good.npz", "positions.npz", "m.gossamer"):
        (tmp_path / name).write_bytes((shelf_folder / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_relax_writes_structures_at_rest(gossamer: Command, work: Path) -> None:
    found = gossamer("relax m.gossamer positions.npz --index 0:3 --fmax 0.02 --out rest.extxyz --quiet")
    assert (found.code, found.err) == (0, "")
    assert "Relaxed structures" in found.out
    rest = gs.read("rest.extxyz")
    assert len(rest) == 3
    p = gs.load("m.gossamer").predict(rest.positions, precision="float64", warn=False)
    np.testing.assert_allclose(rest.labelled_forces(), p.forces, rtol=0, atol=1e-9)
    assert np.linalg.norm(p.forces, axis=2).max() <= 0.02


def test_relax_tells_what_did_not_come_to_rest(gossamer: Command, work: Path) -> None:
    found = gossamer("relax m.gossamer good.npz --index 4:6 --steps 1 --out rest.extxyz --quiet --json")
    assert found.code == 1
    assert "2 of 2 structures (frames 4, 5) did not come to rest within 1 steps" in found.err
    assert found.err.count("\n") == 1
    values = json.loads(found.out)
    assert values["converged"] == [False, False]
    assert values["steps"] == [1, 1]
    np.testing.assert_allclose(gs.read("rest.extxyz").energies, values["energies"])


def test_vibrations_in_text_and_as_a_trajectory(gossamer: Command, work: Path) -> None:
    found = gossamer("vibrations m.gossamer positions.npz --index 2 --modes modes.extxyz --quiet")
    assert (found.code, found.err) == (0, "")
    for words in ("Normal modes", "zero-point energy", "ideal gas at 298.15 K", "Gibbs energy", "modes: modes.extxyz"):
        assert words in found.out
    assert len(read("modes.extxyz", ":")) == 21 * 16


def test_vibrations_as_json(gossamer: Command, work: Path) -> None:
    found = gossamer("vibrations m.gossamer positions.npz --temperature 400 --symmetry-number 2 --quiet --json")
    values = json.loads(found.out)
    assert found.code == 0
    assert len(values["frequencies"]) == 21
    assert values["largest_force"] <= 1e-3
    assert values["zero_point_energy"] == pytest.approx(sum(values["frequencies"]) / 2 / 8065.54, rel=1e-5)
    gas = values["thermochemistry"]
    assert gas["settings"]["temperature"] == 400
    assert gas["gibbs_energy"] == pytest.approx(gas["enthalpy"] - 400 * gas["entropy"])


def test_vibrations_where_there_is_no_minimum(gossamer: Command, work: Path) -> None:
    found = gossamer("vibrations m.gossamer good.npz --index 3 --as-it-is --quiet")
    assert found.code == 0
    assert "no thermochemistry" in found.out
    assert "i " in found.out
