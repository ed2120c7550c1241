"""What a record says of the terms of its model, in sentences and rows of a table."""

import re

from gossamer.reporting.chemistry import spelled
from gossamer.reporting.markup import Html, formula
from gossamer.reporting.reading import GLOBAL, Record, fixed_pairs, get, get_number, is_number
from gossamer.reporting.words import MEV, count_of, digits, listed

CENTRES = 4  # so many are named, and the rest counted
_KINDS = {"global": "one global term", "both": "local terms with a global one", "local": "local terms alone"}


def made_of(record: Record) -> str:
    """ "one global term of length 20 /Å", "35 local terms and a global one"."""
    terms = record["terms"]
    local = sum(term["name"] != GLOBAL for term in terms)
    if not local:
        return f"one global term of length {terms[0]['length']:g} /Å"
    return count_of(local, "local term") + (" and a global one" if local < len(terms) else "")


def tried(record: Record) -> dict[str, float]:
    """Validation force RMSE (eV/Å) of each kind of terms that was tried and could be solved, the lowest first."""
    errors = get(record, "choice", "valid_force_rmse") or {}
    return dict(sorted(((name, e) for name, e in errors.items() if is_number(e)), key=lambda item: item[1]))


def kind_name(name: str) -> str:
    """What a kind of terms is called."""
    return _KINDS.get(name, name)


def choice_sentence(record: Record) -> str:
    """Which terms were taken, and why; nothing where nothing was compared."""
    taken, errors = get(record, "choice", "name"), tried(record)
    if taken not in errors or len(errors) < 2:
        return ""
    others = [f"{digits(e * MEV)} for {kind_name(name)}" for name, e in errors.items() if name != taken]
    start = "The reduction began with" if record.get("kind") == "reduce" else "Taken:"
    fitted = count_of(get(record, "choice", "n_train"), "training structure")
    where = f", when fitted to {fitted}" if fitted else ""
    return (
        f"{start} {kind_name(taken)}, {_reason(record, taken, errors)} validation force RMSE: "
        f"{digits(errors[taken] * MEV)} meV/Å against {listed(others)}{where}."
    )


def _reason(record: Record, taken: str, errors: dict[str, float]) -> str:
    if errors[taken] <= min(errors.values()):
        return "for the lowest"
    worth = get_number(record.get("choice") or {}, "worth", 0.01)
    return f"the cheapest, which come within {100 * worth:g} % of the lowest"


def has_local_terms(record: Record) -> bool:
    return any(term.get("name") != GLOBAL for term in record.get("terms") or ()) or fixed_pairs(record) > 0


def spelled_term(term: Record, record: Record) -> Html | str:
    """The atoms of a term in chemistry; its name where the record does not know them."""
    geometry = record.get("geometry") or {}
    symbols = [str(symbol)[:3] for symbol in geometry.get("symbols") or ()]
    places = term.get("atoms") or []
    if term.get("name") == GLOBAL:
        return "the whole molecule"
    if not places or max(places[0]) >= len(symbols):
        return str(term.get("name") or "–")
    return formula(spelled(places[0], symbols, [(int(i), int(j)) for i, j in geometry.get("bonds") or ()]))


def reach_text(term: Record) -> str:
    """ "within 1 bond", "within 3 Å", "contact"; the given name of another term."""
    found = _reach(term)
    if found is not None:
        return found[1]
    return "" if term.get("name") == GLOBAL or not term.get("atoms") else str(term.get("name") or "")


def centres(term: Record, record: Record) -> str:
    """ "C0, C4 and 3 more": the atoms around which the term stands; "O0/N7" where they are two."""
    symbols = (record.get("geometry") or {}).get("symbols") or ()
    found = _reach(term)
    heads = [] if found is None else [place[: found[0]] for place in term.get("atoms") or []]
    if any(max(atoms) >= len(symbols) for atoms in heads):
        return ""
    named = ["/".join(f"{str(symbols[a])[:3]}{a}" for a in atoms) for atoms in heads[:CENTRES]]
    more = len(heads) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _reach(term: Record) -> tuple[int, str] | None:
    """How many atoms of a place a term of `local_fragments` stands around, and how far it looks; None for another term.
    Radii and contacts stand in its name alone, "0 within 3 A" or "0 7 contact", which must fit its first place."""
    if is_number(term.get("reach")):
        return 1, f"within {count_of(term['reach'], 'bond')}"
    found = re.fullmatch(r"(\d+) (within \S+) A|(\d+) (\d+) (contact)", str(term.get("name")))
    if found is None or not term.get("atoms"):
        return None
    first, radius, *two, contact = found.groups()
    heads = {int(number) for number in (first, *two) if number}
    count = 2 if contact or len(term["atoms"][0]) == 2 else 1  # which of two atoms is the centre is not recorded
    if not heads <= set(term["atoms"][0][:count]):
        return None
    return count, contact or f"{radius} Å"
