"""A record -> one HTML file that needs nothing else: pictures, 3D viewer, tables and the record itself."""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from gossamer.files import write_text
from gossamer.records.md import MdRecord
from gossamer.records.record import Record, ReduceRecord, from_json
from gossamer.reporting import pages, theme
from gossamer.reporting.markup import Html, element, join, prose, script_json
from gossamer.reporting.md import md_page
from gossamer.reporting.sections import Section


def report(record: Record | MdRecord | Mapping[str, Any], path: str | Path) -> Path:
    """Write the report of a record (`reduce(...).record`, `train(...).record`, `observe(...)` of a trajectory, or the
    JSON of one of the first two, of this or an older version) to one HTML file that works without a network.  Returns
    the path.  The same record gives the same bytes.

    Raises DataError, which names the field, for JSON of no record or a damaged one, OutputError when the file cannot be
    written."""
    return write_text(path, render(from_json(record) if isinstance(record, Mapping) else record))


def render(record: Record | MdRecord) -> str:
    """The report of a record as HTML text."""
    page = _page(record)
    viewer = any('class="stage"' in section.body for section in page.sections)
    scripts = [_library(), _file("viewer.js")] if viewer else [_file("viewer.js")]
    links = [element("li", element("a", s.title, href=f"#s{k}")) for k, s in enumerate(page.sections)]
    return Template(_file("page.html")).substitute(
        policy=_policy(scripts),
        version=join([record.version]),
        title=join([page.headline.partition(":")[0], " · ", page.subject, " · Gossamer"]),
        style=theme.css_variables() + "\n" + _file("page.css"),
        subject=join([page.subject]),
        headline=prose(page.headline),
        lead=join([page.lead]),
        tiles=_tiles(page.tiles),
        contents=element("nav", element("ul", *links), aria_label="Contents"),
        sections=join(_section(f"s{k}", section) for k, section in enumerate(page.sections)),
        footer=join([page.footer]),
        record=script_json(packed(record.to_json())),
        scripts=join(Html(f"<script>{script}</script>\n") for script in scripts),
    )


def packed(values: dict[str, Any]) -> dict[str, Any]:
    """The JSON values of a record with its pairs, of which large molecules have tens of thousands, as columns that are
    compressed (zlib) and written in base64; the viewer and `unpacked` have them back."""
    if not values.get("pairs"):
        return values
    columns = {key: [pair[key] for pair in values["pairs"]] for key in values["pairs"][0]}
    text = json.dumps(columns, separators=(",", ":"), allow_nan=False)
    return values | {"pairs": {"zlib": base64.b64encode(zlib.compress(text.encode(), 9)).decode()}}


def unpacked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON values of a record from those that its page holds."""
    pairs = values.get("pairs")
    if not isinstance(pairs, Mapping):
        return dict(values)
    columns = json.loads(zlib.decompress(base64.b64decode(pairs["zlib"])))
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {**values, "pairs": rows}


def _page(record: Record | MdRecord) -> pages.Page:
    if isinstance(record, MdRecord):
        return md_page(record)
    return pages.reduce_page(record) if isinstance(record, ReduceRecord) else pages.train_page(record)


def _section(name: str, section: Section) -> Html:
    intro = element("p", prose(section.intro)) if section.intro else None
    return element("section", element("h2", section.title), intro, section.body, id=name)


def _tiles(tiles: list[pages.Tile]) -> Html:
    def tile(label: str, value: str, unit: str, note: str) -> Html:
        big = element("dd", value, element("small", " ", unit) if unit else None, class_="value")
        return element("div", element("dt", label), big, element("dd", note, class_="note") if note else None)

    return element("dl", *(tile(*parts) for parts in tiles), class_="tiles")


def _file(name: str) -> str:
    return (files("gossamer.reporting") / "viewer" / name).read_text(encoding="utf-8")


def _library() -> str:
    """3Dmol with its licence, which asks to travel along."""
    return f"/*!\n{_file('3Dmol-LICENSE.txt')}*/\n{_file('3Dmol-min.js')}"


def _policy(scripts: list[str]) -> str:
    """A content security policy: exactly these scripts run, and nothing is loaded from anywhere."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
