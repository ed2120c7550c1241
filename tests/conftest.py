"""What all tests share: one thread per process, and a small real data set."""

import os
from pathlib import Path

import pytest

# Before torch is imported: the systems here are tiny, and several test runs may share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

if not torch.cuda.is_available():  # Triton must know when it is imported that it is to interpret its kernels
    os.environ.setdefault("TRITON_INTERPRET", "1")

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def ethanol_file() -> Path:
    """60 structures of ethanol with GFN2-xTB energies and forces (tests/data/README.md)."""
    return DATA / "ethanol_60.npz"
