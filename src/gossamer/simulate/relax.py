"""Structures moved downhill to where their forces vanish."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from gossamer.errors import GossamerError, SimulationError, UsageError
from gossamer.events import Event, Progress, silent
from gossamer.model.structures import asked

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField
    from gossamer.model.structures import Structures

Optimizer = Literal["bfgs", "fire"]


@dataclass(frozen=True)
class RelaxSettings:
    """optimizer: BFGS (few steps, for molecules of some hundred atoms) or FIRE (cheap steps); fmax: the largest force
    on an atom that counts as none, eV/Angstrom; steps: of one structure at most.  Raises UsageError for values that
    cannot be."""

    optimizer: Optimizer = "bfgs"
    fmax: float = 0.01
    steps: int = 1000

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(Optimizer):
            raise UsageError(f"optimizer: {self.optimizer!r} is not known; use {' or '.join(get_args(Optimizer))}.")
        if not 0 < self.fmax < np.inf:
            raise UsageError(f"fmax: {self.fmax:g} eV/Angstrom given; a positive number is needed.")
        if self.steps < 1:
            raise UsageError(f"steps: {self.steps} given; at least 1 is needed.")


@dataclass(frozen=True, eq=False)
class Relaxed:
    """Q structures where their optimiser ended.

    positions, forces (Q, N, 3) Angstrom, eV/Angstrom; energies (Q,) eV, and before: at the start; steps (Q,);
    largest (Q,): the largest force on an atom that is left; converged (Q,): whether it is small enough."""

    positions: np.ndarray
    forces: np.ndarray
    energies: np.ndarray
    before: np.ndarray
    steps: np.ndarray
    largest: np.ndarray
    converged: np.ndarray

    def __repr__(self) -> str:
        return f"Relaxed({len(self.energies)} structures, {np.count_nonzero(self.converged)} of them converged)"


def relax(
    model: "ForceField",
    structures: "Structures",
    settings: RelaxSettings = RelaxSettings(),
    *,
    progress: Progress = silent,
) -> Relaxed:
    """Relax structures, given as to `ForceField.predict`, one after the other, by ASE's optimisers.

    What does not converge is handed back where it stands.  Raises UsageError for other atoms than the model's,
    SimulationError where atoms meet or fly apart on the way."""
    positions, _, frames = asked(structures, model.numbers)
    frames = np.arange(len(positions)) if frames is None else frames
    calculator = model.ase(precision="float64")
    ended = []
    for row, start in enumerate(positions):

        def tell(step: int, largest: float, row: int = row) -> None:
            progress(Event("relax", row, len(positions), f"frame {frames[row]}, step {step}", {"largest": largest}))

        try:
            ended.append(_relaxed(calculator, model.numbers, start, settings, tell))
        except GossamerError as error:
            raise SimulationError(
                f"frame {frames[row]}: its relaxation broke it ({str(error).rstrip('.')}); look at the structure, or "
                "train on more like it."
            ) from error
    return Relaxed(*(np.array(column) for column in zip(*ended, strict=True)))


def _relaxed(calculator, numbers: np.ndarray, start: np.ndarray, settings: RelaxSettings, tell) -> tuple:
    """The fields of `Relaxed` for one structure start (N, 3)."""
    from ase import Atoms
    from ase.optimize import BFGS, FIRE

    atoms = Atoms(numbers, start, calculator=calculator)
    before = atoms.get_potential_energy()
    optimizer = {"bfgs": BFGS, "fire": FIRE}[settings.optimizer](atoms, logfile=None)
    optimizer.attach(lambda: tell(optimizer.nsteps, largest_force(atoms.get_forces())))
    optimizer.run(fmax=settings.fmax, steps=settings.steps)
    forces, largest = atoms.get_forces(), largest_force(atoms.get_forces())
    energy, steps = atoms.get_potential_energy(), optimizer.nsteps
    return atoms.positions, forces, energy, before, steps, largest, largest <= settings.fmax


def largest_force(forces: np.ndarray) -> float:
    """The length of the largest of forces (N, 3)."""
    return float(np.sqrt((forces**2).sum(axis=1).max()))
