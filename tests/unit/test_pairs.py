import numpy as np
import pytest
import torch
from cases import METHYL, structures
from hypothesis import given
from hypothesis import strategies as st

from gossamer.descriptors import arrays
from gossamer.errors import UsageError
from gossamer.model.pairs import PairSet


def test_full_order_is_the_lower_triangle():
    assert PairSet.full(4).pairs.tolist() == [[1, 0], [2, 0], [2, 1], [3, 0], [3, 1], [3, 2]]


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_atoms(n):
    with pytest.raises(UsageError, match=f"atoms: {n} given"):
        PairSet.full(n)


@pytest.mark.parametrize("pairs", [[[0, 1]], [[1, 1]], [[4, 0]], [[1, 0], [1, 0]], [[1, -1]], []])
def test_bad_pairs_are_refused(pairs):
    with pytest.raises(UsageError, match="pairs"):
        PairSet(4, np.array(pairs))


def test_index_finds_pairs_in_either_order():
    pairs = PairSet.full(5).keep([0, 3, 7])
    assert pairs.index(np.array([[1, 0], [0, 1], [0, 3], [4, 1], [4, 2]])).tolist() == [0, 0, 1, 2, -1]


def test_permuted_refuses_a_broken_orbit():
    pairs = PairSet.full(6).keep(PairSet.full(6).pairs[:, 0] != 5)
    with pytest.raises(UsageError, match=r"pair \(\d, \d\) is kept and its image .* whole orbits"):
        pairs.permuted(METHYL)


def test_orbits_under_a_methyl_rotation():
    pairs = PairSet.full(6)
    orbits = dict(zip(map(tuple, pairs.pairs.tolist()), pairs.orbits(METHYL), strict=True))
    assert orbits[3, 0] == orbits[4, 0] == orbits[5, 0]
    assert orbits[4, 3] == orbits[5, 3] == orbits[5, 4]
    assert len(set(orbits.values())) == 3 + 3 + 1  # heavy-heavy, heavy-H by heavy atom, H-H


def test_permuting_the_atoms_permutes_the_descriptor():
    pairs, R = PairSet.full(6), torch.from_numpy(structures(2))
    x, _ = pairs.forward(R)
    for perm, images in zip(METHYL, pairs.permuted(METHYL), strict=True):
        torch.testing.assert_close(pairs.forward(R[:, perm])[0], x[:, images], rtol=1e-14, atol=0)


def test_compiled_and_array_descriptors_agree():
    pairs, R = PairSet.full(6).keep([0, 2, 5, 9]), torch.from_numpy(structures(3))
    for compiled, other in zip(pairs.forward(R), arrays.forward(pairs, R), strict=True):
        torch.testing.assert_close(compiled, other, rtol=1e-14, atol=0)


def test_push_and_pull_are_transposes_and_derivatives():
    pairs, R = PairSet.full(6).keep([0, 2, 5, 9]), torch.from_numpy(structures(3))
    rng = np.random.default_rng(0)
    a, g = torch.from_numpy(rng.normal(size=(3, 6, 3))), torch.from_numpy(rng.normal(size=(3, 4)))
    _, dx = pairs.forward(R)
    pushed, pulled = pairs.push(dx, a), pairs.pull(dx, g)
    torch.testing.assert_close((pushed * g).sum(), (pulled * a).sum(), rtol=1e-13, atol=1e-13)
    h = 1e-5
    slope = (pairs.forward(R + h * a)[0] - pairs.forward(R - h * a)[0]) / (2 * h)
    torch.testing.assert_close(pushed, slope, rtol=1e-8, atol=1e-8)


def test_incidence_lists_every_end_once():
    pairs = PairSet.full(5).keep([1, 4, 8])
    pair, sign = pairs.incidence
    found = {(p, a, s) for a in range(5) for p, s in zip(pair[a], sign[a], strict=True) if s}
    assert found == {(p, a, s) for p, (i, j) in enumerate(pairs.pairs) for a, s in ((i, 1.0), (j, -1.0))}


def test_rank_of_full_and_of_too_few_pairs():
    R = structures(2)
    assert PairSet.full(6).jacobian_rank(R) == 12
    assert PairSet.full(6).keep(np.arange(11)).jacobian_rank(R) < 12


@given(st.integers(2, 12), st.randoms(use_true_random=False))
def test_keep_then_index_is_the_identity(n, random):
    full = PairSet.full(n)
    rows = random.sample(range(len(full)), random.randint(1, len(full)))
    kept = full.keep(rows)
    assert full.index(kept.pairs).tolist() == rows
    assert kept.index(kept.pairs).tolist() == list(range(len(rows)))
