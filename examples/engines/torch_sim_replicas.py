"""64 replicas of a molecule in torch-sim, one batch a step.

    python torch_sim_replicas.py ethanol.gossamer ethanol.npz [STEPS]

Needs pip install 'gossamer[torch-sim]'."""

import sys

import torch_sim as ts

import gossamer as gs
from gossamer.engines.torch_sim import GossamerModel


def main(model: str, data: str, steps: int = 100) -> None:
    start = gs.read(data, labels=False).atoms(0)
    final = ts.integrate(
        [start] * 64,
        GossamerModel(gs.load(model), guard="warn"),
        integrator=ts.integrators.nvt_langevin,
        n_steps=steps,
        temperature=300,
        timestep=0.0005,
    )
    print(f"64 replicas, {steps} steps: energies {final.energy.mean():.3f} +- {final.energy.std():.3f} eV")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:4]))
