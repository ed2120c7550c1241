"""Told in the line of progress: numba compiles what it does not find in its cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from numba.core import event as numba_events

from gossamer.cli.stages import COMPILING
from gossamer.events import Event, Progress


@contextmanager
def telling(show: Progress) -> Iterator[Progress]:
    """`show`, told besides, while the block runs, when numba begins to compile and when it is done."""
    teller = _Teller(show)
    with numba_events.install_listener("numba:compile", teller):
        yield teller.hear


class _Teller(numba_events.Listener):
    """numba holds its compiler lock while it tells, so that calls come one after another, nested where a function needs
    another."""

    def __init__(self, show: Progress) -> None:
        self._show, self._heard, self._depth = show, Event(""), 0

    def hear(self, event: Event) -> None:
        """An event of the library."""
        self._heard = event
        self._show(event)

    def on_start(self, event: numba_events.Event) -> None:
        self._depth += 1
        if self._depth == 1 and self._heard.stage:
            self._show(replace(self._heard, message=COMPILING, values={}))

    def on_end(self, event: numba_events.Event) -> None:
        self._depth -= 1
        if self._depth == 0 and self._heard.stage:
            self._show(self._heard)
