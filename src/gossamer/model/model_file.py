"""The model file: safetensors with JSON metadata.  No pickle, versioned, written whole or not at all."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from gossamer import kernels
from gossamer.errors import ModelFileError, UsageError
from gossamer.files import atomic_path
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

KEY = "gossamer"
FORMAT = "gossamer-force-field"
VERSION = 1


def save(model: ForceField, path: str | Path) -> Path:
    """Write `model` to `path`; returns the path.  Raises OutputError when it cannot be written."""
    from safetensors.numpy import save_file

    arrays = {"numbers": model.numbers.astype(np.int64), "pairs": model.pairs.pairs}
    terms: list[dict[str, Any]] = []
    for t, (term, c) in enumerate(zip(model.terms, model.coefficients, strict=True)):
        terms.append(
            {"name": term.name, "kernel": term.kernel.name, "length": term.kernel.length, "amplitude": term.amplitude}
        )
        found = {"places": term.places, "perms": term.perms, "weights": term.weights, "X": c.X, "V": c.V, "w": c.w}
        arrays |= {f"terms.{t}.{key}": np.ascontiguousarray(a) for key, a in found.items() if a is not None}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "terms": terms,
        "constant": model.constant,
        "scale": model.scale,
        "units": {"energy": "eV", "length": "Angstrom"},
        "provenance": model.provenance,
    }
    with atomic_path(path) as temporary:  # one key, since safetensors writes several in any order
        save_file(arrays, temporary, metadata={KEY: json.dumps(header)})
    return Path(path)


def load(path: str | Path) -> ForceField:
    """Read a .gossamer file or an sgdml model (npz).  Nothing in the file is executed or unpickled.

    Raises ModelFileError for a missing, truncated or foreign file, or one written by a newer version."""
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: there is no such model file; check the path.")
    with path.open("rb") as stream:
        is_zip = stream.read(4) == b"PK\x03\x04"
    if is_zip:
        from gossamer.model.sgdml_file import load_sgdml

        return load_sgdml(path)
    arrays, metadata = _read(path)
    try:
        header = json.loads(metadata.get(KEY, "{}"))
    except ValueError:
        header = {}
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelFileError(f"{path}: this is a safetensors file, but not a Gossamer model; give a .gossamer file.")
    if not isinstance(header.get("version"), int) or header["version"] > VERSION:
        raise ModelFileError(
            f"{path}: it has format version {header.get('version')}, this Gossamer reads up to {VERSION}; "
            "upgrade with `pip install -U gossamer`."
        )
    try:
        return _assemble(arrays, header)
    except (KeyError, ValueError, TypeError, IndexError, UsageError) as error:
        raise ModelFileError(f"{path}: the file is damaged ({error}); restore it or train again.") from error


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as stream:
            names = stream.keys()
            return {name: stream.get_tensor(name) for name in names}, stream.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(
            f"{path}: it is not a model file, or it is truncated; give a .gossamer file or an sgdml model npz."
        ) from error


def _assemble(arrays: dict[str, np.ndarray], header: dict[str, Any]) -> ForceField:
    numbers = arrays["numbers"]
    terms, coefficients = [], []
    for t, entry in enumerate(header["terms"]):
        part = {key: arrays[f"terms.{t}.{key}"] for key in ("places", "perms", "weights", "X", "V")}
        kernel = kernels.make(entry["kernel"], entry["length"])
        terms.append(
            Term(part["places"], part["perms"], kernel, entry["amplitude"], part["weights"], name=entry["name"])
        )
        coefficients.append(TermCoefficients(part["X"], part["V"], arrays.get(f"terms.{t}.w")))
    return ForceField(
        numbers,
        PairSet(len(numbers), arrays["pairs"]),
        tuple(terms),
        tuple(coefficients),
        header["constant"],
        header["scale"],
        header["provenance"],
    )
