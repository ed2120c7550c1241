"""Bond graphs, permutation groups, and finding the group in made-up data whose symmetry is known."""

import itertools
import json
from math import factorial

import networkx as nx
import numpy as np
import pytest
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.chemistry import evidence, symmetry
from gossamer.chemistry.bonds import UNCONNECTED, bond_distances, bond_graph, molecules
from gossamer.chemistry.graph import MolecularGraph
from gossamer.chemistry.groups import close_group, cycles, group_order, is_group
from gossamer.chemistry.permutations import parse_permutations
from gossamer.chemistry.symmetry import Symmetry, find_symmetry, symmetry_from_perms
from gossamer.errors import DataError, UsageError

SMALL = ["H2O", "NH3", "CH4", "C2H4", "C2H6", "CH3OH", "H2O2", "C3H4_C2v", "C3H6_D3h", "H2CO", "C6H6", "cyclobutane"]


def noisy(name, n=200, spread=0.04, seed=0):
    """n distorted copies of a molecule of ASE's collection: positions (n, N, 3), numbers (N,)."""
    atoms = molecule(name)
    return atoms.positions + spread * np.random.default_rng(seed).normal(size=(n, len(atoms), 3)), atoms.numbers


def spun(positions, axis, atoms, thirds):
    """Turn `atoms` about the bond `axis` by thirds[frame] third turns."""
    out = positions.copy()
    for frame, turns in enumerate(thirds):
        origin = out[frame, axis[0]]
        k = out[frame, axis[1]] - origin
        k /= np.linalg.norm(k)
        v, angle = out[frame, atoms] - origin, 2 * np.pi * turns / 3
        along = np.outer(v @ k, k)
        out[frame, atoms] = origin + along + np.cos(angle) * (v - along) + np.sin(angle) * np.cross(k, v)
    return out


def chiral(n=200, seed=0):
    """Chlorofluoroethane, left-handed throughout: the methyl group's turns are all the symmetry it can have."""
    positions, numbers = noisy("CH3CH2Cl", n, 0.02, seed)
    near = bonded(positions, numbers)
    carbon = next(c for c in np.flatnonzero(numbers == 6) if 17 in numbers[near[c]])
    hydrogen = next(h for h in near[carbon] if numbers[h] == 1)
    numbers = numbers.copy()
    numbers[hydrogen] = 9
    return positions, numbers


def bonded(positions, numbers):
    return [list(near) for near in MolecularGraph.build(positions, numbers).neighbours]


def methyls(positions, numbers):
    """(carbon, anchor, three hydrogens) of every methyl group."""
    found = []
    for carbon, near in enumerate(bonded(positions, numbers)):
        hydrogens = [a for a in near if numbers[a] == 1]
        if numbers[carbon] == 6 and len(hydrogens) == 3 and len(near) == 4:
            found.append((carbon, next(a for a in near if a not in hydrogens), hydrogens))
    return found


def as_set(perms):
    return {tuple(map(int, p)) for p in perms}


# --- bonds


def test_bonds_of_two_waters():
    positions, numbers = noisy("H2O", 1, 0)
    far = np.concatenate([positions, positions + 4.0], axis=1)
    bonds = bond_graph(far, np.tile(numbers, 2))
    assert bonds.tolist() == [[0, 1], [0, 2], [3, 4], [3, 5]]
    assert molecules(bonds, 6).tolist() == [0, 0, 0, 1, 1, 1]
    steps = bond_distances(bonds, 6)
    assert steps[1, 2] == 2
    assert steps[0, 0] == 0
    assert steps[0, 4] == UNCONNECTED
    assert (steps == steps.T).all()


def test_a_bond_is_judged_by_the_median_distance():
    positions = np.zeros((5, 2, 3))
    positions[:, 1, 0] = [0.96, 0.97, 0.98, 2.0, 2.1]
    assert bond_graph(positions, np.array([8, 1])).tolist() == [[0, 1]]
    positions[:, 1, 0] = [0.96, 0.97, 1.98, 2.0, 2.1]
    assert bond_graph(positions, np.array([8, 1])).shape == (0, 2)
    assert bond_graph(positions, np.array([8, 1]), share=0.3).tolist() == [[0, 1]]


def test_no_atoms_no_bonds_and_unknown_elements():
    assert bond_graph(np.zeros((1, 1, 3)), np.array([1])).shape == (0, 2)
    assert molecules(np.zeros((0, 2), int), 3).tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="atomic numbers"):
        bond_graph(np.zeros((1, 2, 3)), np.array([1, 0]))


@pytest.mark.parametrize("name", SMALL)
def test_order_of_the_graph_group_by_counting_isomorphisms(name):
    positions, numbers = noisy(name, 1, 0)
    graph = MolecularGraph.build(positions, numbers).without_hands()
    generators, order = graph.generators()
    other = nx.Graph((a, b) for a, near in enumerate(graph.neighbours) for b in near)
    nx.set_node_attributes(other, dict(enumerate(numbers)), "z")
    match = nx.isomorphism.GraphMatcher(other, other, node_match=lambda a, b: a["z"] == b["z"])
    every = {tuple(m[a] for a in range(len(numbers))) for m in match.isomorphisms_iter()}
    assert order == len(every)
    assert as_set(close_group([np.arange(len(numbers)), *generators], order)) == every


@pytest.mark.parametrize(
    ("name", "all_", "rotations"),
    [("isobutane", 6**3 * 6, 3**3 * 3), ("C2H6", 72, 18), ("CH4", 24, 12), ("C60", 120, 60)],
)
def test_permutations_that_keep_every_handedness(name, all_, rotations):
    graph = MolecularGraph.build(*noisy(name, 1, 0))
    assert graph.without_hands().generators()[1] == all_
    generators, order = graph.generators()
    assert order == rotations == group_order([np.arange(len(graph.numbers)), *generators])


def test_a_left_handed_molecule_has_no_mirror_image_among_its_relabellings():
    graph = MolecularGraph.build(*chiral())
    assert graph.relabelling({}, -1) is None
    assert graph.relabelling({}, 1).tolist() == list(range(8))
    ethanol = MolecularGraph.build(*noisy("CH3CH2OH"))
    mirror = ethanol.relabelling({}, -1)
    assert cycles(mirror).count("(") == 2
    assert np.array_equal(mirror[mirror], np.arange(9))


def test_opposite_centres_are_exchanged_by_a_reflection_only():
    """XYHC-CXYH: the meso form's centres are mirror images of one another, those of its chiral sister are alike.
    X and Y are fluorine and helium, small enough to stand where ethane has hydrogen."""
    positions, numbers = noisy("C2H6", 200, 0.02)
    shape = molecule("C2H6").positions
    mine = [h for h in range(8) if numbers[h] == 1 and shape[h, 2] > 0]
    opposite = [int(np.argmin(np.linalg.norm(shape + shape[h], axis=1))) for h in mine]
    for kinds_there, sign in [((9, 2, 9, 2), -1), ((9, 2, 2, 9), 1)]:
        kinds = numbers.copy()
        kinds[[*mine[:2], *opposite[:2]]] = kinds_there
        graph = MolecularGraph.build(positions, kinds)
        assert graph.generators()[1] == (2 if sign == 1 else 1)
        assert (graph.relabelling({}, -1) is None) == (sign == 1)
        assert find_symmetry(positions, kinds).order == 2


def test_hydrogens_that_change_names_between_frames():
    """One end of propane is written in another order in half of the frames: its handedness says nothing then, nor
    does that of the other end, or the two ends could not be exchanged."""
    positions, numbers = noisy("C3H8", 200, 0.03)
    (_, _, hydrogens), (_, _, others) = methyls(positions, numbers)
    positions[::2, hydrogens] = positions[::2][:, [hydrogens[1], hydrogens[0], hydrogens[2]]]
    group = find_symmetry(positions, numbers)
    ends = [p for p in group.perms if p[hydrogens[0]] in others]
    assert len(ends) == group.order // 2
    swap = np.arange(len(numbers))
    swap[hydrogens[:2]] = hydrogens[1::-1]
    assert tuple(swap) in as_set(group.perms)


def test_many_free_groups_beside_a_chiral_centre_do_not_slow_the_search_down():
    """Ten methyl groups and one centre that cannot be inverted: plain backtracking would try 3^10 combinations."""
    numbers, neighbours, hands = [6, 9, 17, 35], [[1, 2, 3], [0], [0], [0]], [1, 0, 0, 0]
    last = 0
    for _ in range(10):
        c, m = len(numbers), len(numbers) + 1
        numbers += [14, 6, 1, 1, 1]
        neighbours[last].append(c)
        neighbours += [[last, m], [c, m + 1, m + 2, m + 3], [m], [m], [m]]
        hands += [0, 1, 0, 0, 0]
        last = c
    graph = MolecularGraph(tuple(numbers), tuple(tuple(sorted(n)) for n in neighbours), tuple(hands))
    assert graph.relabelling({}, -1) is None
    generators, order = graph.generators()
    assert (len(generators), order) == (10, 3**10)


# --- groups


permutations = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.permutations(range(n)).map(np.array), min_size=1, max_size=3)
)


@settings(max_examples=60, deadline=None)
@given(permutations)
def test_a_closed_group_is_a_group_and_misses_nothing(generators):
    n = len(generators[0])
    group = close_group(generators, factorial(n))
    products = {tuple(p[q]) for p in group for q in group}
    assert products == as_set(group)
    assert as_set(generators) <= as_set(group)
    assert group[0].tolist() == list(range(n))
    assert is_group(group)
    assert group_order(generators) == len(group)
    assert factorial(n) % len(group) == 0


@settings(max_examples=60, deadline=None)
@given(permutations, st.randoms())
def test_a_group_with_one_element_missing_is_not_closed(generators, random):
    group = close_group(generators, factorial(len(generators[0])))
    if len(group) > 2:
        missing = random.randrange(len(group))
        rest = np.delete(group, missing, axis=0)
        assert not is_group(rest)
        with pytest.raises(UsageError, match=r"followed by .* gives .* which is not among"):
            symmetry_from_perms(rest, np.ones(len(group[0])))


def cycle_perm(n, text):
    return parse_permutations(text, n)[0]


@pytest.mark.parametrize(
    ("n", "generators", "order"),
    [
        (10, ["(0 1 2 3 4 5 6 7 8 9)", "(0 1)"], factorial(10)),
        (11, ["(0 1 2 3 4 5 6 7 8 9 10)", "(2 6 10 7)(3 9 4 5)"], 7920),  # Mathieu's M11
        (12, ["(0 1 2 3 4 5 6 7 8 9 10)", "(2 6 10 7)(3 9 4 5)", "(0 11)(1 10)(2 5)(3 7)(4 8)(6 9)"], 95040),  # M12
        (16, ["(0 1)", "(0 2)(1 3)", "(0 2 4 6 8 10 12 14)(1 3 5 7 9 11 13 15)"], 2**8 * factorial(8)),
        (3, ["()"], 1),
    ],
)
def test_orders_of_known_groups(n, generators, order):
    assert group_order([cycle_perm(n, text) for text in generators]) == order


def test_close_group_says_how_large_the_group_would_be():
    with pytest.raises(UsageError, match="3,628,800 elements"):
        close_group([cycle_perm(10, "(0 1 2 3 4 5 6 7 8 9)"), cycle_perm(10, "(0 1)")], 1000)


def test_given_permutations_are_put_in_order_and_checked():
    water = np.array([8, 1, 1])
    group = symmetry_from_perms([[0, 2, 1], [0, 1, 2], [0, 2, 1]], water)
    assert group.perms.tolist() == [[0, 1, 2], [0, 2, 1]]
    assert (group.order, group.found, group.supported) == (2, 2, 2)
    assert "given by hand" in group.note
    for wrong, words in [
        ([[0, 1, 2], [1, 0, 2]], "another element"),
        ([[0, 2, 1]], "not among"),
        ([[0, 1, 1]], "row 0 is no permutation"),
        ([[0, 1]], "shape"),
        ([], "shape"),
        ([[0, 1, 2], [0, 1]], "differ in length"),
    ]:
        with pytest.raises(UsageError, match=words):
            symmetry_from_perms(wrong, water)


# --- permutations written by hand


@pytest.mark.parametrize(
    "text",
    [
        "0 1 2 3 4\n0 2 1 4 3",
        "0,1,2,3,4  # the identity\n\n[0, 2, 1, 4, 3]\n",
        "()\n(1 2)(3 4)",
        "() # nothing\n (1,2) (4 3)",
        "[[0, 1, 2, 3, 4], [0, 2, 1, 4, 3]]",
        '{"perms": ["()", "(1 2)(3 4)"]}',
        '["(0)", [0, 2, 1, 4, 3]]',
        "[0, 1, 2, 3, 4]\n[0 2 1 4 3]",
    ],
)
def test_ways_to_write_permutations(text):
    assert parse_permutations(text, 5).tolist() == [[0, 1, 2, 3, 4], [0, 2, 1, 4, 3]]


def test_a_cycle_sends_each_atom_to_the_next():
    assert parse_permutations("(0 1 2)", 4).tolist() == [[1, 2, 0, 3]]
    assert parse_permutations("[1, 2, 0, 3]", 4).tolist() == [[1, 2, 0, 3]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "none found"),
        ("# only a comment", "none found"),
        ("{}", "none found"),
        ("[]", "none found"),
        ("[[0, 1, 2", "no valid JSON"),
        ("0 1", "each of the atoms 0 to 2"),
        ("0 1 1", "each of the atoms 0 to 2"),
        ("1 2 3", "each of the atoms 0 to 2"),
        ("0 1 x", "neither a row"),
        ("(0 1", "not written in cycles"),
        ("(0 a)", "not written in cycles"),
        ("(0 1)(1 2)", "every atom once"),
        ("(2 3)", "every atom once"),
        ("[[0, 1.5, 2]]", "neither a row"),
        ("[3, 2, 0]", "each of the atoms 0 to 2"),
        ('{"perms": 3}', "none found"),
        ('{"perms": [3, "x"]}', "neither a row"),
    ],
)
def test_permutations_that_cannot_be_read(text, words):
    with pytest.raises(UsageError, match=words):
        parse_permutations(text, 3)


@given(st.permutations(range(7)))
def test_cycles_read_back(perm):
    assert parse_permutations(cycles(np.array(perm)), 7)[0].tolist() == perm
    assert parse_permutations(json.dumps([perm]), 7)[0].tolist() == perm


# --- finding the group


@pytest.mark.parametrize(
    ("name", "order"),
    [("H2O", 2), ("NH3", 6), ("CH4", 24), ("C6H6", 12), ("C2H6", 12), ("isobutane", 6), ("cyclobutane", 8), ("CO2", 2)],
)
def test_small_vibrations_show_the_symmetry_of_the_shape(name, order):
    """Rotations and reflections of the shape; not the methyl turns that the graph of C2H6 or isobutane would allow."""
    positions, numbers = noisy(name)
    group = find_symmetry(positions, numbers)
    assert group.order == group.supported == order
    assert is_group(group.perms)
    assert group.perms.dtype == np.int64
    assert group.perms[0].tolist() == list(range(len(numbers)))
    assert (numbers[group.perms] == numbers).all()


def test_ammonia_whose_data_know_only_the_rotations():
    """Bond lengths a < b < c that always follow in the same sense: a turn maps data on data, a reflection does not."""
    positions, numbers = noisy("NH3", 300, 0.005)
    stretch = np.array([0.85, 1.0, 1.25])
    for frame, start in enumerate(np.random.default_rng(1).integers(3, size=300)):
        nitrogen = positions[frame, 0]
        for h in range(3):
            positions[frame, 1 + h] = nitrogen + (positions[frame, 1 + h] - nitrogen) * stretch[(h + start) % 3]
    group = find_symmetry(positions, numbers)
    assert as_set(group.perms) == {(0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2)}
    assert group.found == 6


def test_ammonia_that_inverts_has_all_six():
    positions, numbers = noisy("NH3", 200)
    positions[::2, :, 2] *= -1
    assert MolecularGraph.build(positions, numbers).hands == (0, 0, 0, 0)
    assert find_symmetry(positions, numbers).order == 6


@pytest.mark.parametrize("moving", [0, 1])
def test_of_two_methyl_groups_only_the_one_that_turns(moving):
    positions, numbers = noisy("CH3CH2OCH3", 200, 0.03)
    groups = methyls(positions, numbers)
    carbon, anchor, hydrogens = groups[moving]
    turns = np.random.default_rng(2).integers(3, size=len(positions))
    group = find_symmetry(spun(positions, (anchor, carbon), hydrogens, turns), numbers)
    still = groups[1 - moving][2]
    assert group.order == 6  # three turns, and the reflection in the plane of the chain
    assert len({tuple(p[hydrogens]) for p in group.perms}) == 6
    assert len({tuple(p[still]) for p in group.perms}) == 2
    frozen = find_symmetry(positions, numbers)
    assert frozen.order == 2
    assert frozen.found == group.found == 72


@pytest.mark.parametrize(
    ("rare", "least", "order"), [(0.0, 0.02, 1), (0.05, 0.02, 3), (0.05, 0.3, 1), (0.3, 0.3, 3), (0.0, 0.0, 3)]
)
def test_how_much_turning_is_enough(rare, least, order):
    positions, numbers = chiral()
    ((carbon, anchor, hydrogens),) = methyls(positions, numbers)
    turns = np.arange(len(positions)) < rare * len(positions)
    group = find_symmetry(spun(positions, (anchor, carbon), hydrogens, turns), numbers, least=least)
    assert group.order == order
    if order == 3:
        assert group.evidence[0][1] == pytest.approx(2 * rare * (1 - rare), abs=0.06)
        assert np.array_equal(np.sort(group.perms[1][hydrogens]), np.sort(hydrogens))


def many_methyls(count, seed=0, n=150):
    """`count` chiral molecules on a line, no two with the same two halogen neighbours; all their methyl groups turn."""
    rng = np.random.default_rng(seed)
    parts, numbers = [], []
    for copy, (small, large) in enumerate(itertools.product([7, 8, 9], [14, 15, 16, 17, 32, 33])):
        if copy < count:
            positions, kinds = chiral(n, seed=copy)
            ((carbon, anchor, hydrogens),) = methyls(positions, kinds)
            turned = spun(positions, (anchor, carbon), hydrogens, rng.integers(3, size=n))
            parts.append(turned + np.array([7.0 * copy, 0, 0]))
            numbers.append(np.where(kinds == 17, large, np.where(kinds == 9, small, kinds)))
    return np.concatenate(parts, axis=1), np.concatenate(numbers)


@pytest.mark.parametrize(("limit", "order"), [(1, 1), (2, 1), (8, 3), (9, 9), (80, 27), (1000, 243)])
def test_the_limit_keeps_the_group_closed(limit, order):
    positions, numbers = many_methyls(5)
    group = find_symmetry(positions, numbers, limit=limit)
    assert (group.found, group.supported, group.order) == (6**5, 3**5, order)
    assert is_group(group.perms)
    assert f"{order}" in group.note
    assert (f"limit {limit:,}" in group.note) == (order < 243)


def test_a_group_too_large_to_list():
    """Eighteen methyl groups: 6^18 relabellings, 3^18 of them real."""
    positions, numbers = many_methyls(18, n=60)
    group = find_symmetry(positions, numbers, limit=100)
    assert group.found == 6**18
    assert group.supported == 3**18
    assert group.order == 81


@pytest.mark.parametrize("most", [4, 6, 20])
def test_a_group_tried_in_parts_is_the_group_tried_as_a_whole(monkeypatch, most):
    """Two turning methyl groups and a reflection: tried at once, or the reflection on top of the methyl groups.  A
    methyl group that does not turn must not hide the reflection either, whatever turn that comes with."""
    positions, numbers = noisy("CH3CH2OCH3", 200, 0.03)
    groups = methyls(positions, numbers)
    for carbon, anchor, hydrogens in groups:
        found = {}
        for parts in (300, most):
            monkeypatch.setattr(evidence, "FACTOR", parts)
            found[parts] = find_symmetry(positions, numbers)
        assert as_set(found[most].perms) == as_set(found[300].perms)
        assert found[most].supported == found[300].supported
        positions = spun(positions, (anchor, carbon), hydrogens, np.random.default_rng(carbon).integers(3, size=200))
    assert find_symmetry(positions, numbers).order == 18
    assert find_symmetry(positions, numbers, limit=17).order in (6, 9)


def test_the_order_in_which_elements_are_tried_does_not_show():
    """Overlaps with a group's elements after each pair was brought together by one of them are those before, sorted
    by the products; the group of ammonia does not commute."""
    positions, _ = noisy("NH3", 40)
    factor = evidence.Factor.build(close_group([[0, 2, 3, 1], [0, 2, 1, 3]], 6))
    x = symmetry._descriptors(positions).T
    first, second = x[:, :20], x[:, 20:]
    table = evidence.Table.build(factor, first, *factor.align(first, second), least=0.0)
    np.testing.assert_allclose(table.overlaps, factor.overlaps(first, second), rtol=1e-12)


@pytest.mark.parametrize("exchange", [True, False])
def test_identical_molecules_are_exchanged_when_the_data_do(exchange):
    """Two waters, one of which gives a hydrogen bond to the other; who gives may change between frames."""
    rng = np.random.default_rng(3)
    giver = [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]
    taker = [[2.9, 0, 0], [3.4, 0.6, 0.5], [3.4, -0.6, 0.5]]
    first = rng.integers(2, size=200) if exchange else np.zeros(200, int)
    shapes = np.array([[giver, taker], [taker, giver]]).reshape(2, 6, 3)
    group = find_symmetry(shapes[first] + 0.04 * rng.normal(size=(200, 6, 3)), np.array([8, 1, 1, 8, 1, 1]))
    assert group.found == 8
    assert any(p[0] == 3 for p in group.perms) == exchange


def test_a_proton_that_jumps_joins_both_ends():
    """O-H...O: bonded to one oxygen in half of the frames, the graph is symmetric only if it is bonded to both."""
    rng = np.random.default_rng(4)
    positions = np.zeros((200, 3, 3))
    positions[:, 1, 0] = 2.5
    left = rng.integers(2, size=200)
    positions[:, 2, 0] = np.where(left, 1.0, 1.5)
    positions += 0.03 * rng.normal(size=positions.shape)
    numbers = np.array([8, 8, 1])
    assert find_symmetry(positions, numbers).order == 2
    assert find_symmetry(positions[left == 1], numbers).found == 1


@settings(max_examples=12, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["CH3CH2OCH3", "cyclobutane", "C2H6", "CH3CH2OH", "NH3"]))
def test_relabelled_atoms_give_the_conjugate_group(random, name):
    positions, numbers = noisy(name, 150)
    for carbon, anchor, hydrogens in methyls(positions, numbers)[:1]:
        positions = spun(positions, (anchor, carbon), hydrogens, np.random.default_rng(5).integers(3, size=150))
    order = list(range(len(numbers)))
    random.shuffle(order)
    order = np.array(order)
    before = find_symmetry(positions, numbers)
    after = find_symmetry(positions[:, order], numbers[order])
    back = np.argsort(order)
    assert as_set(after.perms) == {tuple(back[p[order]]) for p in before.perms}
    assert (after.found, after.supported) == (before.found, before.supported)


def test_turning_and_reflecting_every_frame_changes_nothing():
    positions, numbers = noisy("CH3CH2OCH3", 150)
    rng = np.random.default_rng(6)
    turned = np.array([r @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + rng.normal(size=3) for r in positions])
    q = np.linalg.qr(rng.normal(size=(150, 3, 3)))[0]
    proper = positions @ (q * np.linalg.det(q)[:, None, None])
    group = find_symmetry(positions, numbers)
    assert as_set(find_symmetry(proper, numbers).perms) == as_set(group.perms)
    assert as_set(group.perms) <= as_set(find_symmetry(turned, numbers).perms)


def test_the_same_seed_gives_the_same_answer():
    positions, numbers = noisy("CH3CH2OCH3", 500)
    first, second = find_symmetry(positions, numbers, seed=3), find_symmetry(positions, numbers, seed=3)
    assert np.array_equal(first.perms, second.perms)
    assert first.evidence == second.evidence
    assert first.note == second.note


def test_data_that_show_nothing():
    positions, numbers = noisy("NH3", 1)
    group = find_symmetry(positions, numbers)
    assert (group.order, group.found, group.supported) == (1, 6, 1)
    assert "one structure" in group.note
    benzene, kinds = noisy("C6H6", 1, 0.0)
    turns, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 3, 3)))
    assert find_symmetry(benzene @ turns, kinds).order == 1  # ties, broken by rounding, are no evidence
    assert find_symmetry(np.zeros((5, 1, 3)), np.array([2])).order == 1
    assert "no symmetry to use" in find_symmetry(*noisy("HCl")).note
    trivial = Symmetry.trivial(4)
    assert trivial.perms.tolist() == [[0, 1, 2, 3]]
    assert trivial.order == trivial.found == trivial.supported == 1


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"limit": 0}, UsageError, "limit: 0"),
        ({"least": 1.5}, UsageError, "least: 1.5"),
        ({"positions": np.full((3, 3, 3), np.nan)}, DataError, "not finite"),
        ({"positions": np.zeros((3, 3, 3))}, DataError, "same spot"),
    ],
)
def test_bad_arguments_are_named(change, error, words):
    positions, numbers = noisy("H2O", 3)
    with pytest.raises(error, match=words):
        find_symmetry(**{"positions": positions, "numbers": numbers, **change})
