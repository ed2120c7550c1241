"""One step of a few models at two commits or more, measured in turn in one run: is a change slower?

    python benchmarks/in_turn.py d8e7d3b main
    python benchmarks/in_turn.py main~3 main --rounds 100

Every commit gets a worktree and a process of its own, on one thread; they take turns, round after round, so that what
else the machine does falls on all alike.  Ratios are to the first commit, medians of the rounds.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
CALLS = {"sum of terms": 8, "peptide 1000": 20, "ethanol 50": 500, "ethanol 200": 400, "ethanol 1000": 100}


def cases(tree: str) -> dict[str, Callable[[], object]]:
    """One step of every model of CALLS whose data are here, by the code of a worktree, which is on Python's path."""
    sys.path.insert(0, f"{tree}/benchmarks")  # before this script's own folder
    import bench_step

    import gossamer as gs

    rng = np.random.default_rng(0)
    peptide = gs.read(ROOT / "examples" / "ac-ala3" / "ac-ala3.npz")
    models = {
        "sum of terms": (bench_step.term_model(peptide, 200, rng), peptide),
        "peptide 1000": (bench_step.random_model(peptide, 1000, np.arange(42)[None], 1.0, rng), peptide),
    }
    if (SHARED / "xtb_ethanol.npz").exists():
        ethanol = gs.read(SHARED / "xtb_ethanol.npz")
        six = gs.find_symmetry(ethanol.positions[:400], ethanol.numbers).perms
        for n in (50, 200, 1000):
            models[f"ethanol {n}"] = bench_step.random_model(ethanol, n, six, 1.0, rng), ethanol
    return {name: _step(_one(model), data.positions[-1]) for name, (model, data) in models.items()}


def _one(model) -> Callable:
    if hasattr(model, "evaluator"):
        return model.evaluator(threads=1).one
    single = import_module("gossamer.model.single")  # of commits before there were evaluators
    return single.SingleEvaluator.build(model, threads=1)


def _step(evaluate: Callable, positions: np.ndarray) -> Callable[[], object]:
    return lambda: evaluate(positions)


def work(tree: str) -> None:
    """Names of the cases, then for every line read the microseconds of a step of each."""
    steps = cases(tree)
    for step in steps.values():
        for _ in range(30):
            step()
    print("\t".join(steps), flush=True)
    for _ in sys.stdin:
        found = []
        for name, step in steps.items():
            began = time.perf_counter()
            for _ in range(CALLS[name]):
                step()
            found.append(1e6 * (time.perf_counter() - began) / CALLS[name])
        print("\t".join(map(str, found)), flush=True)


class Worker:
    """A process that runs the code of a worktree."""

    def __init__(self, tree: Path) -> None:
        settings = {"PYTHONPATH": str(tree / "src"), "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", tree], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | settings,
        )  # fmt: skip
        self.names = self._said()

    def round(self) -> list[float]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return list(map(float, self._said()))

    def _said(self) -> list[str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a process ended before its measurements; its error stands above.")
        return line.rstrip("\n").split("\t")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs="*", help="the first is what the others are compared with")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work)
        return
    if len(asked.commits) < 2:
        parser.error(f"{len(asked.commits)} commits given; at least 2 are compared.")
    from common import table  # that of a commit may need another package than a worker's

    with tempfile.TemporaryDirectory() as folder:
        trees = [Path(folder) / str(k) for k in range(len(asked.commits))]
        try:
            for tree, commit in zip(trees, asked.commits, strict=True):
                subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", tree, commit], check=True)
            workers = [Worker(tree) for tree in trees]
            found = np.array([[worker.round() for worker in workers] for _ in range(asked.rounds)])
        finally:
            for tree in trees:
                subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=False)
    medians = np.median(found, axis=0)
    ratios = np.median(found / found[:, :1], axis=0)
    rows = []
    for k, name in enumerate(workers[0].names):
        us = {f"{commit}, us": row[k] for commit, row in zip(asked.commits, medians, strict=True)}
        rows.append({"model": name} | us | {f"{c} / first": r[k] for c, r in zip(asked.commits, ratios, strict=True)})
    table(rows)


if __name__ == "__main__":
    main()
