"""Training rows as every backend keeps them, and how queries are followed through their images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gossamer.devices import BLOCK_BYTES

if TYPE_CHECKING:
    from torch import Tensor


def centre_of(X, images: np.ndarray):
    """Mean (P,) of rows X (M, P), an array or a tensor.

    Averaged over the images too, so that a permuted query is shifted by the same vector, and rounded to 20 binary
    places, so that subtracting it is exact."""
    return (X.mean(0)[images].mean(0) * 2**20).round() / 2**20


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

    @property
    def whole(self) -> "Tensor":
        """The descriptors (M, P) before they were shifted."""
        return self.centred + self.shift


def squared_distances(x: "Tensor", rows: TrainingRows) -> "Tensor":
    """|x - X_j|^2 for centred queries x (Q, P): (Q, M)."""
    s2 = (x * x).sum(1)[:, None] + rows.squares
    return s2.addmm_(x, rows.centred.T, alpha=-2)


def permuted_rows(x: "Tensor", images: np.ndarray) -> "Tensor":
    """x (Q, P) -> (Q*H, P): every row followed through all its images."""
    return x if len(images) == 1 else x[:, images.ravel()].view(-1, x.shape[1])


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


def rows_per_block(n_columns: int, n_images: int, budget: float = BLOCK_BYTES) -> int:
    """How many queries are worked on at once so that their five (rows, M) temporaries fit the budget in bytes."""
    return max(1, int(budget // (5 * 8 * n_columns * n_images)))
