"""The record of a trajectory: what `gossamer md` did and measured, to draw its report from.

Plain values: times in ps, energies in eV, lengths in Angstrom, angles in degrees, wavenumbers in 1/cm."""

from dataclasses import dataclass
from typing import Any

from gossamer.records.coding import encode

FORMAT = "gossamer-md-1"


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
    of the velocities, the largest value 1."""

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

    def to_json(self) -> dict[str, Any]:
        """Values that `json.dumps` takes."""
        return {"format": FORMAT, "kind": "md"} | encode(self)
