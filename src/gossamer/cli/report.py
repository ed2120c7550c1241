"""`gossamer report`: the page of a record."""

from pathlib import Path
from typing import Annotated

import typer

from gossamer.cli import options as o
from gossamer.cli.outputs import print_json, say, writable


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
    gs.report(gs.read_record(record), page)
    if as_json:
        print_json({"report": str(page)})
    else:
        say([f"report: {page}"])
