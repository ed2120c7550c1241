"""Writing files so that nothing half-written is ever left behind, and opening those that a user names."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gossamer.errors import GossamerError, OutputError

DEPTH = 50  # of lists in lists in a file of JSON


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it when the block succeeds and removed when it fails.

    Raises OutputError when the folder is missing or cannot be written."""
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path}: it is a folder; give the name of a file.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        with temporary.open("wb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
    except OSError as error:
        raise OutputError(f"{path}: it cannot be written ({error.strerror}); choose another place.") from error
    try:
        yield temporary
        os.chmod(temporary, mode)  # some writers make files that only their owner can read
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: writing failed ({error.strerror or error}); check space and rights.") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` (UTF-8) whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def regular_file(path: str | os.PathLike[str], what: str, error: type[GossamerError]) -> Path:
    """`path`, once it is clear that it names a file that ends: no folder, pipe or device.

    what: the file's part in the message, such as "model file".  Raises `error`."""
    try:
        found = Path(path)
        mode = found.stat().st_mode
    except (TypeError, ValueError) as problem:  # no path at all; a NUL or what no file system can spell
        raise error(f"{what}: {path!r} cannot be the name of a file; give another.") from problem
    except OSError as problem:
        if problem.errno in (errno.ENOENT, errno.ENOTDIR):
            raise error(f"{path}: there is no such {what}; check the path.") from problem
        raise error(f"{path}: it cannot be opened ({_reason(problem)}); check the name of the {what}.") from problem
    if stat.S_ISDIR(mode):
        raise error(f"{path}: it is a folder; give the name of the {what} in it.")
    if not stat.S_ISREG(mode):
        raise error(f"{path}: it is a pipe, socket or device, and only regular files are read; copy it to a file.")
    return found


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
