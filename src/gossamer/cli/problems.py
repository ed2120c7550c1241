"""What went wrong, in one sentence, and the exit code that goes with it."""

from typing import NamedTuple

import typer

from gossamer.errors import GossamerError

INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C
_UsageError: type[Exception] = typer.BadParameter.__base__ or typer.BadParameter  # every wrong use of the command line


class Problem(NamedTuple):
    """A sentence for the user, "" where another rank says it, and the exit code."""

    sentence: str
    exit_code: int


class RanksEnded(Exception):
    """All ranks of a run end together; the sentence is told by one of them, whichever that is."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem


def explain(error: BaseException) -> Problem:
    """What to tell of any exception that ends a command."""
    if isinstance(error, RanksEnded):
        return error.problem
    if isinstance(error, GossamerError):
        return Problem(str(error), error.exit_code)
    if isinstance(error, _UsageError):
        return Problem(_usage(error), 2)
    if isinstance(error, KeyboardInterrupt):
        return Problem(str(error) or "interrupted; nothing half-written is left behind.", INTERRUPTED)
    if _out_of_memory(error):
        return Problem(
            "memory: this machine has too little; give a smaller budget with --memory, or use fewer structures.", 1
        )
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return Problem(f"{place}{error.strerror.lower()}; check the path, the space left and the rights.", 1)
    said = " ".join(str(error).split())
    name = f"{type(error).__name__}{f' ({said[:200]})' if said else ''}"
    return Problem(f"unexpected {name}; please report this bug with what `gossamer --debug ...` shows.", 1)


def _usage(error: Exception) -> str:
    """Typer's message as a sentence that says where help is."""
    message = str(getattr(error, "format_message", error.__str__)()).strip().rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "gossamer"
    return f"{message[:1].lower()}{message[1:]}; see `{command} --help`."


def _out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in Python, in numpy or in torch (which raises RuntimeError on a CPU)."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("can't allocate memory" in said or "out of memory" in said)
    )
