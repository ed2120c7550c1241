"""Prediction beside sgdml on the same machine in the same run: one structure (an MD step) and a batch.

    python benchmarks/bench_step.py

Needs .parity-venv (`make parity` builds it).  Models are of real structures with random coefficients: cost does not
depend on the labels.  sgdml's fastest setting of each kind is the one compared with.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from common import KCAL, PARITY_PYTHON, ROOT, SHARED, median_seconds, save, table

import gossamer as gs
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.kernels import Matern52
from gossamer.model.pairs import PairSet
from gossamer.model.single import SingleEvaluator
from gossamer.model.terms import Term

PEER = ROOT / "benchmarks" / "sgdml_peer" / "predict.py"
BATCH = 1000


def random_model(
    data: gs.Dataset, n_train: int, perms: np.ndarray, share: float, rng: np.random.Generator
) -> ForceField:
    """A one-term model over a random `share` of the pair orbits, with coefficients drawn from `rng`."""
    import torch

    full = PairSet.full(data.n_atoms)
    orbits = full.orbits(perms)
    chosen = rng.permutation(orbits.max() + 1)[: round(share * (orbits.max() + 1))]
    pairs = full.keep(np.isin(orbits, chosen))
    X = pairs.forward(torch.from_numpy(data.positions[:n_train]))[0].numpy()
    V = 1e-3 * rng.normal(size=X.shape)
    provenance = {"symmetry": {"perms": perms.tolist()}}
    term = Term.over_all(pairs, perms, Matern52(20.0))
    return ForceField(data.numbers, pairs, (term,), (TermCoefficients(X, V),), provenance=provenance)


def ours(model: ForceField, R: np.ndarray) -> dict[str, float]:
    """Seconds per structure of one structure (one thread, two threads) and of a batch."""
    result = {}
    for threads in (1, 2):
        evaluate = SingleEvaluator.build(model, threads)
        result[f"single {threads}"] = median_seconds(lambda e=evaluate: e(R[0]), 200)
    result["batch"] = median_seconds(lambda: model.predict(R), 5) / len(R)
    return result


def peer(model: ForceField, R: np.ndarray, folder: Path) -> dict[str, float]:
    """sgdml's fastest times for the same model, in seconds per structure."""
    path, queries, record = model.export_sgdml(folder / "m.npz"), folder / "q.npz", folder / "t.json"
    np.savez(queries, R=R)
    command = [PARITY_PYTHON, PEER, path, queries, "--out", folder / "p.npz", "--record", record, "--repeats", "5"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([str(part) for part in command], check=True, env=environment, capture_output=True)
    predicted = np.load(folder / "p.npz")
    ours_ = model.predict(R[:50]).forces / KCAL
    np.testing.assert_allclose(predicted["F"].reshape(R.shape)[:50], ours_, atol=1e-7 * np.abs(ours_).max())
    times = {name: row["s_per_structure"] for name, row in json.loads(record.read_text())["times"].items()}
    best = {kind: min(t for name, t in times.items() if name.startswith(kind)) for kind in ("single", "batch")}
    return best | {"serial": times["single serial"]}


def main() -> None:
    if not PARITY_PYTHON.exists():
        print(f"{PARITY_PYTHON}: not here; run `make parity` first")
        return
    rng = np.random.default_rng(0)
    peptide = gs.read(ROOT / "examples" / "ac-ala3" / "ac-ala3.npz")
    cases = [("Ac-Ala3-NHMe", peptide, 1000, np.arange(42)[None], (1.0, 0.4))]
    if (SHARED / "xtb_ethanol.npz").exists():
        ethanol = gs.read(SHARED / "xtb_ethanol.npz")
        six = gs.find_symmetry(ethanol.positions[:400], ethanol.numbers).perms
        cases += [("ethanol", ethanol, n, six, (1.0,)) for n in (200, 1000)]
    rows = []
    for name, data, n_train, perms, shares in cases:
        R = data.positions[-BATCH:]
        with tempfile.TemporaryDirectory() as folder:
            theirs = peer(random_model(data, n_train, perms, 1.0, rng), R, Path(folder))
        for share in shares:
            model = random_model(data, n_train, perms, share, rng)
            mine = ours(model, R)
            rows.append(
                {
                    "molecule": name, "M": n_train, "permutations": len(perms), "pairs": len(model.pairs),
                    "ours, 1 thread, ms": 1e3 * mine["single 1"], "ours, 2 threads, ms": 1e3 * mine["single 2"],
                    "sgdml, 1 process, ms": 1e3 * theirs["serial"], "sgdml, fastest, ms": 1e3 * theirs["single"],
                    "ratio, 1 core": theirs["serial"] / mine["single 1"],
                    "batch, ours, ms": 1e3 * mine["batch"], "batch, sgdml, ms": 1e3 * theirs["batch"],
                    "batch ratio": theirs["batch"] / mine["batch"],
                }
            )  # fmt: skip
    save("step", rows)
    table(rows)


if __name__ == "__main__":
    main()
