"""The pair descriptor in compiled loops, on the CPU; see model.pairs."""

from typing import TYPE_CHECKING

import torch

from gossamer.descriptors import _pairs

if TYPE_CHECKING:
    from torch import Tensor

    from gossamer.model.pairs import PairSet


def forward(pairs: "PairSet", positions: "Tensor") -> "tuple[Tensor, Tensor]":
    x = positions.new_empty((len(positions), len(pairs)))
    dx = positions.new_empty((*x.shape, 3))
    R = positions.contiguous().numpy()
    _pairs.forward(pairs.pairs, R, x.numpy(), dx.numpy(), torch.get_num_threads())
    return x, dx


def push(pairs: "PairSet", dx: "Tensor", a: "Tensor") -> "Tensor":
    out = dx.new_empty(dx.shape[:2])
    _pairs.push(pairs.pairs, dx.numpy(), a.contiguous().numpy(), out.numpy(), torch.get_num_threads())
    return out


def pull(pairs: "PairSet", dx: "Tensor", g: "Tensor") -> "Tensor":
    out = dx.new_zeros((len(dx), pairs.n_atoms, 3))
    _pairs.pull(pairs.pairs, dx.numpy(), g.contiguous().numpy(), out.numpy(), torch.get_num_threads())
    return out
