"""The folder of results of `reduce`: it holds those of one run, whole, however the run ends."""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gossamer.errors import OutputError, UsageError
from gossamer.files import left_behind, staging, written

RESULTS = ("model.gossamer", "full.gossamer", "record.json", "report.html")
ARRIVING = "new"  # the ending of a complete folder whose files are on their way into another
_EXCHANGE = 2  # RENAME_EXCHANGE of linux/fs.h
_HERE = -100  # AT_FDCWD


def writable_folder(path: Path) -> Path:
    """`path`, made absolute, once it is clear that results can be written there.  Raises UsageError when it holds
    anything else than results of an earlier run, OutputError when it cannot be written."""
    told = f"--out: {path}"
    with written(told):
        with suppress(FileNotFoundError):
            os.stat(path)  # says what is wrong with a loop of links, which `realpath` does not
        path = Path(os.path.realpath(path))
        if path.exists() and not path.is_dir():
            raise UsageError(f"{told} is a file; give the name of a folder.")
        _finish(path)
        foreign = _foreign(path)
        if foreign:
            raise UsageError(f"{told} holds other files ({foreign[0]!r}); give a new or an empty folder.")
        if path.exists() and not os.access(path, os.W_OK):
            raise OutputError(f"{told} is read-only; choose another place, or make it writable.")
        with staging(path):
            return path


def _foreign(path: Path) -> list[str]:
    """What stands in a folder beside results of an earlier run."""
    if not path.exists():
        return []
    with os.scandir(path) as found:
        return sorted(e.name for e in found if e.name not in RESULTS or not e.is_file(follow_symlinks=False))


@contextmanager
def results_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, a `writable_folder`.  When the block succeeds it takes the place of `path` and
    of the results of an earlier run there; when it fails nothing is left of it.  Raises OutputError when it cannot be
    written."""
    with ExitStack() as stack:
        with written(f"--out: {path}"):
            _finish(path)
            folder = stack.enter_context(staging(path))
        yield folder
        with written(f"--out: {path}"):
            _publish(folder, path)


def _publish(folder: Path, path: Path) -> None:
    """Let `folder` take the place of `path`: in one step, where the system can, and where nobody stands in `path` or
    has put something there meanwhile."""
    if not path.exists():
        os.rename(folder, path)
        return
    shutil.copymode(path, folder)
    if _foreign(path) or _stands_in(path) or not _exchange(folder, path):
        ready = folder.with_suffix(f".{ARRIVING}")
        os.rename(folder, ready)  # from here on `_finish` can go on, after a kill too
        _move(ready, path)


def _stands_in(path: Path) -> bool:
    """Whether the folder is this process's, and most likely its shell's, current one."""
    try:
        return os.path.samefile(path, os.getcwd())
    except OSError:
        return False


def _finish(path: Path) -> None:
    """Go on where a process was killed while its results were on their way into `path`."""
    for ready in left_behind(path, ARRIVING):
        path.mkdir(exist_ok=True)
        _move(ready, path)


def _move(ready: Path, path: Path) -> None:
    """Move complete results into `path`.  Those of before go first, so that there never are some of both."""
    if set(os.listdir(ready)) == set(RESULTS):  # none has moved yet
        for name in RESULTS:
            (path / name).unlink(missing_ok=True)
    for name in sorted(os.listdir(ready)):
        os.replace(ready / name, path / name)
    ready.rmdir()


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    return rename is not None and rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0
