"""Events from the library in words."""

from gossamer.events import Event

COMPILING = "compiling (first run only)"  # the message while numba does
OUTER = "reduce"  # the stage whose units are whole fits
INNER = ("search", "search noise", "precondition", "solve")  # the stages of one fit

_NAMES = {
    "symmetry": "symmetry", "learn": "learning weights", "search": "search for length and noise",
    "search noise": "noise search", "precondition": "preconditioner", "solve": "solving", "score": "scoring pairs",
    "reduce": "reducing", "condense": "representatives", "error bars": "error bars", "test": "testing",
    "report": "writing report", "estimate": "measuring", "relax": "relaxing", "vibrations": "vibrations",
    "md": "dynamics", "dipoles": "dipoles",
}  # fmt: skip
_VALUES = {
    "residual": "residual",
    "valid": "validation",
    "held out": "held out",
    "largest": "largest force",
}  # eV/Angstrom
_PLAIN = {"temperature": "{:.0f} K", "energy": "{:.4f} eV", "ns/day": "{:.3g} ns/day"}


def describe(event: Event) -> str:
    """Message and values of an event: "residual 12.3, validation 45.1 meV/Å, iteration 40"."""
    if event.message == COMPILING:
        return COMPILING
    values = [f"{name} {1000 * event.values[key]:.3g}" for key, name in _VALUES.items() if key in event.values]
    units = " meV/Å" if values else ""
    plain = [text.format(event.values[key]) for key, text in _PLAIN.items() if key in event.values]
    counted = [f"iteration {event.done:.0f}"] if event.stage == "solve" and event.total is None else []
    message = [event.message] if event.message and not counted else []
    return ", ".join([*message, *([", ".join(values) + units] if values else []), *plain, *counted])


def stage_name(event: Event) -> str:
    """The stage in words."""
    return _NAMES.get(event.stage, event.stage)
