"""Sums over training rows as matrix products, on any device, around one pass over the radial factors in between.

Notation (docs/theory.md, Kernel sum): x query rows, X training rows, V descriptor coefficients, w energy coefficients,
delta = x - X_j, a = delta . V_j.   E = sum_j k1 a + k0 w_j,   g = dE/dx = sum_j k1 V_j - (k2 a + k1 w_j) delta.
"""

from typing import TYPE_CHECKING

from gossamer.backends.rows import TrainingRows
from gossamer.kernels import Profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def contract(
    factors: Profile, x: "Tensor", rows: TrainingRows, V: "Tensor", w: "Tensor | None" = None, *, energies: bool = True
) -> "tuple[Tensor | None, Tensor]":
    """Energies (Q,) and descriptor gradients (Q, P) from radial factors (Q, M) of centred queries x (Q, P).

    Three matrix products.  V (M, P); w (M,) or None; energies False skips them (a CG step needs gradients only)."""
    import torch

    a = torch.addmm(-(rows.centred * V).sum(1), x, V.T)
    e = energies_of(factors, a, w) if energies else None
    turn_along(factors, a, w)
    g = a @ rows.centred
    g.addmm_(factors.k1, V)
    g.addcmul_(x, a.sum(1)[:, None], value=-1)
    return e, g


def energies_of(factors: Profile, a: "Tensor", w: "Tensor | None") -> "Tensor":
    """sum_j k1 a + k0 w_j (Q,) of a = delta . V_j (Q, M)."""
    import torch

    e = torch.einsum("qm,qm->q", factors.k1, a)
    return e if w is None else e.add_(factors.k0 @ w)


def turn_along(factors: Profile, a: "Tensor", w: "Tensor | None") -> None:
    """a = delta . V_j (Q, M) becomes k2 a + k1 w_j, the weight of delta in the gradient, in place."""
    a *= factors.k2
    if w is not None:
        a.addcmul_(factors.k1, w)


def products_around(
    weigh: "Callable",
    x: "Tensor",
    rows: TrainingRows,
    V: "Tensor",
    w: "Tensor | None",
    XV: "Tensor",
    room: "tuple[Tensor, Tensor] | None",
) -> "tuple[Tensor, Tensor]":
    """Energies (Q,) and gradients (Q, P) of centred queries x (Q, P): four matrix products, and what a backend's
    `weigh` of a kernel does between them."""
    import torch

    shape = len(x), len(rows)
    k1, along = (x.new_empty(shape), x.new_empty(shape)) if room is None else (room[0][: len(x)], room[1][: len(x)])
    torch.mm(x, rows.centred.T, out=k1)
    torch.mm(x, V.T, out=along)
    e, sums = weigh(k1, along, (x * x).sum(1), rows, XV, w)
    return e, (k1 @ V).addmm_(along, rows.centred).addcmul_(x, sums[:, None], value=-1)
