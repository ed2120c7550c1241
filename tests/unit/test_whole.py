"""Molecules cut by a periodic box: put together along their bonds, whatever the box; crystals stay as they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.data.geometry import distance_blocks
from gossamer.data.whole import whole

WATER = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
CHAIN = np.array([[1.4 * i, 0.5 * (i % 2), 0.1 * i] for i in range(6)])
BOXES = {
    "cube": np.diag([12.0, 12, 12]),
    "long": np.diag([12.0, 15, 40]),
    "skewed": np.array([[12.0, 0, 0], [4, 12, 0], [-3, 5, 13]]),
    "left-handed": np.array([[0, 12.0, 0], [12, 0, 0], [0, 0, 12]]),
}


def distances(positions):
    return np.concatenate([block for _, block in distance_blocks(positions)])


def wrapped(positions, box, periodic=(True, True, True)):
    """Every atom moved into the box."""
    fractions = np.linalg.solve(box.T, positions.reshape(-1, 3).T).T
    return (positions.reshape(-1, 3) - (np.floor(fractions) * periodic) @ box).reshape(positions.shape)


@pytest.mark.parametrize("box", BOXES)
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_a_chain_anywhere_in_any_box(box, seed):
    rng = np.random.default_rng(seed)
    chain = CHAIN + 0.05 * rng.normal(size=(3, 6, 3)) + 100 * rng.normal(size=(3, 1, 3))
    cells, periodic = np.tile(BOXES[box], (3, 1, 1)), np.ones((3, 3), dtype=bool)
    found, said = whole(np.full(6, 6), wrapped(chain, BOXES[box]), cells, periodic)
    np.testing.assert_allclose(distances(found), distances(chain), atol=1e-9)
    assert said.startswith(("molecules made whole in", "ignored in 3 of 3"))


def test_molecules_of_a_complex_stand_in_their_nearest_images():
    dimer = np.concatenate([WATER, WATER + np.array([2.9, 0.3, 0.2])])
    numbers = np.array([8, 1, 1, 8, 1, 1])
    frames = dimer + np.linspace(0.5, 12.5, 25)[:, None, None] * np.array([1.0, 0, 0])
    cells, periodic = np.tile(BOXES["cube"], (25, 1, 1)), np.ones((25, 3), dtype=bool)
    found, said = whole(numbers, wrapped(frames, BOXES["cube"]), cells, periodic)
    np.testing.assert_allclose(distances(found), distances(frames), atol=1e-9)
    assert "made whole" in said


@pytest.mark.parametrize("periodic", [(True, False, True), (False, False, True), (False, True, False)])
def test_only_along_the_vectors_that_repeat(periodic):
    box = BOXES["skewed"].copy()
    shifted = (CHAIN + np.array([8.0, 9.0, 12.8]))[None]
    found, _ = whole(np.full(6, 6), wrapped(shifted, box, periodic), box[None], np.array([periodic]))
    assert np.linalg.norm(np.diff(found[0], axis=0), axis=1).max() < 1.6
    box[~np.array(periodic)] = 0  # as files have it
    again, _ = whole(np.full(6, 6), found, box[None], np.array([periodic]))
    assert np.array_equal(again, found)


def test_frames_that_are_whole_keep_every_bit():
    rng = np.random.default_rng(0)
    frames = CHAIN + 0.05 * rng.normal(size=(4, 6, 3)) + 3.3
    cells, periodic = np.tile(BOXES["cube"], (4, 1, 1)), np.ones((4, 3), dtype=bool)
    broken = frames.copy()
    broken[2, 3:] += [12, 0, -12]
    found, said = whole(np.full(6, 6), broken, cells, periodic)
    assert np.array_equal(found[[0, 1, 3]], frames[[0, 1, 3]])
    np.testing.assert_allclose(found[2], frames[2], atol=1e-12)
    assert "in 1 of 4 frames" in said


def test_frames_without_a_box_stay():
    frames = np.tile(CHAIN, (2, 1, 1))
    frames[:, 3:] += [12, 0, 0]
    cells, periodic = np.tile(BOXES["cube"], (2, 1, 1)), np.ones((2, 3), dtype=bool)
    cells[0], periodic[0] = 0, False
    found, _ = whole(np.full(6, 6), frames, cells, periodic)
    assert np.array_equal(found[0], frames[0])
    np.testing.assert_allclose(found[1], CHAIN, atol=1e-12)


def test_crystals_and_polymers_stay_and_are_named():
    row = np.array([[[1.4 * i, 0, 0] for i in range(5)]])
    cell, periodic = np.diag([7.0, 20, 20])[None], np.ones((1, 3), dtype=bool)
    found, said = whole(np.full(5, 6), row, cell, periodic)
    assert np.array_equal(found, row)
    assert "bonds go round the box" in said


BAD_BOXES = [np.zeros((3, 3)), np.ones((3, 3)), np.full((3, 3), np.nan), np.diag([1e300, 1e300, 1e300])]


@pytest.mark.parametrize("bad", BAD_BOXES)
def test_boxes_that_cannot_be_are_no_boxes(bad):
    found, said = whole(np.full(6, 6), CHAIN[None], bad[None], np.ones((1, 3), dtype=bool))
    assert np.array_equal(found[0], CHAIN)
    assert said == ""
