"""The `gossamer` command: its verbs, and how it ends."""

import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from gossamer.cli.convert import convert
from gossamer.cli.dipoles import dipoles
from gossamer.cli.estimate import estimate
from gossamer.cli.export import export
from gossamer.cli.inspect import inspect
from gossamer.cli.md import md
from gossamer.cli.outputs import told_in_a_line
from gossamer.cli.predict import predict
from gossamer.cli.problems import RanksEnded, explain
from gossamer.cli.ranks import is_first
from gossamer.cli.reduce import reduce
from gossamer.cli.relax import relax
from gossamer.cli.report import report
from gossamer.cli.signals import ignore, listen
from gossamer.cli.streams import output_failure, plain, prepare
from gossamer.cli.test import test
from gossamer.cli.train import train
from gossamer.cli.vibrations import vibrations
from gossamer.version import __version__

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
for _verb in (
    inspect,
    convert,
    estimate,
    train,
    dipoles,
    reduce,
    test,
    predict,
    relax,
    vibrations,
    md,
    export,
    report,
):
    app.command()(_verb)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"gossamer {__version__}")
        raise typer.Exit


@app.callback()
def _gossamer(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GOSSAMER_DEBUG", help="Show where an error came from.")
    ] = False,
) -> None:
    """Kernel force fields for single molecules that find the few atom pairs the energy depends on.

    Start with: gossamer reduce DATA --train 200 --out DIR
    """


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; returns the exit code.  A failure is one sentence on standard error."""
    code = _carry_out(arguments)
    lost = output_failure()
    if lost is not None and code == 0:
        _complain(f"standard output: {lost.lower()}; not all was printed, but the files asked for are whole.")
        return 1
    return code


def _carry_out(arguments: Sequence[str]) -> int:
    debug = False
    try:
        command = typer.main.get_command(app)
        record = shlex.join(["gossamer", *arguments])
        made = command.make_context("gossamer", list(arguments) or ["--help"], obj=record)
        with told_in_a_line(), made as context:
            debug = bool(context.params.get("debug"))
            command.invoke(context)
        return 0
    except typer.Exit as end:
        return end.exit_code
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            print(*map(plain, "".join(traceback.format_exception(error)).splitlines()), sep="\n", file=sys.stderr)
        sentence, code = explain(error)
        if sentence and (is_first() or isinstance(error, RanksEnded)):
            _complain(sentence)
        return code


def _complain(sentence: str) -> None:
    print(plain(f"gossamer: {sentence}"), file=sys.stderr)


def main() -> None:
    """Entry point of the `gossamer` script."""
    listen()
    prepare()
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt as error:  # pressed again while the first was told
        code = explain(error).exit_code
    ignore()
    sys.exit(code)
