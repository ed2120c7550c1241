"""Which baselines a fit takes off its labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.baselines.calculator import NAMED, CalculatorBaseline
from gossamer.baselines.repulsion import Repulsion
from gossamer.errors import UsageError
from gossamer.model.force_field import ForceField
from gossamer.model.model_baseline import ModelBaseline

if TYPE_CHECKING:
    from gossamer.baselines import Baseline
    from gossamer.data.dataset import Dataset

AUTO, NONE = "auto", "none"


def baselines_of(asked: Any, terms: Any, train: "Dataset", perms: np.ndarray) -> "tuple[Baseline, ...]":
    """What `fit` makes of its argument `baseline`.

    AUTO: the repulsion of atoms that no bond joins, but nothing where terms is "global", so that this stays sgdml's
    model, or where no atoms are three bonds apart.  NONE; names, joined by commas; a ForceField, an ASE calculator or a
    Baseline; or several of these.  perms (S, N): of the atoms.  Raises UsageError for what is none of these."""
    if isinstance(asked, str):
        if asked == AUTO:
            if terms == "global":
                return ()
            wall = Repulsion.between(train.positions, train.numbers, perms)
            return (wall,) if len(wall.pairs) else ()
        return () if asked == NONE else tuple(_named(name.strip(), train, perms) for name in asked.split(","))
    if isinstance(asked, Sequence):
        return tuple(one for part in asked for one in baselines_of(part, terms, train, perms))
    return (_given(asked, train),)


def check_baseline(asked: Any) -> None:
    """Raise UsageError for names that cannot be, before any data are read."""
    names = asked.split(",") if isinstance(asked, str) and asked not in (AUTO, NONE) else []
    for name in names:
        if name.strip() not in (Repulsion.kind, *NAMED):
            known = ", ".join((AUTO, NONE, Repulsion.kind, *NAMED))
            raise UsageError(f"baseline: {name.strip()!r} is not known; use {known}, or a model.")


def _named(name: str, train: "Dataset", perms: np.ndarray) -> "Baseline":
    check_baseline(name)
    if name == Repulsion.kind:
        return Repulsion.between(train.positions, train.numbers, perms)
    return CalculatorBaseline(train.numbers, name)


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
