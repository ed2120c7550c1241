"""Records: what a run did and measured, as plain JSON values."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from gossamer.chemistry.fragments import GLOBAL
from gossamer.chemistry.symmetry import Symmetry
from gossamer.data.dataset import Dataset
from gossamer.fit.learning import mean_variance
from gossamer.fit.resources import machine
from gossamer.fit.selection import WORTH
from gossamer.fit.solvers import Solution
from gossamer.fit.workflow import Fit
from gossamer.model.force_field import Errors, ForceField
from gossamer.model.fragment_terms import fragment_atoms, reach_of
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term
from gossamer.version import __version__

FORMAT = "gossamer-record-1"
FAR = 5.0  # Angstrom; longer pairs are called far (Kabylda et al. 2023)
PARITY_COMPONENTS = 4000
VARIANCE_STRUCTURES = 10  # whose forces show how the prior variance is shared among the terms


def header(kind: str, command: str) -> dict[str, Any]:
    """The part every record begins with."""
    return {
        "format": FORMAT,
        "kind": kind,
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "machine": machine(),
    }


def describe_data(train: Dataset, valid: Dataset | None, test: Dataset | None) -> dict[str, Any]:
    """Sizes and provenance of the data a run used."""
    p = train.provenance
    parts = [d for d in (train, valid, test) if d is not None]
    return {
        "name": p.name,
        "source": p.source,
        "theory": p.theory,
        "fingerprint": train.fingerprint,
        "n_frames": sum(len(d) for d in parts),
        "duplicates_removed": p.duplicates_removed,
        "n_train": len(train),
        "n_valid": 0 if valid is None else len(valid),
        "n_test": 0 if test is None else len(test),
        "n_atoms": train.n_atoms,
        "formula": train.formula,
        "read": dict(p.read),
    }


def describe_symmetry(group: Symmetry) -> dict[str, Any]:
    return {"order": len(group.perms), "found": int(group.found), "note": group.note}


def mean_distances(positions: np.ndarray, pairs: PairSet) -> np.ndarray:
    """Mean distance (P,) of every pair over structures positions (n, N, 3), Angstrom."""
    i, j = pairs.pairs.T
    total = np.zeros(len(pairs))
    for structure in positions:
        total += np.linalg.norm(structure[i] - structure[j], axis=1)
    return total / len(positions)


def describe_model(
    label: str,
    pairs: PairSet,
    distances: np.ndarray,
    errors: dict[str, Errors],
    solution: Solution,
    seconds: float,
    **extra: Any,
) -> dict[str, Any]:
    """One line of a table of models.  distances (P,): mean distance of the model's pairs; errors: by data set, "test"
    before "valid"."""
    tested_on = "test" if "test" in errors else "valid" if "valid" in errors else "train"
    shown, valid = errors[tested_on], errors.get("valid")
    return {
        "label": label,
        "pairs": len(pairs),
        "pairs_below_5A": int((distances < FAR).sum()),
        "pairs_above_5A": int((distances >= FAR).sum()),
        "longest_A": float(distances.max()),
        "pairs_per_atom": len(pairs) / pairs.n_atoms,
        "tested_on": tested_on,
        **shown._asdict(),
        "valid_force_mae": None if valid is None else valid.force_mae,
        "valid_force_rmse": None if valid is None else valid.force_rmse,
        "seconds": seconds,
        "iterations": solution.iterations,
        "status": solution.status.value,
        "residual": solution.residual,
        **extra,
    }


def describe_parity(models: dict[str, ForceField], data: Dataset, seed: int) -> dict[str, Any]:
    """Reference and predicted values for parity plots: at most PARITY_COMPONENTS force components, all energies."""
    predictions = {name: model.predict(data.positions) for name, model in models.items()}
    reference = data.labelled_forces().ravel()
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(reference))[:PARITY_COMPONENTS])
    forces = {"reference": reference[chosen].tolist()}
    forces |= {name: p.forces.ravel()[chosen].tolist() for name, p in predictions.items()}
    energies = None
    if data.energies is not None:
        energies = {"reference": data.energies.tolist()} | {n: p.energies.tolist() for n, p in predictions.items()}
    return {"forces": forces, "energies": energies}


def per_atom_mae(model: ForceField, data: Dataset) -> list[float]:
    """Mean absolute force error of every atom, eV/Angstrom."""
    return np.abs(model.predict(data.positions).forces - data.labelled_forces()).mean(axis=(0, 2)).tolist()


def describe_geometry(train: Dataset) -> dict[str, Any]:
    """A structure to draw: the training structure nearest to the mean descriptor, with its bonds."""
    from ase.data import chemical_symbols

    from gossamer.chemistry.bonds import bond_graph

    i, j = PairSet.full(train.n_atoms).pairs.T
    x = 1 / np.linalg.norm(train.positions[:, i] - train.positions[:, j], axis=-1)
    typical = int(np.argmin(((x - x.mean(0)) ** 2).sum(1)))
    return {
        "symbols": [chemical_symbols[z] for z in train.numbers],
        "positions": np.round(train.positions[typical], 4).tolist(),
        "bonds": bond_graph(train.positions, train.numbers).tolist(),
    }


def seen_locally(model: ForceField) -> np.ndarray:
    """Mask (P,) of the model's pairs that a term other than the global one sees."""
    seen = np.zeros(len(model.pairs), dtype=bool)
    for term in model.terms:
        if term.name != GLOBAL:
            seen[term.places] = True
    return seen


def describe_terms(model: ForceField, positions: np.ndarray, distances: np.ndarray) -> list[dict[str, Any]]:
    """A row per term: what it looks at, where, with which kernel, and what was learned.

    positions (n, N, 3): structures on which the prior variance is taken; distances (P,): mean distance of the model's
    pairs."""
    variances = [mean_variance((term,), model.pairs, positions[:VARIANCE_STRUCTURES]) for term in model.terms]
    local = seen_locally(model)
    rows = []
    for term, variance in zip(model.terms, variances, strict=True):
        atoms = None if term.name == GLOBAL else fragment_atoms(term, model.pairs)
        rows.append(
            {
                "name": term.name,
                "reach": reach_of(term, model.pairs),
                "n_atoms": len(np.unique(model.pairs.pairs[term.places[0]])),
                "atoms": None if atoms is None else atoms.tolist(),
                "pairs": term.n_pairs,
                "places": term.n_places,
                "permutations": len(term.perms),
                "length": term.kernel.length,
                "amplitude": term.amplitude,
                "prior_share": _rounded(variance / sum(variances)),
                "weights": describe_weights(term, distances, local),
            }
        )
    return rows


def describe_weights(term: Term, distances: np.ndarray, local: np.ndarray) -> dict[str, list[Any]]:
    """The term's pairs by falling weight, one entry for all pairs of one weight (columns of equal length): how many
    they are, their mean, shortest and longest distance (Angstrom), and whether local terms see them."""
    seen, distance = local[term.places].all(axis=0), distances[term.places]
    keys = sorted({(w, s) for w, s in zip(term.weights.tolist(), seen.tolist(), strict=True)}, reverse=True)
    parts = [distance[:, (term.weights == weight) & (seen == inside)] for weight, inside in keys]
    return {
        "weight": [_rounded(weight) for weight, _ in keys],
        "local": [inside for _, inside in keys],
        "pairs": [part.shape[1] for part in parts],
        "distance": [round(float(part.mean()), 3) for part in parts],
        "shortest": [round(float(part.min()), 3) for part in parts],
        "longest": [round(float(part.max()), 3) for part in parts],
    }


def describe_choice(fit: Fit) -> dict[str, Any]:
    """Which terms were chosen, the validation force RMSE (eV/Angstrom) of each kind when fitted to `n_train` structures
    (None: it could not be solved), and the held-out force RMSE at every step of learning."""
    choice = fit.choice
    history = () if choice.learned is None else choice.learned.history
    tried = {t.n_train for t in choice.trials} if choice.errors else set()
    return {
        "name": choice.name,
        "valid_force_rmse": {name: e if np.isfinite(e) else None for name, e in choice.errors.items()},
        "n_train": max(tried, default=None),
        "worth": WORTH,
        "learning": [_rounded(error) for error in history],
    }


def _rounded(value: float) -> float:
    """To six digits, which is what pictures need."""
    return float(f"{value:.6g}")


def settings_of(fit: Fit) -> dict[str, Any]:
    """The settings a fit ended with, flat.  "length" is one of them where terms are "global"."""
    s = fit.settings
    length = {} if s.length is None else {"length": s.length}
    return {
        "terms": fit.choice.name,
        **length,
        "noise": s.noise,
        "relative_noise": s.relative_noise,
        "energies_as_labels": s.energies,
        "solver": fit.fitted.plan.solver,
        "preconditioner_columns": fit.fitted.plan.columns,
        "memory_gib": s.memory,
        "device": s.device,
        "seed": s.seed,
    }


def train_record(
    fit: Fit, train: Dataset, valid: Dataset | None = None, test: Dataset | None = None, *, command: str = ""
) -> dict[str, Any]:
    """The record of `gossamer train`."""
    parts = {"test": test, "valid": valid, "train": train}
    errors = {n: fit.model.test(d) for n, d in parts.items() if d is not None and len(d)}
    shown = next(d for n, d in parts.items() if n in errors and d is not None)
    distances = mean_distances(train.positions, fit.model.pairs)
    row = describe_model(
        "full", fit.model.pairs, distances, errors, fit.solution, fit.fitted.seconds,
        length=fit.settings.length, local_pairs=int(seen_locally(fit.model).sum()),
    )  # fmt: skip
    return header("train", command) | {
        "data": describe_data(train, valid, test),
        "settings": settings_of(fit),
        "symmetry": describe_symmetry(fit.symmetry),
        "terms": describe_terms(fit.model, train.positions, distances),
        "choice": describe_choice(fit),
        "full": row,
        "length_search": [asdict(t) for t in fit.trials if t.terms == "global"],
        "history": [
            {"iteration": s.iteration, "residual": s.residual, "valid_force_rmse": s.valid}
            for s in fit.solution.history
        ],
        "parity": describe_parity({"full": fit.model}, shown, fit.settings.seed),
        "per_atom": {"force_mae": per_atom_mae(fit.model, shown)},
        "geometry": describe_geometry(train),
        "seconds": fit.seconds,
    }
