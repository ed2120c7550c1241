"""Streams that are closed, full, without a reader or of few letters, and names that would move a terminal's cursor."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli.support import TRAIN, Command

from gossamer.cli.streams import plain

SIZES = TRAIN.replace(" --quiet", "")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
LINES = {
    "train": (f"train good.npz {SIZES} --report page.html --out x", ["x", "x.json", "page.html"]),
    "reduce": (
        f"reduce good.npz {SIZES.replace('30', '12').replace('10', '8')} --tolerance 0.3 --out x",
        ["x/model.gossamer", "x/full.gossamer", "x/record.json", "x/report.html"],
    ),
    "convert": ("convert good.npz x.extxyz", ["x.extxyz"]),
    "predict": ("predict m.gossamer good.npz --out x.npz", ["x.npz"]),
    "report": ("report m.json --out x.html", ["x.html"]),
}


@pytest.fixture
def work(shelf_folder: Path, tmp_path: Path) -> Path:
    for name in ("good.npz", "m.gossamer", "m.json"):
        (tmp_path / name).write_bytes((shelf_folder / name).read_bytes())
    return tmp_path


def shell(line: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell in which $G is the command."""
    environment = ENVIRONMENT | {"G": f"{sys.executable} -m gossamer"} | more
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )


@pytest.mark.parametrize(("verb", "streams"), [
    ("train", "2>&1 | head -c 1"), ("train", "2>&1 >/dev/full | head -c 1"), ("reduce", ">&- 2>&- <&-"),
    ("convert", ">&-"), ("predict", "2>&1 | head -c 1"), ("report", ">&- 2>&-"),
])  # fmt: skip
def test_a_lost_stream_is_no_failure(verb: str, streams: str, work: Path) -> None:
    line, files = LINES[verb]
    found = shell(f"$G {line} {streams}; exit ${{PIPESTATUS[0]}}", work)
    assert found.returncode == ("/dev/full" in streams)
    assert "Traceback" not in found.stderr
    assert "unexpected" not in found.stderr
    assert [name for name in files if not (work / name).stat().st_size] == []
    assert [p.name for p in work.iterdir() if p.name.startswith(".") or "checkpoint" in p.name] == []


def test_a_full_output_is_told(work: Path) -> None:
    for line in ("inspect good.npz --json", "--version"):
        found = shell(f"$G {line} >/dev/full", work)
        assert (found.returncode, found.stderr.count("\n")) == (1, 1), found
        assert found.stderr.startswith("gossamer: standard output: no space left on device; ")
    assert shell("$G inspect lost.npz 2>/dev/full", work).returncode == 1


@pytest.mark.parametrize(("verb", "few"), [
    ("reduce", {"PYTHONIOENCODING": "ascii"}), ("train", {"PYTHONIOENCODING": "latin-1"}),
    ("train", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
])  # fmt: skip
def test_few_letters(verb: str, few: dict[str, str], work: Path) -> None:
    line, files = LINES[verb]
    environment = ENVIRONMENT | few
    found = subprocess.run(
        [sys.executable, "-m", "gossamer", *line.split()], cwd=work, env=environment, capture_output=True, check=False
    )
    assert found.returncode == 0, found.stderr
    if "latin-1" in few.values():
        assert "meV/Å".encode("latin-1") in found.stdout
    else:
        assert found.stdout.isascii()
        assert found.stderr.isascii()
        assert b"meV/A" in found.stdout
    assert all((work / name).exists() for name in files)


HOSTILE = "a\x1b[31mred\x07\r\x9b2J\x7f\u202e\u2028b\tc"


def test_plain_keeps_letters_and_shows_controls() -> None:
    assert plain("Ethanol, 5 Å ≥ 4, 乙醇") == "Ethanol, 5 Å ≥ 4, 乙醇"
    shown = plain(f"{HOSTILE}\n\udcff")
    assert shown == r"a\x1b[31mred\x07\r\x9b2J\x7f\u202e\u2028b\tc\n\udcff"


@pytest.mark.parametrize("line", [
    "inspect {data}", "convert {data} {out}", "convert {data} {out} --json", "inspect {data} --json",
    f"train {{data}} {SIZES} --out {{out}}", "inspect {data} --energy-key {key}", "inspect lost{key}",
    "{key} x", "train --{key}", "predict m.gossamer {data} --out {out}", "test m.gossamer {data} --index {key}",
    "--debug inspect lost{key}", f"train {{data}} {SIZES} --out {{out}} --symmetry {{key}}",
])  # fmt: skip
def test_names_do_not_reach_the_terminal_raw(line: str, gossamer: Command, work: Path, monkeypatch) -> None:
    """Names of files and data sets, theories, keys and wrong words of the command line."""
    data, out = f"d{HOSTILE}\n.npz", f"o{HOSTILE}\n.npz"
    with np.load(work / "good.npz") as file:
        arrays = dict(file) | {"theory": np.array(f"B3LYP{HOSTILE}\nok"), "name": np.array(f"n{HOSTILE}\nok")}
    np.savez(work / data, **arrays)
    words = [word.format(data=data, out=out, key=HOSTILE) for word in line.split()]
    monkeypatch.chdir(work)
    found = gossamer(shlex.join(words))
    printed = found.out + found.err
    assert [c for c in printed if c != plain(c) and c != "\n"] == []
    assert "unexpected" not in printed
    assert "\nok" not in printed
    if "--json" in words and found.code == 0:
        json.loads(found.out)
    else:
        assert r"\x1b[31m" in printed
    if "lost" in line and "--debug" not in line:
        assert found.err.count("\n") == 1


def test_a_name_that_is_no_text(work: Path) -> None:
    """A file name of bytes that are no UTF-8 is printed escaped, and stands in record and report."""
    name = b"g\xff.npz"
    os.link(work / "good.npz", os.path.join(os.fsencode(work), name))
    line: list[str | bytes] = [sys.executable, "-m", "gossamer", "train", name, *SIZES.split()]
    line += ["--report", "p.html", "--out", "x"]
    found = subprocess.run(line, cwd=work, env=ENVIRONMENT, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr
    assert rb"g\udcff.npz" in found.stderr
    assert rb"g\udcff" in (work / "p.html").read_bytes()
