"""Named units and their values in eV and Angstrom.  Conversion constants: CODATA as kept by ASE (ase.units).

A unit is a product of words, so that every way to write it is read alike: "kcal/mol/Ang", "kcal mol^-1 A^-1",
"kcal/(mol*Å)", "kcal per mol per angstrom", "KCAL-MOL-1-A-1".
"""

import re
import unicodedata

from gossamer.errors import UnitsError

# ase.units is not imported here: it pulls in a large package for four constants (values: CODATA 2014, ase.units).
_HARTREE = 27.211386024367243
_BOHR = 0.5291772105638411
_KCAL_PER_MOL = 0.04336410390059322
_KJ_PER_MOL = 0.010364269574711572
_DEBYE = 0.20819433442462576

ENERGY = {
    "eV": 1.0,
    "meV": 1e-3,
    "Hartree": _HARTREE,
    "Rydberg": _HARTREE / 2,
    "kcal/mol": _KCAL_PER_MOL,
    "kJ/mol": _KJ_PER_MOL,
}
LENGTH = {"Angstrom": 1.0, "Bohr": _BOHR, "nm": 10.0, "pm": 0.01}
DIPOLE = {"e*Angstrom": 1.0, "Debye": _DEBYE, "e*Bohr": _BOHR}
ATOMIC = {"Hartree": "Bohr", "Rydberg": "Bohr"}  # the length that programs put under these energies

_ENERGY_WORDS = {
    "ev": "eV", "electronvolt": "eV", "mev": "meV", "millielectronvolt": "meV",
    "hartree": "Hartree", "ha": "Hartree", "eh": "Hartree", "au": "Hartree", "rydberg": "Rydberg", "ry": "Rydberg",
    "kcal": "kcal/mol", "kilocalorie": "kcal/mol", "kj": "kJ/mol", "kilojoule": "kJ/mol",
}  # fmt: skip
_LENGTH_WORDS = {
    "angstrom": "Angstrom", "ang": "Angstrom", "a": "Angstrom", "aa": "Angstrom",
    "bohr": "Bohr", "a0": "Bohr", "au": "Bohr", "nm": "nm", "nanometer": "nm", "pm": "pm", "picometer": "pm",
}  # fmt: skip
_DIPOLE_WORDS = {
    "debye": "Debye", "d": "Debye", "au": "e*Bohr", "ebohr": "e*Bohr", "ea0": "e*Bohr",
    "ea": "e*Angstrom", "eang": "e*Angstrom", "eangstrom": "e*Angstrom",
}  # fmt: skip
_MOLAR = ("kcal/mol", "kJ/mol")
_MOL = ("mol", "mole")

# what stands for another spelling, in this order, after case folding
_SPELLINGS = (
    (r"å", "a"), (r"ö|oe(?=m)", "o"), (r"[−–]", "-"), (r"metre", "meter"),
    (r"(?<![a-z])(a\.\s*u\.?|atomic[\s_-]*units?)(?![a-z])", "au"),
    (r"(?<![a-z])([ea])_(?=[h0](?![a-z0-9]))", r"\1"), (r"electron[\s_-]+volt", "electronvolt"),
    (r"(?<![a-z])per(?![a-z])", "/"), (r"[\s_-]*/[\s_-]*", "/"),
)  # fmt: skip
_FACTOR = re.compile(r"(?P<over>/?)[\s*·⋅._({\[-]*(?P<word>[a-z]+0?)(?P<inverse>\s*(?:\^|\*\*)?[({]?-1[)}]?)?[\s)\]}]*")


def _factors(name: str) -> tuple[list[str], list[str]]:
    """The words that `name` multiplies, and those it divides by; two empty lists where it is no product of words."""
    text = unicodedata.normalize("NFKC", name).casefold().strip()
    for pattern, plain in _SPELLINGS if len(text) <= 80 else ():
        text = re.sub(pattern, plain, text)
    above: list[str] = []
    below: list[str] = []
    place, divided = 0, False
    while place < len(text):
        match = _FACTOR.match(text, place)
        if match is None:
            return [], []
        divided = divided or bool(match["over"])
        (below if divided or match["inverse"] else above).append(_singular(match["word"]))
        place = match.end()
    return above, below


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def _energy(above: list[str], below: list[str]) -> str | None:
    """The energy unit that these factors are, or None."""
    unit = _ENERGY_WORDS.get(above[0]) if len(above) == 1 else None
    allowed = len(below) == 0 or (len(below) == 1 and below[0] in _MOL and unit in _MOLAR)
    return unit if allowed else None


def energy_unit(name: str) -> str:
    """Canonical spelling of an energy unit.  Raises UnitsError for an unknown one."""
    unit = _energy(*_factors(name))
    if unit is None:
        raise UnitsError(f"energy unit {_quoted(name)} is not known; use one of {', '.join(ENERGY)}.")
    return unit


def length_unit(name: str) -> str:
    """Canonical spelling of a length unit.  Raises UnitsError for an unknown one."""
    above, below = _factors(name)
    unit = _LENGTH_WORDS.get(above[0]) if len(above) == 1 and not below else None
    if unit is None:
        raise UnitsError(f"length unit {_quoted(name)} is not known; use one of {', '.join(LENGTH)}.")
    return unit


def force_unit(name: str) -> tuple[str, float]:
    """Canonical spelling of a force unit such as "kcal/mol/Angstrom", and how many eV/Angstrom it is; "au" is
    Hartree/Bohr.  Raises UnitsError for an unknown one."""
    above, below = _factors(name)
    if above == ["au"] and not below:
        below = ["au"]
    lengths = [word for word in below if word in _LENGTH_WORDS]
    energy = _energy(above, [word for word in below if word not in _LENGTH_WORDS])
    if energy is None or len(lengths) != 1:
        what = f"forces unit {_quoted(name)} is not known"
        raise UnitsError(f"{what}; write energy/length, for example Hartree/Bohr or eV/Angstrom.")
    length = _LENGTH_WORDS[lengths[0]]
    return f"{energy}/{length}", ENERGY[energy] / LENGTH[length]


def dipole_unit(name: str) -> str:
    """Canonical spelling of a unit of dipole moments; "au" is e*Bohr.  Raises UnitsError for an unknown one."""
    above, below = _factors(name)
    unit = _DIPOLE_WORDS.get(above[0], "") if len(above) == 1 and not below else ""
    if len(above) == 2 and "e" in above and not below:
        unit = f"e*{_LENGTH_WORDS.get(above[1 - above.index('e')])}"
    if unit not in DIPOLE:
        raise UnitsError(f"dipole unit {_quoted(name)} is not known; use one of {', '.join(DIPOLE)}.")
    return unit


def _quoted(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:37]}...")


def energy_in_ev(name: str) -> float:
    """How many eV one `name` is."""
    return ENERGY[energy_unit(name)]


def length_in_angstrom(name: str) -> float:
    """How many Angstrom one `name` is."""
    return LENGTH[length_unit(name)]


def dipole_in_e_angstrom(name: str) -> float:
    """How many e*Angstrom one `name` is."""
    return DIPOLE[dipole_unit(name)]
