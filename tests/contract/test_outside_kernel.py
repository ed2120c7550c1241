"""A kernel that the package does not have, made by its user: trained, predicted, scored, saved and loaded with."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import reference
import torch
from cases import CASES, NUMBERS, arrays, dense, random_model, structures

import gossamer as gs
from gossamer import kernels
from gossamer.backends.numba.single import SingleEvaluator
from gossamer.errors import ModelFileError, UsageError
from gossamer.fitting.operator import KernelOperator, assemble
from gossamer.kernels import Profile
from gossamer.reduction.relevance import masking_scores

DATA = Path(__file__).parent.parent / "data/ethanol_60.npz"


@dataclass(frozen=True)
class RationalQuadratic:
    """k(s) = 1 / (1 + s^2/2l^2)."""

    length: float
    name: ClassVar[str] = "rational"
    form: ClassVar[None] = None

    def profile(self, s2):
        k0 = 1 / (1 + s2.clamp_min(0) / (2 * self.length**2))
        return Profile(k0, k0**2 / self.length**2, 2 * k0**3 / self.length**4)

    def third(self, s2):
        return 6 * self.profile(s2).k0 ** 4 / self.length**6


def rational(s, length):
    k0 = 1 / (1 + s**2 / (2 * length**2))
    return k0, k0**2 / length**2, 2 * k0**3 / length**4


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(kernels, "_KINDS", dict(kernels._KINDS))
    monkeypatch.setitem(reference.KERNELS, "rational", rational)
    return kernels.register(RationalQuadratic)


def outside_model(case="several", energies=True):
    """A model whose first term has the kernel from outside, the others one that compiled code has."""
    pairs, terms = CASES[case]()
    terms = (replace(terms[0], kernel=kernels.make("rational", 1.5)), *terms[1:])
    K = KernelOperator.build(terms, pairs, torch.from_numpy(structures(5)), 1e-8, energies=energies)
    v = torch.from_numpy(np.random.default_rng(1).normal(size=K.size))
    return assemble(K, v, NUMBERS, 0.9, -3.0, {}), K, v


def close(a, b, rtol=1e-11):
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())


@pytest.mark.parametrize("case", ["plain", "several"])
def test_it_is_the_reference_everywhere(registered, case):
    model, K, v = outside_model(case)
    query = structures(4, seed=9)
    for R in (query, query[:1]):
        for got, wanted in zip(arrays(model.predict(R)), reference.predict(model, R), strict=True):
            close(got, wanted)
    expected = reference.covariance_matrix(K.terms, K.pairs.pairs, structures(5), True) + 1e-8 * np.eye(K.size)
    close(dense(K), expected)
    close((K @ v).numpy(), expected @ v.numpy())
    close(K.diagonal().numpy() + 1e-8, np.diag(expected))


def test_pairs_are_scored_by_brute_force(registered):
    model, _, _ = outside_model("plain")
    scores = masking_scores(model, structures(3, seed=5), np.arange(len(model.pairs)))
    for pair in (0, 7):
        np.testing.assert_allclose(
            scores[pair],
            reference.masking_score(model, structures(3, seed=5), np.arange(len(scores)) == pair),
            rtol=1e-9,
        )


def test_models_are_trained_saved_and_loaded(registered, tmp_path):
    train, valid, test = gs.read(DATA).split(25, 10, 5, seed=0)
    model = gs.train(train, valid, terms="both", kernel="rational", learning_steps=2).model
    assert {term.kernel.name for term in model.terms} == {"rational"}
    assert model.test(test).force_rmse < 0.7 * np.sqrt((test.labelled_forces() ** 2).mean())
    again = gs.load(model.save(tmp_path / "m.gossamer"))
    np.testing.assert_array_equal(again.predict(test.positions).forces, model.predict(test.positions).forces)


def test_without_it_a_file_is_refused_in_a_sentence(registered, tmp_path, monkeypatch):
    path = outside_model()[0].save(tmp_path / "m.gossamer")
    monkeypatch.delitem(kernels._KINDS, "rational")
    with pytest.raises(ModelFileError, match=r"gossamer: kernel: 'rational' is not known; use matern52.*register it"):
        gs.load(path)


def test_compiled_code_refuses_it_in_a_sentence(registered):
    with pytest.raises(UsageError, match="compiled code does not have 'rational'"):
        SingleEvaluator.build(outside_model()[0])


def test_sgdml_has_no_words_for_other_kernels(tmp_path):
    model, _, _ = random_model("gauss")
    with pytest.raises(UsageError, match=r"one unweighted term"):
        model.export_sgdml(tmp_path / "m.npz")
    model, _, _ = random_model("plain")
    smooth = replace(model, terms=(replace(model.terms[0], kernel=kernels.Gauss(3.0)),))
    with pytest.raises(UsageError, match="Matern-5/2 kernel only"):
        smooth.export_sgdml(tmp_path / "m.npz")


def test_scores_refuse_what_are_no_structures_or_orbits(registered):
    model = outside_model()[0]
    R, orbits = structures(2), np.arange(len(model.pairs))
    for positions in (R[0], R[:, :2], R[:0]):
        with pytest.raises(UsageError, match="positions: shape"):
            masking_scores(model, positions, orbits)
    for wrong in (orbits[:3], orbits + 0.0, orbits - 1):
        with pytest.raises(UsageError, match=r"orbits: shape .* model.pairs.orbits"):
            masking_scores(model, R, wrong)
