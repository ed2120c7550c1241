"""Descriptors of features of a few atoms, one of a kind that the package does not have, made by its user: held to the
reference, to slopes and to the loops of pairs; trained, predicted, saved and loaded with."""

from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import reference
import torch
from cases import CASES, METHYL, NUMBERS, arrays, dense, random_model, structures

import gossamer as gs
from gossamer import descriptors
from gossamer.backends.numba.single import SingleEvaluator
from gossamer.backends.protocol import ChosenLabels, Structures
from gossamer.backends.torch.dense import DENSE
from gossamer.backends.torch.single_cuda import DeviceForceField
from gossamer.descriptors import Cosine, InverseDistance
from gossamer.errors import DataError, ModelFileError, UsageError
from gossamer.fitting.covariance import Covariance
from gossamer.fitting.descriptor import angles
from gossamer.fitting.operator import KernelOperator, assemble
from gossamer.kernels import Gauss, Matern52
from gossamer.model.features import FeatureSet, Part
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

DATA = Path(__file__).parent.parent / "data/ethanol_60.npz"
PAIRS = PairSet.full(6).pairs
ANGLES = np.array([(0, 1, 3), (0, 1, 4), (0, 1, 5), (0, 3, 4), (0, 3, 5), (0, 4, 5), (1, 0, 2)])
SOLIDS = np.array([(0, 3, 4, 5), (0, 1, 3, 4), (0, 1, 4, 5), (0, 1, 3, 5)])


@dataclass(frozen=True)
class Volume:
    """scale (u . v x w)^2 of the edges u, v, w of a tetrahedron: of four atoms, and alike in all their orders."""

    scale: float
    name: ClassVar[str] = "volume"
    orders: ClassVar[tuple[tuple[int, ...], ...]] = tuple(permutations(range(4)))

    def forward(self, d):
        u, v, w = d.unbind(-2)
        normals = torch.stack([torch.linalg.cross(v, w), torch.linalg.cross(w, u), torch.linalg.cross(u, v)], -2)
        volume = (u * normals[..., 0, :]).sum(-1)
        return self.scale * volume**2, 2 * self.scale * volume[..., None, None] * normals


def volume(feature, atoms):
    edges = atoms[1:] - atoms[0]
    slopes = 2 * np.linalg.det(edges) ** 2 * np.linalg.inv(edges).T
    return feature.scale * np.linalg.det(edges) ** 2, feature.scale * np.vstack([-slopes.sum(0), slopes])


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(descriptors, "_KINDS", dict(descriptors._KINDS))
    monkeypatch.setitem(reference.FEATURES, "volume", volume)
    return descriptors.register(Volume)


def mixed():
    """Features of two, three and four atoms."""
    return FeatureSet(6, (Part(InverseDistance(), PAIRS), Part(Cosine(0.4), ANGLES), Part(Volume(0.05), SOLIDS)))


def mixed_terms():
    """One term over all features, and one that is used at two places."""
    features = mixed()
    whole = Term.over_all(features, METHYL, Matern52(1.5), 0.7)
    orbits = np.unique(whole.perms.min(0), return_inverse=True)[1]
    weights = np.exp(np.random.default_rng(2).normal(size=len(features)))[orbits]
    at = {name[1]: f for f, name in enumerate(features._names)}
    places = [[at[0, 1], at[0, 3], at[0, 1, 3], at[0, 1, 3, 4]], [at[0, 1], at[0, 4], at[0, 1, 4], at[0, 1, 4, 5]]]
    local = Term(places, [[0, 1, 2, 3]], Gauss(1.2), 0.4, np.array([1.0, 2.0, 0.5, 1.5]), name="local")
    return features, (replace(whole, weights=weights), local)


def mixed_model(energies=True):
    features, terms = mixed_terms()
    K = KernelOperator.build(terms, features, torch.from_numpy(structures(5)), 1e-8, energies=energies)
    v = torch.from_numpy(np.random.default_rng(1).normal(size=K.size))
    return assemble(K, v, NUMBERS, 0.9, -3.0, {}), K, v


def close(a, b, rtol=1e-11):
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())


# The descriptor ----------------------------------------------------------------------------------------------------


def test_features_and_their_gradients_are_the_reference():
    features, R = mixed(), structures(3)
    x, dx = features.forward(torch.from_numpy(R))
    J = descriptors.dense.matrices(features, dx)
    for q, structure in enumerate(R):
        x_ref, J_ref = reference.descriptor(features, structure)
        close(x[q].numpy(), x_ref, 1e-14)
        close(J[q].numpy(), J_ref, 1e-13)


@pytest.mark.parametrize("descriptor", [mixed(), PairSet.full(6)], ids=["features", "pairs"])
def test_push_and_pull_are_transposes_and_slopes(descriptor):
    R, rng = torch.from_numpy(structures(3)), np.random.default_rng(0)
    a, g = torch.from_numpy(rng.normal(size=(3, 6, 3))), torch.from_numpy(rng.normal(size=(3, len(descriptor))))
    _, dx = descriptor.forward(R)
    pushed, pulled = descriptor.push(dx, a), descriptor.pull(dx, g)
    torch.testing.assert_close((pushed * g).sum(), (pulled * a).sum(), rtol=1e-13, atol=1e-13)
    h = 1e-5
    slope = (descriptor.forward(R + h * a)[0] - descriptor.forward(R - h * a)[0]) / (2 * h)
    torch.testing.assert_close(pushed, slope, rtol=1e-8, atol=1e-8)
    J = descriptors.dense.matrices(descriptor, dx)
    torch.testing.assert_close(pushed, (J @ a.reshape(3, 18, 1))[..., 0], rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(pulled.reshape(3, 18), (g[:, None] @ J)[:, 0], rtol=1e-13, atol=1e-13)


def test_sums_over_many_structures_run_in_blocks(monkeypatch):
    features, R = mixed(), torch.from_numpy(structures(7))
    _, dx = features.forward(R)
    g = torch.from_numpy(np.random.default_rng(0).normal(size=(7, len(features))))
    whole = features.pull(dx, g)
    monkeypatch.setattr("gossamer.model.features.block_bytes", lambda device: 1.0)
    torch.testing.assert_close(features.pull(dx, g), whole, rtol=0, atol=0)


def test_permuting_the_atoms_permutes_the_features():
    features, R = mixed(), torch.from_numpy(structures(2))
    x, _ = features.forward(R)
    for perm, images in zip(METHYL, features.permuted(METHYL), strict=True):
        torch.testing.assert_close(features.forward(R[:, perm])[0], x[:, images], rtol=1e-13, atol=0)


def test_features_are_kept_in_the_order_asked_for():
    features, R = mixed(), torch.from_numpy(structures(2))
    rows = np.array([20, 3, 1, 25, 16, 0])
    x, kept = features.forward(R)[0], features.keep(rows)
    torch.testing.assert_close(kept.forward(R)[0], x[:, rows], rtol=0, atol=0)
    mask = np.arange(len(features)) % 3 == 0
    torch.testing.assert_close(features.keep(mask).forward(R)[0], x[:, mask], rtol=0, atol=0)
    assert [len(atoms) for _, atoms in features.keep(mask).parts] == [5, 3, 1]
    assert kept.inverse_distances.tolist() == [1, 2, 5]


def test_lists_that_cannot_be_are_refused():
    cosines = Cosine(1.0)
    for parts, said in {
        (): "none given",
        ((cosines, ((0, 1),)),): "'cosine' needs 3 atoms in every row",
        ((cosines, ((0, 1, 6),)),): "3 different ones of the 6 atoms",
        ((cosines, ((0, 1, 1),)),): "3 different ones of the 6 atoms",
        ((cosines, ((0, 1, 2),)), (cosines, ((0, 2, 1),))): r"'cosine' of atoms \(0, 1, 2\) stands in the list twice",
    }.items():
        with pytest.raises(UsageError, match=said):
            FeatureSet(6, tuple(Part(feature, np.array(atoms)) for feature, atoms in parts))
    FeatureSet(6, (Part(cosines, ANGLES), Part(Cosine(2.0), ANGLES)))  # two scales are two features
    broken = mixed().keep(np.arange(15 + 2))
    with pytest.raises(UsageError, match=r"'cosine' of atoms \(0, 1, 4\) .* whole orbits"):
        broken.permuted(METHYL)
    with pytest.raises(UsageError, match=r"scale: 0 given"):
        Cosine(0)


def test_kinds_are_registered_by_name(registered):
    assert descriptors.register(Volume) is Volume
    assert {"inverse", "cosine", "volume"} <= set(descriptors.names())
    assert descriptors.make("cosine", {"scale": 0.4}) == Cosine(0.4)
    with pytest.raises(UsageError, match="the name 'volume' is taken by Volume"):
        descriptors.register(dataclass(frozen=True)(type("Other", (), {"name": "volume"})))
    with pytest.raises(UsageError, match="Plain is no dataclass"):
        descriptors.register(type("Plain", (), {"name": "plain"}))
    with pytest.raises(UsageError, match=r"'dihedral' is not known; use inverse, cosine, volume, or register it"):
        descriptors.make("dihedral", {})
    with pytest.raises(UsageError, match=r"'cosine' is made of \['scale'\], and \['width'\] are given"):
        descriptors.make("cosine", {"width": 1.0})


# The covariance ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("energies", [False, True])
@pytest.mark.parametrize("block", [None, 1.0])
def test_the_covariance_is_the_reference(energies, block, monkeypatch):
    if block:
        monkeypatch.setattr("gossamer.backends.torch.dense.block_bytes", lambda device: block)
    _, K, v = mixed_model(energies)
    expected = reference.covariance_matrix(K.terms, K.pairs, structures(5), energies) + 1e-8 * np.eye(K.size)
    close(dense(K), expected)
    close((K @ v).numpy(), expected @ v.numpy())
    close(K.diagonal().numpy() + 1e-8, np.diag(expected))
    chosen = np.random.default_rng(3).permutation(K.size)[:9]
    close(K.columns(chosen).numpy(), expected[:, chosen] - 1e-8 * np.eye(K.size)[:, chosen])


def test_the_covariance_between_others_is_the_reference():
    features, terms = mixed_terms()
    R = structures(4)
    left, right = (Structures.of(terms, features, torch.from_numpy(part)) for part in (R[:3], R[3:]))
    C = Covariance.of(terms, features, left, right, energies=True)
    whole = reference.covariance_matrix(terms, features, R, True)
    mine, theirs = np.r_[0:54, 72:75], np.r_[54:72, 75:76]
    (rows,) = C.columns(np.arange(19))
    close(rows.T.numpy(), whole[np.ix_(mine, theirs)])
    v = np.random.default_rng(0).normal(size=19)
    close((C @ torch.from_numpy(v)).numpy(), whole[np.ix_(mine, theirs)] @ v)


@pytest.mark.parametrize("case", CASES)
def test_the_generic_path_gives_what_the_loops_of_pairs_give(case):
    _, K, _ = random_model(case, energies=True)
    here = K.covariance.left
    close(DENSE.lower_triangle(K.terms, K.pairs, here, True).numpy(), dense(K) - 1e-8 * np.eye(K.size))
    close(DENSE.diagonal(K.terms, K.pairs, here)[:, :-1].reshape(-1).numpy(), K.diagonal()[: K.n_forces].numpy())
    labels = ChosenLabels.grouped(np.array([3, 1, 3]), np.array([18, 4, 5]))
    (rows,) = DENSE.columns(K.terms, K.pairs, here, here, labels, [range(1, 4)], True)
    (wanted,) = K.covariance.columns(np.array([5 * 18 + 3, 18 + 4, 3 * 18 + 5]), [range(1, 4)])
    close(rows.numpy(), wanted.numpy())


# The model ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("energies", [False, True])
def test_predictions_are_the_reference(energies):
    model, _, _ = mixed_model(energies)
    query = structures(4, seed=9)
    for R in (query, query[:1]):
        wanted = reference.predict(model, R)
        for got, expected in zip(arrays(model.predict(R)), wanted, strict=True):
            close(got, expected)
        for got, expected in zip(model.torch()(torch.from_numpy(R)), wanted, strict=True):
            close(got.numpy(), expected)


def test_forces_are_minus_the_slope_of_the_energy():
    model, _, _ = mixed_model()
    R, step, slopes = structures(1, seed=4), 1e-5, np.zeros((6, 3))
    for i, c in np.ndindex(6, 3):
        moved = np.repeat(R, 2, axis=0)
        moved[:, i, c] += [step, -step]
        high, low = model.predict(moved, warn=False).energies
        slopes[i, c] = (high - low) / (2 * step)
    close(model.predict(R).forces[0], -slopes, 1e-7)


def test_the_module_is_differentiable_and_exported():
    module = mixed_model()[0].torch()
    R, step = torch.from_numpy(structures(1, seed=4)).requires_grad_(True), 1e-5
    direction = torch.from_numpy(np.random.default_rng(3).normal(size=R.shape))
    e, f = module(R)
    (first,) = torch.autograd.grad(e.sum(), R, retain_graph=True)
    close(-first.numpy(), f.detach().numpy(), 1e-10)
    (second,) = torch.autograd.grad((f * direction).sum(), R)
    rise = (module(R + step * direction)[1] - module(R - step * direction)[1]) / (2 * step)
    (curved,) = torch.autograd.grad((first_of(module, R) * direction).sum(), R)
    close(-curved.numpy(), second.numpy())
    close(second.numpy(), rise.detach().numpy(), 1e-6)
    many = torch.from_numpy(structures(5, seed=8))
    shapes = {"positions": {0: torch.export.Dim("structures", min=1)}}
    again = torch.export.export(module, (many[:3],), dynamic_shapes=shapes).module()
    for got, wanted in zip(again(many), module(many), strict=True):
        close(got.numpy(), wanted.numpy(), 1e-12)


def first_of(module, R):
    (first,) = torch.autograd.grad(module(R)[0].sum(), R, create_graph=True)
    return first


def test_symmetry_is_exact():
    features, (whole, _) = mixed_terms()
    K = KernelOperator.build((whole,), features, torch.from_numpy(structures(5)), 1e-8)
    v = torch.from_numpy(np.random.default_rng(1).normal(size=K.size))
    model = assemble(K, v, NUMBERS, 0.9, -3.0, {})
    R = structures(2, seed=7)
    p = model.predict(R)
    for perm in METHYL:
        moved = model.predict(R[:, perm])
        close(moved.energies, p.energies, 1e-12)
        close(moved.forces, p.forces[:, perm], 1e-11)


def test_models_are_saved_and_loaded(tmp_path):
    model, _, _ = mixed_model()
    again = gs.load(model.save(tmp_path / "m.gossamer"))
    assert repr(again.pairs) == "FeatureSet(26 features (15 inverse, 7 cosine, 4 volume) of 6 atoms)"
    assert "26 features (15 inverse, 7 cosine, 4 volume), 5 training" in repr(again)
    R = structures(3, seed=9)
    for a, b in zip(arrays(again.predict(R)), arrays(model.predict(R)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_a_kind_a_file_is_refused_in_a_sentence(tmp_path, monkeypatch):
    path = mixed_model()[0].save(tmp_path / "m.gossamer")
    monkeypatch.delitem(descriptors._KINDS, "volume")
    with pytest.raises(
        ModelFileError, match=r"gossamer: feature: 'volume' is not known; use inverse, cosine, or register it"
    ):
        gs.load(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "spectrum", "parts": []}, "descriptor .* is not known"),
        ({"kind": "features", "parts": [3]}, "parts of the descriptor are"),
        ({"kind": "features", "parts": [{"feature": "cosine", "parameters": {"scale": -1}}]}, "scale: -1"),
        ({"kind": "features", "parts": [{"feature": "cosine", "parameters": []}]}, "must have a name and parameters"),
        ({"kind": "features", "parts": [{"feature": "cosine", "parameters": {"scale": 1}}]}, "needs 3 atoms"),
        ({"kind": "features"}, "'parts' is missing"),
        (["features"], "is not known"),
        (None, "belongs to none of its"),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(tmp_path, change, said):
    from gossamer.model import model_file

    header, found = model_file._packed(mixed_model()[0])
    with pytest.raises((KeyError, ValueError, UsageError), match=said.replace("'parts' is missing", "parts")):
        model_file._assemble(found, header | {"descriptor": change}, header["version"])


def test_models_of_pairs_are_written_as_before(tmp_path):
    from gossamer.model import model_file

    header, found = model_file._packed(random_model("several")[0])
    assert header["version"] == 3
    assert "descriptor" not in header
    assert "pairs" in found


def test_distances_that_were_not_seen_are_told_by_inverse_distances():
    model, _, _ = mixed_model()
    assert len(model.seen.pairs) == 15
    far = structures(1, seed=9)
    far[0, 5] += 4.0
    with pytest.warns(gs.errors.ExtrapolationWarning, match="bonds or contacts unlike"):
        model.predict(far)
    assert model.trained_on(structures(5)).all()
    assert not model.trained_on(structures(5, seed=9)).any()


def test_atoms_that_coincide_are_refused():
    model, _, _ = mixed_model()
    R = structures(2, seed=9)
    R[1, 4] = R[1, 3]
    for part in (R, R[1:]):
        with pytest.raises(DataError, match=r"atoms 3 and 4 of frame \d coincide"):
            model.predict(part, warn=False)


# Training ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ethanol():
    return gs.read(DATA).split(25, 10, 5, seed=0)


def with_volumes(data):
    """The descriptor of angles, and the volume of the methyl group's hydrogens with its carbon."""
    listed = angles(data.positions, data.numbers, np.arange(9)[None])
    near = [sorted({int(c) for row in listed.parts[1].atoms if row[0] == a for c in row[1:]}) for a in range(9)]
    carbons = [a for a in range(9) if len(near[a]) == 4]
    solids = [(a, *(b for b in near[a] if b != left)) for a in carbons for left in near[a]]
    return FeatureSet(9, (*listed.parts, Part(Volume(0.02), np.array(solids))))


@pytest.mark.parametrize("terms", ["auto", "global", ["global"]])
def test_models_are_trained_with_features_from_outside(ethanol, terms, tmp_path):
    train, valid, test = ethanol
    descriptor = with_volumes(train)
    found = gs.train(train, valid, test, descriptor=descriptor, terms=terms, learning_steps=2)
    model = found.model
    assert len(model.pairs) == len(descriptor) == 36 + 13 + 8
    assert len(model.terms[0].perms) == 6
    assert model.test(test).force_rmse < 0.5 * np.sqrt((test.labelled_forces() ** 2).mean())
    again = gs.load(model.save(tmp_path / "m.gossamer"))
    np.testing.assert_array_equal(again.predict(test.positions).forces, model.predict(test.positions).forces)
    assert found.record.full.pairs == 57
    assert found.record.settings.descriptor == "features (36 inverse, 13 cosine, 8 volume)"


def test_angles_are_known_by_name(ethanol):
    train, valid, test = ethanol
    model = gs.train(train, valid, descriptor="angles", length=10.0, noise=1e-6).model
    assert [(feature.name, len(atoms)) for feature, atoms in model.pairs.parts] == [("inverse", 36), ("cosine", 13)]
    assert model.ase().get_potential_energy(test.atoms(0)) == pytest.approx(model.predict(test.positions).energies[0])


def test_iterations_end_where_the_direct_solver_does(ethanol):
    train, _, test = ethanol
    given = {"descriptor": "angles", "length": 10.0, "noise": 1e-4}
    direct = gs.train(train, solver="cholesky", **given).model
    stop = replace(gs.Settings().stop, residual=1e-7)
    iterative = gs.train(train, solver="cg", stop=stop, **given).model
    close(iterative.predict(test.positions).forces, direct.predict(test.positions).forces, 1e-4)


def test_what_needs_pairs_refuses_other_descriptors_in_a_sentence(ethanol, tmp_path):
    train, valid, _ = ethanol
    model, _, _ = mixed_model()
    R = structures(2)
    with pytest.raises(UsageError, match=r"^masking of pairs needs a descriptor of pairs"):
        gs.masking_scores(model, R, np.arange(len(model.pairs)))
    whole = Term.over_all(model.pairs, METHYL, Matern52(3.0))
    one = replace(model, terms=(whole,), coefficients=model.coefficients[:1])
    with pytest.raises(UsageError, match=r"^export: sgdml needs a descriptor of pairs"):
        one.export_sgdml(tmp_path / "m.npz")
    with pytest.raises(UsageError, match=r"^compiled code for one structure needs a descriptor of pairs"):
        SingleEvaluator.build(model)
    with pytest.raises(UsageError, match=r"^a CUDA graph of the model needs a descriptor of pairs"):
        DeviceForceField.build(model, torch.device("cpu"))
    for terms in ("both", "local", "pairs"):
        with pytest.raises(UsageError, match=rf"^terms: '{terms}' needs a descriptor of pairs"):
            gs.train(train, valid, terms=terms, descriptor="angles")
    with pytest.raises(UsageError, match=r"^terms: 'ring' needs a descriptor of pairs"):
        gs.train(train, valid, terms=[gs.Fragment(np.arange(3), np.arange(3), "ring")], descriptor="angles")
    with pytest.raises(UsageError, match=r"^a function of pair distances needs a descriptor of pairs"):
        gs.train(train, valid, terms=["global", "pairs"], descriptor="angles")
    with pytest.raises(UsageError, match="descriptor: reduce thins out pairs"):
        gs.reduce(train, valid, descriptor="angles")
    with pytest.raises(UsageError, match=r"^pairs: given beside the descriptor 'angles'"):
        gs.train(train, valid, pairs=PairSet.full(9), descriptor="angles")
    with pytest.raises(UsageError, match=r"^descriptor: 'spectrum' is not known; use pairs, angles"):
        gs.train(train, valid, descriptor="spectrum")
    with pytest.raises(UsageError, match=r"^descriptor: it is of 6 atoms, and the training structures have 9"):
        gs.train(train, valid, descriptor=mixed())
    with pytest.raises(UsageError, match=r"^descriptor: int given"):
        gs.train(train, valid, descriptor=3)


def test_two_atoms_have_no_angle():
    with pytest.raises(UsageError, match="'angles' needs an atom with two bonds"):
        angles(np.array([[[0.0, 0, 0], [0.75, 0, 0]]]), np.array([1, 1]), np.arange(2)[None])


def test_angles_are_whole_orbits_where_a_proton_jumps():
    chain = np.array([[[0.0, 0, 0], [1.0, 0.3, 0], [2.4, 0.3, 0]]])  # O-H...O
    mirror = np.array([[0, 1, 2], [2, 1, 0]])
    heavy = np.array([[[0.0, 0, 0], [1.0, 0.3, 0], [2.4, 0.3, 0], [-0.9, 0.3, 0], [3.3, 0, 0]]])
    found = angles(heavy, np.array([8, 1, 8, 1, 1]), np.array([[0, 1, 2, 3, 4], [2, 1, 0, 4, 3]]))
    assert found.parts[1].atoms.tolist() == [[0, 1, 3], [2, 1, 4]]
    with pytest.raises(UsageError, match="'angles' needs an atom with two bonds"):
        angles(chain, np.array([8, 1, 8]), mirror)
