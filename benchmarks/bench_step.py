"""Prediction beside sgdml on the same machine in the same run: one structure (an MD step) and a batch.

    python benchmarks/bench_step.py

Needs .parity-venv (`make parity` builds it).  Models are of real structures with random coefficients: cost does not
depend on the labels.  Ratios are quoted against sgdml as it comes (default), in one process, and after its own search
for the fastest setting.  The last case is a sum of terms, which sgdml cannot express: 40 local terms of 10 to 55 pairs
with 3 to 6 images and a global one.
"""

import itertools
import json
import os
import subprocess
import tempfile
from pathlib import Path

import ase
import numpy as np
from common import KCAL, PARITY_PYTHON, ROOT, SHARED, median_seconds, save, table

import gossamer as gs
from gossamer.kernels import Matern52
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

PEER = ROOT / "benchmarks" / "sgdml_peer" / "predict.py"
BATCH = 1000
KINDS = ("single", "batch")


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


def term_model(data: gs.Dataset, n_train: int, rng: np.random.Generator) -> ForceField:
    """40 local terms over the pairs of 5 to 11 neighbouring atoms, half with 3 permutations and half with 3 to 6
    places, and a global term; random coefficients."""
    import torch

    pairs = PairSet.full(data.n_atoms)
    x = pairs.forward(torch.from_numpy(data.positions[:n_train]))[0]
    near = np.argsort(np.linalg.norm(data.positions[0][:, None] - data.positions[0][None], axis=2), axis=1)
    terms = [Term.over_all(pairs, np.arange(data.n_atoms)[None], Matern52(20.0), amplitude=0.1)]
    for t in range(40):
        size = 5 + t % 7
        corners = np.stack(np.tril_indices(size, -1), axis=1)
        if t % 2:
            turn = np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1]])
            atoms = np.concatenate([turn, np.tile(np.arange(3, size), (3, 1))], axis=1)
            perms = PairSet.full(size).permuted(atoms)
            places = pairs.index(near[t][corners])[None]
        else:
            perms = np.arange(len(corners))[None]
            places = np.stack([pairs.index(near[(t + k) % data.n_atoms][corners]) for k in range(3 + t % 4)])
        terms.append(Term(places, perms, Matern52(10.0), name=f"local {t}"))
    rows = [term.gather(x).numpy() for term in terms]
    coefficients = tuple(TermCoefficients(X, 1e-3 * rng.normal(size=X.shape)) for X in rows)
    return ForceField(data.numbers, pairs, tuple(terms), coefficients)


def ours(model: ForceField, R: np.ndarray) -> dict[str, float]:
    """Seconds per structure: the compiled path alone, on one thread and on two; `predict`; a step's call through ASE;
    a batch on all cores."""
    result = {}
    for threads in (1, 2):
        evaluate = model.evaluator(threads=threads).one
        result[f"single {threads}"] = median_seconds(lambda e=evaluate: e(R[0]), 300)
    result["predict"] = median_seconds(lambda: model.predict(R[0]), 300)
    atoms = ase.Atoms(model.numbers, R[0])
    atoms.calc = model.ase()
    turns = itertools.cycle(R[:50])

    def step() -> np.ndarray:
        atoms.positions[:] = next(turns)
        return atoms.get_forces()

    result["ase"] = median_seconds(step, 300)
    result["batch"] = median_seconds(lambda: model.predict(R), 5) / len(R)
    return result


def peer(model: ForceField, R: np.ndarray, folder: Path) -> dict[str, float]:
    """sgdml's times for the same model, in seconds per structure, by kind of call and setting."""
    path, queries, record = model.export_sgdml(folder / "m.npz"), folder / "q.npz", folder / "t.json"
    np.savez(queries, R=R)
    command = [PARITY_PYTHON, PEER, path, queries, "--out", folder / "p.npz", "--record", record, "--repeats", "5"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([str(part) for part in command], check=True, env=environment, capture_output=True)
    predicted = np.load(folder / "p.npz")
    ours_ = model.predict(R[:50]).forces / KCAL
    np.testing.assert_allclose(predicted["F"].reshape(R.shape)[:50], ours_, atol=1e-7 * np.abs(ours_).max())
    times = {name: row["s_per_structure"] for name, row in json.loads(record.read_text())["times"].items()}
    fastest = {f"{kind} fastest": min(t for name, t in times.items() if name.startswith(kind)) for kind in KINDS}
    return times | fastest


def row(name: str, model: ForceField, R: np.ndarray, theirs: dict[str, float]) -> dict[str, object]:
    """One line of the table: milliseconds per structure, and ratios (sgdml's time / ours)."""
    mine = ours(model, R)
    images = sum(term.n_images for term in model.terms)
    line: dict[str, object] = {
        "model": name, "M": model.n_train, "terms": len(model.terms), "images": images, "pairs": len(model.pairs),
    }  # fmt: skip
    line |= {f"ours {kind}, ms": 1e3 * seconds for kind, seconds in mine.items()}
    line |= {f"sgdml {kind}, ms": 1e3 * seconds for kind, seconds in theirs.items()}
    for kind, setting in itertools.product(KINDS, ("default", "serial", "fastest")):
        if f"{kind} {setting}" in theirs:
            best = mine["single 1"] if kind == "single" else mine["batch"]
            line[f"{kind}: sgdml {setting} / ours"] = theirs[f"{kind} {setting}"] / best
    return line


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
        rows += [row(name, random_model(data, n_train, perms, share, rng), R, theirs) for share in shares]
    R = peptide.positions[-BATCH:]
    methyls = gs.find_symmetry(peptide.positions[:400], peptide.numbers, limit=27).perms
    rows.append(row("Ac-Ala3-NHMe, symmetric", random_model(peptide, 1000, methyls, 1.0, rng), R, {}))
    rows.append(row("Ac-Ala3-NHMe, sum of terms", term_model(peptide, 200, rng), R, {}))
    save("step", {"load when done": os.getloadavg(), "repeats": {"single": 300, "batch": 5}, "cases": rows})
    for line in rows:
        table([line])
        print()


if __name__ == "__main__":
    main()
