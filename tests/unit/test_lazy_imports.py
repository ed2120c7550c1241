"""Imports inside functions, and those of benchmarks, name what is there: a module that moves leaves none behind."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("src", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py"))
NEEDS_EXTRA = {"gossamer.backends.torch._triton"}


def imports(tree: ast.AST) -> Iterator[ast.ImportFrom]:
    """All but those for the type checker."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom):
            yield node
        yield from imports(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_import_of_our_own_finds_its_name(path: Path) -> None:
    for node in imports(ast.parse(path.read_text(encoding="utf-8"))):
        name = node.module or ""
        if name.split(".")[0] != "gossamer" or name in NEEDS_EXTRA:
            continue
        module = import_module(name)
        for member in node.names:
            beside = Path(str(module.__file__)).parent / f"{member.name}.py"
            assert hasattr(module, member.name) or beside.exists(), f"line {node.lineno}: no {member.name} in {name}"
