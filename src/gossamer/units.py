"""Named units and their values in eV and Angstrom.  Conversion constants: CODATA as kept by ASE (ase.units)."""

from gossamer.errors import UnitsError

# ase.units is not imported here: it pulls in a large package for four constants (values: CODATA 2014, ase.units).
_HARTREE = 27.211386024367243
_BOHR = 0.5291772105638411
_KCAL_PER_MOL = 0.04336410390059322
_KJ_PER_MOL = 0.010364269574711572

ENERGY = {
    "eV": 1.0,
    "meV": 1e-3,
    "Hartree": _HARTREE,
    "Rydberg": _HARTREE / 2,
    "kcal/mol": _KCAL_PER_MOL,
    "kJ/mol": _KJ_PER_MOL,
}
LENGTH = {"Angstrom": 1.0, "Bohr": _BOHR, "nm": 10.0, "pm": 0.01}

_ALIASES = {
    "ev": "eV", "mev": "meV", "hartree": "Hartree", "ha": "Hartree", "eh": "Hartree",
    "au": "Hartree", "a.u.": "Hartree", "rydberg": "Rydberg", "ry": "Rydberg",
    "kcal/mol": "kcal/mol", "kcal": "kcal/mol", "kcal mol-1": "kcal/mol", "kcal mol^-1": "kcal/mol",
    "kj/mol": "kJ/mol", "kj": "kJ/mol", "kj mol-1": "kJ/mol",
    "angstrom": "Angstrom", "ang": "Angstrom", "a": "Angstrom", "å": "Angstrom", "aa": "Angstrom",
    "bohr": "Bohr", "a0": "Bohr", "nm": "nm", "nanometer": "nm", "pm": "pm",
}  # fmt: skip


def _canonical(name: str, table: dict[str, float], kind: str) -> str:
    unit = _ALIASES.get(name.strip().lower(), name.strip())
    if kind == "length" and name.strip().lower() in ("au", "a.u."):
        unit = "Bohr"
    if unit not in table:
        raise UnitsError(f"{kind} unit {name!r} is not known; use one of {', '.join(table)}.")
    return unit


def energy_unit(name: str) -> str:
    """Canonical spelling of an energy unit.  Raises UnitsError for an unknown one."""
    return _canonical(name, ENERGY, "energy")


def length_unit(name: str) -> str:
    """Canonical spelling of a length unit.  Raises UnitsError for an unknown one."""
    return _canonical(name, LENGTH, "length")


def energy_in_ev(name: str) -> float:
    """How many eV one `name` is."""
    return ENERGY[energy_unit(name)]


def length_in_angstrom(name: str) -> float:
    """How many Angstrom one `name` is."""
    return LENGTH[length_unit(name)]
