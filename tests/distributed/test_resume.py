"""An interrupted run, gone on with, ends at the bits of one that was not."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import CASES, METHYL, NUMBERS, random_model, structures
from distributed.support import assert_same_model

from gossamer.cli.inputs import Fitting, Job, Parts, Reading, Sizes
from gossamer.cli.ranks import journal
from gossamer.data.dataset import Dataset
from gossamer.errors import FitError, ModelFileError, UsageError
from gossamer.fitting.checkpoint import Journal, Run, key_of
from gossamer.fitting.makeup import Makeup
from gossamer.fitting.operator import KernelOperator
from gossamer.fitting.options import make_settings
from gossamer.fitting.parallel import ALONE
from gossamer.fitting.preconditioners import Nystrom
from gossamer.fitting.problem import Context, Problem
from gossamer.fitting.solvers import Observer, StopRule, conjugate_gradients
from gossamer.fitting.training import Start, fit_terms
from gossamer.fitting.workflow import fit
from gossamer.reduction.reducer import reduce


class Stop(Exception):
    """What interrupts a run here."""


@pytest.fixture(scope="module")
def parts():
    truth, _, _ = random_model("methyl", n_train=8)
    R = structures(60, seed=11, spread=0.08)
    p = truth.predict(R)
    return Dataset(NUMBERS, R, p.forces, p.energies).split(30, 15, 15, seed=1)


def opened(path, resume=True, **header):
    return Journal.open(path, header, resume=resume, every=0)


@pytest.mark.parametrize("stop_at", [1, 5, 6, 14])
def test_conjugate_gradients_resume_to_the_same_bits(tmp_path, stop_at):
    """Also where the best coefficients are older than the last, and the same as the last; through the file."""
    pairs, terms = CASES["methyl"]()
    K = KernelOperator.build(terms, pairs, torch.from_numpy(structures(8)), 1e-6)
    y = torch.from_numpy(np.random.default_rng(5).normal(size=K.size))
    P = Nystrom.build(K, 20, seed=0)
    monitor = lambda a: abs(float(a[:20].sum()) - 3.0)  # noqa: E731  # falls and rises
    rule = StopRule(residual=1e-9, every=2, patience=50)
    whole = conjugate_gradients(K, y, P, scale=1.0, stop=rule, observer=Observer(monitor))
    assert whole.iterations > 14
    keeper = opened(tmp_path / "c").keeper("k")

    def keep(state):
        keeper(state)
        if state.iteration == stop_at:
            raise Stop

    with pytest.raises(Stop):
        conjugate_gradients(K, y, P, scale=1.0, stop=rule, observer=Observer(monitor, keep))
    state = opened(tmp_path / "c").state("k")
    assert state.iteration == stop_at
    moved = state.on(torch.device("meta"))
    assert {v.device.type for v in (moved.x, moved.r, moved.p, moved.best_x)} == {"meta"}
    assert (moved.best_x is moved.x) == (state.best_x is state.x)
    again = conjugate_gradients(K, y, P, scale=1.0, stop=rule, start=state, observer=Observer(monitor))
    assert torch.equal(again.coefficients, whole.coefficients)
    assert again.history == whole.history
    assert again.iterations == whole.iterations


GLOBAL = {"symmetry": "none", "length": 3.0, "terms": "global"}
AUTO = {"symmetry": METHYL, "terms": "auto", "learning_steps": 3}


@pytest.mark.parametrize(("after", "kind"), [(2, GLOBAL), (9, GLOBAL), (14, GLOBAL), (6, AUTO), (14, AUTO)])
def test_a_training_interrupted_anywhere_goes_on_to_the_same_model(parts, tmp_path, after, kind):
    """In the first search, at two places of the second, and when weights have been learned."""
    options = {"solver": "cg", "memory": 4.0, "stop": StopRule(every=3), **kind}
    events = []
    whole = fit(parts.train, parts.valid, progress=events.append, **options)
    assert len(events) > after + 5
    seen = []

    def interrupt(event):
        seen.append(event)
        if len(seen) == after:
            raise Stop

    run = Run(journal=opened(tmp_path / "c"))
    with pytest.raises(Stop):
        fit(parts.train, parts.valid, run=run, progress=interrupt, **options)
    journal = opened(tmp_path / "c")
    assert journal.entries
    seen.clear()
    again = fit(parts.train, parts.valid, run=Run(journal=journal), progress=seen.append, **options)
    for ours, theirs in zip(again.model.coefficients, whole.model.coefficients, strict=True):
        np.testing.assert_array_equal(ours.V, theirs.V)
    assert again.model.provenance == whole.model.provenance
    learned, anew = ([event.stage for event in told].count("learn") for told in (events, seen))
    assert anew <= max(0, learned - 3)  # what was learned first, before kinds of model were tried, is not learned again
    assert [t.relative_noise for t in again.trials] == [t.relative_noise for t in whole.trials]
    assert [s.residual for s in again.solution.history] == [s.residual for s in whole.solution.history]


def test_columns_chosen_again_are_those_that_were_chosen(parts, monkeypatch):
    """Also where their precision depends on the noise they were first chosen for."""
    pairs, terms = CASES["methyl"]()
    monkeypatch.setattr("gossamer.fitting.preconditioners.SINGLE_FROM", 0)
    settings = make_settings({"relative_noise": 1.0, "solver": "cg", "memory": 4.0})
    made, problem = Makeup("given", pairs, terms), Problem.of(parts.train)
    first = fit_terms(made, problem, Context(settings))
    assert any(F.dtype == torch.float32 for F in first.preconditioner.factor)
    less = make_settings({"relative_noise": 1e-9, "solver": "cg", "memory": 4.0, "stop": StopRule(max_iterations=20)})
    monkeypatch.setattr("gossamer.fitting.preconditioners.SINGLE_UP_TO", 1e4)
    anew = fit_terms(made, problem, Context(less))
    kept = fit_terms(made, problem, Context(less), Start(columns_of=first.preconditioner))
    chosen = fit_terms(made, problem, Context(less), Start(columns_of=first.columns_for))
    assert not any(F.dtype == torch.float32 for F in anew.preconditioner.factor)
    assert torch.equal(kept.solution.coefficients, chosen.solution.coefficients)
    assert chosen.columns_for == kept.columns_for == first.noise


def test_what_is_finished_is_not_solved_again(parts, tmp_path):
    options = {"length": 3.0, "symmetry": METHYL, "noise": 1e-10, "memory": 4.0, "terms": "global"}
    first = fit(parts.train, parts.valid, run=Run(journal=opened(tmp_path / "c")), **options)
    stages = []
    run = Run(journal=opened(tmp_path / "c"))
    again = fit(parts.train, parts.valid, run=run, progress=lambda e: stages.append(e.stage), **options)
    assert "solve" not in stages
    np.testing.assert_array_equal(again.model.coefficients[0].V, first.model.coefficients[0].V)
    assert again.model.constant == first.model.constant
    assert again.fitted.seconds == first.fitted.seconds
    fit(parts.train, parts.valid, run=run, progress=lambda e: stages.append(e.stage), **(options | {"length": 4.0}))
    assert "solve" in stages


def test_a_failed_solution_is_remembered_as_failed(parts, tmp_path):
    pairs, terms = CASES["plain"]()
    twice = parts.train.take(np.r_[0:10, 0:10])
    settings = make_settings({"noise": 0.0, "solver": "cholesky", "memory": 4.0})
    said = []
    for _ in range(2):
        run = Run(journal=opened(tmp_path / "c"))
        with pytest.raises(FitError) as error:
            fit_terms(Makeup("given", pairs, terms), Problem.of(twice), Context(settings, run))
        said.append(str(error.value))
    assert said[0] == said[1]


def test_the_reducer_skips_finished_descriptors(parts, tmp_path):
    options = {"quantiles": (30, 60), "length": 3.0, "noise": 1e-8, "symmetry": METHYL, "memory": 4.0}
    options["terms"] = "global"
    whole = reduce(parts.train, parts.valid, parts.test, **options)

    def interrupt(event):
        if event.stage == "reduce" and event.done == 2:
            raise Stop

    run = Run(journal=opened(tmp_path / "c"))
    with pytest.raises(Stop):
        reduce(parts.train, parts.valid, parts.test, run=run, progress=interrupt, **options)
    stages = []
    run = Run(journal=opened(tmp_path / "c"))
    again = reduce(parts.train, parts.valid, parts.test, run=run, progress=lambda e: stages.append(e.stage), **options)
    until_new = stages[: stages.index("solve")] if "solve" in stages else stages
    assert until_new.count("reduce") >= 2
    assert "score" not in stages
    np.testing.assert_array_equal(again.model.coefficients[0].V, whole.model.coefficients[0].V)
    np.testing.assert_array_equal(again.model.pairs.pairs, whole.model.pairs.pairs)


def test_a_key_changes_with_anything_it_was_made_from(parts):
    pairs, terms = CASES["several"]()
    settings = make_settings({})
    made = [
        key_of("fit", terms, settings, parts.train),
        key_of("fit", terms[:1], settings, parts.train),
        key_of("fit", terms[::-1], settings, parts.train),
        key_of("fit", terms, make_settings({"seed": 1}), parts.train),
        key_of("fit", terms, make_settings({"stop": StopRule(every=9)}), parts.train),
        key_of("fit", terms, settings, parts.valid),
        key_of("fit", terms, settings, None),
        key_of("fit", CASES["methyl"]()[1], settings, parts.train),
        key_of("fit", pairs),
        key_of("fit", torch.ones(2)),
        key_of("fit", torch.ones(3)),
    ]
    assert len(set(made)) == len(made)
    assert key_of("fit", terms, settings, parts.train) == made[0]


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "c"
    opened(path, seed=0).put("a", {"v": np.arange(3.0)}, {"b": float("inf")})
    assert opened(path, seed=0).get("a").values == {"b": float("inf")}
    assert opened(path, resume=False, seed=1).get("a") is None
    with pytest.raises(UsageError, match=r"--resume: .* was made with seed 0, and here it is 1; repeat the first"):
        opened(path, seed=1)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelFileError, match=r"--resume: .* is damaged; leave --resume out"):
        opened(path, seed=0)


def test_fragments_are_compared_by_their_text_and_not_by_their_path(parts, tmp_path):
    file, out = tmp_path / "f.json", tmp_path / "x"
    fitting = Fitting(None, None, False, "auto", None, 0, 12, "cpu", None, "auto")
    job = Job(tmp_path, Reading(), Sizes(30, None, None, 0), fitting, "auto", True, "", fragments=file)
    drawn = Parts(parts.train, None, None, None)

    def kept(job, resume=True):
        return journal(out, job, drawn, ALONE, resume=resume, every=0)

    file.write_text('[{"global": true}]')
    with suppress(Stop), kept(job, resume=False) as found:
        found.put("a", {}, {})
        raise Stop
    moved = file.rename(tmp_path / "g.json")
    with suppress(Stop), kept(replace(job, fragments=moved)) as found:
        assert found.get("a") is not None
        raise Stop
    file.write_text('[{"global": true}, {"name": "a", "atoms": [0, 1]}]')
    for other in (job, replace(job, fragments=None)):
        with pytest.raises(UsageError, match=r"--resume: .* was made with the text of --fragments"), kept(other):
            pass


def test_a_symmetry_file_is_compared_by_its_text(parts, tmp_path):
    file, out = tmp_path / "perms.json", tmp_path / "x"
    fitting = Fitting(None, None, False, "auto", None, 0, 12, "cpu", None, "auto")
    job = Job(tmp_path, Reading(), Sizes(30, None, None, 0), fitting, str(file), True, "")
    drawn = Parts(parts.train, None, None, None)
    file.write_text("[[0, 1, 2]]")
    with suppress(Stop), journal(out, job, drawn, ALONE, resume=False, every=0) as found:
        found.put("a", {}, {})
        raise Stop
    file.write_text("[[0, 2, 1]]")
    for other in (job, replace(job, symmetry="none")):
        again = journal(out, other, drawn, ALONE, resume=True, every=0)
        with pytest.raises(UsageError, match=r"--resume: .* was made with"), again:
            pass


def test_states_are_written_as_often_as_asked(tmp_path):
    from gossamer.fitting.solvers import CGState

    state = CGState(1, *[torch.ones(2)] * 3, 1.0, 1.0, torch.ones(2), ())
    Journal.open(tmp_path / "a", {}, resume=False, every=1e6).keeper("k")(state)
    assert not (tmp_path / "a").exists()
    Journal.open(tmp_path / "a", {}, resume=False, every=0).keeper("k")(state)
    assert (tmp_path / "a").exists()


def command(line, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "gossamer", *line.split()], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "out", "ending"),
    [("train", "m.gossamer", signal.SIGKILL), ("train", "m.gossamer", signal.SIGINT), ("reduce", "m", signal.SIGKILL)],
)
def test_a_killed_command_resumes_to_the_same_files(tmp_path, ethanol_file, verb, out, ending):
    line = f"{verb} {ethanol_file} --train 40 --valid 10 --solver cg --symmetry none --length 20 --terms global --quiet"
    checkpoint = tmp_path / f"{out}.checkpoint"
    killed = command(f"{line} --out {out} --checkpoint-every 0", tmp_path)
    while killed.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_size > 30_000):
        time.sleep(0.02)
    assert killed.poll() is None, killed.stderr.read()
    killed.send_signal(ending)
    _, err = killed.communicate(timeout=100)
    if ending == signal.SIGINT:
        assert killed.returncode == 130
        assert f"{out}.checkpoint: repeat the command with --resume to go on from there." in err
    assert checkpoint.exists()
    other = command(f"{line} --out {out} --resume --max-images 5", tmp_path)
    _, err = other.communicate(timeout=100)
    assert other.returncode == 2
    assert "was made with --max-images left out, and here it is 5; repeat the first command" in err
    for name, extra in ((out, "--resume"), (f"fresh-{out}", "")):
        done = command(f"{line} --out {name} {extra}", tmp_path)
        _, err = done.communicate(timeout=200)
        assert done.returncode == 0, err
    models = ("",) if verb == "train" else ("model.gossamer", "full.gossamer")
    for model in models:
        assert_same_model(tmp_path / out / model, tmp_path / f"fresh-{out}" / model)
    assert not checkpoint.exists()
