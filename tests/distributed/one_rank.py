"""One of several ranks: computes with the shards it is given and writes what it finds, whole, to RESULT.RANK.npz.

python one_rank.py RANK SIZE STORE RESULT
"""

import sys
from collections.abc import Iterable
from datetime import timedelta

import numpy as np
import torch
from cases import CASES, METHYL, NUMBERS, pair_functions, random_model, structures
from torch import distributed

from gossamer.data.dataset import Dataset
from gossamer.fitting.covariance import Covariance
from gossamer.fitting.operator import KernelOperator
from gossamer.fitting.parallel import Ranks
from gossamer.fitting.preconditioners import Nystrom


def of_operators(ranks: Ranks, cases: Iterable[str] = CASES, n: int = 11) -> dict[str, np.ndarray]:
    """Products, columns, diagonals and preconditioners of every case, with and without energies."""
    found = {}
    for case in cases:
        for energies in (False, True):
            pairs, terms = CASES[case]()
            R = torch.from_numpy(structures(n))
            K = KernelOperator.build(terms, pairs, R, 1e-6, energies=energies, ranks=ranks)
            v = torch.from_numpy(np.random.default_rng(3).normal(size=K.size))
            chosen = np.array([7, 0, 50, 60, K.size - 1])
            P = Nystrom.build(K, 40, seed=1)
            own = K.own_columns(chosen)
            values = {
                "product": K @ v,
                "uncached": KernelOperator.build(terms, pairs, R, 1e-6, energies=energies, ranks=ranks, cache_bytes=0)
                @ v,
                "columns": K.shards.pick(own, np.arange(K.size), len(chosen)),
                "whole columns": K.columns(chosen).T,
                "diagonal": K.diagonal(),
                "preconditioned": P(v),
                "factor": K.shards.pick(P.factor, np.arange(K.size), len(P.cholesky)),
            }
            if case == "several":
                C = Covariance.among(terms, pairs, R, energies, pair_functions())
                F = KernelOperator.of(C, 1e-6, ranks=ranks)
                values["beside"] = Nystrom.build(F.of_terms, 30, seed=1).beside(F.function_factor(1e-6, 9), 1e-6)(v)
            found |= {f"{case} {energies} {name}": t.numpy() for name, t in values.items()}
    return found


def of_few(ranks: Ranks) -> dict[str, np.ndarray]:
    """The same of 4 structures."""
    return of_operators(ranks, ["methyl"], 4)


def of_models(ranks: Ranks) -> dict[str, np.ndarray]:
    """Coefficients of whole trainings: every search, both solvers, with and without energies."""
    from gossamer.fitting.checkpoint import Run
    from gossamer.fitting.workflow import fit

    truth, _, _ = random_model("methyl", n_train=8)
    R = structures(60, seed=11, spread=0.08)
    p = truth.predict(R)
    labels = np.round(p.forces, 9), np.round(p.energies, 9)  # the same in every process
    train, valid, _ = Dataset(NUMBERS, R, *labels).split(30, 15, 15, seed=1)
    options = {
        "searched": {"symmetry": "none", "solver": "cg", "terms": "global"},
        "local and global": {"symmetry": METHYL, "solver": "cg", "learning_steps": 3, "terms": "auto"},
        "cg": {"length": 3.0, "noise": 1e-10, "symmetry": METHYL, "solver": "cg", "terms": "global"},
        "cg energies": {
            "length": 3.0,
            "noise": 1e-8,
            "symmetry": METHYL,
            "solver": "cg",
            "energies": True,
            "terms": "global",
        },
        "cholesky": {"length": 3.0, "noise": 1e-10, "symmetry": METHYL, "solver": "cholesky", "terms": "global"},
    }
    found = {}
    for name, chosen in options.items():
        result = fit(train, valid, run=Run(ranks), memory=4.0, **chosen)
        found[name] = result.model.coefficients[0].V
        found[f"{name} forces"] = result.model.predict(valid.positions).forces
    return found


def main() -> None:
    rank, size = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    ranks = Ranks()
    if size > 1:
        distributed.init_process_group(
            "gloo", init_method=f"file://{sys.argv[3]}", rank=rank, world_size=size, timeout=timedelta(seconds=120)
        )
        ranks = Ranks(rank, size, size)
    what = {"operators": of_operators, "few": of_few, "models": of_models}[sys.argv[5]]
    np.savez(f"{sys.argv[4]}.{rank}.npz", **what(ranks))
    if size > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
