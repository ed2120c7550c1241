"""Progress: the library tells, the caller shows.  Only `cli/` prints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """Something happened.  `stage` names the work ("solve", "score"), `done` of `total` units of it are finished
    (`total` None: unknown), `message` is text for a person, `values` holds numbers (e.g. {"residual": 0.003})."""

    stage: str
    done: float = 0.0
    total: float | None = None
    message: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


Progress = Callable[[Event], None]


def silent(event: Event) -> None:
    """A Progress that drops every event."""
