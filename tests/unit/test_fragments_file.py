"""Fragments as a file: what is written comes back, and gives the same model."""

import json

import numpy as np
import pytest
from ase.build import molecule
from cases import METHYL, NUMBERS, random_model, structures

import gossamer as gs
from gossamer.chemistry.fragments import GLOBAL, Fragment, local_fragments
from gossamer.chemistry.fragments_file import read_fragments, write_fragments
from gossamer.chemistry.symmetry import symmetry_from_perms
from gossamer.data.dataset import Dataset
from gossamer.errors import UsageError
from gossamer.fitting.makeup import makeup_of
from gossamer.fitting.workflow import fit
from gossamer.kernels import Matern52
from gossamer.model.pairs import PairSet


@pytest.fixture(scope="module")
def data():
    truth, _, _ = random_model("methyl", n_train=8)
    R = structures(40, seed=11, spread=0.08)
    p = truth.predict(R)
    return Dataset(NUMBERS, R, p.forces, p.energies)


def test_automatic_fragments_come_back_and_give_the_same_terms(data, tmp_path):
    local = local_fragments(data.positions, data.numbers, radii=(2.5,))
    file = write_fragments(tmp_path / "f.json", [*local, GLOBAL], data.numbers)
    back = read_fragments(file, data.numbers)
    assert back[-1] == GLOBAL
    for a, b in zip(local, back, strict=False):
        assert a.name == b.name
        np.testing.assert_array_equal(a.atoms, b.atoms)
        np.testing.assert_array_equal(a.perms, b.perms)


def test_the_written_default_is_the_model_both(data, tmp_path):
    local = local_fragments(data.positions, data.numbers)
    file = write_fragments(tmp_path / "f.json", [*local, GLOBAL], data.numbers)
    given = read_fragments(file, data.numbers)
    group, pairs = symmetry_from_perms(METHYL, data.numbers), PairSet.full(data.n_atoms)
    mine, theirs = (makeup_of(terms, data, group, pairs, lambda smooth: Matern52(1.0)) for terms in (given, "both"))
    assert [t.name for t in mine.terms] == [t.name for t in theirs.terms]
    for a, b in zip(mine.terms, theirs.terms, strict=True):
        np.testing.assert_array_equal(a.places, b.places)
        np.testing.assert_array_equal(a.perms, b.perms)
        assert (a.kernel, a.amplitude) == (b.kernel, b.amplitude)
    options = {"symmetry": METHYL, "learning_steps": 2, "noise": 1e-6}
    train, test = data.take(np.arange(25)), data.positions[25:]
    one, two = (fit(train, terms=terms, **options).model.predict(test) for terms in (given, "both"))
    np.testing.assert_array_equal(one.forces, two.forces)


def test_molecules_that_no_bond_joins_have_terms_of_contacts():
    """Two molecules of ethene, 3.4 Angstrom apart: no bond and no hydrogen bond joins them."""
    one = molecule("C2H4")
    R = np.concatenate([one.positions, one.positions + np.array([3.4, 0, 0])])
    R = R + 0.02 * np.random.default_rng(0).normal(size=(8, 12, 3))
    both = Dataset(np.tile(one.numbers, 2), R, np.zeros_like(R))
    pairs, group = PairSet.full(12), symmetry_from_perms(np.arange(12)[None], both.numbers)
    for terms in ("local", "both", "pairs", "auto"):
        made = makeup_of(terms, both, group, pairs, lambda smooth: Matern52(1.0))
        local = made.without_global()
        found = [local.pairs.pairs[term.places] // 6 for term in local.terms]
        assert any(np.any(which[..., 0] != which[..., 1]) for which in found)


def test_exchanges_are_completed_and_places_alone_will_do(tmp_path):
    water = np.array([8, 1, 1, 8, 1, 1])
    file = tmp_path / "f.json"
    file.write_text(json.dumps([{"name": "bond", "atoms": [0, 1]}, {"name": "water", "atoms": [[0, 1, 2], [3, 4, 5]],
                                "perms": [[0, 2, 1]]}]))  # fmt: skip
    bond, whole = read_fragments(file, water)
    assert bond.atoms.tolist() == [[0, 1]]
    assert bond.perms.tolist() == [[0, 1]]
    assert whole.perms.tolist() == [[0, 1, 2], [0, 2, 1]]


WRONG = {
    "not JSON": ("[{", "it is not JSON"),
    "not a list": ("{}", "must hold a list"),
    "empty list": ("[]", "must hold a list"),
    "entry": ("[3]", "entry 0: it must be an object"),
    "key": ('[{"name": "a", "atom": [[0, 1]]}]', r"entry 0 \('a'\): the key 'atom' is not known; use name"),
    "no atoms": ('[{"name": "a"}]', "atoms must be rows .*; none are given"),
    "words": ('[{"atoms": [["C", "O"]]}]', r'entry 0: atoms must be rows .*; \[\["C", "O"\]\] is given'),
    "fractions": ('[{"atoms": [[0, 1.5]]}]', "atoms must be rows"),
    "truths": ('[{"atoms": [[false, true]]}]', "atoms must be rows"),
    "ragged": ('[{"atoms": [[0, 1], [2]]}]', "of one length"),
    "depth": ('[{"atoms": [[[0, 1]]]}]', "atoms must be rows"),
    "great depth": (f'[{{"atoms": {"[" * 40}0{"]" * 40}}}]', r"atoms must be rows .*; \[{40}0\]{19} \.\.\. is given"),
    "greater depth": (f'[{{"atoms": {"[" * 900}0{"]" * 900}}}]', "lie in each other more than 50 deep"),
    "atom": ('[{"name": "a", "atoms": [0, 6]}]', "there is no atom 6; atoms count from 0 to 5"),
    "huge": ('[{"name": "a", "atoms": [0, 99999999999999999999]}]', "atoms must be rows"),
    "negative": ('[{"name": "a", "atoms": [0, -1]}]', "there is no atom -1"),
    "one atom": ('[{"name": "a", "atoms": [0]}]', r"entry 0 \('a'\): place \[0\] must name at least 2 atoms"),
    "twice": ('[{"name": "a", "atoms": [[1, 2], [2, 2]]}]', r"place \[2, 2\] .*, none of them twice; correct"),
    "same place": ('[{"name": "a", "atoms": [[1, 2], [2, 1]]}]', "two places are the same atoms"),
    "other elements": ('[{"name": "a", "atoms": [[0, 1], [4, 3]]}]', "place 1 has the elements H O and place 0 O H"),
    "said elements": ('[{"atoms": [0, 1], "elements": ["C", "H"]}]', "said to be C H, but the atoms are O H"),
    "perms": ('[{"name": "a", "atoms": [0, 1, 2], "perms": [[0, 1]]}]', r"columns 0 to 2 once; \[\[0, 1\]\] is given"),
    "perms of atoms": ('[{"name": "a", "atoms": [3, 4], "perms": [[4, 3]]}]', "columns 0 to 1 once"),
    "perms of elements": ('[{"name": "a", "atoms": [0, 1], "perms": [[1, 0]]}]', "different elements"),
    "names": ('[{"name": "a", "atoms": [0, 1]}, {"name": "a", "atoms": [0, 2]}]', r"entry 1 \('a'\): there are two"),
    "two global": ('[{"global": true}, {"global": true}]', "there are two"),
    "global atoms": ('[{"global": true, "atoms": [0, 1]}]', "leave the rest out"),
    "called global": ('[{"name": "global", "atoms": [0, 1]}]', "name must be a text other"),
    "not global": ('[{"name": "a", "global": false, "atoms": [0, 1]}]', "is an entry alone"),
    "name": ('[{"name": 3, "atoms": [0, 1]}]', "name must be a text"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_file_entry_and_remedy(name, tmp_path):
    text, words = WRONG[name]
    file = tmp_path / "f.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=words) as found:
        read_fragments(file, np.array([8, 1, 1, 8, 1, 1]))
    assert str(found.value).startswith(str(file))


def test_large_groups_of_exchanges_are_refused(tmp_path):
    turn, swap = [*range(1, 8), 0], [1, 0, *range(2, 8)]
    (tmp_path / "f.json").write_text(json.dumps([{"name": "a", "atoms": list(range(8)), "perms": [turn, swap]}]))
    with pytest.raises(UsageError, match=r"entry 0 \('a'\): its perms make a group of more than 1000"):
        read_fragments(tmp_path / "f.json", np.ones(8, dtype=int))


@pytest.mark.parametrize(
    ("terms", "words"),
    [([], "the list is empty"), (["local"], "'local' is among them"), (["global", "global"], "called 'global'")],
)
def test_lists_that_are_no_terms(terms, words, data):
    with pytest.raises(UsageError, match=words):
        fit(data, terms=terms)


def test_reduce_needs_the_global_term_and_says_so_before_it_trains(data):
    fragment = Fragment(np.array([0, 1, 2]), np.arange(3)[None], "bent")
    with pytest.raises(UsageError, match="add 'global' to the list"):
        gs.reduce(data.take(np.arange(20)), data.take(np.arange(20, 30)), terms=[fragment])
