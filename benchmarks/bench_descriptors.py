"""Which descriptor earns its keep: inverse distances, other functions of distances, and cosines of angles beside them.

    python benchmarks/bench_descriptors.py [--only WAY ...] [NAME:M ...]

One global term, length and noise by the validation error, or weights and noise learned (ways with "learned").  Force
MAE in kcal/mol/A and energy MAE in kcal/mol on 300 test structures, one split.  The functions of distances that the
package does not have are made here, as a user would.  Rows of earlier runs stay in results/descriptors.json unless they
are measured anew."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from bench_accuracy import read
from common import KCAL, save, saved, table

import gossamer as gs
from gossamer import descriptors
from gossamer.chemistry.pairs import all_pairs
from gossamer.chemistry.symmetry import usual_limit
from gossamer.data.dataset import Dataset
from gossamer.descriptors.arrays import inverse_distance
from gossamer.fitting.descriptor import angles
from gossamer.model.features import FeatureSet, Part

CASES = ("md17_ethanol:50", "md17_ethanol:200", "acac_train_300K:50", "acac_train_300K:200")
GLOBAL = {"terms": "global"}
LEARNED = {"terms": ["global"]}


@descriptors.register
@dataclass(frozen=True)
class Power:
    """1/r^n, 1/Angstrom^n."""

    n: float
    name: ClassVar[str] = "power"
    orders: ClassVar[tuple[tuple[int, ...], ...]] = ((0, 1), (1, 0))

    def forward(self, d):
        x, dx = inverse_distance(d)
        value = x**self.n
        return value[..., 0], self.n * (value / x)[..., None] * dx


@descriptors.register
@dataclass(frozen=True)
class Decay:
    """exp(-r / reach)."""

    reach: float  # Angstrom
    name: ClassVar[str] = "decay"
    orders: ClassVar[tuple[tuple[int, ...], ...]] = ((0, 1), (1, 0))

    def forward(self, d):
        x, _ = inverse_distance(d)
        value = (-1 / (x * self.reach)).exp()
        return value[..., 0], -(value * x / self.reach)[..., None] * d


def of_pairs(feature: Any) -> Callable[[Dataset, np.ndarray], FeatureSet]:
    """A function of the distance, of all pairs."""
    return lambda data, perms: FeatureSet(data.n_atoms, (Part(feature, all_pairs(data.n_atoms)),))


def cosines(scale: float) -> Callable[[Dataset, np.ndarray], FeatureSet]:
    return lambda data, perms: angles(data.positions, data.numbers, perms, scale)


WAYS: dict[str, tuple[Callable[[Dataset, np.ndarray], Any], dict[str, Any]]] = {
    "1/r": (lambda data, perms: "pairs", GLOBAL),
    "1/r and cosines, 0.1": (cosines(0.1), GLOBAL),
    "1/r and cosines, 0.3": (cosines(0.3), GLOBAL),
    "1/r and cosines, 1": (cosines(1.0), GLOBAL),
    "1/r^2": (of_pairs(Power(2.0)), GLOBAL),
    "1/r^3": (of_pairs(Power(3.0)), GLOBAL),
    "exp(-r)": (of_pairs(Decay(1.0)), GLOBAL),
    "exp(-r/2)": (of_pairs(Decay(2.0)), GLOBAL),
    "1/r, learned": (lambda data, perms: "pairs", LEARNED),
    "1/r and cosines, learned": (cosines(0.3), LEARNED),
    "1/r^2, learned": (of_pairs(Power(2.0)), LEARNED),
    "1/r^3, learned": (of_pairs(Power(3.0)), LEARNED),
    "sum of terms": (lambda data, perms: "pairs", {"terms": "both"}),
}


def one(case: str, way: str) -> dict[str, object]:
    name, M = case.split(":")
    train, valid, test = read(name).split(int(M), min(100, int(M)), 300, seed=0)
    symmetry = gs.find_symmetry(train.positions, train.numbers, limit=usual_limit(train.n_atoms))
    make, options = WAYS[way]
    options = options | {"descriptor": make(train, symmetry.perms), "symmetry": symmetry}
    found = gs.train(train, valid, baseline="none", kernel="matern52", force=True, **options)
    errors = found.model.errors(test)
    row: dict[str, object] = {"data": case, "way": way, "features": len(found.model.pairs)}
    row |= {"force": errors.force_mae / KCAL, "energy": (errors.energy_mae or 0.0) / KCAL}
    return row | {"length": found.model.terms[0].kernel.length, "seconds": round(found.seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="NAME:M", default=CASES)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=tuple(WAYS))
    asked = parser.parse_args()
    rows = saved("descriptors")
    for case in asked.cases:
        for way in asked.only:
            row = one(case, way)
            print(*row.values(), flush=True)
            rows = [*(r for r in rows if (r["data"], r["way"]) != (case, way)), row]
            save("descriptors", rows)
    table(rows)


if __name__ == "__main__":
    main()
