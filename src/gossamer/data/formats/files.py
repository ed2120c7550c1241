"""Files are looked at before they are read."""

import os
import stat
from pathlib import Path

from gossamer.errors import DataError

_SURPRISING = 200  # times that data larger than _SMALL are packed: real structures pack to a half or a tenth
_SMALL = 1 << 26
_NOT_FILES = (
    (stat.S_ISDIR, "this is a folder; name one of the files in it"),
    (stat.S_ISFIFO, "this is a pipe and no file; write its contents to a file and give that"),
    (stat.S_ISSOCK, "this is a socket and no file; give a file"),
    (stat.S_ISCHR, "this is a device and no file; give a file"),
    (stat.S_ISBLK, "this is a device and no file; give a file"),
)


def existing(path: str | os.PathLike[str]) -> Path:
    """`path` as a readable, non-empty file.  Raises DataError when it is anything else; a pipe is not waited for."""
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
        for is_kind, why in _NOT_FILES:
            if is_kind(mode):
                raise DataError(f"{path}: {why}.")
        with path.open("rb") as file:
            empty = not file.read(1)
    except (OSError, ValueError) as error:
        why = str(getattr(error, "strerror", None) or error)
        raise DataError(f"{_printable(path)}: cannot be opened ({why}); check the name.") from error
    if empty:
        raise DataError(f"{path}: the file is empty; it has to be written again.")
    return path


def bounded(what: str, size: int, packed: int) -> None:
    """Refuse data that would unpack from `packed` to `size` bytes as no structures do, or that do not fit in memory.
    Raises DataError."""
    import psutil

    if size > _SMALL and size > _SURPRISING * packed:
        raise DataError(f"{what} would grow from {packed:,} to {size:,} bytes, as no real data do; write it again.")
    if size > psutil.virtual_memory().available // 2:
        raise DataError(f"{what} takes {size:,} bytes, more than this machine has to spare; split the file.")


def _printable(path: Path) -> str:
    """A name, short and in printable characters."""
    name = str(path)
    name = name if len(name) <= 120 else f"{name[:100]}...{name[-17:]}"
    return name if name.isprintable() else ascii(name)
