"""Programs that are installed only where somebody wants them."""

from importlib import import_module
from typing import Any

from gossamer.errors import UsageError


def extra(name: str, module: str) -> Any:
    """The module of a program that `pip install 'gossamer[name]'` brings.  Raises UsageError where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(f"{name}: the package {module} is not installed; pip install 'gossamer[{name}]'.") from error
