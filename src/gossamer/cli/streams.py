"""Standard output and error as they are found: closed, full, without a reader, or of few letters."""

import codecs
import errno
import io
import os
import re
import sys
from typing import TextIO

_LOST = (errno.EPIPE, errno.EBADF, errno.EIO)  # no reader, closed, its terminal gone: nobody wants to know
_IN_ASCII = {"Å": "A", "≥": ">=", "≤": "<=", "←": "<-", "×": "x", "±": "+-", "²": "2", "·": ".", "…": "...", "─": "-",
             "━": "-", "–": "-", "—": "-", "α": "alpha", "β": "beta", "γ": "gamma"}  # fmt: skip
_RAW = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)  # what moves or colours instead of being seen: controls, directions of writing, and halves of letters


def plain(text: str) -> str:
    """One line that a terminal shows as it is: control characters, which names of files can hold, are escaped."""
    return _RAW.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


class _Stream(io.FileIO):
    """A stream whose loss is no failure.  failed: what else the system said; nothing is written after that."""

    failed: OSError | None = None

    def write(self, data) -> int:
        size = memoryview(data).nbytes
        if self.failed is not None:
            return size
        try:
            return super().write(data) or 0
        except BlockingIOError:
            raise
        except OSError as error:
            self.failed = error
            return size


def prepare() -> None:
    """Make standard output and error fit for whatever is printed, before anything is.  Streams that are closed go to
    the null device, so that no file that is opened gets their number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    codecs.register_error("gossamer", _in_ascii)
    sys.stdout = _lenient(1, sys.stdout)
    sys.stderr = _lenient(2, sys.stderr)


def _lenient(number: int, old: TextIO | None) -> TextIO:
    if old is not None:
        old.flush()
    encoding = getattr(old, "encoding", None) or "utf-8"
    buffered = io.BufferedWriter(_Stream(number, "w", closefd=False))
    alive = number == 2 or os.isatty(number)
    return io.TextIOWrapper(buffered, encoding, "gossamer", line_buffering=alive, write_through=number == 2)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """The nearest that an encoding has for a letter it lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    near = "".join(_IN_ASCII.get(c) or c.encode("unicode_escape").decode("ascii") for c in letters)
    return near, error.end


def output_failure() -> str | None:
    """Why the rest of standard output could not be written, None where it was written or nobody waits for it."""
    try:
        sys.stdout.flush()
    except OSError as error:
        failed: OSError | None = error
    else:
        raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
        failed = raw.failed if isinstance(raw, _Stream) else None
    return None if failed is None or failed.errno in _LOST else failed.strerror
