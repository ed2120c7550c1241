"""Running one function on several processes that are connected by gloo."""

import os
import subprocess
import sys
from pathlib import Path

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
