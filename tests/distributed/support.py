"""Running one function on several processes that are connected by gloo."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from gossamer.model.model_file import load

TESTS = Path(__file__).parent.parent


def on_ranks(script: Path, size: int, store: Path, *arguments: str) -> list[subprocess.CompletedProcess[str]]:
    """Run `script RANK SIZE STORE ARGUMENTS` once per rank, and wait for all of them."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(size), str(store), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for rank in range(size)
    ]  # fmt: skip
    results = []
    for process in processes:
        out, err = process.communicate(timeout=300)
        results.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return results


def assert_same_model(one: Path, other: Path) -> None:
    """Coefficients to the last bit; the constant is a mean of predictions and may differ in it."""
    a, b = load(one), load(other)
    for ours, theirs in zip((*a.coefficients, *a.summed), (*b.coefficients, *b.summed), strict=True):
        np.testing.assert_array_equal(ours.V, theirs.V)
        np.testing.assert_array_equal(ours.X, theirs.X)
    assert (a.functions is None) == (b.functions is None)
    if a.functions is not None and b.functions is not None:
        np.testing.assert_array_equal(a.functions.coefficients, b.functions.coefficients)
    np.testing.assert_allclose(a.constant, b.constant, rtol=1e-12)
    assert a.provenance == b.provenance
