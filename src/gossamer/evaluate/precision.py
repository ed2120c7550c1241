"""In which precision training rows are kept.  One choice per term, the same for one structure and for many."""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from gossamer.backends.numba.layout import is_small
from gossamer.errors import UsageError

if TYPE_CHECKING:
    from gossamer.model.force_field import TermCoefficients
    from gossamer.model.terms import Term

SINGLE_LIMIT = 1e-4  # of forces by float32 storage: largest root mean square change, over the spread of the labels

Precision = Literal["auto", "float64", "float32"]


def check_precision(precision: str) -> None:
    """Raise UsageError for a name that is none."""
    if precision not in get_args(Precision):
        raise UsageError(f"precision: {precision!r} given; it is 'auto', 'float64' or 'float32'.")


def is_stored_single(term: "Term", c: "TermCoefficients", precision: str) -> bool:
    """Whether a term's rows are kept in float32: never those of small terms, which are read from the nearest cache;
    "auto": where `single_error` allows it."""
    if precision == "float64" or is_small(term):
        return False
    return precision == "float32" or single_error(term, c) < SINGLE_LIMIT


def as_stored(c: "TermCoefficients", perms: np.ndarray) -> "TermCoefficients":
    """The coefficients as float32 rows hold them: X and V rounded, X about the centre of its rows."""
    from gossamer.backends.rows import centre_of

    shift = centre_of(c.X, perms)
    X = (c.X - shift).astype(np.float32).astype(np.float64) + shift
    return replace(c, X=X, V=c.V.astype(np.float32).astype(np.float64))


def single_error(term: "Term", c: "TermCoefficients", n_rows: int = 8) -> float:
    """Root mean square change of a force component, in units of the labels, when X and V are rounded to float32.

    Measured on n_rows of the term's own training descriptors; the changes of its pair gradients are taken as
    independent, so each adds its square to the force."""
    import torch

    from gossamer.backends.kernel_sum import kernel_sum
    from gossamer.backends.rows import TrainingRows

    x = c.X[np.linspace(0, len(c.X) - 1, min(n_rows, len(c.X))).astype(int)]
    rows = TrainingRows.build(torch.from_numpy(c.X), term.perms)
    rounded = as_stored(c, term.perms)
    w = None if c.w is None else torch.from_numpy(c.w)
    query = torch.from_numpy(x)
    exact = kernel_sum(term.kernel, query, rows, torch.from_numpy(c.V), w, images=term.perms)[1]
    stored = torch.from_numpy(rounded.X), torch.from_numpy(rounded.V)
    change = (kernel_sum(term.kernel, query, *stored, w, images=term.perms)[1] - exact).numpy()
    r2 = (x / term.weights) ** 2  # |dx/dR| = 1/r^2
    n_components = 3 * (1 + term.n_pairs) ** 0.5  # as many atoms as have that many pairs, roughly, or more
    return float(term.amplitude * np.sqrt(2 * ((change * term.weights * r2) ** 2).sum(1).mean() / n_components))
