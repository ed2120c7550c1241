"""What a check says: a level, its name, one sentence, and the frames concerned."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """Result of one check.  frames: numbers in the source of the structures concerned, none where it concerns all."""

    level: Level
    check: str
    message: str
    frames: tuple[int, ...] = ()


def named(frames: np.ndarray) -> str:
    """ "3 frames (4, 17, 20)", with at most five numbers."""
    listed = ", ".join(map(str, frames[:5])) + (", ..." if len(frames) > 5 else "")
    return f"{len(frames)} frame{'s' if len(frames) != 1 else ''} ({listed})"


def concerning(level: Level, check: str, message: str, frames: np.ndarray) -> Finding:
    """A finding about some frames; {frames} in the message stands for their count and first numbers."""
    return Finding(level, check, message.format(frames=named(frames)), tuple(int(frame) for frame in frames))
