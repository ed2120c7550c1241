"""Sums of one term over training rows, with its images, by the backend that is chosen for it."""

from typing import TYPE_CHECKING

import numpy as np

from gossamer.backends.choice import backend_of
from gossamer.backends.rows import TrainingRows, fold_images, permuted_rows
from gossamer.kernels import Kernel, Profile

if TYPE_CHECKING:
    from torch import Tensor


def radial_factors(kernel: Kernel, s2: "Tensor") -> Profile:
    """`kernel.profile(s2)`, by compiled code where that has it."""
    return backend_of(kernel, s2.device).radial_factors(kernel, s2)


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
    of queries worked on at once; the default keeps temporaries within what the backend allows.
    """
    rows = X if isinstance(X, TrainingRows) else TrainingRows.build(X, images)
    return centred_kernel_sum(kernel, x - rows.shift, rows, V, w, images=images, block=block)


def centred_kernel_sum(
    kernel: Kernel,
    x: "Tensor",
    rows: TrainingRows,
    V: "Tensor",
    w: "Tensor | None" = None,
    *,
    images: np.ndarray,
    block: int | None = None,
) -> "tuple[Tensor, Tensor]":
    """`kernel_sum` of queries less the shift of the rows."""
    backend, H = backend_of(kernel, x.device), len(images)
    XV = (rows.centred * V).sum(1)
    fitting = max(1, int(backend.block_room(x.device) // (16 * len(rows) * H)))
    block = min(len(x), block or fitting)
    energies, gradients = x.new_empty(len(x)), x.new_empty(x.shape)
    room = backend.workspace(kernel, x, block * H, len(rows))
    for start in range(0, len(x), block):
        part = permuted_rows(x[start : start + block], images)
        e, g = backend.centred_sum(kernel, part, rows, V, w, XV=XV, room=room)
        energies[start : start + block] = e.view(-1, H).sum(1)
        gradients[start : start + block] = fold_images(None, g, images)[1]
    return energies, gradients
