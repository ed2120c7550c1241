"""Functions that take few arguments: what belongs together travels in one record."""

import ast
from pathlib import Path

from gossamer.cli.main import app

PACKAGE = Path(__file__).parents[2] / "src" / "gossamer"
MANY, AT_MOST = 8, 8
VERBS = {command.callback.__name__ for command in app.registered_commands}  # of cli: an argument an option
WITH_MANY = {
    "chemistry/fragments.py": ["local_fragments"],
    "data/formats/__init__.py": ["read"],
    "fitting/estimate.py": ["estimate"],
    "fitting/result.py": ["train"],
    "fitting/workflow.py": ["fit"],
    "reduction/reducer.py": ["reduce"],
    "backends/torch/_triton.py": ["_tiles"],  # Triton takes pointers one by one
}


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
    files = {str(path.relative_to(PACKAGE).as_posix()): path for path in PACKAGE.rglob("*.py")}
    assert len(files) > 150
    found = {name: with_many(path.read_text(encoding="utf-8")) for name, path in files.items()}
    assert {verb for name in list(found) if name.startswith("cli/") for verb in found.pop(name)} <= VERBS
    assert {name: functions for name, functions in found.items() if functions} == WITH_MANY
    assert sum(map(len, WITH_MANY.values())) <= AT_MOST


def test_arguments_of_every_kind_are_counted():
    assert with_many("def f(a, b, /, c, d, *e, g, h=1, **i): pass") == ["f"]
    assert (
        with_many("class A:\n  async def f(self, b, c, d, e, g, h, i): pass\n  def g(a, b, c, d, e, f, g): pass") == []
    )
