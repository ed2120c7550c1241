"""The names under which people and programs store labels and units, in any spelling: REF_energy, ref-energy, RefEnergy.

A name may end in its unit: energy_eV, forces(Ha/bohr), total_energy_kcal_mol.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from gossamer.errors import UnitsError
from gossamer.units import dipole_unit, energy_unit, force_unit, length_unit

ENERGY_KEYS = ("energy", "e", "refenergy", "dftenergy", "qmenergy", "energyref", "energydft", "totalenergy",
               "potentialenergy", "totenergy", "etot", "etotal", "epot", "scfenergy", "energies",
               "freeenergy")  # fmt: skip
FORCES_KEYS = ("forces", "force", "f", "refforces", "refforce", "dftforces", "dftforce", "qmforces", "qmforce",
               "forcesref", "forcesdft", "atomicforces", "totalforces", "frc", "fxfyfz")  # fmt: skip
GRADIENT_KEYS = ("gradient", "gradients", "grad", "grads", "dftgradient", "dftgradients", "qmgradient", "qmgradients",
                 "refgradient", "refgradients", "energygradient", "energygradients", "totalgradient")  # fmt: skip
DIPOLE_KEYS = ("dipoles", "dipole", "d", "dipolemoment", "dipolemoments", "totaldipole", "totaldipolemoment",
               "refdipole", "refdipoles", "dftdipole", "dftdipoles", "mu")  # fmt: skip
_UNIT_OF = {
    "energy": ENERGY_KEYS,
    "length": ("length", "lengths", "r", "distance", "position", "positions", "pos", "coordinate", "coordinates",
               "coord", "coords"),
    "forces": FORCES_KEYS + GRADIENT_KEYS,
    "dipole": DIPOLE_KEYS,
}  # fmt: skip
_UNIT_KEY = re.compile(r"units?(?:of)?(?P<after>\w*)|(?P<before>\w+?)units?(?:str|string|name)?")

_PARSERS: dict[str, Callable[[str], object]] = {"energy": energy_unit, "length": length_unit, "forces": force_unit}


@lru_cache(maxsize=4096)
def plain(key: str) -> str:
    """Without case and separators."""
    return re.sub(r"[-_.:\s]", "", key).lower()


@lru_cache(maxsize=4096)
def unit_kind(key: str) -> str | None:
    """ "energy", "length" or "forces" where a value under this key is a unit; None elsewhere."""
    match = _UNIT_KEY.fullmatch(plain(key)[:80])
    name = (match["after"] or match["before"]) if match else None
    return next((kind for kind, known in _UNIT_OF.items() if name in known), None)


@lru_cache(maxsize=4096)
def kinds_of(unit: str) -> frozenset[str]:
    """What a unit without a key is one of: "energy", "forces", both for atomic units, or "length"."""
    found = frozenset(kind for kind, parse in _PARSERS.items() if _parses(parse, unit))
    return found - {"length"} if len(found) > 1 else found


def split_units(text: str) -> list[str]:
    """The units that one value lists: "eV, eV/Angstrom"."""
    return re.split(r"[,;]", text)


def _parses(parse: Callable[[str], object], unit: str) -> bool:
    try:
        parse(unit)
    except UnitsError:
        return False
    return True


@lru_cache(maxsize=4096)
def rank(key: str, known: tuple[str, ...]) -> int | None:
    """Position of a key among the known names, its unit left away; None: it is not among them."""
    name = plain(key)
    if name in known:
        return known.index(name)
    parts = _parted(key, known)
    return known.index(plain(parts[0])) if parts else None


@lru_cache(maxsize=4096)
def unit_in(key: str, known: tuple[str, ...]) -> str | None:
    """The unit that a key ends in, or None."""
    parts = None if plain(key) in known else _parted(key, known)
    return parts[1] if parts else None


def _parted(key: str, known: tuple[str, ...]) -> tuple[str, str] | None:
    """Name and canonical unit of a key such as energy_eV, or None."""
    parsers: dict[tuple[str, ...], Callable[[str], str]] = {ENERGY_KEYS: energy_unit, DIPOLE_KEYS: dipole_unit}
    parse = parsers.get(known, lambda text: force_unit(text)[0])
    for match in re.finditer(r"[-_(\[\s]", key[:80]):
        name, rest = key[: match.start()], key[match.start() :].strip("-_()[] ")
        if plain(name) not in known:
            continue
        for spelling in (rest, rest.replace("_", "/")):
            try:
                return name, parse(spelling)
            except UnitsError:
                continue
    return None
