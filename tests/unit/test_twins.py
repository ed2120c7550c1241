"""Near-duplicates: found through rounding, turns and shifts, warned of, and never in two parts of a split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gossamer.data.checks import inspect
from gossamer.data.dataset import Dataset
from gossamer.data.formats import read
from gossamer.data.twins import among, earliest_twins
from gossamer.errors import UsageError

CASES = Path(__file__).parents[1] / "data" / "cases"


@pytest.fixture(scope="module")
def conformers():
    return read(CASES / "12" / "two_conformers.npz")


@pytest.mark.parametrize("decimals", [3, 4, 6, 7])
@pytest.mark.parametrize("turned", [False, True])
def test_twins_through_rounding_and_turns(conformers, decimals, turned):
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0] if turned else np.eye(3)
    positions = conformers.positions[:50]
    first = earliest_twins(np.concatenate([positions, np.round(positions @ turn + [1.3, 0, -7], decimals)]))
    assert first.tolist() == [*range(50), *range(50)]


def test_single_precision_and_mirror_images(conformers):
    positions = conformers.positions[:20]
    copies = [positions.astype(np.float32).astype(float), positions * [1, 1, -1]]
    assert earliest_twins(np.concatenate([positions, *copies])).tolist() == [*range(20)] * 3


def test_neighbours_in_a_trajectory_are_no_twins(conformers):
    assert earliest_twins(conformers.positions).tolist() == list(range(160))
    between = conformers.positions[:-1] + 0.1 * np.diff(conformers.positions, axis=0)
    assert len(np.unique(earliest_twins(np.concatenate([conformers.positions[:-1], between])))) == 318


def test_a_slow_path_is_not_one_chain():
    steps = np.linspace(0, 0.2, 2000)
    positions = np.array([[[0, 0, 0], [1.1 + s, 0, 0], [-0.3, 1 + s / 3, 0], [0, 0.3, 1.2]] for s in steps])
    leaders = np.unique(earliest_twins(positions))
    assert 100 < len(leaders) < 1000


def test_a_diatomic_has_no_twins_by_chance():
    rng = np.random.default_rng(0)
    for _ in range(40):
        positions = np.zeros((500, 2, 3))
        positions[:, 1, 0] = 1.1 + 0.05 * rng.normal(size=500)
        assert len(np.unique(earliest_twins(positions))) == 500


@pytest.mark.parametrize("name", ["float32_twins", "rounded_twins"])
def test_cases_are_warned_of(name):
    found = inspect(read(CASES / "14" / f"{name}.npz"))
    (warning,) = [finding for finding in found.findings if finding.level != "ok"]
    assert (warning.level, warning.check, warning.frames) == ("warning", "duplicates", tuple(range(80, 160)))
    assert "near-duplicates" in warning.message


@pytest.mark.parametrize("name", ["float32_twins", "rounded_twins"])
@pytest.mark.parametrize("sizes", [(40, 20, 20), (40, 20, None), (100, 20, 40), (80, 20, None), (61, 11, 60)])
@pytest.mark.parametrize("energies", [True, False])
def test_no_twins_in_different_parts(name, sizes, energies):
    data = read(CASES / "14" / f"{name}.npz")
    data = data if energies else replace(data, energies=None)
    twins = data.twins()
    for seed in range(3):
        parts = data.split(*sizes, seed=seed)
        groups = [set(twins[part.frames]) for part in parts]
        assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
        assert [len(part) for part, size in zip(parts, sizes, strict=True) if size] == [s for s in sizes if s]
        assert len(np.unique(np.concatenate([part.frames for part in parts]))) == sum(map(len, parts))


def test_parts_that_would_divide_twins_are_refused():
    with pytest.raises(UsageError, match=r"80 of 160 are near-duplicates .* ask for fewer"):
        read(CASES / "14" / "float32_twins.npz").split(81, 20, 59)


def test_structures_that_are_not_finite_are_nobodys_twins(conformers):
    positions = conformers.positions[[0, 0, 1]].copy()
    positions[2] = np.nan
    assert Dataset(conformers.numbers, positions).twins().tolist() == [0, 0, 2]


def test_rows_among_others():
    known = np.random.default_rng(0).normal(size=(40, 30))
    asked = np.concatenate([known[[3, 17]] + 1e-6, known[:2] + 1e-2])
    assert among(asked, known, 1e-4, 30).tolist() == [True, True, False, False]
    assert among(known[:1], known[:1], 1e-4, 30).tolist() == [True]
