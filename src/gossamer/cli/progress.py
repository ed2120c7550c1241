"""Events from the library as bars with the time left, or as lines where there is no terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from gossamer.cli.outputs import console, say
from gossamer.cli.stages import COMPILING, INNER, OUTER, describe, stage_name
from gossamer.events import Event, Progress, silent

if TYPE_CHECKING:
    from rich.console import Console

LINE_EVERY = 10.0  # seconds between lines within a stage


@contextmanager
def showing(quiet: bool) -> Iterator[Progress]:
    """A Progress that shows events on standard error while the block runs."""
    if quiet:
        yield silent
        return
    from gossamer.cli.compiling import telling

    with _shown(console(stderr=True)) as show, telling(show) as progress:
        yield progress


def _shown(target: "Console") -> AbstractContextManager[Progress]:
    """Bars where there is a terminal, else lines."""
    if target.is_terminal and not target.is_dumb_terminal:
        from gossamer.cli.bars import bars

        return bars(target)
    return nullcontext(Lines(lambda text: say([text], stderr=True)))


class Lines:
    """One line per change of stage, one when something is compiled for the first time, and at least LINE_EVERY seconds
    between lines within a stage.

    While whole fits are counted (OUTER), their inner stages are no changes."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._began = clock()
        self._stage, self._last = "", self._began
        self._first = (self._began, 0.0)  # when the stage was first heard of, and how far it was then
        self._nested = self._compiled = False

    def __call__(self, event: Event) -> None:
        now = self._clock()
        self._nested = event.stage == OUTER or (self._nested and event.stage in INNER)
        changed = event.stage == OUTER or (event.stage != self._stage and not self._nested)
        news = event.message == COMPILING and not self._compiled
        self._compiled |= news
        if not changed and not news and now - self._last < LINE_EVERY:
            return
        if changed:
            self._first = now, event.done
        self._stage, self._last = event.stage, now
        count = f" {event.done:.0f}/{event.total:.0f}" if event.total and event.total > 1 else ""
        said = ", ".join(part for part in (describe(event), self._left(event, now)) if part)
        self._write(f"[{now - self._began:5.0f} s] {stage_name(event)}{count}: {said}".rstrip(": "))

    def _left(self, event: Event, now: float) -> str:
        """How long the stage will still take at the pace it had so far; nothing where that cannot be told."""
        began, done = self._first
        if event.total is None or event.done <= done or event.done >= event.total:
            return ""
        from gossamer.reporting.words import duration  # with which NumPy comes, and --help is slow

        return f"{duration((event.total - event.done) * (now - began) / (event.done - done))} left"
