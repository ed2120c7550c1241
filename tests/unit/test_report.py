"""The report: one file, no network, every kind of record, hostile text, the same bytes twice."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gossamer.errors import DataError, OutputError, UsageError
from gossamer.records.parts import Geometry
from gossamer.records.record import ReduceRecord, from_json
from gossamer.reporting import figures, term_figures
from gossamer.reporting.captions import CAPTIONS
from gossamer.reporting.chemistry import molecules, spelled
from gossamer.reporting.html import report, unpacked
from gossamer.reporting.reading import limit, relevance_models
from gossamer.reporting.terms import choice_sentence, work
from gossamer.reporting.theme import LIGHT

Record = dict[str, Any]
HOSTILE = (
    "</script><script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)> & \"q\" ${name} $5 \\u003c"
)
VOID = {"meta", "link", "img", "br", "hr", "input", "col"}


# A record as `gossamer reduce` writes it, made from a geometry and a seed ------------------------------------------


def ethanol() -> tuple[list[str], np.ndarray]:
    """Symbols and positions (9, 3) Angstrom."""
    positions = [
        [-1.17, -0.40, 0.00], [0.06, 0.55, 0.00], [1.21, -0.27, 0.00], [-1.13, -1.04, 0.89], [-1.13, -1.04, -0.89],
        [-2.10, 0.18, 0.00], [0.04, 1.20, 0.89], [0.04, 1.20, -0.89], [1.98, 0.32, 0.00],
    ]  # fmt: skip
    return list("CCOHHHHHH"), np.array(positions)


def reduce_record(symbols: list[str], positions: np.ndarray, seed: int = 0, keep: float = 0.385) -> Record:
    """A plausible record of `gossamer reduce` of version 1: errors grow as pairs go, relevance falls with distance."""
    rng = np.random.default_rng(seed)
    i, j = np.tril_indices(len(symbols), -1)
    distance = np.linalg.norm(positions[i] - positions[j], axis=1)
    score = 10 ** (-0.9 - 0.22 * distance + 0.42 * rng.normal(size=len(i)))
    kept = np.argsort(np.argsort(-score)) < round(keep * len(i))

    def model(label: str, selection: str, share: float, penalty: float, quantile: int | None = None) -> Record:
        count = max(1, round(share * len(i)))
        rows = {"shortest": np.argsort(distance), "random": rng.permutation(len(i))}.get(selection, np.argsort(-score))[
            :count
        ]
        rmse = 0.0448 * (1 + penalty * (1 - share) ** 5 + 0.004 * rng.normal())
        return {
            "label": label, "quantile": quantile, "selection": selection, "pairs": count, "orbits": round(0.9 * count),
            "pairs_below_5A": int((distance[rows] < 5).sum()), "pairs_above_5A": int((distance[rows] >= 5).sum()),
            "longest_A": float(distance[rows].max()), "pairs_per_atom": count / len(symbols),
            "force_mae": 0.72 * rmse, "force_rmse": rmse, "tested_on": "test",
            "valid_force_mae": 0.71 * rmse, "valid_force_rmse": 0.99 * rmse, "energy_mae": 0.6 * rmse,
            "energy_rmse": 0.8 * rmse,
            "seconds": 4 + 20 * share, "iterations": 180, "status": "converged", "residual": 2e-4, "length": 20.0,
        }  # fmt: skip

    deciles = range(10, 100, 10)
    reference, energies = rng.normal(scale=1.1, size=4000), rng.normal(scale=0.35, size=500)
    per_atom = 0.02 + 0.02 * rng.random(len(symbols)) + 0.012 * (np.array(symbols) != "H")
    near = (distance < 1.25) | ((distance < 1.75) & (np.array(symbols)[i] != "H") & (np.array(symbols)[j] != "H"))
    return {
        "format": "gossamer-record-1", "kind": "reduce", "version": "0.1.0", "created": "2026-11-22T10:30:00+00:00",
        "command": "gossamer reduce examples/ac-ala3-nhme.extxyz --train 200 --valid 100 --test 500 --out out/",
        "machine": {"cpu": "AMD EPYC 7B13", "cores": 2, "memory_gib": 23.4, "python": "3.11.7", "torch": "2.13.0"},
        "data": {
            "name": "Ac-Ala3-NHMe" if len(symbols) == 42 else "ethanol", "source": "data.extxyz", "theory": "GFN2-xTB",
            "fingerprint": "9f" * 32, "n_frames": 800, "duplicates_removed": 1, "n_train": 200,
            "n_valid": 100, "read": {"R": "positions, Angstrom"},
            "n_test": 500, "n_atoms": len(symbols), "formula": "C12H22N4O4" if len(symbols) == 42 else "C2H6O",
        },
        "settings": {"tolerance": 0.02, "seed": 0, "noise": 1e-10, "length": None, "symmetry": "auto", "quick": True},
        "symmetry": {"order": 9, "found": 243, "note": "Methyl rotations beyond the first two are left to the data."},
        "full": model("full", "full", 1.0, 1.1),
        "quantiles": [model(f"Q{q}", "relevance", 1 - q / 100, 1.1, q) for q in deciles],
        "refined": [model(f"refined {n}", "relevance", share, 0.6) for n, share in enumerate((0.35, 0.37), 1)],
        "chosen": model("chosen", "relevance", keep, 0.05),
        "random": [model(f"random Q{q}", "random", 1 - q / 100, 7.0, q) for q in deciles],
        "shortest": [model(f"shortest Q{q}", "shortest", 1 - q / 100, 3.0, q) for q in deciles],
        "pairs": [
            {"i": int(a), "j": int(b), "distance": round(float(d), 4), "score": float(f"{s:.6g}"), "orbit": n,
             "kept": bool(k)}
            for n, (a, b, d, s, k) in enumerate(zip(i, j, distance, score, kept, strict=True))
        ],
        "parity": {
            "forces": {
                "reference": reference.tolist(), "full": (reference + rng.normal(scale=0.0448, size=4000)).tolist(),
                "chosen": (reference + rng.normal(scale=0.0451, size=4000)).tolist(),
            },
            "energies": {
                "reference": (energies - 4000).tolist(),
                "full": (energies - 4000 + rng.normal(scale=0.03, size=500)).tolist(),
                "chosen": (energies - 4000 + rng.normal(scale=0.032, size=500)).tolist(),
            },
        },
        "per_atom": {"force_mae": per_atom.tolist()},
        "geometry": {
            "symbols": symbols, "positions": positions.tolist(),
            "bonds": [[int(a), int(b)] for a, b in zip(i[near], j[near], strict=True)],
        },
        "rank": {"needed": 3 * len(symbols) - 6, "reached": 3 * len(symbols) - 6, "added_orbits": 0},
        "seconds": 431.2,
    }  # fmt: skip


def train_record() -> Record:
    """A plausible record of `gossamer train`."""
    record = reduce_record(*ethanol())
    steps = [(n, math.exp(-n / 20), 0.05 + math.exp(-n / 12)) for n in range(0, 200, 10)]
    parity = {name: {k: v for k, v in values.items() if k != "chosen"} for name, values in record["parity"].items()}
    gone = {"quantiles", "refined", "chosen", "random", "shortest", "pairs", "rank"}
    return {k: v for k, v in record.items() if k not in gone} | {
        "kind": "train", "command": "gossamer train ethanol.xyz --train 200", "parity": parity,
        "length_search": [
            {"length": n, "relative_noise": s, "valid_force_rmse": 0.05 + 3e-5 * (n - 20) ** 2 + s}
            for n in range(10, 60, 10) for s in (1e-6, 1e-3)
        ],
        "history": [dict(zip(("iteration", "residual", "valid_force_rmse"), step, strict=True)) for step in steps],
    }  # fmt: skip


FRAGMENTS = ([0, 1, 3, 4, 5], [2, 1, 8])  # of ethanol: CH3 and OH with the carbon beside them
FIXED = 13  # pairs inside them


def term_row(atoms: list[int], share: float, weights: list[float]) -> Record:
    """A local term, within one bond of its first atom, or, over all nine atoms, the global one."""
    whole, count = len(atoms) == 9, len(atoms) * (len(atoms) - 1) // 2
    n = len(weights)
    return {
        "name": "global" if whole else f"{atoms[0]} within 1 bond", "reach": None if whole else 1,
        "n_atoms": len(atoms), "atoms": None if whole else [atoms], "pairs": count, "places": 1, "permutations": 6,
        "length": 2.0, "amplitude": 3.0, "prior_share": share,
        "weights": {
            "weight": weights, "local": [k == 0 or not whole for k in range(n)], "pairs": [count // n] * n,
            "distance": [1.5 + k for k in range(n)], "shortest": [1.4] * n, "longest": [2.0 + k for k in range(n)],
        },
    }  # fmt: skip


def of_terms(record: Record) -> Record:
    """The record of ethanol as that of a sum of two local terms and a global one."""
    terms = [term_row(FRAGMENTS[0], 0.6, [2.5, 0.4]), term_row(FRAGMENTS[1], 0.3, [1.2])]
    errors = {"global": 0.071, "both": 0.034, "local": 0.039}
    record |= {
        "terms": [*terms, term_row(list(range(9)), 0.1, [0.9, 0.5])],
        "choice": {
            "name": "both", "valid_force_rmse": errors, "n_train": 111, "worth": 0.01,
            "learning": [0.06 - 0.001 * k for k in range(20)],
        },
    }  # fmt: skip
    record["full"] |= {"local_pairs": FIXED, "length": None}
    record["settings"]["terms"] = "both"
    if record["kind"] == "train":
        return record
    for pair in record["pairs"]:
        pair["local"] = any({pair["i"], pair["j"]} <= set(atoms) for atoms in FRAGMENTS)
        pair["kept"] = pair["kept"] or pair["local"]
    alone = dict(record["refined"][0], label="local terms", quantile=100, pairs=1)
    record["refined"].append(alone | {"force_rmse": 0.06, "valid_force_rmse": 0.06})
    for group in ("full", "quantiles", "refined", "chosen", "random", "shortest"):
        for model in [record[group]] if group in ("full", "chosen") else record[group]:
            model["global_pairs"] = 0 if model["label"] == "local terms" else model["pairs"]
            model["pairs"] = FIXED + round((36 - FIXED) * model["global_pairs"] / 36)
    record["chosen"]["pairs"] = sum(pair["kept"] for pair in record["pairs"])
    return record


RECORDS: dict[str, Callable[[], Record]] = {
    "reduce": lambda: reduce_record(*ethanol()),
    "train": train_record,
    "reduce terms": lambda: of_terms(reduce_record(*ethanol())),
    "train terms": lambda: of_terms(train_record()),
}
OPTIONAL = (
    "version", "created", "command", "machine", "data", "settings", "symmetry", "quantiles", "refined", "random",
    "shortest", "pairs", "parity", "per_atom", "geometry", "rank", "seconds", "length_search", "history", "terms",
    "choice",
)  # fmt: skip


class Page(HTMLParser):
    """Reads a page: checks that elements close in order, collects attributes, text and script."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert [tag] == self.open[-1:], f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] in ("script", "style") else self.text).append(data)

    def attribute(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


def reduced(record: Record) -> ReduceRecord:
    found = from_json(record)
    assert isinstance(found, ReduceRecord)
    return found


def page_of(record: Record, folder: Path) -> str:
    return report(record, folder / "report.html").read_text(encoding="utf-8")


def without_library(text: str) -> str:
    """The page without 3Dmol and its licence, which name addresses in comments and in functions nobody calls."""
    start, end = text.index("/*!\n3Dmol.js"), text.index("</script>", text.index("/*!\n3Dmol.js"))
    return text[:start] + text[end:]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The page of each kind of record."""
    return {kind: page_of(make(), tmp_path_factory.mktemp(kind)) for kind, make in RECORDS.items()}


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn but not rendered: ten times as fast, where their look does not matter."""
    monkeypatch.setattr(
        "gossamer.reporting.sections.svg", lambda figure, name, label: f"<svg><title>{name}</title></svg>"
    )


# What a page is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RECORDS)
def test_page_loads_nothing_from_anywhere(pages: dict[str, str], kind: str) -> None:
    page = Page(pages[kind])
    for name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data"):
        for target in page.attribute(name):
            assert target.startswith(("#", "data:")), f"{name}={target}"
    own = without_library(pages[kind])
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", own)
    assert set(re.findall(r"https?://[^\s\"'<>]+", own)) <= {"http://www.w3.org/2000/svg"}
    policy = next(
        value for tag, name, value in page.attributes if (tag, name) == ("meta", "content") and "src" in value
    )
    assert "default-src 'none'" in policy
    assert "http" not in policy


@pytest.mark.parametrize("kind", RECORDS)
def test_page_is_well_formed_and_small(pages: dict[str, str], kind: str) -> None:
    page = Page(pages[kind])
    ids = page.attribute("id")
    svg_ids = [value for tag, name, value in page.attributes if name == "id" and tag not in ("clippath", "path")]
    assert len(svg_ids) == len(set(svg_ids))
    references = set(re.findall(r"url\(#(\w+)\)", pages[kind])) | {
        t[1:] for t in page.attribute("href") if t[:1] == "#"
    }
    assert references <= set(ids)
    assert not {f"{{{name}}}" for name in ("headline", "sections")} & set(page.text)
    assert len(pages[kind].encode()) < 2e6


@pytest.mark.parametrize("kind", RECORDS)
def test_page_is_accessible(pages: dict[str, str], kind: str) -> None:
    page = Page(pages[kind])
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == pages[kind].count('<svg xmlns="http://www.w3.org/2000/svg"')
    assert all(labels)
    assert pages[kind].count("<figure>") == pages[kind].count("<figcaption>")
    assert re.findall(r"<h(\d)>", pages[kind])[0] == "1"
    assert pages[kind].count("<h1>") == 1
    assert set(page.attribute("scope")) == {"col", "row"}


@pytest.mark.parametrize("kind", RECORDS)
def test_same_record_same_bytes(pages: dict[str, str], kind: str, tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 20, "xtick.major.size": 9, "svg.fonttype": "path"}):
        assert page_of(RECORDS[kind](), tmp_path) == pages[kind]
        assert matplotlib.rcParams["font.size"] == 20  # the user's settings are left alone


@pytest.mark.parametrize("kind", RECORDS)
def test_page_carries_its_record(pages: dict[str, str], kind: str) -> None:
    inside = re.search(r'<script type="application/json" id="record">(.*?)</script>', pages[kind], re.DOTALL)
    assert inside is not None
    assert unpacked(json.loads(inside[1])) == from_json(RECORDS[kind]()).to_json()


# What it says -----------------------------------------------------------------------------------------------------


def test_reduce_says_the_result(pages: dict[str, str]) -> None:
    record, text = RECORDS["reduce"](), " ".join("".join(Page(pages["reduce"]).text).split())
    full, chosen = record["full"], record["chosen"]
    rmse = f"{chosen['force_rmse'] * 1e3:.1f} meV/Å instead of {full['force_rmse'] * 1e3:.1f}."
    assert f"14 of 36 pairs keep the accuracy: force RMSE {rmse}" in text
    assert f"{chosen['force_mae'] * 23.0605:.3f} kcal/mol/Å" in text
    for model in [*record["quantiles"], *record["random"], *record["shortest"]]:
        assert model["label"] in text


@pytest.mark.usefixtures("unrendered")
def test_headline_does_not_claim_what_is_not_so(tmp_path: Path) -> None:
    record = RECORDS["reduce"]()
    record["chosen"]["force_rmse"] *= 1.5
    assert "keep the accuracy" not in page_of(record, tmp_path)
    record["chosen"] = {**record["full"], "label": "chosen"}
    assert "All 36 pairs are needed" in page_of(record, tmp_path)


# Sums of terms ----------------------------------------------------------------------------------------------------


def said(record: Record, folder: Path) -> str:
    """The text of the record's page, its white space single."""
    return " ".join("".join(Page(page_of(record, folder)).text).split())


@pytest.mark.parametrize("kind", ["train terms", "reduce terms"])
def test_terms_and_choice_are_told(pages: dict[str, str], kind: str) -> None:
    text = "".join(Page(pages[kind]).text)
    assert "What the model is made of" in text
    assert "A sum of 2 local terms and a global one." in text
    assert "34.0 meV/Å against 39.0 for local terms alone and 71.0 for one global term" in text
    assert "fitted to 111 training structures" in text
    rows = re.findall(r'<tr><th scope="row">(.*?)</tr>', pages[kind])
    cells = [re.sub("<[^>]*>", "|", row).replace("||", "|") for row in rows]
    assert "CH|3|–C within 1 bond|C0|5|10|1|6|matern52|2.00|60.0|" in cells
    assert "HO–C within 1 bond|O2|3|3|1|6|matern52|2.00|30.0|" in cells
    assert "the whole molecule|–|9|36|1|6|matern52|2.00|10.0|" in cells
    for name in ("kinds", "weights", "learning"):
        assert CAPTIONS[name][1] in pages[kind]


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize(
    ("name", "atoms", "cells"),
    [
        ("2 within 3 A", [[2, 1, 8]], "HO–C within 3 Å|O2|"),
        ("2 within 1.25 A", [[8, 2]], "H–O within 1.25 Å|H8/O2|"),
        ("2 8 contact", [[2, 8, 1]], "HO–C contact|O2/H8|"),
        ("2 8 contact", [[8, 2]], "H–O contact|H8/O2|"),
        ("1 within 3 A", [[2, 1, 8]], "HO–C 1 within 3 A|–|"),  # of a file of fragments
        ("2 1 contact", [[2, 8, 1]], "HO–C 2 1 contact|–|"),
        ("C2", [[2, 1, 8]], "HO–C C2|–|"),
        ("0 within 1 bond", None, "0 within 1 bond|–|"),  # the atoms are not known
        ("2 within 3 A", None, "2 within 3 A|–|"),
    ],
)
def test_a_term_is_told_by_its_atoms_and_reach(
    name: str, atoms: list[list[int]] | None, cells: str, tmp_path: Path
) -> None:
    record = RECORDS["train terms"]()
    record["terms"][0] |= {"name": name, "atoms": atoms, "reach": None}
    row = re.search(r'what each looks at.*?<tr><th scope="row">(.*?)</tr>', page_of(record, tmp_path), re.DOTALL)
    assert row is not None
    assert re.sub("(<[^>]*>)+", "|", row[1]).startswith(cells)


@pytest.mark.usefixtures("unrendered")
def test_a_length_is_a_setting_of_the_global_term_alone(tmp_path: Path) -> None:
    record = RECORDS["train"]()
    for terms in ("global", "given"):
        record["settings"] |= {"terms": terms, "length": 15.0}
        table = re.search("<caption>Settings</caption>.*?</table>", page_of(record, tmp_path), re.DOTALL)
        assert table is not None
        assert ("length" in table[0]) == (terms == "global")


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("gone", ["prior_share", "weights", "atoms", "reach", "n_atoms"])
def test_terms_of_older_records(gone: str, tmp_path: Path) -> None:
    record = RECORDS["reduce terms"]()
    for term in record["terms"]:
        del term[gone]
    for group in ("full", "chosen"):
        del record[group]["global_pairs"]
    assert "What the model is made of" in said(record, tmp_path)


@pytest.mark.usefixtures("unrendered")
def test_one_global_term_needs_no_such_section(tmp_path: Path) -> None:
    record = RECORDS["reduce"]()
    record |= {"terms": [term_row(list(range(9)), 1.0, [1.0])], "choice": {"name": "global", "valid_force_rmse": {}}}
    for pair in record["pairs"]:
        pair["local"] = False
    text = said(record, tmp_path)
    assert "What the model is made of" not in text
    assert "local, fixed" not in text
    assert "14 of 36 pairs keep the accuracy" in text


@pytest.mark.parametrize(
    ("name", "errors", "words"),
    [
        ("both", {"global": 0.07, "both": 0.04, "local": 0.05}, "for the lowest validation force RMSE: 40.0 meV/Å"),
        ("local", {"both": 0.04, "local": 0.0403}, "the cheapest, which come within 1 % of the lowest .*: 40.3 meV/Å"),
        ("local", {"both": 0.05, "local": 0.04, "global": None}, "for the lowest .* against 50.0 for local terms with"),
        ("global", {"both": 0.05, "global": 0.03}, "Taken: one global term, for the lowest"),
        ("both", {}, "^$"),
        ("given", {"both": 0.05, "global": 0.03}, "^$"),
    ],
)
def test_why_these_terms(name: str, errors: dict[str, float | None], words: str) -> None:
    record = from_json(RECORDS["train"]() | {"choice": {"name": name, "valid_force_rmse": errors, "worth": 0.01}})
    assert re.search(words, choice_sentence(record))
    assert "None" not in choice_sentence(record)


@pytest.mark.usefixtures("unrendered")
def test_the_choice_speaks_of_what_was_tried(tmp_path: Path) -> None:
    record = RECORDS["reduce terms"]()
    assert "left of the dashed line" in said(record, tmp_path)
    del record["choice"]["valid_force_rmse"]["local"]  # a reduction keeps the global term
    text = said(record, tmp_path)
    assert "left of the dashed line" not in text
    assert "local terms alone are tried among the reduced models" in text


def kept_of(record: Record, non_local: int, inside: int) -> Record:
    """The record with a chosen model of so many non-local pairs, and `inside` pairs in its global term."""
    record["chosen"] |= {"pairs": FIXED + non_local, "global_pairs": inside}
    return record


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize(
    ("non_local", "inside", "worse", "words"),
    [
        (7, 14, 1.0, "7 of 23 non-local pairs keep the accuracy beside 13 local ones, which are fixed: force RMSE"),
        (7, 14, 1.5, "7 of 23 non-local pairs beside 13 local ones, which are fixed: force RMSE"),
        (0, 0, 1.0, "None of the 23 non-local pairs is needed beside 13 local ones"),
        (0, 5, 1.0, "None of the 23 non-local pairs is needed beside 13 local ones"),
        (0, 0, 1.5, "None of the 23 non-local pairs is kept beside 13 local ones"),
        (23, 36, 1.0, "All 23 non-local pairs are needed beside 13 local ones, which are fixed: force RMSE"),
        (
            23,
            30,
            1.0,
            "All 23 non-local pairs are needed beside 13 local ones, which are fixed, though 30 pairs would do in the "
            "global term",
        ),
    ],
)
def test_headline_counts_non_local_pairs(non_local: int, inside: int, worse: float, words: str, tmp_path: Path) -> None:
    record = kept_of(RECORDS["reduce terms"](), non_local, inside)
    record["chosen"]["force_rmse"] *= worse
    headline = re.search("<h1>(.*?)</h1>", page_of(record, tmp_path))
    assert headline is not None
    assert re.sub("<[^>]*>", "", headline[1]).startswith(words)
    text = said(record, tmp_path)
    assert f"Non-local pairs kept{non_local} of 23" in text
    assert "Local pairs, fixed13" in text
    assert "All 36 pairs are needed" not in text


@pytest.mark.usefixtures("unrendered")
def test_headline_where_every_pair_is_local(tmp_path: Path) -> None:
    record = RECORDS["reduce terms"]()
    for pair in record["pairs"]:
        pair.update(local=True, kept=True)
    for inside, words in ((0, "none is needed"), (5, "5 of 36 are kept"), (36, "every one is needed")):
        record["chosen"] |= {"pairs": 36, "global_pairs": inside}
        record["full"] |= {"pairs": 36, "global_pairs": 36}
        text = said(record, tmp_path)
        assert f"All 36 pairs are local; of those in the global term {words}: force RMSE" in text
        assert f"Pairs in the global term{inside} of 36" in text


def test_local_terms_alone_stand_at_zero() -> None:
    record = RECORDS["reduce terms"]()
    alone = record["refined"][-1]
    record["chosen"] = dict(alone, label="chosen")
    assert relevance_models(reduced(record))[0].global_pairs == 0
    figure = figures.accuracy(reduced(record))
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_xlim()[0] < 0
    assert axes.get_xlabel() == "atom pairs in the global term"
    assert "local terms alone: 60.0" in [text.get_text() for text in axes.texts]
    curve = next(line for line in axes.lines if line.get_label() == "most relevant")
    assert curve.get_xydata()[0].tolist() == [0, pytest.approx(60.0)]


def test_models_that_differ_in_the_global_term_alone_are_told_apart() -> None:
    record = RECORDS["reduce terms"]()
    record["quantiles"][-1] |= {"pairs": FIXED, "global_pairs": 4}
    sizes = [model.global_pairs for model in relevance_models(reduced(record))]
    assert sizes[:2] == [0, 4]
    assert sizes == sorted(set(sizes))


def test_limit_counts_local_terms_alone() -> None:
    record = RECORDS["reduce terms"]()
    record["refined"][-1] |= {"valid_force_rmse": 1e-3, "force_rmse": 2e-3}
    assert limit(reduced(record), "valid_force_rmse") == pytest.approx(1.02e-3)
    assert limit(reduced(record), "force_rmse") == pytest.approx(2.04e-3)
    record["refined"][-1]["quantile"] = None  # a refined model proper does not move the limit
    assert limit(reduced(record), "valid_force_rmse") > 0.03


def test_web_tells_local_pairs_apart(pages: dict[str, str]) -> None:
    page = Page(pages["reduce terms"])
    others = sum(pair["kept"] and not pair["local"] for pair in RECORDS["reduce terms"]()["pairs"])
    assert others > 0
    ranges = [value for tag, name, value in page.attributes if (tag, name) == ("input", "max")]
    assert ranges == [str(others)]
    assert 'name="local"' in pages["reduce terms"]
    assert 'name="local"' not in pages["reduce"]
    flat = re.search(r'<div class="flat">(.*?)</div>', pages["reduce terms"], re.DOTALL)
    assert flat is not None
    assert "13 local pairs, fixed" in flat[1]
    assert f"{others} non-local pairs kept" in flat[1]
    lines = re.findall(r'<path d="([^"]*)"[^>]*style="[^"]*stroke: var\(--(local|heat-\d)', flat[1])
    assert sum(path.count("M") for path, role in lines if role == "local") == FIXED
    assert sum(path.count("M") for path, role in lines if role != "local") == others


def test_weights_are_drawn_by_kind() -> None:
    record = RECORDS["train terms"]()
    figure = term_figures.weights(from_json(record))
    assert figure is not None
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["local term", "global term, local pair", "global term, non-local pair"]
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    drawn = {(line.get_markeredgecolor(), line.get_markerfacecolor()): sorted(line.get_ydata()) for line in dots}
    local, kept, hollow = LIGHT["local"], LIGHT["kept"], LIGHT["surface"]
    assert drawn == {(local, local): [0.4, 1.2, 2.5], (kept, hollow): [0.9], (kept, kept): [0.5]}
    for term in record["terms"]:
        term["weights"]["weight"] = [1.0] * len(term["weights"]["weight"])
    assert term_figures.weights(from_json(record)) is None  # nothing was learned


def test_the_search_for_a_length_is_not_shown_for_a_sum(pages: dict[str, str]) -> None:
    assert CAPTIONS["lengths"][1] in pages["train"]
    assert CAPTIONS["lengths"][1] not in pages["train terms"]


@pytest.mark.parametrize(
    ("symbols", "bonds", "text"),
    [
        ("CHHHC", "01 02 03 04", "CH3–C"),
        ("OHC", "01 02", "HO–C"),
        ("NHHC", "01 02 03", "H2N–C"),
        ("CCON", "01 02 03", "C–C(O)–N"),
        ("CHCCN", "01 02 03 04", "C–CH(C)–N"),
        ("CHHCHHHOH", "01 02 03 34 35 36 07 78", "CH3–CH2–OH"),
        ("NHCC", "01 02 03", "C–NH–C"),
        ("CHHHH", "01 02 03 04", "CH4"),
        ("CCC", "01 02 12", "C–C–C"),  # a ring is cut open
        ("HNO", "01", "H–N ··· O"),
        ("OCH", "01", "O–C ··· H"),
    ],
)
def test_fragments_in_chemistry(symbols: str, bonds: str, text: str) -> None:
    pairs = [(int(bond[0]), int(bond[1])) for bond in bonds.split()]
    assert spelled(range(len(symbols)), list(symbols), pairs) == text
    shift = [(j + 3, i + 3) for i, j in pairs]  # the same in the midst of a molecule, its bonds written backwards
    around = [*shift, (0, 3), (3 + len(symbols) - 1, 1)]
    assert spelled([k + 3 for k in range(len(symbols))], ["Cl", "F", "S", *symbols], around) == text


def test_limit_is_that_of_the_best_model_by_validation() -> None:
    record = RECORDS["reduce"]()
    best = min([*record["quantiles"], record["full"]], key=lambda model: model["valid_force_rmse"])
    assert limit(reduced(record), "force_rmse") == pytest.approx(1.02 * best["force_rmse"], rel=1e-12)


def test_molecule_is_turned_and_not_mirrored() -> None:
    from gossamer.reporting.molecule import View

    symbols, positions = ethanol()
    positions = positions + np.random.default_rng(0).normal(scale=0.2, size=positions.shape)
    view = View.of(Geometry(tuple(symbols), tuple(map(tuple, positions.tolist()))))
    assert view is not None
    volume = [np.linalg.det(frame[1:4] - frame[0]) for frame in (positions, view.positions)]
    assert volume[1] == pytest.approx(volume[0], rel=1e-9)
    assert np.ptp(view.positions, axis=0).argmax() == 0


@pytest.mark.parametrize(
    ("value", "text"), [(44.8123, "44.8"), (0.03119, "0.0312"), (1240.4, "1,240"), (0.0, "0"), (-3.0, "-3.00")]
)
def test_digits(value: float, text: str) -> None:
    from gossamer.reporting.words import digits

    assert digits(value) == text


# Records that lack something, or hold something odd ---------------------------------------------------------------


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("missing", OPTIONAL)
def test_optional_parts_may_be_missing_or_null(missing: str, tmp_path: Path) -> None:
    record = next(record for record in (make() for make in RECORDS.values()) if missing in record)
    absent = page_of({key: value for key, value in record.items() if key != missing}, tmp_path)
    null = page_of(record | {missing: None}, tmp_path)
    assert "".join(Page(absent).text) == "".join(Page(null).text)


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("missing", OPTIONAL)
def test_parts_of_a_sum_of_terms_may_be_missing(missing: str, tmp_path: Path) -> None:
    for kind in ("reduce terms", "train terms"):
        Page(page_of(RECORDS[kind]() | {missing: None}, tmp_path))


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("kind", RECORDS)
def test_only_the_main_numbers_are_needed(kind: str, tmp_path: Path) -> None:
    numbers = {"pairs": 36, "force_mae": 0.03, "force_rmse": 0.04}
    kind = RECORDS[kind]()["kind"]
    Page(page_of({"kind": kind, "full": numbers, "chosen": numbers | {"pairs": 20}}, tmp_path))


@pytest.mark.usefixtures("unrendered")
def test_no_energies_no_test_set_and_not_a_number(tmp_path: Path) -> None:
    record = RECORDS["reduce"]()
    record["parity"]["energies"] = None
    record["data"]["n_test"] = 0
    for model in [record["full"], record["chosen"], *record["quantiles"], *record["refined"]]:
        model.update(tested_on="valid", energy_mae=None, energy_rmse=None)
    record["quantiles"][8].update(force_rmse=float("nan"), residual=float("inf"), status="diverged")
    record["pairs"][0].update(score=0.0, distance=None)
    text = page_of(record, tmp_path)
    inside = re.search(r'id="record">(.*?)</script>', text, re.DOTALL)
    assert inside is not None
    json.loads(inside[1], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    said = "".join(Page(text).text)
    assert "Errors are on 100 validation structures." in said
    assert "energies" not in said.replace("energies as labels", "")
    assert "nan" not in said
    assert "diverged" in said


def test_two_atoms_and_equal_numbers(tmp_path: Path) -> None:
    record = reduce_record(["H", "Cl"], np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.27]]))
    record["per_atom"]["force_mae"] = [0.0, 0.0]
    record["parity"]["forces"] = {"reference": [0.0] * 6, "full": [0.0] * 6, "chosen": [0.0] * 6}
    Page(page_of(record, tmp_path))


def hostile(value: Any) -> Any:
    """The value with every text in it, save what names the kind of record, replaced by a nasty one."""
    if isinstance(value, dict):
        kept = ("format", "kind", "tested_on", "selection", "choice", "settings")
        return {key: item if key in kept else hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_hostile_text_stays_text(pages: dict[str, str], kind: str, tmp_path: Path) -> None:
    record = hostile(RECORDS[kind]())
    record["settings"] |= {"solver": HOSTILE, HOSTILE: HOSTILE}
    text = page_of(record, tmp_path)
    page = Page(text)
    for tag in ("<script", "</script", "<svg", "<section"):
        assert text.count(tag) == pages[kind].count(tag)
    assert not any(tag == "img" or name.startswith("on") for tag, name, _ in page.attributes)
    assert HOSTILE in "".join(page.text)


def test_records_that_cannot_be_shown_say_so_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    complete = RECORDS["reduce"]()
    for record, words in [
        ({"kind": "bake"}, "'bake'.*reduce, train"),
        ({}, "null"),
        (complete | {"format": "gossamer-record-9"}, "gossamer-record-9"),
        (complete | {"chosen": None}, "'chosen' has no pairs.*gossamer reduce"),
        (complete | {"full": {"pairs": 3, "force_mae": 1.0, "force_rmse": float("nan")}}, "'full' has no force_rmse"),
    ]:
        with pytest.raises(DataError, match=words) as caught:
            report(record, path)
        assert re.fullmatch(r"record: [^\n]*[^.]\.", str(caught.value))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("unrendered")
def test_unwritable_path_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "no" / "report.html", tmp_path):
        with pytest.raises(OutputError):
            report(RECORDS["train"](), path)
    assert list(tmp_path.iterdir()) == []


# Files beside it --------------------------------------------------------------------------------------------------


def test_picture_for_the_readme(tmp_path: Path) -> None:
    record = reduced(RECORDS["reduce"]())
    for name in ("web.png", "web.svg"):
        first = figures.save_picture(record, tmp_path / name).read_bytes()
        assert figures.save_picture(record, tmp_path / name).read_bytes() == first
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(UsageError, match="png"):
        figures.save_picture(record, tmp_path / "web.jpg")
    with pytest.raises(UsageError, match="geometry"):
        figures.save_picture(from_json(train_record()), tmp_path / "web.png")


def test_vendored_viewer_is_what_its_readme_says() -> None:
    import hashlib
    from importlib.resources import files

    folder = files("gossamer.reporting") / "viewer"
    digest = hashlib.sha256((folder / "3Dmol-min.js").read_bytes()).hexdigest()
    assert digest in (folder / "README.md").read_text(encoding="utf-8")
    assert "</script" not in (folder / "3Dmol-min.js").read_text(encoding="utf-8")


def test_peptide_of_42_atoms(tmp_path: Path) -> None:
    path = Path(__file__).parents[3] / "shared" / "data" / "xtb_Ac-Ala3-NHMe.npz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with np.load(path) as data:
        symbols = [{1: "H", 6: "C", 7: "N", 8: "O"}[int(number)] for number in data["z"]]
        record = reduce_record(symbols, data["R"][100])
    text = page_of(record, tmp_path)
    assert "331 of 861 pairs keep the accuracy" in text
    assert len(text.encode()) < 2e6
    Page(text)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A record of two molecules, 334 atoms in all, that stand side by side as a nanotube in another: 55,611 pairs."""
    rng = np.random.default_rng(0)
    sites = np.stack(np.meshgrid(*[np.arange(7)] * 3), axis=-1).reshape(-1, 3)[:334] * 1.6
    positions = sites + 0.1 * rng.normal(size=sites.shape) + np.where(sites[:, :1] > 5, [3.0, 0, 0], 0.0)
    return reduce_record(["C"] * len(sites), positions, keep=0.1)


@pytest.mark.usefixtures("unrendered")
def test_large_webs_start_with_the_strongest_pairs(large: Record, tmp_path: Path) -> None:
    text = page_of(large, tmp_path)
    assert '<input type="range" name="count" min="0" max="5561" value="500" step="1">' in text
    place = molecules(334, large["geometry"]["bonds"])
    kept = [pair for pair in large["pairs"] if pair["kept"]]
    across = sum(place[pair["i"]] != place[pair["j"]] for pair in kept)
    assert len(set(place)) > 1
    assert 0 < across < len(kept)
    assert f"between molecules ({across})" in text
    assert f"inside a molecule ({len(kept) - across})" in text
    inside = re.search(r'id="record">(.*?)</script>', text, re.DOTALL)
    assert inside is not None
    assert unpacked(json.loads(inside[1])) == from_json(large).to_json()


def test_pages_of_large_webs_are_small(large: Record, tmp_path: Path) -> None:
    text = page_of(large, tmp_path)
    assert len(text.encode()) < 3e6
    flat = re.search(r'<div class="flat">(.*?)</div>', text, re.DOTALL)
    assert flat is not None
    lines = re.findall(r'<path d="([^"]*)"[^>]*style="[^"]*stroke: var\(--heat-(\d)', flat[1])
    assert sum(path.count("M") for path, _ in lines) == 500
    assert {level for _, level in lines} <= set("23456")  # the strongest, on the scale of all that are kept
    assert "500 strongest of 5,561 pairs kept" in flat[1]


def test_what_a_step_costs_is_told(tmp_path: Path) -> None:
    record = of_terms(reduce_record(*ethanol()))
    for term in record["terms"]:
        term["rows"] = 200 * term["places"]
    record["functions"] = {"pairs": 21, "classes": 7, "centres": 20, "cutoff": 12.0}
    told = {row.name: row for row in work(reduced(record))}
    local = [term for term in record["terms"] if term["name"] != "global"]
    assert told["local terms"].kernels == sum(200 * t["places"] ** 2 * t["permutations"] for t in local)
    assert told["global term"].numbers == 200 * 36
    kernels = sum(row.kernels for row in told.values())
    said = " ".join("".join(Page(page_of(record, tmp_path)).text).split())
    assert f"A step evaluates {kernels:,} kernels" in said
    assert "21 pair functions, 2.3 an atom" in said
    assert not work(reduced(of_terms(reduce_record(*ethanol()))))  # an older record, which has no rows


@pytest.mark.parametrize("kind", ["reduce", "large"])
def test_viewer_starts_in_a_browser(kind: str, pages: dict[str, str], large: Record, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium here")
    text = page_of(large, tmp_path) if kind == "large" else pages[kind]
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    options = (
        "--headless --no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-sync "
        "--disable-component-update --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "
        "--virtual-time-budget=4000 --dump-dom"
    )
    command = [browser, *options.split(), f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "</html>" not in done.stdout:
        pytest.skip(f"the browser did not start: {done.stderr[-200:]}")
    state = re.search(r'class="live"[^>]*data-state="([^"]*)"', done.stdout)
    assert state is None or state[1] == "ready"  # None: a browser without WebGL keeps the flat picture
    readout = re.search(r'class="readout"[^>]*>([^<]*)', done.stdout)
    assert state is None or kind == "reduce" or (readout and readout[1].startswith("500 of 5561 kept pairs shown"))
    assert 'href="blob:' in done.stdout


def test_error_bars_are_drawn_where_there_are_some() -> None:
    values = json.loads((Path(__file__).parents[1] / "records" / "v3-train.json").read_text(encoding="utf-8"))
    without = from_json(values)
    assert not isinstance(without, ReduceRecord)
    assert figures.reliability(without, "forces") is None
    sizes = {"predicted": [0.01, 0.02, 0.04], "found": [0.012, 0.02, 0.03], "coverage": [0.5, 0.7, 0.9, 0.94]}
    record = from_json(values | {"error_bars": {"forces": sizes, "energies": None}})
    assert not isinstance(record, ReduceRecord)
    figure = figures.reliability(record, "forces")
    assert figure is not None
    line = figure.axes[0].lines[1]
    np.testing.assert_allclose(line.get_xdata(), [10, 20, 40])
    np.testing.assert_allclose(line.get_ydata(), [12, 20, 30])
    assert "70%" in figure.axes[0].texts[0].get_text()
    assert figures.reliability(record, "energies") is None
