"""The command itself: help, version, a quick start, and how it ends when it is stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli.support import Command, contents

from gossamer.version import __version__

VERBS = ("inspect", "convert", "estimate", "train", "reduce", "test", "predict", "export", "report")
COMMAND = (sys.executable, "-m", "gossamer.cli")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100"}


def test_version(gossamer: Command) -> None:
    assert gossamer("--version") == (0, f"gossamer {__version__}\n", "")


@pytest.mark.parametrize("line", ["--help", ""])
def test_help_names_every_verb(line: str, gossamer: Command) -> None:
    found = gossamer(line)
    assert found.code == 0
    assert [verb for verb in VERBS if f" {verb} " not in found.out] == []


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_an_example_that_parses(verb: str, gossamer: Command) -> None:
    import typer

    from gossamer.cli.main import app

    found = gossamer(f"{verb} --help")
    assert found.code == 0
    assert f"Example: gossamer {verb} " in found.out
    command = typer.main.get_command(app)
    text = command.commands[verb].help  # type: ignore[attr-defined]
    example = text[text.index("Example: gossamer ") :].splitlines()[0].removeprefix("Example: gossamer ")
    command.commands[verb].make_context(verb, example.split()[1:])  # type: ignore[attr-defined]
    if verb != "report":
        assert "--json" in found.out


def test_help_starts_quickly() -> None:
    """Nothing heavy is imported to show help."""
    heavy = {"torch", "numpy", "scipy", "numba", "ase", "matplotlib", "networkx", "safetensors"}
    code = f"""
import sys
from gossamer.cli.main import run
assert run(["train", "--help"]) == 0
found = {heavy} & set(sys.modules)
assert not found, found
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(("stop", "times"), [(signal.SIGINT, 3), (signal.SIGTERM, 1), (signal.SIGHUP, 1)])
def test_interrupted(stop: signal.Signals, times: int, ethanol_file: Path, tmp_path: Path) -> None:
    options = "--train 25 --valid 10 --length 20 --symmetry none --terms global --out out"
    line = [*COMMAND, "reduce", str(ethanol_file), *options.split()]
    process = subprocess.Popen(
        line, cwd=tmp_path, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    assert any("reducing 1/" in line for line in lines)
    for _ in range(times):
        process.send_signal(stop)
    out, err = process.communicate(timeout=60)
    said = err.splitlines()
    assert said[-1].startswith("gossamer: interrupted; what is finished is kept in ")
    assert said[-1].endswith("out.checkpoint: repeat the command with --resume to go on from there.")
    assert "Traceback" not in err
    assert (out, process.returncode) == ("", 130)
    assert list(contents(tmp_path)) == ["out.checkpoint"]


def test_reader_goes_away(ethanol_file: Path, tmp_path: Path) -> None:
    line = [*COMMAND, "inspect", str(ethanol_file), "--json"]
    process = subprocess.Popen(line, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


def test_only_our_own_warnings_are_shown(ethanol_file: Path, tmp_path: Path) -> None:
    """Even where Python is told to raise the others."""
    code = f"""
import sys, warnings
import gossamer.data.checks as checks
from gossamer.cli.main import run
from gossamer.errors import LabelWarning
inspect = checks.inspect
def noisy(data):
    for kind in (RuntimeWarning, ResourceWarning, UserWarning, LabelWarning):
        warnings.warn(kind.__name__, kind)
    return inspect(data)
checks.inspect = noisy
sys.exit(run(["inspect", {str(ethanol_file)!r}, "--json"]))
"""
    line = [sys.executable, "-W", "error", "-X", "dev", "-c", code]
    found = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "gossamer: warning: LabelWarning\n")
