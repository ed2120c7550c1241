"""Files that trajectories grow in: extended XYZ, or ASE's own .traj.

Frames are appended.  A file can be cut back to a mark that was set earlier, so that a run which was killed goes on from
its last restart with the file as it was then."""

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gossamer.data.dataset import symbols
from gossamer.errors import DataError, UsageError
from gossamer.files import atomic_path, written

if TYPE_CHECKING:
    from ase import Atoms


class Frame(NamedTuple):
    """One structure of a trajectory.  step; time, fs; positions, momenta, forces (N, 3): Angstrom, ASE's unit,
    eV/Angstrom; energy, potential, and kinetic, eV; temperature, K; dipole (3,), e*Angstrom, or None."""

    step: int
    time: float
    positions: np.ndarray
    momenta: np.ndarray
    forces: np.ndarray
    energy: float
    kinetic: float
    temperature: float
    dipole: np.ndarray | None = None


class Frames(NamedTuple):
    """Frames of a trajectory.  steps (F,); times (F,), fs; positions (F, N, 3), Angstrom; energies, kinetic (F,), eV;
    temperatures (F,), K."""

    steps: np.ndarray
    times: np.ndarray
    positions: np.ndarray
    energies: np.ndarray
    kinetic: np.ndarray
    temperatures: np.ndarray


class TrajectoryFile(Protocol):
    """What frames are appended to.  Every method raises OutputError where the system lets nothing be written."""

    def append(self, frame: Frame) -> None: ...

    def mark(self) -> int:
        """What `open_trajectory` can cut the file back to, once all that was appended is on the disk."""

    def close(self) -> None: ...


def open_trajectory(path: Path, numbers: np.ndarray, kept: int | None = None) -> TrajectoryFile:
    """The trajectory of atoms `numbers` (N,) at `path`: an empty file, or one cut back to its mark `kept`.

    Raises UsageError for an ending that is none of a trajectory, DataError for a file that holds less than the mark
    says, OutputError where it cannot be written."""
    return kind_of(path)(path, numbers, kept or None)


def read_frames(path: Path, stride: int = 1) -> Frames:
    """Every stride-th frame of a trajectory that `open_trajectory` wrote.  Raises DataError for another file."""
    try:
        found = [
            (told["step"], told["time_fs"], positions, told["energy"], told["kinetic_energy"], told["temperature"])
            for told, positions in kind_of(path).read(path, stride)
        ]
        return Frames(*(np.array(column, dtype=np.float64) for column in zip(*found, strict=True)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: it cannot be read as a trajectory of `gossamer md`; give its --out.") from error


def kind_of(path: Path) -> "type[ExtendedXyz] | type[AseTrajectory]":
    """Raises UsageError for an ending that is none of a trajectory."""
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: '{path.suffix}' is no trajectory; end the name in {', '.join(_KINDS)}.")
    return kind


class ExtendedXyz:
    """Text, a mark being the number of bytes."""

    def __init__(self, path: Path, numbers: np.ndarray, kept: int | None) -> None:
        self.path, self._names = path, symbols(numbers)
        with written(path):
            self._file: IO[bytes] = path.open("wb" if kept is None else "r+b")
            if kept is not None:
                self._cut(kept)

    def _cut(self, kept: int) -> None:
        if self._file.seek(0, os.SEEK_END) < kept:
            self._file.close()
            raise _shorter(self.path)
        self._file.truncate(kept)
        self._file.seek(kept)

    def append(self, frame: Frame) -> None:
        columns = np.concatenate([frame.positions, frame.momenta, frame.forces], axis=1)
        lines = [_ROW % (name, *row) for name, row in zip(self._names, columns.tolist(), strict=True)]
        head = _HEAD.format(
            energy=frame.energy, kinetic=frame.kinetic, temperature=frame.temperature, step=frame.step, time=frame.time
        )
        if frame.dipole is not None:
            head += _DIPOLE % tuple(frame.dipole.tolist())
        with written(self.path):
            self._file.write(f"{len(lines)}\n{head}\n{''.join(lines)}".encode())

    @staticmethod
    def read(path: Path, stride: int) -> Iterator[tuple[dict[str, float], np.ndarray]]:
        """What is told of every stride-th frame, and its positions (N, 3)."""
        with path.open(encoding="utf-8") as file:
            for k, count in enumerate(file):
                head, rows = next(file), list(islice(file, int(count)))
                if k % stride == 0:
                    told = {name: float(value) for name, value in _TOLD.findall(head)}
                    yield told, np.array([row.split()[1:4] for row in rows], dtype=np.float64)

    def mark(self) -> int:
        with written(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._file.tell()

    def close(self) -> None:
        with written(self.path):
            self._file.close()


_TOLD = re.compile(r"(\w+)=([-+\d.eE]+)(?= )")
_ROW = "%-2s" + " %14.8f" * 6 + " %12.6f" * 3 + "\n"
_HEAD = (
    "Properties=species:S:1:pos:R:3:momenta:R:3:forces:R:3 energy={energy:.8f} kinetic_energy={kinetic:.8f} "
    "temperature={temperature:.4f} step={step} time_fs={time:.6g} energy_unit=eV length_unit=Angstrom "
    'forces_unit=eV/Angstrom pbc="F F F"'
)
_DIPOLE = ' dipole="%.8f %.8f %.8f" dipole_unit=e*Angstrom'


class AseTrajectory:
    """ASE's binary format, a mark being the number of frames."""

    def __init__(self, path: Path, numbers: np.ndarray, kept: int | None) -> None:
        from ase.io.trajectory import TrajectoryWriter

        self.path, self._numbers = path, numbers
        if kept is not None:
            self._cut(kept)
        with written(path):
            self._writer: TrajectoryWriter = TrajectoryWriter(path, "w" if kept is None else "a")

    def _cut(self, kept: int) -> None:
        from ase.io.trajectory import TrajectoryReader, TrajectoryWriter

        try:
            with TrajectoryReader(self.path) as earlier:
                if len(earlier) < kept:
                    raise _shorter(self.path)
                if len(earlier) == kept:
                    return
                with atomic_path(self.path) as partial, TrajectoryWriter(partial, "w") as copy:
                    for k in range(kept):
                        copy.write(earlier[k])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{self.path}: it cannot be gone on with, being damaged; begin under another name."
            ) from error

    def append(self, frame: Frame) -> None:
        with written(self.path):
            self._writer.write(self._atoms(frame))

    def _atoms(self, frame: Frame) -> "Atoms":
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator

        told = {"step": frame.step, "time_fs": frame.time, "temperature": frame.temperature}
        told["kinetic_energy"] = frame.kinetic
        atoms = Atoms(self._numbers, frame.positions, momenta=frame.momenta, info=told)
        dipole = {} if frame.dipole is None else {"dipole": frame.dipole}
        atoms.calc = SinglePointCalculator(atoms, energy=frame.energy, forces=frame.forces, **dipole)
        return atoms

    @staticmethod
    def read(path: Path, stride: int) -> Iterator[tuple[dict[str, float], np.ndarray]]:
        """What is told of every stride-th frame, and its positions (N, 3)."""
        from ase.io.trajectory import TrajectoryReader

        with TrajectoryReader(path) as frames:
            for k in range(0, len(frames), stride):
                atoms = frames[k]
                yield atoms.info | {"energy": atoms.calc.results["energy"]}, atoms.positions

    def mark(self) -> int:
        with written(self.path):
            stream = self._writer.backend.fd
            stream.flush()
            os.fsync(stream.fileno())
            return len(self._writer)

    def close(self) -> None:
        with written(self.path):
            self._writer.close()


_KINDS: dict[str, type[ExtendedXyz] | type[AseTrajectory]] = {
    ".extxyz": ExtendedXyz,
    ".xyz": ExtendedXyz,
    ".traj": AseTrajectory,
}


def _shorter(path: Path) -> DataError:
    return DataError(f"{path}: it holds less than its restart says, so it was changed; begin under another name.")
