"""`gossamer report`: the page of a record."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gossamer.cli import options as o
from gossamer.cli.outputs import print_json, say, writable
from gossamer.errors import DataError


def report(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="A record.json of reduce or train.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Page to write; by default report.html beside RECORD.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Write the pictures and tables of RECORD as one HTML page that needs no network.

    Example: gossamer report out/record.json --out report.html
    """
    import gossamer as gs

    page = writable(out or record.with_name("report.html"), record)
    gs.report(_read(record), page)
    if as_json:
        print_json({"report": str(page)})
    else:
        say([f"report: {page}"])


def _read(path: Path) -> dict[str, Any]:
    """A record.  Raises DataError when the file is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: it cannot be opened ({error.strerror}); check the name.") from error
    except ValueError as error:
        raise DataError(f"{path}: it is not JSON, or it is truncated; give the record.json of a run.") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: it is JSON, but no record; give the record.json of a run.")
    return found
