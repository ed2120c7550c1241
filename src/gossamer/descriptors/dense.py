"""Any features in array operations, on any device, by a dense Jacobian (A, 3) of each; see model.features.

parts: every feature with its atoms (F_k, A_k).  Features with fewer atoms than others have zeros in dx (Q, F, A, 3)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.displacements import displacements

if TYPE_CHECKING:
    from torch import Tensor

    from gossamer.descriptors import Descriptor, Feature


def forward(parts: "Sequence[tuple[Feature, Any]]", positions: "Tensor") -> "tuple[Tensor, Tensor]":
    """Features x (Q, F) of positions (Q, N, 3), and their gradients dx (Q, F, A, 3) by their own atoms."""
    import torch
    from torch.nn.functional import pad

    made = [feature.forward(displacements(positions, atoms[:, 1:], atoms[:, :1])) for feature, atoms in parts]
    width = max(slopes.shape[2] for _, slopes in made)
    dx = [
        pad(torch.cat([-slopes.sum(2, keepdim=True), slopes], 2), (0, 0, 0, width - slopes.shape[2]))
        for _, slopes in made
    ]
    return torch.cat([x for x, _ in made], 1), torch.cat(dx, 1)


def push(atoms: np.ndarray, dx: "Tensor", a: "Tensor") -> "Tensor":
    """(dx/dR) a:  atoms (F, A), a (Q, N, 3) -> (Q, F)."""
    return (dx * a[:, atoms]).sum((-2, -1))


def pull(incidence: "Tensor", dx: "Tensor", g: "Tensor") -> "Tensor":
    """(dx/dR)^T g (Q, N, 3).  incidence (N, D): where in the flattened (F, A) each atom stands, F A filling up."""
    from torch.nn.functional import pad

    pulled = pad((g[..., None, None] * dx).flatten(1, 2), (0, 0, 0, 1))
    return pulled[:, incidence].sum(2)


def matrices(descriptor: "Descriptor", dx: "Tensor") -> "Tensor":
    """dx/dR as matrices (Q, F, 3N)."""
    import torch

    slopes = descriptor.jacobian(dx)
    out = slopes.new_zeros((*slopes.shape[:2], descriptor.n_atoms, 3))
    at = torch.as_tensor(descriptor.atoms, device=dx.device)[None, :, :, None]
    return out.scatter_add_(2, at.expand(slopes.shape), slopes).flatten(2)


def occurrences(owners: np.ndarray, n: int) -> np.ndarray:
    """Where each of n owners stands in `owners` (S,): (n, K), filled up with S."""
    counts = np.bincount(owners, minlength=n)
    table = np.full((n, max(1, counts.max())), len(owners))
    order = np.argsort(owners, kind="stable")
    table[owners[order], np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)] = order
    return table
