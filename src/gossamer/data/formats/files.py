"""Files are looked at before they are read."""

import os
from pathlib import Path

from gossamer.errors import DataError
from gossamer.files import regular_file

_SURPRISING = 200  # times that data larger than _SMALL are packed: real structures pack to a half or a tenth
_SMALL = 1 << 26


def existing(path: str | os.PathLike[str]) -> Path:
    """`path` as a file that holds something.  Raises DataError when it is anything else."""
    file = regular_file(path, "data file", DataError)
    if file.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; it has to be written again.")
    return file


def bounded(what: str, size: int, packed: int) -> None:
    """Refuse data that would unpack from `packed` to `size` bytes as no structures do, or that do not fit in memory.
    Raises DataError."""
    import psutil

    if size > _SMALL and size > _SURPRISING * packed:
        raise DataError(f"{what} would grow from {packed:,} to {size:,} bytes, as no real data do; write it again.")
    if size > psutil.virtual_memory().available // 2:
        raise DataError(f"{what} takes {size:,} bytes, more than this machine has to spare; split the file.")
