"""The polynomial by which functions of a distance fall to zero; compiled loops have it as `loops.falling`."""

from typing import Any


def falling(s: Any) -> tuple[Any, Any]:
    """S = 1 - s^3 (10 - 15 s + 6 s^2) and its slope dS/ds = -30 s^2 (1 - s)^2, of numbers, arrays or tensors s from 0
    to 1, where S falls from 1 to 0 with continuous second derivatives."""
    return 1 - s * s * s * (10 - 15 * s + 6 * s * s), -30 * (s * (1 - s)) ** 2
