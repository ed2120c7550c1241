"""The README's Python runs as it stands, and its commands exist."""

import re
import shutil
from pathlib import Path

import pytest

from gossamer.cli.main import run

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    shutil.copytree(ROOT / "examples" / "ac-ala3", tmp_path / "examples" / "ac-ala3")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert len(re.findall(r"\d+ pairs, forces: MAE \S+ meV/Angstrom", printed)) == 2
    assert printed.rstrip().endswith("eV")


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"^gossamer (\w+)", TEXT, re.M))))
def test_every_verb_shown_has_help_with_an_example(verb, capsys):
    assert run([verb, "--help"]) == 0
    assert "Example" in capsys.readouterr().out


def test_the_pictures_are_there():
    for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", TEXT):
        assert (ROOT / name).is_file(), name
