"""Which structures did a model see in training?  Its coefficients hold their descriptors."""

from typing import TYPE_CHECKING

import numpy as np

from gossamer.data.twins import among

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField

ALIKE = 1e-4  # relative, RMS over the distances that the largest term sees


def seen_in_training(model: "ForceField", positions: np.ndarray) -> np.ndarray:
    """Which of positions (Q, N, 3), Angstrom, are training structures (Q,), rounded or turned ones included, as far as
    the term of most pairs tells them apart."""
    import torch

    index = max(range(len(model.terms)), key=lambda k: model.terms[k].places.size)
    term, rows = model.terms[index], model.coefficients[index].X
    known = rows.reshape(len(rows) // term.n_places, -1)
    asked = np.concatenate(
        [
            term.gather(model.pairs.forward(torch.from_numpy(block))[0]).numpy().reshape(len(block), -1)
            for block in np.array_split(positions, max(1, len(positions) // 1000))
        ]
    )
    counted = (known > 0).all(axis=0) & (asked > 0).all(axis=0)  # others than 1/r may be of any sign
    if not counted.any():
        return np.zeros(len(positions), dtype=bool)
    freedom = max(1, min(3 * model.n_atoms - 6, int(counted.sum())))
    return among(np.log(asked[:, counted]), np.log(known[:, counted]), ALIKE, freedom)
