"""QCSchema JSON (MolSSI): results of QCEngine, Psi4 and others, alone, in a list, one a line, or as an optimisation.

Atomic units by the schema's definition: Bohr, Hartree, and gradients in Hartree/Bohr.  Versions 1 and 2 of the schema
differ in where the driver stands.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gossamer.data.formats import steps
from gossamer.data.formats.blocks import numbers_of
from gossamer.data.formats.files import bounded
from gossamer.data.formats.raw import Options, Raw
from gossamer.errors import DataError

_DEEP = 4  # results within results


def recognised(path: Path) -> bool:
    """Whether a file may hold QCSchema: JSON that names the schema, or a molecule and a driver, near its start."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        return False
    return any(word in start for word in (b'"qcschema', b'"schema_name"', b'"return_result"', b'"geometry"'))


def read(path: Path, options: Options) -> Raw:
    """Every result in the file; failed ones are named.  Raises DataError when it is no QCSchema or none is usable."""
    results = [result for document in _documents(path) for result in _results(document, 0)]
    if not results:
        raise DataError(f"{path}: it holds no QCSchema result (molecule, driver, return_result); give one that does.")
    found = steps.paired(event for result in results for event in _events(result))
    theory = {_theory(result) for result in results} - {""}
    notes = {"atoms": "QCSchema", "theory": ", ".join(sorted(theory)[:3])} if theory else {"atoms": "QCSchema"}
    return steps.raw_of_steps(path, "QCSchema", found, options, notes)


def _documents(path: Path) -> list[Any]:
    """The JSON values in the file: one, or one a line."""
    bounded(f"{path}: it", 20 * path.stat().st_size, path.stat().st_size)  # what Python makes of numbers in text
    text = "".join(steps.text_lines(path)).lstrip("\ufeff")
    try:
        try:
            return [json.loads(text)]
        except json.JSONDecodeError:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        why = str(error).split("\n")[0][:80]
        raise DataError(f"{path}: cannot be read as JSON ({why}); copy or write it again.") from error


def _results(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """The atomic results in lists, trajectories of optimisations, and results by name."""
    if depth > _DEEP:
        return
    if isinstance(value, list):
        for item in value:
            yield from _results(item, depth + 1)
    elif isinstance(value, dict):
        trajectory = value.get("trajectory") or value.get("trajectory_results")
        if isinstance(trajectory, list):
            yield from _results(trajectory, depth + 1)
        elif "molecule" in value or "error" in value:
            yield value
        elif "symbols" not in value:
            yield from _results([item for item in value.values() if isinstance(item, dict | list)], depth + 1)


def _events(result: dict[str, Any]) -> Iterator[steps.Event]:
    yield steps.Boundary()
    molecule = _part(result, "molecule")
    try:
        numbers = numbers_of([str(symbol).strip() for symbol in molecule["symbols"]])
        geometry = _array(molecule["geometry"]).reshape(-1, 3)
        ghosts = not np.all(molecule.get("real", True))
        if numbers is None or len(geometry) != len(numbers):
            raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError):
        yield steps.Trouble("no molecule, or one that is damaged")
        return
    yield steps.Geometry(numbers, geometry * steps.bohr())
    try:
        energy, gradient = _labels(result)
        if energy is not None:
            yield steps.Energy(energy * steps.hartree())
        if gradient is not None:
            yield steps.Forces(-gradient.reshape(-1, 3) * (steps.hartree() / steps.bohr()))
    except (TypeError, ValueError, OverflowError):
        yield steps.Trouble("energy or gradient that is no number")
    if ghosts:
        yield steps.Trouble("ghost atoms")
    if result.get("success") is False:
        why = str(_part(result, "error").get("error_message", "no reason given")).strip()
        yield steps.Trouble(f"failed: {why[:60]!r}")


def _labels(result: dict[str, Any]) -> tuple[float | None, np.ndarray | None]:
    """Energy in Hartree and gradient in Hartree/Bohr, None where the result has none."""
    properties, returned = _part(result, "properties"), result.get("return_result")
    driver = result.get("driver") or _part(_part(result, "input_data"), "specification").get("driver")
    if isinstance(returned, dict):
        properties, returned = returned | properties, returned.get("return_gradient")
    gradient = returned if driver == "gradient" else properties.get("return_gradient")
    energy = returned if driver == "energy" else properties.get("return_energy")
    return None if energy is None else float(energy), None if gradient is None else _array(gradient)


def _array(value: Any) -> np.ndarray:
    return np.array(value, dtype=np.float64)


def _part(value: dict[str, Any], key: str) -> dict[str, Any]:
    part = value.get(key)
    return part if isinstance(part, dict) else {}


def _theory(result: dict[str, Any]) -> str:
    model = _part(result, "model") or _part(_part(_part(result, "input_data"), "specification"), "model")
    return "/".join(str(model[key])[:40] for key in ("method", "basis") if isinstance(model.get(key), str))
