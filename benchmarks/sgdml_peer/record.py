"""Run sgdml and store what the ordinary tests compare with, in tests/models/sgdml/.  About five minutes on two cores.

    sh benchmarks/sgdml_peer/setup.sh
    OMP_NUM_THREADS=1 .parity-venv/bin/python benchmarks/sgdml_peer/record.py --data ../shared/data [--only PART]

PART models: model files and predictions on our own GFN2-xTB ethanol.  Parts md17 and perms use third-party data, so
only errors, times, frame numbers and permutations are kept.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import draw_split, read_dataset, write_json

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[1] / "tests" / "models" / "sgdml"
SIZES = (25, 20, 20)  # train, valid, test
HARTREE_PER_KCAL, BOHR_PER_ANGSTROM = 1 / 627.5094740631, 1 / 0.529177210903

# name, extra arguments of train.py
MODELS = {
    "ethanol": [],
    "ethanol_nosym": ["--perms", "none"],
    "ethanol_energies": ["--energies", "--lam", "1e-6"],  # 1e-10 would leave noise of 1e-5 kcal/mol in any program
    "ethanol_cg": ["--solver", "cg", "--lam", "1e-6"],
    "ethanol_bohr": [],
}
MD17 = {
    "md17_ethanol_200": ["--train", "200", "--sigma", "20"],
    "md17_ethanol_500": ["--train", "500", "--sigma", "20"],
    "md17_ethanol_200_grid": ["--train", "200", "--sigma", *map(str, range(10, 100, 10))],
    "md17_ethanol_200_energies": ["--train", "200", "--sigma", "20", "--energies"],
    "md17_ethanol_200_cg": ["--train", "200", "--sigma", "20", "--solver", "cg"],
}
PERMS = [
    ("md17_ethanol", 200, 0), ("xtb_ethanol", 200, 0), ("md17_aspirin", 200, 0), ("acac_train_300K", 200, 0),
    ("acac_train_600K", 200, 0), ("3bpa_train_300K", 200, 0), ("alkane_C4H10", 200, 0), ("alkane_C8H18", 200, 0),
    ("xtb_Ac-Ala1-NHMe", 200, 0), ("xtb_Ac-Ala3-NHMe", 200, 0), ("xtb_Ac-Ala3-NHMe", 200, 1),
    ("xtb_Ac-Ala3-NHMe", 1000, 0), ("xtb_DHA", 200, 0),
]  # fmt: skip


def run(script: str, *args: object) -> None:
    print(script, *args, flush=True)
    subprocess.run([sys.executable, HERE / script, *map(str, args)], check=True, stderr=subprocess.DEVNULL)


def small_set(source: Path, target: Path) -> None:
    """25 + 20 + 20 frames of a data set as a data set of its own; `frames` says which they were."""
    data = read_dataset(source)
    split = draw_split(data["R"], *SIZES, seed=0)
    frames = np.array([frame for part in split.values() for frame in part])
    few = {key: value[frames] if key in ("R", "E", "F") else value for key, value in data.items()}
    np.savez_compressed(target, **few, frames=frames)


def in_bohr(source: Path, target: Path) -> None:
    """The data set `source` (kcal/mol, Angstrom) in Hartree and Bohr."""
    data = read_dataset(source)
    data["R"] = data["R"] * BOHR_PER_ANGSTROM
    data["E"] = data["E"] * HARTREE_PER_KCAL
    data["F"] = data["F"] * HARTREE_PER_KCAL / BOHR_PER_ANGSTROM
    np.savez(target, **{**data, "r_unit": "Bohr", "e_unit": "Hartree"})


def record_models(data: Path, scratch: Path) -> None:
    """A data set of 65 frames, models trained on its first 25, and what sgdml predicts for its last 20."""
    small, bohr, split = TARGET / "ethanol_data.npz", scratch / "bohr.npz", scratch / "split.json"
    small_set(data / "xtb_ethanol.npz", small)
    in_bohr(small, bohr)
    ends = np.cumsum((0, *SIZES)).tolist()
    write_json(split, {name: list(range(*ends[k : k + 2])) for k, name in enumerate(("train", "valid", "test"))})
    for name, extra in MODELS.items():
        source, model = bohr if name == "ethanol_bohr" else small, TARGET / f"{name}.npz"
        run("train.py", source, "--split", split, "--model", model, "--record", TARGET / f"{name}.json", *extra)
        np.savez(scratch / "queries.npz", R=read_dataset(source)["R"][-SIZES[2] :])
        run("predict.py", model, scratch / "queries.npz", "--out", TARGET / f"{name}.expected.npz")


def record_md17(data: Path, scratch: Path) -> None:
    """Errors on one test set of 400 frames, the same for all sizes; prediction times of the 200-point model."""
    source = data / "md17_ethanol.npz"
    for name, extra in MD17.items():
        outputs = ("--model", scratch / f"{name}.npz", "--record", TARGET / f"{name}.json")
        run("train.py", source, "--valid", 100, "--test", 400, *outputs, *extra)
    run("predict.py", scratch / "md17_ethanol_200.npz", source, "--first", 100, "--repeats", 5, "--torch",
        "--record", TARGET / "md17_ethanol_200_predict.json")  # fmt: skip


def record_perms(data: Path, scratch: Path) -> None:
    """What sgdml's symmetry search finds."""
    found = []
    for name, frames, seed in PERMS:
        run("perms.py", data / f"{name}.npz", "--frames", frames, "--seed", seed, "--record", scratch / "perms.json")
        found.append(json.loads((scratch / "perms.json").read_text()))
    write_json(TARGET / "perms.json", {"what": "sgdml permutations", "found": found})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the reference data sets")
    parser.add_argument("--only", choices=("models", "md17", "perms"))
    args = parser.parse_args()
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    TARGET.mkdir(parents=True, exist_ok=True)
    parts = {"models": record_models, "md17": record_md17, "perms": record_perms}
    with tempfile.TemporaryDirectory() as scratch:
        for name in [args.only] if args.only else parts:
            parts[name](args.data, Path(scratch))


if __name__ == "__main__":
    main()
