"""Force and energy errors of the default sum of terms beside sgdml's model, on the same frames.

    python benchmarks/bench_accuracy.py [--seeds 0 1 2] [NAME:M ...]

sgdml's model is trained here through Gossamer: terms="global", absolute noise 1e-10, length 10 ... 90 by validation.
That agrees with sgdml itself to three digits where both were run (make parity); its permutations are those that
`find_symmetry` finds, which is no fewer than sgdml uses."""

import argparse

import numpy as np
from common import KCAL, SHARED, save, table

import gossamer as gs
from gossamer.data.dataset import Dataset
from gossamer.fit.workflow import fit

CASES = ("md17_ethanol:200", "rmd17_aspirin_train:200", "acac_train_300K:200", "xtb_Ac-Ala3-NHMe:200")
OTHER_TEST = {"rmd17_aspirin_train": "rmd17_aspirin_test", "acac_train_300K": "acac_test_300K"}
SGDML_LENGTHS = (10.0, 20.0, 30.0, 50.0, 70.0, 90.0)


def read(name: str) -> Dataset:
    """A data set of ../shared/data; of the alkanes the thermal frames alone (README there)."""
    data = gs.read(SHARED / f"{name}.npz").deduplicated()
    if not name.startswith("alkane"):
        return data
    forces, energies = data.labelled_forces() / KCAL, data.energies / KCAL
    hot = np.sqrt((forces**2).mean((1, 2))) > 8
    return data.take(np.flatnonzero(hot & (energies - energies.min() < 150)))


def one(name: str, M: int, seed: int) -> dict[str, object]:
    train, valid, test = read(name).split(M, min(100, M // 2), 0 if name in OTHER_TEST else 300, seed=seed)
    if name in OTHER_TEST:
        test = read(OTHER_TEST[name]).take(slice(0, 600))
    sgdml = min(
        (fit(train, valid, terms="global", length=length, noise=1e-10, seed=seed) for length in SGDML_LENGTHS),
        key=lambda found: found.model.test(valid).force_rmse,
    )
    auto = fit(train, valid, seed=seed)
    a, b = sgdml.model.test(test), auto.model.test(test)
    return {
        "data": name,
        "M": M,
        "seed": seed,
        "terms": auto.choice.name,
        "sgdml's model, force MAE": a.force_mae / KCAL,
        "auto, force MAE": b.force_mae / KCAL,
        "ratio": b.force_mae / a.force_mae,
        "sgdml's model, energy RMSE": a.energy_rmse / KCAL,
        "auto, energy RMSE": b.energy_rmse / KCAL,
        "auto, s": auto.seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    rows = []
    for case in options.cases:
        name, M = case.split(":")
        for seed in options.seeds:
            rows.append(one(name, int(M), seed))
            table(rows[-1:])
            save("accuracy", rows)


if __name__ == "__main__":
    main()
