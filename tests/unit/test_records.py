"""Records: every version that was ever written can be read, and a damaged one is refused by naming the field."""

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gossamer.errors import DataError
from gossamer.records.parts import Columns, Limit, Model
from gossamer.records.record import FORMAT, VERSION, ReduceRecord, TrainRecord, from_json, read_record
from gossamer.records.upgrade import Origin, origin_in_name
from gossamer.reduction.choice import is_within, limit_of, smallest_within

SAMPLES = Path(__file__).parents[1] / "records"
NAMES = sorted(path.name for path in SAMPLES.glob("*.json"))


def sample(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((SAMPLES / name).read_text(encoding="utf-8"))
    return values


# Versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_every_version_are_read(name: str) -> None:
    values, record = sample(name), read_record(SAMPLES / name)
    assert isinstance(record, TrainRecord if values["kind"] == "train" else ReduceRecord)
    assert record.full.force_rmse == values["full"]["force_rmse"] > 0
    assert record.data.fingerprint == values["data"]["fingerprint"] != ""
    assert record.settings.noise == values["settings"]["noise"]
    assert [term.name for term in record.terms] == [term["name"] for term in values["terms"]]
    assert record.terms[0].kernel == "matern52"
    assert record.parity.forces.full == tuple(values["parity"]["forces"]["full"])
    assert len(record.geometry.positions) == len(record.per_atom.force_mae) == 9


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_again(name: str) -> None:
    record = read_record(SAMPLES / name)
    text = json.dumps(record.to_json(), allow_nan=False)
    assert from_json(json.loads(text)) == record
    assert json.loads(text)["format"] == FORMAT.format(VERSION)


def test_there_is_a_sample_of_each_kind_in_every_version() -> None:
    found = {(values["format"], values["kind"]) for values in map(sample, NAMES)}
    assert found == {(FORMAT.format(n), kind) for n in range(1, VERSION + 1) for kind in ("train", "reduce")}


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(f"v{VERSION}")])
def test_samples_of_today_are_what_is_written_today(name: str) -> None:
    """When this fails the format has changed: raise VERSION by an upgrader and store samples of the new one."""
    assert read_record(SAMPLES / name).to_json() == sample(name)


def test_local_terms_alone_were_a_quantile_of_100() -> None:
    values, record = sample("v1-reduce.json"), read_record(SAMPLES / "v1-reduce.json")
    assert isinstance(record, ReduceRecord)
    (alone,) = [row for row in values["refined"] if row["quantile"] == 100]
    assert record.local is not None
    assert (record.local.label, record.local.quantile) == (alone["label"], None)
    assert record.local.force_rmse == alone["force_rmse"]
    assert len(record.refined) == len(values["refined"]) - 1
    assert record.chosen == record.local  # which is what `from` said
    assert values["chosen"]["from"] == record.chosen.label


def test_the_limit_of_version_1_is_completed() -> None:
    values, record = sample("v1-reduce.json"), read_record(SAMPLES / "v1-reduce.json")
    assert isinstance(record, ReduceRecord)
    assert record.limit is not None
    assert record.limit.valid_force_rmse == values["limit"]["valid_force_rmse"]
    first = [record.full, *record.quantiles, record.local]
    best = min((m for m in first if m), key=lambda m: m.valid_force_rmse or math.inf)
    assert record.limit.force_rmse == pytest.approx(1.1 * best.force_rmse, rel=1e-12)
    del values["limit"]
    found = from_json(values)
    assert isinstance(found, ReduceRecord)
    assert found.limit == Limit(pytest.approx(1.1 * best.valid_force_rmse), pytest.approx(1.1 * best.force_rmse))


@pytest.mark.parametrize(
    ("name", "places", "origin"),
    [
        ("global", [], Origin("global")),
        ("0 within 1 bond", [[0, 1, 2]], Origin("bonds", 1.0, 1)),
        ("7 within 2 bonds", [[7, 3]], Origin("bonds", 2.0, 1)),
        ("2 within 3.5 A", [[2, 1, 8]], Origin("radius", 3.5, 1)),
        ("2 within 3 A", [[8, 2]], Origin("radius", 3.0, 2)),
        ("2 8 contact", [[8, 2, 1]], Origin("contact", None, 2)),
        ("2 8 contact", [[2, 1, 8]], Origin("given")),
        ("3 within 1 bond", [[0, 1, 2]], Origin("given")),
        ("0 within 1 bond", [], Origin("given")),
        ("2 within 3.5.1 A", [[2, 1]], Origin("given")),
        ("ring", [[0, 1, 2]], Origin("given")),
    ],
)
def test_what_names_of_terms_said(name: str, places: list[list[int]], origin: Origin) -> None:
    assert origin_in_name(name, places) == origin


# Damage -----------------------------------------------------------------------------------------------------------


def set_at(values: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of the values with another one at `path`."""
    values = copy.deepcopy(values)
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return values


@pytest.mark.parametrize("version", [1, VERSION])
@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("full", "pairs"), "many", "'full' has no pairs"),
        (("full", "force_rmse"), None, "'full' has no force_rmse"),
        (("chosen", "force_mae"), float("nan"), "'chosen' has no force_mae"),
        (("chosen",), [], "'chosen' has no pairs and no force_mae and no force_rmse"),
        (("full", "pairs"), 3.5, "full.pairs is 3.5, but must be a whole number"),
        (("chosen", "seconds"), "soon", "chosen.seconds is 'soon', but must be a number"),
        (("quantiles", 1, "tested_on"), "train set", "quantiles[1].tested_on is 'train set', but must be one of test"),
        (("quantiles", 0), 7, "quantiles[0] is 7, but must be an object"),
        (("refined",), {"label": "Q"}, "refined is {'label': 'Q'}, but must be a list"),
        (("quantiles",), "Q10", "quantiles is 'Q10', but must be a list"),
        (("pairs", 5, "i"), None, "pairs[5].i is null, but must be a whole number"),
        (("pairs", 5, "kept"), 1, "pairs[5].kept is 1, but must be true or false"),
        (("terms", 2), "global", "terms[2] is 'global', but must be an object"),
        (("terms", 0, "atoms"), [[0, "C"]], "terms[0].atoms[0][1] is 'C', but must be a whole number"),
        (("terms", 0, "weights", "pairs"), [1], "columns of weights have"),
        (("terms", 0, "name"), 3, "terms[0].name is 3, but must be a text"),
        (("choice",), [1], "choice is [1], but must be an object"),
        (("choice", "valid_force_rmse"), {"best": 1.0}, "choice.valid_force_rmse.best is 'best', but must be one of"),
        (("settings", "noise"), [], "settings.noise is [], but must be a number"),
        (("settings", "terms"), "odd", "settings.terms is 'odd', but must be one of global"),
        (("data", "n_train"), True, "data.n_train is True, but must be a whole number"),
        (("data", "read"), "R", "data.read is 'R', but must be an object"),
        (("geometry", "positions", 2), [0.0, 1.0], "geometry.positions[2] is [0.0, 1.0], but must be a list of 3"),
        (("geometry", "positions", 2, 1), float("inf"), "geometry.positions[2][1] is inf, but must be a finite number"),
        (("geometry", "symbols"), ["C"], "geometry: symbols and positions have 1, 9 entries"),
        (("geometry", "bonds"), [[0, 9]], "geometry.bonds[0] names an atom beyond the 9"),
        (("parity", "forces", "full"), [1.0], "reference and predicted values have"),
        (("limit",), 3, "limit is 3, but must be an object"),
        (("limit", "valid_force_rmse"), "low", "limit.valid_force_rmse is 'low', but must be a number"),
        (("rank", "needed"), 10**400, "rank.needed is 1000000"),
        (("full", "force_mae"), 10**400, "'full' has no force_mae"),
        (("kind",), "bake", "kind 'bake'"),
        (("kind",), ["train"], "kind ['train']"),
        (("format",), 2, "format is 2"),
        (("format",), "gossamer-model-1", "format is 'gossamer-model-1'"),
        (("format",), f"gossamer-record-{VERSION + 1}", "reads up to"),
    ],
)
def test_a_damaged_record_names_the_field(version: int, path: tuple[str | int, ...], value: Any, words: str) -> None:
    values = set_at(sample(f"v{version}-reduce.json"), path, value)
    with pytest.raises(DataError) as caught:
        from_json(values, "r.json")
    said = str(caught.value)
    assert words in said
    assert said.count("\n") == 0
    assert said.endswith(".")


@pytest.mark.parametrize("name", [name for name in NAMES if "reduce" in name or "terms" in name])
def test_whatever_is_exchanged_is_read_or_refused_in_a_sentence(name: str) -> None:
    """Any value of a record exchanged for any other kind of value."""
    values, rng = sample(name), np.random.default_rng(0)
    odd = [None, True, -1, 2.5, float("nan"), float("-inf"), 10**400, "", "x" * 500, [], [[]], {}, {"a": []}, [None]]
    for _ in range(400):
        path: list[str | int] = []
        inner: Any = values
        while isinstance(inner, dict | list) and inner and (not path or rng.random() < 0.8):
            key = list(inner)[rng.integers(len(inner))] if isinstance(inner, dict) else int(rng.integers(len(inner)))
            path.append(key)
            inner = inner[key]
        exchanged = set_at(values, tuple(path), odd[rng.integers(len(odd))])
        said = ""
        try:
            json.dumps(from_json(exchanged).to_json(), allow_nan=False)
        except DataError as error:
            said = str(error)
        assert "\n" not in said
        assert len(said) < 300


@pytest.mark.parametrize("values", [[], "record", 3, None, [{}]])
def test_json_of_another_kind_is_no_record(values: Any, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"r\.json: it is JSON, but no record"):
        read_record(path)


@pytest.mark.parametrize("content", [b"", b"{", b'{"kind": "tra', b"\xff\xfe\x00", b"[" * 200_000])
def test_a_truncated_file_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"r\.json"):
        read_record(path)


def test_numbers_that_are_not_finite_are_null_in_json() -> None:
    record = read_record(SAMPLES / f"v{VERSION}-reduce.json")
    assert isinstance(record, ReduceRecord)
    failed = replace(record.full, label="Q99", force_rmse=math.nan, force_mae=math.inf, residual=math.inf)
    values = json.loads(json.dumps(replace(record, quantiles=(failed,)).to_json(), allow_nan=False))
    found = from_json(values)
    assert isinstance(found, ReduceRecord)
    assert math.isnan(found.quantiles[0].force_rmse)
    assert found.quantiles[0].residual is None


def test_records_are_frozen_and_keep_equal_columns() -> None:
    record = read_record(SAMPLES / f"v{VERSION}-train.json")
    with pytest.raises(AttributeError):
        record.seconds = 3.0  # type: ignore[misc]
    with pytest.raises(DataError, match="2, 1, 2 entries"):
        Columns((1.0, 2.0), (1.0,))


# Which model is taken ---------------------------------------------------------------------------------------------


class Tried:
    def __init__(self, pairs: int, valid: float | None, shown: float = 1.0) -> None:
        self.rows = np.arange(pairs)
        self.entry = Model(pairs, shown, shown, valid_force_rmse=valid)


def test_the_limit_is_that_of_the_best_model_by_validation() -> None:
    models = [Tried(9, 0.5, 0.7).entry, Tried(5, 0.4, 0.9).entry, Tried(3, None, 0.1).entry]
    assert limit_of(models, 0.1) == Limit(pytest.approx(0.44), pytest.approx(0.99))


@pytest.mark.parametrize(
    ("tried", "taken"),
    [
        ([(9, 0.40), (5, 0.43), (3, 0.9)], 1),
        ([(9, 0.40), (5, 0.9), (3, 0.43)], 2),  # a smaller one may be good where a larger one is not
        ([(9, 0.44), (9, 0.40)], 0),
        ([(9, 0.45), (5, 0.5), (3, 0.6)], 0),  # none is within the limit
        ([(5, 0.5), (9, 0.6), (3, None)], 1),
    ],
)
def test_the_smallest_within_the_limit_is_taken(tried: list[tuple[int, float | None]], taken: int) -> None:
    limit = Limit(0.44)
    models = [Tried(*one) for one in tried]
    assert smallest_within(models, limit) is models[taken]
    assert [is_within(m.entry, limit) for m in models] == [e is not None and e <= 0.44 for _, e in tried]
