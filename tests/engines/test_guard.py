"""What is done where a structure leaves what its model was trained on: in the guard, and behind every door."""

import warnings

import numpy as np
import pytest
from cases import NUMBERS, SHAPE, random_model, structures, with_bars

import gossamer as gs
from gossamer.engines.guard import SAVED, Guard
from gossamer.errors import ExtrapolationError, ExtrapolationWarning, UsageError


@pytest.fixture(scope="module")
def model():
    return random_model("methyl", n_train=20)[0]


INSIDE = structures(1, seed=0)[0]  # a training structure


def broken():
    """The first oxygen far away."""
    R = INSIDE.copy()
    R[2] += 5.0
    return R


def straightened():
    """No bond broken and no contact made, but the angle at atom 1 as no training structure of a stiff model has it."""
    R = SHAPE.copy()
    R[2] = R[1] + (1.35, 0.1, 0.0)
    return R


def look(guard, *frames):
    for step, R in enumerate(frames, 1):
        guard.look(R, f"step {step}")


def test_what_is_inside_passes(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Guard(model, "stop").look(structures(20, seed=0))


def test_warn_tells_once(model):
    guard = Guard(model)
    with pytest.warns(ExtrapolationWarning, match=r"^step 1: the structure has bonds or contacts unlike any") as found:
        look(guard, broken(), broken(), broken())
    assert len(found) == 1


def test_stop_raises_every_time(model):
    guard = Guard(model, "stop")
    guard.look(INSIDE)
    for _ in range(2):
        with pytest.raises(ExtrapolationError, match=r"2 of 3 structures \(frames 5, 6\) have bonds"):
            guard.look(np.array([INSIDE, broken(), broken()]), frames=[4, 5, 6])


def test_off_does_not_look(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Guard(model, "off").look(broken())


def test_save_keeps_the_beginning_of_every_excursion(model, tmp_path):
    file = tmp_path / "out.extxyz"
    guard = Guard(model, "save", file)
    with pytest.warns(ExtrapolationWarning) as found:
        look(guard, INSIDE, broken(), broken() + 1.0, INSIDE, broken() + 2.0)
    assert len(found) == 1
    kept = gs.read(file)
    np.testing.assert_array_equal(kept.numbers, NUMBERS)
    np.testing.assert_array_equal(kept.positions, [broken(), broken() + 2.0])
    with pytest.warns(ExtrapolationWarning):  # another run goes on with the file; replicas are told apart
        Guard(model, "save", file).look(np.array([INSIDE, broken() + 3.0]))
    np.testing.assert_array_equal(gs.read(file).positions[2:], [broken() + 3.0])


def test_a_sentence_is_made_only_where_it_is_told(model, tmp_path, monkeypatch):
    made, said = [], Guard._said
    monkeypatch.setattr(Guard, "_said", lambda *given: made.append(given) or said(*given))
    with pytest.warns(ExtrapolationWarning):
        look(Guard(model, "save", tmp_path / "out.extxyz"), broken(), INSIDE, broken(), INSIDE, broken())
    assert len(made) == 1


def test_a_file_does_not_grow_without_end(model, tmp_path):
    file = tmp_path / "out.extxyz"
    with pytest.warns(ExtrapolationWarning):
        Guard(model, "save", file).look(np.tile(broken(), (SAVED + 5, 1, 1)))
    assert len(gs.read(file)) == SAVED


def test_a_file_that_cannot_be_gone_on_with_is_refused_before_the_run(model, tmp_path):
    gs.write(gs.Dataset(NUMBERS[::-1].copy(), INSIDE[None]), tmp_path / "other.extxyz")
    with pytest.raises(UsageError, match="holds other atoms, or another order"):
        Guard(model, "save", tmp_path / "other.extxyz")
    with pytest.raises(UsageError, match=r"'\.pdf' files cannot be written"):
        Guard(model, "save", tmp_path / "x.pdf")


def test_unknown_actions_are_refused(model):
    with pytest.raises(UsageError, match="guard: 'explode' is not known; use off, warn, stop, save"):
        model.ase(guard="explode")


@pytest.mark.parametrize(("unit", "size"), [("Bohr", 0.529177), ("nm", 10.0), ("pm", 0.01)])
def test_another_length_unit_is_an_error_whatever_the_guard_does(model, unit, size):
    for action in ("warn", "stop"):
        with pytest.raises(UsageError, match=f"^atoms: .* training structures in {unit}; give Angstrom"):
            Guard(model, action).look(INSIDE / size, "atoms")


def test_a_distance_far_outside_its_range_is_told_of_where_bonds_are_as_ever():
    stiff = random_model("methyl", n_train=20, spread=0.02)[0]
    Guard(stiff, "stop").look(structures(50, seed=9, spread=0.02))
    assert not stiff.seen.left_by(straightened())
    with pytest.warns(ExtrapolationWarning, match=r"distances far outside their range in training \(C0-O2 2\.8\d"):
        Guard(stiff).look(straightened())


def bad_frames(R, numbers, rng):
    """40 wrong frames, of five kinds, from frames R (n, N, 3) of ethanol: C C O and six hydrogens."""
    hydrogens = np.flatnonzero(numbers == 1)
    owner = {int(h): int(np.argmin(np.linalg.norm(R[0][:3] - R[0][h], axis=1))) for h in hydrogens}
    found = []
    for k in range(40):
        frame = R[k % len(R)].copy()
        a = int(rng.choice(hydrogens))
        b = int(rng.choice([h for h in owner if owner[h] != owner[a]]))
        bond, gap = frame[a] - frame[owner[a]], frame[a] - frame[b]
        if k % 5 == 0:  # two hydrogens of different atoms exchanged
            frame[[a, b]] = frame[[b, a]]
        elif k % 5 == 1:  # a hydrogen torn off
            frame[a] += rng.uniform(1.0, 3.0) * bond / np.linalg.norm(bond)
        elif k % 5 == 2:  # a hydrogen pushed into another
            frame[a] = frame[b] + 0.6 * gap / np.linalg.norm(gap)
        elif k % 5 == 3:  # a carbon pulled away
            frame[1] += rng.uniform(1.0, 2.0) * (frame[1] - frame[0])
        else:  # everything shaken as at thousands of kelvin
            frame += rng.normal(scale=0.4, size=frame.shape)
        found.append(frame)
    return np.array(found)


def test_every_bad_frame_is_caught_and_no_good_one(ethanol_file):
    data = gs.read(ethanol_file)
    model = gs.train(data.take(slice(0, 40)), terms="global", length=20.0, noise=1e-8, symmetry="none").model
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Guard(model, "stop").look(data.positions)
    for frame in bad_frames(data.positions[40:], data.numbers, np.random.default_rng(0)):
        with pytest.raises(ExtrapolationError):
            Guard(model, "stop").look(frame)


def barred():
    """A model with error bars, structures inside its range, and their largest standard deviations of forces (Q,)."""
    model, R = with_bars(random_model("methyl", n_train=20)[0], 5), structures(20, seed=0)
    return model, R, model.predict(R, std=True, warn=False).forces_std.max(axis=(1, 2))


def test_a_large_deviation_is_outside():
    model, R, std = barred()
    at = int(np.argmax(std))
    limit = np.sort(std)[-2:].mean()
    with pytest.raises(
        ExtrapolationError, match=rf"data: the standard deviation of a force of frame {at} is .*above the"
    ):
        Guard(model, "stop", most_std=limit).look(R, "data")
    with pytest.raises(ExtrapolationError, match="step 1: the standard deviation of a force of the structure is"):
        Guard(model, "stop", most_std=limit).look(R[at], "step 1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Guard(model, "stop", most_std=1.01 * std.max()).look(R)
        Guard(model, "stop").look(R)


def test_unsure_frames_are_saved(tmp_path):
    model, R, std = barred()
    guard = Guard(model, "save", tmp_path / "unsure.extxyz", most_std=np.median(std))
    with pytest.warns(ExtrapolationWarning, match="9 more like it"):
        guard.look(R)
    assert len(gs.read(tmp_path / "unsure.extxyz", labels=False)) == 10


def test_a_broken_structure_is_named_by_its_bonds():
    model, _, std = barred()
    with pytest.raises(ExtrapolationError, match="bonds or contacts unlike any"):
        Guard(model, "stop", most_std=0.5 * std.min()).look(broken())


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_must_be_positive(model, limit):
    with pytest.raises(UsageError, match="guard: a standard deviation of"):
        Guard(model, most_std=limit)


def test_a_limit_needs_error_bars(model):
    with pytest.raises(UsageError, match="std: the model has no error bars"):
        Guard(model, most_std=0.1)
