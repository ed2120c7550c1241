"""Where results go: files that are known to be writable before the work begins, and text on standard output."""

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gossamer.errors import ExtrapolationWarning, OutputError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

RESULTS = ("model.gossamer", "full.gossamer", "record.json", "report.html")


def writable(path: Path, *taken: Path, option: str = "--out") -> Path:
    """`path`, once it is clear that a file can be written there and that it is none of the files in use.
    Raises OutputError or UsageError."""
    if path.is_dir():
        raise OutputError(f"{option}: {path} is a folder; give the name of a file.")
    if path.resolve() in [other.resolve() for other in taken]:
        raise UsageError(f"{option}: {path} is used by this command already, and would be lost; give another name.")
    with _writing(path, option), tempfile.TemporaryFile(dir=path.parent):
        return path


@contextmanager
def _writing(path: Path, option: str) -> Iterator[None]:
    """An OutputError that names the option and the path where the system lets nothing be written."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{option}: {path} cannot be written ({error.strerror}); choose another place.") from error


def writable_folder(path: Path) -> Path:
    """`path`, made absolute, once it is clear that results can be written there.  Raises UsageError when it holds
    anything else than results of an earlier run, OutputError when it cannot be written."""
    path = path.resolve()
    if path.exists() and not path.is_dir():
        raise UsageError(f"--out: {path} is a file; give the name of a folder.")
    foreign = sorted(set(os.listdir(path)) - set(RESULTS)) if path.exists() else []
    if foreign:
        raise UsageError(f"--out: {path} holds other files ({foreign[0]!r}); give a new or an empty folder.")
    with _writing(path, "--out"), tempfile.TemporaryFile(dir=path if path.exists() else path.parent):
        return path


@contextmanager
def results_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, a `writable_folder`.  When the block succeeds its files move to `path`, over
    results of an earlier run; when it fails nothing is left of them.  Raises OutputError when they cannot be written.
    """
    with _writing(path, "--out"):
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield staging
        with _writing(path, "--out"):
            path.mkdir(exist_ok=True)
            for file in sorted(staging.iterdir()):
                os.replace(file, path / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def console(*, stderr: bool = False) -> "Console":
    """A place to print.  Where there is no terminal, lines are not cut."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, soft_wrap=True, width=160)


def print_json(value: Any) -> None:
    """A result for programs, on standard output."""
    print(json.dumps(value, indent=2))


@contextmanager
def told_in_a_line() -> Iterator[None]:
    """Our own warnings in the block go to standard error, a line each; others as Python shows them."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
        if issubclass(category, ExtrapolationWarning):
            console(stderr=True).print(f"gossamer: warning: {message}", markup=False)
        else:
            usual(message, category, *where, **options)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
