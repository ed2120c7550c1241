"""Delta learning: C60 at a high level of theory from few structures, beside the same without a cheaper level below it.

    python benchmarks/bench_delta.py [--train 50] [--seeds 0 1 2]

A model of DFT-3 (PBE0/pcSseg-1) is trained on its own training file; DFT-1 (X2C-PBE0-D4/x2c-TZVPall-s) is learned from
few structures, alone and as the difference to that model (`baseline=`, in the command `--baseline dft3.gossamer`).  All
are tested on structures of DFT-1 whose geometries no model has seen."""

import argparse

import numpy as np
from common import SHARED, save, table

import gossamer as gs


def geometries(data: gs.Dataset) -> set[bytes]:
    return {np.round(x, 4).tobytes() for x in data.positions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=50)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--below", metavar="FILE", help="a saved model of DFT-3 to take instead of training one")
    asked = parser.parse_args()
    cheap, high = gs.read(SHARED / "c60_dft3_train.npz"), gs.read(SHARED / "c60_dft1_train.npz")
    if asked.below:
        below = gs.load(asked.below)
    else:
        train, valid, _ = cheap.split(200, 41, 0, seed=0)
        below = gs.train(train, valid, seed=0).model
    apart = geometries(cheap)
    fresh = high.take(np.flatnonzero([np.round(x, 4).tobytes() not in apart for x in high.positions]))
    rows = [_row("DFT-3, its own test file", 200, 0, below.test(gs.read(SHARED / "c60_dft3_test.npz")))]
    for seed in asked.seeds:
        train, valid, test = fresh.split(asked.train, asked.train // 2, len(fresh) - asked.train * 3 // 2, seed=seed)
        for name, baseline in (("DFT-1 alone", "auto"), ("DFT-1 above DFT-3", below)):
            model = gs.train(train, valid, baseline=baseline, seed=seed).model
            rows.append(_row(name, asked.train, seed, model.test(test)))
            table(rows[-1:])
            save("delta", rows)
    table(rows)


def _row(name: str, M: int, seed: int, errors: gs.Errors) -> dict[str, object]:
    energy = None if errors.energy_rmse is None else 1e3 * errors.energy_rmse
    return {"model": name, "M": M, "seed": seed, "force MAE, meV/A": 1e3 * errors.force_mae, "energy RMSE, meV": energy}


if __name__ == "__main__":
    main()
