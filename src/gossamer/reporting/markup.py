"""HTML that cannot forget to escape: plain strings are text, only `Html` is markup."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_VOID = frozenset({"br", "img", "input"})  # elements without a closing tag


class Html(str):
    """Text that is markup already."""


def element(tag: str, *children: object, **attributes: object) -> Html:
    """<tag attributes>children</tag>; children that are not Html are escaped, as are attribute values.

    `class_`, `for_` lose their underscore and `aria_label` becomes aria-label; True gives a bare attribute, False and
    None give none.
    """
    opening = tag
    for name, value in attributes.items():
        name = name.rstrip("_").replace("_", "-")
        if value is True:
            opening += f" {name}"
        elif value is not None and value is not False:
            opening += f' {name}="{escape(str(value))}"'
    return Html(f"<{opening}>" if tag in _VOID else f"<{opening}>{join(children)}</{tag}>")


def join(children: Iterable[object]) -> Html:
    """The children one after another; None is left out."""
    return Html("".join(c if isinstance(c, Html) else escape(str(c)) for c in children if c is not None))


def table(caption: str, head: Sequence[object], rows: Iterable[Sequence[object]], marked: int = -1) -> Html:
    """A table with at least one row, whose first column names the row; it scrolls sideways on narrow screens."""
    rows = list(rows)
    kinds = ["text" if isinstance(cell, str) and not _numeric(cell) else None for cell in rows[0]]
    titles = (
        [element("th", title, scope="col", class_=kind) for title, kind in zip(head, kinds, strict=True)]
        if head
        else []
    )
    body = []
    for k, row in enumerate(rows):
        cells = [element("td", cell, class_=kind) for cell, kind in zip(row[1:], kinds[1:], strict=True)]
        body.append(element("tr", element("th", row[0], scope="row"), *cells, class_="chosen" if k == marked else None))
    inner = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *titles)) if titles else None,
        element("tbody", *body),
    )
    return element("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def script_json(value: Any) -> Html:
    """A value as JSON that may stand inside <script>: nothing in it can end the element; NaN and inf become null."""
    text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), default=str)
    return Html(
        text.replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def prose(text: object) -> Html:
    """Text in which a number and its unit stay on one line."""
    if isinstance(text, Html):
        return text
    return Html(re.sub(r"[\d.,]+ (?:meV/Å|kcal/mol/Å|Å|%)", r'<span class="q">\g<0></span>', escape(str(text))))


def formula(text: object) -> Html:
    """A chemical formula with its counts lowered."""
    parts = re.split(r"(\d+)", str(text))
    return join(element("sub", part) if part.isdigit() else part for part in parts)


def _numeric(cell: str) -> bool:
    return bool(re.fullmatch(r"[-+\d.,/ %–]*", cell))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
