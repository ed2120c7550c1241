"""Masking scores on real molecules against brute force: a masked pair is one the model no longer has.

With a component zero in X, V, query and Jacobian, it drops out of every sum, so the masked model is the frozen model
without those pairs.  Model against model, no refit (docs/theory.md, masking)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gossamer as gs
from gossamer.model.force_field import TermCoefficients
from gossamer.model.terms import Term
from gossamer.reduction.relevance import masking_scores

ROOT = Path(__file__).parents[2]
MOLECULES = {
    "ethanol": (ROOT / "tests" / "data" / "ethanol_60.npz", 30, 6),
    "Ac-Ala3-NHMe": (ROOT / "examples" / "ac-ala3" / "ac-ala3.npz", 12, 9),
}


def without(model, gone):
    """The frozen model without the pairs `gone` (P,)."""
    pairs, (term,), (c,) = model.pairs.keep(~gone), model.terms, model.coefficients
    perms = np.array(model.provenance["symmetry"]["perms"])
    return replace(
        model,
        pairs=pairs,
        terms=(Term.over_all(pairs, perms, term.kernel),),
        coefficients=(TermCoefficients(c.X[:, ~gone].copy(), c.V[:, ~gone].copy(), c.w),),
    )


@pytest.mark.parametrize("name", MOLECULES)
def test_masking_scores_are_brute_force_scores(name):
    path, n_train, n_perms = MOLECULES[name]
    data = gs.read(path)
    train, _, test = data.split(n_train, 0, 4, seed=0)
    symmetry = gs.find_symmetry(data.positions, data.numbers, limit=12)
    assert len(symmetry.perms) == n_perms
    model = gs.train(train, terms="global", length=20.0, relative_noise=1e-6, symmetry=symmetry).model
    orbits = model.pairs.orbits(symmetry.perms)
    scores = masking_scores(model, test.positions, orbits)
    full = model.predict(test.positions).forces
    step = 1 if orbits.max() < 50 else 7  # every seventh orbit of the peptide is enough and takes seconds
    for orbit in range(0, orbits.max() + 1, step):
        masked = without(model, orbits == orbit).predict(test.positions).forces
        expected = np.sqrt(np.mean((full - masked) ** 2))
        np.testing.assert_allclose(scores[orbits == orbit], expected, rtol=1e-9)
