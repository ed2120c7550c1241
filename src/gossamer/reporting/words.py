"""Numbers and names as a reader likes them."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gossamer import units
from gossamer.reporting.markup import element
from gossamer.reporting.reading import is_number

MEV = 1000.0  # 1 eV
KCAL = 1 / units.energy_in_ev("kcal/mol")  # 1 eV


def digits(value: float, count: int = 3) -> str:
    """`count` significant digits without an exponent: 44.8, 0.0312, 1,240."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    decimals = count - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(decimals, 0)}f}"


def mev(force: float) -> str:
    """A force in meV/A with its unit; `force` in eV/A."""
    return f"{digits(force * MEV)} meV/Å"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 100:
        return f"{digits(seconds, 2)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def when(created: Any) -> str:
    """An ISO time as a date; other text as it is."""
    try:
        moment = datetime.fromisoformat(str(created))
        return f"{moment.day} {moment:%B %Y, %H:%M %Z}".strip()
    except ValueError:
        return str(created or "")


def count_of(number: Any, noun: str) -> str:
    """How many of what: "1 atom", "42 atoms"; nothing for what is no number."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}" if is_number(number) else ""


def entry(key: str, value: Any) -> object:
    """The value of an entry `key` as text, or as code where it is a name."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_number(value):
        return f"{value:g}" if isinstance(value, float) or key == "seed" else f"{value:,}"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {item}" for name, item in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return element("code", value) if key in ("fingerprint", "source") else str(value)


def words(key: str) -> str:
    """A key of the record in words."""
    return str(key).replace("_gib", " (GiB)").replace("_", " ")


def listed(parts: list[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
