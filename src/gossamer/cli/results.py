"""Results of `reduce`, in a folder, and of `train`, in several files: they are those of one run, however it ends."""

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gossamer.errors import OutputError, UsageError
from gossamer.files import atomic_path, left_behind, place_of, staging, written

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
        _finish(path, _inside(path))
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
            _finish(path, _inside(path))
            folder = stack.enter_context(staging(path))
        yield folder
        with written(f"--out: {path}"):
            _publish(folder, path)


@contextmanager
def results_together(files: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Temporary files, by the same names, for `files`, of which the first is the main one.  When the block succeeds all
    of them take their places, so that none stands beside one of an earlier run; when it fails nothing is left.  Raises
    OutputError when they cannot be written."""
    main = next(iter(files.values()))
    with written(main), staging(place_of(main)) as folder:
        yield {name: folder / name for name in files}
        places = {name: place_of(path) for name, path in files.items()}
        for name, place in places.items():
            if place.exists():
                shutil.copymode(place, folder / name)
        _arrive(folder, places)


def finish_together(files: Mapping[str, Path]) -> None:
    """Go on where a process was killed while its results were on their way to `files`.  Raises OutputError."""
    main = next(iter(files.values()))
    with written(main):
        _finish(place_of(main), {name: place_of(path) for name, path in files.items()})


def _publish(folder: Path, path: Path) -> None:
    """Let `folder` take the place of `path`: in one step, where the system can, and where nobody stands in `path` or
    has put something there meanwhile."""
    if not path.exists():
        os.rename(folder, path)
        return
    shutil.copymode(path, folder)
    if _foreign(path) or _stands_in(path) or not _exchange(folder, path):
        _arrive(folder, _inside(path))


def _inside(path: Path) -> dict[str, Path]:
    """Where the results come to stand in a folder."""
    return {name: path / name for name in RESULTS}


def _stands_in(path: Path) -> bool:
    """Whether the folder is this process's, and most likely its shell's, current one."""
    try:
        return os.path.samefile(path, os.getcwd())
    except OSError:
        return False


def _arrive(folder: Path, places: Mapping[str, Path]) -> None:
    """Move complete results from `folder` to their places, so that after a kill `_finish` can go on."""
    ready = folder.with_suffix(f".{ARRIVING}")
    os.rename(folder, ready)
    _move(ready, places)


def _finish(path: Path, places: Mapping[str, Path]) -> None:
    """Go on where a process was killed while its results were on their way from beside `path` to their places."""
    for ready in left_behind(path, ARRIVING):
        for place in places.values():
            place.parent.mkdir(exist_ok=True)
        _move(ready, places)


def _move(ready: Path, places: Mapping[str, Path]) -> None:
    """Move complete results to their places.  Those of before go first, so that there never are some of both."""
    main, *others = places
    if (ready / main).exists():  # none has moved yet
        for name in others:
            places[name].unlink(missing_ok=True)
    for name, place in places.items():
        if (ready / name).exists():
            _replace(ready / name, place)
    shutil.rmtree(ready)


def _replace(file: Path, place: Path) -> None:
    """As os.replace, to another file system too."""
    try:
        os.replace(file, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_path(place) as temporary:
            shutil.copy(file, temporary)
        file.unlink()


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    return rename is not None and rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0
