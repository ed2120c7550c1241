"""Files are looked at before they are read."""

import os
import stat
from pathlib import Path

from gossamer.errors import DataError

_SURPRISING = 200  # times that data larger than _SMALL are packed: real structures pack to a half or a tenth
_SMALL = 1 << 26


def existing(path: str | os.PathLike[str]) -> Path:
    """`path` as a readable, non-empty, regular file.  Raises DataError when it is anything else."""
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror or error}); check the name.") from error
    except ValueError as error:  # a NUL in the name
        raise DataError(f"{str(path)!r}: this cannot be the name of a file; check the name.") from error
    if stat.S_ISDIR(mode):
        raise DataError(f"{path}: this is a folder; name one of the files in it.")
    if not stat.S_ISREG(mode):
        raise DataError(f"{path}: this is a pipe or a device and no file; write its contents to a file first.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror or error}); check the name.") from error
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
