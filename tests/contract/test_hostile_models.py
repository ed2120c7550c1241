"""Model files that somebody, or a disk, has changed: each either predicts finite numbers of the right shape, or is
refused in one sentence when it is loaded."""

import copy
import json
import os
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cases import METHYL, pair_functions, random_model, structures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

import gossamer as gs
from gossamer.errors import GossamerError, ModelFileError

CASES = sorted((Path(__file__).parents[1] / "data" / "cases" / "18").glob("fuzz-*.[gn]*"))
HOSTILE = settings(
    deadline=None, max_examples=200, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SYMMETRY = {"symmetry": {"order": len(METHYL), "perms": METHYL.tolist()}, "name": "chain", "noise": 1e-8}


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """The header and the arrays of a valid model of two terms and pair functions, energies as labels."""
    model, _, _ = random_model("several", energies=True, functions=pair_functions())
    path = replace(model, provenance=SYMMETRY).save(tmp_path_factory.mktemp("valid") / "m.gossamer")
    with safe_open(str(path), framework="numpy") as stream:
        arrays = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        return json.loads(stream.metadata()["gossamer"]), arrays


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """The arrays of a valid model in sgdml's layout."""
    model, _, _ = random_model("methyl")
    path = replace(model, provenance=SYMMETRY).export_sgdml(tmp_path_factory.mktemp("valid") / "m.npz")
    with np.load(path, allow_pickle=True) as archive:
        return {name: archive[name] for name in archive.files}


def write(path, header, arrays):
    save_file({k: np.ascontiguousarray(a) for k, a in arrays.items()}, path, {"gossamer": json.dumps(header)})
    return path


def refused_or_sound(path):
    """Load and predict; True where the file is sound."""
    said = ""
    try:
        model = gs.load(path)
    except GossamerError as error:
        said = str(error)
    if said:
        assert "\n" not in said
        assert len(said) < 600
        return False
    R = np.random.default_rng(0).normal(size=(2, model.n_atoms, 3), scale=2.0)
    for part in (R, R[:1]):
        p = model.predict(part, warn=False)
        assert p.energies.shape == (len(part),)
        assert p.forces.shape == part.shape
        assert np.all(np.isfinite(p.energies))
        assert np.all(np.isfinite(p.forces))
    return True


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.name)
def test_cases(path):
    with pytest.raises(ModelFileError, match=r"damaged|not a readable npz|not an sgdml model"):
        gs.load(path)


def test_the_valid_files_are_sound(contents, fields, tmp_path):
    assert refused_or_sound(write(tmp_path / "m.gossamer", *contents))
    np.savez(tmp_path / "m.npz", **fields)
    assert refused_or_sound(tmp_path / "m.npz")


# headers --------------------------------------------------------------------------------------------------------------

NO_NUMBERS = [None, True, float("nan"), float("inf"), -float("inf"), [1.0], [[]], "1", {}, 10**30, 10**400, 1e300]
NUMBERS_IN = {"constant": [], "scale": [0, -1.0, 1e-300], "length": [0, -1.0, 1e-300], "amplitude": [0, -1.0, 1e-300]}


@pytest.mark.parametrize("value", range(len(NO_NUMBERS) + 3))
@pytest.mark.parametrize("key", NUMBERS_IN)
def test_what_must_be_a_number_is_one(contents, tmp_path, key, value):
    values = NO_NUMBERS + NUMBERS_IN[key]
    if value >= len(values):
        return
    header = copy.deepcopy(contents[0])
    (header if key in header else header["terms"][1])[key] = values[value]
    with pytest.raises(ModelFileError, match=rf"m\.gossamer: .*{key}.* must be a number|not a Gossamer model"):
        gs.load(write(tmp_path / "m.gossamer", header, contents[1]))


HEADERS = {
    "no terms": (("terms",), [], "must be a list of objects"),
    "terms of numbers": (("terms",), [1, 2], "must be a list of objects"),
    "fewer terms than arrays": (("terms",), [{"name": "a", "kernel": "matern52", "length": 1.0, "amplitude": 1.0}],
                                "belongs to none of its 1 terms"),
    "kernel": (("terms", 0, "kernel"), "rbf", "kernel: 'rbf' is not known"),
    "kernel of lists": (("terms", 0, "kernel"), [[1]], "name or kernel of term 0 is no text"),
    "name": (("terms", 0, "name"), 7, "name or kernel of term 0 is no text"),
    "units": (("units",), {"energy": "kcal/mol", "length": "Angstrom"}, "units are .*kcal/mol"),
    "provenance": (("provenance",), [], "provenance is .*must be an object"),
    "provenance name": (("provenance", "name"), 3, "provenance: name is 3"),
    "provenance noise": (("provenance", "noise"), "much", "provenance: noise"),
    "provenance indices": (("provenance", "train_indices"), [1, 2.5], "train_indices"),
    "provenance symmetry": (("provenance", "symmetry"), None, "symmetry is None"),
    "symmetry of no atoms": (("provenance", "symmetry", "perms"), [[0, 1]], "rows that name every atom"),
    "symmetry of elements": (("provenance", "symmetry", "perms"), [[1, 0, 3, 2, 4, 5], [0, 1, 2, 3, 4, 5]],
                             "another element"),
    "symmetry not closed": (("provenance", "symmetry", "perms"), METHYL[:2].tolist(), "closed group"),
    "symmetry twice": (("provenance", "symmetry", "perms"), METHYL[[0, 0, 1, 2]].tolist(), "twice"),
    "functions": (("functions",), [1], "functions are .*must be an object"),
    "names of functions": (("functions", "names"), [1, 2, 3], "a name of the pair functions is no text"),
    "fewer names": (("functions", "names"), ["a"], "functions.classes must lie in 0 ... 0"),
    "size of functions": (("functions", "size"), 10**9, "size of the pair functions is 1000000000"),
    "another size": (("functions", "size"), 19, "functions.coefficients has the shape"),
    "middle of functions": (("functions", "middle"), None, "middle of the pair functions is None"),
    "width of functions": (("functions", "width"), 1e-9, "too narrow"),
    "no functions": (("functions",), None, "belongs to none of its 2 terms"),
    "version": (("version",), "1", "format version '1'"),
    "version true": (("version",), True, "format version True"),
    "version 0": (("version",), 0, "format version 0"),
    "version ahead": (("version",), 99, "format version 99.*upgrade"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_are_wrong(contents, tmp_path, name):
    where, value, words = HEADERS[name]
    header = copy.deepcopy(contents[0])
    at = header
    for key in where[:-1]:
        at = at[key]
    at[where[-1]] = value
    with pytest.raises(ModelFileError, match=words):
        gs.load(write(tmp_path / "m.gossamer", header, contents[1]))


def test_deep_headers(contents, tmp_path):
    for deep in ("[" * 200_000 + "]" * 200_000, "[" * 300 + "]" * 300):
        text = json.dumps(contents[0] | {"provenance": "HERE"}).replace('"HERE"', f'{{"a": {deep}}}')
        save_file(contents[1], tmp_path / "m.gossamer", {"gossamer": text})
        with pytest.raises(ModelFileError, match=r"not a Gossamer model|provenance"):
            gs.load(tmp_path / "m.gossamer")


def test_sizes_that_a_header_declares_are_those_of_the_file(tmp_path):
    for shape, end in (([10**12], 8 * 10**12), ([2**61, 8], 8), ([1], 2**63), ([-1], 8)):
        header = json.dumps({"numbers": {"dtype": "I64", "shape": shape, "data_offsets": [0, end]}}).encode()
        for size in (len(header), 2**62):
            (tmp_path / "m.gossamer").write_bytes(struct.pack("<Q", size) + header + bytes(8))
            with pytest.raises(ModelFileError, match="not a model file"):
                gs.load(tmp_path / "m.gossamer")


# arrays ---------------------------------------------------------------------------------------------------------------

ARRAYS = {
    "numbers of fractions": ("numbers", lambda a: a.astype(float), "must hold whole numbers"),
    "no element": ("numbers", lambda a: a * 0, "atomic numbers"),
    "one atom": ("numbers", lambda a: a[:1], "two atoms or more"),
    "fewer atoms": ("numbers", lambda a: a[:4], "must lie in 0 ... 3"),
    "pairs out of range": ("pairs", lambda a: a + 1, "must lie in 0 ... 5"),
    "pairs turned": ("pairs", lambda a: a[:, ::-1], "indices must satisfy"),
    "pairs doubled": ("pairs", lambda a: a[[0, *range(len(a) - 1)]], "twice"),
    "pairs of three": ("pairs", lambda a: np.concatenate([a, a[:, :1]], 1), "shape"),
    "places out of range": ("terms.0.places", lambda a: a + 99, "must lie in 0 ... 14"),
    "places negative": ("terms.0.places", lambda a: a - 99, "must lie in 0 ... 14"),
    "place doubled": ("terms.0.places", lambda a: a[:, [0, 0, 2, 3]], "names a pair twice"),
    "places of none": ("terms.0.places", lambda a: a[:0], "shape"),
    "perms no permutations": ("terms.0.perms", lambda a: a * 0, "must be permutations"),
    "perms without identity": ("terms.1.perms", lambda a: a[1:], "the identity first"),
    "perms not closed": ("terms.1.perms", lambda a: a[:2], "must be a group"),
    "perms uneven": ("terms.1.perms", lambda a: a[[0, 0, 1, 2]], "must be a group"),
    "weights zero": ("terms.0.weights", lambda a: a * 0, "weights must lie in"),
    "weights negative": ("terms.0.weights", lambda a: -a, "weights must lie in"),
    "weights break the symmetry": ("terms.0.weights", lambda a: a + np.arange(len(a)), "weights differ"),
    "X of NaN": ("terms.0.X", lambda a: a * np.nan, "NaN"),
    "X of nothing": ("terms.0.X", lambda a: a * 0, "inverse distances"),
    "X too large": ("terms.0.X", lambda a: a * 1e5, "inverse distances"),
    "X without a row": ("terms.0.X", lambda a: a[1:], "2 places"),
    "X of fewer structures": ("terms.0.X", lambda a: a[2:], "must be 8 x 4"),
    "X of words": ("terms.0.X", lambda a: a.astype(bool), "must hold real numbers"),
    "V infinite": ("terms.1.V", lambda a: a / 1e-320, "infinite"),
    "V huge": ("terms.1.V", lambda a: np.full_like(a, 1e200), "beyond"),
    "V of another shape": ("terms.1.V", lambda a: a.T, "shape"),
    "V missing": ("terms.1.V", lambda a: None, "terms.1.V is missing"),
    "w of NaN": ("terms.1.w", lambda a: a * np.nan, "NaN"),
    "a function's pair twice": ("functions.slots", lambda a: a * 0, "a pair stands in the list twice"),
    "functions of other pairs": ("functions.slots", lambda a: a + 99, "functions.slots must lie in 0 ... 14"),
    "an empty class": ("functions.classes", lambda a: a * 0, "classes must be numbered 0 to 2"),
    "coefficients missing": ("functions.coefficients", lambda a: None, "functions.coefficients is missing"),
    "coefficients of NaN": ("functions.coefficients", lambda a: a * np.nan, "NaN"),
    "variances negative": ("functions.variances", lambda a: -a, "variances must be finite and cannot be negative"),
    "w too long": ("terms.1.w", lambda a: np.concatenate([a, a]), "shape"),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_arrays_that_are_wrong(contents, tmp_path, name):
    key, change, words = ARRAYS[name]
    changed = contents[1] | {key: change(contents[1][key])}
    arrays = {k: a for k, a in changed.items() if a is not None}
    with pytest.raises(ModelFileError, match=words):
        gs.load(write(tmp_path / "m.gossamer", contents[0], arrays))


def test_terms_trained_on_different_structures(contents, tmp_path):
    fewer = {f"terms.1.{key}": contents[1][f"terms.1.{key}"][:-1] for key in "XVw"}
    with pytest.raises(ModelFileError, match="different numbers of training structures"):
        gs.load(write(tmp_path / "m.gossamer", contents[0], contents[1] | fewer))


def test_half_precision_arrays_are_read_as_numbers(contents, tmp_path):
    narrow = {k: a.astype(np.float32) if a.dtype.kind == "f" else a.astype(np.int32) for k, a in contents[1].items()}
    assert refused_or_sound(write(tmp_path / "m.gossamer", contents[0], narrow))


# sgdml ----------------------------------------------------------------------------------------------------------------

FIELDS = {
    "scale NaN": ("std", np.nan, "std is nan"),
    "scale zero": ("std", 0.0, "std is 0.0"),
    "scale of two": ("std", [1.0, 2.0], "std"),
    "length of words": ("sig", "20", "sig is"),
    "length true": ("sig", True, "sig is"),
    "length negative": ("sig", -20, "sig is -20"),
    "constant infinite": ("c", np.inf, "c is inf"),
    "constant complex": ("c", 1j, "c is"),
    "noise NaN": ("lam", np.nan, "lam is nan"),
    "elements": ("z", np.zeros(6, int), "atomic numbers"),
    "more atoms than pairs": ("z", np.ones(3000, int), "must be 4498500 x any"),
    "perms no permutations": ("perms", METHYL * 0, "no permutation"),
    "perms not closed": ("perms", METHYL[:2], "closed group"),
    "perms of other elements": (
        "perms",
        [[0, 1, 2, 3, 4, 5], [1, 0, 2, 3, 4, 5], [2, 1, 0, 3, 4, 5]],
        "element|closed",
    ),
    "perms twice": ("perms", METHYL[[0, 1, 2, 0]], "twice"),
    "perms of fractions": ("perms", METHYL + 0.5, "whole numbers"),
    "pair permutations": ("tril_perms_lin", np.arange(45), "exchange different pairs"),
    "pair permutations cut": ("tril_perms_lin", np.arange(4), "shape"),
    "X and V differ": ("R_d_desc_alpha", np.ones((4, 15)), "must be 5 x 15"),
    "X of NaN": ("R_desc", np.full((15, 5), np.nan), "NaN"),
    "X turned": ("R_desc", np.ones((5, 15)), "must be 15 x any"),
    "w too short": ("alphas_E", np.ones(3), "must be 5"),
    "unit": ("e_unit", "furlong", "furlong"),
    "unit of numbers": ("r_unit", np.arange(3), "damaged"),
    "type of numbers": ("type", np.arange(3), "damaged"),
    "training indices": ("idxs_train", np.array([0.5]), "whole numbers"),
    "pickle": ("c", np.array(None, dtype=object), "never opened"),
    "periodic": ("lattice", np.eye(3), "periodic"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_sgdml_models_that_are_wrong(fields, tmp_path, name):
    key, value, words = FIELDS[name]
    np.savez(tmp_path / "m.npz", **(fields | {key: np.asarray(value)}))
    with pytest.raises(ModelFileError, match=words) as found:
        gs.load(tmp_path / "m.npz")
    assert "m.npz" in str(found.value)


def test_permutations_of_sgdml_stand_in_any_order(fields, tmp_path):
    wanted = random_model("methyl")[0].predict(structures(2, seed=5))
    turned = {k: v for k, v in fields.items() if k != "tril_perms_lin"} | {"perms": fields["perms"][[2, 0, 1]]}
    np.savez(tmp_path / "m.npz", **turned)
    np.testing.assert_allclose(gs.load(tmp_path / "m.npz").predict(structures(2, seed=5)).forces, wanted.forces)


def npy(header):
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,)}\n") + bytes(8),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}\n") + bytes(8),
        npy("{'descr': '|V0', 'fortran_order': False, 'shape': (99999999999,)}\n"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': ()}\n") + b"cos\nsystem\n(S'false'\ntR.",
        npy("(" * 900 + ")" * 900 + "\n"),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': ()}\n").replace(b"\x01\x00", b"\x09\x00", 1) + bytes(8),
        b"", b"\x93NUMPY", b"no array at all",
    ],
)  # fmt: skip
def test_arrays_in_an_npz_that_lie(fields, tmp_path, content):
    np.savez(tmp_path / "m.npz", **{k: a for k, a in fields.items() if k != "z"})
    with zipfile.ZipFile(tmp_path / "m.npz", "a") as archive:
        archive.writestr("z.npy", content)
    with pytest.raises(ModelFileError, match=r"m\.npz: array 'z' is"):
        gs.load(tmp_path / "m.npz")


# names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "", "no/such/m.gossamer", 3, None, b"m", "\udcff\ud800", "."])
def test_names_that_are_none(name):
    with pytest.raises(ModelFileError):
        gs.load(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ModelFileError, match="only regular files are read"):
            gs.load(path)


# anything -------------------------------------------------------------------------------------------------------------

SCALARS = (
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3) | st.sampled_from([1e308, -1e-308, 0])
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2))


def changed(array: np.ndarray, draw) -> np.ndarray:
    """An array with something done to it."""
    kind = draw(st.sampled_from(["value", "rows", "shape", "type", "order"]))
    if kind == "value":
        array = array.copy()
        if array.dtype.kind == "f":
            array.flat[draw(st.integers(0, array.size - 1))] = draw(st.floats())
        elif array.dtype.kind in "iu":
            info = np.iinfo(array.dtype)
            array.flat[draw(st.integers(0, array.size - 1))] = draw(st.integers(int(info.min), int(info.max)))
        return array
    if kind == "rows" and array.ndim:
        return array[draw(st.lists(st.integers(0, len(array) - 1), max_size=len(array) + 2))]
    if kind == "shape":
        return draw(st.sampled_from([array.ravel(), array[None], array.T, array.reshape(-1, 1)]))
    if kind == "type" and array.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            return array.astype(draw(st.sampled_from(["f2", "f4", "i1", "u8", "?", "f8", "i4"])))
    return array[..., ::-1] if array.ndim else array


@given(data=st.data())
@HOSTILE
def test_any_change_of_a_header(contents, tmp_path, data):
    header = copy.deepcopy(contents[0])
    at, key = header, data.draw(st.sampled_from(sorted(header)))
    while isinstance(at[key], dict | list) and at[key] and data.draw(st.booleans()):
        at = at[key]
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
    if data.draw(st.booleans()):
        at[key] = data.draw(JSON)
    else:
        del at[key]
    refused_or_sound(write(tmp_path / "m.gossamer", header, contents[1]))


@given(data=st.data())
@HOSTILE
def test_any_change_of_an_array(contents, tmp_path, data):
    name = data.draw(st.sampled_from(sorted(contents[1])))
    arrays = contents[1] | {name: changed(contents[1][name], data.draw)}
    if data.draw(st.integers(0, 9)) == 0:
        del arrays[name]
    refused_or_sound(write(tmp_path / "m.gossamer", contents[0], arrays))


@given(data=st.data())
@HOSTILE
def test_any_change_of_an_sgdml_model(fields, tmp_path, data):
    name = data.draw(st.sampled_from(sorted(name for name in fields if fields[name].size)))
    value = changed(fields[name], data.draw)
    if data.draw(st.integers(0, 4)) == 0:
        value = np.asarray(data.draw(SCALARS), dtype=None)
    np.savez(tmp_path / "m.npz", **(fields | {name: value}))
    refused_or_sound(tmp_path / "m.npz")


@given(at=st.integers(0, 10**6), bits=st.integers(1, 255), cut=st.booleans(), sgdml=st.booleans())
@HOSTILE
def test_any_change_of_a_byte(contents, fields, tmp_path, at, bits, cut, sgdml):
    path = tmp_path / "m"
    if sgdml:
        with path.open("wb") as stream:
            np.savez(stream, **fields)
    else:
        write(path, *contents)
    raw = bytearray(path.read_bytes())
    raw[at % len(raw)] ^= bits
    path.write_bytes(raw[: at % len(raw)] if cut else raw)
    refused_or_sound(path)
