"""Ways to damage a file: bytes, words and lines of any file; arrays of an npz, so that its check sums still hold;
values of a JSON file."""

import io
import json
import random
import re
from typing import Any

import numpy as np

POISON = [
    b"", b"\n", b"\0", b"-", b"nan", b"inf", b"-inf", b"1e999", b"1e308", b"-1", b"0", b"9" * 30, b"9" * 5000,
    b"999999999", b"99999999999999", b"********", b"1_0", b"1,5", b"NaN NaN NaN", b"\xff\xfe", b"\xef\xbb\xbf",
    b'"', b"'", b"{", b"[", b"(", b"=", b"\\", b":", b"\t", b"\r", b"None", b"true", b"furlong", b"\x1b[31m",
    b"\xe2\x80\xae", b"[" * 3000, b"(" * 3000,
]  # fmt: skip
_WORD = re.compile(rb"[^\s,;:=\"'()\[\]{}]+")


def mutate(content: bytes, suffix: str, others: list[bytes], rng: random.Random) -> bytes:
    """One damaged file.  suffix: of its name; others: files to take pieces from."""
    structured = {".npz": _npz, ".gossamer": _gossamer, ".json": _json, ".fragments": _json}.get(suffix)
    if structured is not None and rng.random() < 0.7:
        try:
            return structured(content, rng)
        except Exception:  # a sample that is damaged already
            pass
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        content = rng.choice((_bytes, _cut, _words, _words, _lines, _splice))(content, others, rng)
    return content


def _bytes(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 2, 8))):
        if damaged:
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return bytes(damaged)


def _cut(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] if rng.random() < 0.7 else content[place:]


def _words(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    word = _WORD.search(content, start) or _WORD.search(content)
    if word is None:
        return content + rng.choice(POISON)
    more = rng.choice((b"", word[0], b" " + word[0]))
    return content[: word.start()] + rng.choice(POISON) + more + content[word.end() :]


def _lines(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 1:
        lines.insert(one, lines[other])
    elif kind == 2:
        del lines[one : one + rng.choice((1, 1, 5))]
    elif kind == 3:
        lines.insert(one, rng.choice(POISON))
    else:
        lines[one:one] = lines[min(one, other) : max(one, other)]
    return b"\n".join(lines)[:2_000_000]


def _splice(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others)
    start, place = rng.randrange(len(other) + 1), rng.randrange(len(content) + 1)
    return content[:place] + other[start : start + rng.choice((8, 100, 5000))] + content[place + rng.choice((0, 50)) :]


def _npz(content: bytes, rng: random.Random) -> bytes:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays: dict[str, Any] = {name: file[name] for name in file.files}
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(sorted(arrays))
        if rng.random() < 0.15:
            arrays[rng.choice((*sorted(arrays), "R", "z", "E", "F", "perms"))] = arrays.pop(name)
        else:
            arrays[name] = _array(np.asarray(arrays[name]), rng)
    stream = io.BytesIO()
    np.savez(stream, **{name: value for name, value in arrays.items() if value is not None})
    return stream.getvalue()


def _gossamer(content: bytes, rng: random.Random) -> bytes:
    """A model file with another header, other arrays, or both."""
    from safetensors.numpy import load, save

    size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["gossamer"])
    arrays = load(content)
    if rng.random() < 0.5:
        header = _tree(header, rng)
    else:
        name = rng.choice(sorted(arrays))
        changed = _array(arrays.pop(name), rng)
        if isinstance(changed, np.ndarray) and changed.dtype.kind in "fiub":
            arrays[name] = np.ascontiguousarray(changed)
    return save(arrays, {"gossamer": json.dumps(header)})


def _array(array: np.ndarray, rng: random.Random) -> Any:
    """Another array in the place of this one; None: none at all."""
    kind = rng.randrange(11)
    if kind == 0:
        return None
    if kind == 1:
        return array[: rng.randrange(len(array) + 1)] if array.ndim else np.array([array, array])
    if kind == 2:
        return array.reshape(-1)[: rng.randrange(array.size + 1)]
    if kind == 3:
        return array[None] if rng.random() < 0.5 else array.T
    if kind == 4:
        with np.errstate(all="ignore"):
            return array.astype(rng.choice(("U8", "S3", "f4", "f2", "i1", "u8", "c16", "?")))
    if kind == 5:
        return np.array(rng.choice(("", "nonsense", "\0", "[" * 3000, '{"a": null}', "eV", "\x1b[31m")))
    if kind == 6:
        return np.array([{"a": 1}], dtype=object)
    if kind == 7 and array.dtype.kind in "US":
        text = str(array.item()) if array.size == 1 else ""
        return np.array(_damaged_text(text, rng))
    spoiled = np.array(array, copy=True)
    if spoiled.size and spoiled.dtype.kind in "fiuc":
        value = rng.choice((np.nan, np.inf, -1, 0, 1e308, 1e-320, 255, 2**31, 10**9))
        with np.errstate(all="ignore"):
            flat = spoiled.astype(np.float64) if rng.random() < 0.3 else spoiled
            try:
                flat.reshape(-1)[rng.randrange(flat.size)] = value
            except (ValueError, OverflowError):
                return flat.astype(np.float64) * np.nan
            return flat
    return spoiled


def _damaged_text(text: str, rng: random.Random) -> str:
    try:
        return json.dumps(_tree(json.loads(text), rng))
    except ValueError:
        place = rng.randrange(len(text) + 1)
        return text[:place] + rng.choice(POISON).decode("latin-1") + text[place + 1 :]


def _json(content: bytes, rng: random.Random) -> bytes:
    return json.dumps(_tree(json.loads(content), rng)).encode()


def _tree(value: Any, rng: random.Random) -> Any:
    """The same tree with one part changed."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        changed = dict(value)
        if rng.random() < 0.15:
            del changed[key]
        else:
            changed[key] = _tree(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return [*value[:place], _tree(value[place], rng), *value[place + rng.choice((1, 1, 0)) :]]
    odd = (
        None,
        True,
        float("nan"),
        float("inf"),
        -1,
        0,
        10**400,
        1e308,
        "",
        "x",
        [],
        {},
        [[]],
        [None],
        "\0",
        0.5,
        [value],
    )
    return rng.choice(odd)
