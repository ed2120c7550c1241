"""Force and energy errors of the default sum of terms beside sgdml's model, on the same frames.

    python benchmarks/bench_accuracy.py [--seeds 0 1 2] [NAME:M ...]
    python benchmarks/bench_accuracy.py --only auto [...]      # one of the two; the other: "sgdml's model"
    python benchmarks/bench_accuracy.py --only sgdml [...]     # sgdml itself; needs .parity-venv
    python benchmarks/bench_accuracy.py --only reduced [...]   # the model that `gossamer reduce` keeps

sgdml's model is trained here through Gossamer: terms="global", absolute noise 1e-10, solved directly, its length among
10 ... 90 by the validation error with as many of the structures as have SEARCHED force components.  That agrees with
sgdml itself to three digits where both were run (make parity); its permutations are those that Gossamer uses.  Beyond
DIRECT force components, which cannot be solved directly here, sgdml's model gets the noise that Gossamer finds for it
instead: its error is then no larger than sgdml's.

Rows of earlier runs stay in results/accuracy.json unless they are measured anew.
Writes results/accuracy.json and the learning curves, results/accuracy.svg."""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from common import HERE, KCAL, PARITY_PYTHON, RESULTS, SHARED, save, saved, table

import gossamer as gs
from gossamer.data.dataset import Dataset
from gossamer.fitting.workflow import Fit, fit
from gossamer.model.force_field import ForceField

CASES = ("md17_ethanol:200", "rmd17_aspirin_train:200", "acac_train_300K:200", "xtb_Ac-Ala3-NHMe:200")
TESTS = {  # files of their own; the second one asks for extrapolation
    "rmd17_aspirin_train": ("rmd17_aspirin_test",),
    "acac_train_300K": ("acac_test_300K", "acac_test_600K"),
    "3bpa_train_300K": ("3bpa_test_300K", "3bpa_train_mixedT"),
}
TITLES = {
    "md17_ethanol": "ethanol, MD17",
    "rmd17_aspirin_test": "aspirin, rMD17",
    "acac_test_300K": "acetylacetone, 300 K",
    "acac_test_600K": "acetylacetone, 300 K to 600 K",
    "3bpa_test_300K": "3BPA, 300 K",
    "3bpa_train_mixedT": "3BPA, 300 K to 1200 K",
    **{f"alkane_C{n}H{2 * n + 2}": f"C{n}H{2 * n + 2}, B3LYP" for n in (4, 6, 8, 10, 12, 15)},
    "xtb_Ac-Ala3-NHMe": "Ac-Ala3-NHMe, GFN2-xTB",
    "xtb_DHA": "DHA, GFN2-xTB",
}
STYLES = {  # who: label and style
    "sgdml's model": ("sgdml's model, by Gossamer", "s--"),
    "auto": ("Gossamer", "o-"),
    "reduced": ("Gossamer, reduced", "."),
    "sgdml": ("sgdml", "x"),
}
PUBLISHED = {"md17_ethanol": (1000, 0.34)}  # Chmiela et al. 2019
SGDML_LENGTHS = (10.0, 20.0, 30.0, 50.0, 70.0, 90.0)
SEARCHED, DIRECT = 12_600, 27_000
TESTED = 600

Measured = tuple[ForceField, dict[str, Any]]  # a model, and what its row says beside errors


def read(name: str) -> Dataset:
    """A data set of ../shared/data; of the alkanes the thermal frames alone (README there)."""
    data = gs.read(SHARED / f"{name}.npz").deduplicated()
    if not name.startswith("alkane"):
        return data
    forces, energies = data.labelled_forces() / KCAL, data.energies / KCAL
    hot = np.sqrt((forces**2).mean((1, 2))) > 8
    return data.take(np.flatnonzero(hot & (energies - energies.min() < 150)))


def sgdml(train: Dataset, valid: Dataset, seed: int) -> Fit:
    """sgdml's model of these structures."""
    if 3 * train.n_atoms * len(train) > DIRECT:
        return fit(train, valid, terms="global", seed=seed)
    given = {"terms": "global", "noise": 1e-10, "solver": "cholesky", "seed": seed}
    part = train.evenly(SEARCHED // (3 * train.n_atoms))
    tried = [fit(part, valid, length=length, **given) for length in SGDML_LENGTHS]
    best = min(tried, key=lambda found: found.model.test(valid).force_rmse)
    if len(part) == len(train):
        return best
    return fit(train, valid, length=best.settings.length, **given)


def parts(name: str, M: int, seed: int) -> tuple[Dataset, Dataset, dict[str, Dataset]]:
    """Structures to train on, to validate with, and every test set by its name."""
    data = read(name)
    left = len(data) - M
    n_valid = min(100, M // 2, left if name in TESTS else left // 3)
    n_test = 0 if name in TESTS else min(300, left - n_valid)
    train, valid, rest = data.split(M, n_valid, n_test, seed=seed)
    tests = {other: read(other) for other in TESTS[name]} if name in TESTS else {name: rest}
    return train, valid, {other: test.evenly(TESTED) for other, test in tests.items()}


def model(name: str, train: Dataset, valid: Dataset, seed: int) -> Measured:
    """sgdml's model."""
    found = sgdml(train, valid, seed)
    return found.model, {"permutations": len(found.symmetry.perms), "s": found.seconds}


def auto(name: str, train: Dataset, valid: Dataset, seed: int) -> Measured:
    """The default."""
    found = fit(train, valid, seed=seed)
    return found.model, {"terms": found.choice.name, "s": found.seconds}


def peer(name: str, train: Dataset, valid: Dataset, seed: int) -> Measured:
    """sgdml itself, with its own permutations and search of the length."""
    with tempfile.TemporaryDirectory() as folder:
        split, model, record = (Path(folder) / file for file in ("split.json", "model.npz", "record.json"))
        frames = {"train": train.frames.tolist(), "valid": valid.frames.tolist(), "test": valid.frames.tolist()}
        split.write_text(json.dumps(frames))
        command = [PARITY_PYTHON, HERE / "sgdml_peer" / "train.py", SHARED / f"{name}.npz", "--split", split,
                   "--model", model, "--record", record, "--sigma", *map(int, SGDML_LENGTHS)]  # fmt: skip
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
        trained, found = gs.load(model), json.loads(record.read_text())
    seconds = found["task"]["wall_s"] + sum(row["wall_s"] for row in found["grid"])
    return trained, {"permutations": found["n_perms"], "length": found["sigma"], "s": seconds}


def reduced(name: str, train: Dataset, valid: Dataset, seed: int) -> Measured:
    """The model that `reduce` keeps at its default tolerance."""
    found = gs.reduce(train, valid, seed=seed)
    pairs = {"global pairs": found.record.chosen.global_pairs, "all pairs": found.record.full.pairs}
    return found.model, pairs | {"s": found.record.seconds}


MEASURES = {"sgdml's model": model, "auto": auto, "sgdml": peer, "reduced": reduced}


def measure(who: Sequence[str], name: str, M: int, seed: int) -> list[dict[str, Any]]:
    """A row for every test set, with the errors of each model of MEASURES named in `who`."""
    train, valid, tests = parts(name, M, seed)
    rows = [{"data": name, "test": test, "M": M, "seed": seed} for test in tests]
    for each in who:
        found, more = MEASURES[each](name, train, valid, seed)
        for row, test in zip(rows, tests.values(), strict=True):
            row |= {f"{each}, {what}": value for what, value in (errors(found, test) | more).items()}
    return rows


def errors(model: ForceField, test: Dataset) -> dict[str, float]:
    """In kcal/mol and Angstrom; the constant of the energy is that of the training structures."""
    found = model.test(test)
    return {"force MAE": found.force_mae / KCAL, "energy RMSE": found.energy_rmse / KCAL}


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for every test set and M that Gossamer was measured at: the means over the seeds."""
    found = []
    rows = [row for row in rows if "auto, force MAE" in row and "sgdml's model, force MAE" in row]
    for test, M in sorted({(row["test"], row["M"]) for row in rows}):
        mine = [row for row in rows if (row["test"], row["M"]) == (test, M)]
        names = [f"{who}, {what}" for what in ("force MAE", "energy RMSE") for who in ("sgdml's model", "auto")]
        mean = {name: float(np.mean([row[name] for row in mine])) for name in (*names, "auto, s")}
        terms = " or ".join(sorted({row["auto, terms"] for row in mine}))
        ratio = mean["auto, force MAE"] / mean["sgdml's model, force MAE"]
        found.append(
            {"test": TITLES.get(test, test), "M": M, "seeds": len(mine)} | mean | {"ratio": ratio, "terms": terms}
        )
    return found


def plot(rows: list[dict[str, Any]]) -> None:
    """Learning curves: force MAE against M, one panel for every test set, mean over the seeds."""
    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    tests = [test for test in TITLES if any(row["test"] == test for row in rows)]
    figure, axes = plt.subplots(-(-len(tests) // 4), 4, figsize=(12, 3 * -(-len(tests) // 4)), squeeze=False)
    for ax, test in zip(axes.flat, tests, strict=False):
        for who, (label, style) in STYLES.items():
            name = f"{who}, force MAE"
            mine = [row for row in rows if row["test"] == test and name in row]
            sizes = sorted({row["M"] for row in mine})
            heights = [np.mean([row[name] for row in mine if row["M"] == M]) for M in sizes]
            if mine:
                ax.loglog(sizes, heights, style, label=label)
        if test in PUBLISHED:
            ax.loglog(*PUBLISHED[test], "k*", label="sgdml, published")
        ax.set_title(TITLES[test], fontsize=9)
        ax.grid(alpha=0.3, which="both")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        ax.set_xticks([50, 100, 200, 500, 1000])
    for ax in axes.flat[len(tests) :]:
        ax.axis("off")
    for ax in axes[:, 0]:
        ax.set_ylabel("force MAE, kcal/mol/A")
    for ax in axes[-1]:
        ax.set_xlabel("training structures")
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(RESULTS / "accuracy.svg")
    plt.close(figure)


def key(row: dict[str, Any]) -> tuple[object, ...]:
    return tuple(row[name] for name in ("data", "test", "M", "seed"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--only", choices=tuple(MEASURES), help="measure this beside what rows hold already")
    options = parser.parse_args()
    who = [options.only] if options.only else ["sgdml's model", "auto"]
    for seed in options.seeds:
        for case in options.cases:
            name, M = case.split(":")
            new = measure(who, name, int(M), seed)
            table(new)
            merged = {key(row): row for row in saved("accuracy")}
            merged |= {key(row): merged.get(key(row), {}) | row | {"commit": ""} for row in new}
            rows = sorted(merged.values(), key=lambda row: str(key(row)))
            save("accuracy", rows)
            plot(rows)
    table(means(saved("accuracy")))


if __name__ == "__main__":
    main()
