"""Ethanol in a box of water: the molecule by the model, the water and what acts between them by a force field.

    python openmm_water.py ethanol.gossamer ethanol.npz [STEPS]

Needs pip install 'gossamer[openmm]', and a model of ethanol whose atoms are C C O and the hydrogens.  Charges and
Lennard-Jones parameters of the molecule towards the water are those of OPLS-AA; its inside needs none."""

import io
import sys

import numpy as np
import openmm
from openmm import app, unit
from openmmml import MLPotential

import gossamer as gs
from gossamer.chemistry.bonds import bond_graph

# class: charge in e, sigma in nm, epsilon in kJ/mol
OPLS = {
    "CH3": (-0.18, 0.35, 0.276144), "CH2": (0.145, 0.35, 0.276144), "O": (-0.683, 0.312, 0.71128),
    "HC": (0.06, 0.25, 0.12552), "HO": (0.418, 0.1, 0.0),
}  # fmt: skip


def classes(numbers: np.ndarray, bonds: np.ndarray) -> list[str]:
    """The class of every atom of ethanol in OPLS, from its bonds."""
    near = [[int(numbers[b[b != k][0]]) for b in bonds if k in b] for k in range(len(numbers))]
    names = {8: "O"}
    of_carbon = ["CH3" if neighbours.count(1) == 3 else "CH2" for neighbours in near]
    of_hydrogen = ["HO" if 8 in neighbours else "HC" for neighbours in near]
    return [names.get(z, of_carbon[k] if z == 6 else of_hydrogen[k]) for k, z in enumerate(numbers)]


def force_field(numbers: np.ndarray, bonds: np.ndarray) -> app.ForceField:
    """TIP3P water, and ethanol as it looks from outside."""
    elements = [app.Element.getByAtomicNumber(int(z)) for z in numbers]
    kinds = classes(numbers, bonds)
    types = [
        f'<Type name="eth{k}" class="eth{k}" element="{e.symbol}" mass="{e.mass._value}"/>'
        for k, e in enumerate(elements)
    ]
    atoms = [f'<Atom name="{e.symbol}{k}" type="eth{k}"/>' for k, e in enumerate(elements)]
    joined = [f'<Bond from="{i}" to="{j}"/>' for i, j in bonds]
    outside = [
        f'<Atom type="eth{k}" charge="{q}" sigma="{s}" epsilon="{e}"/>'
        for k, (q, s, e) in enumerate(map(OPLS.get, kinds))
    ]
    text = f"""<ForceField><AtomTypes>{"".join(types)}</AtomTypes>
      <Residues><Residue name="ETH">{"".join(atoms)}{"".join(joined)}</Residue></Residues>
      <NonbondedForce coulomb14scale="0.833333" lj14scale="0.5">{"".join(outside)}</NonbondedForce></ForceField>"""
    return app.ForceField("tip3p.xml", io.StringIO(text))


def main(model: str, data: str, steps: int = 200) -> None:
    start = gs.read(data, labels=False)
    bonds = bond_graph(start.positions, start.numbers)
    topology = app.Topology()
    residue = topology.addResidue("ETH", topology.addChain())
    atoms = []
    for k, z in enumerate(start.numbers):
        element = app.Element.getByAtomicNumber(int(z))
        atoms.append(topology.addAtom(f"{element.symbol}{k}", element, residue))
    for i, j in bonds:
        topology.addBond(atoms[i], atoms[j])
    outside = force_field(start.numbers, bonds)
    solvated = app.Modeller(topology, start.positions[0] * 0.1 * unit.nanometer)
    solvated.addSolvent(outside, padding=0.8 * unit.nanometer)
    conventional = outside.createSystem(
        solvated.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.7 * unit.nanometer, rigidWater=True
    )
    potential = MLPotential("gossamer", model=model, guard="warn")
    molecule = range(len(start.numbers))  # addSolvent leaves the molecule in front
    system = potential.createMixedSystem(solvated.topology, conventional, molecule)
    integrator = openmm.LangevinMiddleIntegrator(300, 1.0, 0.0005)
    simulation = app.Simulation(solvated.topology, system, integrator)
    simulation.context.setPositions(solvated.positions)
    simulation.minimizeEnergy(maxIterations=50)
    simulation.context.setVelocitiesToTemperature(300, 1)
    simulation.step(steps)
    state = simulation.context.getState(energy=True)
    print(f"{system.getNumParticles()} atoms, {steps} steps, potential energy {state.getPotentialEnergy()}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:4]))
