"""Path integrals: what is refused without i-PI, and where it is installed, a run of it."""

import importlib.util
import os
from dataclasses import replace

import ase.io
import numpy as np
import pytest

from gossamer.errors import DataError, OutputError, SimulationError, UsageError
from gossamer.files import lock_folder
from gossamer.simulate.beads import Ring, require_beads, run_beads
from gossamer.simulate.settings import MdSettings

installed = importlib.util.find_spec("ipi") is not None


@pytest.mark.skipif(not installed, reason="i-PI is not installed")
def test_a_ring_polymer_runs(model, ethanol, tmp_path):
    events = []
    settings = MdSettings(steps=200, temperature=300.0, every=50, seed=2, restart_every=100)
    run = run_beads(model, ethanol.take([0]), tmp_path / "ring", settings, Ring(4), progress=events.append)
    table = np.loadtxt(tmp_path / "ring" / "run.out")
    assert table[-1, 0] == 200
    assert table[-1, 1] == pytest.approx(0.1)
    assert 50 < run.temperature < 900
    assert run.energy == pytest.approx(table[len(table) // 2 :, 4].mean())
    assert len(ase.io.read(tmp_path / "ring" / "run.positions_3.xyz", ":")) >= 4
    assert all(event.stage == "md" and event.total == 200 for event in events)
    with pytest.raises(OutputError, match="it is there already"):
        run_beads(model, ethanol.take([0]), tmp_path / "ring", settings, Ring(4))
    goes_on_to_the_same(model, ethanol, tmp_path, settings)
    is_refused(model, ethanol, tmp_path / "ring", settings)


def goes_on_to_the_same(model, ethanol, folder, settings):
    """Interrupted after a restart, and gone on with: what an uninterrupted run has written, byte for byte."""

    def interrupted(event):
        if event.done > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"restart\.json holds step 100: repeat .* --resume"):
        run_beads(model, ethanol.take([0]), folder / "parts", settings, Ring(4), resume=True, progress=interrupted)
    run = run_beads(model, ethanol.take([0]), folder / "parts", settings, Ring(4), resume=True)
    assert run.began == 100
    for name in ("run.out", "run.positions_0.xyz", "run.positions_3.xyz"):
        assert (folder / "parts" / name).read_bytes() == (folder / "ring" / name).read_bytes()


def is_refused(model, ethanol, ring, settings):
    """Without an i-PI that is begun, and with nothing lost."""

    def again(model=model, structure=0, **change):
        return run_beads(model, ethanol.take([structure]), ring, replace(settings, **change), Ring(4), resume=True)

    before = (ring / "run.out").read_bytes()
    assert again().began == 200
    for change, named in (
        ({"temperature": 310.0}, "temperature was 300.0 and is 310.0 now"),
        ({"restart_every": 50}, "restart_every was 100 and is 50 now"),
        ({"steps": 150}, "steps: 150 given, but .* has 200 already"),
        ({"structure": 1}, "begun from another structure"),
        ({"model": replace(model, constant=model.constant + 1)}, "belongs to another model"),
    ):
        with pytest.raises(UsageError, match=named):
            again(**change)
    lock = lock_folder(ring)
    with pytest.raises(UsageError, match=r"ring: i-PI still runs there; end it, or wait"):
        again()
    os.close(lock)
    assert (ring / "run.out").read_bytes() == before
    (ring / "run.out").write_bytes(before[:-10])
    with pytest.raises(DataError, match=r"run\.out: it holds less than its restart says"):
        again()
    (ring / "restart.json").write_text("{}")
    with pytest.raises(DataError, match=r"restart\.json: it is no restart of this version, or it is damaged"):
        again()


@pytest.mark.skipif(not installed, reason="i-PI is not installed")
def test_a_run_that_fails_ends_with_one_sentence(model, ethanol, tmp_path):
    hot = MdSettings(steps=400, temperature=6000.0)
    told = r"^beads: i-PI ended early \(.*\); see .*i-pi\.log; .*restart\.json holds step 0\.$"
    with pytest.raises(SimulationError, match=told):
        run_beads(model, ethanol.take([0]), tmp_path / "ring", hot, Ring(4, "stop"))


@pytest.mark.skipif(installed, reason="i-PI is installed")
def test_without_i_pi_the_command_is_named(model, ethanol, tmp_path):
    with pytest.raises(UsageError, match=r"pip install 'gossamer\[ipi\]'"):
        run_beads(model, ethanol.take([0]), tmp_path / "ring", MdSettings(), Ring(4))
    assert not (tmp_path / "ring").exists()


@pytest.mark.parametrize("given", [{"ensemble": "nve"}, {"replicas": 2}])
def test_what_path_integrals_cannot_have(given):
    with pytest.raises(UsageError, match="beads: 4 given with"):
        require_beads(MdSettings(**given), 4)
    with pytest.raises(UsageError, match="beads: 0 given"):
        require_beads(MdSettings(), 0)
