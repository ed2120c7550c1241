"""Local fragments: which atoms, where again, and which exchanges."""

import numpy as np
import pytest
from ase.build import molecule

from gossamer.chemistry.bonds import molecules
from gossamer.chemistry.fragments import Fragment, _split, local_fragments
from gossamer.chemistry.graph import MolecularGraph
from gossamer.chemistry.origin import Origin
from gossamer.chemistry.places import Orbits
from gossamer.errors import UsageError
from gossamer.kernels import Matern52
from gossamer.model.fragment_terms import term_of
from gossamer.model.pairs import PairSet


def shaken(name, n=30, seed=0):
    atoms = molecule(name)
    noise = 0.03 * np.random.default_rng(seed).normal(size=(n, len(atoms), 3))
    return atoms.numbers, atoms.positions + noise


def test_methane_is_one_fragment_of_all_its_atoms():
    numbers, positions = shaken("CH4")
    (fragment,) = local_fragments(positions, numbers)
    assert sorted(fragment.atoms[0]) == list(range(5))
    assert len(fragment.perms) == 24
    (limited,) = local_fragments(positions, numbers, max_images=12)
    assert len(limited.perms) == 12  # turns alone


def test_every_place_has_the_elements_of_the_first():
    numbers, positions = shaken("C3H8")
    for fragment in local_fragments(positions, numbers):
        assert len({tuple(numbers[row]) for row in fragment.atoms}) == 1
        assert all(np.array_equal(numbers[fragment.atoms[0][p]], numbers[fragment.atoms[0]]) for p in fragment.perms)


def test_the_two_methyl_groups_of_propane_share_a_term():
    numbers, positions = shaken("C3H8")
    methyl = [f for f in local_fragments(positions, numbers) if len(f.atoms[0]) == 5 and len(f.atoms) == 2]
    assert methyl
    apart = local_fragments(positions, numbers, share=False)
    assert all(len(f.atoms) == 1 for f in apart)


@pytest.mark.parametrize("name", ["CH3CH2OH", "C3H8", "CH3CONH2", "C6H6"])
def test_places_and_exchanges_keep_the_energy_of_a_sum_of_terms(name):
    """The energy of a term does not change when equal atoms are renamed by one of its own exchanges."""
    numbers, positions = shaken(name)
    for fragment in local_fragments(positions, numbers):
        term = term_of(fragment, PairSet.full(len(numbers)), Matern52(2.0))
        distances = np.linalg.norm(positions[0][:, None] - positions[0][None], axis=-1)
        for perm in fragment.perms:
            moved = fragment.atoms[0][perm]
            before = distances[np.ix_(fragment.atoms[0], fragment.atoms[0])][np.tril_indices(len(moved), -1)]
            after = distances[np.ix_(moved, moved)][np.tril_indices(len(moved), -1)]
            assert sorted(np.round(before, 12)) == sorted(np.round(after, 12))
        assert term.n_pairs == len(moved) * (len(moved) - 1) // 2


@pytest.mark.parametrize("name", ["CH4", "CH3CH2OH", "C3H8", "CH3CONH2", "C6H6", "H2O"])
def test_a_term_tells_what_it_was_made_from(name):
    numbers, positions = shaken(name)
    pairs = PairSet.full(len(numbers))
    for fragment in local_fragments(positions, numbers):
        origin = term_of(fragment, pairs, Matern52(2.0)).origin
        assert (origin.kind, origin.atoms) == ("bonds", tuple(map(tuple, fragment.atoms.tolist())))
        assert origin.centres == tuple((a,) for a in fragment.atoms[:, 0].tolist())
        assert fragment.name == f"{origin.centres[0][0]} within {origin.reach:g} bond{'s' * (origin.reach > 1)}"


def test_radii_and_contacts_tell_what_they_are():
    numbers, positions = stacked("C6H6", 3.5)
    found = local_fragments(positions, numbers, bonds=(), radii=(2.0,), contacts=True)
    assert {(f.origin.kind, f.origin.reach, f.origin.heads) for f in found} == {
        ("radius", 2.0, 1),
        ("contact", None, 2),
    }
    for fragment in found:
        for place in fragment.origin.centres:
            apart = np.linalg.norm(positions[0][list(place)][0] - positions[0][list(place)][-1])
            assert apart < 4.0
            assert all(numbers[a] == 6 for a in place)
    whole = Fragment.whole(len(numbers), np.arange(len(numbers))[None])
    assert whole.origin == Origin("global")
    assert not Fragment(np.array([0, 1, 2]), np.arange(3)[None], "0 within 1 bond").origin.reach  # names say nothing


@pytest.mark.parametrize(
    "origin",
    [("ring",), ("bonds",), ("bonds", -1.0), ("given", 1.0), ("given", None, ((0, 1), (2,))), ("radius", 3.0, ((1,),))],
)
def test_origins_that_cannot_be(origin):
    with pytest.raises(UsageError, match=r"^origin: "):
        Origin(*origin)


def test_a_hydrogen_bond_makes_a_fragment():
    numbers, dimer = shaken("H2O")
    dimer = np.concatenate([dimer, dimer + np.array([0.0, 2.6, 0.0])], axis=1)
    numbers = np.concatenate([numbers, numbers])
    found = local_fragments(dimer, numbers, hydrogen_bonds="all")
    assert any({0, 3} <= set(f.atoms[0].tolist()) for f in found)
    assert any({0, 3} <= set(f.atoms[0].tolist()) for f in local_fragments(dimer, numbers, contacts=False))
    without = local_fragments(dimer, numbers, contacts=False, hydrogen_bonds="none")
    assert not any({0, 3} <= set(f.atoms[0].tolist()) for f in without)


def stacked(name, gap, n=30, turn=0.0):
    """Two molecules, the second `gap` Angstrom above the first and turned about the axis between them (degrees)."""
    one, two = molecule(name), molecule(name)
    two.rotate(turn, "z", center=(0, 0, 0))
    two.translate((0, 0, gap))
    dimer = one + two
    noise = 0.02 * np.random.default_rng(1).normal(size=(n, len(dimer), 3))
    return dimer.numbers, dimer.positions + noise


def grouped(fragments):
    """Which atoms make a place, which places a term, and of how many exchanges: what no numbering of atoms changes."""
    return {(frozenset(frozenset(row) for row in f.atoms.tolist()), len(f.perms)) for f in fragments}


RADII = {"bonds": (), "radii": (2.3, 3.2)}


@pytest.mark.parametrize("options", [{}, RADII, {"contacts": True}, RADII | {"contacts": True}])
@pytest.mark.parametrize("name", ["CH3CH2OH", "C3H8", "CH3CONH2", "C6H6", "stacked"])
def test_the_order_of_atoms_does_not_matter(name, options):
    numbers, positions = stacked("C2H4", 3.4, turn=90) if name == "stacked" else shaken(name)
    order = np.random.default_rng(5).permutation(len(numbers))  # new atom k is old atom order[k]
    options = options | {"max_images": 10_000}  # where a limit cuts, the order decides what is left
    found = local_fragments(positions[:, order], numbers[order], **options)
    back = [Fragment(order[f.atoms], f.perms, f.name) for f in found]
    assert grouped(back) == grouped(local_fragments(positions, numbers, **options))


@pytest.mark.parametrize("name", ["C3H8", "C6H6", "CH3CONH2", "stacked"])
def test_places_and_exchanges_of_every_kind_keep_elements_and_bonds(name):
    numbers, positions = stacked("C6H6", 3.5) if name == "stacked" else shaken(name)
    graph = MolecularGraph.build(positions, numbers)
    bonded = np.array([[b in near for b in range(len(numbers))] for near in graph.neighbours])
    for f in local_fragments(positions, numbers, radii=(2.3, 3.2), contacts=True):
        for atoms in [*f.atoms, *(f.atoms[0][perm] for perm in f.perms)]:
            assert np.array_equal(numbers[atoms], numbers[f.atoms[0]]), f.name
            assert np.array_equal(bonded[np.ix_(atoms, atoms)], bonded[np.ix_(f.atoms[0], f.atoms[0])]), f.name


def test_a_radius_takes_the_atoms_below_it_and_a_methyl_group_whole():
    numbers, positions = shaken("CH3CH2OH")
    distances = np.median(np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1), axis=0)
    graph = MolecularGraph.build(positions, numbers)
    groups = [{b for b in near if numbers[b] == 1} for a, near in enumerate(graph.neighbours) if numbers[a] > 1]
    for radius in (1.3, 1.8, 2.6, 2.85, 5.0):
        found = local_fragments(positions, numbers, bonds=(), radii=(radius,), share=False)
        assert found
        for f in found:
            atoms, centre = set(f.atoms[0].tolist()), f.atoms[0][0]
            heavy = set(np.flatnonzero(numbers > 1).tolist())
            assert atoms & heavy == set(np.flatnonzero(distances[centre] < radius).tolist()) & heavy
            for group in groups:
                mean = distances[centre, sorted(group)].mean()
                assert atoms & group == (group if mean < radius else set())


def test_several_radii_at_once_and_like_centres_share():
    numbers, positions = shaken("C6H6")
    small, large = local_fragments(positions, numbers, bonds=(), radii=(2.0, 2.7))
    assert small.atoms.shape == (6, 4)  # C, its H and two C
    assert len(large.atoms) == 6
    assert large.atoms.shape[1] == 8  # two C and two H more


def test_pieces_of_other_molecules_correspond():
    numbers, positions = stacked("C6H6", 3.5)
    (fragment,) = local_fragments(positions, numbers, bonds=(), radii=(3.7,))
    which = molecules(np.array([(a, b) for a in range(24) for b in range(24) if a // 12 == b // 12 and a != b]), 24)
    assert len(fragment.atoms) == 12
    assert all(set(which[row]) == {0, 1} for row in fragment.atoms)


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan"), float("inf")])
def test_a_radius_is_a_distance(radius):
    numbers, positions = shaken("H2O")
    with pytest.raises(UsageError, match="must be positive"):
        local_fragments(positions, numbers, radii=(3.0, radius))


def contacts_of(numbers, positions, **options):
    return [f for f in local_fragments(positions, numbers, contacts=True, **options) if f.name.endswith("contact")]


def test_stacked_rings_are_in_contact():
    numbers, positions = stacked("C6H6", 3.5)
    (fragment,) = contacts_of(numbers, positions)
    assert fragment.atoms.shape == (6, 8)  # both C with their three neighbours each
    assert all(sorted(row[:2] // 12) == [0, 1] and abs(row[0] - row[1]) == 12 for row in fragment.atoms)
    swaps = [perm for perm in fragment.perms if list(perm[:2]) == [1, 0]]
    assert len(swaps) * 2 == len(fragment.perms)  # the two rings may be exchanged


def test_rings_apart_are_not_in_contact():
    assert contacts_of(*stacked("C6H6", 4.5)) == []
    assert contacts_of(*shaken("C6H6")) == []  # one molecule


def test_a_hydrogen_bond_is_no_further_contact():
    numbers, one = shaken("H2O")
    dimer = np.concatenate([one, one + np.array([0.0, 2.6, 0.0])], axis=1)
    numbers = np.concatenate([numbers, numbers])
    assert contacts_of(numbers, dimer, hydrogen_bonds="all") == []
    assert contacts_of(numbers, dimer, hydrogen_bonds="all", bonds=())
    assert contacts_of(numbers, dimer, hydrogen_bonds="none")


def test_what_a_hydrogen_bond_holds_together_is_no_contact():
    """In a dimer of methanol the carbons are close, and both within two bonds of the hydrogen between the oxygens."""
    one = molecule("CH3OH")
    along = one.positions[3] - one.positions[1]
    assert list(one.numbers[[1, 3]]) == [8, 1]
    positions = np.concatenate([one.positions, one.positions + 2.85 * along / np.linalg.norm(along)])[None]
    numbers = np.concatenate([one.numbers, one.numbers])
    assert contacts_of(numbers, positions, hydrogen_bonds="all") == []
    assert contacts_of(numbers, positions, hydrogen_bonds="all", bonds=(1,))


def test_contacts_share_from_either_side():
    """Formaldehyde over formaldehyde, turned about: C over O and O over C are one term."""
    one, two = molecule("H2CO"), molecule("H2CO")
    two.rotate(180, "x")
    assert list(one.numbers[:2]) == [8, 6]
    two.translate((3.2, 0, one.positions[0, 2] - two.positions[1, 2]))
    dimer = one + two
    (fragment,) = contacts_of(dimer.numbers, dimer.positions[None])
    assert sorted(sorted(row[:2]) for row in fragment.atoms.tolist()) == [[0, 5], [1, 4]]


def test_like_pieces_at_different_distances_are_not_exchanged():
    numbers, positions = shaken("CH4")
    neon = np.tile([[[0.0, 0.0, 2.9], [0.0, 0.0, -3.4]]], (len(positions), 1, 1))
    positions = np.concatenate([positions, neon], axis=1)
    found = local_fragments(positions, np.append(numbers, [10, 10]), bonds=(), radii=(4.0,))
    (fragment,) = [f for f in found if f.name.startswith("0 ")]
    columns = [list(fragment.atoms[0]).index(a) for a in (5, 6)]
    assert np.all(fragment.perms[:, columns] == columns)
    assert len(fragment.perms) == 12


def test_fragments_keep_the_hands_of_its_methyl_groups():
    """Turning a methyl group is an exchange; reflecting one of two, with the other as it is, is none."""
    numbers, positions = stacked("C2H6", 3.6)
    graph = MolecularGraph.build(positions, numbers)
    found = local_fragments(positions, numbers, bonds=(), radii=(3.3, 3.9), contacts=True, max_images=10_000)
    assert {f.name.split(maxsplit=1)[1] for f in found} >= {"within 3.3 A", "within 3.9 A"}
    for f in found:
        whole = [k for k, a in enumerate(f.atoms[0]) if set(graph.neighbours[a]) <= set(f.atoms[0]) and graph.hands[a]]
        assert whole
        for perm in f.perms:
            turned = {hand_of(positions, graph, f.atoms[0], perm, k) for k in whole}
            assert len(turned) == 1


def hand_of(positions, graph, atoms, perm, k):
    """Whether an exchange keeps (1) or inverts (-1) the handedness of the centre in column k."""
    before = [list(atoms).index(b) for b in graph.neighbours[atoms[k]]]
    after = [atoms[perm[c]] for c in before]
    spans = [np.linalg.det(positions[0][p[:3]] - positions[0][p[3]]) for p in (list(atoms[before]), after)]
    return int(np.sign(spans[0] * spans[1]))


@pytest.mark.parametrize("most", [1, 2, 3])
def test_many_places_are_split_but_not_those_that_symmetry_exchanges(most):
    chain = np.array([[1.25 * k, 0.8 * (k % 2), 0.0] for k in range(8)])[None]  # bare carbons
    neighbours = {"bonds": (1,), "environment": 1}
    ends, whole = local_fragments(chain, np.full(8, 6), max_places=4, **neighbours)
    assert (sorted(ends.atoms[:, 0]), sorted(whole.atoms[:, 0])) == ([1, 6], [2, 3, 4, 5])
    parts = local_fragments(chain, np.full(8, 6), max_places=most, **neighbours)
    assert sorted(sorted(part.atoms[:, 0]) for part in parts) == [[1, 6], [2, 5], [3, 4]]
    assert sorted(part.name for part in parts) == ["1 within 1 bond", "2 within 1 bond", "3 within 1 bond"]


def test_a_missing_pair_is_named():
    fragment = Fragment(np.array([0, 1, 2]), np.arange(3)[None], "bent")
    with pytest.raises(UsageError, match="'bent' needs pair"):
        term_of(fragment, PairSet(3, np.array([[1, 0], [2, 1]])), Matern52(1.0))


def test_an_atom_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="must lie in 0 to 2"):
        term_of(Fragment(np.array([0, 1, 3]), np.arange(3)[None], "bent"), PairSet.full(3), Matern52(1.0))


def test_the_name_of_the_global_term_is_its_own():
    with pytest.raises(UsageError, match="give another name"):
        Fragment(np.array([0, 1]), np.arange(2)[None], "global")
    with pytest.raises(UsageError, match="'ring': the kind 'global' is the molecule itself; leave kind out"):
        Fragment(np.array([0, 1]), np.arange(2)[None], "ring", "global")


def test_an_atom_named_twice_is_refused():
    with pytest.raises(UsageError, match=r"'odd': place \[2, 2\] must name at least 2 atoms, none of them twice"):
        Fragment(np.array([[0, 1], [2, 2]]), np.arange(2)[None], "odd")


def test_parts_of_unequal_kinds_stay_below_the_limit():
    looks = np.repeat([0, 1, 2, 3], [5, 6, 12, 1])
    places = np.arange(24)[:, None]
    apart = Orbits(places, np.arange(24), np.zeros((1, 1), dtype=int))
    sizes = [len(part) for part in _split(apart, looks, [0], 12)]
    assert sum(sizes) == 24
    assert max(sizes) <= 12
    joined = Orbits(places, np.append(np.arange(23), 0), np.zeros((1, 1), dtype=int))
    parts = [set(part[:, 0].tolist()) for part in _split(joined, looks, [0], 12)]
    assert {0, 23} <= next(part for part in parts if 0 in part)  # whatever they look like


def test_exchanges_that_are_no_group_are_refused():
    with pytest.raises(UsageError, match="'turned': its 1 perms are no group"):
        Fragment(np.array([0, 1, 2]), np.array([[1, 2, 0]]), "turned")


def test_atoms_that_no_bond_joins_are_in_contact():
    positions = np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]]])
    (fragment,) = local_fragments(positions, np.array([2, 2]))
    assert fragment.kind == "contact"
    assert sorted(fragment.atoms[0]) == [0, 1]
