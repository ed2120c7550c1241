"""The comment line of an xyz frame: key=value pairs, and what is left of it, in which programs write the energy."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from gossamer.data.formats import names
from gossamer.errors import DataError, UnitsError
from gossamer.units import energy_unit

ALONE = "the comment, alone in it, as 'energy'"
IN_TEXT = "the text of the comment, as 'energy'"
AFTER_ENERGY = "the comment, after the energy, as 'forces'"
_LONGEST = 2000  # characters of free text in which an energy is looked for
_FIELDS, _BRACKETS = 1000, 5000  # looked at in one line, so that no line takes long
_DECIMAL = r"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eEdD]))(?:[eEdD][-+]?\d+)?"
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eEdD][-+]?\d+)?"
_UNIT = r"(?P<unit>[A-Za-zÅ][\w/.^*()Å -]{0,30}?)"
_REPR = re.compile(r"(?:\w+\.)?(?:float\d*|array|tensor)\(\s*(?P<value>[^()]*?)\s*(?:,\s*\w+=[^()]*)?\)", re.ASCII)
_QUANTITY = re.compile(rf"(?P<value>{_NUMBER})\s*[\[(]?{_UNIT}?[\])]?", re.ASCII)
_BARE = re.compile(rf"\s*(?P<value>{_DECIMAL})\s*(?:[\[(]?{_UNIT}[\])]?\s*)?(?P<rest>[;!].*)?", re.ASCII | re.DOTALL)
_SAID = re.compile(
    r"(?<![\w.])(?P<key>(?:(?:total|scf|final|single|point|potential|electronic|dft)\s+){0,3}energy|e_?tot(?:al)?|e_?pot|e)"
    rf"(?:\s*[(\[](?P<before>[^()\[\]]{{1,20}})[)\]])?(?:\s*[:=]\s*|\s+(?:is\s+)?)(?P<value>{_DECIMAL})(?![\w.])"
    r"(?:\s*[(\[]?(?P<after>[A-Za-z][\w/.^-]*))?",
    re.ASCII | re.IGNORECASE,
)  # fmt: skip
_PART = re.compile(
    r"(?<![\w-])(?:kinetic|gap|dispersion|(?:nuclear )?repulsion|nuclear|correlation|exchange|zero[-_ ]?point|thermal|"
    r"solvation|bond|angle|torsion|dihedral|electrostatic|coulomb|vdw|excitation|electron|correction|orbital|fermi)\s*$",
    re.IGNORECASE,
)  # before "energy": it is not the whole one
_QUOTED = {sign: re.compile(rf"{sign}((?:[^{sign}\\]|\\.)*){sign}", re.DOTALL) for sign in "\"'"}
_BRACKET, _WORD = re.compile(r"[\[\]{}]"), re.compile(r"\S*")
_BEHIND = re.compile(r"\s+[(\[]?([A-Za-z][\w/.^-]*)[)\]]?(?=[\s,;]|$)")
_NUMERIC = re.compile(_NUMBER, re.ASCII)
_HARTREE_PROGRAMS = {
    "ORCA": re.compile(r"\s*Coordinates from ORCA-job"),
    "xtb": re.compile(r"\s*energy:\s.*\bgnorm:|\s*SCF done|.*\bxtb:\s*\d"),
    "CP2K": re.compile(r"\s*i\s*=\s*\d+,\s*(?:time\s*=[^,]*,\s*)?E\s*="),
    "geomeTRIC": re.compile(r"\s*Iteration\s+\d+\s+Energy\s"),
}


@dataclass(frozen=True)
class Comment:
    """fields: raw values by key; after: the unit word behind a value, by key; text: what is no key=value pair; twice:
    keys with two different values."""

    line: str
    fields: dict[str, str]
    after: dict[str, str]
    text: str
    twice: frozenset[str]

    @cached_property
    def program(self) -> str:
        """The program that writes such comments, with energies in Hartree; "" for others."""
        head = self.line[:300]
        return next((name for name, pattern in _HARTREE_PROGRAMS.items() if pattern.match(head)), "")

    def get(self, key: str) -> str | None:
        """The value of a key, in any case."""
        return next((value for name, value in self.fields.items() if name.lower() == key.lower()), None)

    def units(self, kind: str) -> list[str]:
        """What is declared to be the unit of "energy", "length" or "forces"."""
        said = [value for key, value in self.fields.items() if names.unit_kind(key) == kind]
        words = names.split_units(self.get("units") or self.get("unit") or "")
        return said or [word for word in words if kind in names.kinds_of(word)]

    def not_labels(self) -> list[str]:
        """Keys with numbers that are neither energies nor units nor about the box."""
        return [key for key, value in self.fields.items() if _is_other(key, value)]


@dataclass(frozen=True)
class Quantity:
    """A number and the unit written beside it, if any."""

    value: float
    unit: str | None = None


def parse(line: str) -> Comment:
    """The parts of a comment line.  Every character is looked at a bounded number of times."""
    fields: dict[str, str] = {}
    after: dict[str, str] = {}
    twice, rest, place = set(), [], 0
    while len(fields) < _FIELDS and (sign := line.find("=", place)) >= 0:
        before, key = _key(line[place:sign].rstrip())
        value, place = _value(line, sign + 1)
        rest.append(before)
        if key and fields.setdefault(key, value) != value:
            twice.add(key)
        if word := _BEHIND.match(line, place, place + 40):
            after[key] = word[1]
    rest.append(line[place:])
    return Comment(line, fields, after, " ".join(part for part in rest if part).strip(" ,;\t\n"), frozenset(twice))


def _key(before: str) -> tuple[str, str]:
    """What stands before a key, and the key."""
    if before.endswith('"') and (start := before[:-1].rfind('"')) >= 0:
        return before[:start], before[start + 1 : -1]
    start = max(before.rfind(sign) for sign in " \t,;") + 1
    if before[start : start + 1] in ("(", "["):  # energy (eV) = ...
        start = max(before.rstrip().rfind(sign, 0, max(0, start - 1)) for sign in " \t,;") + 1
    key, part = before[start:], _PART.search(before[max(0, start - 30) : start])
    return before[:start], f"{part[0].strip()} {key}" if part and names.rank(
        key, names.ENERGY_KEYS
    ) is not None else key


def _value(line: str, start: int) -> tuple[str, int]:
    """The value that begins at `start`, without its quotes or brackets, and the place after it."""
    while start < len(line) and line[start].isspace():
        start += 1
    sign = line[start : start + 1]
    if sign in ('"', "'"):
        match = _QUOTED[sign].match(line, start)
        if match:
            return re.sub(r"\\(.)", r"\1", match[1]), match.end()
    if sign in ("[", "{"):
        depth = 0
        for bracket in islice(_BRACKET.finditer(line, start), _BRACKETS):
            depth += 1 if bracket[0] in "[{" else -1
            if depth == 0:
                return line[start + 1 : bracket.start()], bracket.end()
    match = _WORD.match(line, start)
    assert match is not None
    return match[0].rstrip(",;"), match.end()


def number(text: str) -> float:
    """A number as programs print it: 1.5, 1.5D+00, np.float64(1.5), array(1.5).  Raises ValueError for other text."""
    text = text.strip()
    wrapped = _REPR.fullmatch(text) if text.endswith(")") and len(text) <= 100 else None
    text = wrapped["value"].strip("[] ") if wrapped else text
    if "_" in text:
        raise ValueError(text)
    return float(text.upper().replace("D", "E") if _NUMERIC.fullmatch(text) else text)


def quantity(text: str, where: str) -> Quantity:
    """A number that may be followed by its unit.
    Raises DataError, which begins with `where`, for text that holds no number, UnitsError for a unit that is none."""
    try:
        return Quantity(number(text.strip("[] ")))
    except ValueError:
        pass
    match = _QUANTITY.fullmatch(text.strip()) if len(text) <= 100 else None
    if match is None or match["unit"] is None:
        raise DataError(f"{where} holds {shown(text)}, which is not a number; write the file again.")
    try:
        return Quantity(number(match["value"]), energy_unit(match["unit"]))
    except UnitsError as error:
        raise UnitsError(f"{where} holds {shown(text)}: {error}") from error


def energies(comment: Comment, asked: str | None, where: str) -> dict[str, Quantity]:
    """Every energy in a comment: description with its key in quotes -> value.  asked: the user's name for it."""
    found = {}
    for key, text in comment.fields.items():
        usual = names.rank(key, names.ENERGY_KEYS) is not None
        if key == asked or (asked is None and usual):
            if key in comment.twice:
                raise DataError(f"{where} gives '{key}' twice with two values; keep one.")
            read = quantity(text, f"{where}, '{key}',")
            unit = read.unit or names.unit_in(key, names.ENERGY_KEYS) or _known(comment.after.get(key))
            found[f"comment key '{key}'"] = Quantity(read.value, unit)
        elif (value := _scalar(text)) is not None:
            found[f"comment key '{key}'"] = Quantity(value)
    bare = _BARE.fullmatch(comment.line)
    if bare and (bare["unit"] is None or _known(bare["unit"])):
        found[ALONE] = Quantity(number(bare["value"]), _known(bare["unit"]))
    said = [] if bare else _in_text(comment.text[:_LONGEST])
    if len({one.value for one in said}) > 1 and asked is None and not found:
        raise DataError(f"{where} tells of several energies; write the one that is meant as energy=NUMBER.")
    return found | ({IN_TEXT: said[0]} if said else {})


def dipole(comment: Comment) -> dict[str, np.ndarray]:
    """The vectors (3,) that may be the dipole: description with its key in quotes -> value."""
    vectors = {
        key: _vector(text) for key, text in comment.fields.items() if names.rank(key, names.DIPOLE_KEYS) is not None
    }
    return {f"comment key '{key}'": vector for key, vector in vectors.items() if vector is not None}


def _vector(text: str) -> np.ndarray | None:
    """Three numbers, None where the text is none."""
    words = [word for word in re.split(r"[\s,;\[\]()]+", text[:200]) if word]
    try:
        return np.array([number(word) for word in words]) if len(words) == 3 else None
    except ValueError:
        return None


def _in_text(text: str) -> list[Quantity]:
    """The energies that a text tells of: those called total or final, else all that are no part of one."""
    said = [one for one in _SAID.finditer(text) if not _PART.search(text[max(0, one.start() - 30) : one.start()])]
    whole = [one for one in said if re.match("total|final", one["key"], re.IGNORECASE)]
    return [Quantity(number(one["value"]), _known(one["before"]) or _known(one["after"])) for one in whole or said]


def _scalar(text: str) -> float | None:
    try:
        return number(text)
    except ValueError:
        return None


def forces_in_text(line: str, n_atoms: int) -> np.ndarray | None:
    """Forces (N, 3) that follow the energy and a semicolon, as in the first files of MD17; None where they do not."""
    energy, _, rest = line.partition(";")
    if not rest or not _BARE.fullmatch(energy):
        return None
    words = rest.replace("[", " ").replace("]", " ").replace(",", " ").replace(";", " ").split()
    try:
        return np.array(list(map(number, words))).reshape(n_atoms, 3) if len(words) == 3 * n_atoms else None
    except ValueError:
        return None


def lattice(comment: Comment, where: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Cell vectors (3, 3) and which of them repeat (3,); None where there is no box.  Raises DataError."""
    text = comment.get("Lattice")
    if text is None:
        return None
    try:
        numbers = np.array([number(word) for word in re.split(r"[\s,;\[\]]+", text) if word])
        cell = np.diag(numbers) if len(numbers) == 3 else numbers.reshape(3, 3)
    except ValueError as error:
        raise DataError(f"{where} holds a Lattice that is not nine numbers; write the file again.") from error
    words = re.findall(r"[TF01]", (comment.get("pbc") or "T T T").upper())
    periodic = np.array([word in "T1" for word in (words if len(words) == 3 else words[:1] * 3 or ["T"] * 3)])
    return cell, periodic & (np.linalg.norm(cell, axis=1) > 0)


def _is_other(key: str, value: str) -> bool:
    usual = names.rank(key, names.ENERGY_KEYS) is not None or names.unit_kind(key) is not None
    usual = usual or (names.rank(key, names.DIPOLE_KEYS) is not None and _vector(value) is not None)
    numeric = re.fullmatch(r"[-+\d.eE\s,\[\]]*\d[-+\d.eE\s,\[\]]*", value[:200]) is not None
    return numeric and not usual and key.lower() not in ("lattice", "pbc")


def _known(text: str | None) -> str | None:
    """The energy unit that a word is, or None."""
    parse: Callable[[str], str] = energy_unit
    try:
        return parse(text) if text else None
    except UnitsError:
        return None


def shown(text: str) -> str:
    """A piece of a file, short and in printable characters."""
    text = text.strip()
    return ascii(text if len(text) <= 40 else f"{text[:37]}...")
