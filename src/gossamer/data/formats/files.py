"""Files are looked at before they are read."""

import os
from pathlib import Path

from gossamer.errors import DataError


def existing(path: str | os.PathLike[str]) -> Path:
    """`path` as a readable, non-empty file.  Raises DataError when it is anything else."""
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; name one of the files in it.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror or error}); check the name.") from error
    if empty:
        raise DataError(f"{path}: the file is empty; it has to be written again.")
    return path
