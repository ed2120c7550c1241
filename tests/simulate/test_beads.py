"""Path integrals: what is refused without i-PI, and where it is installed, a run of it."""

import importlib.util

import ase.io
import numpy as np
import pytest

from gossamer.errors import OutputError, SimulationError, UsageError
from gossamer.simulate.beads import require_beads, run_beads
from gossamer.simulate.settings import MdSettings

installed = importlib.util.find_spec("ipi") is not None


@pytest.mark.skipif(not installed, reason="i-PI is not installed")
def test_a_ring_polymer_runs(model, ethanol, tmp_path):
    events = []
    settings = MdSettings(steps=200, temperature=300.0, every=50, seed=2)
    run = run_beads(model, ethanol.take([0]), tmp_path / "ring", settings, 4, progress=events.append)
    table = np.loadtxt(tmp_path / "ring" / "run.out")
    assert table[-1, 0] == 200
    assert table[-1, 1] == pytest.approx(0.1)
    assert 50 < run.temperature < 900
    assert run.energy == pytest.approx(table[len(table) // 2 :, 4].mean())
    assert len(ase.io.read(tmp_path / "ring" / "run.positions_3.xyz", ":")) >= 4
    assert all(event.stage == "md" and event.total == 200 for event in events)
    with pytest.raises(OutputError, match="it is there already"):
        run_beads(model, ethanol.take([0]), tmp_path / "ring", settings, 4)


@pytest.mark.skipif(not installed, reason="i-PI is not installed")
def test_a_run_that_fails_ends_with_one_sentence(model, ethanol, tmp_path):
    hot = MdSettings(steps=400, temperature=6000.0)
    with pytest.raises(SimulationError, match=r"^beads: i-PI ended early \(.*\); see .*i-pi\.log\.$"):
        run_beads(model, ethanol.take([0]), tmp_path / "ring", hot, 4, guard="stop")


@pytest.mark.skipif(installed, reason="i-PI is installed")
def test_without_i_pi_the_command_is_named(model, ethanol, tmp_path):
    with pytest.raises(UsageError, match=r"pip install 'gossamer\[ipi\]'"):
        run_beads(model, ethanol.take([0]), tmp_path / "ring", MdSettings(), 4)
    assert not (tmp_path / "ring").exists()


@pytest.mark.parametrize("given", [{"ensemble": "nve"}, {"replicas": 2}])
def test_what_path_integrals_cannot_have(given):
    with pytest.raises(UsageError, match="beads: 4 given with"):
        require_beads(MdSettings(**given), 4)
    with pytest.raises(UsageError, match="beads: 0 given"):
        require_beads(MdSettings(), 0)
