"""Time of a step against the size of the molecule: polyalanine Ac-Ala_n-NHMe, n = 1 ... 20, 22 to 212 atoms.

    python benchmarks/bench_scaling.py

Geometries are ideal extended chains, training structures the same with every atom displaced at random, coefficients
random: cost depends on none of these.  Full: all pairs, growing as N^2.  Reduced: 8 pairs per atom, about as many as
reduction keeps of a peptide, half of them the shortest and half drawn from the rest; M = 1000.  Terms: the local terms
of the default model, with their places and exchanges, beside a global term of one permutation over 3 drawn pairs per
atom, half as many again as the reduction of Ac-Ala3 leaves it (`make demo`); M = 200, since sums of terms need fewer
structures (docs/accuracy.md); residues share their terms up to 12 places, as by default, or up to 4.  One thread.
Writes results/scaling.json and results/scaling.svg.
"""

import os

import matplotlib
import numpy as np
from common import RESULTS, median_seconds, save, table

from gossamer.chemistry.fragments import local_fragments
from gossamer.kernels import Matern52
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.fragment_terms import term_of
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

M, M_TERMS = 1000, 200
PAIRS_PER_ATOM, GLOBAL_PER_ATOM = 8, 3
KINDS = {
    "full": f"all pairs, M = {M}",
    "reduced": f"reduced, M = {M}",
    "terms": f"sum of terms, M = {M_TERMS}",
    "terms, 4 places": "the same, at most 4 places a term",
}
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
    numbers: np.ndarray,
    positions: np.ndarray,
    pairs: PairSet,
    terms: list[Term],
    n_train: int,
    rng: np.random.Generator,
) -> ForceField:
    """`terms` over `pairs` with random coefficients, row by row so that no (M, P, 3) array is made."""
    i, j = pairs.pairs.T
    X = np.empty((n_train, len(pairs)))
    for row in X:
        moved = positions + 0.1 * rng.normal(size=positions.shape)
        row[:] = 1 / np.linalg.norm(moved[i] - moved[j], axis=1)
    rows = [X[:, term.places].reshape(-1, term.n_pairs) for term in terms]
    coefficients = tuple(TermCoefficients(x, 1e-3 * rng.normal(size=x.shape)) for x in rows)
    return ForceField(numbers, pairs, tuple(terms), coefficients)


def sum_of_terms(
    numbers: np.ndarray, positions: np.ndarray, max_places: int, rng: np.random.Generator
) -> tuple[PairSet, list[Term]]:
    """Local terms and a global one over GLOBAL_PER_ATOM drawn pairs per atom, and the pairs that they see."""
    full = PairSet.full(len(numbers))
    moved = positions + 0.1 * rng.normal(size=(20, *positions.shape))
    local = [
        term_of(fragment, full, Matern52(5.0)) for fragment in local_fragments(moved, numbers, max_places=max_places)
    ]
    seen = np.unique(np.concatenate([term.places.ravel() for term in local]))
    drawn = np.sort(rng.permutation(len(full))[: GLOBAL_PER_ATOM * len(numbers)])
    kept = full.keep(np.union1d(seen, drawn))
    whole = Term(drawn[None], np.arange(len(drawn))[None], Matern52(20.0))
    terms = [term.over(full, kept) for term in (*local, whole)]
    return kept, [term for term in terms if term is not None]


def reduced(pairs: PairSet, positions: np.ndarray, rng: np.random.Generator) -> PairSet:
    """PAIRS_PER_ATOM pairs per atom: half the shortest, half drawn from the others."""
    r = np.linalg.norm(positions[pairs.pairs[:, 0]] - positions[pairs.pairs[:, 1]], axis=1)
    order, half = np.argsort(r), PAIRS_PER_ATOM * len(positions) // 2
    return pairs.keep(np.sort(np.concatenate([order[:half], rng.permutation(order[half:])[:half]])))


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Slope of log(time) against log(N)."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def plot(rows: list[dict[str, object]], exponents: dict[str, float]) -> None:
    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    for kind, name in KINDS.items():
        mine = [row for row in rows if row["descriptor"] == kind]
        label = f"{name}: N^{exponents[kind]:.2f}"
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


def main() -> None:
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for n in (1, 2, 3, 4, 5, 7, 10, 14, 20):
        numbers, positions = polyalanine(n)
        full = PairSet.full(len(numbers))
        few = reduced(full, positions, rng)
        makeups = {
            "full": (full, [Term.over_all(full, np.arange(len(numbers))[None], Matern52(20.0))], M),
            "reduced": (few, [Term.over_all(few, np.arange(len(numbers))[None], Matern52(20.0))], M),
            "terms": (*sum_of_terms(numbers, positions, 12, rng), M_TERMS),
            "terms, 4 places": (*sum_of_terms(numbers, positions, 4, rng), M_TERMS),
        }
        for kind, (pairs, terms, n_train) in makeups.items():
            model = random_model(numbers, positions, pairs, terms, n_train, rng)
            evaluate = model.evaluator(threads=1).one
            seconds = median_seconds(lambda e=evaluate, R=positions: e(R), REPEATS)
            rows.append(
                {
                    "n": n, "N": len(numbers), "descriptor": kind, "pairs": len(pairs), "terms": len(terms),
                    "images": sum(term.n_images for term in terms), "M": n_train,
                    "float32 rows": bool(evaluate.flat.floats.size), "ms per structure": 1e3 * seconds,
                }
            )  # fmt: skip
    exponents = {}
    for kind in KINDS:
        mine = [(int(str(r["N"])), float(str(r["ms per structure"]))) for r in rows if r["descriptor"] == kind]
        exponents[kind] = exponent(*map(list, zip(*mine, strict=True)))
    save("scaling", {"load when done": os.getloadavg(), "exponents": exponents, "cases": rows})
    plot(rows, exponents)
    table(rows)
    print(exponents)


if __name__ == "__main__":
    main()
