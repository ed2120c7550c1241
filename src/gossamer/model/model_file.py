"""The model file: safetensors with JSON metadata.  No pickle, versioned, written whole or not at all."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gossamer import kernels
from gossamer.baselines import Baseline
from gossamer.baselines.calculator import CalculatorBaseline
from gossamer.baselines.coulomb import Coulomb
from gossamer.baselines.repulsion import Repulsion
from gossamer.chemistry.origin import GIVEN, Origin
from gossamer.descriptors import Descriptor, Feature, make, parameters_of
from gossamer.descriptors.basis import Basis
from gossamer.errors import ModelFileError, NotRegisteredError, UsageError
from gossamer.files import atomic_path, regular_file
from gossamer.model.dipoles import ChargeTerm, DipoleModel
from gossamer.model.error_bars import ErrorBars
from gossamer.model.features import FeatureSet, Part
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.model_baseline import ModelBaseline
from gossamer.model.pair_functions import PairFunctions
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term
from gossamer.model.upgrade import from_1
from gossamer.model.validation import (
    ENERGY,
    RANGE,
    array,
    descriptors,
    elements,
    group,
    indices,
    number,
    positive,
    provenance,
    shown,
)

KEY = "gossamer"
FORMAT = "gossamer-force-field"
NETWORK = "gossamer-network"  # the format of gossamer.model.network_file
VERSION = 8  # 1: no baselines, and no origins of terms; 2: no pair functions; 3: pairs alone; 4: no error bars;
# 5: no charges; 6: no dipoles; 7: no representatives.  3 to 7 are still written of what they can hold.
MOST_CENTRES = 1000  # of a pair function
_READERS = {
    FORMAT: "a force field of kernels, which is read by gossamer.load",
    NETWORK: "a network, which is read by gossamer.load_network and runs in Python alone",
}
UNITS = {"energy": "eV", "length": "Angstrom"}
FUNCTION_ARRAYS = ("slots", "classes", "variances", "shortest", "coefficients")
BAR_NUMBERS = ("energy_factor", "forces_factor", "forces_power")
BARS = "error_bars."  # begins the names of their arrays
DIPOLES = "dipoles."
CHARGE_ARRAYS = ("atoms", "perms", "fixed", "X", "U")  # of a term of dipoles
MOST_CHARGE = 1000  # e
# Of a term; w where energies are labels, few_X and few_V where it has representatives.
ARRAYS = ("places", "perms", "weights", "atoms", "X", "V", "w", "few_X", "few_V")


def save(model: ForceField, path: str | Path) -> Path:
    """Write `model` to `path`; returns the path.  Raises OutputError when it cannot be written."""
    from safetensors.numpy import save_file

    header, arrays = _packed(model)
    with atomic_path(path) as temporary:  # one key, since safetensors writes several in any order
        save_file(arrays, temporary, metadata={KEY: json.dumps(header)})
    return Path(path)


def fingerprint(model: ForceField) -> str:
    """16 hex digits that tell a model from others: sha256 of all that a file of it holds."""
    header, arrays = _packed(model)
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()[:16]


def _packed(model: ForceField) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `_assemble` makes the model from again."""
    arrays, described = _descriptor_packed(model.pairs)
    arrays["numbers"] = model.numbers.astype(np.int64)
    terms: list[dict[str, Any]] = []
    for t, (term, c) in enumerate(zip(model.terms, model.coefficients, strict=True)):
        origin = {"kind": term.origin.kind, "reach": term.origin.reach}
        kernel = {"kernel": term.kernel.name, "length": term.kernel.length, "amplitude": term.amplitude}
        terms.append({"name": term.name, "origin": origin} | kernel)
        mine = {"places": term.places, "perms": term.perms, "weights": term.weights, "X": c.X, "V": c.V, "w": c.w}
        mine["atoms"] = np.array(term.origin.atoms, dtype=np.int64) if term.origin.atoms else None
        mine |= {} if c.few is None else {"few_X": c.few.X, "few_V": c.few.V}
        arrays |= {f"terms.{t}.{key}": np.ascontiguousarray(a) for key, a in mine.items() if a is not None}
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": _version(model),
        "terms": terms,
        "constant": model.constant,
        "scale": model.scale,
        "units": UNITS,
        "provenance": model.provenance,
        "baselines": [],
        "functions": None,
    } | described
    if model.functions is not None:
        header["functions"], found = _packed_functions(model.functions)
        arrays |= {f"functions.{key}": a for key, a in found.items()}
    if model.error_bars is not None:
        header["error_bars"], found = _packed_bars(model.error_bars)
        arrays |= {f"{BARS}{key}": np.ascontiguousarray(a) for key, a in found.items()}
    if model.dipole_model is not None:
        header["dipoles"], found = _packed_dipoles(model.dipole_model)
        arrays |= {f"{DIPOLES}{key}": np.ascontiguousarray(a) for key, a in found.items()}
    for b, baseline in enumerate(model.baselines):
        entry, found = baseline.to_file()
        if isinstance(baseline, ModelBaseline):
            entry["model"], found = _packed(replace(baseline.model, error_bars=None, dipole_model=None))
        header["baselines"].append(entry)
        arrays |= {f"{_prefix(b)}{key}": np.ascontiguousarray(a) for key, a in found.items()}
    return header, arrays


def _version(model: ForceField) -> int:
    """The oldest version that can hold the model."""
    if any(c.few is not None for c in model.coefficients):
        return VERSION
    below = [_version(replace(b.model, dipole_model=None)) for b in model.baselines if isinstance(b, ModelBaseline)]
    charged = any(isinstance(b, Coulomb) for b in model.baselines)
    barred, described = model.error_bars is not None, isinstance(model.pairs, FeatureSet)
    own = 7 if model.dipole_model is not None else 6 if charged else 5 if barred else 4 if described else 3
    return max(own, *below, 3)


def _packed_dipoles(dipoles: DipoleModel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `_dipoles` makes a model of dipoles from again."""
    entries = [{"kernel": term.kernel.name, "length": term.kernel.length} for term in dipoles.terms]
    arrays = {f"{t}.{key}": getattr(term, key) for t, term in enumerate(dipoles.terms) for key in CHARGE_ARRAYS}
    return {"charge": dipoles.charge, "terms": entries}, arrays


def _packed_functions(functions: PairFunctions) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `_functions` makes pair functions from again."""
    assert functions.coefficients is not None
    arrays = {name: np.ascontiguousarray(getattr(functions, name)) for name in FUNCTION_ARRAYS}
    return functions.basis._asdict() | {"names": list(functions.names)}, arrays


def _packed_bars(bars: ErrorBars) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `_bars` makes error bars from again."""
    arrays = {"folds": bars.folds, "constants": bars.constants}
    arrays |= {f"{t}.V": V for t, V in enumerate(bars.V)} | {f"{t}.w": w for t, w in enumerate(bars.w) if w is not None}
    if bars.functions is not None:
        arrays["functions"] = bars.functions
    return {name: getattr(bars, name) for name in BAR_NUMBERS}, arrays


def _descriptor_packed(pairs: Descriptor) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a descriptor, and what the header says of one that is no list of pairs."""
    if not isinstance(pairs, FeatureSet):
        return {"pairs": pairs.atoms}, {}
    parts = [{"feature": feature.name, "parameters": parameters_of(feature)} for feature, _ in pairs.parts]
    arrays = {f"features.{k}": np.ascontiguousarray(atoms) for k, (_, atoms) in enumerate(pairs.parts)}
    return arrays, {"descriptor": {"kind": pairs.kind, "parts": parts}}


def _descriptor(entry: Any, arrays: dict[str, np.ndarray], n_atoms: int) -> Descriptor:
    """What `_descriptor_packed` was given; entry: of the header, None where it has none."""
    if entry is None:
        return PairSet(n_atoms, indices(arrays.get("pairs"), "pairs", n_atoms, None, 2))
    if not isinstance(entry, dict) or entry.get("kind") != FeatureSet.kind:
        raise ValueError(f"descriptor {shown(entry)} is not known")
    parts = entry["parts"]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise ValueError(f"parts of the descriptor are {shown(parts)}, and must be a list of objects")
    return FeatureSet(n_atoms, tuple(
        Part(_feature(part), indices(arrays.get(f"features.{k}"), f"features.{k}", n_atoms, None, None))
        for k, part in enumerate(parts)
    ))  # fmt: skip


def _feature(entry: dict[str, Any]) -> Feature:
    name, parameters = entry["feature"], entry["parameters"]
    if not isinstance(name, str) or not isinstance(parameters, dict):
        raise ValueError(f"a feature of the descriptor is {shown(entry)}, and must have a name and parameters")
    return make(
        name, {key: number(value, f"{key} of {name}", -RANGE[1], RANGE[1]) for key, value in parameters.items()}
    )


def _prefix(b: int) -> str:
    """Of the names of baseline b's arrays."""
    return f"baselines.{b}."


def load(path: str | Path) -> ForceField:
    """Read a .gossamer file or an sgdml model (npz).  Nothing in the file is executed or unpickled.

    Raises ModelFileError for a missing, truncated, damaged or foreign file, one written by a newer version, or one
    with a kernel or feature that is not registered."""
    path = regular_file(path, "model file", ModelFileError)
    if _begins_as_zip(path):
        from gossamer.model.sgdml_file import load_sgdml

        return load_sgdml(path)
    arrays, metadata = read_arrays(path)
    header = header_of(path, metadata, FORMAT, VERSION)
    try:
        model = _assemble(arrays, header, header["version"])
        return from_1(model) if header["version"] == 1 else model
    except NotRegisteredError as error:
        raise ModelFileError(f"{path}: {error}") from error
    except (KeyError, ValueError, TypeError, RecursionError, UsageError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(f"{path}: the file is damaged ({said.rstrip('.')}); restore it or train again.") from error


def _begins_as_zip(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"PK\x03\x04"
    except OSError as error:
        raise ModelFileError(f"{path}: it cannot be read ({error.strerror}); check its rights.") from error


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All arrays and the metadata.  The library checks that sizes declared are those of the file."""
    from safetensors import safe_open

    try:
        with safe_open(str(path), framework="numpy") as stream:
            names = stream.keys()
            return {name: stream.get_tensor(name) for name in names}, stream.metadata() or {}
    except Exception as error:  # whatever a library says of bytes that are no such file
        raise ModelFileError(
            f"{path}: it is not a model file, or it is truncated; give a .gossamer file or an sgdml model npz."
        ) from error


def header_of(path: Path, metadata: dict[str, str], wanted: str, newest: int) -> dict[str, Any]:
    """The header of a file of the format `wanted`, in a version that is known.  Raises ModelFileError."""
    try:
        header = json.loads(metadata.get(KEY, "{}"))
    except (ValueError, RecursionError):
        header = {}
    found = header.get("format") if isinstance(header, dict) else None
    if isinstance(found, str) and found in _READERS and found != wanted:
        raise ModelFileError(f"{path}: it holds {_READERS[found]}.")
    if found != wanted:
        raise ModelFileError(f"{path}: this is a safetensors file, but not a Gossamer model; give a .gossamer file.")
    version = header.get("version")
    if type(version) is not int or not 1 <= version <= newest:
        raise ModelFileError(
            f"{path}: it has format version {shown(version)}, this Gossamer reads 1 to {newest}; "
            "upgrade with `pip install -U gossamer`."
        )
    return header


def _assemble(arrays: dict[str, np.ndarray], header: dict[str, Any], version: int) -> ForceField:
    """The force field, in version 1 without the origins of its terms.

    Raises KeyError, ValueError, TypeError or UsageError for what is none."""
    if header.get("units", UNITS) != UNITS:
        raise ValueError(f"units are {shown(header['units'])}, and must be {UNITS}")
    entries = header["terms"]
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"terms are {shown(entries)}, and must be a list of objects")
    asked = header.get("baselines", [])
    if not isinstance(asked, list) or not all(isinstance(entry, dict) for entry in asked):
        raise ValueError(f"baselines are {shown(asked)}, and must be a list of objects")
    theirs = [{key.removeprefix(_prefix(b)): a for key, a in arrays.items() if key.startswith(_prefix(b))}
              for b in range(len(asked))]  # fmt: skip
    arrays = {key: a for key, a in arrays.items() if not key.startswith(tuple(map(_prefix, range(len(asked)))))}
    functions, bars = header.get("functions"), header.get("error_bars")
    of_bars = {key: a for key, a in arrays.items() if bars is not None and key.startswith(BARS)}
    of_dipoles = {key: a for key, a in arrays.items() if header.get("dipoles") is not None and key.startswith(DIPOLES)}
    arrays = {key: a for key, a in arrays.items() if key not in of_bars.keys() | of_dipoles.keys()}
    named = {"pairs"} if header.get("descriptor") is None else {key for key in arrays if key.startswith("features.")}
    known = {"numbers"} | named | {f"functions.{key}" for key in FUNCTION_ARRAYS if functions is not None}
    known |= {f"terms.{t}.{key}" for t in range(len(entries)) for key in ARRAYS}
    if not arrays.keys() <= known:
        raise ValueError(f"{shown(min(arrays.keys() - known))} belongs to none of its {len(entries)} terms")
    numbers = elements(arrays.get("numbers"), "numbers")
    pairs = _descriptor(header.get("descriptor"), arrays, len(numbers))
    read = [_term(entry, t, arrays, pairs) for t, entry in enumerate(entries)]
    origins = [GIVEN if version == 1 else _origin(entry["origin"], t, arrays, pairs) for t, entry in enumerate(entries)]
    if len({len(c.X) // term.n_places for term, c in read}) > 1:
        raise ValueError("its terms have different numbers of training structures")
    model = ForceField(
        numbers,
        pairs,
        tuple(replace(term, origin=origin) for (term, _), origin in zip(read, origins, strict=True)),
        tuple(c for _, c in read),
        number(header["constant"], "constant", -ENERGY, ENERGY),
        positive(header["scale"], "scale"),
        provenance(header["provenance"], numbers),
        baselines=tuple(_baseline(entry, found, numbers, version) for entry, found in zip(asked, theirs, strict=True)),
        functions=None if functions is None else _functions(functions, arrays, len(pairs)),
    )
    if of_dipoles:
        model = replace(model, dipole_model=_dipoles(header["dipoles"], of_dipoles, numbers))
    return model if bars is None else replace(model, error_bars=_bars(bars, of_bars, model))


def _dipoles(entry: dict[str, Any], arrays: dict[str, np.ndarray], numbers: np.ndarray) -> DipoleModel:
    """Dipoles of the atoms `numbers` (N,)."""
    if not isinstance(entry, dict) or not isinstance(entry["terms"], list):
        raise ValueError(f"dipoles are {shown(entry)}, and must be an object with a list of terms")
    charge, entries = entry["charge"], entry["terms"]
    if type(charge) is not int or abs(charge) > MOST_CHARGE:
        raise ValueError(f"charge of the dipoles is {shown(charge)}, and must be a whole number")
    if not arrays.keys() <= {f"{DIPOLES}{t}.{key}" for t in range(len(entries)) for key in CHARGE_ARRAYS}:
        raise ValueError("an array of its dipoles belongs to none of their terms")
    return DipoleModel(
        numbers,
        charge,
        tuple(_charge_term(entry, f"{DIPOLES}{t}.", arrays, len(numbers)) for t, entry in enumerate(entries)),
    )


def _charge_term(entry: Any, prefix: str, arrays: dict[str, np.ndarray], n_atoms: int) -> ChargeTerm:
    """Charges on a fragment; prefix: of the names of its arrays."""
    if not isinstance(entry, dict) or not isinstance(entry["kernel"], str):
        raise ValueError(f"a term of the dipoles is {shown(entry)}, and must be an object with the name of a kernel")
    found = {key: arrays.get(f"{prefix}{key}") for key in CHARGE_ARRAYS}
    atoms = indices(found["atoms"], f"{prefix}atoms", n_atoms, None, None)
    n = atoms.shape[1]
    if n < 2 or any(len(set(row)) < n for row in atoms.tolist()):
        raise ValueError(f"{prefix}atoms must name two different atoms or more in every row")
    X = descriptors(found["X"], f"{prefix}X", np.ones(n * (n - 1) // 2))
    return ChargeTerm(
        atoms,
        group(found["perms"], f"{prefix}perms", n),
        kernels.make(entry["kernel"], positive(entry["length"], f"{prefix}length")),
        array(found["fixed"], f"{prefix}fixed", "f", n),
        X,
        array(found["U"], f"{prefix}U", "f", len(X), n),
    )


def _bars(entry: dict[str, Any], arrays: dict[str, np.ndarray], model: ForceField) -> ErrorBars:
    """Error bars of a model, which has none yet."""
    if not isinstance(entry, dict):
        raise ValueError(f"error_bars are {shown(entry)}, and must be an object")
    T, functions = range(len(model.terms)), model.functions
    arrays = {key.removeprefix(BARS): a for key, a in arrays.items()}
    if not arrays.keys() <= {"folds", "constants", "functions"} | {f"{t}.{key}" for t in T for key in "Vw"}:
        raise ValueError("an array of its error bars belongs to none of its terms")
    constants = array(arrays.get("constants"), "error_bars.constants", "f", None)
    K = len(constants)
    folds = indices(arrays.get("folds"), "error_bars.folds", K, model.n_train)
    V = [array(arrays.get(f"{t}.V"), f"error_bars.{t}.V", "f", *model.coefficients[t].V.shape) for t in T]
    w = [arrays.get(f"{t}.w") for t in T]
    energy_factor, forces_factor, power = (number(entry[name], name, 0.0, RANGE[1]) for name in BAR_NUMBERS)
    table = arrays.get("functions")
    return ErrorBars(
        folds,
        tuple(V),
        tuple(None if a is None else array(a, f"error_bars.{t}.w", "f", len(V[t])) for t, a in enumerate(w)),
        constants,
        energy_factor,
        forces_factor,
        power,
        None if table is None or functions is None else array(table, "error_bars.functions", "f", K, *functions.shape),
    )


def _functions(entry: dict[str, Any], arrays: dict[str, np.ndarray], n_pairs: int) -> PairFunctions:
    """Pair functions of a model of n_pairs pairs."""
    if not isinstance(entry, dict) or not isinstance(entry["names"], list):
        raise ValueError(f"functions are {shown(entry)}, and must be an object with a list of names")
    names = tuple(entry["names"])
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a name of the pair functions is no text")
    size = entry["size"]
    if type(size) is not int or not 1 <= size <= MOST_CENTRES:
        raise ValueError(f"size of the pair functions is {shown(size)}, and must be from 1 to {MOST_CENTRES}")
    middle = number(entry["middle"], "middle of the pair functions", -30.0, 30.0)
    spacing, width, cutoff = (positive(entry[k], f"{k} of the pair functions") for k in ("spacing", "width", "cutoff"))
    basis = Basis(middle, spacing, width, cutoff, size)
    found = {key: arrays.get(f"functions.{key}") for key in FUNCTION_ARRAYS}
    slots = indices(found["slots"], "functions.slots", n_pairs, None)
    classes = indices(found["classes"], "functions.classes", len(names), len(slots))
    variances = array(found["variances"], "functions.variances", "f", len(names))
    shortest = array(found["shortest"], "functions.shortest", "f", len(slots))
    c = array(found["coefficients"], "functions.coefficients", "f", len(names), size)
    return PairFunctions(basis, slots, classes, names, variances, shortest, c)


def _baseline(entry: dict[str, Any], arrays: dict[str, np.ndarray], numbers: np.ndarray, version: int) -> Baseline:
    """A baseline for atoms `numbers` (N,); version: of the file."""
    kind = entry["kind"]
    if kind == Repulsion.kind:
        pairs = indices(arrays["pairs"], "pairs of the repulsion", len(numbers), None, 2)
        ends = array(arrays["ends"], "ends of the repulsion", "f", len(pairs))
        return Repulsion(numbers, pairs, ends)
    if kind == Coulomb.kind:
        charges = array(arrays["charges"], "charges of the atoms", "f", len(numbers))
        return Coulomb(charges, indices(arrays["pairs"], "pairs of the charges", len(numbers), None, 2))
    if kind == CalculatorBaseline.kind:
        if not isinstance(entry["name"], str):
            raise ValueError("the name of a baseline's calculator is no text")
        return CalculatorBaseline(numbers, entry["name"])
    if kind == ModelBaseline.kind:
        model = _assemble(arrays, entry["model"], version)
        if not np.array_equal(model.numbers, numbers):
            raise ValueError("its baseline is a model of other atoms")
        return ModelBaseline(model)
    raise ValueError(f"baseline {shown(kind)} is not known")


def _origin(entry: dict[str, Any], t: int, arrays: dict[str, np.ndarray], pairs: Descriptor) -> Origin:
    """What term `t` was made from, places of which `pairs` has the atoms."""
    if not isinstance(entry, dict):
        raise ValueError(f"origin of term {t} is {shown(entry)}, and must be an object")
    reach = None if entry["reach"] is None else positive(entry["reach"], f"reach of term {t}")
    atoms = arrays.get(f"terms.{t}.atoms")
    if atoms is None:
        return Origin(entry["kind"], reach)
    return Origin.of(entry["kind"], reach, indices(atoms, f"terms.{t}.atoms", pairs.n_atoms, None, None))


def _term(
    entry: dict[str, Any], t: int, arrays: dict[str, np.ndarray], pairs: Descriptor
) -> tuple[Term, TermCoefficients]:
    """Term `t`, without its origin, and its coefficients.  pairs: of the model."""
    if not isinstance(entry["name"], str) or not isinstance(entry["kernel"], str):
        raise ValueError(f"name or kernel of term {t} is no text")
    found = {key: arrays.get(f"terms.{t}.{key}") for key in ARRAYS}
    places = indices(found["places"], f"terms.{t}.places", len(pairs), None, None)
    L, P = places.shape
    weights = array(found["weights"], f"terms.{t}.weights", "f", P)
    if weights.min() < RANGE[0] or weights.max() > RANGE[1]:
        raise ValueError(f"terms.{t}.weights must lie in {RANGE[0]:g} ... {RANGE[1]:g}")
    kernel = kernels.make(entry["kernel"], positive(entry["length"], f"length of term {t}"))
    perms = group(found["perms"], f"terms.{t}.perms", P)
    term = Term(places, perms, kernel, positive(entry["amplitude"], f"amplitude of term {t}"), weights, entry["name"])
    X, V = _rows(found["X"], found["V"], f"terms.{t}.", pairs, weights, L)
    w = None if found["w"] is None else array(found["w"], f"terms.{t}.w", "f", len(X))
    if found["few_X"] is None and found["few_V"] is None:
        return term, TermCoefficients(X, V, w)
    few = TermCoefficients(*_rows(found["few_X"], found["few_V"], f"terms.{t}.few_", pairs, weights))
    return term, TermCoefficients(X, V, w, few)


def _rows(
    X: np.ndarray | None, V: np.ndarray | None, name: str, pairs: Descriptor, weights: np.ndarray, places: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Descriptors and coefficients of a term, equally many for each of its places; name: of theirs, but for the last
    letter."""
    X = array(X, f"{name}X", "f", None, len(weights))
    if isinstance(pairs, PairSet):
        X = descriptors(X, f"{name}X", weights)
    if len(X) % places:
        raise ValueError(f"{name}X has {len(X)} rows, and must have some for each of {places} places")
    return X, array(V, f"{name}V", "f", *X.shape)
