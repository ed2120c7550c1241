"""Reading HDF5 in a process of its own, as the C library may loop for ever or end its process over a damaged file.

The child may use so much processor time (not wall time, which a busy machine stretches) as the size of the file allows.
What it read comes back as an npz file, what it refused as text; nothing is unpickled.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from gossamer import errors
from gossamer.data.formats.npz import NpzFile
from gossamer.data.formats.raw import Options, Raw
from gossamer.errors import DataError, GossamerError

_SECONDS, _BYTES_A_SECOND = 5, 20_000_000
_ARRAYS = ("numbers", "positions", "forces", "energies", "frames", "dipoles")
_CHILD = "from gossamer.data.formats.apart import main; main()"


def read(path: Path, options: Options) -> Raw:
    """As gossamer.data.formats.hdf5.read.  Raises what that does, and DataError when the library does not come back."""
    from gossamer.data.formats import hdf5

    hdf5.require_library(path)
    with tempfile.TemporaryDirectory() as folder:
        task = {"path": str(path), "options": asdict(options) | {"index": _text(options.index)}, "folder": folder}
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.run(
            [sys.executable, "-c", _CHILD], input=json.dumps(task).encode(), env=environment, capture_output=True,
            check=False,
        )  # fmt: skip
        try:
            answer = json.loads((Path(folder) / "answer.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            why = "the HDF5 library did not come back"
            raise DataError(f"{path}: cannot be read as HDF5 ({why}); copy or write it again.") from error
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["message"])
        file = NpzFile(Path(folder) / "arrays.npz")
        arrays: dict[str, Any] = {name: file.get(name) if name in file.names else None for name in _ARRAYS}
        return Raw(**answer["raw"], **arrays)


def main() -> None:
    """The child: a task on standard input, answer.json and arrays.npz in its folder."""
    from gossamer.data.formats import hdf5

    task = json.load(sys.stdin)
    path, folder = Path(task["path"]), Path(task["folder"])
    _limit(_SECONDS + path.stat().st_size // _BYTES_A_SECOND)
    answer: dict[str, Any]
    try:
        raw = hdf5.read(path, Options(**task["options"]))
        arrays = {name: value for name in _ARRAYS if (value := getattr(raw, name)) is not None}
        np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]
        plain = asdict(replace(raw, forces=None, energies=None, dipoles=None))
        answer = {"raw": {key: value for key, value in plain.items() if key not in _ARRAYS}}
    except GossamerError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    partial = folder / "answer.partial"
    partial.write_text(json.dumps(answer), encoding="utf-8")
    partial.rename(folder / "answer.json")


def _limit(seconds: int) -> None:
    """End this process after so much processor time, where the system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def _text(index: str | int | slice) -> str:
    """The index as text."""
    if not isinstance(index, slice):
        return str(index)
    return ":".join("" if part is None else str(part) for part in (index.start, index.stop, index.step))
