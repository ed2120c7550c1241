"""Training on Ac-Ala3-NHMe (42 atoms) with 200, 500 and 1000 structures: time, memory, iterations and test error.

    python benchmarks/bench_training.py [M ...]

Each size runs in a process of its own, so that its peak memory can be read.
"""

import argparse
import json
import resource
import subprocess
import sys

from common import KCAL, ROOT, save, table

SIZES = (200, 500, 1000)


def one(n_train: int) -> dict[str, object]:
    """Train once with the length and the noise that the searches find at 200 structures, and measure."""
    import gossamer as gs
    from gossamer.fit.training import fit

    data = gs.read(ROOT / "examples" / "ac-ala3" / "ac-ala3.npz")
    train, valid, test = data.split(n_train, 100, 500, seed=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    found = fit(train, valid, length=20.0, relative_noise=1e-5)
    cpu = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    errors = found.model.test(test)
    return {
        "M": n_train,
        "unknowns": 3 * train.n_atoms * n_train,
        "permutations": len(found.symmetry.perms),
        "solver": found.fitted.plan.solver,
        "columns": found.fitted.plan.columns,
        "iterations": found.solution.iterations,
        "residual meV/A": 1000 * found.solution.residual,
        "wall s": found.seconds,
        "cpu s": cpu,
        "peak GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "force MAE kcal/mol/A": errors.force_mae / KCAL,
        "force RMSE kcal/mol/A": errors.force_rmse / KCAL,
        "energy MAE kcal/mol": (errors.energy_mae or 0.0) / KCAL,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--one", type=int, help="run this size here and print JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one)))
        return
    rows = []
    for size in options.sizes or SIZES:
        command = [sys.executable, __file__, "--one", str(size)]
        rows.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
        table(rows[-1:])
    save("training", rows)
    table(rows)


if __name__ == "__main__":
    main()
