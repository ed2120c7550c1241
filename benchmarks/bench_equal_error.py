"""What a sum of terms costs beside the one global kernel that reaches its error: a step, and a product.

    python benchmarks/bench_equal_error.py

The sum of terms is trained on a few structures, the global kernel on more and more of them until its force MAE on the
test set is no larger (reached), all settings searched for both.  A step is energy and forces of one structure on one
thread; a product is K v with the whole kernel of the training structures, on all threads; medians.
"""

from typing import Any

import torch
from bench_accuracy import TESTS, read
from common import KCAL, median_seconds, save, table

from gossamer.fitting.operator import KernelOperator
from gossamer.fitting.workflow import fit

CASES = {  # structures of the sum of terms, and of the global kernel
    "md17_ethanol": (100, (300, 400, 600)),
    "rmd17_aspirin_train": (50, (200, 300, 400, 600, 900)),
    "xtb_Ac-Ala3-NHMe": (25, (400, 500, 700, 1000)),
}
VALIDATED, TESTED = 50, 300


def one(name: str) -> list[dict[str, Any]]:
    """A row for either model."""
    few, sizes = CASES[name]
    data = read(name)
    n_test = 0 if name in TESTS else TESTED
    train, valid, test = data.split(max(sizes), VALIDATED, n_test, seed=0)
    if name in TESTS:
        test = read(TESTS[name][0]).evenly(TESTED)

    def trained(size: int, terms: str) -> dict[str, Any]:
        part = train.evenly(size)
        found = fit(part, valid, terms=terms)
        model = found.model
        evaluate = model.evaluator(threads=1).one
        K = KernelOperator.build(model.terms, model.pairs, torch.from_numpy(part.positions), 0.0, cache_bytes=2.0**31)
        v = torch.ones(K.size, dtype=torch.float64)
        return {
            "molecule": name, "terms": found.choice.name, "M": size,
            "images": sum(term.n_images for term in model.terms),
            "force MAE kcal/mol/A": model.test(test).force_mae / KCAL,
            "step ms": 1e3 * median_seconds(lambda: evaluate(test.positions[0]), 100),
            "product ms": 1e3 * median_seconds(lambda: K @ v),
            "training s": found.seconds,
        }  # fmt: skip

    ours = trained(few, "auto") | {"reached": True}
    for size in sizes:
        beside = trained(size, "global")
        beside["reached"] = beside["force MAE kcal/mol/A"] <= ours["force MAE kcal/mol/A"]
        if beside["reached"]:
            break
    return [ours, beside]


def main() -> None:
    rows: list[dict[str, Any]] = []
    for name in CASES:
        rows += one(name)
        save("equal_error", rows)
        table(rows[-2:])


if __name__ == "__main__":
    main()
