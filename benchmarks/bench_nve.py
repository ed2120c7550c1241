"""How well is energy conserved?  Drift and fluctuation of the total energy against the time step.

    python benchmarks/bench_nve.py --picoseconds 50 --runs 8

A model of ethanol is trained on 200 structures, brought to 300 K by 2 ps of Langevin dynamics, and run at constant
energy from there, with rows as stored by default ("auto"), where some are in float32, and in float64.  The drift is the
slope of a straight line through the energy that velocity Verlet conserves to the fourth power of the step
(`modification`), which stays as near to the total energy as that fluctuates, and hardly fluctuates itself: of all
steps, per atom and ns, with its standard error over the runs.  The fluctuation is that of the total energy, a standard
deviation."""

import argparse
import time
from typing import Any

import numpy as np
from ase import units
from ase.data import atomic_masses
from common import SHARED, save, table

import gossamer as gs
from gossamer.evaluate.precision import Precision
from gossamer.simulate.averages import drift_of
from gossamer.simulate.integrators import State, VelocityVerlet, kinetic_energies, thermal_velocities
from gossamer.simulate.rigid import rigid_motions
from gossamer.simulate.settings import MdSettings, steps_in

KELVIN, SETTLING = 300.0, 2.0  # K, ps
STEPS = (0.25, 0.5, 1.0, 2.0)  # fs


def settled(evaluate, numbers: np.ndarray, start: np.ndarray, seed: int) -> State:
    """After Langevin dynamics, neither flying nor turning."""
    rng, masses = np.random.default_rng(seed), atomic_masses[numbers]
    settings = MdSettings("langevin", steps_in(SETTLING, 0.5), KELVIN)
    langevin = settings.integrator(masses[:, None], start.size)
    velocities = thermal_velocities(masses[:, None], settings.heat, None, rng)
    state = State.begin(start[None], velocities[None], evaluate)
    for _ in range(settings.steps):
        state = langevin.advance(state, evaluate, rng)
    roots = np.sqrt(masses)[:, None]
    whole = rigid_motions(state.positions[0], masses)
    weighted = (roots * state.velocities[0]).ravel()
    return state._replace(velocities=((weighted - whole @ (whole.T @ weighted)).reshape(start.shape) / roots)[None])


def conserved(evaluate, masses: np.ndarray, state: State, step: float, picoseconds: float) -> dict[str, Any]:
    """Of one run: drift, eV per atom and ns; fluctuation, meV per atom; mean temperature, K."""
    verlet, rng = VelocityVerlet(step * units.fs, masses), np.random.default_rng(0)
    totals, kinetic = np.empty((2, steps_in(picoseconds, step))), np.empty(steps_in(picoseconds, step))
    began, before, state = time.perf_counter(), state, verlet.advance(state, evaluate, rng)
    for k in range(len(kinetic)):
        after = verlet.advance(state, evaluate, rng)
        kinetic[k] = kinetic_energies(state.velocities, masses)[0]
        totals[:, k] = state.energies[0] + kinetic[k]
        totals[1, k] += modification(before.forces[0], state, after.forces[0], masses, verlet.step)
        before, state = state, after
    (_, spread), (slope, _) = (drift_of(step * np.arange(len(kinetic)), of) for of in totals)
    return {
        "drift": 1e6 * slope / len(masses),
        "fluctuation": 1e3 * spread / len(masses),
        "kelvin": 2 * kinetic.mean() / ((masses.size * 3 - 6) * units.kB),
        "microseconds": 1e6 * (time.perf_counter() - began) / len(kinetic),
    }


def modification(before: np.ndarray, state: State, after: np.ndarray, masses: np.ndarray, step: float) -> float:
    """What the energy that velocity Verlet conserves has more than the true one, eV, to the second power of the step
    h: h^2 (v V'' v / 12 - F F / 24 m), with V'' v from the forces (N, 3) one step before and after (E. Hairer,
    C. Lubich and G. Wanner, Geometric Numerical Integration, chapter IX)."""
    stiff = -(state.velocities[0] * (after - before)).sum() / (2 * step)
    return float(step**2 * (stiff / 12 - (state.forces[0] ** 2 / masses).sum() / 24))


def _standard_error(values: list[float]) -> float | None:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picoseconds", type=float, default=50.0)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--steps", nargs="*", type=float, default=list(STEPS), help="fs")
    parser.add_argument("--model", help="a file of the model that would be trained")
    parser.add_argument("--keep", default="nve", help="name of the file of results")
    asked = parser.parse_args()
    train, valid, test = gs.read(SHARED / "xtb_ethanol.npz").split(200, 50, 100, seed=0)
    model = gs.load(asked.model) if asked.model else gs.train(train, valid, seed=0).model
    masses, rows = atomic_masses[model.numbers][:, None], []
    stored: tuple[Precision, ...] = ("auto", "float64") if any(model.evaluator().stored_single) else ("float64",)
    for precision in stored:
        one = model.evaluator(threads=1, precision=precision).one

        def evaluate(x, one=one):
            energy, forces = one(x[0])
            return np.array([energy]), forces[None]

        for step in asked.steps:
            runs = [
                conserved(evaluate, masses, settled(evaluate, model.numbers, start, r), step, asked.picoseconds)
                for r, start in enumerate(test.positions[: asked.runs])
            ]
            rows.append(
                {
                    "molecule": "ethanol", "M": 200, "rows": precision, "step, fs": step,
                    "picoseconds": asked.picoseconds, "runs": asked.runs,
                    "drift, eV/atom/ns": float(np.mean([run["drift"] for run in runs])),
                    "standard error": _standard_error([run["drift"] for run in runs]),
                    "fluctuation, meV/atom": float(np.mean([run["fluctuation"] for run in runs])),
                    "mean kelvin": float(np.mean([run["kelvin"] for run in runs])),
                    "microseconds a step": float(np.median([run["microseconds"] for run in runs])),
                }
            )  # fmt: skip
            table(rows[-1:])
            save(asked.keep, rows)


if __name__ == "__main__":
    main()
