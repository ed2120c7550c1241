"""A small model of a real molecule, for what is done with models."""

from pathlib import Path

import pytest

import gossamer as gs


@pytest.fixture(scope="session")
def ethanol(ethanol_file):
    """60 structures of ethanol."""
    return gs.read(ethanol_file)


@pytest.fixture(scope="session")
def model(ethanol):
    """Trained on 50 of them."""
    train, valid, _ = ethanol.split(50, 10, seed=0)
    return gs.train(train, valid, terms="global", length=20.0, noise=1e-8, force=True).model


@pytest.fixture(scope="session")
def polar(model):
    """The same, with dipoles learned from other structures of ethanol."""
    data = gs.read(Path(__file__).parents[1] / "data" / "ethanol_dipoles.npz")
    return model.with_dipoles(gs.train_dipoles(data.take(slice(0, 60)), data.take(slice(60, 80))))
