"""Writing files so that nothing half-written is ever left behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gossamer.errors import OutputError


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
