"""The record of a trajectory: what `gossamer md` did and measured, to draw its report from.

Plain values: times in ps, energies in eV, lengths in Angstrom, angles in degrees, wavenumbers in 1/cm."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gossamer.errors import DataError
from gossamer.files import read_json
from gossamer.records.coding import decode, encode, shown

FORMAT = "gossamer-md-2"
EARLIER = ("gossamer-md-1",)  # which had no infrared spectrum, and nothing else was different


@dataclass(frozen=True)
class Averages:
    """Of one trajectory.  temperature, K, and its standard error (None of too few frames); energy: mean potential
    energy, eV; fluctuation: standard deviation of the total energy about its drift, eV; drift of the total energy, eV
    per atom and ns, which means something at constant energy."""

    frames: int
    temperature: float
    temperature_error: float | None
    energy: float
    fluctuation: float
    drift: float


@dataclass(frozen=True)
class Course:
    """Of one replica, frame by frame (F,): times; temperatures, K; potential and total energies above the first
    frame's; rmsd from it."""

    times: tuple[float, ...]
    temperatures: tuple[float, ...]
    energies: tuple[float, ...]
    totals: tuple[float, ...]
    rmsd: tuple[float, ...]


@dataclass(frozen=True)
class Distance:
    """Of two atoms, in the trajectory and (trained_...) in the training structures."""

    i: int
    j: int
    mean: float
    shortest: float
    longest: float
    trained_shortest: float
    trained_longest: float


@dataclass(frozen=True)
class Residue:
    """Dihedral angles of a peptide's backbone at the atom alpha (a carbon), (F,) each."""

    alpha: int
    phi: tuple[float, ...]
    psi: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class MdRecord:
    """settings: by name; symbols (N,); rmsd_of: which atoms; bonds: of the training structures; contacts: atoms
    three or more bonds apart that came closest, beside what they did in training; wavenumbers, spectrum: power spectrum
    of the velocities, the largest value 1; infrared, there: absorption, km/mol in 1 1/cm, where there were dipoles."""

    version: str = ""
    command: str = ""
    model: str = ""
    formula: str
    symbols: tuple[str, ...]
    settings: dict[str, Any]
    picoseconds: float
    ns_per_day: float
    averages: tuple[Averages, ...]
    courses: tuple[Course, ...]
    rmsd_of: str = ""
    bonds: tuple[Distance, ...] = ()
    contacts: tuple[Distance, ...] = ()
    residues: tuple[Residue, ...] = ()
    wavenumbers: tuple[float, ...] = ()
    spectrum: tuple[float, ...] = ()
    infrared: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Values that `json.dumps` takes."""
        return {"format": FORMAT, "kind": "md"} | encode(self)


def md_from_json(values: Mapping[str, Any], name: str = "record") -> MdRecord:
    """The record whose `to_json` has these values.  name: of the record in messages.

    Raises DataError, which names the field, where they are no record of a trajectory, or one that is damaged."""
    form = values.get("format") if isinstance(values, Mapping) else None
    if form not in (FORMAT, *EARLIER):
        raise DataError(
            f"{name}: its format is {shown(form)}, and a record of a trajectory has {FORMAT!r}; give the file that "
            "`gossamer md --record` wrote."
        )
    record: MdRecord = decode(MdRecord, values, name)
    return record


def read_md_record(path: str | Path) -> MdRecord:
    """The record in a file that `gossamer md --record` wrote.

    Raises DataError, which names the file, and the field that is wrong."""
    return md_from_json(read_json(path, "record of a trajectory", DataError), str(path))
