"""Every permutation that a model names leaves its energies as they are, and permutes its forces."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from molecules import MOLECULES, labelled

from gossamer.chemistry.fragments import Fragment, local_fragments
from gossamer.chemistry.graph import MolecularGraph
from gossamer.chemistry.groups import close_group, group_order
from gossamer.chemistry.symmetry import Symmetry, find_symmetry, usual_limit
from gossamer.errors import UsageError
from gossamer.fitting.makeup import makeup_of
from gossamer.fitting.operator import KernelOperator, assemble
from gossamer.fitting.workflow import fit
from gossamer.kernels import Matern52
from gossamer.model.pairs import PairSet
from gossamer.model.terms import kept


def plain_kernel(smooth):
    return Matern52(1.0)


FEASIBLE = 300  # elements of a group of all permutations that bonds and handedness allow, for tests


def random_model(made, data, seed=0):
    """A model of the makeup's terms with weights, amplitudes and coefficients drawn at random."""
    rng = np.random.default_rng(seed)
    terms = tuple(
        replace(t, weights=np.exp(0.5 * rng.normal(size=g.max() + 1))[g], amplitude=float(rng.uniform(0.5, 2)))
        for t, g in zip(made.terms, made.groups, strict=True)
    )
    K = KernelOperator.build(terms, made.pairs, torch.from_numpy(data.positions[:3]), 1e-6)
    return assemble(K, torch.from_numpy(rng.normal(size=K.size)), data.numbers, 1.0, 0.0, {})


def assert_keeps(model, perms, R):
    one = model.predict(R)
    for perm in perms[:: -(-len(perms) // 12)]:
        two = model.predict(R[:, perm])
        for found, wanted in ((two.energies, one.energies), (two.forces, one.forces[:, perm])):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max(), err_msg=str(perm))


def all_of(data, limit=FEASIBLE):
    """All permutations that bonds and handedness allow; the first generators where these are too many."""
    generators, _ = MolecularGraph.build(data.positions, data.numbers).generators()
    chosen = [np.arange(data.n_atoms)]
    for perm in generators:
        if group_order([*chosen, perm]) <= limit:
            chosen.append(perm)
    return close_group(chosen, limit)


@pytest.mark.parametrize("terms", ["both", "local"])
@pytest.mark.parametrize("name", sorted(MOLECULES))
def test_every_permutation_of_the_group_holds(name, terms):
    data = labelled(name)
    groups = [find_symmetry(data.positions, data.numbers, limit=n) for n in (4, usual_limit(data.n_atoms))]
    for group in [*groups, Symmetry(all_of(data), 1, 1, "")]:
        made = makeup_of(terms, data, group, PairSet.full(data.n_atoms), plain_kernel)
        assert np.all(kept(made.terms, made.pairs, group.perms))
        assert_keeps(random_model(made, data), group.perms, data.positions[3:8])


@pytest.mark.parametrize("name", ["benzene", "methane dimer", "acetylacetone", "ethanol", "water dimer"])
def test_radii_contacts_and_unshared_fragments_hold_too(name):
    data = labelled(name)
    group = find_symmetry(data.positions, data.numbers, limit=usual_limit(data.n_atoms))
    assert group.order > 1
    for options in (
        {"bonds": (), "radii": (1.4, 2.3)}, {"radii": (2.9,), "contacts": True}, {"share": False}, {"max_images": 1},
        {"max_images": 2, "max_places": 1}, {"bonds": (3, 1)},
    ):  # fmt: skip
        local = local_fragments(data.positions, data.numbers, perms=group.perms, **options)
        made = makeup_of(local, data, group, PairSet.full(data.n_atoms), plain_kernel)
        assert np.all(kept(made.terms, made.pairs, group.perms)), options
        assert_keeps(random_model(made, data), group.perms, data.positions[3:6])


def test_the_twin_of_a_term_that_sees_all_atoms_is_there():
    """Both carbons see the whole molecule, so that their terms are one, unchanged when the ends are exchanged."""
    data = labelled("dichloroethane", renamed=False)
    group = find_symmetry(data.positions, data.numbers).perms
    assert any(list(perm[:4]) == [3, 2, 1, 0] for perm in group)
    plain = local_fragments(data.positions, data.numbers)
    full = local_fragments(data.positions, data.numbers, perms=group)
    seeing = [[f for f in found if f.atoms.shape[1] == 8] for found in (plain, full)]
    assert [len(f.atoms) for found in seeing for f in found] == [1, 1]
    assert len(seeing[1][0].perms) == 2 * len(seeing[0][0].perms)


@pytest.mark.parametrize("name", sorted(MOLECULES))
def test_what_holds_without_help_is_left_as_it_was(name):
    """Fragments change only where a permutation would break them, so that no molecule pays for what it has already."""
    data = labelled(name)
    pairs = PairSet.full(data.n_atoms)
    group = find_symmetry(data.positions, data.numbers, limit=usual_limit(data.n_atoms))
    full = {f.name: f for f in local_fragments(data.positions, data.numbers, perms=group.perms)}
    for plain in local_fragments(data.positions, data.numbers):
        made = makeup_of([plain], data, group, pairs, plain_kernel)
        if np.all(kept(made.terms, made.pairs, group.perms)):
            assert np.array_equal(plain.atoms, full[plain.name].atoms)
            assert np.array_equal(plain.perms, full[plain.name].perms)


@pytest.mark.parametrize(("name", "most"), [("methane", 24), ("neopentane", 24)])
def test_four_like_atoms_around_one_have_all_their_exchanges(name, most):
    data = labelled(name, renamed=False)
    near = [f for f in local_fragments(data.positions, data.numbers) if f.name == "0 within 1 bond"]
    assert [len(f.perms) for f in near] == [most]


def test_kept_tells_what_a_list_of_terms_breaks():
    data = labelled("propane")
    group = Symmetry(all_of(data), 1, 1, "")
    pairs = PairSet.full(data.n_atoms)
    bonded = MolecularGraph.build(data.positions, data.numbers).neighbours
    carbons = set(np.flatnonzero(data.numbers == 6).tolist())
    (middle,) = [c for c in carbons if len(carbons & set(bonded[c])) == 2]
    end, other = sorted(carbons - {middle})
    made = makeup_of(
        [Fragment(np.array([end, middle]), np.arange(2)[None], "bond")],
        data,
        group,
        pairs,
        plain_kernel,
    )
    holds = kept(made.terms, made.pairs, group.perms)
    assert np.array_equal(holds, group.perms[:, end] == end)
    bonds = Fragment(np.array([[end, middle], [other, middle]]), np.arange(2)[None], "bonds")
    both = makeup_of([bonds], data, group, pairs, plain_kernel)
    assert np.all(kept(both.terms, both.pairs, group.perms))


QUICK = {"learning_steps": 2, "relative_noise": 1e-5, "device": "cpu"}


@pytest.mark.parametrize(("name", "terms", "images"), [
    ("dichloroethane", "both", None), ("dichloroethane", "auto", 1), ("methane", "auto", None), ("ethane", "local", 4),
    ("malonaldehyde", "both", 3), ("water dimer", "local", None), ("ethylene", "global", 2), ("benzene", "auto", 5),
])  # fmt: skip
def test_a_trained_model_keeps_what_its_file_names(name, terms, images, tmp_path):
    import gossamer as gs

    data = labelled(name, n=30)
    found = fit(data.take(np.arange(22)), data.take(np.arange(22, 30)), terms=terms, max_images=images, **QUICK)
    model = gs.load(found.model.save(tmp_path / "m.gossamer"))
    perms = np.array(model.provenance["symmetry"]["perms"])
    assert len(perms) == model.provenance["symmetry"]["order"] == found.symmetry.order <= (images or 1000)
    assert (images or 2) == 1 or len(perms) > 1
    assert_keeps(model, perms, data.positions[22:28])


@pytest.mark.parametrize("name", ["dichloroethane", "ethanol", "malonaldehyde"])
def test_reduced_models_keep_it_too(name):
    from gossamer.reduction.reducer import reduce

    data = labelled(name, n=36)
    for terms in ("global", "both"):
        found = reduce(
            data.take(np.arange(24)), data.take(np.arange(24, 36)), terms=terms, quantiles=(30, 60),
            tolerance=5.0, score_structures=4, **QUICK,
        )  # fmt: skip
        perms = np.array(found.model.provenance["symmetry"]["perms"])
        assert len(perms) > 1
        assert len(found.model.pairs) < len(found.full.pairs) or terms == "both"
        assert_keeps(found.model, perms, data.positions[24:28])


def test_fragments_given_are_as_they_are_and_only_what_they_keep_is_claimed():
    """Ethanol's methyl group, none of its hydrogens exchanged: the turn of the group is broken, and not claimed."""
    data = labelled("ethanol")
    train = data.take(np.arange(22))
    whole = find_symmetry(train.positions, train.numbers)
    graph = MolecularGraph.build(data.positions, data.numbers)
    carbon = next(c for c in range(9) if sum(data.numbers[b] == 1 for b in graph.neighbours[c]) == 3)
    hydrogens = [b for b in graph.neighbours[carbon] if data.numbers[b] == 1]
    asked = Fragment(np.array([carbon, *hydrogens]), np.arange(4)[None], "methyl")
    found = fit(train, None, terms=[asked, "global"], **QUICK)
    assert whole.order == 6
    assert found.symmetry.order < 6
    assert np.array_equal(found.choice.makeup.terms[0].perms, np.arange(6)[None])
    assert len(found.choice.makeup.terms[1].perms) == 6  # the global term loses nothing
    assert "the fragments given keep" in found.model.provenance["symmetry"]["note"]
    assert_keeps(found.model, np.array(found.model.provenance["symmetry"]["perms"]), data.positions[22:28])
    turned = replace(asked, perms=np.array([[0, 1, 2, 3], [0, 2, 3, 1], [0, 3, 1, 2]]))
    assert fit(train, None, terms=[turned, "global"], **QUICK).symmetry.order >= 3


def test_a_symmetry_that_is_no_group_is_refused():
    data = labelled("methane")
    broken = Symmetry(np.array([[0, 1, 2, 3, 4], [0, 2, 3, 1, 4]]), 2, 2, "")
    with pytest.raises(UsageError, match="closed group"):
        fit(data, None, symmetry=broken, **QUICK)
