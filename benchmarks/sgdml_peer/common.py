"""What the peer scripts share: reading a data set without repeats, splits as index lists, and time and memory used.

Runs inside .parity-venv (numpy and sgdml only); nothing here imports gossamer, so that the peer stays independent.
"""

import json
import os
import platform
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


def read_dataset(path: Path) -> dict:
    """An sgdml dataset file as a plain dict: R (n, N, 3), z (N,), E (n, 1), F (n, N, 3), units, name, theory."""
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def unique_frames(R: np.ndarray) -> np.ndarray:
    """Indices, ascending, of the frames that do not repeat an earlier one (equal to 1e-8 Angstrom)."""
    flat = np.round(R.reshape(len(R), -1), 8) + 0.0
    return np.sort(np.unique(flat, axis=0, return_index=True)[1])


def draw_split(R: np.ndarray, n_train: int, n_valid: int, n_test: int | None, seed: int) -> dict[str, list[int]]:
    """Disjoint frame numbers: with p a seeded permutation of the unique frames, train from the front of p, test from
    its end, validation just before the test.  Splits of one seed and equal n_valid, n_test therefore share both and
    nest in train."""
    p = np.random.default_rng(seed).permutation(unique_frames(R))
    first_test = n_train + n_valid if n_test is None else len(p) - n_test
    first_valid = first_test - n_valid
    if first_valid < n_train:
        raise SystemExit(f"split: {n_train} + {n_valid} + {n_test or 0} frames asked for, the file has {len(p)}.")
    parts = {"train": p[:n_train], "valid": p[first_valid:first_test], "test": p[first_test:]}
    return {name: [int(i) for i in part] for name, part in parts.items()}


@contextmanager
def measured(into: dict) -> Iterator[None]:
    """Fill `into` with wall and processor seconds (children included) and the peak memory of this process in GiB."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    yield
    into["wall_s"] = round(time.perf_counter() - wall, 3)
    into["cpu_s"] = round(_cpu_seconds() - cpu, 3)
    into["peak_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)


def _cpu_seconds() -> float:
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def machine() -> dict:
    """Where the numbers were measured."""
    import sgdml

    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "sgdml": sgdml.__version__,
    }


def write_json(path: Path | None, record: dict) -> None:
    """Write `record` to `path`, or to standard output when there is none; innermost lists on one line."""
    text = re.sub(r"\[[^\[\]{}]*\]", lambda found: " ".join(found[0].split()), json.dumps(record, indent=1))
    if path is None:
        print(text)
        return
    part = path.with_name(path.name + ".tmp")
    part.write_text(text + "\n")
    os.replace(part, path)
