"""Dataset: shapes, composition, fingerprint, duplicates; splits that are disjoint, seeded and spread over energies."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.data.dataset import Dataset, hill_formula
from gossamer.errors import DataError, UsageError


def data_of(n, seed=0, energies=True):
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(n, 3, 3))
    return Dataset(np.array([8, 1, 1]), positions, -positions, rng.normal(size=n) if energies else None)


@pytest.mark.parametrize(
    ("numbers", "formula"),
    [([8, 1, 1], "H2O"), ([1, 6, 8, 1, 6, 1, 1, 1, 1], "C2H6O"), ([17, 11], "ClNa"), ([6], "C"), ([35, 6, 9], "CBrF")],
)
def test_formula_in_hill_order(numbers, formula):
    assert hill_formula(np.array(numbers)) == formula


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("positions", np.zeros((2, 4, 3)), "positions"),
        ("positions", np.zeros((2, 3)), "positions"),
        ("forces", np.zeros((2, 3, 2)), "forces"),
        ("energies", np.zeros(3), "energies"),
    ],
)
def test_shapes_that_disagree_are_named(part, value, words):
    with pytest.raises(DataError, match=words):
        replace(data_of(2), **{part: value})


def test_the_fingerprint_sees_every_array():
    data = data_of(4)
    changed = [
        replace(data, numbers=np.array([8, 1, 2])),
        replace(data, positions=data.positions + 1e-12),
        replace(data, forces=data.forces * (1 + 1e-15)),
        replace(data, energies=data.energies[::-1]),
        replace(data, energies=None),
    ]
    prints = [other.fingerprint for other in (data, *changed)]
    assert len(set(prints)) == len(prints)
    assert data_of(4).fingerprint == data.fingerprint


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 60), st.data())
def test_a_split_is_disjoint_and_complete(seed, n, draw):
    data = data_of(n, seed)
    n_train = draw.draw(st.integers(1, n))
    n_valid = draw.draw(st.integers(0, n - n_train))
    parts = data.split(n_train, n_valid, seed=seed)
    frames = np.concatenate([part.frames for part in parts])
    assert [len(part) for part in parts] == [n_train, n_valid, n - n_train - n_valid]
    assert sorted(frames) == list(range(n))
    for part in parts:
        assert np.array_equal(part.positions, data.positions[part.frames])
        assert np.array_equal(part.forces, data.forces[part.frames])
        assert np.array_equal(part.energies, data.energies[part.frames])


def test_a_seed_fixes_a_split_and_another_changes_it():
    data = data_of(100)
    first, again, other = (data.split(20, 10, 30, seed=seed) for seed in (3, 3, 4))
    assert [part.fingerprint for part in first] == [part.fingerprint for part in again]
    assert first.train.fingerprint != other.train.fingerprint
    assert first.test.fingerprint != other.test.fingerprint


@given(st.integers(0, 1000))
def test_training_structures_take_one_of_every_energy_layer(seed):
    data = data_of(120, seed)
    train = data.split(12, seed=seed).train
    layers = np.argsort(np.argsort(data.energies)) // 10
    assert sorted(layers[train.frames]) == list(range(12))


def test_duplicates_are_dropped_counted_and_never_shared_between_parts():
    data = data_of(30)
    doubled = data.take(np.concatenate([np.arange(30), [3, 3, 17]]))
    later, earlier = doubled.repeats()
    assert later.tolist() == [30, 31, 32]
    assert earlier.tolist() == [3, 3, 17]
    parts = doubled.split(10, 10, seed=1)
    assert sum(map(len, parts)) == 30
    assert parts.train.provenance.duplicates_removed == 3
    flat = np.concatenate([part.positions.reshape(len(part), -1) for part in parts])
    assert len(np.unique(flat, axis=0)) == 30


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 9), max_size=12))
def test_repeats_are_found_through_the_noise_of_a_text_file(seed, copies):
    data = data_of(10, seed)
    noise = np.random.default_rng(seed).uniform(-2e-9, 2e-9, size=(len(copies), 3, 3))
    positions = np.concatenate([data.positions, data.positions[copies] + noise])
    n = len(positions)
    noisy = Dataset(data.numbers, positions, positions, np.arange(n) * 1.0)
    later, earlier = noisy.repeats()
    assert later.tolist() == list(range(10, n))
    assert earlier.tolist() == copies
    assert len(noisy.deduplicated()) == 10


def test_structures_a_millionth_apart_are_different():
    data = data_of(2)
    assert len(replace(data, positions=np.stack([data.positions[0], data.positions[0] + 1e-6])).deduplicated()) == 2


def test_without_energies_the_split_is_random_but_seeded():
    data = data_of(40, energies=False)
    assert data.split(10, seed=1).train.fingerprint == data.split(10, seed=1).train.fingerprint
    assert data.split(10, seed=1).train.fingerprint != data.split(10, seed=2).train.fingerprint


@pytest.mark.parametrize("sizes", [(0,), (-1,), (5, -2), (5, 1, -1), (8, 3), (5, 5, 1)])
def test_impossible_splits(sizes):
    with pytest.raises(UsageError, match="split"):
        data_of(10).split(*sizes)


def test_too_large_a_split_says_how_many_duplicates_went():
    data = data_of(10)
    with pytest.raises(UsageError, match="10 after 2 duplicates were removed"):
        data.take([*range(10), 0, 1]).split(11)


def test_missing_forces_are_refused_with_the_remedy():
    with pytest.raises(DataError, match="--forces-key"):
        replace(data_of(2), forces=None).labelled_forces()
