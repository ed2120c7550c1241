"""What error bars cost and how well they hold: python benchmarks/bench_error_bars.py DATA.npz [--more DATA ...].

Trains a model with error bars, and times one structure and a batch with and without them, in turns; then compares
standard deviations with errors on structures it has not seen, of DATA and of other files of the same molecule."""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import gossamer as gs
from gossamer.data.dataset import Dataset
from gossamer.model.force_field import ForceField

ROUNDS, CALLS, BATCH = 7, 40, 64


def timed(call, calls: int) -> float:
    """Seconds of a call, a mean over so many."""
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls


def costs(model: ForceField, data: Dataset) -> dict[str, float]:
    """Milliseconds a structure: energy and forces, and standard deviations beside them, least of ROUNDS."""
    evaluator = model.evaluator()
    one, many = data.positions[0], data.positions[:BATCH]
    calls = {
        "step": (lambda: evaluator.one(one), CALLS, 1),
        "std of a step": (lambda: evaluator.std.one(one), CALLS, 1),
        "step with the energy's std": (lambda: evaluator.std.step(one), CALLS, 1),
        "batch": (lambda: evaluator.many(many), 2, len(many)),
        "std of a batch": (lambda: evaluator.std.many(many), 2, len(many)),
    }
    for call, _, _ in calls.values():
        call()
    found = dict.fromkeys(calls, np.inf)
    for _ in range(ROUNDS):
        for name, (call, n, structures) in calls.items():
            found[name] = min(found[name], 1e3 * timed(call, n) / structures)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="other structures of the molecule")
    parser.add_argument("--sizes", type=int, nargs=3, default=(100, 60, 200), help="to train, calibrate and test on")
    parser.add_argument("--terms", default="auto")
    parser.add_argument("--learning-steps", type=int, default=gs.Settings().learning_steps)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    train, valid, test = gs.read(given.data).split(*given.sizes, seed=0)
    options = {"terms": given.terms, "learning_steps": given.learning_steps, "device": "cpu", "force": True}
    began = time.perf_counter()
    model = gs.train(train, valid, error_bars=True, **options).model
    values = {"data": str(given.data), "sizes": given.sizes, "model": repr(model), "error bars": repr(model.error_bars)}
    values |= {"seconds": time.perf_counter() - began, "milliseconds": costs(model, test)}
    parts = {str(given.data): test} | {str(path): gs.read(path) for path in given.more}
    for name, part in parts.items():
        part = part.take(np.arange(min(len(part), given.sizes[2])))
        found = model.reliability(part)
        values[name] = {"errors": str(model.errors(part))}
        for what, bars in (("forces", found.forces), ("energies", found.energies)):
            if bars is not None:
                values[name][what] = {"ratios": bars.ratios, "ratio": bars.ratio, "coverage": bars.coverage}
    text = json.dumps(values, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
