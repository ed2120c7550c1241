"""Path-integral molecular dynamics, which i-PI runs: the quantum nature of light nuclei at a temperature."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gossamer.engines.decks import PathIntegral, ipi_deck
from gossamer.engines.extras import extra
from gossamer.errors import DataError, SimulationError, UsageError
from gossamer.events import Event, Progress, silent
from gossamer.files import lock_folder, read_json, read_text, write_text
from gossamer.model.model_file import fingerprint
from gossamer.model.structures import asked
from gossamer.simulate.restart import header_of, require_ahead, require_header

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField
    from gossamer.model.structures import Structures
    from gossamer.simulate.settings import MdSettings

FORMAT = "gossamer-beads-1"
RESTART = "restart.json"
STATES = ("RESTART", "run.restart")  # of i-PI, whole only when it has ended
INPUT = "stage.xml"  # of the steps up to the next restart
LOG = "i-pi.log"
TABLE = "run.out"  # step; time, ps; conserved energy, eV; temperature, K; potential energy, eV
LOOK = 20  # steps between rows of it
SEEDS = 2**31 - 1  # of i-PI
POLL = 0.2  # seconds


class Ring(NamedTuple):
    """A ring polymer.  guard: "warn", "stop", "save" or "off", as of i-PI's driver."""

    beads: int
    guard: str = "warn"


@dataclass(frozen=True)
class BeadsRun:
    """A path integral of `beads` beads that i-PI ran in a folder.  steps in all, and began: the step it went on from, 0
    for a new one; temperature, K, and energy, the potential's, eV: means over its second half; seconds of the
    process."""

    folder: Path
    beads: int
    steps: int
    began: int
    temperature: float
    energy: float
    seconds: float


def run_beads(
    model: "ForceField",
    start: "Structures",
    out: str | Path,
    settings: "MdSettings",
    ring: Ring,
    *,
    resume: bool = False,
    progress: Progress = silent,
) -> BeadsRun:
    """Run i-PI from one structure, given as to `ForceField.predict`, in the new folder `out`, all beads in one batch.

    Temperature, step, length, seed and frames are those of `settings`; the thermostat is PILE, its centroid at the
    friction of Langevin.  i-PI runs `restart_every` steps at a time, each time from the state that the last ended with,
    which OUT/restart.json keeps.  resume: go on from it, to the same trajectory, byte for byte on one machine; without
    that folder, begin.

    Raises UsageError without i-PI (pip install 'gossamer[ipi]'), for an ensemble other than Langevin's, for a restart
    of another model, structure or other settings, and while i-PI still runs in `out`; OutputError where `out` is there
    already, DataError where it is damaged, SimulationError where i-PI fails."""
    extra("ipi", "ipi")
    require_beads(settings, ring.beads)
    positions, name, _ = asked(start, model.numbers)
    if len(positions) != 1:
        raise UsageError(f"{name}: {len(positions)} structures given, but all beads begin from one; choose a frame.")
    folder = Path(out)
    header = header_of(fingerprint(model), positions, settings)
    header |= ring._asdict() | {"restart_every": settings.restart_every}
    if not (resume and (folder / RESTART).exists()):
        deck = PathIntegral(
            ring.beads, settings.temperature, settings.timestep, 1000 / settings.friction, settings.steps,
            settings.seed % SEEDS, LOOK, settings.every, ring.guard,
        )  # fmt: skip
        ipi_deck(model, positions[0], folder, deck)
        _Stage(header, 0, {}, (folder / "input.xml").read_text(encoding="utf-8")).save(folder)
    began = time.monotonic()
    with _alone(folder) as lock:
        first = stage = _Stage.load(folder)
        require_header(stage.header, header, folder / RESTART)
        require_ahead(settings.steps, stage.step, folder / RESTART)
        stage.cut_back(folder)
        while stage.step < settings.steps:
            stage = _go_on(stage, folder, settings, lock, progress)
    rows = _rows(folder)
    settled = rows[len(rows) // 2 :]
    temperature, energy = (float(settled[:, column].mean()) for column in (3, 4))
    return BeadsRun(folder, ring.beads, settings.steps, first.step, temperature, energy, time.monotonic() - began)


def require_beads(settings: "MdSettings", beads: int) -> None:
    """Raise UsageError for settings that path integrals cannot have."""
    if beads < 1:
        raise UsageError(f"beads: {beads} given; at least 1 is needed.")
    if settings.ensemble != "langevin" or settings.replicas != 1:
        given = f"ensemble {settings.ensemble} and {settings.replicas} replicas"
        raise UsageError(
            f"beads: {beads} given with {given}, but i-PI runs one ring polymer by Langevin's dynamics; leave them out."
        )


@dataclass(frozen=True)
class _Stage:
    """What i-PI goes on from.  header: as of `Restart`; step; marks: sizes of its files, by name, after that step;
    input: of i-PI."""

    header: Mapping[str, Any]
    step: int
    marks: Mapping[str, int]
    input: str

    def save(self, folder: Path) -> None:
        """Raises OutputError where it cannot be written; an earlier one stays then."""
        write_text(folder / RESTART, json.dumps({"format": FORMAT} | asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> "_Stage":
        """Raises DataError for a file that is damaged or no restart."""
        told = read_json(folder / RESTART, "restart of a path integral", DataError)
        try:
            if told["format"] != FORMAT:
                raise ValueError(told["format"])
            marks = {str(name): int(size) for name, size in told["marks"].items()}
            return cls(dict(told["header"]), int(told["step"]), marks, str(told["input"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{folder / RESTART}: it is no restart of this version, or it is damaged; begin again under another "
                "--out."
            ) from error

    def cut_back(self, folder: Path) -> None:
        """Leave of i-PI's files what they held after the step.  Raises DataError where one holds less."""
        for path in _files(folder):
            if path.name not in self.marks:
                path.unlink()
        for name, size in self.marks.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size < size:
                raise DataError(
                    f"{path}: it holds less than its restart says, so it was changed; begin under another name."
                )
            os.truncate(path, size)


def _files(folder: Path) -> list[Path]:
    """What i-PI has written."""
    return [path for pattern in ("run.*", "RESTART", "#*#") for path in sorted(folder.glob(pattern))]


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """A lock that lasts as long as this process or i-PI, to which it is handed on, may write into the folder.  Raises
    UsageError where another has it."""
    try:
        lock = lock_folder(folder)
    except BlockingIOError as error:
        raise UsageError(f"{folder}: i-PI still runs there; end it, or wait until it has ended.") from error
    try:
        yield lock
    finally:
        os.close(lock)


def _go_on(stage: _Stage, folder: Path, settings: "MdSettings", lock: int, progress: Progress) -> _Stage:
    """`restart_every` steps of i-PI from one stage to the next, or the steps that are left: then to no restart, so that
    more steps are the same whether they were asked for at once or later."""
    end = min(stage.step + settings.restart_every, settings.steps)
    text = re.sub(r"<total_steps>.*?</total_steps>", f"<total_steps> {end} </total_steps>", stage.input)
    write_text(folder / INPUT, text)
    for name in STATES:
        (folder / name).unlink(missing_ok=True)  # of which i-PI would keep copies
    _run(folder, end, stage, settings, lock, progress)
    marks = {path.name: path.stat().st_size for path in _files(folder) if path.name not in STATES}
    state = read_text(folder / "RESTART", "restart of i-PI", SimulationError)
    reached = _Stage(stage.header, end, marks, state)
    if end - stage.step == settings.restart_every:
        reached.save(folder)
    return reached


def _run(folder: Path, end: int, stage: _Stage, settings: "MdSettings", lock: int, progress: Progress) -> None:
    """i-PI from a stage to its end, and its progress."""
    found = shutil.which("i-pi", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        raise UsageError("ipi: the program i-pi is not installed; pip install 'gossamer[ipi]'.")
    kept = f"{folder / RESTART} holds step {stage.step}"
    with (folder / LOG).open("ab" if stage.step else "wb") as log:
        process = subprocess.Popen([found, INPUT], cwd=folder, stdout=log, stderr=subprocess.STDOUT, pass_fds=(lock,))
        try:
            while process.poll() is None:
                time.sleep(POLL)
                _tell(folder, settings, progress)
        except KeyboardInterrupt as error:
            process.terminate()
            process.wait()
            told = f"interrupted; {kept}: repeat the command with --resume to go on from there."
            raise KeyboardInterrupt(told) from error
    rows = _rows(folder)  # i-PI's exit code is 0 as well where a thread of it has failed
    if process.returncode or not len(rows) or rows[-1, 0] + LOOK <= end:
        lines = (folder / LOG).read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        said = next((line for line in reversed(lines) if line.startswith("gossamer: ")), lines[-1])
        said = said.removeprefix("gossamer: ").rstrip(".")
        raise SimulationError(f"beads: i-PI ended early ({said}); see {folder / LOG}; {kept}.")


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
