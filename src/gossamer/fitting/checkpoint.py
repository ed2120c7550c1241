"""What a fit has finished so far, in a file from which an interrupted one goes on to the same model.

Every system solved and every decision is filed under a digest of all it depends on, so a repeated run finds what is
done by asking for it, whatever the order, and a new stage of a search joins by being built on `fit_terms`.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gossamer.errors import ModelFileError, UsageError
from gossamer.files import atomic_path
from gossamer.fitting.parallel import ALONE, Ranks
from gossamer.fitting.solvers import CGState, Step

FORMAT, VERSION = "gossamer-checkpoint", 1
KEY = "gossamer"
EVERY = 60.0  # seconds between two writings of an unfinished solution


class Entry(NamedTuple):
    """Something finished: arrays and plain JSON values."""

    arrays: dict[str, np.ndarray]
    values: dict[str, Any]


@dataclass(eq=False)
class Journal:
    """Finished work by key, and the state of the solver at work.  path None: kept nowhere, and nothing is found.

    header: what has to agree before the file may be used again; every: seconds between writings while a solver
    iterates (finished work is written at once); writes: whether this process is the one that writes."""

    path: Path | None = None
    header: dict[str, Any] = field(default_factory=dict)
    every: float = EVERY
    writes: bool = True
    entries: dict[str, Entry] = field(default_factory=dict)
    running: dict[str, Entry] = field(default_factory=dict)
    written: float = field(default_factory=time.monotonic)

    @classmethod
    def open(
        cls, path: Path, header: dict[str, Any], *, resume: bool, every: float = EVERY, ranks: Ranks = ALONE
    ) -> "Journal":
        """The journal at `path`: what is in the file, if it is to be resumed and there is one, else an empty one.

        All ranks get what rank 0 reads.  Raises UsageError when the file is of another run, ModelFileError when it is
        damaged."""
        content = path.read_bytes() if ranks.first and resume and path.is_file() else b""
        content = ranks.bytes_from_first(content)
        found = _unpacked(content, path, header) if content else {}
        running = {key.removeprefix("running/"): e for key, e in found.items() if key.startswith("running/")}
        entries = {key: e for key, e in found.items() if not key.startswith("running/")}
        return cls(path, header, every, ranks.first, entries, running)

    def get(self, key: str) -> Entry | None:
        """What was finished under this key."""
        return self.entries.get(key)

    def put(self, key: str, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        """File something as finished, and forget the solver's state that led to it."""
        if self.path is None:
            return
        self.note(key, arrays, values)
        self.running.pop(key, None)
        self._write()

    def note(self, key: str, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        """Remember something that alone is not worth a file; it is written with what follows."""
        if self.path is not None:
            self.entries[key] = Entry(arrays, values)

    def state(self, key: str) -> CGState | None:
        """Where conjugate gradients for this key stood."""
        entry = self.running.get(key)
        return None if entry is None else _state_of(entry)

    def keeper(self, key: str) -> Callable[[CGState], None]:
        """A function that conjugate gradients call after every iteration."""

        def keep(state: CGState) -> None:
            if self.path is None or time.monotonic() - self.written < self.every:
                return
            self.running = {key: _entry_of(state)}
            self._write()

        return keep

    def close(self) -> None:
        """The work is done: remove the file."""
        if self.path is not None and self.writes:
            self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        self.written = time.monotonic()
        if not self.writes or self.path is None:
            return
        from safetensors.numpy import save_file

        everything = self.entries | {f"running/{key}": entry for key, entry in self.running.items()}
        arrays = {
            f"{key}:{name}": np.ascontiguousarray(a) for key, e in everything.items() for name, a in e.arrays.items()
        }
        values = {key: entry.values for key, entry in everything.items()}
        content = {"format": FORMAT, "version": VERSION, "header": self.header, "values": values}
        with atomic_path(self.path) as temporary:
            save_file(arrays, temporary, metadata={KEY: json.dumps(content)})


NOTHING_KEPT = Journal()


@dataclass(frozen=True, eq=False)
class Run:
    """Where a fit runs and what it remembers: the ranks it shares its work with, and its journal."""

    ranks: Ranks = ALONE
    journal: Journal = NOTHING_KEPT

    def once(self, key: str, make: Callable[[], float]) -> float:
        """A number that another machine or another day would give differently (the memory that is free): rank 0 makes
        it, once."""
        entry = self.journal.get(key)
        if entry is not None:
            return entry.values["value"]
        (value,) = self.ranks.agree(make() if self.ranks.first else 0.0)
        self.journal.note(key, {}, {"value": value})
        return value

    def arrays_once(self, key: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Arrays that may come out with other last digits elsewhere: every rank makes them, those of rank 0 count."""
        found = self.journal.get(key)
        if found is not None:
            return found.arrays
        arrays = make()
        if self.ranks.size > 1:
            from safetensors.numpy import load, save

            content = save({name: np.ascontiguousarray(a) for name, a in arrays.items()})
            arrays = {name: a.copy() for name, a in load(self.ranks.bytes_from_first(content)).items()}
        self.journal.put(key, arrays, {})
        return arrays


HERE = Run()


def key_of(what: str, *parts: Any) -> str:
    """A name for `what` was made from these parts: records, arrays, tensors and plain values, hashed by content."""
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return f"{what}-{digest.hexdigest()[:32]}"


def _feed(digest, part: Any) -> None:
    fingerprint = getattr(part, "fingerprint", None)
    if isinstance(fingerprint, str):  # a Dataset
        digest.update(fingerprint.encode())
    elif is_dataclass(part):
        digest.update(type(part).__name__.encode())
        for item in fields(part):
            _feed(digest, getattr(part, item.name))
    elif hasattr(part, "detach"):
        _feed(digest, part.detach().cpu().numpy())
    elif isinstance(part, np.ndarray):
        digest.update(f"{part.dtype}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    elif isinstance(part, (tuple, list)):
        digest.update(f"({len(part)}".encode())
        for item in part:
            _feed(digest, item)
    elif part is None or isinstance(part, (str, int, float, bool)):
        digest.update(f"{type(part).__name__}{part!r};".encode())
    else:
        raise TypeError(f"{type(part).__name__} has no content to hash")


def _entry_of(state: CGState) -> Entry:
    vectors = {"x": state.x, "r": state.r, "p": state.p}
    if state.best_x is not state.x:
        vectors["best_x"] = state.best_x
    arrays = {name: v.cpu().numpy() for name, v in vectors.items()}
    values = {"iteration": state.iteration, "rz": state.rz, "best": state.best, "history": state.history}
    return Entry(arrays, values)


def _state_of(entry: Entry) -> CGState:
    import torch

    x, r, p = (torch.from_numpy(entry.arrays[name].copy()) for name in ("x", "r", "p"))
    best_x = torch.from_numpy(entry.arrays["best_x"].copy()) if "best_x" in entry.arrays else x
    v = entry.values
    return CGState(v["iteration"], x, r, p, v["rz"], v["best"], best_x, history_of(v["history"]))


def history_of(steps: list[list[Any]]) -> tuple[Step, ...]:
    """A solver's history from its JSON form."""
    return tuple(Step(*step) for step in steps)


def _unpacked(content: bytes, path: Path, header: dict[str, Any]) -> dict[str, Entry]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        length = int.from_bytes(content[:8], "little")
        stored = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][KEY])
        values, theirs = stored["values"], stored["header"]
        if stored["format"] != FORMAT or stored["version"] != VERSION:
            raise KeyError(FORMAT)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"--resume: {path} is no checkpoint of this version of Gossamer, or is damaged; leave --resume out."
        ) from error
    for name in theirs | header:
        if theirs.get(name) != header.get(name):
            raise UsageError(
                f"--resume: {path} was made with {name} {_said(theirs.get(name))}, and here it is "
                f"{_said(header.get(name))}; repeat the first command, or leave --resume out to start anew."
            )
    entries = {key: Entry({}, found) for key, found in values.items()}
    for name, array in arrays.items():
        key, _, part = name.rpartition(":")
        entries[key].arrays[part] = array.copy()
    return entries


def _said(value: Any) -> Any:
    return "left out" if value is None else value
