"""What each part of the default model is worth: local terms, the global one, sharing places, learning.

    python benchmarks/bench_ablation.py

Force MAE in kcal/mol/A on 300 test structures, one split; the noise of unlearned models is the best on the validation
set among four decades, that of learned ones is learned."""

import numpy as np
from bench_accuracy import read
from common import KCAL, save, table

from gossamer.chemistry.fragments import Fragment, local_fragments
from gossamer.data.dataset import Dataset
from gossamer.errors import FitError
from gossamer.fitting.workflow import Fit, fit

CASES = (("md17_ethanol", 200), ("acac_train_300K", 100), ("rmd17_aspirin_train", 100), ("alkane_C8H18", 50))
NOISES = (1e-8, 1e-7, 1e-6, 1e-5)


def best(train: Dataset, valid: Dataset, terms: "str | list[Fragment]") -> Fit:
    """Without learning: the best of NOISES."""
    found = []
    for noise in NOISES:
        try:
            found.append(fit(train, valid, terms=terms, relative_noise=noise, learning_steps=0))
        except FitError:  # too little noise
            continue
    return min(found, key=lambda f: f.model.test(valid).force_rmse)


def one(name: str, M: int) -> dict[str, object]:
    data = read(name)
    train, valid, test = data.split(M, min(100, M // 2), 300, seed=0)
    apart = list(local_fragments(train.positions, train.numbers, share=False))
    ways = {
        "global, no symmetry": lambda: fit(train, valid, terms="global", symmetry="none"),
        "global": lambda: fit(train, valid, terms="global"),
        "local, unshared, unlearned": lambda: best(train, valid, apart),
        "local, unlearned": lambda: best(train, valid, "local"),
        "both, unlearned": lambda: best(train, valid, "both"),
        "local, learned": lambda: fit(train, valid, terms="local"),
        "both, learned": lambda: fit(train, valid, terms="both"),
    }
    row: dict[str, object] = {"data": name, "M": M}
    for way, made in ways.items():
        row[way] = made().model.test(test).force_mae / KCAL
        print(name, way, np.round(row[way], 4), flush=True)
    return row


def main() -> None:
    rows = []
    for name, M in CASES:
        rows.append(one(name, M))
        save("ablation", rows)
    table(rows)


if __name__ == "__main__":
    main()
