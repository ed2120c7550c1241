"""Small molecules with symmetry, and labelled structures of them.  Everything is made here from seeds."""

import numpy as np
from ase import Atoms
from ase.build import molecule

from gossamer.chemistry.graph import MolecularGraph
from gossamer.data.dataset import Dataset

CORNERS = np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]) / 3**0.5  # of a tetrahedron


def beside(name, shift, turn=0.0):
    """Two molecules, the second turned about x (degrees) and shifted (Angstrom)."""
    one, two = molecule(name), molecule(name)
    two.rotate(turn, "x")
    two.translate(shift)
    return one + two


def methyl(carbon, out):
    """Positions (4, 3) of a methyl group, its carbon bonded against the direction `out`."""
    out = np.array(out, dtype=float) / np.linalg.norm(out)
    side = np.cross(out, [0.3, 0.5, 0.8])
    side /= np.linalg.norm(side)
    turns = [np.cos(a) * side + np.sin(a) * np.cross(out, side) for a in np.radians([0, 120, 240])]
    return np.array([carbon, *(carbon + 0.36 * out + 1.03 * turn for turn in turns)])


def neopentane():
    groups = np.concatenate([methyl(1.54 * corner, corner) for corner in CORNERS])
    return Atoms("C" + 4 * "CH3", np.concatenate([np.zeros((1, 3)), groups]))


def xylene():
    """Benzene with methyl groups in para position."""
    ring = molecule("C6H6")
    rest = [a for a in range(12) if a not in (6, 9)]
    groups = [methyl(2.08 * ring.positions[c], ring.positions[c]) for c in (0, 3)]
    return Atoms("C6H4" + 2 * "CH3", np.concatenate([ring.positions[rest], *groups]))


def enol(ends="H"):
    """O-C-C-C-O in a plane, closed by a hydrogen halfway between the oxygens: malonaldehyde, or with methyl groups at
    the ends acetylacetone."""
    frame = [(-1.2, 0, 0), (1.2, 0, 0), (-1.2, 1.28, 0), (1.2, 1.28, 0), (0, 2, 0), (0, -0.25, 0), (0, 3.08, 0)]
    if ends == "H":
        return Atoms("O2C3H4", np.array([*frame, (-2.14, 1.84, 0), (2.14, 1.84, 0)]))
    groups = [methyl(np.array([side * 2.47, 2.05, 0]), (side * 1.27, 0.77, 0)) for side in (-1, 1)]
    return Atoms("O2C3H2" + 2 * "CH3", np.concatenate([np.array(frame), *groups]))


def acid_dimer():
    """Two acetic acids, each with its hydrogen between two oxygens."""
    one = molecule("CH3COOH")
    oxygens = np.flatnonzero(one.numbers == 8)
    (carbon,) = [c for c in np.flatnonzero(one.numbers == 6) if one.get_distances(c, oxygens).max() < 1.6]
    out = one.positions[oxygens].mean(axis=0) - one.positions[carbon]
    two = one.copy()
    two.positions = 2 * (one.positions[carbon] + 1.95 * out / np.linalg.norm(out)) - one.positions
    return one + two


def dichloroethane():
    """ClCH2CH2Cl, all of which both carbons see within two bonds."""
    ethane = molecule("C2H6")
    chlorine = [min(range(2, 8), key=lambda h: ethane.get_distance(c, h)) for c in (0, 1)]
    atoms = ethane[[chlorine[0], 0, 1, chlorine[1], *(h for h in range(2, 8) if h not in chlorine)]]
    atoms.numbers[[0, 3]] = 17
    for cl, c in ((0, 1), (3, 2)):
        atoms.set_distance(cl, c, 1.8, fix=1)
    return atoms


MOLECULES = {
    "methane": lambda: molecule("CH4"),
    "water": lambda: molecule("H2O"),
    "ammonia": lambda: molecule("NH3"),
    "hydrogen peroxide": lambda: molecule("H2O2"),
    "ethanol": lambda: molecule("CH3CH2OH"),
    "ethane": lambda: molecule("C2H6"),
    "ethylene": lambda: molecule("C2H4"),
    "propane": lambda: molecule("C3H8"),
    "dimethyl ether": lambda: molecule("CH3OCH3"),
    "acetamide": lambda: molecule("CH3CONH2"),
    "isobutane": lambda: molecule("isobutane"),
    "cyclobutane": lambda: molecule("cyclobutane"),
    "benzene": lambda: molecule("C6H6"),
    "neopentane": neopentane,
    "p-xylene": xylene,
    "malonaldehyde": enol,
    "acetylacetone": lambda: enol("CH3"),
    "dichloroethane": dichloroethane,
    "water dimer": lambda: beside("H2O", (0.0, 0.4, 2.9)),
    "ammonia dimer": lambda: beside("NH3", (0.0, 0.5, 3.2), 180),
    "methane dimer": lambda: beside("CH4", (0.0, 0.0, 3.7)),
    "acetic acid dimer": acid_dimer,
}


def labelled(name, n=30, seed=0, renamed=True):
    """n shaken structures of a molecule with the forces and energies of springs between all atoms, alike for like ones.

    renamed: by permutations that bonds and handedness allow, so that the structures show these."""
    atoms, rng = MOLECULES[name](), np.random.default_rng(seed)
    z, R = atoms.numbers, atoms.positions + 0.04 * rng.normal(size=(n, len(atoms), 3))
    if renamed:
        generators, _ = MolecularGraph.build(R, z).generators()
        for frame in R:
            for perm in generators:
                for _ in range(rng.integers(4)):
                    frame[:] = frame[perm]
    i, j = np.triu_indices(len(z), 1)
    d = R[:, i] - R[:, j]
    r = np.linalg.norm(d, axis=-1)
    width = np.sqrt(z[i] + z[j])
    e = np.exp(-((r / width) ** 2))
    push = (2 * r / width**2 * e)[..., None] * d / r[..., None]
    forces = np.zeros_like(R)
    for k in range(len(i)):
        forces[:, i[k]] += push[:, k]
        forces[:, j[k]] -= push[:, k]
    return Dataset(z, R, forces, e.sum(axis=1))
