import numpy as np
import pytest

import gossamer as gs
from gossamer.engines.ase import GossamerCalculator
from gossamer.errors import SimulationError, UsageError
from gossamer.events import Event
from gossamer.simulate.relax import RelaxSettings, largest_force, relax


@pytest.mark.parametrize("optimizer", ["bfgs", "fire"])
def test_forces_vanish_where_the_energy_is_lowest(model, ethanol, optimizer):
    found = relax(model, ethanol.take(slice(0, 2)), RelaxSettings(optimizer, fmax=0.002))
    assert found.converged.all()
    assert (found.energies < found.before - 0.1).all()
    p = model.predict(found.positions, precision="float64")
    np.testing.assert_allclose(p.forces, found.forces, rtol=0, atol=1e-9)
    np.testing.assert_allclose(p.energies, found.energies, rtol=0, atol=1e-9)
    assert [largest_force(forces) for forces in p.forces] == pytest.approx(found.largest, abs=1e-9)
    assert found.largest.max() <= 0.002
    rng = np.random.default_rng(0)
    for shift in 0.01 * rng.normal(size=(10, *found.positions.shape)):
        assert (model.predict(found.positions + shift).energies > found.energies).all()


def test_what_does_not_converge_is_handed_back(model, ethanol):
    found = relax(model, ethanol.take([0]), RelaxSettings(steps=2))
    assert not found.converged.any()
    assert found.steps.tolist() == [2]
    assert found.energies[0] < found.before[0]


def test_structures_at_rest_stay(model, ethanol):
    found = relax(model, ethanol.take([0]), RelaxSettings(fmax=0.01))
    again = relax(model, found.positions, RelaxSettings(fmax=0.01))
    assert again.steps.tolist() == [0]
    np.testing.assert_array_equal(again.positions, found.positions)


def test_progress_counts_structures(model, ethanol):
    events: list[Event] = []
    relax(model, ethanol.take(slice(3, 5)), RelaxSettings(steps=3), progress=events.append)
    assert {event.stage for event in events} == {"relax"}
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert {event.message.split(",")[0] for event in events} == {"frame 3", "frame 4"}
    assert all(event.values["largest"] > 0 for event in events)


def test_a_structure_that_breaks_is_named(model, ethanol, monkeypatch):
    broken = gs.errors.DataError("positions: atoms 0 and 1 of structure 0 coincide; remove it.")

    def fails(*arguments, **options):
        raise broken

    monkeypatch.setattr(GossamerCalculator, "calculate", fails)
    with pytest.raises(
        SimulationError, match=r"^frame 7: its relaxation broke it \(positions: atoms 0 and 1 .*\); look"
    ):
        relax(model, ethanol.take([7]))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"optimizer": "newton"}, "optimizer: 'newton' is not known; use bfgs or fire"),
        ({"fmax": 0.0}, "fmax: 0 eV/Angstrom given"),
        ({"fmax": float("nan")}, "fmax: nan"),
        ({"steps": 0}, "steps: 0 given"),
    ],
)
def test_settings_that_cannot_be(given, named):
    with pytest.raises(UsageError, match=named):
        RelaxSettings(**given)


def test_other_atoms_are_refused(model, ethanol):
    atoms = ethanol.atoms(0)
    with pytest.raises(UsageError, match="differs from the model's atoms"):
        relax(model, atoms[::-1])
