"""The product K v of training: its share of the machine's float64 matrix-multiply rate.

    python benchmarks/bench_product.py [--cpu]

The rate is that of torch.matmul on the same shapes, measured in turn with the product in the same run:
(HM, P) x (P, M) and twice (HM, M) x (M, P), H permutations and M rows.  Compiled code sums over permutations in fewer
operations, so its share can exceed 1.  Small terms: 40 terms of 10 to 55 pairs with up to 6 permutations and up to 3
places.  --cpu counts processor time on one thread instead of wall time, for machines that are shared.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from common import ROOT, save, table

import gossamer as gs
from gossamer.backends.numba.layout import reads_in_blocks
from gossamer.chemistry.symmetry import find_symmetry
from gossamer.fitting.operator import KernelOperator
from gossamer.fitting.resources import term_sizes
from gossamer.kernels import Matern52
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

REPEATS = 7


def small_terms(pairs: PairSet, rng: np.random.Generator, count: int = 40) -> tuple[Term, ...]:
    """Terms of the sizes that local terms have; which pairs they look at does not matter to their cost."""
    terms = []
    for _ in range(count):
        atoms = int(rng.integers(5, 12))
        n_pairs, places = atoms * (atoms - 1) // 2, int(rng.choice([1, 1, 2, 3]))
        swap, turn = np.arange(n_pairs), np.arange(n_pairs)
        swap[[0, 1]], turn[[2, 3, 4]] = [1, 0], [3, 4, 2]
        group = {1: [np.arange(n_pairs)], 2: [np.arange(n_pairs), swap]}
        group[6] = [p[t] for p in group[2] for t in (np.arange(n_pairs), turn, turn[turn])]
        perms = np.array(group[int(rng.choice([1, 2, 6]))])
        terms.append(
            Term(np.array([rng.permutation(len(pairs))[:n_pairs] for _ in range(places)]), perms, Matern52(2.0))
        )
    return tuple(terms)


def alternating(calls: list[Callable[[], object]], clock: Callable[[], float]) -> list[float]:
    """Median seconds of each call, measured in turn so that all meet the same load."""
    times: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(REPEATS):
        for call, kept in zip(calls, times, strict=True):
            began = clock()
            call()
            kept.append(clock() - began)
    return [statistics.median(kept) for kept in times]


def multiplications(terms: tuple[Term, ...], n_structures: int) -> Callable[[], None]:
    """The three matrix products of every term, whole, on random numbers."""
    shapes = {(t.perms, t.rows, t.pairs) for t in term_sizes(terms, n_structures)}
    random = {
        (H, M, P): (torch.randn(H * M, P, dtype=torch.float64), torch.randn(M, P, dtype=torch.float64),
                    torch.empty(H * M, M, dtype=torch.float64), torch.empty(H * M, P, dtype=torch.float64))
        for H, M, P in shapes
    }  # fmt: skip

    def run() -> None:
        for t in term_sizes(terms, n_structures):
            x, X, square, out = random[t.perms, t.rows, t.pairs]
            torch.matmul(x, X.T, out=square)
            torch.matmul(square, X, out=out)
            torch.matmul(square, X, out=out)

    return run


def measure(
    what: str, terms: tuple[Term, ...], pairs: PairSet, data: gs.Dataset, cache: float, clock: Callable[[], float]
) -> dict[str, object]:
    K = KernelOperator.build(terms, pairs, torch.from_numpy(data.positions), 1e-8, cache_bytes=cache)
    v = torch.randn(K.size, dtype=torch.float64)
    square = torch.randn(2048, 2048, dtype=torch.float64)
    product, same, peak = alternating(
        [lambda: K @ v, multiplications(terms, len(data)), lambda: square @ square], clock
    )
    operations = sum(6.0 * t.factors * t.pairs for t in term_sizes(terms, len(data)))
    ways = {True: "compiled", False: "products, cached" if cache else "products, made anew"}
    return {
        "what": what, "M": len(data), "terms": len(terms), "factors": ways[reads_in_blocks(terms[0])],
        "s": product, "GFLOP/s": operations / product / 1e9, "matmul of these shapes": operations / same / 1e9,
        "matmul 2048": 2 * 2048**3 / peak / 1e9, "share of these shapes": same / product,
        "share of 2048": operations / product / (2 * 2048**3 / peak),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="processor time of one thread")
    parser.add_argument("--sizes", type=int, nargs=2, default=(1000, 300), help="structures: one term, small terms")
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    if options.cpu:
        torch.set_num_threads(1)
    data = gs.read(ROOT / "examples" / "ac-ala3" / "ac-ala3.npz")
    one, many = (data.split(size, 0, 0, seed=0)[0] for size in options.sizes)
    pairs, rows = PairSet.full(data.n_atoms), []
    perms = find_symmetry(one.positions, one.numbers, limit=12).perms
    for group in (perms[:1], perms):
        terms = (Term.over_all(pairs, group, Matern52(20.0)),)
        for cache in (4e9,) if reads_in_blocks(terms[0]) else (4e9, 0.0):
            rows.append(measure(f"861 pairs, {len(group)} permutations", terms, pairs, one, cache, clock))
    small = small_terms(pairs, np.random.default_rng(0))
    rows.append(measure("40 small terms", small, pairs, many, 0.0, clock))
    for row in rows:
        row["clock"] = "processor time, 1 thread" if options.cpu else f"wall, {torch.get_num_threads()} threads"
    save("product", rows)
    table(rows)


if __name__ == "__main__":
    main()
