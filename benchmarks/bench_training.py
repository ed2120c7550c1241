"""Training on Ac-Ala3-NHMe (42 atoms) with 200, 500 and 1000 structures: time, memory, iterations and test error.

    python benchmarks/bench_training.py [M ...]
    python benchmarks/bench_training.py --sgdml ethanol 500    # beside sgdml, on the same frames; needs .parity-venv

Each size runs in a process of its own, so that its peak memory can be read.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import KCAL, PARITY_PYTHON, ROOT, SHARED, save, table

SIZES = (200, 500, 1000)


def one(n_train: int) -> dict[str, object]:
    """Train once with the length and the noise that the searches find at 200 structures, and measure."""
    import gossamer as gs
    from gossamer.fit.workflow import fit

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


SIGMA = 20  # the length that both are given


def beside_sgdml(name: str, n_train: int) -> list[dict[str, object]]:
    """sgdml and gossamer on the same frames; both with a given length, gossamer also with all searches.

    cpu s: of the process and its children, data reading and tests left out."""
    import gossamer as gs

    ethanol = "md17_ethanol.npz" if n_train <= 500 else "xtb_ethanol.npz"  # 1000 frames of MD17 are here
    path = SHARED / (ethanol if name == "ethanol" else "xtb_Ac-Ala3-NHMe.npz")
    data = gs.read(path)
    parts = data.split(n_train, 100, min(500, len(data) - n_train - 100), seed=0)
    split = {what: part.frames.tolist() for what, part in zip(("train", "valid", "test"), parts, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "split.json").write_text(json.dumps(split))
        rows = [_sgdml(path, Path(folder))]
        for settings in ({"length": float(SIGMA), "relative_noise": 1e-8 if name == "ethanol" else 1e-5}, {}):
            command = [sys.executable, __file__, "--ours", str(path), f"{folder}/split.json", json.dumps(settings)]
            rows.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    return [{"molecule": name, "M": n_train} | row for row in rows]


def _sgdml(path: Path, folder: Path) -> dict[str, object]:
    command = [PARITY_PYTHON, ROOT / "benchmarks" / "sgdml_peer" / "train.py", path, "--split", folder / "split.json",
               "--sigma", SIGMA, "--record", folder / "sgdml.json"]  # fmt: skip
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    record = json.loads((folder / "sgdml.json").read_text())
    return {"what": "sgdml", "force MAE kcal/mol/A": record["test"]["force_mae"]} | {
        name: record["task"][key] + record["grid"][0][key] for name, key in (("wall s", "wall_s"), ("cpu s", "cpu_s"))
    } | {"peak GiB": record["grid"][0]["peak_gib"]}  # fmt: skip


def ours(path: Path, split: Path, settings: dict[str, float]) -> dict[str, object]:
    """Train on the frames of a split, and measure."""
    import gossamer as gs
    from gossamer.fit.training import fit

    data = gs.read(path)
    train, valid, test = (data.take(np.array(rows)) for rows in json.loads(split.read_text()).values())
    began = time.process_time()
    found = fit(train, valid, **settings)  # type: ignore[arg-type]
    return {
        "what": "gossamer, length and noise given" if settings else "gossamer, all searched",
        "force MAE kcal/mol/A": found.model.test(test).force_mae / KCAL,
        "wall s": found.seconds,
        "cpu s": time.process_time() - began,
        "peak GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
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
    parser.add_argument("--ours", nargs=3, help="data, split and settings: train here and print JSON")
    options = parser.parse_args()
    if options.ours:
        path, split, settings = options.ours
        print(json.dumps(ours(Path(path), Path(split), json.loads(settings))))
        return
    if options.sgdml:
        name, size = options.sgdml[0], int(options.sgdml[1])
        rows = beside_sgdml(name, size)
        save(f"training_{name}_{size}", rows)
        table(rows)
        return
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
