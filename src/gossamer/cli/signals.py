"""Ctrl-C, the end of a batch job and the loss of a terminal all interrupt a command, which then cleans up."""

import signal
import time
from types import FrameType

PATIENCE = 5.0  # seconds in which what was interrupted cleans up, and is not interrupted again

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_last = -PATIENCE


def listen() -> None:
    """Let these signals raise KeyboardInterrupt, but those that whoever started us wants ignored (as nohup does)."""
    for number in _numbers():
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def ignore() -> None:
    """The command has ended: nothing is left to interrupt."""
    for number in _numbers():
        signal.signal(number, signal.SIG_IGN)


def _numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _last
    now = time.monotonic()
    if now - _last >= PATIENCE:
        _last = now
        raise KeyboardInterrupt
