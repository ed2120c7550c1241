"""Events from the library as bars with the time left, or as lines where there is no terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gossamer.cli.outputs import console, say
from gossamer.events import Event, Progress, silent

OUTER = "reduce"  # the stage whose units are whole fits
INNER = ("search", "search noise", "precondition", "solve")  # the stages of one fit
LINE_EVERY = 10.0  # seconds between lines within a stage

_NAMES = {
    "symmetry": "symmetry", "learn": "learning weights", "search": "search for length and noise",
    "search noise": "noise search", "precondition": "preconditioner", "solve": "solving", "score": "scoring pairs",
    "reduce": "reducing", "test": "testing", "report": "writing report",
}  # fmt: skip
_VALUES = {"residual": "residual", "valid": "validation", "held out": "held out"}  # eV/Angstrom


@contextmanager
def showing(quiet: bool) -> Iterator[Progress]:
    """A Progress that shows events on standard error while the block runs."""
    target = console(stderr=True)
    if quiet:
        yield silent
    elif target.is_terminal and not target.is_dumb_terminal:
        from gossamer.cli.bars import bars

        with bars(target) as show:
            yield show
    else:
        yield Lines(lambda text: say([text], stderr=True))


def describe(event: Event) -> str:
    """Message and values of an event: "residual 12.3, validation 45.1 meV/Å, iteration 40"."""
    values = [f"{name} {1000 * event.values[key]:.3g}" for key, name in _VALUES.items() if key in event.values]
    units = " meV/Å" if values else ""
    counted = [f"iteration {event.done:.0f}"] if event.stage == "solve" and event.total is None else []
    message = [event.message] if event.message and not counted else []
    return ", ".join([*message, *([", ".join(values) + units] if values else []), *counted])


def stage_name(event: Event) -> str:
    """The stage in words."""
    return _NAMES.get(event.stage, event.stage)


class Lines:
    """One line per change of stage, and at least LINE_EVERY seconds between lines within a stage.

    While whole fits are counted (OUTER), their inner stages are no changes."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._began = clock()
        self._stage, self._last = "", self._began
        self._nested = False

    def __call__(self, event: Event) -> None:
        now = self._clock()
        self._nested = event.stage == OUTER or (self._nested and event.stage in INNER)
        changed = event.stage == OUTER or (event.stage != self._stage and not self._nested)
        if not changed and now - self._last < LINE_EVERY:
            return
        self._stage, self._last = event.stage, now
        count = f" {event.done:.0f}/{event.total:.0f}" if event.total and event.total > 1 else ""
        self._write(f"[{now - self._began:5.0f} s] {stage_name(event)}{count}: {describe(event)}".rstrip(": "))
