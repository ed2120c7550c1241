"""What a record says of the terms of its model, in sentences and rows of a table."""

from typing import NamedTuple

import numpy as np

from gossamer.records.parts import Kind, Term
from gossamer.records.record import Record, ReduceRecord
from gossamer.reporting.chemistry import spelled
from gossamer.reporting.markup import Html, formula
from gossamer.reporting.reading import fixed_pairs, has_functions, local_terms
from gossamer.reporting.words import MEV, count_of, digits, listed

CENTRES = 4  # so many are named, and the rest counted
_KINDS = {
    "global": "one global term", "both": "local terms with a global one", "local": "local terms alone",
    "pairs": "local terms with pair functions", "all": "local terms with pair functions and a global one",
    "given": "the terms given",
}  # fmt: skip


def made_of(record: Record) -> str:
    """ "one global term of length 20 /Å", "35 local terms and a global one"."""
    local = len(local_terms(record))
    if record.settings.family != "kernel":
        return f"a {record.settings.family}"
    if not local:
        lengths = [f" of length {term.length:g} /Å" for term in record.terms if term.length is not None]
        return f"one global term{''.join(lengths)}"
    parts = [count_of(local, "local term")]
    parts += ["pair functions"] if has_functions(record) else []
    parts += ["a global term" if len(parts) > 1 else "a global one"] if local < len(record.terms) else []
    return listed(parts)


def tried(record: Record) -> dict[Kind, float]:
    """Validation force RMSE (eV/Å) of each kind of terms that was tried and could be solved, the lowest first."""
    errors = [(name, e) for name, e in record.choice.valid_force_rmse.items() if e is not None]
    return dict(sorted(errors, key=lambda item: item[1]))


def has_cheapest(record: Record) -> bool:
    """Whether a sum without a global term was tried."""
    return bool({"local", "pairs"} & set(tried(record)))


def kind_name(kind: Kind) -> str:
    """What a kind of terms is called."""
    return _KINDS[kind]


def choice_sentence(record: Record) -> str:
    """Which terms were taken, and why; nothing where nothing was compared."""
    taken, errors = record.choice.name, tried(record)
    if taken is None or taken not in errors or len(errors) < 2:
        return ""
    others = [f"{digits(e * MEV)} for {kind_name(name)}" for name, e in errors.items() if name != taken]
    start = "The reduction began with" if isinstance(record, ReduceRecord) else "Taken:"
    fitted = count_of(record.choice.n_train, "training structure")
    where = f", when fitted to {fitted}" if fitted else ""
    return (
        f"{start} {kind_name(taken)}, {_reason(record, taken, errors)} validation force RMSE: "
        f"{digits(errors[taken] * MEV)} meV/Å against {listed(others)}{where}."
    )


def _reason(record: Record, taken: Kind, errors: dict[Kind, float]) -> str:
    if errors[taken] <= min(errors.values()):
        return "for the lowest"
    worth = record.choice.worth
    near = "near the lowest" if worth is None else f"within {100 * worth:g} % of the lowest"
    return f"the cheapest, which come {near}"


class Work(NamedTuple):
    """What a step does for the terms of one kind: kernels are rows times places times exchanges; numbers of rows read
    are rows times places times pairs."""

    name: str
    terms: int
    places: int
    rows: int
    kernels: int
    numbers: int


def work(record: Record) -> list[Work]:
    """By kind of term, where the record knows the rows."""
    kinds = {"local terms": local_terms(record), "global term": [t for t in record.terms if t.kind == "global"]}
    found = []
    for name, some in kinds.items():
        sizes = np.array([[t.places or 0, t.rows or 0, t.permutations or 1, t.pairs or 0] for t in some]).reshape(-1, 4)
        places, rows, exchanges, pairs = sizes.T
        sums = (places.sum(), rows.sum(), (rows * places * exchanges).sum(), (rows * places * pairs).sum())
        if rows.all() and len(rows):
            found.append(Work(name, len(some), *(int(n) for n in sums)))
    return found


def work_sentence(record: Record) -> str:
    """What a step evaluates, and how much of it an atom."""
    parts = [(sum(w.kernels for w in work(record)), "kernel")]
    parts += [] if record.functions is None else [(record.functions.pairs, "pair function")]
    atoms = record.data.n_atoms
    each = [f"{count_of(n, name)}{f', {digits(n / atoms, 2)} an atom' if atoms else ''}" for n, name in parts if n]
    return f"A step evaluates {' and '.join(each)}." if each else ""


def has_local_terms(record: Record) -> bool:
    return bool(local_terms(record)) or fixed_pairs(record) > 0


def spelled_term(term: Term, record: Record) -> Html | str:
    """The atoms of a term in chemistry; its name where the record does not know them."""
    symbols = [symbol[:3] for symbol in record.geometry.symbols]
    if term.kind == "global":
        return "the whole molecule"
    if not term.atoms or max(term.atoms[0]) >= len(symbols):
        return term.name or "–"
    return formula(spelled(term.atoms[0], symbols, record.geometry.bonds))


def reach_text(term: Term) -> str:
    """ "within 1 bond", "within 3 Å", "contact"; the given name of another term."""
    if term.kind == "bonds" and term.reach is not None:
        return f"within {count_of(round(term.reach), 'bond')}"
    if term.kind == "radius" and term.reach is not None:
        return f"within {term.reach:g} Å"
    if term.kind == "contact":
        return "contact"
    return term.name if term.kind == "given" and term.atoms else ""


def centres(term: Term, record: Record) -> str:
    """ "C0, C4 and 3 more": the atoms around which the term stands; "O0/N7" where they are two."""
    symbols = record.geometry.symbols
    heads = [place[: term.heads] for place in term.atoms] if term.heads else []
    if any(max(atoms) >= len(symbols) for atoms in heads):
        return ""
    named = ["/".join(f"{symbols[a][:3]}{a}" for a in atoms) for atoms in heads[:CENTRES]]
    more = len(heads) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
