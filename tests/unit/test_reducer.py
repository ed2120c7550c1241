import itertools
import json
from dataclasses import astuple, replace

import numpy as np
import pytest
from cases import METHYL, NUMBERS, random_model, structures

import gossamer as gs
from gossamer.data.dataset import Dataset
from gossamer.errors import DataError, UsageError
from gossamer.model.pairs import PairSet
from gossamer.reduction.search import first_rows

OPTIONS = {"terms": "global", "length": 3.0, "symmetry": METHYL, "noise": 1e-9}
QUICK = {"quantiles": (30, 60, 90), "compared": (60,)}


def labelled(model, R, energies=True):
    p = model.predict(R)
    return Dataset(NUMBERS, R, p.forces, p.energies if energies else None)


@pytest.fixture(scope="module")
def parts():
    """Structures labelled by a random force field with methyl symmetry."""
    truth, _, _ = random_model("methyl", n_train=8)
    return labelled(truth, structures(60, seed=11, spread=0.08)).split(25, 15, 20, seed=1)


@pytest.fixture(scope="module")
def reduction(parts):
    return gs.reduce(*parts, **OPTIONS, **QUICK)


def entries(record):
    return [*record.by_relevance, *record.random, *record.shortest]


def test_the_choice_is_the_smallest_within_the_tolerance(reduction):
    r = reduction.record
    limit = r.limit.valid_force_rmse
    best = min([r.full, *r.quantiles], key=lambda e: e.valid_force_rmse)
    assert limit == pytest.approx(1.02 * best.valid_force_rmse)
    assert r.limit.force_rmse == pytest.approx(1.02 * best.force_rmse)
    assert r.local is None
    assert r.chosen in r.by_relevance
    assert r.chosen.valid_force_rmse <= limit
    assert r.chosen.pairs == min(e.pairs for e in r.by_relevance if e.valid_force_rmse <= limit)
    assert len(reduction.model.pairs) == r.chosen.pairs == sum(p.kept for p in r.pairs)


def test_a_wide_tolerance_keeps_fewer_pairs(parts, reduction):
    loose = gs.reduce(*parts, **OPTIONS, quantiles=(30, 60, 90), tolerance=5.0)
    assert len(loose.model.pairs) <= len(reduction.model.pairs)
    assert loose.record.random == loose.record.shortest == ()


def test_orbits_are_kept_or_dropped_whole(reduction):
    pairs = reduction.record.pairs
    for orbit in {p.orbit for p in pairs}:
        assert len({p.kept for p in pairs if p.orbit == orbit}) == 1
        assert len({p.score for p in pairs if p.orbit == orbit}) == 1


def test_every_descriptor_still_fixes_the_shape(reduction):
    assert reduction.record.rank.needed == reduction.record.rank.reached == 12
    smallest = reduction.record.quantiles[-1]
    assert smallest.quantile == 90
    assert smallest.pairs >= 12  # 90 % of 15 pairs would leave 2
    assert smallest.added_orbits > 0


def test_the_models_are_the_ones_in_the_record(reduction, parts):
    for model, entry in ((reduction.full, reduction.record.full), (reduction.model, reduction.record.chosen)):
        errors = model.test(parts.test)
        assert entry.force_rmse == pytest.approx(errors.force_rmse, rel=1e-9)
        assert entry.energy_mae == pytest.approx(errors.energy_mae, rel=1e-6)


def test_comparisons_have_the_size_of_what_they_are_compared_with(reduction):
    r = reduction.record
    sizes = {e.pairs for e in r.quantiles if e.quantile == 60} | {r.chosen.pairs}
    orbit = 3  # the largest orbit of a methyl rotation: no selection of whole orbits comes nearer in general
    for entry in r.random + r.shortest:
        assert min(abs(entry.pairs - size) for size in sizes) <= orbit


def test_the_same_seed_gives_the_same_models(parts, reduction, tmp_path):
    again = gs.reduce(*parts, **OPTIONS, **QUICK)
    files = [r.model.save(tmp_path / name).read_bytes() for name, r in (("a", reduction), ("b", again))]
    assert files[0] == files[1]
    assert [replace(e, seconds=0.0) for e in entries(again.record)] == [
        replace(e, seconds=0.0) for e in entries(reduction.record)
    ]


def test_without_energies_and_without_a_test_set(parts):
    train, valid, _ = (Dataset(NUMBERS, d.positions, d.forces) for d in parts)
    record = gs.reduce(train, valid, **OPTIONS, quantiles=(50,)).record
    assert record.chosen.tested_on == "valid"
    assert record.chosen.energy_mae is None
    assert record.parity.energies.reference == ()


def test_with_energies_as_labels(parts):
    found = gs.reduce(*parts, **(OPTIONS | {"noise": 1e-6}), energies=True, quantiles=(50,))
    assert found.model.coefficients[0].w is not None
    assert found.record.settings.energies_as_labels is True


def test_a_diatomic_keeps_its_pair():
    R = np.zeros((12, 2, 3))
    R[:, 1, 0] = np.linspace(0.9, 1.3, 12)
    k = 4.0 * (R[:, 1, 0] - 1.1)
    F = np.zeros_like(R)
    F[:, 0, 0], F[:, 1, 0] = k, -k
    data = Dataset(np.array([1, 1]), R, F, 2.0 * (R[:, 1, 0] - 1.1) ** 2)
    found = gs.reduce(data.take(slice(0, 12, 2)), data.take(slice(1, 12, 2)), length=2.0)
    assert len(found.model.pairs) == 1
    assert found.record.chosen.force_rmse < 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tolerance": -0.1}, "tolerance: -0.1 given"),
        ({"quantiles": (0, 50)}, "quantiles"),
        ({"compared": (55,)}, "compared"),
        ({"score_structures": 0}, "score_structures: 0 given"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_trained(parts, change, message):
    with pytest.raises(UsageError, match=message):
        gs.reduce(*parts, **(OPTIONS | change))


def test_bad_parts_are_named_before_anything_is_trained(parts):
    touching = parts.test.positions.copy()
    touching[2, 4] = touching[2, 1]
    bad = Dataset(NUMBERS, touching, parts.test.forces)
    events = []
    with pytest.raises(DataError, match="test: atoms 1 and 4 of frame 2 coincide"):
        gs.reduce(parts.train, parts.valid, bad, **OPTIONS, progress=events.append)
    with pytest.raises(DataError, match="pool: atoms 1 and 4 of frame 2 coincide"):
        gs.reduce(*parts, pool=bad, **OPTIONS, progress=events.append)
    with pytest.raises(UsageError, match="validation: reduce needs"):
        gs.reduce(parts.train, None, **OPTIONS, progress=events.append)
    assert events == []


def test_other_selections_come_nearest_to_the_asked_count():
    orbits = PairSet.full(6).orbits(METHYL)
    order = np.arange(orbits.max() + 1)
    for asked in range(1, 16):
        got = len(first_rows(orbits, np.zeros(15, bool), order, np.arange(asked)))
        sizes = np.cumsum(np.bincount(orbits)[order])
        assert abs(got - asked) == np.abs(sizes - asked).min()


def test_other_selections_have_as_many_non_local_pairs():
    orbits, order = np.arange(20), np.arange(20)[::-1]
    local = np.arange(20) < 8
    assert first_rows(orbits, local, order, np.array([0, 3, 9, 10, 11])).tolist() == [6, 7, 17, 18, 19]
    assert first_rows(orbits, local, order, np.array([9, 10])).tolist() == [18, 19]


@pytest.fixture(scope="module")
def of_terms(ethanol_file):
    data = gs.read(ethanol_file).split(30, 10, 20, seed=0)
    return gs.reduce(*data, terms="both", quantiles=(50, 90), compared=(50,), learning_steps=2, relative_noise=1e-5)


def test_a_global_term_is_thinned_out_beside_local_ones(of_terms):
    record = of_terms.record
    local = {(p.i, p.j) for p in record.pairs if p.local}
    kept = {(p.i, p.j) for p in record.pairs if p.kept}
    assert local <= kept
    assert len(of_terms.model.pairs) == len(kept) == record.chosen.pairs
    alone = record.local
    assert alone.global_pairs == 0
    assert alone.pairs == len(local)
    sizes = [e.global_pairs for e in [record.full, *record.quantiles, alone]]
    assert sizes == sorted(sizes, reverse=True)


def test_descriptors_near_the_full_one_share_its_preconditioner(ethanol_file):
    told = []
    data = gs.read(ethanol_file).split(30, 10, 20, seed=0)
    options = {"terms": "both", "quantiles": (20, 40), "learning_steps": 1, "relative_noise": 1e-5, "solver": "cg"}
    gs.reduce(*data, **options, progress=lambda event: told.append((event.stage, event.message)))
    begun, chosen = [], set()
    for stage, message in told:
        if stage == "reduce":
            begun.append(message.partition(":")[0])
        elif stage == "precondition" and begun:
            chosen.add(begun[-1])
    assert {"Q20", "Q40", "local terms"} <= set(begun)
    assert chosen == {"local terms"}


def test_the_record_tells_of_the_terms(of_terms):
    record, model = of_terms.record, of_terms.model
    terms = record.terms
    json.dumps(record.to_json(), allow_nan=False)
    assert [term.name for term in terms] == [term.name for term in model.terms]
    assert sum(term.prior_share for term in terms) == pytest.approx(1, abs=1e-5)
    local = {(p.i, p.j) for p in record.pairs if p.local}
    distance = {(p.i, p.j): p.distance for p in record.pairs}
    seen = set()
    for row, term in zip(terms, model.terms, strict=True):
        columns = row.weights
        assert {len(column) for column in astuple(columns)} == {len(columns.weight)}
        assert sum(columns.pairs) == row.pairs == term.n_pairs
        assert list(columns.weight) == sorted(columns.weight, reverse=True)
        mean = sum(w * n for w, n in zip(columns.weight, columns.pairs, strict=True)) / term.n_pairs
        assert mean == pytest.approx(term.weights.mean(), rel=1e-5)
        for atoms in row.atoms:
            assert row.n_atoms == len(atoms) == len(set(atoms))
            assert (row.kind, row.heads) == ("bonds", 1)
            assert row.name.split()[0] == str(row.atoms[0][0])
            assert row.name.split()[2] == f"{row.reach:g}"
            inside = [tuple(sorted(pair, reverse=True)) for pair in itertools.combinations(atoms, 2)]
            assert columns.local == (True,) * len(columns.pairs)
            seen |= set(inside)
            if row.places == 1:
                assert min(columns.shortest) == pytest.approx(min(distance[p] for p in inside), abs=2e-3)
                assert max(columns.longest) == pytest.approx(max(distance[p] for p in inside), abs=2e-3)
    assert seen == local
    assert {e.local_pairs for e in entries(record)} == {len(local)}


def test_local_terms_alone_cannot_be_reduced(ethanol_file):
    data = gs.read(ethanol_file).split(30, 10, 20, seed=0)
    with pytest.raises(UsageError, match="leaves out the global term"):
        gs.reduce(*data, terms="local", learning_steps=1, relative_noise=1e-5)
