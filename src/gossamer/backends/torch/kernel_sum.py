"""The hot function: sums over training structures.  Everything that costs time goes through this file.

Notation (docs/theory.md, Kernel sum): x query rows, X training rows, V descriptor coefficients, w energy coefficients,
delta = x - X_j, a = delta . V_j.   E = sum_j k1 a + k0 w_j,   g = dE/dx = sum_j k1 V_j - (k2 a + k1 w_j) delta.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from gossamer.backends.centring import centre_of
from gossamer.devices import BLOCK_BYTES, block_bytes, on_host
from gossamer.kernels import Kernel, Profile

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PRODUCT_BYTES = 8 * 2**20  # the two (queries, M) matrices of kernel_sum

# Where the fused kernel of a card takes over.  A query and a training row cost 8 P operations and, unfused, some 100
# bytes of passes over (Q, M) factors: at 50 TFLOP/s and 3 TB/s the passes weigh as much as the products at P = 200.
# An estimate from data sheets, to be measured (docs/gpu.md).
FUSED_PAIRS = 256


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Training descriptors X (M, P), shifted by their centre so that |x|^2 + |X|^2 - 2 x.X loses no digits."""

    centred: "Tensor"
    shift: "Tensor"
    squares: "Tensor"

    @classmethod
    def build(cls, X: "Tensor", images: np.ndarray) -> "TrainingRows":
        shift = centre_of(X, images)
        centred = X - shift
        return cls(centred, shift, (centred * centred).sum(1))

    def __len__(self) -> int:
        return len(self.centred)


def radial_factors(kernel: Kernel, s2: "Tensor") -> Profile:
    """`kernel.profile(s2)`, by compiled code where that has it."""
    if not on_host(s2) or kernel.form is None:
        return kernel.profile(s2)
    import torch

    from gossamer.backends.numba import _step

    s2 = s2.contiguous()
    factors = Profile(torch.empty_like(s2), torch.empty_like(s2), torch.empty_like(s2))
    k0, k1, k2 = (factor.view(-1).numpy() for factor in factors)
    _step.profile(s2.view(-1).numpy(), kernel.form, k0, k1, k2, torch.get_num_threads())
    return factors


def squared_distances(x: "Tensor", rows: TrainingRows) -> "Tensor":
    """|x - X_j|^2 for centred queries x (Q, P): (Q, M)."""
    s2 = (x * x).sum(1)[:, None] + rows.squares
    return s2.addmm_(x, rows.centred.T, alpha=-2)


def contract(
    factors: Profile, x: "Tensor", rows: TrainingRows, V: "Tensor", w: "Tensor | None" = None, *, energies: bool = True
) -> "tuple[Tensor | None, Tensor]":
    """Energies (Q,) and descriptor gradients (Q, P) from radial factors (Q, M) of centred queries x (Q, P).

    Three matrix products.  V (M, P); w (M,) or None; energies False skips them (a CG step needs gradients only)."""
    import torch

    a = torch.addmm(-(rows.centred * V).sum(1), x, V.T)
    e = _energies(factors, a, w) if energies else None
    _turn_along(factors, a, w)
    g = a @ rows.centred
    g.addmm_(factors.k1, V)
    g.addcmul_(x, a.sum(1)[:, None], value=-1)
    return e, g


def _energies(factors: Profile, a: "Tensor", w: "Tensor | None") -> "Tensor":
    """sum_j k1 a + k0 w_j (Q,) of a = delta . V_j (Q, M)."""
    import torch

    e = torch.einsum("qm,qm->q", factors.k1, a)
    return e if w is None else e.add_(factors.k0 @ w)


def _turn_along(factors: Profile, a: "Tensor", w: "Tensor | None") -> None:
    """a = delta . V_j (Q, M) becomes k2 a + k1 w_j, the weight of delta in the gradient, in place."""
    a *= factors.k2
    if w is not None:
        a.addcmul_(factors.k1, w)


def rows_per_block(n_columns: int, n_images: int, budget: float = BLOCK_BYTES) -> int:
    """How many queries are worked on at once so that their five (rows, M) temporaries fit the budget in bytes."""
    return max(1, int(budget // (5 * 8 * n_columns * n_images)))


def fold_images(e: "Tensor | None", g: "Tensor", images: np.ndarray) -> "tuple[Tensor | None, Tensor]":
    """Sum over images: e (Q*H,), g (Q*H, P) of permuted queries x[:, images[h]] -> (Q,), (Q, P) of the queries."""
    if len(images) == 1:
        return e, g
    n = len(g) // len(images)
    g = g.view(n, len(images), -1)
    total = g.new_zeros((n, g.shape[2]))
    for h, inverse in enumerate(np.argsort(images, axis=1)):
        total += g[:, h, inverse]
    return None if e is None else e.view(n, -1).sum(1), total


def weigh(
    kernel: Kernel, products: "Tensor", a: "Tensor", squares: "Tensor", rows: TrainingRows, XV: "Tensor",
    w: "Tensor | None" = None,
) -> "tuple[Tensor, Tensor]":  # fmt: skip
    """All that lies between the matrix products, in one pass and in place.

    products x . X_j (Q, M) become k1, a = x . V_j (Q, M) becomes k2 (a - X_j . V_j) + k1 w_j, both contiguous float64;
    squares (Q,) = |x|^2, XV (M,) = X_j . V_j.  Returns by query the energies (Q,) = sum_j k1 a + k0 w and the sums
    (Q,) of the new a.  The descriptor gradient is then  k1 @ V + a @ X - x sum(a)."""
    import torch

    if on_host(a) and kernel.form is not None:
        from gossamer.backends.numba import _step

        energies, sums = torch.empty_like(squares), torch.empty_like(squares)
        weight = np.zeros(0) if w is None else w.numpy()
        _step.weights(
            products.numpy(), a.numpy(), squares.numpy(), rows.squares.numpy(), XV.numpy(), weight, kernel.form,
            energies.numpy(), sums.numpy(), torch.get_num_threads(),
        )  # fmt: skip
        return energies, sums
    factors = kernel.profile(products.mul_(-2).add_(squares[:, None]).add_(rows.squares))
    a -= XV
    energies = _energies(factors, a, w)
    _turn_along(factors, a, w)
    products.copy_(factors.k1)
    return energies, a.sum(1)


def centred_sum(
    kernel: Kernel,
    x: "Tensor",
    rows: TrainingRows,
    V: "Tensor",
    w: "Tensor | None" = None,
    *,
    XV: "Tensor",
    room: "tuple[Tensor, Tensor] | None" = None,
) -> "tuple[Tensor, Tensor]":
    """Energies (Q,) and descriptor gradients (Q, P) of centred queries x (Q, P), without images: by the fused kernel on
    a card where that should be quicker, else in matrix products.

    XV (M,) = X_j . V_j of the centred rows; room: two matrices of at least (Q, M) to work in, if there are any."""
    import torch

    if is_fused(kernel, x):
        from gossamer.backends.torch._triton import fused_sum

        return fused_sum(kernel, x, rows, V, w, XV=XV)
    shape = len(x), len(rows)
    k1, along = (x.new_empty(shape), x.new_empty(shape)) if room is None else (room[0][: len(x)], room[1][: len(x)])
    torch.mm(x, rows.centred.T, out=k1)
    torch.mm(x, V.T, out=along)
    e, sums = weigh(kernel, k1, along, (x * x).sum(1), rows, XV, w)
    return e, (k1 @ V).addmm_(along, rows.centred).addcmul_(x, sums[:, None], value=-1)


def is_fused(kernel: Kernel, x: "Tensor") -> bool:
    """Whether `centred_sum` of queries x (Q, P) is one fused kernel."""
    return (
        kernel.form is not None and x.device.type == "cuda" and x.shape[1] <= FUSED_PAIRS and _fused_runs_on(x.device)
    )


@cache
def _fused_runs_on(device: "torch.device") -> bool:
    """Whether Triton is installed and the card multiplies float64 matrices (compute capability 8.0)."""
    import torch

    return find_spec("triton") is not None and torch.cuda.get_device_capability(device) >= (8, 0)


def kernel_sum(
    kernel: Kernel,
    x: "Tensor",
    X: "Tensor | TrainingRows",
    V: "Tensor",
    w: "Tensor | None" = None,
    *,
    images: np.ndarray,
    block: int | None = None,
) -> "tuple[Tensor, Tensor]":
    """Energies (Q,) and their descriptor gradients (Q, P) of a kernel force field.

    x (Q, P) query descriptors, X (M, P) training descriptors, V (M, P) and w (M,) coefficients; images (H, P) slot
    permutations over which the kernel is summed, applied to the query.  `block` fixes the number
    of queries worked on at once; the default keeps temporaries within PRODUCT_BYTES, on a card within `block_bytes`.
    """
    rows = X if isinstance(X, TrainingRows) else TrainingRows.build(X, images)
    XV = (rows.centred * V).sum(1)
    room = PRODUCT_BYTES if on_host(x) else block_bytes(x.device) / 4  # there `weigh` makes as much again, and more
    block = min(len(x), block or max(1, int(room // (16 * len(rows) * len(images)))))
    energies, gradients = x.new_empty(len(x)), x.new_empty(x.shape)
    shape = block * len(images), len(rows)
    matrices = None if is_fused(kernel, x) else (x.new_empty(shape), x.new_empty(shape))
    for start in range(0, len(x), block):
        part = permuted_rows(x[start : start + block], images) - rows.shift
        e, g = centred_sum(kernel, part, rows, V, w, XV=XV, room=matrices)
        energies[start : start + block] = e.view(-1, len(images)).sum(1)
        gradients[start : start + block] = fold_images(None, g, images)[1]
    return energies, gradients


def permuted_rows(x: "Tensor", images: np.ndarray) -> "Tensor":
    """x (Q, P) -> (Q*H, P): every row followed through all its images."""
    return x if len(images) == 1 else x[:, images.ravel()].view(-1, x.shape[1])
