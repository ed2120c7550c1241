"""`gossamer report`: the page of a record."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gossamer.cli import options as o
from gossamer.cli.outputs import console, print_json, writable
from gossamer.errors import DataError
from gossamer.files import read_json


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
        console().print(f"report: {page}", markup=False)


def _read(path: Path) -> dict[str, Any]:
    """A record.  Raises DataError when the file is none."""
    found = read_json(path, "record.json of a run", DataError)
    if not isinstance(found, dict):
        raise DataError(f"{path}: it is JSON, but no record; give the record.json of a run.")
    return found
