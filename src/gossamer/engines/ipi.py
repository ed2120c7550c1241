"""The door to i-PI 3: a PES class, for beads in one batch inside i-PI (ffdirect) and for its Python driver (ffsocket).

i-PI loads a potential from a file that names a class; `gossamer export ipi` writes one, with an input."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gossamer.engines.door import Door, Units
from gossamer.engines.extras import extra
from gossamer.engines.guard import Guard
from gossamer.errors import GossamerError

_Driver: Any = extra("ipi", "ipi.pes.dummy").Dummy_driver
_softexit: Any = extra("ipi", "ipi.utils.softexit").softexit
_unit_to_user: Any = extra("ipi", "ipi.utils.units").unit_to_user

Result = tuple[float, np.ndarray, np.ndarray, str]


class GossamerDriver(_Driver):
    """Energies, forces and no virial of a model, in atomic units.

    model: a model file; template: an xyz file with the atoms that i-PI moves, compared with the model's where it is
    given; guard: "warn", "stop", "save" or "off", the frames of "save" go to `outside`; guard_std: see `Guard`; std:
    put energy_std, Hartree, and forces_std, Hartree/Bohr, into the extras, of a model with error bars.  The cell is not
    looked at, since i-PI always has one: it must not wrap the atoms (pbc False), and a barostat has nothing to work
    with.

    What is wrong ends the process with one sentence; i-PI writes its RESTART before."""

    def __init__(
        self, model: str, template: str | None = None, guard: Any = "warn", outside: str = "outside.extxyz",
        guard_std: float | None = None, std: bool = False, **more: Any,
    ) -> None:  # fmt: skip
        import gossamer as gs

        units = Units(_unit_to_user("energy", "electronvolt", 1.0), _unit_to_user("length", "angstrom", 1.0))
        with _ended_in_a_sentence():
            force_field = gs.load(model)
            numbers = None if template is None else gs.read(template, labels=False, length_unit="Angstrom").numbers
            guarded = Guard(force_field, guard, outside, guard_std)
            self.door = Door.build(force_field, numbers, units=units, name=template or "i-PI", guard=guarded, std=std)
        self.std = std
        super().__init__(**more)

    def compute_structure(self, cell: np.ndarray, pos: np.ndarray) -> Result:
        """One structure pos (N, 3), Bohr: energy, Hartree, forces (N, 3), Hartree/Bohr, virial, extras."""
        with _ended_in_a_sentence():
            energy, forces = self.door.one(pos)
            (extras,) = self._extras(np.array([pos]))
        return energy, forces, np.zeros((3, 3)), extras

    def compute(self, cell: Any, pos: Any) -> Result | list[Result]:
        """As `compute_structure`, or of a list of structures, which is one batch."""
        if not isinstance(pos, list):
            return self.compute_structure(cell, pos)
        with _ended_in_a_sentence():
            energies, forces = self.door.many(np.array(pos))
            extras = self._extras(np.array(pos))
        return [(float(e), f, np.zeros((3, 3)), more) for e, f, more in zip(energies, forces, extras, strict=True)]

    def _extras(self, structures: np.ndarray) -> list[str]:
        """What i-PI keeps beside the forces of structures (Q, N, 3), Bohr: JSON, or nothing."""
        if not self.std:
            return [""] * len(structures)
        found = zip(*self.door.std(structures), strict=True)
        return [json.dumps({"energy_std": float(e), "forces_std": f.tolist()}) for e, f in found]


@contextmanager
def _ended_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except GossamerError as error:
        if _softexit.flist:  # in i-PI itself, in the midst of a run
            _softexit.cleanup("bad", str(error))
        raise SystemExit(f"gossamer: {error}") from error
