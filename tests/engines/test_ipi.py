"""The door to i-PI, inside it and over a socket.  Skipped where the extra is not installed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import units
from engines.conftest import EVERY, STEP_FS, STEPS

import gossamer as gs
from gossamer.cli.main import run

pytest.importorskip("ipi")

from gossamer.engines.ipi import GossamerDriver

BIN = Path(sys.executable).parent
CELL = np.eye(3) * 1000.0
DALTON = 1822.888486  # electron masses
ATOMIC_TIME = units._hbar / (units._e * units.Hartree) * 1e15  # fs

DIRECT = """
<ffdirect name='gossamer' pbc='False'>
  <pes> custom </pes> <pes_path> gossamer_pes.py </pes_path>
  <parameters> {{ model: model.gossamer, template: start.xyz, guard: {guard} }} </parameters>
</ffdirect>"""
SOCKET = """
<ffsocket name='gossamer' mode='unix' pbc='False'>
  <address> {address} </address> <latency> 1e-4 </latency>
</ffsocket>"""
NVE = """
<simulation verbosity='low'>
  <output prefix='run'> <properties stride='{stride}' filename='out'>
    [ step, potential{{electronvolt}}, kinetic_md{{electronvolt}} ] </properties> </output>
  <total_steps> {steps} </total_steps>
  {field}
  <system>
    <initialize nbeads='1'>
      <file mode='xyz'> start.xyz </file>
      <masses mode='manual'> {masses} </masses>
      <velocities mode='manual'> {velocities} </velocities>
    </initialize>
    <forces><force forcefield='gossamer'/></forces>
    <ensemble><temperature units='kelvin'> 300 </temperature></ensemble>
    <motion mode='dynamics'> <fixcom> False </fixcom>
      <dynamics mode='nve'> <timestep units='femtosecond'> {step} </timestep> </dynamics> </motion>
  </system>
</simulation>"""


@pytest.fixture
def deck(ethanol, ethanol_file, tmp_path):
    """What `gossamer export ipi` writes."""
    folder = tmp_path / "deck"
    line = ["export", "ipi", str(ethanol.file), "--data", str(ethanol_file), "--beads", "4", "--out", str(folder)]
    assert run(line) == 0
    return folder


def write_nve(ethanol, deck, field, steps=STEPS, stride=EVERY):
    text = NVE.format(
        field=field, steps=steps, stride=stride, step=STEP_FS, masses=(ethanol.masses * DALTON).tolist(),
        velocities=(ethanol.velocities / units.Bohr * ATOMIC_TIME).ravel().tolist(),
    )  # fmt: skip
    (deck / "nve.xml").write_text(text)


def i_pi(deck, name):
    return subprocess.run([BIN / "i-pi", name], cwd=deck, capture_output=True, text=True)


def test_the_trajectory_is_that_of_ase(ethanol, deck):
    write_nve(ethanol, deck, DIRECT.format(guard="stop"))
    done = i_pi(deck, "nve.xml")
    assert done.returncode == 0, done.stdout + done.stderr
    _, potential, kinetic = np.loadtxt(deck / "run.out").T
    np.testing.assert_allclose(potential, ethanol.potential, rtol=0, atol=2e-5)
    np.testing.assert_allclose(kinetic, ethanol.kinetic, rtol=0, atol=2e-5)


def test_over_a_socket(ethanol, deck):
    write_nve(ethanol, deck, SOCKET.format(address="socket"), steps=100)
    prefix = ["-S", "../"]  # beside the deck, and short: names of sockets have a hundred characters
    with subprocess.Popen([BIN / "i-pi", *prefix, "nve.xml"], cwd=deck, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        while not (deck.parent / "socket").exists():
            assert server.poll() is None
        driver = [BIN / "i-pi-driver-py", "-u", *prefix, "-a", "socket", "-m", "custom", "-P", "gossamer_pes.py"]
        done = subprocess.run([*driver, "-o", "model=model.gossamer,template=start.xyz"], cwd=deck, capture_output=True)
        server.communicate()
    assert done.returncode == 0, done.stderr
    potential = np.loadtxt(deck / "run.out")[:, 1]
    np.testing.assert_allclose(potential, ethanol.potential[:3], rtol=0, atol=2e-5)


def test_the_deck_runs_as_it_stands_with_all_beads_in_one_batch(deck):
    text = (deck / "input.xml").read_text()
    assert "<batch_size> 4 </batch_size>" in text
    text = text.replace("'medium'", "'high'").replace("<total_steps> 1000", "<total_steps> 20")
    (deck / "short.xml").write_text(text)
    done = i_pi(deck, "short.xml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Launching batch evaluation, 4 / 4") >= 20
    assert "Launching batch evaluation, 1" not in done.stdout
    rows = np.loadtxt(deck / "run.out")
    assert rows[-1, 2] == pytest.approx(rows[0, 2], abs=0.02)


def test_a_batch_is_the_models_own(ethanol):
    R = np.array([ethanol.start, ethanol.end])
    driver = GossamerDriver(str(ethanol.file))
    wanted = ethanol.model.predict(R, warn=False)
    single = driver(CELL, ethanol.end / units.Bohr)
    batch = driver([CELL, CELL], list(R / units.Bohr))
    assert len(batch) == 2
    for (energy, forces, virial, extras), e, f in zip([*batch, single], [*wanted.energies, wanted.energies[1]],
                                                      [*wanted.forces, wanted.forces[1]], strict=True):  # fmt: skip
        assert energy * units.Hartree == pytest.approx(e, rel=1e-7)
        np.testing.assert_allclose(forces * units.Hartree / units.Bohr, f, rtol=1e-6, atol=1e-6)
        assert not virial.any()
        assert extras == ""


def test_what_is_wrong_ends_in_one_sentence(ethanol, deck, tmp_path):
    other = tmp_path / "other.xyz"
    gs.write(gs.Dataset(ethanol.model.numbers[::-1].copy(), ethanol.start[None]), other)
    with pytest.raises(SystemExit, match=r"^gossamer: .*other.xyz: C2H6O differs .* in their order"):
        GossamerDriver(str(ethanol.file), template=str(other))
    with pytest.raises(SystemExit, match=r"^gossamer: .*lost.gossamer: there is no such model file"):
        GossamerDriver("lost.gossamer")
    driver = GossamerDriver(str(ethanol.file), guard="stop")
    with pytest.raises(SystemExit, match=r"^gossamer: i-PI: its bonds .* in Bohr; give Angstrom"):
        driver(CELL, ethanol.start / units.Bohr / units.Bohr)
    with pytest.raises(SystemExit, match=r"^gossamer: positions: shape"):
        driver([CELL], [ethanol.start[:5]])
    with pytest.raises(SystemExit, match=r"^gossamer: i-PI: some positions are NaN"):
        driver(CELL, np.full((9, 3), np.nan))


def test_the_guard_stops_a_run_and_leaves_a_restart(ethanol, deck):
    write_nve(ethanol, deck, DIRECT.format(guard="stop"))
    text = (deck / "nve.xml").read_text()
    (deck / "nve.xml").write_text(text.replace(f"{STEP_FS} </timestep>", "30 </timestep>"))
    done = i_pi(deck, "nve.xml")
    said = done.stdout + done.stderr
    assert "start.xyz: the structure has bonds or contacts unlike any training structure" in said
    assert "Traceback" not in said
    assert (deck / "RESTART").exists()


def test_standard_deviations_are_extras(ethanol, barred, tmp_path):
    file = barred.save(tmp_path / "barred.gossamer")
    driver = GossamerDriver(str(file), guard="off", std=True)
    bohr, hartree = units.Bohr, units.Hartree
    structures = [ethanol.start / bohr, ethanol.end / bohr]
    wanted = barred.predict(np.array([ethanol.start, ethanol.end]), std=True, warn=False)
    found = [json.loads(result[3]) for result in driver.compute(CELL, structures)]
    np.testing.assert_allclose([one["energy_std"] for one in found], wanted.energy_std / hartree, rtol=1e-5)
    np.testing.assert_allclose([one["forces_std"] for one in found], wanted.forces_std * bohr / hartree, rtol=1e-5)
    alone = json.loads(driver.compute(CELL, structures[1])[3])
    assert alone["energy_std"] == pytest.approx(found[1]["energy_std"], rel=1e-9)
    assert GossamerDriver(str(file), guard="off").compute(CELL, structures[0])[3] == ""
    with pytest.raises(SystemExit, match="gossamer: std: the model has no error bars"):
        GossamerDriver(str(ethanol.file), std=True)
    stops = GossamerDriver(str(file), guard="stop", guard_std=wanted.forces_std[0].max() / 2)
    with pytest.raises(SystemExit, match="standard deviation of a force"):
        stops.compute(CELL, structures[0])
