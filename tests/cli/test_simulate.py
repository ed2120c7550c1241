"""The verbs that use a model: relax, vibrations, md."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from cli.support import Command

import gossamer as gs
from gossamer.records.md import read_md_record
from gossamer.simulate.restart import Restart


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


# md ------------------------------------------------------------------------------------------------------------------


def test_md_writes_a_trajectory_and_says_what_it_was(gossamer: Command, work: Path) -> None:
    found = gossamer(
        "md m.gossamer positions.npz --steps 100 --every 10 --out md.extxyz --report md.html --record md.json --quiet"
    )
    assert (found.code, found.err) == (0, "")
    for words in ("100 steps of 0.5 fs, 0.05 ps", "ns/day", "md.extxyz: 11 frames", "restart: md.extxyz.restart"):
        assert words in found.out
    assert "report: md.html" in found.out
    assert "record: md.json" in found.out
    assert len(read_md_record("md.json").courses[0].times) == 11
    assert "gossamer md m.gossamer positions.npz" in Path("md.html").read_text(encoding="utf-8")
    assert len(read("md.extxyz", ":")) == 11


def test_md_as_json_from_the_models_own_data(gossamer: Command, work: Path) -> None:
    line = "md m.gossamer --ensemble nve --picoseconds 0.05 --replicas 2 --out md.traj --quiet --json"
    values = json.loads(gossamer(line).out)
    assert values["trajectories"] == ["md.0.traj", "md.1.traj"]
    assert (values["steps"], values["began_at_step"]) == (100, 0)
    assert [one["frames"] for one in values["replicas"]] == [6, 6]
    model = gs.load("m.gossamer")
    first = gs.read("good.npz").positions[model.provenance["train_indices"][0]]
    np.testing.assert_allclose(read("md.0.traj", 0).positions, first)
    assert np.abs(read("md.0.traj", 0).get_momenta().sum(axis=0)).max() < 1e-9


def test_md_shows_how_far_it_is(gossamer: Command, work: Path) -> None:
    found = gossamer("md m.gossamer positions.npz --steps 20 --out md.extxyz")
    assert re.search(r"dynamics 20/20: \d+ K, -?[\d.]+ eV, [\d.e+]+ ns/day", found.err)


def test_md_goes_on_after_kill_9(gossamer: Command, work: Path) -> None:
    """The trajectory of a process that was killed, gone on with, is that of one that was not, byte for byte."""
    line = "md m.gossamer positions.npz --every 10 --restart-every 50 --quiet"
    killed = subprocess.Popen(
        [sys.executable, "-m", "gossamer", *line.split(), "--steps", "10000000", "--out", "a.xyz"]
    )
    restart = work / "a.xyz.restart"
    try:
        for _ in range(1200):
            if restart.exists() and Restart.load(restart).step >= 50:
                break
            time.sleep(0.05)
    finally:
        killed.kill()
        killed.wait()
    step = Restart.load(restart).step
    assert step >= 50
    assert gossamer(f"{line} --steps {step + 120} --out a.xyz --resume").code == 0
    assert gossamer(f"{line} --steps {step + 120} --out b.xyz").code == 0
    assert (work / "a.xyz").read_bytes() == (work / "b.xyz").read_bytes()


def test_md_refuses_to_lose_a_trajectory(gossamer: Command, work: Path) -> None:
    line = "md m.gossamer positions.npz --steps 20 --out md.extxyz --quiet"
    assert gossamer(line).code == 0
    before = (work / "md.extxyz").read_bytes()
    again = gossamer(line)
    assert again.code == 2
    assert "would be lost; --resume goes on" in again.err
    assert (work / "md.extxyz").read_bytes() == before
    other = gossamer(f"{line} --temperature 310 --resume")
    assert (other.code, other.err.count("\n")) == (2, 1)
    assert "temperature was 300.0 and is 310.0 now" in other.err


def test_md_that_blows_up_ends_with_one_sentence(gossamer: Command, work: Path) -> None:
    line = "md m.gossamer positions.npz --steps 3000 --timestep 15 --ensemble nve --guard off --out md.extxyz --quiet"
    found = gossamer(line)
    assert found.code == 1
    assert re.match(r"gossamer: md: .* ended at step \d+ of 3000: .*; md.extxyz.restart holds step \d+: try", found.err)
    assert found.err.count("\n") == 1
