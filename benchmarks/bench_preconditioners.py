"""How columns of the Nystrom preconditioner are best chosen and how many of them: time until the test error is final.

    python benchmarks/bench_preconditioners.py [MOLECULE ...]

Every method solves the same systems, with length and noise fixed.  "s" is the processor time (of one thread, since wall
time on a shared machine says little) until the force MAE on 200 test structures is within 1 % of that of the exact
solution: choosing and factorising the columns, then the iterations.  Checks every 10 iterations are not counted.
"""

import argparse
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from common import KCAL, ROOT, SHARED, save, table

import gossamer as gs
from gossamer.chemistry.symmetry import find_symmetry
from gossamer.fitting.labels import Labels
from gossamer.fitting.operator import KernelOperator, assemble
from gossamer.fitting.parallel import divide
from gossamer.fitting.preconditioners import Nystrom
from gossamer.fitting.solvers import Observer, StopRule, cholesky, conjugate_gradients
from gossamer.kernels import Matern52
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

MOLECULES = {  # file, structures, relative noise
    "ethanol": (SHARED / "md17_ethanol.npz", 400, 1e-8),
    "aspirin": (SHARED / "rmd17_aspirin_train.npz", 150, 1e-6),
    "Ac-Ala3": (ROOT / "examples" / "ac-ala3" / "ac-ala3.npz", 80, 1e-5),
    "DHA": (SHARED / "xtb_DHA.npz", 60, 1e-5),
}
LENGTH, TEST, ITERATIONS, EVERY = 20.0, 200, 400, 10
COLUMNS = (4, 8, 12, 18)  # times the square root of the number of unknowns


def uniform(K: KernelOperator, count: int, rng: np.random.Generator) -> np.ndarray:
    """Columns drawn at random."""
    return np.sort(rng.choice(K.size, count, replace=False))


def leverage(K: KernelOperator, count: int, rng: np.random.Generator) -> np.ndarray:
    """Columns drawn by approximate ridge leverage scores, from half as many columns drawn at random (as sgdml does)."""
    F, remaining = partial_factor(K, uniform(K, count // 2, rng))
    ridge = remaining + K.noise
    inner = torch.linalg.cholesky(F @ F.T + ridge * torch.eye(len(F), dtype=F.dtype))
    captured = torch.linalg.solve_triangular(inner, F, upper=False).square().sum(0)
    left = (K.diagonal() - F.square().sum(0)).clamp_min(0) / ridge
    scores = (captured + left).numpy()
    return np.sort(rng.choice(K.size, count, replace=False, p=scores / scores.sum()))


def structures(K: KernelOperator, count: int, rng: np.random.Generator) -> np.ndarray:
    """All columns of structures drawn at random."""
    n3 = K.n_forces // K.n_structures
    chosen = np.sort(rng.permutation(K.n_structures)[: max(1, count // n3)])
    return (chosen[:, None] * n3 + np.arange(n3)).ravel()


def partial_factor(K: KernelOperator, chosen: np.ndarray) -> tuple[torch.Tensor, float]:
    """Rows F (m, n) with F^T F the Nystrom approximation from these columns, and the mean variance left out."""
    C = K.columns(chosen)
    inner = C[chosen]
    inner.diagonal().add_(1e-10 * float(inner.diagonal().mean()))
    F = torch.linalg.solve_triangular(torch.linalg.cholesky(inner), C.T.contiguous(), upper=False)
    return F, max(0.0, float((K.diagonal() - F.square().sum(0)).mean()))


def nystrom(choose: Callable) -> Callable:
    def build(K: KernelOperator, count: int) -> Nystrom:
        F, remaining = partial_factor(K, choose(K, count, np.random.default_rng(0)))
        labels = [torch.from_numpy(part) for part in K.shards.labels]
        return Nystrom.from_factor(tuple(F[:, part].contiguous() for part in labels), K.shards, remaining, K.noise)

    return build


METHODS: dict[str, Callable] = {
    "random": nystrom(uniform),
    "whole structures": nystrom(structures),
    "leverage scores": nystrom(leverage),
    "RPCholesky": lambda K, count: Nystrom.build(K, count, seed=0),
}


class Watch:
    """Processor time since the start, without that of checks; where the test error became final."""

    def __init__(self, test: Callable[[torch.Tensor], float], target: float):
        self.test, self.target = test, target
        self.began, self.checks, self.reached = time.process_time(), 0.0, None

    def __call__(self, v: torch.Tensor) -> float:
        now = time.process_time()
        error = self.test(v)
        if self.reached is None and error <= self.target:
            self.reached = now - self.began - self.checks
        self.checks += time.process_time() - now
        return error


def sweep(K: KernelOperator, y: torch.Tensor, blocks: int, watch: Watch) -> int:
    """Block coordinate descent (sketch and project): the exact solution of one block of structures after another."""
    rng = np.random.default_rng(0)
    n3, v = K.n_forces // K.n_structures, torch.zeros_like(y)
    spans = divide(K.n_structures, blocks)
    factors = []
    for span in spans:
        labels = np.arange(span.start * n3, span.stop * n3)
        own = K.columns(labels)[labels]
        own.diagonal().add_(K.noise)
        factors.append(torch.linalg.cholesky(own))
    for number in range(1, ITERATIONS + 1):
        for b in rng.permutation(len(spans)):
            part = slice(spans[b].start * n3, spans[b].stop * n3)
            (product,) = K.covariance.products(v, [spans[b]])
            product += K.noise * v[part]
            v[part] += torch.cholesky_solve((y[part] - product)[:, None], factors[b])[:, 0]
        if number % EVERY == 0 and watch(v) <= watch.target:
            return number
    return ITERATIONS


class Final(Exception):
    """The test error is what it will be."""


def iterate(K: KernelOperator, y: torch.Tensor, build: Callable, scale: float, watch: Watch) -> int:
    """Conjugate gradients until the watch is content; returns the iterations."""
    stop = StopRule(residual=0.0, every=EVERY, patience=10_000, max_iterations=ITERATIONS)
    checks = []

    def monitor(v: torch.Tensor) -> float:
        checks.append(watch(v))
        if watch.reached is not None:
            raise Final
        return checks[-1]

    with contextlib.suppress(Final):
        conjugate_gradients(K, y, build(), scale=scale, stop=stop, observer=Observer(monitor))
    return EVERY * len(checks)


def compare(name: str) -> list[dict[str, object]]:
    path, n_train, relative = MOLECULES[name]
    train, _, test = gs.read(path).split(n_train, 0, TEST, seed=0)
    pairs = PairSet.full(train.n_atoms)
    perms = find_symmetry(train.positions, train.numbers, limit=12).perms
    terms = (Term.over_all(pairs, perms, Matern52(LENGTH)),)
    K = KernelOperator.build(terms, pairs, torch.from_numpy(train.positions), 0.0)
    K = replace(K, noise=relative * float(K.diagonal().mean()))
    labels = Labels.of(train)

    def error(v: torch.Tensor) -> float:
        return assemble(K, v, train.numbers, labels.scale, 0.0, {}).test(test).force_mae

    began = time.process_time()
    final = error(cholesky(K, labels.y, scale=labels.scale).coefficients)
    shared = {"molecule": name, "M": n_train, "n": K.size, "permutations": len(perms), "relative noise": relative,
              "force MAE kcal/mol/A": final / KCAL}  # fmt: skip
    rows = [shared | {"method": "Cholesky", "columns": K.size, "iterations": 1, "s": time.process_time() - began}]
    table(rows)
    for factor in COLUMNS:
        for method, build in METHODS.items():
            count = min(K.size, int(factor * K.size**0.5))
            watch = Watch(error, 1.01 * final)
            iterations = iterate(K, labels.y, lambda K=K, b=build, c=count: b(K, c), labels.scale, watch)
            rows.append(shared | {"method": method, "columns": count, "iterations": iterations, "s": watch.reached})
            table(rows[-1:])
    watch = Watch(error, 1.01 * final)
    rows.append(shared | {"method": "block coordinate", "columns": K.size // 8,
                          "iterations": sweep(K, labels.y, 8, watch), "s": watch.reached})  # fmt: skip
    table(rows[-1:])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("molecules", nargs="*", default=list(MOLECULES))
    torch.set_num_threads(1)
    rows = [row for name in parser.parse_args().molecules for row in compare(name)]
    save("preconditioners", rows)
    table(rows)


if __name__ == "__main__":
    main()
