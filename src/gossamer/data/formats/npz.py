"""The arrays of an npz file, believed no further than its bytes go.

numpy allocates what a header declares and zipfile raises half a dozen kinds of errors, so the headers are read here:
nothing is unpickled, and what an array declares is compared with what the file can hold before it is read.
"""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from gossamer.data.formats.files import bounded
from gossamer.errors import DataError

_PACKED = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}  # bytes that one byte of the file can become, at most
_TEXT = 1 << 16  # bytes of a string field


class NpzFile:
    """The arrays of one npz file, each read when asked for.  `names`: as they stand in the file.
    Raises DataError when it is no npz, damaged, or declares more than it holds."""

    def __init__(self, path: Path, kind: str = "npz") -> None:
        self.path, self.source = path, str(path)
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        except Exception as error:  # a damaged archive makes zipfile raise whatever its parsing meets
            why = f"not a readable {kind} file (truncated, or of another kind)"
            raise DataError(f"{path}: {why}; copy or write it again.") from error
        self.names = self.texts = list(self._members)

    def get(self, name: str) -> np.ndarray:
        """One array.  Raises DataError when it is damaged, too large, or would have to be unpickled."""
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self._members[name]) as stream:
                return self._array(name, stream)
        except DataError:
            raise
        except Exception as error:
            raise self._damaged(name) from error

    def numeric(self, name: str) -> np.ndarray:
        """One array of numbers.  Raises DataError when it holds anything else."""
        array = self.get(name)
        if array.dtype.kind not in "fiu":
            raise DataError(f"{self.path}: array '{name}' holds {array.dtype} and not numbers; write the file again.")
        return array

    def text(self, name: str) -> str:
        """A string field; "" when it is missing, no single string, or would have to be unpickled."""
        info = self._members.get(name)
        if info is None or info.file_size > _TEXT:
            return ""
        try:
            value = self.get(name)
        except DataError:
            return ""
        item = value.item() if value.size == 1 and value.dtype.kind in "USfiub" else ""
        return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)

    def unit(self, name: str) -> str | None:
        """The unit that stands beside an array: npz has no such place."""
        return None

    def _array(self, name: str, stream: IO[bytes]) -> np.ndarray:
        """The array that `stream` holds, after its size has been compared with the file's."""
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read_header[version](stream)
        if dtype.hasobject:
            why = "is stored as a pickle, which is never opened"
            raise DataError(f"{self.path}: array '{name}' {why}; write the file again with plain arrays.")
        count = math.prod(shape)
        self._require_held(name, count * dtype.itemsize)
        data = stream.read(count * dtype.itemsize)
        return np.frombuffer(data, dtype, count).reshape(shape, order="F" if fortran else "C")

    def _require_held(self, name: str, size: int) -> None:
        info = self._members[name]
        packed, ratio = min(info.compress_size, self.path.stat().st_size), _PACKED.get(info.compress_type, 0)
        if not 0 <= size <= min(info.file_size, packed * ratio):
            raise self._damaged(name)
        bounded(f"{self.path}: array '{name}'", size, packed)

    def _damaged(self, name: str) -> DataError:
        return DataError(f"{self.path}: array '{name}' is damaged; write the file again with plain arrays.")
