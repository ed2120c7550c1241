"""How many pairs models need as the molecule grows, with local terms and without: alkanes and polyalanines.

    python benchmarks/bench_reduction.py [NAME:M ...]

For every molecule `reduce` with its defaults (a sum of local terms and a global one, whose pairs are thinned out) and
with terms="global" (one kernel over all pairs, as in the paper).  Local pairs are those that a local term sees; pairs
of the global term alone are non-local.  Writes results/reduction.json, row by row, and results/reduction.svg."""

import argparse

import matplotlib
import numpy as np
from bench_accuracy import read
from common import KCAL, RESULTS, keep, median_seconds, table

import gossamer as gs
from gossamer.model.force_field import ForceField

CASES = (
    *(f"alkane_C{n}H{2 * n + 2}:150" for n in (4, 6, 8, 10, 12, 15)),
    *(f"xtb_Ac-Ala{n}-NHMe:100" for n in (1, 2, 3, 5)),
)
QUANTILES = (30, 50, 70, 80, 90)
KINDS = ("auto", "global")


def one(name: str, M: int, terms: str) -> dict[str, object]:
    """Reduce one molecule."""
    data = read(name)
    train, valid, test = data.split(M, 50, min(300, len(data) - M - 50), seed=0)
    found = gs.reduce(train, valid, test, terms=terms, quantiles=QUANTILES)
    record, n_atoms = found.record, train.n_atoms
    full, chosen = record.full, record.chosen
    local = sum(pair.local for pair in record.pairs)
    kept = sum(pair.kept and not pair.local for pair in record.pairs)
    return {
        "molecule": name, "N": n_atoms, "M": M, "asked": terms, "terms": record.choice.name,
        "pairs": full.pairs, "local": local, "non-local kept": kept, "global term's": chosen.global_pairs,
        "local per atom": local / n_atoms, "non-local kept per atom": kept / n_atoms,
        "kept per atom": chosen.pairs_per_atom, "longest kept, A": chosen.longest_A,
        "force MAE, full": full.force_mae / KCAL, "force MAE, chosen": chosen.force_mae / KCAL,
        "force MAE, local alone": None if record.local is None else record.local.force_mae / KCAL,
        "step, ms": step(found.model, test.positions[0]),
        "step of the full model, ms": step(found.full, test.positions[0]),
        "s": record.seconds,
    }  # fmt: skip


def step(model: ForceField, R: np.ndarray) -> float:
    """Milliseconds for energy and forces of one structure R (N, 3), one thread."""
    evaluate = model.evaluator(threads=1).one
    return 1e3 * median_seconds(lambda: evaluate(R), 60)


def plot(rows: list[dict[str, object]]) -> None:
    """Pairs per atom against the number of atoms, for each series."""
    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for ax, (series, title) in zip(
        axes, (("alkane", "alkanes, B3LYP"), ("xtb", "polyalanines, GFN2-xTB")), strict=True
    ):
        for asked, key, label, style in (
            ("auto", "local per atom", "local terms", "o-"),
            ("auto", "non-local kept per atom", "non-local, beside local terms", "s-"),
            ("global", "kept per atom", "one global kernel", "^--"),
        ):
            mine = [row for row in rows if str(row["molecule"]).startswith(series) and row["asked"] == asked]
            if not mine:
                continue
            mine.sort(key=lambda row: int(str(row["N"])))
            ax.plot([row["N"] for row in mine], [row[key] for row in mine], style, label=label)
        atoms = np.array(sorted({int(str(row["N"])) for row in rows if str(row["molecule"]).startswith(series)}))
        ax.plot(atoms, (atoms - 1) / 2, ":", color="gray", label="all pairs")
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("atoms")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("pairs per atom")
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(RESULTS / "reduction.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--terms", nargs="+", default=KINDS)
    options = parser.parse_args()
    for case in options.cases:
        name, M = case.split(":")
        for terms in options.terms:
            new = one(name, int(M), terms)
            table([new])
            plot(keep("reduction", new, lambda row: (row["molecule"], row["M"], row["asked"])))


if __name__ == "__main__":
    main()
