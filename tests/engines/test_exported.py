"""`gossamer export torch`: a file that torch runs where gossamer is not installed."""

import json
import subprocess
import sys

import numpy as np
import pytest
from cases import NUMBERS, random_model, structures

from gossamer.cli.main import run
from gossamer.engines.exported import export_torch
from gossamer.errors import OutputError

ALONE = """
import sys
sys.modules["gossamer"] = None  # to import it is an error
import numpy as np, torch
extra = {"gossamer.json": ""}
force_field = torch.export.load(sys.argv[1], extra_files=extra).module()
energies, forces = force_field(torch.from_numpy(np.load(sys.argv[2])))
np.savez(sys.argv[3], E=energies.numpy(), F=forces.numpy())
print(extra["gossamer.json"])
"""


def test_it_runs_without_gossamer(tmp_path):
    model = random_model("several", energies=True)[0]
    model.save(tmp_path / "m.gossamer")
    assert run(["export", "torch", str(tmp_path / "m.gossamer"), "--out", str(tmp_path / "m.pt2")]) == 0
    R = structures(4, seed=3)
    np.save(tmp_path / "R.npy", R)
    line = [sys.executable, "-c", ALONE, *(str(tmp_path / name) for name in ("m.pt2", "R.npy", "p.npz"))]
    found = subprocess.run(line, check=True, capture_output=True, text=True)
    p, wanted = np.load(tmp_path / "p.npz"), model.predict(R, warn=False)
    np.testing.assert_allclose(p["E"], wanted.energies, rtol=1e-12)
    np.testing.assert_allclose(p["F"], wanted.forces, rtol=0, atol=1e-10 * np.abs(wanted.forces).max())
    described = json.loads(found.stdout)
    assert described["numbers"] == NUMBERS.tolist()
    assert "Angstrom" in described["inputs"]["positions"]


def test_nothing_is_left_where_it_cannot_be_written(tmp_path):
    with pytest.raises(OutputError):
        export_torch(random_model("plain")[0], tmp_path / "no" / "m.pt2")
    assert list(tmp_path.iterdir()) == []
