"""Which pairs to keep: by the masking score, by learned weights, the shortest, or at random.

    python benchmarks/bench_relevance.py

One global kernel.  Masking scores come from the trained kernel of all pairs; weights, one for every orbit of pairs, are
learned on the training structures, and a pair counts by its weight times the spread of its inverse distance.  Every
selection is trained anew, with the length and noise of the full kernel and weights 1 (and once with the learned ones).
"""

from dataclasses import replace

import numpy as np
from common import KCAL, SHARED, save, table

import gossamer as gs
from gossamer.fitting.learning import LearningRule, learn_terms
from gossamer.fitting.makeup import Makeup
from gossamer.fitting.problem import Context, Problem
from gossamer.fitting.training import fit_terms
from gossamer.fitting.workflow import fit
from gossamer.model.pairs import PairSet, orbit_numbers
from gossamer.reduction.relevance import masking_scores

CASES = (("md17_ethanol", 200), ("xtb_Ac-Ala1-NHMe", 80))
SHARES = (0.7, 0.5, 0.3)  # of the pairs
RANDOM_SEEDS = 3


def kept(score: np.ndarray, orbits: np.ndarray, share: float) -> np.ndarray:
    """Rows of the best orbits that together hold about `share` of the pairs."""
    size = np.bincount(orbits)
    mean = np.bincount(orbits, score) / size
    order = np.argsort(-mean, kind="stable")
    count = int(np.argmin(np.abs(np.cumsum(size[order]) - share * len(score)))) + 1
    return np.flatnonzero(np.isin(orbits, order[:count]))


def one(name: str, M: int) -> list[dict[str, object]]:
    train, valid, test = gs.read(SHARED / f"{name}.npz").deduplicated().split(M, 50, 300, seed=0)
    full = fit(train, valid, terms="global")
    (term,), pairs = full.model.terms, full.model.pairs
    orbits = pairs.orbits(full.symmetry.perms)
    groups = (orbit_numbers(term.perms),)
    noise = full.settings.relative_noise or 0.0
    learned = learn_terms((term,), groups, pairs, train, noise, LearningRule()).terms[0]
    i, j = pairs.pairs.T
    distances = np.linalg.norm(train.positions[:, i] - train.positions[:, j], axis=-1)
    rng = np.random.default_rng(0)
    scores = {
        "masking": masking_scores(full.model, test.positions, orbits),
        "learned weights": learned.weights * (1 / distances).std(0),
        "shortest": -distances.mean(0),
    } | {f"random {k}": rng.random(orbits.max() + 1)[orbits] for k in range(RANDOM_SEEDS)}
    rows: list[dict[str, object]] = []
    for share in SHARES:
        row: dict[str, object] = {"data": name, "M": M, "all pairs": len(pairs), "share": share}
        for by, score in scores.items():
            chosen = kept(score, orbits, share)
            row |= {f"pairs, {by}": len(chosen), by: mae(chosen, term, full, train, valid, test)}
            if by == "learned weights":
                row[f"{by}, used"] = mae(chosen, learned, full, train, valid, test)
        row["random"] = float(np.mean([float(str(row.pop(f"random {k}"))) for k in range(RANDOM_SEEDS)]))
        for k in range(RANDOM_SEEDS):
            row.pop(f"pairs, random {k}")
        rows.append(row)
    everything = np.arange(len(pairs))
    ends = {"all": mae(everything, term, full, train, valid, test)}
    ends["all, learned weights"] = mae(everything, learned, full, train, valid, test)
    return [row | ends for row in rows]


def mae(chosen: np.ndarray, term, full, train, valid, test) -> float:
    """Force MAE, kcal/mol/A, of a kernel over the pairs `chosen`, trained anew."""
    pairs = full.model.pairs
    seen = pairs.keep(chosen)
    cut = term.over(pairs, PairSet(seen.n_atoms, seen.pairs))
    settings = replace(full.settings, noise=None)
    return (
        fit_terms(Makeup("global", seen, (cut,)), Problem.of(train, valid), Context(settings))
        .model.test(test)
        .force_mae
        / KCAL
    )


def main() -> None:
    rows = [row for name, M in CASES for row in one(name, M)]
    save("relevance", rows)
    table(rows)


if __name__ == "__main__":
    main()
