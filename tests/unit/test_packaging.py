"""What pyproject.toml promises: every dependency is used, nothing else imported, and types are there for checkers."""

import ast
import re
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest

import gossamer

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


NAMED_ELSE = {"torch_sim": "torch_sim_atomistic"}  # modules that are not called as what pip installs


def names(requirements):
    return {re.split(r"[^\w-]", r)[0].lower().replace("-", "_") for r in requirements}


def imported(source):
    """Top-level names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


@pytest.fixture(scope="module")
def used():
    files = (ROOT / "src" / "gossamer").rglob("*.py")
    found = {NAMED_ELSE.get(name, name) for file in files for name in imported(file.read_text())}
    return found - set(sys.stdlib_module_names) - {"gossamer"}


def test_every_import_is_declared(used):
    extras = PROJECT["optional-dependencies"]
    optional = names(r for extra in extras if extra not in ("dev", "docs") for r in extras[extra])
    assert used <= names(PROJECT["dependencies"]) | optional


def test_every_dependency_is_imported(used):
    assert names(PROJECT["dependencies"]) <= used


def test_type_checkers_may_look_inside():
    assert (resources.files(gossamer) / "py.typed").is_file()
