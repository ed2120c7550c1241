"""Predicting in processes that were forked from one that uses threads: by os.fork, by Pool, and started by spawn."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gossamer as gs

ENVIRONMENT = os.environ | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
DATA = Path(__file__).parents[1] / "data" / "ethanol_60.npz"

# What each part does is named by its function; children predict one structure and many.
CODE = """
import multiprocessing, os, sys
import numpy as np
import torch
import gossamer as gs

R = np.load("R.npy")

def work(n, model=None):
    found = (model or gs.load("m.gossamer")).predict(R[:n])
    return found.energies, found.forces

def matmul():
    '''torch's threads, and not yet numba's.'''
    torch.set_num_threads(2)
    a = torch.ones(600, 600, dtype=torch.float64)
    assert len(os.listdir("/proc/self/task")) > 1 or os.name != "posix"
    return float((a @ a).sum() + torch.exp(torch.zeros(1000, 1000)).sum())

def forked(sizes, model=None):
    '''Children that predict, and children of theirs that do the same.'''
    for n in sizes:
        child = os.fork()
        if child == 0:
            found = work(n, model)
            grandchild = os.fork()
            if grandchild == 0:
                os._exit(0 if np.array_equal(work(n, model)[1], found[1]) else 3)
            np.savez(f"{n}.npz", *found)
            os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, n
    return [tuple(np.load(f"{n}.npz").values()) for n in sizes]

def pooled(method):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.map(work, [1, 40])

def compare(found):
    for energies, forces in found:
        e, f = work(len(energies))
        np.testing.assert_allclose(energies, e, rtol=1e-12)
        np.testing.assert_allclose(forces, f, rtol=1e-9, atol=1e-9)

if __name__ == "__main__":
    matmul()
    if sys.argv[1] == "torch alone":
        compare(forked([40]))
    else:
        model = gs.load("m.gossamer")
        work(1, model)
        compare(forked([1, 40], model))
        work(40, model)
        compare(forked([40], model))
        compare(pooled("fork"))
        compare(pooled("spawn"))
    print("done")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("forks")
    data = gs.read(DATA)
    few = data.take(np.arange(8))
    gs.train(few, few, terms="global", length=20.0, noise=1e-8, symmetry="none").model.save(found / "m.gossamer")
    np.save(found / "R.npy", data.positions)
    (found / "forks.py").write_text(CODE)
    return found


@pytest.mark.parametrize("before", ["torch alone", "predictions"])
def test_predicting_after_a_fork(before: str, folder: Path) -> None:
    line = [sys.executable, "forks.py", before]
    found = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300, env=ENVIRONMENT)
    assert (found.returncode, found.stdout) == (0, "done\n"), found.stderr
