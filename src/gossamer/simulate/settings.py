"""How a trajectory is run."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from gossamer.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from gossamer.simulate.integrators import Integrator

Ensemble = Literal["nve", "langevin", "bussi"]


@dataclass(frozen=True)
class MdSettings:
    """Settings of molecular dynamics.

    ensemble: "nve", constant energy; "langevin", at a temperature, every atom coupled to it; "bussi", at a temperature,
    by scaling all velocities, which disturbs the motion least.  steps in all; temperature, K, in NVE that of the first
    velocities; timestep, fs; friction of Langevin, 1/ps; relaxation of Bussi, ps; seed of every random number; replicas
    run side by side from different velocities; every: steps between frames of the trajectory; restart_every: steps
    between restarts; dipoles: whether frames tell them and the infrared spectrum is summed up, None: where the model
    has them. Raises UsageError for values that cannot be."""

    ensemble: Ensemble = "langevin"
    steps: int = 20_000
    temperature: float = 300.0
    timestep: float = 0.5
    friction: float = 10.0
    relaxation: float = 0.1
    seed: int = 0
    replicas: int = 1
    every: int = 20
    restart_every: int = 5000
    dipoles: bool | None = None

    def __post_init__(self) -> None:
        if self.ensemble not in get_args(Ensemble):
            raise UsageError(f"ensemble: {self.ensemble!r} is not known; use {', '.join(get_args(Ensemble))}.")
        for name, unit in (("temperature", "K"), ("timestep", "fs"), ("friction", "1/ps"), ("relaxation", "ps")):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise UsageError(f"{name}: {value:g} {unit} given; a positive number is needed.")
        for name in ("steps", "replicas", "every", "restart_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: {getattr(self, name)} given; at least 1 is needed.")
        if self.seed < 0:
            raise UsageError(f"seed: {self.seed} given; it cannot be negative.")

    @property
    def keeps_momenta(self) -> bool:
        """Whether the molecule as a whole stays as it is: it neither flies nor turns then."""
        return self.ensemble != "langevin"

    @property
    def heat(self) -> float:
        """kT, eV."""
        from ase import units

        return self.temperature * units.kB

    def integrator(self, masses: "np.ndarray", freedom: int) -> "Integrator":
        """What makes the steps; masses (N, 1), u, freedom: degrees of freedom that move."""
        from ase import units

        from gossamer.simulate.integrators import Bussi, Langevin, VelocityVerlet

        step = self.timestep * units.fs
        if self.ensemble == "langevin":
            return Langevin(step, masses, self.heat, self.friction / (1000 * units.fs))
        verlet = VelocityVerlet(step, masses)
        if self.ensemble == "nve":
            return verlet
        return Bussi(verlet, self.heat, freedom, self.relaxation * 1000 * units.fs)


def steps_in(picoseconds: float, timestep: float) -> int:
    """How many steps of `timestep`, fs, so much time is.  Raises UsageError for less than one."""
    steps = round(1000 * picoseconds / timestep) if math.isfinite(picoseconds) and timestep > 0 else 0
    if steps < 1:
        raise UsageError(
            f"picoseconds: {picoseconds:g} given, which is no step of {timestep:g} fs; give a longer time."
        )
    return steps
