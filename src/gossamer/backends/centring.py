"""The vector that descriptors are shifted by before their distances are taken."""

import numpy as np


def centre_of(X, images: np.ndarray):
    """Mean (P,) of rows X (M, P), an array or a tensor.

    Averaged over the images too, so that a permuted query is shifted by the same vector, and rounded to 20 binary
    places, so that subtracting it is exact."""
    return (X.mean(0)[images].mean(0) * 2**20).round() / 2**20
