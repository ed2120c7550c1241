"""The pair descriptor in array operations, on any device; see model.pairs."""

from typing import TYPE_CHECKING

from gossamer.devices import block_bytes
from gossamer.displacements import displacements

if TYPE_CHECKING:
    from torch import Tensor

    from gossamer.model.pairs import PairSet


def inverse_distance(d: "Tensor") -> "tuple[Tensor, Tensor]":
    """1/r and its gradient of displacements d (..., 3)."""
    x = (d * d).sum(-1).rsqrt()
    return x, -d * (x * x * x)[..., None]


def forward(pairs: "PairSet", positions: "Tensor") -> "tuple[Tensor, Tensor]":
    return inverse_distance(displacements(positions, *pairs.pairs.T))


def push(pairs: "PairSet", dx: "Tensor", a: "Tensor") -> "Tensor":
    i, j = pairs.pairs.T
    return ((a[:, i] - a[:, j]) * dx).sum(-1)


def pull(pairs: "PairSet", dx: "Tensor", g: "Tensor") -> "Tensor":
    """Sums run in a fixed order."""
    import torch

    pair, sign = (torch.as_tensor(t, device=dx.device) for t in pairs.incidence)
    out = dx.new_empty((len(dx), pairs.n_atoms, 3))
    step = max(1, int(block_bytes(dx.device) // (2 * 8 * 3 * pair.numel())))
    for start in range(0, len(dx), step):
        f = g[start : start + step, :, None] * dx[start : start + step]
        out[start : start + step] = (f[:, pair] * sign[..., None]).sum(2)
    return out
