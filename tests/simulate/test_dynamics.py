import errno
import os
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import units
from ase.data import atomic_masses

import gossamer as gs
from gossamer.errors import DataError, ExtrapolationWarning, OutputError, SimulationError, UsageError
from gossamer.simulate.averages import drift_of, error_of_mean
from gossamer.simulate.dynamics import MdFiles, run_md
from gossamer.simulate.restart import Restart
from gossamer.simulate.settings import MdSettings
from gossamer.simulate.trajectory import read_frames

SHORT = MdSettings("langevin", 90, every=7, restart_every=20, seed=3)


@pytest.fixture
def start(ethanol):
    return ethanol.take([0])


def interrupted_at(step):
    def progress(event):
        if event.done >= step:
            raise KeyboardInterrupt

    return progress


# The same trajectory after an interruption ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("md.extxyz", SHORT),
        ("md.traj", SHORT),
        ("md.extxyz", replace(SHORT, ensemble="nve")),
        ("md.xyz", replace(SHORT, ensemble="bussi", replicas=3)),
        ("md.extxyz", replace(SHORT, dipoles=True)),
    ],
    ids=["extxyz", "traj", "nve", "replicas", "dipoles"],
)
def test_an_interrupted_run_goes_on_to_the_same_trajectory(model, polar, start, tmp_path, monkeypatch, name, settings):
    model = polar if settings.dipoles else model
    monkeypatch.setattr("gossamer.simulate.dynamics.TOLD", 0.0)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    wanted = run_md(model, start, whole / name, settings)
    for step in (10, 30, 50):  # before the first restart, between two, and just after one
        with pytest.raises(KeyboardInterrupt, match=r"interrupted; .*restart holds step \d+: repeat .* --resume"):
            run_md(model, start, parts / name, settings, resume=True, progress=interrupted_at(step))
    found = run_md(model, start, parts / name, settings, resume=True)
    assert found.began == 40
    for one, other in zip(wanted.files.trajectories, found.files.trajectories, strict=True):
        if one.suffix == ".traj":
            one, other = ([image.positions for image in ase.io.read(path, ":")] for path in (one, other))
            np.testing.assert_array_equal(one, other)
        else:
            assert one.read_bytes() == other.read_bytes()
    for a, b in zip(wanted.state, found.state, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(wanted.spectrum, found.spectrum)
    np.testing.assert_array_equal(wanted.infrared, found.infrared)
    assert (len(found.infrared) > 0) == bool(settings.dipoles)


def test_a_finished_run_can_be_made_longer(model, start, tmp_path):
    run_md(model, start, tmp_path / "a.extxyz", replace(SHORT, steps=50))
    longer = run_md(model, start, tmp_path / "a.extxyz", SHORT, resume=True)
    assert longer.began == 50
    run_md(model, start, tmp_path / "b.extxyz", SHORT)
    assert (tmp_path / "a.extxyz").read_bytes() == (tmp_path / "b.extxyz").read_bytes()
    with pytest.raises(UsageError, match=r"steps: 40 given, but .* has 90 already"):
        run_md(model, start, tmp_path / "a.extxyz", replace(SHORT, steps=40), resume=True)


def test_replicas_differ_and_seeds_decide(model, start, tmp_path):
    run = run_md(model, start, tmp_path / "a.extxyz", replace(SHORT, replicas=2))
    assert [path.name for path in run.files.trajectories] == ["a.0.extxyz", "a.1.extxyz"]
    assert np.abs(run.state.positions[0] - run.state.positions[1]).max() > 0.01
    other = run_md(model, start, tmp_path / "b.extxyz", replace(SHORT, replicas=2, seed=4))
    assert np.abs(run.state.positions - other.state.positions).min(axis=(1, 2)).max() > 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"temperature": 310.0}, "temperature was 300.0 and is 310.0 now"),
        ({"timestep": 0.4}, "timestep was 0.5 and is 0.4 now"),
        ({"ensemble": "nve"}, "ensemble was langevin and is nve now"),
        ({"seed": 4}, "seed was 3 and is 4 now"),
        ({"every": 8}, "every was 7 and is 8 now"),
        ({"dipoles": False}, "dipoles was True and is False now"),
    ],
)
def test_a_restart_of_other_settings_is_refused(polar, start, tmp_path, change, named):
    model = polar
    run_md(model, start, tmp_path / "md.extxyz", replace(SHORT, steps=20))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UsageError, match=rf"md\.extxyz\.restart: {named}; give what it was, or another --out"):
        run_md(model, start, tmp_path / "md.extxyz", replace(SHORT, **change), resume=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_restart_of_another_model_or_structure_is_refused(model, ethanol, start, tmp_path):
    out = tmp_path / "md.extxyz"
    run_md(model, start, out, replace(SHORT, steps=20))
    with pytest.raises(UsageError, match="it belongs to another model; give the model it was begun with"):
        run_md(replace(model, constant=model.constant + 1), start, out, SHORT, resume=True)
    with pytest.raises(UsageError, match="it was begun from another structure"):
        run_md(model, ethanol.take([1]), out, SHORT, resume=True)
    model.save(tmp_path / "m.gossamer")
    run_md(gs.load(tmp_path / "m.gossamer"), start, out, SHORT, resume=True)  # the same, from its file


def test_what_is_there_is_not_lost(model, start, tmp_path):
    out = tmp_path / "md.extxyz"
    out.write_text("results of years")
    with pytest.raises(UsageError, match="is there already, and would be lost; remove it, or give another name"):
        run_md(model, start, out, SHORT)
    with pytest.raises(UsageError, match="is there already"):
        run_md(model, start, out, SHORT, resume=True)
    assert out.read_text() == "results of years"
    run_md(model, start, tmp_path / "b.extxyz", SHORT)
    with pytest.raises(UsageError, match="--resume goes on from its restart; else give another name"):
        run_md(model, start, tmp_path / "b.extxyz", SHORT)


def test_damaged_files_are_named(model, start, tmp_path):
    out, restart = tmp_path / "md.extxyz", tmp_path / "md.extxyz.restart"
    run_md(model, start, out, replace(SHORT, steps=20))
    kept = restart.read_bytes()
    for damaged in (b"", b"words", kept[: len(kept) // 2]):
        restart.write_bytes(damaged)
        with pytest.raises(DataError, match=r"restart: it is no restart of this version, or it is damaged"):
            run_md(model, start, out, SHORT, resume=True)
    restart.write_bytes(kept)
    out.write_bytes(out.read_bytes()[:-10])
    with pytest.raises(DataError, match="it holds less than its restart says"):
        run_md(model, start, out, SHORT, resume=True)


# What ends a trajectory -----------------------------------------------------------------------------------------------


def test_a_trajectory_that_blows_up_leaves_its_last_good_restart(model, start, tmp_path):
    settings = replace(SHORT, ensemble="nve", timestep=12.0, steps=5000, restart_every=1)
    with pytest.raises(SimulationError, match=r"^md: .* ended at step \d+ of 5000: .*restart holds step \d+: try"):
        run_md(model, start, tmp_path / "md.extxyz", settings, guard="off")
    kept = Restart.load(tmp_path / "md.extxyz.restart")
    assert np.isfinite(kept.state.positions).all()


def test_the_temperature_is_looked_at(model, start, tmp_path, monkeypatch):
    hot = replace(SHORT, temperature=1.0, ensemble="nve", steps=400)
    with pytest.raises(SimulationError, match=r"the temperature is [\d,]+ K, and 1 K were asked for; .*restart"):
        run_md(model, start, tmp_path / "md.extxyz", hot)


@pytest.mark.parametrize("name", ["md.extxyz", "md.traj"])
def test_a_full_disk_costs_no_more_than_since_the_last_restart(model, start, tmp_path, monkeypatch, name):
    real, calls = os.fsync, []

    def full(number):
        calls.append(number)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(number)

    monkeypatch.setattr(os, "fsync", full)
    told = rf"{name}: it cannot be written \(No space left on device\).*restart holds step 40, from where --resume"
    with pytest.raises(OutputError, match=told):
        run_md(model, start, tmp_path / name, SHORT)
    monkeypatch.undo()
    assert run_md(model, start, tmp_path / name, SHORT, resume=True).began == 40


def test_the_guard_stops_and_saves(model, start, tmp_path):
    hot = replace(SHORT, temperature=4000.0, steps=400)
    with pytest.raises(SimulationError, match=r"^md: stopped by the guard: step \d+: .*restart holds step \d+\.$"):
        run_md(model, start, tmp_path / "a.extxyz", hot, guard="stop")
    with pytest.warns(ExtrapolationWarning, match=r"^step \d+"):
        run_md(model, start, tmp_path / "b.extxyz", hot, guard="save")
    saved = gs.read(tmp_path / "b.outside.extxyz", labels=False)
    assert all(model.seen.range_left_by(positions) for positions in saved.positions)


# Physics --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [MdSettings("langevin", friction=50.0), MdSettings("bussi", relaxation=0.02)],
                         ids=["langevin", "bussi"])  # fmt: skip
def test_the_temperature_asked_for_is_kept(model, start, tmp_path, settings):
    """Of 8 replicas, 2.5 ps each: the mean within 3 % and within 4 of its standard errors, the spread that of its
    degrees of freedom.  (ASE's Langevin with its centre of mass held ran at 370 to 400 K for 300 K asked.)"""
    settings = replace(settings, steps=5000, replicas=8, every=10, seed=1)
    run = run_md(model, start, tmp_path / "md.extxyz", settings, guard="off")
    assert run.freedom == (27 if settings.ensemble == "langevin" else 21)
    settled = np.array([read_frames(path).temperatures[100:] for path in run.files.trajectories])
    error = settled.mean(axis=1).std(ddof=1) / np.sqrt(8)
    assert error < 8
    assert settled.mean() == pytest.approx(300, abs=4 * error)
    assert settled.std() == pytest.approx(300 * np.sqrt(2 / run.freedom), rel=0.08)


def test_energy_and_momenta_stay_at_constant_energy(model, start, tmp_path):
    spread = []
    for step in (0.5, 0.25):
        settings = MdSettings("nve", int(250 / step), timestep=step, every=int(2 / step))
        run = run_md(model, start, tmp_path / f"{step}.extxyz", settings)
        frames = read_frames(tmp_path / f"{step}.extxyz")
        spread.append(np.std(frames.energies + frames.kinetic))
        momenta = run.masses[:, None] * run.state.velocities[0]
        assert np.abs(momenta.sum(axis=0)).max() < 1e-10
        assert np.abs(np.cross(run.state.positions[0], momenta).sum(axis=0)).max() < 1e-6
    assert spread[0] / spread[1] == pytest.approx(4, rel=0.3)


def test_frames_are_what_ase_and_gossamer_read(model, start, tmp_path):
    run = run_md(model, start, tmp_path / "md.extxyz", SHORT)
    run_md(model, start, tmp_path / "md.traj", SHORT)
    images, others = ase.io.read(tmp_path / "md.extxyz", ":"), ase.io.read(tmp_path / "md.traj", ":")
    assert len(images) == len(others) == 90 // 7 + 1
    data = gs.read(tmp_path / "md.extxyz")
    np.testing.assert_allclose(data.positions[0], start.positions[0], atol=1e-8)
    p = model.predict(data, warn=False)
    np.testing.assert_allclose(data.energies, p.energies, atol=1e-6)
    np.testing.assert_allclose(data.forces, p.forces, atol=2e-6)
    frames = read_frames(tmp_path / "md.extxyz")
    np.testing.assert_array_equal(frames.steps, np.arange(0, 91, 7))
    np.testing.assert_allclose(frames.times, 0.5 * frames.steps)
    np.testing.assert_allclose(frames.positions, data.positions)
    for k, (one, other) in enumerate(zip(images, others, strict=True)):
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-8)
        np.testing.assert_allclose(one.get_velocities(), other.get_velocities(), atol=1e-7)
        assert one.get_kinetic_energy() == pytest.approx(frames.kinetic[k], abs=1e-6)
        assert frames.temperatures[k] == pytest.approx(2 * frames.kinetic[k] / (27 * units.kB), abs=1e-3)
    again = read_frames(tmp_path / "md.traj", 2)
    np.testing.assert_allclose(again.kinetic, frames.kinetic[::2], atol=1e-8)
    assert run.ns_per_day > 0
    with pytest.raises(DataError, match="cannot be read as a trajectory of `gossamer md`"):
        read_frames(tmp_path / "md.extxyz.restart.xyz")


# Averages -------------------------------------------------------------------------------------------------------------


def test_drift_and_errors_of_means():
    times = np.linspace(0, 1000, 400)
    noise = np.random.default_rng(0).normal(size=400)
    slope, spread = drift_of(times, 3.0 - 0.01 * times + 0.1 * noise)
    assert slope == pytest.approx(-0.01, rel=0.01)
    assert spread == pytest.approx(0.1, rel=0.1)
    assert error_of_mean(noise) == pytest.approx(1 / 20, rel=0.5)
    assert error_of_mean(noise[:20]) is None


def test_names_of_files(tmp_path):
    files = MdFiles.of(tmp_path / "md.traj", 12)
    assert [files.trajectories[k].name for k in (0, 11)] == ["md.00.traj", "md.11.traj"]
    assert files.restart.name == "md.traj.restart"


def test_structures_to_begin_from(model, ethanol, tmp_path):
    run = run_md(model, ethanol.take([0, 1]), tmp_path / "a.extxyz", replace(SHORT, replicas=2, steps=1))
    assert np.abs(run.state.positions - ethanol.positions[:2]).max() < 0.1
    with pytest.raises(UsageError, match="2 structures given to begin from, but 3 are needed, or one"):
        run_md(model, ethanol.take([0, 1]), tmp_path / "b.extxyz", replace(SHORT, replicas=3))
    with pytest.raises(UsageError, match=r"'\.npz' is no trajectory; end the name in \.extxyz"):
        run_md(model, ethanol.take([0]), tmp_path / "b.npz", SHORT)
    np.testing.assert_array_equal(run.masses, atomic_masses[model.numbers])
