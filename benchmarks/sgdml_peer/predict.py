"""Predict with sgdml and time it.  Runs inside .parity-venv.

    .parity-venv/bin/python benchmarks/sgdml_peer/predict.py MODEL.npz GEOMETRIES.npz --out P.npz --record T.json

GEOMETRIES holds R (Q, N, 3) in the model's length unit.  Predictions (E, F in the model's units, float64) come from
sgdml's numpy path.  Times are medians over --repeats:
  single default   one structure per call, GDMLPredict as it is made, the way an MD step would call it
  single tuned     the same after sgdml's own prepare_parallel(n_bulk=1)
  single serial    the same in one process
  batch default    all structures in one call
  batch tuned      the same after prepare_parallel(n_bulk=Q)
  batch torch      all structures in one call through its PyTorch path (float32 arithmetic), only with --torch
"""

import argparse
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sgdml
from common import machine, read_dataset, write_json
from sgdml.predict import GDMLPredict


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall seconds of one call, after one that does not count."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def tune(peer: GDMLPredict, structures: int) -> None:
    """sgdml's own search for its best settings, of useful length and without what it remembers of older searches."""
    (Path(sgdml.__file__).parent / "_bmark_cache.npz").unlink(missing_ok=True)
    peer.prepare_parallel(n_bulk=structures, n_reps=max(1, 200 // structures))


def settings(peer: GDMLPredict) -> dict:
    return {"workers": peer.num_workers, "chunk": int(peer.chunk_size), "per_structure": bool(peer.bulk_mp)}


def timings(model: dict, R: np.ndarray, repeats: int, processes: int | None, torch: bool) -> dict[str, dict]:
    """Seconds per structure of every way to call sgdml; R (Q, 3N)."""
    rows: dict[str, dict] = {}

    def measure(name: str, peer: GDMLPredict, batch: np.ndarray) -> None:
        seconds = median_seconds(lambda: peer.predict(batch), repeats if len(batch) > 1 else 20 * repeats)
        rows[name] = {"s_per_structure": seconds / len(batch), **({} if peer.use_torch else settings(peer))}

    for name, batch in (("single", R[:1]), ("batch", R)):
        peer = GDMLPredict(model, max_processes=processes)
        measure(f"{name} default", peer, batch)
        tune(peer, len(batch))
        measure(f"{name} tuned", peer, batch)
        if name == "single":
            measure("single serial", GDMLPredict(model, max_processes=1), batch)
    if torch:
        measure("batch torch", GDMLPredict(model, use_torch=True), R)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("geometries", type=Path)
    parser.add_argument("--first", type=int, default=None, help="only that many structures")
    parser.add_argument("--repeats", type=int, default=0, help="0: predict only, no timing")
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--out", type=Path, help="npz for R, E, F")
    parser.add_argument("--record", type=Path, help="where the JSON goes (default: standard output)")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with np.load(args.model, allow_pickle=True) as file:  # sgdml's own loader does the same
        model = dict(file)
    R = read_dataset(args.geometries)["R"][: args.first]
    E, F = GDMLPredict(model, max_processes=1).predict(R.reshape(len(R), -1))
    if args.out:
        part = args.out.with_name("part." + args.out.name)
        np.savez_compressed(part, R=R, E=E, F=F.reshape(R.shape))
        os.replace(part, args.out)
    if args.repeats:
        write_json(args.record, {
            "what": "sgdml predict", "model": args.model.name, "machine": machine(), "n_atoms": R.shape[1],
            "n_train": int(model["R_desc"].shape[1]), "n_perms": len(model["perms"]), "structures": len(R),
            "repeats": args.repeats,
            "times": timings(model, R.reshape(len(R), -1), args.repeats, args.processes, args.torch),
        })  # fmt: skip


if __name__ == "__main__":
    main()
