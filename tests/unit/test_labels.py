"""Where labels stand in a vector, against lists that are written out."""

import numpy as np
import pytest
import torch
from cases import NUMBERS, structures

import gossamer as gs
from gossamer.errors import DataError
from gossamer.fitting.labels import ENERGIES, FORCES, Block, LabelLayout, Labels
from gossamer.fitting.parallel import ALONE, Shards

DIPOLES = Block("dipoles", 0, 3, centred=True)  # a kind that the package does not have


@pytest.mark.parametrize("blocks", [(FORCES,), (FORCES, ENERGIES), (FORCES, DIPOLES, ENERGIES), (ENERGIES, FORCES)])
def test_every_label_has_its_place(blocks):
    """Labels are named (block, structure, component) and laid out one after another."""
    layout = LabelLayout(5, 2, blocks)
    counts = {"forces": 6, "energies": 1, "dipoles": 3}
    names = [(b.name, m, c) for b in blocks for m in range(5) for c in range(counts[b.name])]
    assert layout.size == len(names)
    structure, component = layout.located(np.arange(len(names)))
    assert layout.owners.tolist() == structure.tolist() == [m for _, m, _ in names]
    numbered = [(b.name, c) for b in blocks for c in range(counts[b.name])]
    assert [numbered[k] for k in component] == [(name, c) for name, _, c in names]
    assert [names[k] for k in layout.of_structures(range(1, 3))] == [n for n in names if n[1] in (1, 2)]
    for block in blocks:
        part = layout.part(torch.arange(len(names)), block)
        assert part.shape == (5, counts[block.name])
        assert [names[k] for k in part.flatten()] == [n for n in names if n[0] == block.name]


@pytest.mark.parametrize("blocks", [(FORCES,), (FORCES, DIPOLES, ENERGIES)])
def test_shards_take_a_vector_apart_and_join_it_again(blocks):
    shards = Shards.of(LabelLayout(11, 2, blocks), ALONE)
    v = torch.randn(shards.layout.size, dtype=torch.float64)
    parts = shards.split(v)
    assert len(parts) == 8
    assert torch.equal(parts[1], v[torch.from_numpy(shards.layout.of_structures(shards.structures[1]))])
    assert torch.equal(shards.join(parts), v)


def test_labels_are_centred_and_divided_by_their_spread():
    rng = np.random.default_rng(0)
    forces, energies = rng.normal(size=(4, 6, 3)), rng.normal(size=4) + 700.0
    data = gs.Dataset(NUMBERS, structures(4), forces, energies)
    both = np.concatenate([forces.ravel(), energies - energies.mean()])
    labels = Labels.of(data, (FORCES, ENERGIES))
    assert labels.scale == pytest.approx(both.std(), rel=1e-14)
    np.testing.assert_allclose(labels.y, both / both.std(), rtol=1e-13)
    assert labels.constant == pytest.approx(energies.mean(), rel=1e-14)
    alone = Labels.of(data)
    assert (alone.constant, alone.scale) == (0.0, pytest.approx(forces.std()))
    assert alone.layout == LabelLayout(4, 6)


def test_missing_and_empty_labels_are_named():
    without = gs.Dataset(NUMBERS, structures(4), np.ones((4, 6, 3)))
    with pytest.raises(DataError, match="energies: asked for as labels, but the data have none; leave --energies out"):
        Labels.of(without, (FORCES, ENERGIES))
    with pytest.raises(DataError, match="forces: all of them are zero"):
        Labels.of(gs.Dataset(NUMBERS, structures(4), np.zeros((4, 6, 3))))


def test_energies_ask_for_one_more_radial_factor():
    assert LabelLayout(2, 3).kept_factors == 2
    assert LabelLayout(2, 3, (FORCES, ENERGIES)).kept_factors == 3
