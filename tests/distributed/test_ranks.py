"""However many ranks, the same numbers: every rank holds all of them, to the last bit where there are at most 8."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from distributed.support import assert_same_model, on_ranks

from gossamer.model.model_file import load

SCRIPT = Path(__file__).parent / "one_rank.py"


def computed(folder: Path, what: str, size: int) -> list[dict[str, np.ndarray]]:
    """What every rank found."""
    name = folder / f"{what}-{size}"
    for done in on_ranks(SCRIPT, size, folder / f"store-{what}-{size}", str(name), what):
        assert done.returncode == 0, done.stderr
    return [dict(np.load(f"{name}.{rank}.npz")) for rank in range(size)]


@pytest.mark.slow
@pytest.mark.parametrize(("what", "size"), [("operators", 2), ("operators", 3), ("few", 5)])
def test_operators_and_preconditioners_do_not_depend_on_the_number_of_ranks(tmp_path, what, size):
    """Shards of unequal size, ranks with unequal numbers of shards, and ranks without any."""
    (alone,) = computed(tmp_path, what, 1)
    for found in computed(tmp_path, what, size):
        assert found.keys() == alone.keys()
        for name, values in alone.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.slow
def test_whole_trainings_do_not_depend_on_the_number_of_ranks(tmp_path):
    """Searches for length and noise, both solvers, energies as labels."""
    (alone,) = computed(tmp_path, "models", 1)
    for found in computed(tmp_path, "models", 2):
        for name, values in alone.items():
            np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-10 * np.abs(values).max(), err_msg=name)


def torchrun(size: int, arguments: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(size), "-m", "gossamer",
         *arguments.split()],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
        **options,
    )  # fmt: skip


def ranks_of(agent: int) -> dict[int, int]:
    """Process ids by rank of the ranks that a torchrun process has started."""
    import psutil

    return {int(child.environ()["RANK"]): child.pid for child in psutil.Process(agent).children()}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["--terms global --length 20", "--terms pairs --condense"])
def test_under_torchrun_one_rank_speaks_and_the_model_is_that_of_one_process(tmp_path, ethanol_file, model):
    how = f"{model} --symmetry none --solver cg --threads 1 --json"
    line = f"train {ethanol_file} --train 30 --valid 10 {how}"
    alone = subprocess.run(
        [sys.executable, "-m", "gossamer", *line.split(), "--out", "one.gossamer", "--quiet"],
        cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    run = torchrun(2, f"{line} --out two.gossamer", cwd=tmp_path)
    out, err = run.communicate(timeout=300)
    assert run.returncode == 0, err
    assert_same_model(tmp_path / "one.gossamer", tmp_path / "two.gossamer")
    found = load(tmp_path / "two.gossamer")
    assert (found.functions is not None) == any(c.few is not None for c in found.coefficients) == ("pairs" in model)
    assert out.count('"kind": "train"') == alone.stdout.count('"kind": "train"') == 1
    assert err.count("structures: 30 to train") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.gossamer", "one.json", "two.gossamer", "two.json"]


@pytest.mark.slow
def test_under_torchrun_what_all_ranks_refuse_is_said_once(tmp_path, ethanol_file):
    run = torchrun(2, f"train {ethanol_file} --train 10000 --threads 1 --out m.gossamer", cwd=tmp_path)
    _, err = run.communicate(timeout=300)
    said = [text for text in err.splitlines() if text.startswith("gossamer: ")]
    assert run.returncode == 1
    assert len(said) == 1, err
    assert "10000" in said[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.rank_loss
@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_rank_ends_in_one_sentence_and_a_checkpoint_to_resume_from(tmp_path, ethanol_file, victim):
    line = f"train {ethanol_file} --train 40 --valid 10 --solver cg --terms global --threads 1 --quiet"
    run = torchrun(2, f"{line} --out m.gossamer --checkpoint-every 0", cwd=tmp_path)
    checkpoint = tmp_path / "m.gossamer.checkpoint"
    while run.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_size > 20_000):
        time.sleep(0.02)
    assert run.poll() is None, run.stderr.read()
    os.kill(ranks_of(run.pid)[victim], signal.SIGKILL)
    _, err = run.communicate(timeout=300)
    assert run.returncode == 1
    said = [text for text in err.splitlines() if text.startswith("gossamer: ")]
    assert len(said) == 1, err
    assert re.fullmatch(
        r"gossamer: (ranks: rank \d of 2 lost the connection.* --resume .*|interrupted; .* --resume .*)", said[0]
    )
    assert checkpoint.exists()
    again = torchrun(2, f"{line} --out m.gossamer --resume", cwd=tmp_path)
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    fresh = torchrun(1, f"{line} --out fresh.gossamer", cwd=tmp_path)
    fresh.communicate(timeout=300)
    assert_same_model(tmp_path / "m.gossamer", tmp_path / "fresh.gossamer")
    assert not checkpoint.exists()
