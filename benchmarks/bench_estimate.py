"""What `gossamer estimate` predicts against what training then takes: wall time and peak memory.

    python benchmarks/bench_estimate.py

Every case is predicted and then trained, with all searches, in processes of their own, one after the other.
"""

import argparse
import json
import subprocess
import sys

from common import ROOT, SHARED, peak_gib, save, table

CASES = {
    "ethanol": (SHARED / "md17_ethanol.npz", (100, 300, 500)),
    "aspirin": (SHARED / "rmd17_aspirin_train.npz", (50, 100, 200)),
    "Ac-Ala3": (ROOT / "examples" / "ac-ala3" / "ac-ala3.npz", (50, 100, 200)),
}
GIB = 2**30


def one(name: str, n_train: int, what: str, solver: str) -> dict[str, float | str]:
    """Predict, or train and measure."""
    import gossamer as gs
    from gossamer.fitting.estimate import estimate
    from gossamer.fitting.workflow import fit

    train, valid, _ = gs.read(CASES[name][0]).split(n_train, 50, 0, seed=0)
    if what == "predict":
        found = estimate(train, valid, solver=solver)
        return {"solver": found.plan.solver, "predicted s": found.total_seconds, "planned GiB": found.bytes / GIB}
    fitted = fit(train, valid, solver=solver)
    return {"s": fitted.seconds, "peak GiB": peak_gib()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=4, help="molecule, structures, predict or train, solver: here, as JSON")
    options = parser.parse_args()
    if options.one:
        name, n_train, what, solver = options.one
        print(json.dumps(one(name, int(n_train), what, solver)))
        return
    rows = []
    for name, (path, sizes) in CASES.items():
        if not path.exists():
            continue
        for solver, chosen in (("auto", sizes), ("cholesky", sizes[:1])):
            for size in chosen:
                row: dict[str, object] = {"molecule": name, "M": size}
                for what in ("predict", "train"):
                    command = [sys.executable, __file__, "--one", name, str(size), what, solver]
                    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                    row |= json.loads(run.stdout)
                row["predicted / measured"] = row["predicted s"] / row["s"]  # type: ignore[operator]
                row["planned / peak"] = row["planned GiB"] / row["peak GiB"]  # type: ignore[operator]
                rows.append(row)
                table(rows[-1:])
    save("estimate", rows)
    table(rows)


if __name__ == "__main__":
    main()
