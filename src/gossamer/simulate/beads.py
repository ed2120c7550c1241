"""Path-integral molecular dynamics, which i-PI runs: the quantum nature of light nuclei at a temperature."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gossamer.engines.decks import PathIntegral, ipi_deck
from gossamer.engines.extras import extra
from gossamer.errors import SimulationError, UsageError
from gossamer.events import Event, Progress, silent
from gossamer.model.structures import asked

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField
    from gossamer.model.structures import Structures
    from gossamer.simulate.settings import MdSettings

LOG = "i-pi.log"
TABLE = "run.out"  # step; time, ps; conserved energy, eV; temperature, K; potential energy, eV
LOOK = 20  # steps between rows of it
SEEDS = 2**31 - 1  # of i-PI
POLL = 0.2  # seconds


@dataclass(frozen=True)
class BeadsRun:
    """A path integral of `beads` beads that i-PI ran in a folder.  temperature, K, and energy, the potential's, eV:
    means over its second half; seconds of the process."""

    folder: Path
    beads: int
    steps: int
    temperature: float
    energy: float
    seconds: float


def run_beads(
    model: "ForceField",
    start: "Structures",
    out: str | Path,
    settings: "MdSettings",
    beads: int,
    *,
    guard: str = "warn",
    progress: Progress = silent,
) -> BeadsRun:
    """Run i-PI from one structure, given as to `ForceField.predict`, in the new folder `out`, all beads in one batch.

    Temperature, step, length, seed and frames are those of `settings`; the thermostat is PILE, its centroid at the
    friction of Langevin.  i-PI goes on from OUT/RESTART.  Raises UsageError without i-PI (pip install 'gossamer[ipi]')
    and for an ensemble other than Langevin's, OutputError where `out` is there already, SimulationError where i-PI
    fails."""
    extra("ipi", "ipi")
    require_beads(settings, beads)
    positions, name, _ = asked(start, model.numbers)
    if len(positions) != 1:
        raise UsageError(f"{name}: {len(positions)} structures given, but all beads begin from one; choose a frame.")
    folder = Path(out)
    deck = PathIntegral(
        beads, settings.temperature, settings.timestep, 1000 / settings.friction, settings.steps, settings.seed % SEEDS,
        LOOK, settings.every, guard,
    )  # fmt: skip
    ipi_deck(model, positions[0], folder, deck)
    began = time.monotonic()
    _run(folder, settings, progress)
    rows = _rows(folder)
    settled = rows[len(rows) // 2 :]
    temperature, energy = (float(settled[:, column].mean()) for column in (3, 4))
    return BeadsRun(folder, beads, settings.steps, temperature, energy, time.monotonic() - began)


def require_beads(settings: "MdSettings", beads: int) -> None:
    """Raise UsageError for settings that path integrals cannot have."""
    if beads < 1:
        raise UsageError(f"beads: {beads} given; at least 1 is needed.")
    if settings.ensemble != "langevin" or settings.replicas != 1:
        given = f"ensemble {settings.ensemble} and {settings.replicas} replicas"
        raise UsageError(
            f"beads: {beads} given with {given}, but i-PI runs one ring polymer by Langevin's dynamics; leave them out."
        )


def _run(folder: Path, settings: "MdSettings", progress: Progress) -> None:
    """i-PI from its input to its end, and its progress."""
    found = shutil.which("i-pi", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        raise UsageError("ipi: the program i-pi is not installed; pip install 'gossamer[ipi]'.")
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen([found, "input.xml"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                time.sleep(POLL)
                _tell(folder, settings, progress)
        except KeyboardInterrupt as error:
            process.terminate()  # it writes RESTART then
            process.wait()
            told = f"interrupted; `cd {folder} && i-pi RESTART` goes on from where it was."
            raise KeyboardInterrupt(told) from error
    rows = _rows(folder)  # i-PI's exit code is 0 as well where a thread of it has failed
    if process.returncode or not len(rows) or rows[-1, 0] + LOOK <= settings.steps:
        lines = (folder / LOG).read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        said = next((line for line in reversed(lines) if line.startswith("gossamer: ")), lines[-1])
        said = said.removeprefix("gossamer: ").rstrip(".")
        raise SimulationError(f"beads: i-PI ended early ({said}); see {folder / LOG}.")


def _tell(folder: Path, settings: "MdSettings", progress: Progress) -> None:
    rows = _rows(folder)
    if len(rows):
        step, _, _, temperature, energy = rows[-1]
        progress(Event("md", step, settings.steps, values={"temperature": temperature, "energy": energy}))


def _rows(folder: Path) -> np.ndarray:
    """The table of i-PI as far as it goes (F, 5)."""
    try:
        lines = (folder / TABLE).read_text().splitlines()
    except FileNotFoundError:
        return np.zeros((0, 5))
    rows = [line.split() for line in lines if not line.startswith("#")]
    return np.array([row for row in rows if len(row) == 5], dtype=np.float64).reshape(-1, 5)
