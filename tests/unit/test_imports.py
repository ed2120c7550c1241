"""Imports have no ring, inside packages either, but for methods that open a door when they are called (decision 10)."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import gossamer

SOURCE = Path(gossamer.__file__).parent
DOORS = {
    ("gossamer.model.force_field", "gossamer.model.model_file"),
    ("gossamer.model.force_field", "gossamer.model.sgdml_file"),
    ("gossamer.model.force_field", "gossamer.engines.ase"),
    ("gossamer.model.network", "gossamer.model.network_file"),
    ("gossamer.data.dataset", "gossamer.data.splitting"),
    ("gossamer.data.dataset", "gossamer.data.from_atoms"),
}


def name_of(path):
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCE.rglob("*.py")}


def imports(node, inside=False):
    """(module, whether inside a function) of every import below a node but those for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, inside) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield (full if full in MODULES else child.module), inside
        yield from imports(child, inside or isinstance(child, ast.FunctionDef))


def graph():
    """Module -> {module that it imports: whether inside functions alone}."""
    found = {}
    for name, path in MODULES.items():
        found[name] = edges = {}
        for target, inside in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if target in MODULES and target != name:
                edges[target] = edges.get(target, True) and inside
    return found


def ring(edges):
    """The modules of a ring, () where there is none."""
    try:
        tuple(TopologicalSorter(edges).static_order())
    except CycleError as error:
        return tuple(error.args[1])
    return ()


def test_there_is_no_ring_but_for_doors():
    assert ring({name: {to for to in targets if (name, to) not in DOORS} for name, targets in graph().items()}) == ()


@pytest.mark.parametrize(("record", "door"), sorted(DOORS))
def test_every_door_is_opened_by_a_method_and_needs_to_be_listed(record, door):
    found = graph()
    assert found[record][door], "it is imported when the record is"
    others = DOORS - {(record, door)}
    assert ring({name: {to for to in targets if (name, to) not in others} for name, targets in found.items()})


def test_rings_are_seen():
    assert set(ring({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def test_records_load_none_of_their_doors():
    code = "import sys, gossamer.model.force_field, gossamer.data.dataset; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "gossamer.model.force_field" in loaded
    assert not {door for _, door in DOORS} & set(loaded)
