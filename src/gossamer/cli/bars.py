"""Progress bars for a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Rows
from rich.table import Column
from rich.text import Text

from gossamer.cli.stages import INNER, OUTER, describe, stage_name
from gossamer.cli.streams import plain
from gossamer.events import Event, Progress


class _Time(ProgressColumn):
    """Time left where it can be told, else time gone by."""

    def render(self, task: Task) -> Text:
        left = None if task.finished else task.time_remaining
        shown = timedelta(seconds=int((task.elapsed or 0) if left is None else left))
        return Text(f"{shown} {'left' if left is not None else '':<4}", style="progress.remaining")


@contextmanager
def bars(console: Console) -> Iterator[Progress]:
    """Two rows while the block runs: whole fits, where they are counted, and the stage under way."""
    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(12),
        _Time(),
        TextColumn("{task.fields[note]}", markup=False, table_column=rest),
    )
    with Rows(*columns, console=console, transient=True, expand=True) as rows:
        tasks: dict[str, TaskID] = {}

        def show(event: Event) -> None:
            kept = (event.stage, OUTER) if event.stage in INNER else (event.stage,)
            for stage in [stage for stage in tasks if stage not in kept]:
                rows.remove_task(tasks.pop(stage))
            if event.stage not in tasks:
                tasks[event.stage] = rows.add_task(stage_name(event), total=event.total, note="")
            rows.update(tasks[event.stage], completed=event.done, total=event.total, note=plain(describe(event)))

        yield show
