"""Arrays out of an npz file that anyone may have written: nothing unpickled, nothing larger than the file can hold."""

import io
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from gossamer.errors import ModelFileError

INFLATED = 100  # times the file's size that its arrays may take, more than zip gains on numbers
ALWAYS = 2**26  # bytes that they may take in any case


def read_members(path: Path, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """Those of the arrays `wanted` that the file holds.  Raises ModelFileError when the file is damaged, and when an
    array among them is pickled or declares another size than it has."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            chosen = {name: inside[name] for name in wanted if name in inside}
            if sum(info.file_size for info in chosen.values()) > max(ALWAYS, INFLATED * path.stat().st_size):
                raise ValueError("it would inflate to more than it can hold")
            return {name: _array(archive.read(info), name) for name, info in chosen.items()}
    except Exception as error:  # whatever zipfile, zlib and numpy say of bytes that are no such file
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise ModelFileError(f"{path}: the file is truncated or damaged ({said}); copy it again.") from error


def _array(content: bytes, name: str) -> np.ndarray:
    """The array in the bytes of an npy file."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"array {name!r} has the format {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError(f"array {name!r} is a pickle, which is never opened")
    count = 1
    for n in shape:
        count *= n
    sizeless = dtype.itemsize == 0 and count > 1  # an empty text takes no bytes, and neither would a million
    if sizeless or any(n < 0 for n in shape) or count * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"array {name!r} declares another size than it has")
    flat = np.frombuffer(content, dtype, count, stream.tell()) if count and dtype.itemsize else np.zeros(count, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()  # what is in `content` cannot be written to
