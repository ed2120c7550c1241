"""Training on Ac-Ala3-NHMe (42 atoms) with 200, 500 and 1000 structures: time, memory, iterations and test error.

    python benchmarks/bench_training.py [M ...]
    python benchmarks/bench_training.py --sgdml ethanol 500    # beside sgdml, on the same frames; needs .parity-venv

Each size runs in a process of its own, so that its peak memory can be read.  Rows of sizes measured before stay.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import KCAL, PARITY_PYTHON, ROOT, SHARED, peak_gib, save, saved, table

SIZES = (200, 500, 1000)


def one(n_train: int) -> dict[str, object]:
    """Train once with the length and the noise that the searches find at 200 structures, and measure."""
    import gossamer as gs
    from gossamer.fitting.workflow import fit

    data = gs.read(ROOT / "examples" / "ac-ala3" / "ac-ala3.npz")
    train, valid, test = data.split(n_train, 100, 500, seed=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    found = fit(train, valid, terms="global", length=20.0, relative_noise=1e-5)
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
        "peak GiB": peak_gib(),
        "force MAE kcal/mol/A": errors.force_mae / KCAL,
        "force RMSE kcal/mol/A": errors.force_rmse / KCAL,
        "energy MAE kcal/mol": (errors.energy_mae or 0.0) / KCAL,
    }


SIGMA = 20  # the length that both are given
SEARCH = (10, SIGMA, 30)  # what sgdml tries with --search
NOISE = {"ethanol": 1e-8, "ac-ala3": 1e-5}


def beside_sgdml(name: str, n_train: int, sigmas: tuple[int, ...]) -> list[dict[str, object]]:
    """sgdml and gossamer on the same frames: with length and noise given, with them searched, and gossamer's sum of
    terms with the fewest structures (an eighth, a quarter, half of them, or all) that reach sgdml's test error.

    cpu s: of the process and its children, data reading and tests left out.  sgdml's error: of its best length."""
    import gossamer as gs

    ethanol = "md17_ethanol.npz" if n_train <= 500 else "xtb_ethanol.npz"  # 1000 frames of MD17 are here
    path = SHARED / (ethanol if name == "ethanol" else "xtb_Ac-Ala3-NHMe.npz")
    data = gs.read(path)
    parts = data.split(n_train, 100, min(500, len(data) - n_train - 100), seed=0)
    split = {what: part.frames.tolist() for what, part in zip(("train", "valid", "test"), parts, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "split.json").write_text(json.dumps(split))

        def run(what: str, size: int, settings: dict[str, object]) -> dict[str, object]:
            command = [sys.executable, __file__, "--ours", str(path), f"{folder}/split.json", str(size)]
            found = subprocess.run(
                [*command, json.dumps(settings)], check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            return {"molecule": name, "M": size, "what": f"gossamer {what}"} | json.loads(found)

        rows = [{"molecule": name, "M": n_train} | row for row in _sgdml(path, Path(folder), sigmas)]
        given = {"terms": "global", "length": float(SIGMA), "relative_noise": NOISE[name]}
        rows.append(run("global, length and noise given", n_train, given))
        rows.append(run("global, all searched", n_train, {"terms": "global"}))
        target = float(str(rows[0]["force MAE kcal/mol/A"]))
        for size in (n_train // 8, n_train // 4, n_train // 2, n_train):
            row = run("auto, all searched and learned", size, {})
            if float(str(row["force MAE kcal/mol/A"])) <= target:
                break
    return [*rows, row]


def _sgdml(path: Path, folder: Path, sigmas: tuple[int, ...]) -> list[dict[str, object]]:
    """sgdml with SIGMA given, and where there are several, with its search among `sigmas`."""
    command = [PARITY_PYTHON, ROOT / "benchmarks" / "sgdml_peer" / "train.py", path, "--split", folder / "split.json",
               "--record", folder / "sgdml.json", "--sigma", *sigmas]  # fmt: skip
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    record = json.loads((folder / "sgdml.json").read_text())
    rows = []
    for what, tried in (("length given", [SIGMA]), ("length searched", sigmas))[: min(2, len(sigmas))]:
        trained = [row for row in record["grid"] if row["sigma"] in tried]
        rows.append(
            {"what": f"sgdml, {what}", "force MAE kcal/mol/A": record["test"]["force_mae"]}
            | {name: record["task"][key] + sum(row[key] for row in trained)
               for name, key in (("wall s", "wall_s"), ("cpu s", "cpu_s"))}
            | {"peak GiB": max(row["peak_gib"] for row in trained)}
        )  # fmt: skip
    return rows


def ours(path: Path, split: Path, n_train: int, settings: dict[str, Any]) -> dict[str, object]:
    """Train on n_train training frames of a split, evenly spaced, and measure."""
    import gossamer as gs
    from gossamer.fitting.workflow import fit

    data = gs.read(path)
    train, valid, test = (data.take(np.array(rows)) for rows in json.loads(split.read_text()).values())
    began = time.process_time()
    part = train.evenly(n_train)
    found = fit(part, valid, **settings)
    return {
        "force MAE kcal/mol/A": found.model.test(test).force_mae / KCAL,
        "wall s": found.seconds,
        "cpu s": time.process_time() - began,
        "peak GiB": peak_gib(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--one", type=int, help="run this size here and print JSON")
    parser.add_argument(
        "--sgdml",
        nargs=2,
        metavar=("MOLECULE", "M"),
        help="ethanol 500, ethanol 1000; ac-ala3 200 takes sgdml 10 to 20 GB",
    )
    parser.add_argument("--search", action="store_true", help="with --sgdml: let sgdml search its length, too")
    parser.add_argument("--ours", nargs=4, help="data, split, structures and settings: train here and print JSON")
    options = parser.parse_args()
    if options.ours:
        path, split, size, settings = options.ours
        print(json.dumps(ours(Path(path), Path(split), int(size), json.loads(settings))))
        return
    if options.sgdml:
        name, size = options.sgdml[0], int(options.sgdml[1])
        rows = beside_sgdml(name, size, SEARCH if options.search else (SIGMA,))
        save(f"training_{name}_{size}", rows)
        table(rows)
        return
    if options.one:
        print(json.dumps(one(options.one)))
        return
    rows = saved("training")
    for size in options.sizes or SIZES:
        command = [sys.executable, __file__, "--one", str(size)]
        row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        table([row])
        rows = sorted([r for r in rows if r["M"] != size] + [row], key=lambda r: r["M"])
        save("training", rows)
    table(rows)


if __name__ == "__main__":
    main()
