"""Writing files so that nothing half-written is ever left behind, and nothing but a regular file is ever replaced.
Opening files that a user names.

What is written grows in a folder `.NAME.XXXXXXXX.tmp` beside its place and moves there whole.  Its maker holds a lock
on that folder, which the system lets go when the process ends, however it ends: what a killed process left is removed
by the next one that writes to the same place.
"""

import errno
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gossamer.errors import GossamerError, OutputError

DEPTH = 50  # of lists in lists in a file of JSON

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, so nothing is taken for left behind
    fcntl = None  # type: ignore[assignment]

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
}
_NAMED = 180  # bytes of a name that stand in the name of its temporary folder; systems allow 255 in all
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")  # how the writers that are not Python's tell it


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary file with the name of `path`, moved to its place when the block succeeds and removed when it fails.
    A symbolic link is followed.

    Raises OutputError as `place_of` does, when the folder is missing or cannot be written, and when the disk is full.
    """
    place = place_of(path)
    with written(path), staging(place) as folder:
        temporary = folder / place.name
        temporary.touch()
        mode = (place if place.exists() else temporary).stat().st_mode
        yield temporary
        os.chmod(temporary, stat.S_IMODE(mode))  # some writers make files that only their owner can read
        os.replace(temporary, place)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `path` when the block succeeds, and is removed when it fails.

    Raises OutputError where `path` is there and no empty folder, and where it cannot be written."""
    place = Path(os.path.realpath(path))
    with written(path):
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise OutputError(f"{path}: it is there already; give the name of a new or an empty folder.")
        with staging(place) as folder:
            yield folder
            os.replace(folder, place)


def place_of(path: str | Path) -> Path:
    """Where a file named `path` comes to stand: `path` made absolute, symbolic links followed.

    Raises OutputError where something stands there that is no regular file (a folder, a device, a pipe, a socket, a
    stream of this process), or a file that may not be written."""
    try:
        place = Path(os.path.realpath(path))
        found = os.stat(path)
    except FileNotFoundError:
        return place
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long or holds NUL
        raise OutputError(f"{path}: it cannot be written ({reason(error)}); choose another place.") from error
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no regular file")
        raise OutputError(f"{path}: it is {kind}; give the name of a file.")
    if any(os.path.samestat(found, stream) for stream in _streams()) or not place.exists():
        raise OutputError(f"{path}: it is a stream that this process has open; give the name of a file.")
    if not os.access(place, os.W_OK):
        raise OutputError(f"{path}: it is read-only; choose another place, or make it writable.")
    return place


def _streams() -> list[os.stat_result]:
    """Where standard input, output and error come from or go to."""
    found = []
    for number in (0, 1, 2):
        try:
            found.append(os.fstat(number))
        except OSError:
            continue
    return found


@contextmanager
def written(path: str | Path) -> Iterator[None]:
    """An OutputError that names `path` where the system lets nothing be written."""
    try:
        yield
    except Exception as error:
        why = reason(error)
        if why is None:
            raise
        told = f"{path}: it cannot be written ({why}); check space and rights, or choose another place."
        raise OutputError(told) from error


def reason(error: Exception) -> str | None:
    """What the system says in an error of writing, whichever library tells it; None for other errors."""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    if isinstance(error, ValueError) and "null" in str(error):
        return "its name holds a NUL character"
    if type(error).__module__ == "sqlite3":
        return str(error)
    told = _SYSTEM_ERROR.search(str(error))
    return os.strerror(int(told[1])) if told else None


@contextmanager
def staging(place: Path) -> Iterator[Path]:
    """A new folder beside `place`, removed after the block with what is left in it.  First what killed processes left
    there is removed.  Raises OSError."""
    for folder in left_behind(place):
        shutil.rmtree(folder, ignore_errors=True)
    folder, lock = _locked_folder(place)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked_folder(place: Path) -> tuple[Path, int | None]:
    """A new folder beside `place` and the lock on it; another one where it was taken for left behind before it was
    locked."""
    while True:
        folder = place.with_name(f"{_beginning(place)}{secrets.token_hex(4)}.tmp")
        folder.mkdir()
        lock = _lock(folder, wait=True)
        if lock is None or folder.exists():
            return folder, lock
        os.close(lock)


def _beginning(place: Path) -> str:
    return f".{os.fsencode(place.name)[:_NAMED].decode('utf-8', 'ignore')}."


def left_behind(place: Path, ending: str = "tmp") -> Iterator[Path]:
    """Folders for `place` whose processes have ended without removing them, each locked while it is looked at."""
    ours = re.compile(re.escape(_beginning(place)) + rf"[0-9a-f]{{8}}\.{ending}")
    for name in sorted(os.listdir(place.parent)):
        folder = place.with_name(name)
        if not ours.fullmatch(name) or folder.is_symlink():
            continue
        lock = _lock(folder)
        if lock is not None:
            try:
                yield folder
            finally:
                os.close(lock)


def _lock(folder: Path, *, wait: bool = False) -> int | None:
    """An open file that locks `folder` until it is closed or this process ends; None where another has the lock, or
    where the file system knows none."""
    if fcntl is None:
        return None
    opened = None
    try:
        opened = os.open(folder, os.O_RDONLY)
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        if opened is not None:
            os.close(opened)
        return None
    return opened


def lock_folder(folder: Path) -> int:
    """An open file that locks `folder` until it is closed here and in every process that it is handed on to; where the
    file system knows no locks, just open.  Raises BlockingIOError where another has the lock."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        if fcntl is not None:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(opened)
        raise
    except OSError:
        pass
    return opened


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` (UTF-8) whole or not at all; what UTF-8 cannot hold (of names that are no text) is escaped."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    return Path(path)


def regular_file(path: str | os.PathLike[str], what: str, error: type[GossamerError]) -> Path:
    """`path`, once it is clear that it names a file that can be opened and ends: no folder, pipe or device, which is
    not waited for either.

    what: the file's part in the message, such as "model file".  Raises `error`."""
    name = _shortened(path)
    try:
        found = Path(path)
        mode = found.stat().st_mode
        if stat.S_ISREG(mode):
            found.open("rb").close()
    except (TypeError, ValueError) as problem:  # no path at all; a NUL or what no file system can spell
        raise error(f"{what}: {name!r} cannot be the name of a file; give another.") from problem
    except OSError as problem:
        if problem.errno in (errno.ENOENT, errno.ENOTDIR):
            raise error(f"{name}: there is no such {what}; check the path.") from problem
        raise error(f"{name}: it cannot be opened ({_reason(problem)}); check the name of the {what}.") from problem
    if stat.S_ISDIR(mode):
        raise error(f"{name}: it is a folder; give the name of the {what} in it.")
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
        raise error(f"{name}: it is {kind}, and only regular files are read; copy it to a file.")
    return found


def _shortened(path: str | os.PathLike[str]) -> str:
    """A name as it stands in a message."""
    name = str(path)
    return name if len(name) <= 300 else f"{name[:100]}...{name[-17:]}"


def read_text(path: str | os.PathLike[str], what: str, error: type[GossamerError]) -> str:
    """The text (UTF-8, with or without a byte-order mark) of a file; `what` and `error` as in `regular_file`."""
    file = regular_file(path, what, error)
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise error(f"{path}: it cannot be opened ({_reason(problem)}); check the {what}.") from problem
    except UnicodeDecodeError as problem:
        raise error(f"{path}: it is no text in UTF-8; check that it is the {what}.") from problem


def read_json(path: str | os.PathLike[str], what: str, error: type[GossamerError]) -> Any:
    """The JSON value in a file; `what` and `error` as in `regular_file`."""
    text = read_text(path, what, error)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as problem:
        said = " ".join(str(problem).split())[:120]
        raise error(
            f"{path}: it is not JSON, or it is truncated ({said}); correct it, or give the {what}."
        ) from problem
    if not is_shallow(value):
        raise error(f"{path}: its lists lie in each other more than {DEPTH} deep; correct it, or give the {what}.")
    return value


def is_shallow(value: Any) -> bool:
    """Whether lists and objects of a JSON value lie in each other at most DEPTH deep, so that any code can walk it."""
    level = [value]
    for _ in range(DEPTH):
        inside = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)]
        level = [v for values in inside for v in values if isinstance(v, dict | list)]
    return not level


def _reason(problem: OSError) -> str:
    return (problem.strerror or "unreadable").lower()
