"""Baselines: their forces are the gradient of their energies, and what is taken off the labels is added again."""

import sys

import numpy as np
import pytest
import reference
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones
from cases import METHYL, NUMBERS, structures

from gossamer.baselines import added, taken_off
from gossamer.baselines.calculator import NAMED, CalculatorBaseline
from gossamer.baselines.coulomb import Coulomb
from gossamer.baselines.repulsion import Repulsion, contact_distances
from gossamer.data.dataset import Dataset
from gossamer.errors import DataError, UsageError
from gossamer.fitting.baselines import baselines_of, check_baseline

CHARGES = np.array([0.3, -0.2, -0.6, 0.1, 0.1, 0.3])
FAR = np.array([(3, 2), (4, 2), (5, 2)])
ALL = np.stack(np.tril_indices(6, -1), axis=1)


def wall_of(numbers, pairs):
    """Repulsion that ends at van der Waals contact."""
    return Repulsion(numbers, pairs, contact_distances(numbers)[tuple(pairs.T)])


def close_structures(n=4):
    return 0.7 * structures(n, seed=3)


def agrees(baseline, energy_of):
    """With the reference's energy of a structure, and forces with differences of energies."""
    R = close_structures()
    energies, forces = baseline(R)
    np.testing.assert_allclose(energies, [energy_of(structure) for structure in R], rtol=1e-12)
    h = 1e-5
    for atom, axis in ((0, 0), (2, 1), (5, 2)):
        moved = np.zeros_like(R)
        moved[:, atom, axis] = h
        slope = (baseline(R + moved)[0] - baseline(R - moved)[0]) / (2 * h)
        np.testing.assert_allclose(-slope, forces[:, atom, axis], rtol=1e-7, atol=1e-8)


def test_repulsion_is_the_reference():
    wall = wall_of(NUMBERS, ALL)
    agrees(wall, lambda structure: reference.repulsion(NUMBERS, ALL, wall.ends, structure))


def test_coulomb_is_the_reference():
    agrees(Coulomb(CHARGES, ALL), lambda structure: reference.coulomb(CHARGES, ALL, structure))


def chains(n, seed=0):
    """Structures of a chain of ten atoms H2N-O-N-...: charges between atoms three bonds apart and more."""
    numbers = np.array([8, 7, 6, 6, 7, 8, 6, 7, 8, 9])
    rng = np.random.default_rng(seed)
    zigzag = np.stack([1.2 * np.arange(10), 0.7 * (np.arange(10) % 2), np.zeros(10)], axis=1)
    return numbers, zigzag + 0.08 * rng.normal(size=(n, 10, 3))


def springs(R):
    """Forces of springs along bonds and to second neighbours."""
    F = np.zeros_like(R)
    for step, length in ((1, 1.39), (2, 2.4)):
        d = R[:, step:] - R[:, :-step]
        r = np.linalg.norm(d, axis=-1, keepdims=True)
        pull = 20 / step * (r - length) * d / r
        F[:, :-step] += pull
        F[:, step:] -= pull
    return F


@pytest.mark.parametrize("total", [0.0, -1.0])
def test_charges_are_found_beneath_forces_of_bonds(total):
    numbers, R = chains(60)
    plain = Coulomb.fitted(Dataset(numbers, R, springs(R)), np.arange(10)[None], total)
    if total == 0:
        assert np.abs(plain.charges).max() < 1e-3
    made = np.array([-0.5, 0.4, 0.2, 0.1, 0.3, -0.6, 0.2, 0.4, -0.3, -0.2])
    made = Coulomb(made + (total - made.sum()) / 10, plain.pairs)
    found = Coulomb.fitted(Dataset(numbers, R, springs(R) + made(R)[1]), np.arange(10)[None], total)
    assert found.charges.sum() == pytest.approx(total, abs=1e-12)
    unseen = chains(20, seed=1)[1]
    wanted = made(unseen)[1]
    assert np.abs(found(unseen)[1] - wanted).mean() < 0.25 * np.abs(wanted).mean()


def test_charges_are_equal_within_classes_and_orbits():
    R = structures(12)
    data = Dataset(NUMBERS, R, np.random.default_rng(2).normal(size=R.shape))
    found = Coulomb.fitted(data, METHYL)
    assert found.charges[3] == found.charges[4] == found.charges[5]
    assert found.keeps(METHYL).all()
    assert not found.keeps(np.array([[2, 1, 0, 3, 4, 5]]))[0]
    np.testing.assert_allclose(found(R[:, METHYL[1]])[0], found(R)[0], rtol=1e-9, atol=1e-12)
    assert {tuple(sorted(pair)) for pair in found.pairs.tolist()} == {(2, 3), (2, 4), (2, 5)}
    assert Coulomb.fitted(data, METHYL).charges.tolist() == found.charges.tolist()


def test_charges_are_fitted_to_what_stands_before_them_leaves():
    R = structures(12)
    data = Dataset(NUMBERS, R, np.random.default_rng(2).normal(size=R.shape))
    lj = LennardJones(sigma=1.2, epsilon=0.05)
    alone, after = (baselines_of(asked, "auto", data, METHYL)[-1] for asked in ("coulomb", [lj, "coulomb"]))
    left = taken_off((CalculatorBaseline(NUMBERS, "lj", lj),), data)
    np.testing.assert_array_equal(after.charges, Coulomb.fitted(left, METHYL).charges)
    assert not np.array_equal(after.charges, alone.charges)


@pytest.mark.parametrize(
    ("numbers", "positions", "words"),
    [
        ([97, 1], [[0.0, 0, 0], [0, 0, 9]], "Bk has no covalent radius"),
        ([8, 1, 1], [[0.0, 0, 0], [0, 0, 0.96], [0, 0.93, -0.24]], "three or more bonds apart, and there are none"),
    ],
)
def test_charges_that_cannot_be_fitted_are_refused(numbers, positions, words):
    R = np.array([positions])
    with pytest.raises(DataError, match=words):
        Coulomb.fitted(Dataset(np.array(numbers), R, np.zeros_like(R)), np.arange(len(numbers))[None])


@pytest.mark.parametrize(
    ("charges", "pairs", "words"),
    [([0.1, np.nan], [[1, 0]], "one finite number"), ([0.1, 0.2], [[2, 0]], "join two of the 2 atoms")],
)
def test_charges_that_cannot_be_are_refused(charges, pairs, words):
    with pytest.raises(UsageError, match=words):
        Coulomb(np.array(charges), np.array(pairs))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("coulomb:x", "total charge in 'coulomb:x' is no number"),
        ("coulomb:", "total charge in 'coulomb:' is no number"),
        ("coulomb:inf", "no number"),
        ("gfnff:pbe", "gfnff has no option 'pbe'; write gfnff alone"),
        ("d4:", "d4 has no option ''; write d4 alone, or such as d4:pbe0"),
        ("repulsion:2", "repulsion has no option"),
        ("repulsion,d5", "'d5' is not known; use auto, none, repulsion, coulomb, gfn2-xtb, gfnff, d4"),
    ],
)
def test_names_that_cannot_be_are_refused(name, words):
    with pytest.raises(UsageError, match=words):
        check_baseline(name)
    with pytest.raises(UsageError, match=words):
        baselines_of([name], "auto", Dataset(NUMBERS, structures(1)), METHYL)


def test_names_may_have_options():
    for name in ("coulomb:-1", "repulsion, coulomb:+0.5", "d4:pbe0,coulomb"):
        check_baseline(name)


@pytest.mark.parametrize(("name", "extra"), [("gfn2-xtb", "qm"), ("gfnff", "gfnff"), ("d4:pbe0", "d4")])
def test_a_package_that_is_missing_names_its_extra(monkeypatch, name, extra):
    """At a prediction as in training, where it is no frame's fault."""
    package = NAMED[name.partition(":")[0]].package
    for module in (package, f"{package}.ase", f"{package}.interface"):
        monkeypatch.setitem(sys.modules, module, None)
    words = rf"^baseline: .* needs the package {package}, .*; pip install 'gossamer\[{extra}\]'\.$"
    missing = CalculatorBaseline(NUMBERS, name)
    with pytest.raises(UsageError, match=words):
        missing(structures(1))
    with pytest.raises(UsageError, match=words):
        taken_off((missing,), Dataset(NUMBERS, structures(1), np.zeros((1, 6, 3))))


def test_d4_is_taken_where_it_is_installed():
    pytest.importorskip("dftd4")
    R = structures(2)
    pbe, pbe0 = (CalculatorBaseline(NUMBERS, name)(R) for name in ("d4", "d4:pbe0"))
    assert np.all(pbe[0] < 0)
    assert np.abs(pbe[0] - pbe0[0]).max() > 1e-4
    h = np.zeros_like(R)
    h[:, 2, 1] = 1e-4
    slope = (CalculatorBaseline(NUMBERS, "d4")(R + h)[0] - CalculatorBaseline(NUMBERS, "d4")(R - h)[0]) / 2e-4
    np.testing.assert_allclose(-slope, pbe[1][:, 2, 1], rtol=1e-3, atol=1e-6)
    with pytest.raises(UsageError, match="knows no functional 'sto-3g'; write d4 for pbe"):
        CalculatorBaseline(NUMBERS, "d4:sto-3g")(R)
    R[1, 1] = R[1, 0]
    with pytest.raises(DataError, match="d4 fails at structure 1"):
        CalculatorBaseline(NUMBERS, "d4")(R)


@pytest.mark.parametrize("baseline", ["repulsion", "coulomb"])
def test_atoms_that_meet_are_refused_where_only_a_baseline_looks(baseline):
    R = structures(3)
    R[1, 3] = R[1, 2]
    made = wall_of(NUMBERS, FAR) if baseline == "repulsion" else Coulomb(CHARGES, FAR)
    with pytest.raises(DataError, match="not finite at structure 1, where atoms may meet"):
        added((made,), R)
    data = Dataset(NUMBERS, R, np.zeros_like(R), indices=np.array([3, 7, 12]))
    with pytest.raises(DataError, match="not finite at frame 7"):
        taken_off((made,), data)


@pytest.mark.parametrize("r", [0.3, 1.2, 1.34999, 1.35, 2.0, 2.69999, 2.7, 5.0])
def test_repulsion_is_smooth_and_ends(r):
    """Also at the ends of its switch: energy and force are continuous there."""
    wall = wall_of(np.array([8, 1]), np.array([[1, 0]]))
    h = 1e-4
    at = np.array([[[0, 0, 0], [0, 0, r + d]] for d in (-h, 0, h)])
    e, f = wall(at)
    assert e[0] >= e[1] >= e[2] >= 0
    assert -(e[2] - e[0]) / (2 * h) == pytest.approx(f[1, 1, 2], rel=1e-4, abs=1e-6)
    if r > 2.7:
        assert not e.any()
        assert not f.any()


def test_repulsion_stands_between_atoms_three_bonds_apart_in_every_image():
    R = structures(5)
    chain = Repulsion.between(R, NUMBERS, np.arange(6)[None])
    pairs = {tuple(sorted(pair)) for pair in chain.pairs.tolist()}
    assert (2, 3) in pairs  # O and H across C-C
    assert (0, 1) not in pairs  # a bond
    assert (3, 4) not in pairs  # an angle
    symmetric = Repulsion.between(R, NUMBERS, METHYL)
    found = {tuple(sorted(pair)) for pair in symmetric.pairs.tolist()}
    for perm in METHYL:
        assert found == {tuple(sorted((int(perm[i]), int(perm[j])))) for i, j in found}


@pytest.mark.parametrize("perms", [np.arange(6)[None], METHYL], ids=["plain", "methyl"])
def test_repulsion_is_zero_on_the_training_structures_and_not_closer(perms):
    R = structures(8)
    wall = Repulsion.between(R, NUMBERS, perms)
    assert not wall(R)[0].any()
    assert np.all(wall.keeps(perms))
    nearer = R.copy()
    nearer[:, 3] += 0.6 * (R[:, 2] - R[:, 3])  # H on its way to O, three bonds off
    assert np.all(wall(nearer)[0] > 0.1)
    np.testing.assert_allclose(wall(nearer[:, perms[-1]])[0], wall(nearer)[0], rtol=1e-12)
    assert not wall.keeps(np.array([[2, 1, 0, 3, 4, 5]]))[0]


def test_a_jumping_proton_is_bonded_to_both():
    near, far = np.array([[0.0, 0, 0], [0, 0, 1.0], [0, 0, 2.5]]), np.array([[0.0, 0, 0], [0, 0, 1.5], [0, 0, 2.5]])
    jumping = np.concatenate([np.repeat(near[None], 9, 0), far[None]])
    assert len(Repulsion.between(jumping, np.array([8, 1, 8]), np.arange(3)[None]).pairs) == 0


def test_elements_without_constants_are_named():
    with pytest.raises(DataError, match="Po has no van der Waals radius"):
        Repulsion.between(np.array([[[0.0, 0, 0], [0, 0, 4]]]), np.array([84, 1]), np.arange(2)[None])


def test_what_is_taken_off_is_added_again():
    R = close_structures()
    rng = np.random.default_rng(0)
    data = Dataset(NUMBERS, R, rng.normal(size=R.shape), rng.normal(size=len(R)))
    baselines = (wall_of(NUMBERS, ALL), CalculatorBaseline(NUMBERS, "mine", LennardJones()))
    left = taken_off(baselines, data)
    e, f = added(baselines, R)
    assert np.abs(f).max() > 0.1
    np.testing.assert_allclose(left.energies + e, data.energies, rtol=1e-12)
    np.testing.assert_allclose(left.forces + f, data.forces, rtol=0, atol=1e-9)
    assert taken_off((), data) is data


class Failing(Calculator):
    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=None, system_changes=None):
        if atoms.positions[0, 0] > 0.9:
            raise RuntimeError("no convergence\nlong story")
        value = np.nan if atoms.positions[0, 0] > 0.4 else 0.0
        self.results = {"energy": value, "forces": np.zeros((len(atoms), 3))}


@pytest.mark.parametrize(
    ("where", "words"), [(1.0, r"frame 12 has none .*fails \(no convergence\)"), (0.5, "not finite at frame 12")]
)
def test_a_baseline_that_fails_names_the_frame(where, words):
    R = structures(3)
    R[:, 0, 0] = [0, 0, where]
    data = Dataset(NUMBERS, R, np.zeros_like(R), indices=np.array([3, 7, 12]))
    with pytest.raises(DataError, match=words):
        taken_off((CalculatorBaseline(NUMBERS, "mine", Failing()),), data)


def test_a_calculator_that_fails_names_the_structure():
    R = structures(3)
    R[:, 0, 0] = [0, 0, 1]
    with pytest.raises(DataError, match=r"mine fails at structure 2 \(no convergence\)"):
        added((CalculatorBaseline(NUMBERS, "mine", Failing()),), R)


def test_a_calculator_that_a_file_cannot_hold_is_asked_for():
    with pytest.raises(UsageError, match=r"difference to .mine..*with_calculator"):
        CalculatorBaseline(NUMBERS, "mine")(structures(1))
