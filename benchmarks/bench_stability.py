"""Do the models survive molecular dynamics?  A model is judged by its trajectories, not by a test error.

    python benchmarks/bench_stability.py --only Ac-Ala3 DHA --picoseconds 20 --runs 3 --models full "no wall"

For every molecule a model is trained on 200 structures and run from structures of its test set: Langevin dynamics
(gossamer.simulate.integrators.Langevin; 0.5 fs, friction 10/ps, all atoms free) at the temperature given.  A run fails
when a bond of the training structures is STRETCHED, or two atoms three or more bonds apart are CRUSHED, or the energy
leaves everything; the time of that, the closest contact, the longest bond and the mean temperature are kept, and where
the labels are of GFN2-xTB and tblite is installed (extra qm) energies and forces of frames are compared with its own.
Rows of earlier runs stay in results/stability.json unless they are measured anew.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from ase import units
from ase.data import atomic_masses
from common import SHARED, keep, table

import gossamer as gs
from gossamer.baselines.calculator import CalculatorBaseline
from gossamer.baselines.repulsion import contact_distances
from gossamer.chemistry.bonds import bond_distances, bond_graph, radius_sums
from gossamer.simulate.integrators import Langevin, State, kinetic_energies, thermal_velocities

STEP, FRICTION = 0.5, 0.01  # fs, 1/fs
STRETCHED, CRUSHED = 1.7, 0.5  # of the sum of covalent radii; of the sum of van der Waals radii
EVERY, KEPT = 20, 2000  # steps between looks, and between frames kept


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

GFN2 = ("Ac-Ala3", "DHA", "AT-AT", "ethanol")  # whose labels are of GFN2-xTB


class Run(NamedTuple):
    """picoseconds until it failed, or all; reason: "" where it is intact; contact, bond: the least and greatest
    distance met, over the sums of van der Waals and covalent radii; frames (Q, N, 3): one of every picosecond."""

    picoseconds: float
    reason: str
    contact: float
    bond: float
    kelvin: float
    microseconds: float  # of a step
    frames: np.ndarray


class Watched(NamedTuple):
    """Bonds (B, 2), pairs three or more bonds apart (P, 2), and what their distances are divided by."""

    bonds: np.ndarray
    radii: np.ndarray
    apart: np.ndarray
    contacts: np.ndarray

    @classmethod
    def of(cls, data: gs.Dataset) -> "Watched":
        bonds = bond_graph(data.positions, data.numbers)
        apart = np.argwhere(np.triu(bond_distances(bonds, data.n_atoms) >= 3))
        radii = radius_sums(data.numbers)[tuple(bonds.T)]
        return cls(bonds, radii, apart, contact_distances(data.numbers)[tuple(apart.T)])

    def look(self, x: np.ndarray) -> tuple[float, float]:
        """The closest contact and the longest bond of a structure (N, 3)."""
        near, far = (np.linalg.norm(x[p[:, 0]] - x[p[:, 1]], axis=1) for p in (self.apart, self.bonds))
        return float((near / self.contacts).min()), float((far / self.radii).max())


def dynamics(model, train, start: np.ndarray, kelvin: float, picoseconds: float, seed: int) -> Run:
    evaluate, rng = model.evaluator(threads=1).one, np.random.default_rng(seed)
    mass, kT = atomic_masses[model.numbers][:, None], kelvin * units.kB
    langevin = Langevin(STEP * units.fs, mass, kT, FRICTION / units.fs)

    def forces_of(x):
        energy, force = evaluate(x[0])
        return np.array([energy]), force[None]

    web = Watched.of(train)
    state = State.begin(start[None], thermal_velocities(mass, kT, None, rng)[None], forces_of)
    contact, bond, heat, looks, reason, frames = np.inf, 0.0, 0.0, 0, "", []
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
        near, far = web.look(x)
        contact, bond = min(contact, near), max(bond, far)
        heat, looks = heat + 2 * kinetic_energies(state.velocities, mass)[0] / (x.size * units.kB), looks + 1
        if contact < CRUSHED or bond > STRETCHED or not np.isfinite(bond):
            reason = "atoms three bonds apart meet" if contact < CRUSHED else "a bond breaks"
            break
        if k % KEPT == 0:
            frames.append(x)
    micro = 1e6 * (time.perf_counter() - began) / k
    kept = np.array(frames).reshape(-1, *start.shape)
    return Run(k * STEP / 1000, reason, contact, bond, heat / max(1, looks), micro, kept)


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


def referenced(model, frames: np.ndarray) -> dict[str, float | None]:
    """RMS differences of the model to GFN2-xTB (extra `qm`) on structures of its own trajectories, meV and meV/A;
    nothing without tblite."""
    if not len(frames) or find_spec("tblite") is None:
        return {}
    energies, forces = CalculatorBaseline(model.numbers, "gfn2-xtb")(frames)
    told = model.predict(frames)
    apart = [1e3 * float(np.sqrt(((a - b) ** 2).mean())) for a, b in ((told.energies, energies), (told.forces, forces))]
    return {"frames": len(frames), "energy RMSE to GFN2, meV": apart[0], "force RMSE to GFN2, meV/A": apart[1]}


def met(data) -> tuple[float, float]:
    """The closest contact and the longest bond of the structures themselves, as of a Run."""
    web = Watched.of(data)
    found = [web.look(x) for x in data.positions]
    return min(contact for contact, _ in found), max(bond for _, bond in found)


def measured(name: str, kind: str, model, parts, kelvin: float, asked: argparse.Namespace) -> dict[str, object]:
    """The row of a model at a temperature."""
    train, test = parts
    arguments = [(model, train, test.positions[r], kelvin, asked.picoseconds, r) for r in range(asked.runs)]
    with ProcessPoolExecutor(asked.jobs, get_context("spawn")) as pool:
        runs = list(pool.map(dynamics, *zip(*arguments, strict=True)))
    failed, errors = [run for run in runs if run.reason], model.test(test)
    frames = np.concatenate([run.frames for run in runs])
    chosen = frames[np.linspace(0, len(frames) - 1, min(asked.frames, len(frames))).astype(int)]
    contact, bond = met(train)
    return {
        "molecule": name, "model": kind, "M": len(train), "kelvin": kelvin, "picoseconds": asked.picoseconds,
        "runs": len(runs), "intact": len(runs) - len(failed),
        "first failure, ps": min((run.picoseconds for run in failed), default=None),
        "reasons": sorted({run.reason for run in failed}),
        "closest contact": min(run.contact for run in runs), "of the data": contact,
        "longest bond": max(run.bond for run in runs), "the data's": bond,
        "mean kelvin": float(np.mean([run.kelvin for run in runs])),
        "microseconds a step": float(np.median([run.microseconds for run in runs])),
        "force MAE, meV/A": 1e3 * errors.force_mae,
        "energy RMSE, meV": None if errors.energy_rmse is None else 1e3 * errors.energy_rmse,
    } | (referenced(model, chosen) if name in GFN2 else {})  # fmt: skip


def key(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name in ("molecule", "model", "M", "kelvin"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--models", nargs="*", choices=("full", "no wall", "reduced", "global"), default=["full"])
    parser.add_argument("--saved", metavar="FILE", help="run this model of the one molecule asked for, train none")
    parser.add_argument("--name", default="saved", help="what to call the saved model")
    parser.add_argument("--kelvin", type=float, nargs="*", help="temperatures other than the molecule's own")
    parser.add_argument("--picoseconds", type=float, default=20.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each")
    parser.add_argument("--frames", type=int, default=50, help="frames of the runs to compare with GFN2-xTB")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for name in asked.only:
        system = SYSTEMS[name]
        if not (SHARED / system.file).exists():
            continue
        data = gs.read(SHARED / system.file)
        train, valid, test = data.split(system.n_train, 50, asked.runs + 20, seed=asked.seed)
        given = {asked.name: gs.load(asked.saved)} if asked.saved else None
        for kind, model in (given or models_of(train, valid, asked.models, asked.seed)).items():
            for kelvin in asked.kelvin or system.kelvin:
                row = measured(name, kind, model, (train, test), kelvin, asked)
                table([row])
                keep("stability", row, key)


if __name__ == "__main__":
    main()
