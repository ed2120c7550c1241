"""How a data set is divided: parts that share no structure, not even one that was rounded or turned."""

from itertools import pairwise

import numpy as np

from gossamer.data.dataset import Dataset, Split
from gossamer.errors import UsageError


def split(data: Dataset, n_train: int, n_valid: int = 0, n_test: int | None = None, seed: int = 0) -> Split:
    """Disjoint train, validation and test parts.  Exact repeats are left out first.  Of near-duplicates (`data.twins`)
    one is used; where more structures are asked for than that leaves, twins stay together in one part.

    Training structures are spread evenly over the energy distribution (as in sgdml, Chmiela et al. 2019): the
    frames sorted by energy are cut into n_train equal layers and one is drawn from each; without energies they
    are drawn at random.  n_test None: all that is left.  The same seed gives the same split.
    Raises UsageError when the parts ask for more structures than there are."""
    if n_train < 1 or n_valid < 0 or (n_test is not None and n_test < 0):
        raise UsageError(
            f"split: {n_train} training, {n_valid} validation and {n_test} test structures asked for; "
            "training needs at least 1, and no part can be negative."
        )
    asked = n_train + n_valid + (n_test or 0)
    different, single = data.deduplicated(), data.without_twins()
    if asked > len(different):
        raise UsageError(f"split: {_asked(n_train, n_valid, n_test)}, but there are {_left(different)}; ask for fewer.")
    rng = np.random.default_rng(seed)
    if asked <= len(single):
        return _of_single(single, n_train, n_valid, n_test, rng)
    return _of_groups(different, n_train, n_valid, n_test, rng)


def _of_single(data: Dataset, n_train: int, n_valid: int, n_test: int | None, rng: np.random.Generator) -> Split:
    """Parts of structures of which no two are twins."""
    train = _over_energies(data, n_train, rng)
    rest = rng.permutation(np.setdiff1d(np.arange(len(data)), train))
    end = len(rest) if n_test is None else n_valid + n_test
    return Split(data.take(np.sort(train)), data.take(np.sort(rest[:n_valid])), data.take(np.sort(rest[n_valid:end])))


def _over_energies(data: Dataset, n: int, rng: np.random.Generator) -> np.ndarray:
    """n rows, one from each of n layers of energy; at random without energies."""
    order = rng.permutation(len(data))
    if data.energies is not None:
        order = order[np.argsort(data.energies[order], kind="stable")]
    edges = np.linspace(0, len(data), n + 1).astype(int)
    return order[[rng.integers(lo, hi) for lo, hi in pairwise(edges)]]


def _of_groups(data: Dataset, n_train: int, n_valid: int, n_test: int | None, rng: np.random.Generator) -> Split:
    """Parts of whole groups of twins; the last group of a part is cut where it is too large, and its rest left out.
    Raises UsageError where groups are too few for that."""
    first = data.twins()
    leaders = np.unique(first)
    spread = max(1, min(len(leaders), int(n_train * len(leaders) / len(data))))
    chosen = leaders[_over_energies(data.take(leaders), spread, rng)]
    order = [*chosen, *rng.permutation(np.setdiff1d(leaders, chosen))]
    wanted = [n_train, n_valid, len(data) if n_test is None else n_test]
    parts: list[list[int]] = [[], [], []]
    for leader in order:
        group = np.flatnonzero(first == leader)
        part = next((k for k in range(3) if len(parts[k]) < wanted[k]), None)
        if part is not None:
            parts[part] += group[: wanted[part] - len(parts[part])].tolist()
    if any(len(part) < want for part, want in zip(parts[: 2 if n_test is None else 3], wanted, strict=False)):
        raise UsageError(
            f"split: {_asked(n_train, n_valid, n_test)}, but {len(data) - len(leaders)} of {len(data)} are "
            "near-duplicates of others, which may not stand in different parts; ask for fewer."
        )
    return Split(*(data.take(np.sort(np.array(part, dtype=np.int64))) for part in parts))


def _asked(n_train: int, n_valid: int, n_test: int | None) -> str:
    total = n_train + n_valid + (n_test or 0)
    return f"{n_train} training + {n_valid} validation + {n_test or 0} test = {total} structures asked for"


def _left(data: Dataset) -> str:
    gone = data.provenance.duplicates_removed
    return f"{len(data)}{f' after {gone} duplicates were removed' if gone else ''}"
