"""Molecular dynamics: a trajectory that grows in files and goes on after it was killed."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gossamer.backends.choice import of_dipoles
from gossamer.engines.guard import Guard, GuardChoice
from gossamer.errors import ExtrapolationError, GossamerError, OutputError, SimulationError, UsageError
from gossamer.events import Event, Progress, silent
from gossamer.model.dipoles import DipoleModel
from gossamer.model.model_file import fingerprint
from gossamer.model.structures import asked
from gossamer.records.md import Averages
from gossamer.simulate.averages import averages_of
from gossamer.simulate.integrators import Integrator, State, kinetic_energies, thermal_velocities
from gossamer.simulate.restart import Restart, header_of, require_ahead
from gossamer.simulate.rigid import rigid_motions
from gossamer.simulate.settings import MdSettings
from gossamer.simulate.spectrum import InfraredSpectrum, VelocitySpectrum
from gossamer.simulate.trajectory import Frame, TrajectoryFile, kind_of, open_trajectory

if TYPE_CHECKING:
    from gossamer.evaluate.evaluator import Evaluator
    from gossamer.model.force_field import ForceField
    from gossamer.model.structures import Structures

LOOK = 10  # steps between looks at what could go wrong
TOLD = 0.2  # seconds between events of progress


class MdFiles(NamedTuple):
    """trajectories: one for each replica; restart: what the run goes on from."""

    trajectories: tuple[Path, ...]
    restart: Path

    @classmethod
    def of(cls, out: Path, replicas: int) -> "MdFiles":
        """OUT and OUT.restart; of several replicas OUT.0.extxyz, OUT.1.extxyz, ... with the ending of OUT."""
        restart = out.with_name(f"{out.name}.restart")
        if replicas == 1:
            return cls((out,), restart)
        width = len(str(replicas - 1))
        return cls(tuple(out.with_name(f"{out.stem}.{k:0{width}}{out.suffix}") for k in range(replicas)), restart)

    @staticmethod
    def outside(out: Path) -> Path:
        """Where a guard that saves puts structures that leave what the model was trained on."""
        return out.with_name(f"{out.stem}.outside.extxyz")


@dataclass(frozen=True, eq=False)
class MdRun:
    """How a run of `run_md` ended.

    files; steps in all, and began: the step it went on from, 0 for a new one; masses (N,), u; freedom: degrees of
    freedom that move; state: the last one; seconds: of this process; wavenumbers, spectrum (F,): power spectrum of the
    velocities of all steps; infrared (F,): absorption, km/mol in an interval of 1 1/cm (`InfraredSpectrum`), empty
    without dipoles."""

    files: MdFiles
    settings: MdSettings
    began: int
    masses: np.ndarray
    freedom: int
    state: State
    seconds: float
    wavenumbers: np.ndarray
    spectrum: np.ndarray
    infrared: np.ndarray

    def __repr__(self) -> str:
        return f"MdRun({self.settings.steps} steps of {self.settings.timestep:g} fs, {self.files.trajectories[0]})"

    @property
    def ns_per_day(self) -> float:
        """Of all replicas together."""
        done = (self.settings.steps - self.began) * self.settings.timestep * self.settings.replicas
        return 0.0864 * done / max(self.seconds, 1e-9)

    @cached_property
    def averages(self) -> tuple[Averages, ...]:
        """Over the trajectory of every replica, each read once.  Raises DataError where one is not what was written."""
        return tuple(averages_of(path, self) for path in self.files.trajectories)


@dataclass(frozen=True, eq=False)
class _System:
    """What does not change while a trajectory runs.  start (K, N, 3), Angstrom; masses (N, 1), u; freedom: degrees of
    freedom that move."""

    evaluator: "Evaluator"
    settings: MdSettings
    start: np.ndarray
    masses: np.ndarray
    freedom: int
    integrator: Integrator
    header: dict[str, Any]
    dipoles: DipoleModel | None

    @classmethod
    def build(cls, model: "ForceField", start: "Structures", settings: MdSettings) -> "_System":
        from ase.data import atomic_masses

        positions, name, _ = asked(start, model.numbers)
        if len(positions) not in (1, settings.replicas):
            raise UsageError(
                f"{name}: {len(positions)} structures given to begin from, but {settings.replicas} are needed, or one; "
                "choose a frame."
            )
        dipoles = model.dipole_model if settings.dipoles is None else None
        if settings.dipoles:
            dipoles = model.required_dipole_model
        settings = replace(settings, dipoles=dipoles is not None)
        masses = atomic_masses[model.numbers]
        still = rigid_motions(positions[0], masses).shape[1] if settings.keeps_momenta else 0
        freedom = positions[0].size - still
        evaluator = model.evaluator(replicas=settings.replicas if settings.replicas > 1 else None)
        positions = np.array(np.broadcast_to(positions, (settings.replicas, *positions.shape[1:])), dtype=np.float64)
        integrator = settings.integrator(masses[:, None], freedom)
        header = header_of(fingerprint(model), positions, settings)
        return cls(evaluator, settings, positions, masses[:, None], freedom, integrator, header, dipoles)

    def forces_of(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(positions) > 1:
            return self.evaluator.many(positions)
        energy, forces = self.evaluator.one(positions[0])
        return np.array([energy]), forces[None]

    def first(self, rng: np.random.Generator) -> State:
        """The start, with velocities drawn for every replica."""
        drawn = []
        for positions in self.start:
            whole = rigid_motions(positions, self.masses[:, 0]) if self.settings.keeps_momenta else None
            drawn.append(thermal_velocities(self.masses, self.settings.heat, whole, rng))
        return State.begin(self.start, np.array(drawn), self.forces_of)

    @cached_property
    def dipoles_of(self) -> "Callable[[np.ndarray], np.ndarray]":
        """Dipoles (K, 3), e*Angstrom, of positions (K, N, 3)."""
        assert self.dipoles is not None
        return of_dipoles(self.dipoles)

    def heats(self, state: State) -> np.ndarray:
        """kT of the kinetic energies (K,), eV."""
        return 2 * kinetic_energies(state.velocities, self.masses) / self.freedom

    def temperatures(self, state: State) -> np.ndarray:
        """(K,), K."""
        from ase import units

        return self.heats(state) / units.kB

    def require_sane(self, state: State) -> None:
        """Raise SimulationError where numbers are not finite, or the kinetic energy is out of all proportion: ten times
        the mean, and 50 kT more for what few degrees of freedom may have by chance."""
        kinetic = kinetic_energies(state.velocities, self.masses)
        if not np.isfinite(kinetic.sum() + state.energies.sum()):
            raise SimulationError("positions or velocities are not finite")
        if kinetic.max() > (5 * self.freedom + 50) * self.settings.heat:
            hottest = self.temperatures(state).max()
            raise SimulationError(
                f"the temperature is {hottest:,.0f} K, and {self.settings.temperature:g} K were asked for"
            )

    def frames(self, step: int, state: State) -> Iterator[Frame]:
        """One of every replica."""
        kinetic, temperatures = kinetic_energies(state.velocities, self.masses), self.temperatures(state)
        momenta, now = self.masses * state.velocities, step * self.settings.timestep
        dipoles = [None] * len(kinetic) if self.dipoles is None else self.dipoles_of(state.positions)
        for k, energy in enumerate(state.energies):
            yield Frame(
                step, now, state.positions[k], momenta[k], state.forces[k], float(energy), float(kinetic[k]),
                float(temperatures[k]), dipoles[k],
            )  # fmt: skip

    def spectra(self) -> tuple[VelocitySpectrum, InfraredSpectrum | None]:
        """What is summed up while a trajectory runs, from its beginning."""
        s = self.settings
        velocities = VelocitySpectrum(s.timestep, self.masses[:, 0], s.replicas)
        dipoles = self.dipoles
        return velocities, None if dipoles is None else InfraredSpectrum(dipoles, s.timestep, s.replicas)


def run_md(
    model: "ForceField",
    start: "Structures",
    out: str | Path,
    settings: MdSettings | None = None,
    *,
    resume: bool = False,
    guard: GuardChoice = "warn",
    progress: Progress = silent,
) -> MdRun:
    """Run molecular dynamics from one structure, or one for every replica, given as to `ForceField.predict`.

    The trajectory grows in `out` (.extxyz or .traj), and OUT.restart is written whole every so many steps.  resume: go
    on from it, to the same trajectory, bit by bit, as if nothing had happened; without that file, begin.  Raises
    UsageError for a restart of another model, structure or other settings, and for an `out` that is there already;
    SimulationError, which names the last good restart, where the trajectory blows up; OutputError where the disk is
    full."""
    settings = settings or MdSettings()
    system, files = _System.build(model, start, settings), MdFiles.of(Path(out), settings.replicas)
    looking = guard if isinstance(guard, Guard) else Guard(model, guard, MdFiles.outside(Path(out)))
    last = _last(system, files, resume)
    began = time.monotonic()
    with _opened(files.trajectories, model.numbers, last.kept) as trajectories:
        trip = _Trip(system, files.restart, trajectories, last)
        with _told(trip), np.errstate(all="ignore"):
            trip.go(looking, progress)
    seconds = time.monotonic() - began
    return MdRun(
        files, system.settings, last.step, system.masses[:, 0], system.freedom, trip.state, seconds,
        *trip.spectrum.result(), np.zeros(0) if trip.infrared is None else trip.infrared.result(),
    )  # fmt: skip


def _last(system: _System, files: MdFiles, resume: bool) -> Restart:
    """The restart to go on from; of a new run the first one, which is written."""
    for path in files.trajectories:
        kind_of(path)
    if resume and files.restart.exists():
        last = Restart.load(files.restart)
        last.require(system.header, files.restart)
        require_ahead(system.settings.steps, last.step, files.restart)
        return last
    for path in (*files.trajectories, files.restart):
        if path.exists() and path.stat().st_size:
            hint = "--resume goes on from its restart; else" if files.restart.exists() else "remove it, or"
            raise UsageError(f"out: {path} is there already, and would be lost; {hint} give another name.")
    rng = np.random.default_rng(system.settings.seed)
    state = system.first(rng)
    sums = [{} if one is None else one.arrays() for one in system.spectra()]
    first = Restart(system.header, 0, state, rng.bit_generator.state, (0,) * len(files.trajectories), *sums)
    first.save(files.restart)
    return first


@contextmanager
def _opened(paths: Sequence[Path], numbers: np.ndarray, kept: Sequence[int]) -> Iterator[list[TrajectoryFile]]:
    opened: list[TrajectoryFile] = []
    try:
        for path, mark in zip(paths, kept, strict=True):
            opened.append(open_trajectory(path, numbers, mark))
        yield opened
    except BaseException:
        for trajectory in opened:
            with suppress(OutputError):  # what ended the block matters more
                trajectory.close()
        raise
    for trajectory in opened:
        trajectory.close()


class _Trip:
    """A trajectory on its way: its last step and state, and where they are kept.  kept: the step of the last
    restart."""

    def __init__(self, system: _System, restart: Path, trajectories: list[TrajectoryFile], last: Restart) -> None:
        self.system, self.restart, self.trajectories = system, restart, trajectories
        self.step, self.state, self.kept = last.step, last.state, last.step
        self._rng = np.random.default_rng()
        self._rng.bit_generator.state = dict(last.generator)
        self.spectrum, self.infrared = system.spectra()
        self.spectrum.restore(last.spectrum)
        if self.infrared is not None:
            self.infrared.restore(last.infrared)
        if not any(last.kept):
            self._write_frames()

    def go(self, guard: Guard, progress: Progress) -> None:
        """All steps that are left."""
        s, first, clock = self.system.settings, self.step, time.monotonic()
        guard.look(self.state.positions, f"step {first}")
        told = clock
        while self.step < s.steps:
            self.state = self.system.integrator.advance(self.state, self.system.forces_of, self._rng)
            self.step += 1
            if self.step % self.spectrum.every == 0:
                self._sample()
            last, look = self.step == s.steps, self.step % LOOK == 0
            write, keep = self.step % s.every == 0, last or self.step % s.restart_every == 0
            if look or write or keep:
                self.system.require_sane(self.state)
                guard.look(self.state.positions, f"step {self.step}")
            if write:
                self._write_frames()
            if keep:
                self._keep()
            if look or last:
                now = time.monotonic()
                if last or now - told > TOLD:
                    told = now
                    progress(self._event((self.step - first) / max(now - clock, 1e-9)))

    def _sample(self) -> None:
        self.spectrum.add(self.state.velocities)
        if self.infrared is not None:
            self.infrared.add(self.state.positions, self.system.heats(self.state))

    def _write_frames(self) -> None:
        for trajectory, frame in zip(self.trajectories, self.system.frames(self.step, self.state), strict=True):
            trajectory.append(frame)

    def _keep(self) -> None:
        kept = tuple(trajectory.mark() for trajectory in self.trajectories)
        generator, spectrum = self._rng.bit_generator.state, self.spectrum.arrays()
        infrared = {} if self.infrared is None else self.infrared.arrays()
        Restart(self.system.header, self.step, self.state, generator, kept, spectrum, infrared).save(self.restart)
        self.kept = self.step

    def _event(self, rate: float) -> Event:
        """rate: steps a second."""
        s, state = self.system.settings, self.state
        values = {
            "temperature": float(self.system.temperatures(state).mean()),
            "energy": float(state.energies.mean()),
            "ns/day": 0.0864 * rate * s.timestep * s.replicas,
        }
        return Event("md", self.step, s.steps, values=values)


@contextmanager
def _told(trip: _Trip) -> Iterator[None]:
    """What ends a trajectory too early says from where it can go on."""

    def kept() -> str:
        return f"{trip.restart} holds step {trip.kept}"

    try:
        yield
    except OutputError as error:
        raise OutputError(f"{str(error).rstrip('.')}; {kept()}, from where --resume goes on.") from error
    except ExtrapolationError as error:
        raise SimulationError(f"md: stopped by the guard: {str(error).rstrip('.')}; {kept()}.") from error
    except GossamerError as error:
        raise SimulationError(
            f"md: the trajectory ended at step {trip.step} of {trip.system.settings.steps}: {str(error).rstrip('.')}; "
            f"{kept()}: try a shorter time step, or train on such structures."
        ) from error
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"interrupted; {kept()}: repeat the command with --resume to go on from there."
        ) from error
