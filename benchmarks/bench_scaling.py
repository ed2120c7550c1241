"""Time of a step against the size of the molecule: polyalanine Ac-Ala_n-NHMe, n = 1 ... 20, 22 to 212 atoms.

    python benchmarks/bench_scaling.py
    python benchmarks/bench_scaling.py --real 100       # trained models of alkanes and peptides of the shared data

Geometries are ideal extended chains, training structures the same with every atom displaced at random, coefficients
random: cost depends on none of these.  Full: one global term over all pairs, growing as N^2.  Reduced: 8 pairs per
atom, half of them the shortest and half drawn from the rest; M = 1000.  Pairs: what `--terms pairs` makes, local terms,
pair functions and the wall, without permutations of the whole molecule; M = 200, since sums of terms need fewer
structures (docs/accuracy.md).  Condensed: the same with REPRESENTATIVES rows of every term, about as many as
`--condense` leaves those of Ac-Ala3 (docs/decisions/0015-sparse-terms.md).  One thread; all models are
timed in turn, the least of TURNS medians.  Writes results/scaling.json and results/scaling.svg.

--real M: trains on M structures of every molecule, condenses, and writes the numbers of rows and representatives and
the time of a step with either to results/scaling_real.json, a row for every molecule.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace

import matplotlib
import numpy as np
from common import KCAL, RESULTS, SHARED, keep, median_seconds, save, table

import gossamer as gs
from gossamer.baselines.repulsion import Repulsion
from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.fitting.makeup import makeup_of
from gossamer.kernels import Matern52
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

M, M_TERMS = 1000, 200
PAIRS_PER_ATOM, REPRESENTATIVES = 8, 100
KINDS = {
    "full": f"global, all pairs, M = {M}",
    "reduced": f"global, {PAIRS_PER_ATOM} pairs per atom, M = {M}",
    "pairs": f"local terms and pair functions, M = {M_TERMS}",
    "condensed": f"the same, {REPRESENTATIVES} representatives a term",
}
LARGE = 42  # atoms, from which on every term has several places
REAL = (
    "alkane_C4H10", "alkane_C6H14", "alkane_C8H18", "alkane_C10H22", "alkane_C12H26", "alkane_C15H32",
    "xtb_Ac-Ala1-NHMe", "xtb_Ac-Ala2-NHMe", "xtb_Ac-Ala3-NHMe", "xtb_Ac-Ala5-NHMe",
)  # fmt: skip
TURNS = 6
REPEATS = 60

# of the backbone N, CA, C: bond from the atom before (Angstrom), angle there and dihedral of the bond (degrees)
BOND = {"N": 1.34, "CA": 1.46, "C": 1.53}
ANGLE = {"N": 116.0, "CA": 122.0, "C": 110.0}
DIHEDRAL = {"N": 135.0, "CA": 180.0, "C": -139.0}


def attach(a: np.ndarray, b: np.ndarray, c: np.ndarray, length: float, angle: float, dihedral: float) -> np.ndarray:
    """The point at `length` from c that makes `angle` with c-b and `dihedral` with c-b-a (Angstrom, degrees)."""
    angle, dihedral = np.radians(angle), np.radians(dihedral)
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal)
    local = [-np.cos(angle), np.sin(angle) * np.cos(dihedral), np.sin(angle) * np.sin(dihedral)]
    return c + length * (local[0] * axis + local[1] * np.cross(normal, axis) + local[2] * normal)


def polyalanine(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (N,) and positions (N, 3) of an extended Ac-Ala_n-NHMe, N = 12 + 10 n."""
    chain = [np.zeros(3), np.array([1.53, 0.0, 0.0])]  # CH3 and C of the acetyl group
    chain.append(attach(np.array([0.0, 1.0, 0.0]), *chain, 1.34, 116.0, 180.0))  # N
    names = ["CA", "C", "N"]
    for _ in range(n):
        for name in ("CA", "C", "N"):
            chain.append(attach(*chain[-3:], BOND[name], ANGLE[name], DIHEDRAL[name]))
            names.append(name)
    chain.append(attach(*chain[-3:], 1.46, 122.0, 180.0))  # CH3 of the amide
    names.append("CA")
    numbers, atoms = [], []
    last = len(chain) - 1
    for k, (name, here) in enumerate(zip(names, chain, strict=True)):
        before = chain[k - 1] if k else chain[1]
        other = chain[k - 2] if k > 1 else chain[2]
        numbers.append(7 if name == "N" else 6)
        atoms.append(here)
        if k in (0, last):
            hydrogens = [attach(other, before, here, 1.09, 109.5, turn) for turn in (60.0, 180.0, 300.0)]
        elif name == "N":
            hydrogens = [attach(chain[k + 1], before, here, 1.01, 119.0, 180.0)]
        elif name == "C":
            numbers.append(8)
            atoms.append(attach(chain[k + 1], before, here, 1.23, 121.0, 180.0))
            hydrogens = []
        else:
            hydrogens = [attach(chain[k + 1], before, here, 1.09, 109.0, 120.0)]
            beta = attach(chain[k + 1], before, here, 1.53, 110.0, 240.0)
            numbers.append(6)
            atoms.append(beta)
            hydrogens += [attach(before, here, beta, 1.09, 109.5, turn) for turn in (60.0, 180.0, 300.0)]
        numbers += [1] * len(hydrogens)
        atoms += hydrogens
    return np.array(numbers), np.array(atoms)


def random_model(
    numbers: np.ndarray, positions: np.ndarray, pairs: PairSet, n_train: int, rng: np.random.Generator
) -> ForceField:
    """One global term over `pairs` with random coefficients, row by row so that no (M, P, 3) array is made."""
    i, j = pairs.pairs.T
    X = np.empty((n_train, len(pairs)))
    for row in X:
        moved = positions + 0.1 * rng.normal(size=positions.shape)
        row[:] = 1 / np.linalg.norm(moved[i] - moved[j], axis=1)
    term = Term.over_all(pairs, np.arange(len(numbers))[None], Matern52(20.0))
    return ForceField(numbers, pairs, (term,), (_coefficients(X, rng),))


def sum_of_pairs(numbers: np.ndarray, positions: np.ndarray, rng: np.random.Generator) -> ForceField:
    """What `--terms pairs` makes of M_TERMS structures, with random coefficients."""
    train = Dataset(numbers, positions + 0.1 * rng.normal(size=(M_TERMS, *positions.shape)))
    nothing = Symmetry.trivial(len(numbers))
    made = makeup_of("pairs", train, nothing, PairSet.full(len(numbers)), lambda smooth: Matern52(5.0))
    assert made.functions is not None
    assert isinstance(made.pairs, PairSet)
    i, j = made.pairs.pairs.T
    X = 1 / np.linalg.norm(train.positions[:, i] - train.positions[:, j], axis=2)
    coefficients = tuple(_coefficients(X[:, term.places].reshape(-1, term.n_pairs), rng) for term in made.terms)
    functions = replace(made.functions, coefficients=1e-3 * rng.normal(size=made.functions.shape))
    wall = Repulsion.between(train.positions, numbers, nothing.perms)
    return ForceField(numbers, made.pairs, made.terms, coefficients, functions=functions, baselines=(wall,))


def _coefficients(X: np.ndarray, rng: np.random.Generator) -> TermCoefficients:
    return TermCoefficients(X, 1e-3 * rng.normal(size=X.shape))


def thinned(model: ForceField, n: int, rng: np.random.Generator) -> ForceField:
    """With n rows of every term, drawn, as its representatives."""
    few = []
    for c in model.coefficients:
        rows = rng.permutation(len(c.X))[:n]
        few.append(replace(c, few=TermCoefficients(c.X[rows], c.V[rows])) if n < len(c.X) else c)
    return replace(model, coefficients=tuple(few))


def reduced(pairs: PairSet, positions: np.ndarray, rng: np.random.Generator) -> PairSet:
    """PAIRS_PER_ATOM pairs per atom: half the shortest, half drawn from the others."""
    r = np.linalg.norm(positions[pairs.pairs[:, 0]] - positions[pairs.pairs[:, 1]], axis=1)
    order, half = np.argsort(r), PAIRS_PER_ATOM * len(positions) // 2
    return pairs.keep(np.sort(np.concatenate([order[:half], rng.permutation(order[half:])[:half]])))


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Slope of log(time) against log(N)."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def plot(rows: list[dict[str, object]], exponents: dict[str, dict[str, float]]) -> None:
    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    for kind, name in KINDS.items():
        mine = [row for row in rows if row["descriptor"] == kind]
        label = f"{name}: N^{exponents[kind][f'from {LARGE} atoms']:.2f}"
        axes.loglog([row["N"] for row in mine], [row["ms per structure"] for row in mine], "o-", label=label)
    axes.set_xlabel("atoms N of Ac-Ala$_n$-NHMe")
    axes.set_ylabel("energy and forces of one structure, ms")
    axes.set_title("One core, random coefficients", fontsize=10)
    axes.set_xticks([22, 42, 82, 142, 212], ["22", "42", "82", "142", "212"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "scaling.svg")


def step_times(cases: Sequence[tuple[ForceField, np.ndarray]]) -> list[float]:
    """Seconds of a step of each model at its positions (N, 3) on one thread: the least of TURNS medians, all models in
    turn, so that what else the machine does meets all of them."""
    steps = [(model.evaluator(threads=1).one, positions) for model, positions in cases]
    times = [[median_seconds(lambda e=e, R=R: e(R), REPEATS // TURNS) for e, R in steps] for _ in range(TURNS)]
    return np.min(times, axis=0).tolist()


def kernels(model: ForceField) -> int:
    """Evaluated in a step: rows times places times exchanges of every term."""
    sides = zip(model.terms, model.summed, strict=True)
    return sum(len(c.X) * term.n_places * len(term.perms) for term, c in sides)


def made_up() -> None:
    """Polyalanine with random coefficients."""
    rng = np.random.default_rng(0)
    cases: list[tuple[int, str, ForceField, np.ndarray]] = []
    for n in (1, 2, 3, 4, 5, 7, 10, 14, 20):
        numbers, positions = polyalanine(n)
        full = PairSet.full(len(numbers))
        summed = sum_of_pairs(numbers, positions, rng)
        models = {
            "full": random_model(numbers, positions, full, M, rng),
            "reduced": random_model(numbers, positions, reduced(full, positions, rng), M, rng),
            "pairs": summed,
            "condensed": thinned(summed, REPRESENTATIVES, rng),
        }
        cases += [(n, kind, model, positions) for kind, model in models.items()]
    rows: list[dict[str, object]] = [
        {
            "n": n, "N": len(positions), "descriptor": kind, "pairs": len(model.pairs), "terms": len(model.terms),
            "most places": max(term.n_places for term in model.terms), "kernels": kernels(model),
            "M": model.n_train, "ms per structure": 1e3 * seconds,
        }
        for (n, kind, model, positions), seconds in zip(cases, step_times([case[2:] for case in cases]), strict=True)
    ]  # fmt: skip
    exponents = {}
    for kind in KINDS:
        mine = [(int(str(r["N"])), float(str(r["ms per structure"]))) for r in rows if r["descriptor"] == kind]
        large = [one for one in mine if one[0] >= LARGE]
        exponents[kind] = {
            f"from {some[0][0]} atoms": exponent(*map(list, zip(*some, strict=True))) for some in (mine, large)
        }
    save("scaling", {"load when done": os.getloadavg(), "exponents": exponents, "cases": rows})
    plot(rows, exponents)
    table(rows)
    print(exponents)


def real(n_train: int) -> None:
    """Trained models, before and after representatives."""
    rows: list[dict[str, object]] = []
    for name in REAL:
        data = gs.read(SHARED / f"{name}.npz")
        train, valid, test = data.split(n_train, 50, 50, seed=0)
        model = gs.train(train, valid, terms="pairs").model
        few = gs.condense(model, train, valid)
        before, after = step_times([(model, test.positions[0]), (few, test.positions[0])])
        sums = [sum(len(c.X) for c in one.summed) for one in (model, few)]
        errors = [one.errors(test).force_mae / KCAL for one in (model, few)]
        rows = keep(
            "scaling_real",
            {
                "molecule": name, "N": data.n_atoms, "M": n_train, "pairs": len(model.pairs),
                "terms": len(model.terms), "rows": sums[0], "representatives": sums[1],
                "force MAE, kcal/mol/A": errors[0], "condensed": errors[1],
                "ms": 1e3 * before, "condensed, ms": 1e3 * after,
            },
            lambda row: (str(row["molecule"]).partition("_")[0], f"{row['N']:3}", row["M"]),
        )  # fmt: skip
        print(rows[-1], flush=True)
    table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=int, metavar="M", help="train on M structures of every molecule instead")
    asked = parser.parse_args()
    made_up() if asked.real is None else real(asked.real)


if __name__ == "__main__":
    main()
