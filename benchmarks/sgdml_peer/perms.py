"""Which permutations does sgdml find in a data set, and in how long?  Runs inside .parity-venv.

    .parity-venv/bin/python benchmarks/sgdml_peer/perms.py DATA.npz --frames 200 --record perms.json

The frames are a seeded draw of the unique ones; sgdml itself looks at the training set, at most 1000 frames of it.
"""

import argparse
import contextlib
import io
from pathlib import Path

import numpy as np
from common import machine, measured, read_dataset, unique_frames, write_json
from sgdml.utils import perm


def find(R: np.ndarray, z: np.ndarray, processes: int | None) -> tuple[dict, np.ndarray | None]:
    """What each stage of sgdml's search says; None when it gives up on the whole group and on the rescued subset."""
    said: list[str] = []

    def listen(*_args, disp_str: str = "", sec_disp_str: str | None = None, **_kwargs) -> None:
        if sec_disp_str:
            said.append(f"{disp_str}: {sec_disp_str}")

    found: dict = {}
    with measured(found), contextlib.redirect_stdout(io.StringIO()):
        perms = perm.find_perms(R, z, callback=listen, max_processes=processes)
    return {**found, "said": said}, perms


def is_group(perms: np.ndarray) -> bool:
    """Whether the product of any two permutations is in the set."""
    known = {tuple(int(i) for i in p) for p in perms}
    return all(tuple(p[i] for i in q) in known for p in known for q in known)


def moved(perms: np.ndarray) -> list[list[int]]:
    """Orbits of atoms: the sets of atoms that the permutations exchange, without the fixed ones."""
    orbits = {tuple(sorted(set(column.tolist()))) for column in perms.T}
    return [[int(i) for i in orbit] for orbit in sorted(orbits) if len(orbit) > 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--record", type=Path, help="where the JSON goes (default: standard output)")
    args = parser.parse_args()
    data = read_dataset(args.data)
    frames = np.random.default_rng(args.seed).permutation(unique_frames(data["R"]))[: args.frames]
    record, perms = find(data["R"][frames], data["z"], args.processes)
    if perms is not None:
        record |= {
            "order": len(perms),
            "is_group": is_group(perms),
            "orbits": moved(perms),
            "perms": np.asarray(perms).tolist(),
        }
    head = {"what": "sgdml permutations", "data": str(data["name"]), "frames": len(frames), "seed": args.seed}
    write_json(args.record, {**head, "machine": machine(), "order": None, **record})


if __name__ == "__main__":
    main()
