"""`train --error-bars`, `predict --std`, and what `test` says of them."""

import json

import numpy as np
import pytest

TRAIN = "--train 20 --valid 12 --test 8 --terms global --length 20 --noise 1e-8 --symmetry none --quiet"


def test_error_bars_from_training_to_files(gossamer, ethanol_file, tmp_path):
    model, out = tmp_path / "m.gossamer", tmp_path / "p.npz"
    assert gossamer(f"train {ethanol_file} {TRAIN} --error-bars --out {model}").code == 0
    record = json.loads((tmp_path / "m.json").read_text())
    assert len(record["error_bars"]["forces"]["coverage"]) == 4
    told = gossamer(f"predict {model} {ethanol_file} --std --out {out}")
    assert told.code == 0
    assert "with standard deviations" in told.out
    with np.load(out) as file:
        assert file["F_std"].shape == file["F"].shape
        assert np.all(file["E_std"] > 0)
    said = gossamer(f"test {model} {ethanol_file}")
    assert said.code == 0
    assert "Error bars" in said.out
    assert "in 68%" in said.out
    begun = f"md {model} {ethanol_file} --steps 10 --quiet --out {tmp_path}/md.extxyz"
    stopped = gossamer(f"{begun} --guard stop --guard-std 1e-6")
    assert stopped.code != 0
    assert "stopped by the guard: step 0: the standard deviation of a force" in stopped.err
    values = json.loads(gossamer(f"test {model} {ethanol_file} --json").out)
    assert set(values["error_bars"]) == {"forces", "energies"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("predict m.gossamer good.npz --std --out results/p.npz", "std: the model has no error bars"),
        (f"train good.npz {TRAIN} --valid 0 --error-bars --out results/m.gossamer", "error_bars: 0 validation"),
    ],
)
def test_bad_input_is_one_sentence(gossamer, shelf, line, said):
    ended = gossamer(line)
    assert ended.code != 0
    assert said in ended.err
    assert "Traceback" not in ended.err
