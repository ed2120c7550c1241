"""Pair reduction with models of several kinds: kernels, a network, and a torch module that is not ours.

    python benchmarks/bench_families.py [NAME:M ...] [--families kernel network module]

kernel: terms="global", one kernel over all pairs, the paper's model.  network: gossamer.Network's own.  module: the one
of examples/own_module.py, a residual network.  All see the same structures.  Pairs are scored on 50 structures, and
models trained at three cuts and in the bisection between two; the tolerance is TOLERANCE.  Rows of earlier runs stay in
results/families.json unless they are measured anew."""

import argparse
import sys

import numpy as np
from bench_accuracy import read
from common import KCAL, ROOT, keep, saved, table

import gossamer as gs

sys.path.insert(0, str(ROOT / "examples"))
from own_module import residual

CASES = ("xtb_Ac-Ala3-NHMe:200", "xtb_DHA:200", "rmd17_aspirin_train:200")
QUANTILES = (50, 70, 90)
TOLERANCE = 0.05
FAMILIES = {
    "kernel": {"terms": "global"},
    "network": {"family": "network"},
    "module": {"family": gs.Network(module=residual)},
}


def measured(name: str, M: int, family: str) -> dict[str, object]:
    data = read(name)
    train, valid, test = data.split(M, 100, 300, seed=0)
    found = gs.reduce(
        train, valid, test, quantiles=QUANTILES, tolerance=TOLERANCE, score_structures=50, **FAMILIES[family]
    )
    record = found.record
    full, kept = record.full, record.chosen
    far = [pair for pair in record.pairs if pair.kept and pair.distance >= 5.0]
    row: dict[str, object] = {"molecule": name, "M": M, "family": family, "images": record.symmetry.order}
    for label, model in (("full", full), ("kept", kept)):
        row[f"inputs, {label}"] = model.pairs
        row[f"parameters, {label}"] = model.parameters
        row[f"force MAE, {label}"] = model.force_mae / KCAL
        row[f"force RMSE, {label}"] = model.force_rmse / KCAL
        row[f"training, s, {label}"] = model.seconds
    row |= {"kept above 5 A": len(far), "seconds": record.seconds}
    row["kept pairs"] = " ".join(str(k) for k, pair in enumerate(record.pairs) if pair.kept)
    return row


def key(row: dict[str, object]) -> tuple[object, ...]:
    return row["molecule"], row["M"], row["family"]


def shown(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Rows for people: of the pairs, how many the kernel keeps too."""
    kernels = {key(row)[:2]: set(row["kept pairs"].split()) for row in rows if row["family"] == "kernel"}
    lines = []
    for row in rows:
        mine, theirs = set(row["kept pairs"].split()), kernels.get(key(row)[:2])
        line = {name: value for name, value in row.items() if name not in ("kept pairs", "commit")}
        lines.append(line | {"kept by the kernel, too": len(mine & theirs) if theirs else ""})
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--families", nargs="+", choices=tuple(FAMILIES), default=tuple(FAMILIES))
    asked = parser.parse_args()
    for case in asked.cases:
        name, _, M = case.partition(":")
        for family in asked.families:
            row = measured(name, int(M), family)
            keep("families", row, key)
            table(shown([row]))
    print(f"\n{np.unique([key(row)[0] for row in saved('families')]).size} molecules in results/families.json\n")
    table(shown(saved("families")))


if __name__ == "__main__":
    main()
