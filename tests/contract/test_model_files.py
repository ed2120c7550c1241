"""Model files outlive the code: every version ever written still loads and predicts what it did.

When the format changes, write a new sample beside the old ones:
    python tests/contract/test_model_files.py   # writes tests/models/v<VERSION>.gossamer and .json
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from cases import arrays, pair_functions, random_model, some_dipoles, structures, with_bars
from molecules import beside

from gossamer.baselines.coulomb import Coulomb
from gossamer.chemistry.fragments import Fragment, local_fragments
from gossamer.chemistry.origin import Origin
from gossamer.errors import ModelFileError
from gossamer.fitting.operator import KernelOperator, assemble
from gossamer.kernels import Matern52
from gossamer.model.force_field import TermCoefficients
from gossamer.model.fragment_terms import term_of
from gossamer.model.model_file import VERSION, load
from gossamer.model.pairs import PairSet
from gossamer.model.upgrade import from_1

MODELS = Path(__file__).parents[1] / "models"
SAMPLES = sorted(MODELS.glob("v*.gossamer"))


def test_the_present_version_has_its_sample():
    assert MODELS / f"v{VERSION}.gossamer" in SAMPLES, __doc__


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
def test_every_version_predicts_what_it_did(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    model = load(path)
    p = model.predict(structures(2, seed=9), std="energy_std" in expected)
    np.testing.assert_allclose(p.energies, expected["energies"], rtol=1e-9)
    np.testing.assert_allclose(p.forces, expected["forces"], atol=1e-9 * np.abs(expected["forces"]).max())
    if "energy_std" in expected:
        np.testing.assert_allclose(p.energy_std, expected["energy_std"], rtol=1e-9)
        np.testing.assert_allclose(p.forces_std, expected["forces_std"], rtol=1e-7)
    if "dipoles" in expected:
        np.testing.assert_allclose(model.dipoles(structures(2, seed=9)), expected["dipoles"], rtol=1e-9)
    assert model.provenance == {}


@pytest.mark.parametrize("size", [0, 7, 100, 3000])
def test_a_truncated_file_is_named(tmp_path, size):
    path = tmp_path / "short.gossamer"
    path.write_bytes(SAMPLES[-1].read_bytes()[:size])
    with pytest.raises(ModelFileError, match=r"short\.gossamer: it is not a model file, or it is truncated"):
        load(path)


def test_foreign_and_newer_files_are_named(tmp_path):
    from safetensors.numpy import save_file

    foreign, newer = tmp_path / "foreign.gossamer", tmp_path / "newer.gossamer"
    save_file({"a": np.zeros(3)}, foreign)
    save_file({"a": np.zeros(3)}, newer, {"gossamer": json.dumps({"format": "gossamer-force-field", "version": 99})})
    with pytest.raises(ModelFileError, match="not a Gossamer model"):
        load(foreign)
    with pytest.raises(ModelFileError, match="format version 99"):
        load(newer)
    with pytest.raises(ModelFileError, match="there is no such model file"):
        load(tmp_path / "none.gossamer")


@pytest.mark.parametrize("case", ["plain", "several"])
@pytest.mark.parametrize("energies", [False, True])
def test_saved_models_come_back_whole(tmp_path, case, energies):
    model, _, _ = random_model(case, energies=energies)
    again = load(model.save(tmp_path / "m.gossamer"))
    for ours, theirs in zip(arrays(model.predict(structures(2))), arrays(again.predict(structures(2))), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [(t.name, t.origin) for t in again.terms] == [(t.name, t.origin) for t in model.terms]


def fragments():
    two = beside("C2H4", (3.4, 0, 0))
    numbers, positions = two.numbers, two.positions + 0.02 * np.random.default_rng(1).normal(size=(3, len(two), 3))
    whole = Fragment.whole(len(numbers), np.arange(len(numbers))[None])
    ring = Fragment(np.array([[0, 1, 2], [6, 7, 8]]), np.arange(3)[None], "ring")
    local = local_fragments(positions, numbers, bonds=(1,), radii=(2.6,), contacts=True)
    return numbers, positions, (whole, ring, *local)


def test_every_kind_of_origin_is_kept(tmp_path):
    numbers, positions, parts = fragments()
    pairs = PairSet.full(len(numbers))
    terms = tuple(term_of(part, pairs, Matern52(2.0)) for part in parts)
    K = KernelOperator.build(terms, pairs, torch.from_numpy(positions), 1e-8)
    model = assemble(K, torch.ones(K.size, dtype=torch.float64), numbers, 1.0, 0.0, {})
    again = load(model.save(tmp_path / "m.gossamer"))
    assert [t.origin for t in again.terms] == [part.origin for part in parts]
    assert {t.origin.kind for t in again.terms} == {"global", "given", "bonds", "radius", "contact"}
    nameless = replace(model, terms=tuple(replace(t, origin=Origin()) for t in model.terms))
    assert [t.origin for t in from_1(nameless).terms] == [part.origin for part in parts]
    renamed = replace(nameless, terms=tuple(replace(t, name=f"no {k}") for k, t in enumerate(terms)))
    assert {t.origin.kind for t in from_1(renamed).terms} == {"given"}


def test_terms_of_version_1_tell_what_they_were_made_from():
    assert [t.origin.kind for t in load(MODELS / "v1.gossamer").terms] == ["given", "global"]


if __name__ == "__main__":
    sample, _, _ = random_model("several", n_train=4, energies=True, functions=pair_functions())
    charged = Coulomb(np.array([0.3, -0.2, -0.6, 0.1, 0.1, 0.3]), [(3, 2), (4, 2), (5, 2)])
    first, *others = sample.coefficients
    few = TermCoefficients(first.X[:3], 1.5 * first.V[:3])
    coefficients = (replace(first, few=few), *others)
    sample = replace(
        with_bars(sample, 2), baselines=(charged,), dipole_model=some_dipoles(1), coefficients=coefficients
    )
    sample.save(MODELS / f"v{VERSION}.gossamer")
    at = sample.predict(structures(2, seed=9), std=True)
    deviations = {"energy_std": at.energy_std.tolist(), "forces_std": at.forces_std.tolist()}
    (MODELS / f"v{VERSION}.json").write_text(
        json.dumps(
            {"energies": at.energies.tolist(), "forces": at.forces.tolist()}
            | deviations
            | {"dipoles": sample.dipoles(structures(2, seed=9)).tolist()}
        )
    )
