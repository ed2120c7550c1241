"""The paper's table on its kinds of systems: full against reduced descriptors, by its model and by the default.

    python benchmarks/bench_paper.py [NAME:M ...] [--terms global auto] [--models FOLDER]

terms="global" is the paper's model, one kernel over all pairs; "auto" is Gossamer's default.  A pair is non-local from
FAR on (mean distance over the training structures).  For the claim that non-local pairs are crucial all of them are
deleted from the global kernel, and as many at random (three draws), and it is trained anew with the length of the full
one.  Rows of earlier runs stay in results/paper.json unless they are measured anew; --models keeps the models
for bench_stability.py."""

import argparse
from pathlib import Path

import numpy as np
from bench_accuracy import read
from bench_reduction import step
from common import KCAL, keep, table

import gossamer as gs

CASES = ("xtb_Ac-Ala3-NHMe:200", "xtb_sucrose:200", "xtb_palmitic-acid:200", "xtb_AT-AT_400K:200", "xtb_catcher:200")
FAR = 5.0  # Angstrom
DRAWS = 3


def reduced(data: gs.Dataset, M: int, terms: str, folder: Path | None, name: str) -> tuple[dict[str, object], float]:
    """The row of a model, full and reduced, and the kernel length of the full one."""
    train, valid, test = parts(data, M)
    found = gs.reduce(train, valid, test, terms=terms)
    full, chosen = found.record.full, found.record.chosen
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        found.full.save(folder / f"{name}_{terms}_full.gossamer")
        found.model.save(folder / f"{name}_{terms}_reduced.gossamer")
    row: dict[str, object] = {"terms": found.record.choice.name, "pairs, full": full.pairs, "pairs, kept": chosen.pairs}
    row |= {"kept per atom": chosen.pairs_per_atom, "local": chosen.pairs_below_5A, "non-local": chosen.pairs_above_5A}
    row |= {"longest kept, A": chosen.longest_A, "training and reduction, s": found.record.seconds}
    for label, model, made in (("full", full, found.full), ("kept", chosen, found.model)):
        row[f"force MAE, {label}"] = model.force_mae / KCAL
        row[f"force RMSE, {label}"] = model.force_rmse / KCAL
        row[f"energy RMSE, {label}"] = None if model.energy_rmse is None else model.energy_rmse / KCAL
        row[f"step, ms, {label}"] = step(made, test.positions[0])
    return row, full.length or 0.0


def deletions(data: gs.Dataset, M: int, length: float) -> dict[str, object]:
    """Force MAE of one kernel over the pairs that are left when all non-local ones go, and as many at random."""
    train, valid, test = parts(data, M)
    every = np.array(gs.PairSet.full(train.n_atoms).pairs)
    i, j = every.T
    distance = np.linalg.norm(train.positions[:, i] - train.positions[:, j], axis=2).mean(0)
    near, rng = np.flatnonzero(distance < FAR), np.random.default_rng(0)
    drawn = [np.sort(rng.permutation(len(every))[: len(near)]) for _ in range(DRAWS)]
    errors = []
    for kept in (near, *drawn):
        pairs = gs.PairSet(train.n_atoms, every[kept])
        model = gs.train(train, valid, terms="global", pairs=pairs, length=length).model
        errors.append(model.test(test).force_mae / KCAL)
    return {"below 5 A alone, pairs": len(near), "below 5 A alone, MAE": errors[0], "as many at random": errors[1:]}


def parts(data: gs.Dataset, M: int) -> list[gs.Dataset]:
    return list(data.split(M, min(50, (len(data) - M) // 2), min(300, (len(data) - M) // 2), seed=0))


def key(row: dict[str, object]) -> tuple[object, ...]:
    return row["molecule"], row["M"], row["asked"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--terms", nargs="+", choices=("global", "auto"), default=("global", "auto"))
    parser.add_argument("--models", type=Path, help="keep full and reduced models here")
    asked = parser.parse_args()
    for case in asked.cases:
        name, M = case.split(":")
        data = read(name)
        for terms in asked.terms:
            row: dict[str, object] = {"molecule": name, "N": data.n_atoms, "M": int(M), "asked": terms}
            more, length = reduced(data, int(M), terms, asked.models, name)
            row |= more | (deletions(data, int(M), length) if terms == "global" else {})
            table([row])
            keep("paper", row, key)


if __name__ == "__main__":
    main()
