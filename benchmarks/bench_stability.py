"""Do the models survive molecular dynamics?  A model is judged by its trajectories, not by a test error.

    python benchmarks/bench_stability.py --only Ac-Ala3 DHA --picoseconds 20 --runs 3 --models full "no wall"

For every molecule a model is trained on 200 structures and run from structures of its test set: Langevin dynamics
(gossamer.simulate.integrators.Langevin; 0.5 fs, friction 10/ps, all atoms free) at the temperature given.  A run fails
when a bond of the training structures is STRETCHED, or two atoms three or more bonds apart are CRUSHED, or the energy
leaves everything; the time of that, the closest contact, the longest bond and the mean temperature are kept.
"""

import argparse
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from ase import units
from ase.data import atomic_masses
from common import SHARED, save, table

import gossamer as gs
from gossamer.baselines.repulsion import contact_distances
from gossamer.chemistry.bonds import bond_distances, bond_graph, radius_sums
from gossamer.simulate.integrators import Langevin, State, kinetic_energies, thermal_velocities

STEP, FRICTION = 0.5, 0.01  # fs, 1/fs
STRETCHED, CRUSHED = 1.7, 0.5  # of the sum of covalent radii; of the sum of van der Waals radii
EVERY = 20  # steps between looks


class System(NamedTuple):
    file: str
    n_train: int
    kelvin: tuple[float, ...]


SYSTEMS = {
    "Ac-Ala3": System("xtb_Ac-Ala3-NHMe.npz", 200, (500.0, 300.0)),
    "DHA": System("xtb_DHA.npz", 200, (500.0,)),
    "AT-AT": System("xtb_AT-AT_400K.npz", 150, (400.0,)),
    "ethanol": System("xtb_ethanol.npz", 200, (500.0,)),
    "acetylacetone": System("acac_train_300K.npz", 200, (300.0, 500.0)),
    "aspirin": System("rmd17_aspirin_train.npz", 200, (500.0,)),
}


class Run(NamedTuple):
    """picoseconds until it failed, or all; reason: "" where it is intact; contact, bond: the least and greatest
    distance met, over the sums of van der Waals and covalent radii."""

    picoseconds: float
    reason: str
    contact: float
    bond: float
    kelvin: float
    microseconds: float  # of a step


def dynamics(model, train, start: np.ndarray, kelvin: float, picoseconds: float, seed: int) -> Run:
    evaluate, rng = model.evaluator(threads=1).one, np.random.default_rng(seed)
    mass, kT = atomic_masses[model.numbers][:, None], kelvin * units.kB
    langevin = Langevin(STEP * units.fs, mass, kT, FRICTION / units.fs)

    def forces_of(x):
        energy, force = evaluate(x[0])
        return np.array([energy]), force[None]

    bonds = bond_graph(train.positions, train.numbers)
    apart = np.argwhere(np.triu(bond_distances(bonds, train.n_atoms) >= 3))
    radii, contacts = radius_sums(train.numbers)[tuple(bonds.T)], contact_distances(train.numbers)[tuple(apart.T)]
    state = State.begin(start[None], thermal_velocities(mass, kT, None, rng)[None], forces_of)
    contact, bond, heat, looks, reason = np.inf, 0.0, 0.0, 0, ""
    n, began = int(picoseconds * 1000 / STEP), time.perf_counter()
    for k in range(1, n + 1):
        try:
            state = langevin.advance(state, forces_of, rng)
        except gs.GossamerError:
            reason = "atoms coincide or fly apart"
            break
        if k % EVERY:
            continue
        x = state.positions[0]
        contact = min(contact, (np.linalg.norm(x[apart[:, 0]] - x[apart[:, 1]], axis=1) / contacts).min())
        bond = max(bond, (np.linalg.norm(x[bonds[:, 0]] - x[bonds[:, 1]], axis=1) / radii).max())
        heat, looks = heat + 2 * kinetic_energies(state.velocities, mass)[0] / (x.size * units.kB), looks + 1
        if contact < CRUSHED or bond > STRETCHED or not np.isfinite(bond):
            reason = "atoms three bonds apart meet" if contact < CRUSHED else "a bond breaks"
            break
    micro = 1e6 * (time.perf_counter() - began) / k
    return Run(k * STEP / 1000, reason, float(contact), float(bond), heat / max(1, looks), micro)


def models_of(train, valid, names: list[str], seed: int) -> dict:
    made = {}
    if "full" in names:
        made["full"] = gs.train(train, valid, seed=seed).model
        if "no wall" in names:
            made["no wall"] = replace(made["full"], baselines=())
    if "reduced" in names:
        made["reduced"] = gs.reduce(train, valid, seed=seed).model
    if "global" in names:
        made["global"] = gs.train(train, valid, terms="global", seed=seed).model
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--models", nargs="*", choices=("full", "no wall", "reduced", "global"), default=["full"])
    parser.add_argument("--saved", metavar="FILE", help="run this model of the one molecule asked for, train none")
    parser.add_argument("--kelvin", type=float, nargs="*", help="temperatures other than the molecule's own")
    parser.add_argument("--picoseconds", type=float, default=20.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rows = []
    for name in asked.only:
        system = SYSTEMS[name]
        if not (SHARED / system.file).exists():
            continue
        data = gs.read(SHARED / system.file)
        train, valid, test = data.split(system.n_train, 50, asked.runs + 20, seed=asked.seed)
        saved = {"saved": gs.load(asked.saved)} if asked.saved else None
        for kind, model in (saved or models_of(train, valid, asked.models, asked.seed)).items():
            errors = model.test(test)
            for kelvin in asked.kelvin or system.kelvin:
                runs = [
                    dynamics(model, train, test.positions[r], kelvin, asked.picoseconds, r) for r in range(asked.runs)
                ]
                failed = [run for run in runs if run.reason]
                rows.append(
                    {
                        "molecule": name, "model": kind, "M": system.n_train, "kelvin": kelvin,
                        "picoseconds": asked.picoseconds, "runs": len(runs), "intact": len(runs) - len(failed),
                        "first failure, ps": min((run.picoseconds for run in failed), default=None),
                        "reasons": sorted({run.reason for run in failed}),
                        "closest contact": min(run.contact for run in runs),
                        "longest bond": max(run.bond for run in runs),
                        "mean kelvin": float(np.mean([run.kelvin for run in runs])),
                        "microseconds a step": float(np.median([run.microseconds for run in runs])),
                        "force MAE, meV/A": 1e3 * errors.force_mae,
                        "energy RMSE, meV": None if errors.energy_rmse is None else 1e3 * errors.energy_rmse,
                    }
                )  # fmt: skip
                table(rows[-1:])
                save("stability", rows)


if __name__ == "__main__":
    main()
