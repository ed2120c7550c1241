"""Train an sgdml model on named frames and report its errors, time and memory.  Runs inside .parity-venv.

    .parity-venv/bin/python benchmarks/sgdml_peer/train.py DATA.npz --train 200 --valid 100 --sigma 20 \
        --model model.npz --record record.json

Frames come from --split FILE (a JSON file with lists train, valid, test) or are drawn with --seed.  Several sigmas are
all trained, and the one with the smallest validation force RMSE is kept, as sgdml's own command line does.
"""

import argparse
import json
import logging
import os
from pathlib import Path

import numpy as np
from common import draw_split, machine, measured, read_dataset, write_json
from sgdml.predict import GDMLPredict
from sgdml.solvers.analytic import Analytic
from sgdml.train import GDMLTrain
from sgdml.utils import io


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", type=Path, help="JSON with the lists train, valid, test")
    parser.add_argument("--train", type=int, default=200)
    parser.add_argument("--valid", type=int, default=100)
    parser.add_argument("--test", type=int, default=None, help="default: all frames that are left")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sigma", type=int, nargs="+", default=[20])
    parser.add_argument("--lam", type=float, default=1e-10)
    parser.add_argument("--perms", default="auto", help="auto, none, or a JSON file with the key perms")
    parser.add_argument("--energies", action="store_true", help="energies as labels (use_E_cstr)")
    parser.add_argument("--solver", choices=("analytic", "cg"), default="analytic")
    parser.add_argument("--memory", type=int, default=None, help="GiB that sgdml may plan with")
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--model", type=Path, help="where the model goes")
    parser.add_argument("--record", type=Path, help="where the JSON goes (default: standard output)")
    return parser.parse_args()


def quiet(*_args, **_kwargs) -> None:
    """sgdml's progress callback; its preconditioner crashes on None in one branch, so it always gets one."""


def take(data: dict, rows: list[int]) -> dict:
    """The frames `rows` of a data set, in that order."""
    return {key: value[rows] if key in ("R", "E", "F") else value for key, value in data.items()}


def make_task(trainer: GDMLTrain, data: dict, split: dict, perms: np.ndarray | None, args: argparse.Namespace) -> dict:
    """An sgdml task on exactly these frames, in the given order.

    sgdml draws frames by itself unless it is asked for all of them, so it gets the parts as data sets of their own
    and the true frame numbers and fingerprints are put back afterwards.
    """
    train, valid = take(data, split["train"]), take(data, split["valid"])
    task = trainer.create_task(
        train, len(train["R"]), valid, len(valid["R"]), args.sigma[0], lam=args.lam, perms=perms,
        use_sym=args.perms != "none", use_E=True, use_E_cstr=args.energies, callback=quiet,
    )  # fmt: skip
    md5 = io.dataset_md5(data)
    task.update(idxs_train=np.array(split["train"]), idxs_valid=np.array(split["valid"]), md5_train=md5, md5_valid=md5)
    return task


def errors(model: dict, data: dict, rows: list[int]) -> dict[str, float]:
    """Force and energy MAE and RMSE on the frames `rows`, in the units of the file."""
    part = take(data, rows)
    E, F = GDMLPredict(model, max_processes=1).predict(part["R"].reshape(len(rows), -1))
    dF, dE = F - part["F"].reshape(len(rows), -1), E - part["E"].ravel()
    return {
        "force_mae": float(np.abs(dF).mean()),
        "force_rmse": float(np.sqrt((dF**2).mean())),
        "energy_mae": float(np.abs(dE).mean()),
        "energy_rmse": float(np.sqrt((dE**2).mean())),
    }


def finish(model: dict, valid: dict[str, float]) -> dict:
    """The model as sgdml's command line leaves it after validation (errors are pickled dicts in its files)."""
    return {
        **model,
        "f_err": {"mae": valid["force_mae"], "rmse": valid["force_rmse"]},
        "e_err": {"mae": valid["energy_mae"], "rmse": valid["energy_rmse"]},
    }


def main() -> None:
    args = arguments()
    logging.disable(logging.INFO)
    if args.solver == "cg":
        Analytic.est_memory_requirement = staticmethod(lambda *_: float("inf"))  # the only switch sgdml has
    data = read_dataset(args.data)
    split = json.loads(args.split.read_text()) if args.split else None
    split = split or draw_split(data["R"], args.train, args.valid, args.test, args.seed)
    given = args.perms not in ("auto", "none")
    perms = np.array(json.loads(Path(args.perms).read_text())["perms"]) if given else None

    np.random.seed(args.seed)  # noqa: NPY002  (leverage scores of the cg solver)
    trainer = GDMLTrain(max_memory=args.memory, max_processes=args.processes)
    time_task: dict = {}
    with measured(time_task):
        task = make_task(trainer, data, split, perms, args)
    grid, best = [], None
    for sigma in args.sigma:
        row: dict = {"sigma": sigma}
        with measured(row):
            model = trainer.train({**task, "sig": sigma}, callback=quiet)
        row["valid"] = errors(model, data, split["valid"])
        row["iterations"] = int(model.get("solver_iters", 0))
        if best is None or row["valid"]["force_rmse"] < best[0]:
            best = row["valid"]["force_rmse"], finish(model, row["valid"]), sigma
        grid.append(row)
    assert best is not None
    _, model, sigma = best
    if args.model:
        part = args.model.with_name("part." + args.model.name)
        np.savez_compressed(part, **model)
        os.replace(part, args.model)
    write_json(args.record, {
        "what": "sgdml", "data": str(data["name"]), "md5": model["md5_train"].decode(), "machine": machine(),
        "units": [str(data["e_unit"]), str(data["r_unit"])], "solver": model["solver_name"], "lam": args.lam,
        "energies": args.energies, "sigma": sigma, "n_perms": len(task["perms"]), "task": time_task, "grid": grid,
        "test": errors(model, data, split["test"]), "n_train": len(split["train"]), "n_test": len(split["test"]),
        "perms": np.asarray(task["perms"]).tolist(), "split": split,
    })  # fmt: skip


if __name__ == "__main__":
    main()
