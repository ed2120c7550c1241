"""What older records become: the JSON values of one version from those of the version before it.

An upgrader passes on what it does not understand, so that `from_json` can name it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gossamer.records.coding import finite
from gossamer.records.parts import TermKind

Values = Mapping[str, Any]

_ALONE = 100  # quantile of the model of local terms alone, in version 1
_WORTH = 0.01  # of local terms alone, where version 1 does not say


class Origin(NamedTuple):
    """`kind`, `reach` and `heads` of a `parts.Term`."""

    kind: TermKind
    reach: float | None = None
    heads: int = 0


def origin_in_name(name: str, places: Sequence[Sequence[int]]) -> Origin:
    """What a term looks at by its name, "0 within 1 bond", "0 within 3 A" or "0 7 contact", whose atoms must be the
    first of its first place."""
    if name == "global":
        return Origin("global")
    found = re.fullmatch(r"(\d+) within (\d+) bonds?|(\d+) within (\d+(?:\.\d*)?) A|(\d+) (\d+) contact", name)
    if found is None or not places:
        return Origin("given")
    atom, bonds, centre, radius, *two = found.groups()
    named = {int(number) for number in (atom, centre, *two) if number}
    heads = 2 if two[0] or (centre and len(places[0]) == 2) else 1  # which of two atoms is the centre is not recorded
    if not named <= set(places[0][:heads]):
        return Origin("given")
    if two[0]:
        return Origin("contact", None, heads)
    return Origin("bonds", float(bonds), heads) if bonds else Origin("radius", float(radius), heads)


def _from_1(values: Values) -> Values:
    """Version 1 told the kinds of terms by their names, local terms alone by a quantile of 100, the chosen model by a
    label, and gave the limit on the validation structures only; its only kernel was Matern-5/2."""
    new = dict(values, format="gossamer-record-2")
    if isinstance(values.get("choice"), Mapping):
        new["choice"] = {"worth": _WORTH} | dict(values["choice"])
    if isinstance(values.get("settings"), Mapping) and values["settings"].get("terms", "global") != "global":
        new["settings"] = dict(values["settings"], length=None)  # it was none of theirs
    if _are_objects(values.get("terms")):
        new["terms"] = [_term_from_1(term) for term in values["terms"]]
    if values.get("kind") != "reduce" or not _are_objects(values.get("refined") or []):
        return new
    refined = values.get("refined") or []
    alone = [dict(row, quantile=None) for row in refined if row.get("quantile") == _ALONE]
    new["refined"] = [row for row in refined if row.get("quantile") != _ALONE]
    new["local"] = alone[0] if alone else None
    if isinstance(values.get("chosen"), Mapping):
        row = values["chosen"]
        ours = {"label": row.get("from", row.get("label"))}
        new["chosen"] = dict(row) | ours | ({"quantile": None} if row.get("quantile") == _ALONE else {})
    new["limit"] = _limit_from_1(new)
    return new


def _term_from_1(term: Values) -> Values:
    name, places = term.get("name"), term.get("atoms") or []
    fits = isinstance(name, str) and isinstance(places, list) and all(isinstance(place, list) for place in places)
    origin = origin_in_name(str(name), places) if fits else Origin("given")
    if origin.kind == "bonds" and term.get("reach") is None:
        origin = Origin("given")
    return {"kernel": "matern52"} | dict(term) | origin._asdict()


def _limit_from_1(new: Values) -> Any:
    """The limit on the validation structures, as it stands or by the tolerance, and that much above the force RMSE of
    the same model."""
    limit = new.get("limit")
    cuts = new.get("quantiles")
    rows = [new.get("full"), *(cuts if isinstance(cuts, list) else ()), new.get("local")]
    rated = [(finite(row.get("valid_force_rmse")), row) for row in rows if isinstance(row, Mapping)]
    valid, best = min(((error, row) for error, row in rated if error), key=lambda one: one[0], default=(0.0, {}))
    if not valid or not isinstance(limit, Mapping | None):
        return limit
    if limit is None:
        settings = new.get("settings")
        tolerance = finite(settings.get("tolerance")) if isinstance(settings, Mapping) else None
        if tolerance is None:
            return None
        limit = {"valid_force_rmse": (1 + tolerance) * valid}
    most, shown = finite(limit.get("valid_force_rmse")), finite(best.get("force_rmse"))
    return limit if most is None or shown is None else dict(limit, force_rmse=shown * (most / valid))


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _from_2(values: Values) -> Values:
    """Version 2 had no error bars."""
    return dict(values, format="gossamer-record-3")


def _from_3(values: Values) -> Values:
    """Version 3 had no charges."""
    return dict(values, format="gossamer-record-4")


UPGRADES: dict[int, Callable[[Values], Values]] = {1: _from_1, 2: _from_2, 3: _from_3}  # from the version to the next
