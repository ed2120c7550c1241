"""Steps of molecular dynamics: pure functions of a state, its forces and a generator of random numbers.

Time is in ASE's unit here (Angstrom sqrt(u/eV), 10.18 fs), so that no equation has a factor."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

# energies (K,), eV, and forces (K, N, 3), eV/Angstrom, of positions (K, N, 3), Angstrom
ForcesOf: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class State(NamedTuple):
    """K copies of a molecule of N atoms.  positions, velocities, forces (K, N, 3): Angstrom, Angstrom per unit of time,
    eV/Angstrom; energies (K,): potential, eV."""

    positions: np.ndarray
    velocities: np.ndarray
    forces: np.ndarray
    energies: np.ndarray

    @classmethod
    def begin(cls, positions: np.ndarray, velocities: np.ndarray, forces_of: ForcesOf) -> "State":
        """The state of positions and velocities (K, N, 3)."""
        energies, forces = forces_of(positions)
        return cls(positions, velocities, forces, energies)


class Integrator(Protocol):
    """A step of time."""

    def advance(self, state: State, forces_of: ForcesOf, rng: np.random.Generator) -> State:
        """The state one step later."""


@dataclass(frozen=True, eq=False)
class VelocityVerlet:
    """v += hF/2m, x += hv, v += hF/2m (W. C. Swope et al., J. Chem. Phys. 76, 637 (1982)).

    step h, unit of time; masses (N, 1), u."""

    step: float
    masses: np.ndarray

    @cached_property
    def _kick(self) -> np.ndarray:
        return 0.5 * self.step / self.masses

    def advance(self, state: State, forces_of: ForcesOf, rng: np.random.Generator) -> State:
        v = state.velocities + self._kick * state.forces
        x = state.positions + self.step * v
        energies, forces = forces_of(x)
        return State(x, v + self._kick * forces, forces, energies)


@dataclass(frozen=True, eq=False)
class Langevin:
    """Langevin dynamics in the order BAOAB: kick, half a drift, friction and noise, half a drift, kick (B. Leimkuhler
    and C. Matthews, Appl. Math. Res. Express 2013, 34).  Friction and noise are exact: v <- c v + sqrt((1 - c^2) kT/m)
    r, with c = exp(-friction h).

    All 3N degrees of freedom are at the temperature, those of the molecule as a whole, too.  step h; masses (N, 1), u;
    heat kT, eV; friction, per unit of time."""

    step: float
    masses: np.ndarray
    heat: float
    friction: float

    @cached_property
    def _kick(self) -> np.ndarray:
        return 0.5 * self.step / self.masses

    @cached_property
    def _decay(self) -> float:
        return float(np.exp(-self.friction * self.step))

    @cached_property
    def _noise(self) -> np.ndarray:
        return np.sqrt((1 - self._decay**2) * self.heat / self.masses)

    def advance(self, state: State, forces_of: ForcesOf, rng: np.random.Generator) -> State:
        v = state.velocities + self._kick * state.forces
        x = state.positions + 0.5 * self.step * v
        v = self._decay * v + self._noise * rng.standard_normal(v.shape)
        x += 0.5 * self.step * v
        energies, forces = forces_of(x)
        return State(x, v + self._kick * forces, forces, energies)


@dataclass(frozen=True, eq=False)
class Bussi:
    """Velocity Verlet, then all velocities of a copy times one random number, which draws its kinetic energy from the
    canonical distribution (G. Bussi, D. Donadio and M. Parrinello, J. Chem. Phys. 126, 014101 (2007), appendix).

    heat kT, eV; freedom: degrees of freedom that move; relaxation: the time in which the kinetic energy forgets."""

    verlet: VelocityVerlet
    heat: float
    freedom: int
    relaxation: float

    def advance(self, state: State, forces_of: ForcesOf, rng: np.random.Generator) -> State:
        moved = self.verlet.advance(state, forces_of, rng)
        factors = self.factors(kinetic_energies(moved.velocities, self.verlet.masses), rng)
        return moved._replace(velocities=moved.velocities * factors[:, None, None])

    def factors(self, kinetic: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What the velocities of copies of kinetic energies (K,), eV, are multiplied by, (K,)."""
        decay = np.exp(-self.verlet.step / self.relaxation)
        share = (1 - decay) * 0.5 * self.heat / kinetic
        one = np.sqrt(decay) + np.sqrt(share) * rng.standard_normal(len(kinetic))
        others = rng.chisquare(self.freedom - 1, len(kinetic)) if self.freedom > 1 else 0.0
        return np.copysign(np.sqrt(one**2 + share * others), one)


def kinetic_energies(velocities: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Of velocities (K, N, 3), (K,), eV; masses (N, 1), u."""
    return 0.5 * (masses * velocities**2).sum(axis=(1, 2))


def thermal_velocities(
    masses: np.ndarray, heat: float, whole: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Velocities (N, 3) drawn from Maxwell's and Boltzmann's distribution at kT = `heat`, eV; masses (N, 1), u.

    whole: the motions of the whole molecule (`rigid_motions`), to leave them out."""
    weighted = rng.standard_normal((len(masses), 3))
    if whole is not None:
        weighted -= (whole @ (whole.T @ weighted.ravel())).reshape(weighted.shape)
    return weighted * np.sqrt(heat / masses)
