"""Functions that take few arguments: what belongs together travels in one record."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "gossamer"
MANY, AT_MOST = 8, 8
# commands have an argument for every option; loops that numba and Triton compile take arrays one by one
LEFT_OUT = ("cli", "backends")


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    a = function.args
    found = [arg.arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg)))]
    return found[1:] if found[:1] in (["self"], ["cls"]) else found


def with_many(source: str) -> list[str]:
    """Names of the functions of eight arguments or more."""
    functions = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [function.name for function in functions if len(arguments(function)) >= MANY]


def test_few_functions_take_many_arguments():
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in LEFT_OUT]
    assert len(files) > 80
    found = [(path.name, name) for path in files for name in with_many(path.read_text(encoding="utf-8"))]
    assert len(found) <= AT_MOST, found


def test_arguments_of_every_kind_are_counted():
    assert with_many("def f(a, b, /, c, d, *e, g, h=1, **i): pass") == ["f"]
    assert (
        with_many("class A:\n  async def f(self, b, c, d, e, g, h, i): pass\n  def g(a, b, c, d, e, f, g): pass") == []
    )
