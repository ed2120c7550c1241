"""Reading and writing sgdml's model files (sgdml 1.0.3; fields: benchmarks/sgdml_peer/NOTES.md)."""

from pathlib import Path
from typing import Any

import numpy as np

from gossamer import units
from gossamer.chemistry.origin import WHOLE
from gossamer.data.formats.npz import NpzFile
from gossamer.errors import DataError, ModelFileError, UsageError
from gossamer.files import atomic_path, regular_file
from gossamer.kernels import Matern52
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.pairs import PairSet, as_pairs
from gossamer.model.terms import Term
from gossamer.model.validation import (
    ENERGY,
    LARGEST,
    array,
    atom_group,
    descriptors,
    elements,
    indices,
    number,
    positive,
)

NEEDED = ("z", "R_desc", "R_d_desc_alpha", "c", "sig", "perms")
OPTIONAL = ("std", "alphas_E", "e_unit", "r_unit", "dataset_name", "dataset_theory", "lam", "idxs_train", "use_E")
CHECKED = "tril_perms_lin"  # follows from perms


def load_sgdml(path: str | Path) -> ForceField:
    """An sgdml model as a ForceField of one term over all pairs.  Pickled members of the file are never touched.

    Units missing from the file are kcal/mol and Angstrom, sgdml's own default.  Raises ModelFileError."""
    path = regular_file(path, "model file", ModelFileError)
    try:
        archive = NpzFile(path)
        wanted = ("type", "lattice", CHECKED, *NEEDED, *OPTIONAL)
        found = {name: archive.get(name) for name in wanted if name in archive.names}
    except DataError as error:
        raise ModelFileError(str(error)) from error
    try:
        if _text(found, "type", "") != "m":
            raise ModelFileError(f"{path}: it is an npz, but not an sgdml model; models have type 'm'.")
        missing = [name for name in NEEDED if name not in found]
        if missing:
            raise ModelFileError(f"{path}: the sgdml model lacks {', '.join(missing)}; it is damaged.")
        if "lattice" in found:
            raise ModelFileError(
                f"{path}: the model is periodic, and Gossamer models single molecules; it cannot be read."
            )
        return _assemble(found)
    except (ValueError, TypeError, UsageError) as error:
        raise ModelFileError(
            f"{path}: the sgdml model is damaged ({str(error).rstrip('.')}); copy it again."
        ) from error


def _assemble(found: dict[str, np.ndarray]) -> ForceField:
    """The force field.  Raises ValueError or UsageError for what is none."""
    numbers = elements(found["z"], "z")
    n_pairs = len(numbers) * (len(numbers) - 1) // 2
    per_length = units.length_in_angstrom(_text(found, "r_unit", "Angstrom"))
    per_energy = units.energy_in_ev(_text(found, "e_unit", "kcal/mol"))
    X = array(found["R_desc"], "R_desc", "f", n_pairs, None).T
    X = descriptors(np.ascontiguousarray(X) / per_length, "R_desc", np.ones(n_pairs))
    V = array(found["R_d_desc_alpha"], "R_d_desc_alpha", "f", *X.shape) / per_length
    w = array(found["alphas_E"].ravel(), "alphas_E", "f", len(X)) if "alphas_E" in found else None
    pairs = PairSet.full(len(numbers))
    perms = _permutations(found, numbers, pairs)
    kernel = Matern52(positive(found["sig"], "sig") / per_length)
    return ForceField(
        numbers,
        pairs,
        (Term(np.arange(len(pairs)), pairs.permuted(perms), kernel, name="global", origin=WHOLE),),
        (TermCoefficients(X, V, w),),
        constant=number(found["c"], "c", -ENERGY, ENERGY) * per_energy,
        scale=positive(found.get("std", np.ones(())), "std") * per_energy,
        provenance=_provenance(found, perms),
    )


def _permutations(found: dict[str, np.ndarray], numbers: np.ndarray, pairs: PairSet) -> np.ndarray:
    """Atom permutations (S, N) as we use them: sgdml permutes training structures, we permute queries, so by the
    inverses.  What the file says of pairs must agree."""
    perms = atom_group(np.atleast_2d(found["perms"]), "perms", numbers)
    if CHECKED in found:
        wanted = _linear(pairs, perms)
        if not np.array_equal(array(found[CHECKED], CHECKED, "i", len(wanted)), wanted):
            raise ValueError(f"{CHECKED} and perms exchange different pairs")
    inverse = np.argsort(perms, axis=1)
    return inverse[np.argsort(np.any(inverse != np.arange(len(numbers)), axis=1), kind="stable")]  # the identity first


def _linear(pairs: PairSet, perms: np.ndarray) -> np.ndarray:
    """Where sgdml finds the pairs of the permuted training structures, flat (S * P,)."""
    return (pairs.permuted(perms) + len(pairs) * np.arange(len(perms))[:, None]).flatten("F")


def _provenance(found: dict[str, np.ndarray], perms: np.ndarray) -> dict[str, Any]:
    noise = found.get("lam", np.zeros(()))
    train = found.get("idxs_train", np.zeros(0, dtype=np.int64))
    return {
        "made_by": "sgdml",
        "name": _text(found, "dataset_name", ""),
        "theory": _text(found, "dataset_theory", ""),
        "noise": number(noise, "lam", 0, LARGEST),
        "units": "as in the file" if "e_unit" in found and "r_unit" in found else "kcal/mol and Angstrom, assumed",
        "symmetry": {"order": len(perms), "perms": perms.tolist()},
        "train_indices": indices(train, "idxs_train", 2**53, None).tolist() if train.size else [],
        "energies_fitted": bool(found.get("use_E", True)),
    }


def export_sgdml(model: ForceField, path: str | Path) -> Path:
    """Write a model that sgdml 1.0.3 loads, in kcal/mol and Angstrom.

    Raises UsageError for a model sgdml has no words for: several terms, places or weights, fewer than all pairs, or a
    length that is not a whole number (sgdml stores an integer)."""
    term, c = model.terms[0], model.coefficients[0]
    full = PairSet.full(model.n_atoms)
    if model.baselines:
        raise UsageError("export: sgdml knows no baseline; train with baseline='none'.")
    if (
        len(model.terms) > 1
        or model.functions is not None
        or term.n_places > 1
        or term.amplitude != 1
        or np.any(term.weights != 1)
    ):
        raise UsageError("export: sgdml knows one unweighted term only; train with terms='global'.")
    if not isinstance(term.kernel, Matern52):
        raise UsageError(
            f"export: sgdml knows the Matern-5/2 kernel only, the model has {term.kernel.name!r}; train with "
            "kernel='matern52'."
        )
    pairs = as_pairs(model.pairs, "export: sgdml")
    if not np.array_equal(pairs.pairs, full.pairs) or not np.array_equal(term.places[0], np.arange(len(full))):
        raise UsageError(
            f"export: sgdml needs all {len(full)} pairs, the model keeps {len(model.pairs)}; export the full model."
        )
    if term.kernel.length != int(term.kernel.length):
        raise UsageError(
            f"export: sgdml stores whole lengths only, the model has {term.kernel.length}; train with a whole one."
        )
    perms = _atom_permutations(model)
    per_energy = units.energy_in_ev("kcal/mol")
    nothing = np.array({"mae": float("nan"), "rmse": float("nan")}, dtype=object)
    fields: dict[str, Any] = {
        "type": "m", "code_version": "1.0.3", "solver_name": "analytic",
        "dataset_name": model.provenance.get("name") or "gossamer",
        "dataset_theory": model.provenance.get("theory") or "unknown",
        "z": model.numbers.astype(np.uint8), "R_desc": c.X.T, "R_d_desc_alpha": c.V,
        "c": model.constant / per_energy, "std": model.scale / per_energy, "sig": int(term.kernel.length),
        "lam": float(model.provenance.get("noise") or 0.0), "perms": perms,
        "tril_perms_lin": _linear(full, perms),
        "idxs_train": np.array(model.provenance.get("train_indices", []), dtype=int),
        "idxs_valid": np.array([], dtype=int), "md5_train": b"", "md5_valid": b"", "n_test": 0,
        "use_E": bool(model.provenance.get("energies_fitted", True)),
        "f_err": nothing, "e_err": nothing, "r_unit": "Ang", "e_unit": "kcal/mol",
    }  # fmt: skip
    if c.w is not None:
        fields["alphas_E"] = c.w
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **fields)
    return Path(path)


def _atom_permutations(model: ForceField) -> np.ndarray:
    """Atom permutations (S, N) for sgdml, which permutes training structures where we permute queries."""
    perms = np.array(model.provenance.get("symmetry", {}).get("perms", []), dtype=np.int64).reshape(-1, model.n_atoms)
    if len(perms) < len(model.terms[0].perms):
        raise UsageError("export: the model file does not say which atom permutations it used; train it again.")
    perms = np.argsort(perms, axis=1)
    _, first = np.unique(PairSet.full(model.n_atoms).permuted(perms), axis=0, return_index=True)
    perms = perms[first]  # permutations that act alike on the pairs count once with us, and twice in sgdml
    return perms[np.argsort(np.any(perms != np.arange(model.n_atoms), axis=1), kind="stable")]


def _text(found: dict[str, np.ndarray], key: str, default: str) -> str:
    return _decode(found[key]) if key in found else default


def _decode(value: np.ndarray) -> str:
    item = value.item()
    return item.decode() if isinstance(item, bytes) else str(item)
