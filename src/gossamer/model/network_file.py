"""The file of a network: safetensors with JSON metadata, as that of a force field.  Nothing in it is executed; a module
that is not ours is made by the function that its user gives, and gets its weights from the file."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gossamer.errors import ModelFileError, UsageError
from gossamer.files import atomic_path, regular_file
from gossamer.model.model_file import KEY, NETWORK, UNITS, header_of, read_arrays
from gossamer.model.network import Inputs, NetworkModel, PairNetwork
from gossamer.model.pairs import PairSet
from gossamer.model.validation import (
    ENERGY,
    array,
    elements,
    group,
    indices,
    number,
    positive,
    provenance,
    shown,
)

VERSION = 1
ROWS = ("mean", "spread", "least", "most")  # arrays (P,) of the inputs
WEIGHTS = "weights."  # begins the names of the module's arrays
WIDEST = 100_000  # of a layer


def save(model: NetworkModel, path: str | Path) -> Path:
    """Write `model` to `path`; returns the path.  Raises OutputError when it cannot be written."""
    from safetensors.numpy import save_file

    arrays = {"numbers": model.numbers.astype(np.int64), "pairs": model.pairs.pairs, "images": model.inputs.images}
    arrays |= {name: getattr(model.inputs, name) for name in ROWS}
    arrays |= {f"{WEIGHTS}{name}": tensor.numpy() for name, tensor in model.module.state_dict().items()}
    header = {
        "format": NETWORK,
        "version": VERSION,
        "hidden": None if model.hidden is None else list(model.hidden),
        "constant": model.constant,
        "scale": model.scale,
        "units": UNITS,
        "provenance": model.provenance,
    }
    contiguous = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    with atomic_path(path) as temporary:
        save_file(contiguous, temporary, metadata={KEY: json.dumps(header)})
    return Path(path)


def load_network(path: str | Path, module: Callable[[int], nn.Module] | None = None) -> NetworkModel:
    """Read the file of a network.  module: the function that made the module, where it was one of the user's.

    Raises ModelFileError for a missing, truncated, damaged or foreign file, or one written by a newer version,
    UsageError where `module` is missing, given in vain, or makes a module of other weights."""
    path = regular_file(path, "model file", ModelFileError)
    arrays, metadata = read_arrays(path)
    header = header_of(path, metadata, NETWORK, VERSION)
    try:
        return _assembled(arrays, header, module, path)
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(f"{path}: the file is damaged ({said.rstrip('.')}); restore it or train again.") from error


def _assembled(
    arrays: dict[str, np.ndarray], header: dict[str, Any], module: Callable[[int], nn.Module] | None, path: Path
) -> NetworkModel:
    if header.get("units", UNITS) != UNITS:
        raise ValueError(f"units are {shown(header['units'])}, and must be {UNITS}")
    numbers = elements(arrays.get("numbers"), "numbers")
    pairs = PairSet(len(numbers), indices(arrays.get("pairs"), "pairs", len(numbers), None, 2))
    images = group(arrays.get("images"), "images", len(pairs))
    rows = [array(arrays.get(name), name, "f", len(pairs)) for name in ROWS]
    if np.any(rows[ROWS.index("spread")] <= 0):
        raise ValueError("spread must be above 0")
    hidden = _hidden(header["hidden"])
    if (hidden is None) == (module is None):
        told = "it holds the weights of a module of your own; give the function that makes it as module"
        ours = "its module is Gossamer's own; leave out module"
        raise UsageError(f"module: {path}: {told if hidden is None else ours}.")
    made = (module or partial(PairNetwork, hidden=hidden or ()))(len(pairs)).to(torch.float64)
    weights = {name.removeprefix(WEIGHTS): a for name, a in arrays.items() if name.startswith(WEIGHTS)}
    wanted = {name: tuple(tensor.shape) for name, tensor in made.state_dict().items()}
    if wanted != {name: a.shape for name, a in weights.items()}:
        if module is not None:
            raise UsageError(f"module: it has other weights than those in {path}; give the function used in training.")
        raise ValueError("weights do not fit the layers")
    if not all(np.all(np.isfinite(a)) for a in weights.values()):
        raise ValueError("weights are NaN or infinite")
    made.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in weights.items()})
    return NetworkModel(
        numbers, Inputs(pairs, images, *rows), made, number(header["constant"], "constant", -ENERGY, ENERGY),
        positive(header["scale"], "scale"), provenance(header["provenance"], numbers), hidden,
    )  # fmt: skip


def _hidden(value: Any) -> tuple[int, ...] | None:
    """Sizes of the layers of a `PairNetwork`; None of another module."""
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(type(n) is int and 0 < n <= WIDEST for n in value):
        raise ValueError(f"hidden is {shown(value)}, and must be the sizes of layers")
    return tuple(value)
