"""The exceptions Gossamer raises.  Each message is one sentence for the user that names the argument, the value it
had and the remedy; the command line prints it and exits with the class's code."""


class GossamerError(Exception):
    """Base of every error a user can cause or meet; `exit_code` is what the command line returns.  Names and words from
    files stand in a message in printable characters, on one line."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__("".join(map(_printable, message)))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else ascii(character)[1:-1]


class UsageError(GossamerError):
    """An argument or option has a value that cannot be used."""

    exit_code = 2


class NotRegisteredError(UsageError):
    """A kernel or feature by a name under which no class is registered."""


class DataError(GossamerError):
    """A data set cannot be read, or its contents cannot be used."""


class LabelWarning(UserWarning):
    """Labels, or structures, that can be used but should be looked at."""


class UnitsError(UsageError):
    """A unit is unknown, or missing where it cannot be guessed."""


class ModelFileError(GossamerError):
    """A model file is truncated, foreign, or of an unknown version."""


class MemoryBudgetError(GossamerError):
    """The work does not fit in the memory it was given."""


class FitError(GossamerError):
    """Training failed for a numerical reason."""


class OutputError(GossamerError):
    """A file cannot be written where it was asked for."""


class RankLostError(GossamerError):
    """Another of the processes that train together has ended, or does not answer."""


class SimulationError(GossamerError):
    """A relaxation or a trajectory cannot go on, or did not get where it was to get."""


class ExtrapolationError(GossamerError):
    """A run was to stop where a structure leaves what its model was trained on, and one did."""


class ExtrapolationWarning(UserWarning):
    """A model is asked about structures that its training structures say nothing about."""
