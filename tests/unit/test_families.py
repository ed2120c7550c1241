"""Families of models that the reducer knows by their protocol: kernels as ever, networks, and modules of the user's."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import METHYL, NUMBERS, random_model, structures

import gossamer as gs
from gossamer.data.dataset import Dataset
from gossamer.errors import DataError, ExtrapolationWarning, ModelFileError, UsageError
from gossamer.events import silent
from gossamer.reduction.network import masked_scores

ROOT = Path(__file__).parents[2]
QUICK = gs.Network(hidden=(16,), epochs=6)


@pytest.fixture(scope="module")
def parts():
    truth, _, _ = random_model("methyl", n_train=8)
    R = structures(60, seed=11, spread=0.08)
    p = truth.predict(R, warn=False)
    return Dataset(NUMBERS, R, p.forces, p.energies).split(25, 15, 20, seed=1)


@pytest.fixture(scope="module")
def found(parts):
    return gs.reduce(*parts, family=QUICK, symmetry=METHYL, quantiles=(30, 60), tolerance=0.3, force=True)


def test_kernels_are_reduced_as_before_there_were_other_families(parts):
    """Numbers of the reducer when it knew kernels alone (commit dc42255)."""
    record = gs.reduce(
        *parts, terms="global", length=3.0, symmetry=METHYL, noise=1e-9, quantiles=(30, 60, 90), compared=(60,),
        force=True,
    ).record  # fmt: skip
    rows = [(e.label, e.pairs, e.added_orbits, e.valid_force_rmse) for e in (*record.by_relevance, *record.random)]
    assert [row[:3] for row in rows[:5]] == [
        ("full", 15, 0), ("Q30", 13, 1), ("Q60", 13, 2), ("Q90", 13, 4), ("refined 1", 14, 0),
    ]  # fmt: skip
    wanted = [1.6259353607191615e-05, *3 * [0.0042468089672391745], 0.003064294706768562]
    assert [row[3] for row in rows[:5]] == pytest.approx(wanted, rel=1e-6)
    assert record.full.parameters == 25 * 18
    assert record.settings.family == "kernel"


def test_forces_are_minus_the_slope(found, parts):
    R = parts.test.positions[:2]
    forces, step = found.model.predict(R, warn=False).forces, 1e-5
    for atom, axis in ((0, 0), (3, 1), (5, 2)):
        energies = []
        for sign in (1, -1):
            moved = R.copy()
            moved[:, atom, axis] += sign * step
            energies.append(found.model.predict(moved, warn=False).energies)
        slope = (energies[0] - energies[1]) / (2 * step)
        np.testing.assert_allclose(-slope, forces[:, atom, axis], rtol=1e-6, atol=1e-7)


def test_like_atoms_may_be_exchanged(found, parts):
    R = parts.test.positions
    for model in (found.full, found.model):
        plain = model.predict(R, warn=False)
        for perm in METHYL:
            moved = model.predict(R[:, perm], warn=False)
            np.testing.assert_allclose(moved.energies, plain.energies, rtol=0, atol=1e-12)
            np.testing.assert_allclose(moved.forces, plain.forces[:, perm], rtol=0, atol=1e-12)
    alone = replace(found.full, inputs=replace(found.full.inputs, images=found.full.inputs.images[:1]))
    moved, plain = (alone.predict(S, warn=False).energies for S in (R[:, METHYL[1]], R))
    assert abs(moved - plain).max() > 1e-6  # it is the mean over images that makes it so


def test_the_choice_and_the_record(found, parts, tmp_path):
    r = found.record
    assert (r.settings.family, r.terms, r.symmetry.order) == ("network", (), 3)
    assert r.chosen.valid_force_rmse <= r.limit.valid_force_rmse
    assert r.chosen.pairs == min(e.pairs for e in r.by_relevance if e.valid_force_rmse <= r.limit.valid_force_rmse)
    assert r.full.parameters == 15 * 16 + 16 + 16 + 1 + 2 * 15
    for orbit in {p.orbit for p in r.pairs}:
        assert len({(p.kept, p.score) for p in r.pairs if p.orbit == orbit}) == 1
    assert found.model.errors(parts.test).force_rmse == r.chosen.force_rmse
    training = found.model.predict(parts.train, warn=False).energies - parts.train.energies
    assert abs(training.mean()) < 1e-9
    assert "network" in gs.report(r, tmp_path / "r.html").read_text(encoding="utf-8")


def test_training_lowers_the_error(parts):
    errors = [
        gs.reduce(*parts, family=gs.Network(hidden=(16,), epochs=n), symmetry=METHYL, quantiles=(30,), force=True)
        .record.full.valid_force_rmse
        for n in (1, 60)
    ]  # fmt: skip
    assert errors[1] < 0.5 * errors[0]


def test_the_same_seed_gives_the_same_network(found, parts, tmp_path):
    state = torch.random.get_rng_state()
    again = gs.reduce(*parts, family=QUICK, symmetry=METHYL, quantiles=(30, 60), tolerance=0.3, force=True)
    assert torch.equal(state, torch.random.get_rng_state())
    files = [r.model.save(tmp_path / name).read_bytes() for name, r in (("a", found), ("b", again))]
    assert files[0] == files[1]
    other = gs.reduce(*parts, family=QUICK, symmetry=METHYL, quantiles=(30,), force=True, seed=1)
    assert other.record.full.valid_force_rmse != found.record.full.valid_force_rmse


def test_energies_as_labels_lower_their_error(parts):
    rows = [
        gs.reduce(*parts, family=gs.Network((16,), epochs=40), symmetry=METHYL, quantiles=(30,), force=True, energies=e)
        .record.full
        for e in (False, True)
    ]  # fmt: skip
    assert rows[0].valid_force_rmse != rows[1].valid_force_rmse


def test_scores_are_changes_of_forces_when_an_orbit_is_masked(found, parts):
    """Beside the slow way: one structure and one orbit at a time, by a module whose inputs are overwritten."""
    model, R = found.full, parts.test.positions[:3]
    orbits = model.pairs.orbits(METHYL)
    scores = masked_scores(model, R, orbits, silent)
    for orbit in (0, int(orbits.max())):
        keep = torch.from_numpy((orbits != orbit).astype(float))

        class Masked(torch.nn.Module):
            def forward(self, z, keep=keep):
                return model.module(z * keep)

        masked = replace(model, module=Masked())
        change = model.predict(R, warn=False).forces - masked.predict(R, warn=False).forces
        np.testing.assert_allclose(scores[orbits == orbit], np.sqrt((change**2).mean()), rtol=1e-10)


def test_files(found, parts, tmp_path):
    path = found.model.save(tmp_path / "n.gossamer")
    again = gs.load_network(path)
    for a, b in ((again.predict(parts.test), found.model.predict(parts.test)),):
        np.testing.assert_array_equal(a.forces, b.forces)
        np.testing.assert_array_equal(a.energies, b.energies)
    assert again.save(tmp_path / "again.gossamer").read_bytes() == path.read_bytes()
    with pytest.raises(ModelFileError, match=r"it holds a network, which is read by gossamer.load_network"):
        gs.load(path)
    kernel = random_model("methyl")[0].save(tmp_path / "k.gossamer")
    with pytest.raises(ModelFileError, match=r"it holds a force field of kernels, which is read by gossamer.load"):
        gs.load_network(kernel)
    with pytest.raises(UsageError, match="its module is Gossamer's own; leave out module"):
        gs.load_network(path, module=torch.nn.Identity)
    (tmp_path / "cut.gossamer").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="truncated"):
        gs.load_network(tmp_path / "cut.gossamer")


def test_a_module_of_the_users_own(parts, tmp_path):
    spec = importlib.util.spec_from_file_location("own_module", ROOT / "examples" / "own_module.py")
    own = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(own)
    family = gs.Network(module=own.residual, epochs=5)
    model = gs.reduce(*parts, family=family, symmetry=METHYL, quantiles=(30,), force=True).model
    path = model.save(tmp_path / "own.gossamer")
    again = gs.load_network(path, module=own.residual)
    np.testing.assert_array_equal(again.predict(parts.test).forces, model.predict(parts.test).forces)
    with pytest.raises(UsageError, match="give the function that makes it as module"):
        gs.load_network(path)
    with pytest.raises(UsageError, match="it has other weights"):
        gs.load_network(path, module=lambda n: torch.nn.Linear(n, 1))


def test_the_example_runs(ethanol_file, tmp_path):
    line = [sys.executable, ROOT / "examples" / "own_module.py", ethanol_file, "21", "2"]
    done = subprocess.run([*map(str, line)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "forces from the file differ by 0.0" in done.stdout


def test_structures_far_from_those_of_training_are_told_of(found, parts):
    far = parts.test.positions[:1].copy()
    far[0, 3] = far[0, 0] + [0.0, 0.0, 0.3]
    with pytest.warns(ExtrapolationWarning, match="positions: in frame 0 atoms . and . lie far outside"):
        found.full.predict(far)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"family": "forest"}, "family: 'forest' is not known; use kernel, network"),
        ({"family": "network", "terms": "both"}, "terms: 'both' given, which only family 'kernel' can take"),
        ({"family": "network", "baseline": "repulsion"}, "baseline: 'repulsion' given, which only family 'kernel'"),
        ({"family": "network", "length": 10.0}, "length: 10.0 given, which only family 'kernel' can take"),
        ({"family": "network", "solver": "cg"}, "solver: cg given, which only family 'kernel' can take"),
        ({"family": gs.Network(module=lambda n: torch.nn.Linear(n, 1))}, r"module: it takes inputs .* one number"),
        ({"family": gs.Network(module=lambda n: n)}, "module: it made a int; give a function"),
    ],
)  # fmt: skip
def test_bad_arguments_are_one_sentence(parts, given, message):
    with pytest.raises(UsageError, match=message):
        gs.reduce(*parts, **given, force=True)


def test_bad_recipes_and_too_few_structures(parts):
    with pytest.raises(UsageError, match=r"hidden: \(0,\) given"):
        gs.Network(hidden=(0,))
    with pytest.raises(UsageError, match="epochs: 0 given"):
        gs.Network(epochs=0)
    with pytest.raises(DataError, match="structures: 5 to train a network on; at least 10 are needed"):
        gs.reduce(parts.train.take(np.arange(5)), parts.valid, family="network", force=True)
