"""Two gloo ranks with one thread each against one process with two threads: the same training by conjugate gradients.

    python benchmarks/bench_ranks.py [M ...]

Ac-Ala3-NHMe with M structures, length and noise given, 30 iterations.  Runs alternate, the best of REPEATS counts: the
overhead is a property of the program, and other work on the machine only adds to it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, save, table

SIZES = (200, 400)
REPEATS = 3
KINDS = {"1 rank x 2 threads": (1, 2), "2 ranks x 1 thread": (2, 1)}


def one(n_train: int, threads: int, result: Path) -> None:
    """Train as one of the ranks that torchrun started, and let the first write the seconds of each part."""
    import time
    from dataclasses import replace

    import numpy as np
    import torch

    import gossamer as gs
    from gossamer.chemistry.symmetry import find_symmetry
    from gossamer.cli.ranks import joined
    from gossamer.fitting.operator import KernelOperator
    from gossamer.fitting.preconditioners import Nystrom
    from gossamer.fitting.solvers import StopRule, conjugate_gradients
    from gossamer.kernels import Matern52
    from gossamer.model.pairs import PairSet
    from gossamer.model.terms import Term

    data = gs.read(ROOT / "examples" / "ac-ala3" / "ac-ala3.npz").take(range(n_train))
    pairs = PairSet.full(data.n_atoms)
    perms = find_symmetry(data.positions, data.numbers, limit=12, seed=0).perms
    terms = (Term.over_all(pairs, perms, Matern52(20.0)),)
    forces = data.labelled_forces()
    y = torch.from_numpy(np.ravel(forces / forces.std()))
    with joined(threads) as ranks:
        seconds = {}
        for _ in range(2):  # the first compiles and connects
            began = time.perf_counter()
            K = KernelOperator.build(terms, pairs, torch.from_numpy(data.positions), 0.0, ranks=ranks)
            K = replace(K, noise=1e-5 * float(K.diagonal().mean()))
            P = Nystrom.build(K, int(6 * K.size**0.5), seed=0)
            chosen = time.perf_counter()
            rule = StopRule(residual=0.0, max_iterations=30)
            conjugate_gradients(K, y, P, scale=1.0, stop=rule)
            ended = time.perf_counter()
            seconds = {"preconditioner s": chosen - began, "30 iterations s": ended - chosen, "total s": ended - began}
        if ranks.first:
            result.write_text(json.dumps(seconds))


def run(n_train: int, ranks: int, threads: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "seconds.json"
        subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), __file__,
             "--one", str(n_train), "--threads", str(threads), "--result", str(result)],
            check=True, env=os.environ | {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)},
        )  # fmt: skip
        return json.loads(result.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--one", type=int, help="train with this size in this process")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--result", type=Path)
    options = parser.parse_args()
    if options.one:
        one(options.one, options.threads, options.result)
        return
    rows = []
    for size in options.sizes:
        runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
        for _ in range(REPEATS):
            for kind, (ranks, threads) in KINDS.items():
                runs[kind].append(run(size, ranks, threads))
        best = {kind: min(found, key=lambda r: r["total s"]) for kind, found in runs.items()}
        alone, shared = best.values()
        rows += [{"M": size, "kind": kind, **seconds} for kind, seconds in best.items()]
        rows.append({"M": size, "kind": "overhead %"} | {k: 100 * (shared[k] / alone[k] - 1) for k in alone})
    save("ranks", rows)
    table(rows)


if __name__ == "__main__":
    main()
