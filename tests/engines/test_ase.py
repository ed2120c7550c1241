import numpy as np
import pytest
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from cases import NUMBERS, random_model, structures

from gossamer.errors import DataError, ExtrapolationError, UsageError


@pytest.fixture
def atoms():
    model, _, _ = random_model("methyl")
    atoms = Atoms(NUMBERS, structures(1, seed=2)[0])
    atoms.calc = model.ase()
    return atoms


def test_energy_and_forces_are_the_models(atoms):
    p = atoms.calc.model.predict(atoms.positions)
    assert atoms.get_potential_energy() == p.energies[0]
    np.testing.assert_array_equal(atoms.get_forces(), p.forces[0])


def test_nothing_is_computed_twice_and_every_change_is_seen(atoms, monkeypatch):
    calls = []
    real = atoms.calc.door.evaluator.one
    monkeypatch.setattr(type(atoms.calc.door.evaluator), "one", lambda self, R: calls.append(1) or real(R))
    atoms.get_potential_energy()
    atoms.get_forces()
    assert len(calls) == 1
    before = atoms.get_forces().copy()
    atoms.positions[0, 0] += 0.01
    assert not np.array_equal(atoms.get_forces(), before)
    assert len(calls) == 2


def test_results_do_not_change_under_the_users_hands(atoms):
    forces = atoms.get_forces()
    kept = forces.copy()
    atoms.positions[1] += 0.1
    atoms.get_forces()
    np.testing.assert_array_equal(forces, kept)


def test_two_calculators_of_one_model_do_not_disturb_each_other(atoms):
    other = atoms.copy()
    other.calc = atoms.calc.model.ase()
    other.positions += 0.05 * np.random.default_rng(0).normal(size=other.positions.shape)
    first = atoms.get_potential_energy()
    assert other.get_potential_energy() != first
    assert atoms.get_potential_energy() == first


def test_energy_is_conserved_in_md(atoms):
    """Velocity Verlet drifts with the square of the time step: halving it must quarter the error."""
    drift = []
    for step in (0.1, 0.05):
        run = atoms.copy()
        run.calc = atoms.calc.model.ase()
        total, values = VelocityVerlet(run, timestep=step * units.fs), []
        total.attach(lambda run=run, values=values: values.append(run.get_total_energy()), interval=1)
        total.run(int(4 / step))
        drift.append(np.std(values))
    assert drift[0] / drift[1] == pytest.approx(4, rel=0.2)


def test_optimisers_find_a_lower_energy(atoms):
    before = atoms.get_potential_energy()
    BFGS(atoms, logfile=None).run(fmax=0.05, steps=5)
    assert atoms.get_potential_energy() < before


def test_other_atoms_and_cells_are_refused(atoms):
    calculator = atoms.calc
    wrong = Atoms(NUMBERS[::-1], atoms.positions, calculator=calculator)
    with pytest.raises(UsageError, match="differs from the model's atoms in their order, first at atom 0"):
        wrong.get_potential_energy()
    periodic = Atoms(NUMBERS, atoms.positions, cell=[9, 9, 9], pbc=True, calculator=calculator)
    with pytest.raises(UsageError, match=r"periodic.*pbc = False"):
        periodic.get_potential_energy()
    longer = Atoms([*NUMBERS, 1], [*atoms.positions, [9, 9, 9]], calculator=calculator)
    with pytest.raises(UsageError, match="C2H4O differs from the model's atoms, C2H3O"):
        longer.get_potential_energy()


def test_numbers_that_are_none_end_in_a_sentence(atoms):
    atoms.positions[1, 1] = np.nan
    with pytest.raises(DataError, match=r"^atoms: some positions are NaN or infinite"):
        atoms.get_forces()


def test_the_guard_is_as_asked(atoms):
    atoms.calc = atoms.calc.model.ase(guard="stop")
    atoms.positions[2] += 5.0
    with pytest.raises(ExtrapolationError, match=r"^atoms: the structure has bonds"):
        atoms.get_forces()
