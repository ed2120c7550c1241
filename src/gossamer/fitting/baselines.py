"""Which baselines a fit takes off its labels."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.baselines import taken_off
from gossamer.baselines.calculator import NAMED, CalculatorBaseline, check_option
from gossamer.baselines.coulomb import Coulomb
from gossamer.baselines.repulsion import Repulsion
from gossamer.errors import UsageError
from gossamer.fitting.checkpoint import HERE, Run, key_of
from gossamer.model.force_field import ForceField
from gossamer.model.model_baseline import ModelBaseline

if TYPE_CHECKING:
    from gossamer.baselines import Baseline
    from gossamer.data.dataset import Dataset

AUTO, NONE = "auto", "none"


def baselines_of(
    asked: Any, terms: Any, train: "Dataset", perms: np.ndarray, run: Run = HERE
) -> "tuple[Baseline, ...]":
    """What `fit` makes of its argument `baseline`.

    AUTO: the repulsion of atoms that no bond joins, but nothing where terms is "global", so that this stays sgdml's
    model, or where no atoms are three bonds apart.  NONE; names, joined by commas; a ForceField, an ASE calculator or a
    Baseline; or several of these, charges being fitted to what those before them leave.  perms (S, N): of the atoms.
    Raises UsageError for what is none of these, DataError for atoms that lack constants."""
    found: tuple[Baseline, ...] = ()
    for part in _parts(asked):
        if part == AUTO and terms != "global":
            wall = Repulsion.between(train.positions, train.numbers, perms)
            found += (wall,) if len(wall.pairs) else ()
        elif isinstance(part, str) and part.partition(":")[0] == Coulomb.kind:
            found += (_charges(part, taken_off(found, train), perms, run),)
        elif not isinstance(part, str):
            found += (_given(part, train),)
        elif part == Repulsion.kind:
            found += (Repulsion.between(train.positions, train.numbers, perms),)
        elif part not in (AUTO, NONE):
            found += (CalculatorBaseline(train.numbers, part),)
    return found


def check_baseline(asked: Any) -> None:
    """Raise UsageError for names that cannot be, before any data are read."""
    if isinstance(asked, str) and asked not in (AUTO, NONE):
        for name in _parts(asked):
            _check_name(name)


def _parts(asked: Any) -> Iterator[Any]:
    """Names one by one, and what is no name."""
    if isinstance(asked, str):
        yield from (name.strip() for name in asked.split(","))
    elif isinstance(asked, Sequence):
        for part in asked:
            if isinstance(part, str):
                check_baseline(part)
            yield from _parts(part)
    else:
        yield asked


def _check_name(name: str) -> None:
    head, colon, option = name.partition(":")
    if head not in (Repulsion.kind, Coulomb.kind, *NAMED):
        known = ", ".join((AUTO, NONE, Repulsion.kind, Coulomb.kind, *NAMED))
        raise UsageError(f"baseline: {name!r} is not known; use {known}, or a model.")
    if head == Coulomb.kind:
        _total(name)
    elif head in NAMED:
        check_option(name)
    elif colon:
        raise UsageError(f"baseline: {head} has no option, but {option!r} is given; write {head} alone.")


def _total(name: str) -> float:
    """The total charge that "coulomb:-1" names, elementary charges; 0 of "coulomb" alone."""
    _, colon, option = name.partition(":")
    try:
        total = float(option) if colon else 0.0
    except ValueError:
        total = np.nan
    if not np.isfinite(total):
        raise UsageError(f"baseline: the total charge in {name!r} is no number; write coulomb, or such as coulomb:-1.")
    return total


def _charges(name: str, left: "Dataset", perms: np.ndarray, run: Run) -> Coulomb:
    """Fitted to the forces of `left`, the same ones on all ranks."""

    def fitted() -> dict[str, np.ndarray]:
        made = Coulomb.fitted(left, perms, _total(name))
        return {"charges": made.charges, "pairs": made.pairs}

    return Coulomb(**run.arrays_once(key_of("charges", left, perms, _total(name)), fitted))


def _given(asked: Any, train: "Dataset") -> "Baseline":
    if isinstance(asked, ForceField):
        if not np.array_equal(asked.numbers, train.numbers):
            raise UsageError(
                "baseline: the model is of other atoms, or another order of atoms, than the training structures; give "
                "one of the same."
            )
        return ModelBaseline(asked)
    if hasattr(asked, "get_potential_energy"):
        return CalculatorBaseline(train.numbers, type(asked).__name__.lower(), asked)
    if callable(asked) and hasattr(asked, "to_file"):
        return asked
    raise UsageError(
        f"baseline: {type(asked).__name__} given; give a name, a ForceField, an ASE calculator or a Baseline."
    )
