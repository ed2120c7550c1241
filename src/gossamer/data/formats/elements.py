"""Atomic numbers from what stands before the coordinates: symbols, atomic numbers, and labels such as C1 or H_2."""

import re
from functools import cache, lru_cache

_LABEL = re.compile(r"([A-Za-z]{1,2})(?:\d[\w'*]*|[_(+-][^\s]*|['*]+)")
_ISOTOPES = {"D": 1, "T": 1}


@cache
def _symbols() -> dict[str, int]:
    from ase.data import chemical_symbols

    return {symbol: number for number, symbol in enumerate(chemical_symbols) if number} | _ISOTOPES


@lru_cache(maxsize=1000)
def atomic_number(text: str) -> int | None:
    """Atomic number (1 to 118) of "Cl", "CL", "17", "17.0", "Cl1", "Cl_2" or "D"; None for anything else, dummy
    atoms included."""
    if re.fullmatch(r"\d{1,3}(\.0*)?", text):
        number = int(float(text))
        return number if 1 <= number <= 118 else None
    match = _LABEL.fullmatch(text) if len(text) <= 20 else None
    symbol = match[1] if match else text
    return _symbols().get(symbol.capitalize()) if len(symbol) <= 2 else None


@lru_cache(maxsize=1000)
def is_label(text: str) -> bool:
    """Neither a symbol nor a number, but a label from which the symbol was taken."""
    return not text[:1].isdigit() and text.capitalize() not in _symbols()
