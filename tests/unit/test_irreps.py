"""The adapted basis against the sum it replaces."""

import itertools

import numpy as np
import pytest

from gossamer.backends.numba.irreps import AdaptedBasis
from gossamer.model.pairs import PairSet


def product(*groups):
    """Every combination of permutations of separate atoms: groups of permutations (S, n) set side by side."""
    rows = []
    for parts in itertools.product(*groups):
        offsets = np.cumsum([0, *(len(p) for p in parts)])
        rows.append(np.concatenate([np.asarray(p) + o for p, o in zip(parts, offsets[:-1], strict=True)]))
    return np.array(rows)


TURN = [(0, 1, 2), (1, 2, 0), (2, 0, 1)]
ALL3 = list(itertools.permutations(range(3)))
STAY = [(0, 1, 2)]
QUATERNIONS = [[(i ^ j) for j in range(4)] for i in range(4)]  # the four-group on itself
RING = [[(s * i + k) % 5 for i in range(5)] for s in (1, -1) for k in range(5)]
GROUPS = {
    "none": product(STAY, STAY),
    "turn": product(STAY, TURN),
    "all of three": product(STAY, ALL3),
    "three methyl groups": product(TURN, TURN, TURN),
    "S3 x C3": product(ALL3, TURN, STAY),
    "S4": np.array(list(itertools.permutations(range(4)))),
    "four-group": np.array(QUATERNIONS),
    "ring": np.array(RING),
}


@pytest.mark.parametrize("name", GROUPS)
def test_every_permuted_dot_product_comes_from_the_few(name):
    atoms = GROUPS[name]
    perms = np.unique(PairSet.full(atoms.shape[1]).permuted(atoms), axis=0)
    perms = perms[np.argsort(~np.all(perms == np.arange(perms.shape[1]), axis=1), kind="stable")]
    adapted = AdaptedBasis.build(perms)
    P = perms.shape[1]
    np.testing.assert_allclose((adapted.basis @ adapted.basis.T).toarray(), np.eye(P), atol=1e-12)
    x, y = np.random.default_rng(1).normal(size=(2, P))
    ax, ay = adapted.basis @ x, adapted.basis @ y
    dots = np.array([ax[i : i + m] @ ay[j : j + m] for i, j, m in adapted.dots])
    np.testing.assert_allclose(adapted.table @ dots, [x[p] @ y for p in perms], atol=1e-12)
    read = adapted.dots[:, 2].sum()
    assert read == P if len(perms) == 1 else P <= read <= 4 * P < len(perms) * P + 4 * P


def test_one_permutation_leaves_the_slots_alone():
    adapted = AdaptedBasis.build(np.arange(7)[None])
    np.testing.assert_array_equal(adapted.basis.toarray(), np.eye(7))
    np.testing.assert_array_equal(adapted.dots, [[0, 0, 7]])
