"""HDF5 data sets with one group of arrays for each molecule: SPICE, ANI, QM7-X, Transition1x and their like.

Needs h5py (`pip install gossamer[hdf5]`).  Links to other files are not followed, and arrays are no larger than what
is stored for them allows.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from gossamer.data.formats.arrays import NUMBERS, POSITIONS, read_arrays
from gossamer.data.formats.files import bounded
from gossamer.data.formats.raw import Options, Raw
from gossamer.errors import DataError, UsageError

_MAGIC = b"\x89HDF\r\n\x1a\n"
_DEEP, _MANY, _NAMED = 8, 1000, 5  # groups within groups; groups looked at; groups named in a message


def recognised(path: Path) -> bool:
    """Whether a file begins as HDF5 does."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read(path: Path, options: Options) -> Raw:
    """The data set of the one molecule in the file, or of that whose group a key names ("aspirin/conformations").
    Raises DataError when it is damaged or h5py is missing, UsageError when there are several molecules."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            name, options = _group(h5py, path, file, options)
            return read_arrays(Group(h5py, str(path), file[name]), options, name.strip("/") or path.stem)
    except (DataError, UsageError):
        raise
    except Exception as error:  # HDF5 reports damage by whatever exception is nearest
        why = str(error).split("\n")[0][:100].rstrip(". ") or type(error).__name__
        raise DataError(f"{path}: cannot be read as HDF5 ({why}); copy or write it again.") from error


class Group:
    """The arrays of one HDF5 group, as gossamer.data.formats.arrays wants them."""

    def __init__(self, h5py: ModuleType, source: str, group: Any) -> None:
        self.source = source
        self._group = group
        self._arrays = {name: item for name, item in _members(h5py, group) if isinstance(item, h5py.Dataset)}
        self.names = list(self._arrays)
        self._attributes = dict(group.file.attrs) | dict(group.attrs)
        self.texts = [*self.names, *self._attributes]

    def get(self, name: str) -> np.ndarray:
        """One array; strings as str.  Raises DataError when it is of another file, or declares too much."""
        data = self._arrays[name]
        if data.is_virtual or data.external:
            raise DataError(f"{self.source}: array '{name}' stands in another file; write it into this one.")
        bounded(f"{self.source}: array '{name}'", data.nbytes, data.id.get_storage_size() + data.size // 1000)
        values = data.asstr()[()] if data.dtype.kind in "OS" else data[()]
        return np.asarray(values)

    def numeric(self, name: str) -> np.ndarray:
        """One array of numbers.  Raises DataError when it holds anything else."""
        if self._arrays[name].dtype.kind not in "fiu":
            kind = self._arrays[name].dtype
            raise DataError(f"{self.source}: array '{name}' holds {kind} and not numbers; write the file again.")
        return self.get(name)

    def text(self, name: str) -> str:
        """A string, from an array of one or an attribute of the group or the file; "" when there is none."""
        if name in self._arrays and self._arrays[name].size == 1 and self._arrays[name].dtype.kind in "OS":
            return str(self.get(name).item())
        return _string(self._attributes.get(name))

    def unit(self, name: str) -> str | None:
        """The unit that an attribute of the array says."""
        attributes = self._arrays[name].attrs
        said = (_string(attributes.get(key)) for key in ("units", "unit", "Units", "Unit"))
        return next(filter(None, said), None)


def require_library(path: Path) -> None:
    """Raise DataError when h5py is not installed."""
    from importlib.util import find_spec

    if find_spec("h5py") is None:
        raise DataError(f"{path}: reading HDF5 needs h5py, which is not installed; run pip install 'gossamer[hdf5]'.")


def _members(h5py: ModuleType, group: Any) -> Iterator[tuple[str, Any]]:
    """What stands in a group itself; links to other places are passed over."""
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            yield name, group[name]


def _group(h5py: ModuleType, path: Path, file: Any, options: Options) -> tuple[str, Options]:
    """The group to read, and the options with their keys relative to it."""
    fields = ("positions_key", "numbers_key", "energy_key", "forces_key", "gradients_key")
    keys = {field: key for field in fields if (key := getattr(options, field)) is not None}
    named = {key.rpartition("/")[0].strip("/") for key in keys.values() if "/" in key.strip("/")}
    if len(named) > 1:
        raise UsageError(f"{path}: its arrays are to be of one group, not of {', '.join(sorted(named))}; name one.")
    if named:
        group = named.pop()
        if not isinstance(file.get(group), h5py.Group):
            raise UsageError(f"{path}: it has no group '{group}'; it has {_some(list(file))}.")
        return group, replace(options, **{field: key.rpartition("/")[2] for field, key in keys.items()})
    groups = list(_molecules(h5py, file, "/", 0, keys.get("positions_key"), keys.get("numbers_key")))
    if not groups:
        raise DataError(
            f"{path}: no group of it holds atomic numbers and positions under a name that is known; "
            "name them with --positions-key GROUP/ARRAY and --numbers-key GROUP/ARRAY."
        )
    if len(groups) > 1:
        names = _some([group.strip("/") for group in groups])
        raise UsageError(
            f"{path}: it holds several molecules ({names}); name one with --positions-key GROUP/ARRAY, "
            f"for example {groups[0].strip('/')}/{_known(list(file[groups[0]]), POSITIONS.known) or 'positions'}."
        )
    return groups[0], options


def _molecules(
    h5py: ModuleType, group: Any, name: str, depth: int, position: str | None, number: str | None
) -> Iterator[str]:
    """The groups that hold positions and atomic numbers."""
    members = dict(islice(_members(h5py, group), _MANY))
    arrays = [member for member, item in members.items() if isinstance(item, h5py.Dataset)]
    if (position in arrays or _known(arrays, POSITIONS.known)) and (number in arrays or _known(arrays, NUMBERS.known)):
        yield name
    elif depth < _DEEP:
        for member, item in members.items():
            if isinstance(item, h5py.Group):
                yield from _molecules(h5py, item, f"{name.rstrip('/')}/{member}", depth + 1, position, number)


def _known(names: list[str], known: tuple[str, ...]) -> str:
    lower = {word.lower() for word in known}
    return next((name for name in names if name.lower() in lower), "")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _string(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""
