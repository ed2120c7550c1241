"""Frozen dataclasses of plain values <-> JSON values, by the types of their fields."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from gossamer.errors import DataError

MOST = 10**300  # of a whole number: what a float still holds
_CALLED = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


class _Fault(Exception):
    """What is wrong, and where: the keys and numbers that lead there, the innermost first."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.path: list[str] = []


class _Field(NamedTuple):
    kind: Any
    needed: bool


def encode(value: Any) -> Any:
    """JSON values of a dataclass; tuples become lists, numbers that are not finite null."""
    if is_dataclass(value):
        return {f.name: encode(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def decode(kind: type, values: Any, name: str) -> Any:
    """The dataclass `kind` from JSON values.  A field that has a default may be missing or null; keys that are none of
    the fields are passed over.  name: of the whole in messages.  Raises DataError, which names the first field that is
    wrong."""
    try:
        return _decode(kind, values)
    except _Fault as fault:
        where = "".join(reversed(fault.path)).lstrip(".")
        raise DataError(f"{name}: {f'{where} ' if where else 'it '}{fault.what}; write the record again.") from None


def _decode(kind: Any, value: Any) -> Any:
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        (inner,) = (arg for arg in get_args(kind) if arg is not NoneType)
        gone = value is None or (isinstance(value, float) and not math.isfinite(value))
        return None if gone else _decode(inner, value)
    if origin is Annotated:
        return math.nan if value is None else _decode_number(value)
    if origin is Literal:
        if value not in get_args(kind):
            raise _wrong(value, f"one of {', '.join(map(str, get_args(kind)))}")
        return value
    if origin is tuple:
        return _decode_tuple(get_args(kind), value)
    if origin is dict:
        return _decode_dict(get_args(kind), value)
    if is_dataclass(kind):
        return _decode_fields(kind, value)
    if kind is float:
        number = _decode_number(value)
        if not math.isfinite(number):
            raise _wrong(value, "a finite number")
        return number
    if not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or abs(value) > MOST)):
        raise _wrong(value, _CALLED[kind])
    return value


def _decode_number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or (isinstance(value, int) and abs(value) > MOST):
        raise _wrong(value, "a number")
    return float(value)


def _decode_tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(value, "a list")
    if kinds[-1] is not Ellipsis and len(kinds) != len(value):
        raise _wrong(value, f"a list of {len(kinds)}")
    found = []
    for k, item in enumerate(value):
        try:
            found.append(_decode(kinds[0] if kinds[-1] is Ellipsis else kinds[k], item))
        except _Fault as fault:
            fault.path.append(f"[{k}]")
            raise
    return tuple(found)


def _decode_dict(kinds: tuple[Any, Any], value: Any) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(value, "an object")
    found = {}
    for key, item in value.items():
        try:
            found[_decode(kinds[0], key)] = _decode(kinds[1], item)
        except _Fault as fault:
            fault.path.append(f".{key}"[:40])
            raise
    return found


def _decode_fields(kind: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong(value, "an object")
    found = {}
    for name, field in _fields(kind).items():
        item = value.get(name)
        if item is None and not field.needed:
            continue
        try:
            if name not in value:
                raise _Fault("is missing")
            found[name] = _decode(field.kind, item)
        except _Fault as fault:
            fault.path.append(f".{name}")
            raise
    return kind(**found)


@cache
def _fields(kind: Any) -> dict[str, _Field]:
    hints = get_type_hints(kind, include_extras=True)
    return {f.name: _Field(hints[f.name], f.default is MISSING and f.default_factory is MISSING) for f in fields(kind)}


def finite(value: Any) -> float | None:
    """A JSON value as a number; None where it is none, or not finite."""
    try:
        number = _decode_number(value)
    except _Fault:
        return None
    return number if math.isfinite(number) else None


def shown(value: Any) -> str:
    """A JSON value for a message: one line, not long."""
    text = "null" if value is None else " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def _wrong(value: Any, wanted: str) -> _Fault:
    return _Fault(f"is {shown(value)}, but must be {wanted}")
