"""What a card does: products K v, training, batches and single steps of a 42-atom peptide, all in float64.

    python benchmarks/bench_gpu.py [--sizes 1000 3000 6000] [--train 1000 6000] [--device cuda]

Products and steps are of the peptide's own thermal structures.  Where more structures are asked for than the example
holds, the further ones are distorted copies with labels from a model trained on the real ones; the table says so.
Without a card it says so and ends; `--device cpu` runs the same code on the CPU, to see that the script works.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from common import ROOT, median_seconds, save, table

import gossamer as gs
from gossamer.backends.torch import backend as sums
from gossamer.data.dataset import Dataset
from gossamer.fitting.operator import KernelOperator, assemble
from gossamer.fitting.workflow import fit
from gossamer.kernels import Matern52
from gossamer.model.force_field import ForceField
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

LENGTH, NOISE = 20.0, 1e-5  # what the searches find at 200 structures
QUERIES = 1000
TERA = 1e12


def finished(device: torch.device) -> None:
    """Wait for what was launched."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def distorted(data: Dataset, n: int, seed: int = 0) -> np.ndarray:
    """n structures (n, N, 3): the data's own, then copies distorted by 0.03 Angstrom per coordinate."""
    rng = np.random.default_rng(seed)
    more = data.positions[rng.integers(0, len(data), max(0, n - len(data)))]
    return np.concatenate([data.positions, more + 0.03 * rng.normal(size=more.shape)])[:n]


def matmul_rate(device: torch.device, n: int) -> float:
    """TFLOP/s of one float64 product of n x n matrices."""
    a = torch.rand((n, n), dtype=torch.float64, device=device)
    seconds = median_seconds(lambda: (a @ a, finished(device)))
    return 2 * n**3 / seconds / TERA


def synthetic(data: Dataset, n: int, device: torch.device) -> ForceField:
    """A model of n structures with random coefficients: its cost is that of a trained one."""
    pairs = PairSet.full(data.n_atoms)
    terms = (Term.over_all(pairs, np.arange(data.n_atoms)[None], Matern52(LENGTH)),)
    positions = torch.from_numpy(distorted(data, n)).to(device)
    K = KernelOperator.build(terms, pairs, positions, NOISE, cache_bytes=0)
    v = torch.from_numpy(np.random.default_rng(0).normal(size=K.size)).to(device)
    return assemble(K, v, data.numbers, 1.0, 0.0, {})


def product(data: Dataset, n: int, device: torch.device, peak: float) -> dict[str, object]:
    """K v with cached factors: three products of (n, n) with (n, pairs) matrices."""
    pairs = PairSet.full(data.n_atoms)
    terms = (Term.over_all(pairs, np.arange(data.n_atoms)[None], Matern52(LENGTH)),)
    K = KernelOperator.build(
        terms, pairs, torch.from_numpy(distorted(data, n)).to(device), NOISE, cache_bytes=16.0 * n * n + 1
    )
    v = torch.ones(K.size, dtype=torch.float64, device=device)
    seconds = median_seconds(lambda: (K @ v, finished(device)))
    rate = 6.0 * n * n * len(pairs) / seconds / TERA
    return {"M": n, "K v ms": 1000 * seconds, "TFLOP/s": rate, "share of matmul": rate / peak}


def prediction(data: Dataset, n: int, device: torch.device) -> dict[str, object]:
    """One structure (CUDA graph), replicas in a graph, and a batch with and without the fused kernel."""
    model = synthetic(data, n, device)
    query = distorted(data, QUERIES, seed=1)
    row: dict[str, object] = {"M": n, "one ms": 1000 * median_seconds(lambda: model.predict(query[0]), 50)}
    if device.type == "cuda":
        replicas = model.evaluator(replicas=64).many
        row["64 replicas ms"] = 1000 * median_seconds(lambda: replicas(query[:64]), 20)
    limit = sums.FUSED_PAIRS
    for name, pairs in (("products", 0), ("fused", 10**6)):
        sums.FUSED_PAIRS = pairs
        row[f"batch of {QUERIES}, {name}, ms"] = 1000 * median_seconds(lambda: model.predict(query))
    sums.FUSED_PAIRS = limit
    return row


def training(data: Dataset, n: int, device: torch.device) -> dict[str, object]:
    """Train on n structures to the default stopping rule and measure on real ones."""
    train, valid, test = data.split(min(n, len(data) - 600), 100, 500, seed=0)
    made_up = max(0, n - len(train))
    options = {"terms": "global", "symmetry": "none", "device": str(device)}
    if made_up:
        teacher = fit(train, valid, length=LENGTH, relative_noise=NOISE, **options).model
        positions = distorted(train, n)
        p = teacher.predict(positions)
        train = replace(train, positions=positions, energies=p.energies, forces=p.forces, indices=np.arange(n))
    began = time.perf_counter()
    found = fit(train, valid, length=LENGTH, relative_noise=NOISE, **options)
    return {
        "M": n,
        "of them made up": made_up,
        "unknowns": 3 * train.n_atoms * n,
        "columns": found.fitted.plan.columns,
        "iterations": found.solution.iterations,
        "seconds": time.perf_counter() - began,
        "card GiB": torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0,
        "force MAE meV/A": 1000 * found.model.test(test).force_mae,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", type=int, default=(1000, 3000, 6000))
    parser.add_argument("--train", nargs="*", type=int, default=(1000, 3000, 6000))
    parser.add_argument("--matmul", type=int, default=8192, help="order of the matrices that set the pace")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("bench_gpu: torch finds no CUDA card here, so nothing was measured.")
        return
    device = torch.device(options.device)
    data = gs.read(ROOT / "examples" / "ac-ala3" / "ac-ala3.npz")
    print(torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU")
    peak = matmul_rate(device, options.matmul)
    print(f"float64 matmul: {peak:.3g} TFLOP/s")
    parts = {
        "products": [product(data, n, device, peak) for n in options.sizes],
        "predictions": [prediction(data, n, device) for n in options.sizes],
        "trainings": [training(data, n, device) for n in options.train],
    }
    for rows in parts.values():
        if rows:
            table(rows)
    if device.type == "cuda":
        save("gpu", {"matmul_tflops": peak, **parts})


if __name__ == "__main__":
    main()
