"""The records of `train` and `reduce`: what a run did and measured (docs/record.md)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from gossamer.errors import DataError
from gossamer.files import read_json
from gossamer.records import parts as p
from gossamer.records.coding import decode, encode, finite, shown
from gossamer.records.upgrade import UPGRADES

VERSION = len(UPGRADES) + 1
FORMAT = "gossamer-record-{}"


@dataclass(frozen=True, kw_only=True, repr=False)
class _Record:
    """What both kinds tell.  created: ISO time; command: the command line; terms and functions: those of the model (in
    a reduction of the chosen one); full: the model of all pairs; seconds: of the whole run."""

    kind: ClassVar[str]

    full: p.Model
    version: str = ""
    created: str = ""
    command: str = ""
    machine: p.Machine = field(default_factory=p.Machine)
    data: p.Data = field(default_factory=p.Data)
    settings: p.Settings = field(default_factory=p.Settings)
    symmetry: p.Symmetry = field(default_factory=p.Symmetry)
    terms: tuple[p.Term, ...] = ()
    functions: p.Functions | None = None
    choice: p.Choice = field(default_factory=p.Choice)
    parity: p.Parity = field(default_factory=p.Parity)
    per_atom: p.PerAtom = field(default_factory=p.PerAtom)
    geometry: p.Geometry = field(default_factory=p.Geometry)
    seconds: float | None = None

    def __repr__(self) -> str:
        size = f"{self.data.formula or self.data.name or 'a molecule'}, {self.data.n_train or '?'} training structures"
        return f"{type(self).__name__}({size}, {self.full.pairs} pairs, {len(self.terms)} terms)"

    def to_json(self) -> dict[str, Any]:
        """The record as values that `json.dumps` takes and `from_json` reads."""
        return {"format": FORMAT.format(VERSION), "kind": self.kind} | encode(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainRecord(_Record):
    """The record of a training run.  length_search: every length and noise of a global term that was tried; history: of
    the solver that made the model; error_bars: None of a model without."""

    kind = "train"

    length_search: tuple[p.Trial, ...] = ()
    history: tuple[p.Step, ...] = ()
    error_bars: p.ErrorBars | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class ReduceRecord(_Record):
    """The record of a reduction.

    chosen: the model to use, which is also `full` or one of the others; quantiles: the paper's cuts; local: the model
    without a global term, or with as much of it as the molecule's shape needs (None: the full model has no other
    terms); refined: the bisection between two of these; random and shortest: selections for comparison, of about as
    many pairs, and as many that no local term sees; limit: what the chosen model must not exceed; pairs: every pair of
    atoms."""

    kind = "reduce"

    chosen: p.Model
    quantiles: tuple[p.Model, ...] = ()
    local: p.Model | None = None
    refined: tuple[p.Model, ...] = ()
    random: tuple[p.Model, ...] = ()
    shortest: tuple[p.Model, ...] = ()
    limit: p.Limit | None = None
    pairs: tuple[p.Pair, ...] = ()
    rank: p.Rank | None = None

    @property
    def by_relevance(self) -> tuple[p.Model, ...]:
        """The models whose pairs were selected by relevance, the full one first."""
        alone = () if self.local is None else (self.local,)
        return (self.full, *self.quantiles, *alone, *self.refined)


Record = TrainRecord | ReduceRecord
_KINDS: dict[str, type[Record]] = {kind.kind: kind for kind in (ReduceRecord, TrainRecord)}


def from_json(values: Mapping[str, Any], name: str = "record") -> Record:
    """The record whose `to_json`, or whose file of any version, has these values.  name: of the record in messages.

    Raises DataError, which names the field, where they are no record, or one that is damaged."""
    if not isinstance(values, Mapping):
        raise DataError(f"{name}: it is JSON, but no record; give the record.json of a run.")
    for version in range(_version(values, name), VERSION):
        values = UPGRADES[version](values)
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise DataError(
            f"{name}: there is no record of the kind {shown(kind)}; give that of one of {', '.join(_KINDS)}."
        )
    for model in ("full", "chosen") if kind == "reduce" else ("full",):
        _check_main(values.get(model), model, f"{name}: {model!r}", kind)
    record: Record = decode(_KINDS[kind], values, name)
    return record


def read_record(path: str | Path) -> Record:
    """The record in a file that `gossamer train` or `gossamer reduce` wrote, of this version or an older one.

    Raises DataError, which names the file, and the field that is wrong."""
    return from_json(read_json(path, "record.json of a run", DataError), str(path))


def _version(values: Mapping[str, Any], name: str) -> int:
    """The version of a record; the first programs did not always write one."""
    form = values.get("format", FORMAT.format(1))
    found = re.fullmatch(FORMAT.format(r"(\d+)"), form) if isinstance(form, str) else None
    if found is None:
        raise DataError(f"{name}: its format is {shown(form)}, which is no record; give the record.json of a run.")
    if not 1 <= int(found[1]) <= VERSION:
        raise DataError(
            f"{name}: its format is {shown(form)}, and this version reads up to {FORMAT.format(VERSION)!r}; use the "
            "gossamer that wrote it."
        )
    return int(found[1])


def _check_main(model: Any, name: str, where: str, kind: str) -> None:
    """Raise DataError where a model lacks the numbers without which no record can be shown."""
    found = model if isinstance(model, Mapping) else {}
    missing = [key for key in ("pairs", *p.MAIN) if finite(found.get(key)) is None]
    if missing:
        raise DataError(f"{where} has no {' and no '.join(missing)}; write the record again with `gossamer {kind}`.")
