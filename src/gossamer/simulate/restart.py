"""What a trajectory goes on from after it was killed: one file, written whole or not at all."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gossamer.errors import DataError, UsageError
from gossamer.files import atomic_path, regular_file
from gossamer.simulate.integrators import State
from gossamer.simulate.settings import MdSettings

FORMAT = "gossamer-restart-2"
MAY_DIFFER = ("steps", "restart_every")
RESTART_FILE = "restart of a trajectory"
_SUMS = ("spectrum", "infrared")  # fields that hold arrays


@dataclass(frozen=True, eq=False)
class Restart:
    """header: what must be the same for a run to go on (see `header_of`); step; state: after it; generator: of random
    numbers, as NumPy gives its state; kept: a mark of every replica's trajectory; spectrum, infrared: arrays of
    a `VelocitySpectrum` and of an `InfraredSpectrum`, the latter none without dipoles."""

    header: Mapping[str, Any]
    step: int
    state: State
    generator: Mapping[str, Any]
    kept: tuple[int, ...]
    spectrum: Mapping[str, np.ndarray]
    infrared: Mapping[str, np.ndarray]

    def save(self, path: Path) -> None:
        """Raises OutputError where it cannot be written; an earlier restart stays then."""
        told = {"format": FORMAT, "header": self.header, "step": self.step, "generator": self.generator}
        told["kept"] = list(self.kept)
        arrays = self.state._asdict()
        for kind in _SUMS:
            arrays |= {f"{kind}.{name}": array for name, array in getattr(self, kind).items()}
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez(file, allow_pickle=False, told=np.array(json.dumps(told)), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Restart":
        """Raises DataError for a file that is missing, damaged or no restart."""
        regular_file(path, RESTART_FILE, DataError)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            told = json.loads(str(arrays.pop("told")))
            if told["format"] != FORMAT:
                raise ValueError(told["format"])
            state = State(*(arrays[name] for name in State._fields))
            sums = [{name.split(".")[1]: a for name, a in arrays.items() if name.startswith(f"{k}.")} for k in _SUMS]
            return cls(told["header"], int(told["step"]), state, told["generator"], tuple(told["kept"]), *sums)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path}: it is no restart of this version, or it is damaged; begin again under another --out."
            ) from error

    def require(self, header: Mapping[str, Any], path: Path) -> None:
        """Raise UsageError, naming the file, where a run of `header` would not be the run that was interrupted."""
        require_header(self.header, header, path)


def require_header(kept: Mapping[str, Any], header: Mapping[str, Any], path: Path) -> None:
    """Raise UsageError, naming the file of the header `kept`, where a run of `header` would be another run."""
    for key, value in header.items():
        if kept.get(key) == value:
            continue
        if key == "model":
            raise UsageError(
                f"{path}: it belongs to another model; give the model it was begun with, or another --out."
            )
        if key == "start":
            raise UsageError(f"{path}: it was begun from another structure; give that one, or another --out.")
        raise UsageError(f"{path}: {key} was {kept.get(key)} and is {value} now; give what it was, or another --out.")


def require_ahead(steps: int, kept: int, path: Path) -> None:
    """Raise UsageError where the restart at `path`, of the step `kept`, is beyond the steps asked for."""
    if kept > steps:
        raise UsageError(f"steps: {steps} given, but {path} has {kept} already; ask for more.")


def header_of(model: str, start: np.ndarray, settings: MdSettings) -> dict[str, Any]:
    """What makes a trajectory: the model's fingerprint, its first positions and the settings."""
    digest = hashlib.sha256(np.ascontiguousarray(start).tobytes()).hexdigest()[:16]
    given = {key: value for key, value in asdict(settings).items() if key not in MAY_DIFFER}
    return {"model": model, "start": digest} | given
