"""Do six models come out as they did?  A redesign must not change a number.

    python benchmarks/regression.py --record      # at the commit to compare with: writes results/regression.json
    python benchmarks/regression.py               # at another commit: exit code 1 where a number moved

A system with noise 1e-8 loses eight digits, so a changed last digit of the covariance shows in the ninth of a trained
model; models loaded from files are held to 1e-10 of the largest number (their sums cancel as well)."""

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import gossamer as gs

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/regression.json"
ETHANOL, PEPTIDE = ROOT / "tests/data/ethanol_60.npz", ROOT / "examples/ac-ala3/ac-ala3.npz"
EXACT, TRAINED = 1e-10, 1e-8
KERNEL = {"kernel": "matern52"} if find_spec("gossamer.kernels") else {}  # older commits have no other
BARE = KERNEL | ({"baseline": "none"} if find_spec("gossamer.baselines") else {})  # and take nothing off


def trained(path: Path, n: int, **options):
    train, valid, test = gs.read(path).split(n, 15, 5, seed=0)
    found = gs.train(train, valid, **BARE, **options)
    return getattr(found, "model", found), test.positions


def reduced(path: Path, n: int):
    train, valid, test = gs.read(path).split(n, 15, 5, seed=0)
    given = {"terms": "global", "length": 20, "noise": 1e-8}
    return gs.reduce(train, valid, quantiles=(50, 80), **given, **BARE).model, test.positions


def loaded(path: str):
    model = gs.load(ROOT / path)
    apart = 1.4 * np.stack(np.unravel_index(np.arange(model.n_atoms), (3, 3, 3)), axis=1)
    return model, apart + np.random.default_rng(0).normal(scale=0.2, size=(5, model.n_atoms, 3))


GIVEN = {"terms": "global", "length": 10, "noise": 1e-8}
BOTH = {"terms": "both", "energies": True, "learning_steps": 5}
MODELS = {
    "global, given, direct": (TRAINED, lambda: trained(ETHANOL, 40, **GIVEN)),
    "global, given, iterated": (TRAINED, lambda: trained(ETHANOL, 40, solver="cg", **GIVEN)),
    "both, learned": (TRAINED, lambda: trained(ETHANOL, 40, terms="both")),
    "both, energies as labels, peptide": (TRAINED, lambda: trained(PEPTIDE, 25, **BOTH)),
    "reduced, peptide": (TRAINED, lambda: reduced(PEPTIDE, 25)),
    "version 1 file": (EXACT, lambda: loaded("tests/models/v1.gossamer")),
    "sgdml's file": (EXACT, lambda: loaded("tests/models/sgdml/ethanol.npz")),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    record = parser.parse_args().record
    recorded = {} if record else json.loads(RESULTS.read_text())
    found, moved = {}, 0
    for name, (tolerance, make) in MODELS.items():
        model, positions = make()
        p = model.predict(positions)
        found[name] = {"pairs": len(model.pairs), "energies": p.energies.tolist(), "forces": p.forces.tolist()}
        if record:
            continue
        old = recorded[name]
        gap = max(
            np.abs(np.subtract(found[name][key], old[key])).max() / np.abs(old[key]).max()
            for key in ("energies", "forces")
        )
        wrong = gap > tolerance or old["pairs"] != len(model.pairs)
        moved += wrong
        print(
            f"{name:36s} {old['pairs']:4d} {len(model.pairs):4d} pairs, {gap:.1e} {'MOVED' if wrong else 'same'}",
            flush=True,
        )
    if record:
        RESULTS.write_text(json.dumps(found))
    return int(moved > 0)


if __name__ == "__main__":
    sys.exit(main())
