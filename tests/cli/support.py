"""What the tests of the command line share besides fixtures."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

TRAIN = "--train 30 --valid 10 --length 20 --symmetry none --terms global --quiet"


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[[str], Outcome]


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, hidden ones too, with the bytes of files."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}
