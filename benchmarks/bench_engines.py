"""What a step costs in every engine above the model itself, and nanoseconds a day.

    python benchmarks/bench_engines.py [--steps 1000] [--train 200]

Ac-Ala3-NHMe (42 atoms), one global kernel trained on 200 structures, 0.5 fs, one thread, NVE from 100 K; medians of 5
repeats.  The bare model is timed between the repeats of every engine, since other work on the machine moves both; time
of the processor ("CPU") suffers less from it than that of the clock.  Engines that are not installed are left out.
Goals: ASE 0.1 ms, LAMMPS 0.15, OpenMM 0.25 above the bare model."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet
from common import ROOT, save, table

import gossamer as gs
from gossamer.engines.decks import lammps_deck
from gossamer.model.force_field import ForceField

STEP_FS = 0.5
REPEATS = 5
REPLICAS = 64


def start(model: ForceField, positions: np.ndarray) -> Atoms:
    """The molecule at 100 K."""
    atoms = Atoms(model.numbers, positions)
    momenta = np.random.default_rng(0).normal(size=positions.shape)
    atoms.set_momenta(momenta * np.sqrt(units.kB * 100 * atoms.get_masses())[:, None])
    Stationary(atoms)
    return atoms


def in_ase(model: ForceField, atoms: Atoms) -> Callable[[int], object]:
    moving = atoms.copy()
    moving.calc = model.ase(threads=1)
    return VelocityVerlet(moving, timestep=STEP_FS * units.fs).run


def in_lammps(model: ForceField, atoms: Atoms) -> Callable[[int], object]:
    from gossamer.engines.lammps import attach
    from gossamer.engines.lammps import start as lammps

    lmp = lammps("-log", "none", "-screen", "none")
    with tempfile.TemporaryDirectory() as folder:
        lammps_deck(model, atoms.positions, Path(folder) / "deck")
        text = (
            (Path(folder) / "deck" / "in.lammps").read_text().replace("molecule.data", f"{folder}/deck/molecule.data")
        )
        lmp.commands_string("\n".join(line for line in text.splitlines() if not line.startswith("dump")))
    return attach(lmp, model).run


def in_openmm(model: ForceField, atoms: Atoms) -> Callable[[int], object]:
    import openmm
    from openmm import app
    from openmmml import MLPotential

    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    for number in model.numbers:
        topology.addAtom("X", app.Element.getByAtomicNumber(int(number)), residue)
    system = MLPotential("gossamer", model=model).createSystem(topology, removeCMMotion=False)
    integrator = openmm.VerletIntegrator(STEP_FS / 1000)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(atoms.positions * 0.1)
    context.setVelocities(atoms.get_velocities() * units.fs * 100)
    in_openmm.kept = context  # type: ignore[attr-defined]  # an integrator runs while its context lives
    return integrator.step


def in_torch_sim(model: ForceField, atoms: Atoms, replicas: int = 1) -> Callable[[int], object]:
    import torch
    import torch_sim as ts

    from gossamer.engines.torch_sim import GossamerModel

    begin, step = ts.integrators.nve(GossamerModel(model), dt=torch.tensor(STEP_FS * units.fs), kT=torch.tensor(0.01))
    state = begin(ts.io.atoms_to_state([atoms] * replicas, torch.device("cpu"), torch.float64), seed=1)

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            state = step(state)

    return run


ENGINES = {"ASE": in_ase, "LAMMPS": in_lammps, "OpenMM": in_openmm, "torch-sim": in_torch_sim}


def seconds(call: Callable[[], object], steps: int) -> np.ndarray:
    """Milliseconds a step, by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    call()
    return 1e3 * np.array([time.perf_counter() - clock, time.process_time() - processor]) / steps


def row(name: str, run: Callable[[int], object], bare: Callable[[], object], steps: int) -> dict[str, object]:
    """Medians over repeats of a step of the engine, of the bare model right after, and of their difference."""
    run(20)
    bare()
    pairs = [(seconds(lambda: run(steps), steps), seconds(bare, steps)) for _ in range(REPEATS)]
    whole, alone = np.swapaxes(pairs, 0, 1)
    clock, processor = np.median(whole - alone, axis=0)
    step = float(np.median(whole[:, 0]))
    return {
        "engine": name, "bare, ms": float(np.median(alone[:, 0])), "step, ms": step, "above, ms": float(clock),
        "above, CPU ms": float(processor), "ns/day": 86400 / step * STEP_FS * 1e-3,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--train", type=int, default=200)
    given = parser.parse_args()
    data = gs.read(ROOT / "examples" / "ac-ala3" / "ac-ala3.npz")
    model = gs.train(data.evenly(given.train), terms="global", length=20.0, noise=1e-6, symmetry="none").model
    atoms = start(model, data.positions[0])
    evaluate, many = model.evaluator(threads=1).one, model.evaluator(threads=1).many
    batch = np.repeat(data.positions[:1], REPLICAS, axis=0)
    few = max(1, given.steps // REPLICAS)
    rows = []
    for name, engine in ENGINES.items():
        try:
            run = engine(model, atoms)
        except (ImportError, gs.GossamerError) as missing:
            print(f"{name}: left out ({missing})")
            continue
        rows.append(row(name, run, lambda: [evaluate(atoms.positions) for _ in range(given.steps)], given.steps))
        if name == "torch-sim":
            run = in_torch_sim(model, atoms, REPLICAS)
            found = row(f"{name}, {REPLICAS} replicas", run, lambda: [many(batch) for _ in range(few)], few)
            rows.append(found | {"ns/day": found["ns/day"] * REPLICAS})  # type: ignore[operator]
    save("engines", {"load when done": os.getloadavg(), "atoms": data.n_atoms, "M": given.train, "engines": rows})
    table(rows)


if __name__ == "__main__":
    main()
