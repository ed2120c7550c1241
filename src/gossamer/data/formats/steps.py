"""Structures of a program's text output, each with the energy and the gradient that were computed for it.

Outputs list geometries, energies and gradients one after another, over several steps and several jobs, and end
anywhere.  A reader turns its program's lines into events; here they are paired, and what is incomplete is named.
"""

import bz2
import gzip
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gossamer.data.formats.raw import Options, Raw, no_keys, rows, same_atoms
from gossamer.errors import DataError
from gossamer.units import energy_in_ev, length_in_angstrom

_OPEN = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_LONGEST = 1 << 16  # characters of a line: no program prints longer ones
_AGREE = 1e-4  # eV, eV/Angstrom: one value printed twice, with more digits and with fewer
_NAMED = 5  # incomplete structures named one by one


class Geometry(NamedTuple):
    """numbers (N,) atomic numbers, positions (N, 3) in Angstrom.  of_last: it is the one that the labels just read
    were computed for, as in FHI-aims' molecular dynamics."""

    numbers: np.ndarray
    positions: np.ndarray
    of_last: bool = False


class Energy(NamedTuple):
    """In eV.  A preliminary one, such as that of the SCF below a correlated method, gives way to the next; two final
    ones for one structure must agree."""

    value: float
    final: bool = True


class Forces(NamedTuple):
    """values (N, 3) in eV/Angstrom, numbers (N,) of their atoms where the output repeats them."""

    values: np.ndarray
    numbers: np.ndarray | None = None


class Dipole(NamedTuple):
    """values (3,) in e*Angstrom."""

    values: np.ndarray


class Trouble(NamedTuple):
    """Why the present structure cannot be used."""

    why: str


class Boundary(NamedTuple):
    """A new step or job begins: what follows belongs to none of the structures before."""


class Restart(NamedTuple):
    """What was computed for the present structure was preliminary; it is computed again."""


Event = Geometry | Energy | Forces | Dipole | Trouble | Boundary | Restart


@dataclass
class Step:
    """One structure and what was computed for it."""

    geometry: Geometry | None = None
    energies: list[Energy] = field(default_factory=list)
    forces: list[Forces] = field(default_factory=list)
    dipoles: list[Dipole] = field(default_factory=list)
    trouble: str = ""

    @property
    def labelled(self) -> bool:
        return bool(self.energies or self.forces)


def whole_lines(path: Path) -> Iterator[str]:
    """Lines of a text file that end as lines do: one that a killed run left may end within a number."""
    return (line for line in text_lines(path) if line.endswith("\n"))


def text_lines(path: Path) -> Iterator[str]:
    """Lines of a text file, packed or not.  Raises DataError when it is damaged or no text."""
    try:
        with _OPEN.get(path.suffix.lower(), open)(path, "rt", encoding="utf-8", errors="replace") as file:  # type: ignore[operator]
            while line := file.readline(_LONGEST):
                yield line
    except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
        why = str(error).split("\n")[0][:80].rstrip(".") or type(error).__name__
        raise DataError(f"{path}: cannot be read ({why}); copy or write it again.") from error


def paired(events: Iterable[Event]) -> list[Step]:
    """The structures in the order of the file.  A geometry begins a structure, unless it repeats the present one
    before its forces have come; labels go to the present structure."""
    steps: list[Step] = []
    present: Step | None = None
    for event in events:
        if isinstance(event, Boundary):
            present = present if present is not None and not present.labelled else None
            continue
        if isinstance(event, Restart):
            if present is not None:
                present.energies, present.forces, present.dipoles = [], [], []
            continue
        if isinstance(event, Dipole):
            if present is not None:
                present.dipoles.append(event)
            continue
        if isinstance(event, Geometry) and not event.of_last:
            if present is not None and (_same(present.geometry, event) and not present.forces):
                continue
            if present is not None and not present.labelled and not present.trouble:
                steps.pop()  # printed, but nothing was computed for it
            present = None
        if present is None:
            present = Step()
            steps.append(present)
        if isinstance(event, Geometry):
            present.geometry = event
        elif isinstance(event, Energy):
            present.energies.append(event)
        elif isinstance(event, Forces):
            present.forces.append(event)
        else:
            present.trouble = event.why
    return steps


def _same(one: Geometry | None, other: Geometry) -> bool:
    return (
        one is not None
        and np.array_equal(one.numbers, other.numbers)
        and np.array_equal(one.positions, other.positions)
    )


def raw_of_steps(path: Path, program: str, steps: list[Step], options: Options, notes: dict[str, str]) -> Raw:
    """The complete structures, in eV and Angstrom; those left out stand, with the reason, in `read`.
    Raises DataError when none is complete, or when their atoms differ."""
    no_keys(path, options, "positions_key", "numbers_key", "energy_key", "forces_key", "gradients_key")
    if not any(step.labelled if options.labels else step.geometry for step in steps):
        raise DataError(
            f"{path}: this output of {program} holds no energy and no forces (it did not finish, or computed none); "
            "give the output of a calculation of forces."
        )
    chosen = rows(options.index, len(steps), str(path))
    with_forces = options.labels and any(step.forces for step in steps)
    with_energy = options.labels and any(step.energies for step in steps)
    reasons = {int(row): _lacking(steps[row], with_forces, with_energy) for row in chosen}
    frames = np.array([row for row in chosen if not reasons[int(row)]], dtype=int)
    left_out = _left_out({row: why for row, why in reasons.items() if why})
    if not len(frames):
        raise DataError(
            f"{path}: none of its structures is complete: {left_out}; let {program} finish the calculation."
        )
    kept: list[Any] = [steps[row] for row in frames]
    read = {"atoms": f"{program} output", "positions": "geometries"}
    read |= {key: note for key, note in notes.items() if key != "theory"}
    read |= {"energies": "final energies"} if with_energy else {}
    read |= {"forces": "forces of each geometry"} if with_forces else {}
    about_dipoles, dipoles = _dipoles(kept) if options.labels else ("", None)
    read |= {"dipoles": about_dipoles} if about_dipoles else {}
    read |= {"left out": f"of {len(chosen)} structures: {left_out}"} if left_out else {}
    return Raw(
        source=str(path), numbers=same_atoms(str(path), [step.geometry.numbers for step in kept], frames),
        positions=np.array([step.geometry.positions for step in kept]),
        forces=np.array([step.forces[0].values for step in kept]) if with_forces else None,
        energies=np.array([step.energies[-1].value for step in kept]) if with_energy else None, frames=frames,
        energy_unit="eV", length_unit="Angstrom", usual_length="Angstrom", converted=True,
        said_by=f"from the units of {program}", name=path.name.split(".")[0],
        theory=notes.get("theory", ""), read=read, dipoles=dipoles, dipole_unit="e*Angstrom",
    )  # fmt: skip


def _lacking(step: Step, with_forces: bool, with_energy: bool) -> str:
    """Why a structure is not complete, "" when it is."""
    if step.trouble:
        return step.trouble
    if step.geometry is None:
        return "no positions"
    if with_energy and not step.energies:
        return "no energy"
    final = [energy.value for energy in step.energies if energy.final]
    if final and max(final) - min(final) > _AGREE:
        return "several energies that differ (of several states or methods)"
    if with_forces and not step.forces:
        return "no gradient"
    for forces in step.forces:
        if forces.values.shape != step.geometry.positions.shape:
            return f"gradient of {len(forces.values)} of {len(step.geometry.numbers)} atoms"
        if forces.numbers is not None and not np.array_equal(forces.numbers, step.geometry.numbers):
            return "gradient of other atoms"
        if not np.allclose(forces.values, step.forces[0].values, rtol=0, atol=_AGREE):
            return "several gradients that differ (of several states or methods)"
    return ""


def _dipoles(kept: list[Step]) -> tuple[str, np.ndarray | None]:
    """What to say of the dipoles of structures, "" where there are none, and their values (n, 3); None where they are
    not those of every structure, or of one method."""
    lacking = sum(not step.dipoles for step in kept)
    if lacking == len(kept):
        return "", None
    if lacking:
        return f"not read: {lacking} of {len(kept)} structures have none", None
    ends = [(step.dipoles[0].values, step.dipoles[-1].values) for step in kept]
    if not all(np.allclose(first, last, rtol=0, atol=_AGREE) for first, last in ends):
        return "not read: several that differ (of several states or methods)", None
    return "total dipole moments", np.array([last for _, last in ends])


def _left_out(reasons: dict[int, str]) -> str:
    """Which structures are incomplete and why, the first few by number."""
    named = [f"number {row} ({why})" for row, why in list(reasons.items())[:_NAMED]]
    return ", ".join(named) + (f" and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else "")


def hartree() -> float:
    """One Hartree in eV."""
    return energy_in_ev("Hartree")


def bohr() -> float:
    """One Bohr in Angstrom."""
    return length_in_angstrom("Bohr")
