"""Where results go: files that are known to be writable before the work begins, and text on standard output."""

import json
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gossamer.cli.streams import plain
from gossamer.errors import ExtrapolationWarning, LabelWarning, OutputError, UsageError

if TYPE_CHECKING:
    from rich.console import Console


def writable(path: Path, *taken: Path, option: str = "--out") -> Path:
    """`path`, once it is clear that a file can be written there and that it is none of the files in use.
    Raises OutputError or UsageError."""
    from gossamer.files import place_of, staging, written

    try:
        place = place_of(path)
        if any(str(place) == os.path.realpath(other) for other in taken):
            raise UsageError(f"{path} is used by this command already, and would be lost; give another name.")
        with written(path), staging(place) as folder:
            (folder / place.name).touch()
    except (OutputError, UsageError) as error:
        raise type(error)(f"{option}: {error}") from error
    return path


def writable_data(path: Path, *taken: Path, option: str = "--out", **in_units: str) -> Path:
    """As `writable`, for a data set of these units, which its format must be able to hold."""
    from gossamer.data.formats import check_writable

    writable(path, *taken, option=option)
    try:
        check_writable(path, **in_units)
    except UsageError as error:
        raise type(error)(f"{option}: {error}") from error
    return path


def console(*, stderr: bool = False) -> "Console":
    """A place to print.  Where there is no terminal, lines are not cut."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, soft_wrap=True, width=160)


def say(lines: Iterable[str], *, stderr: bool = False) -> None:
    """Print lines, each of which stays one whatever names from files hold."""
    console(stderr=stderr).print("\n".join(map(plain, lines)), markup=False)


def print_json(value: Any) -> None:
    """A result for programs, on standard output."""
    print(json.dumps(value, indent=2).replace("\x7f", r"\u007f"))  # the one control character that JSON lets through


@contextmanager
def told_in_a_line() -> Iterator[None]:
    """Our own warnings in the block go to standard error, a line each; those of others are for who writes programs."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
        say([f"gossamer: warning: {message}"], stderr=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for ours in (ExtrapolationWarning, LabelWarning):
            warnings.simplefilter("always", ours)
        warnings.showwarning = show
        yield
