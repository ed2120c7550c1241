"""Where things stand in the arrays of compiled sums; `layout` fills them."""

from numba import njit

from gossamer.backends.numba._vectors import WIDTH

BLOCK = 4 * WIDTH  # rows of a block (`_blocks`)
(
    KIND,  # COLUMNS, ROWS (float64) or ROWS_SINGLE (float32)
    SLOTS, PLACES, PERMS, DOTS,  # P, L, H, D
    TILES,  # blocks or tiles of training rows
    INTS,  # in `ints`: starts (P+1) of the rows of the sparse basis, their molecule pairs (L, E), dots (D, 3)
    ORDER,  # of the kernel's polynomials (kernels.radial)
    DOUBLES,  # in `doubles`: RATE, NORM, AMPLITUDE, then from HEAD on the sparse basis (E,), shift (P,), table (H, D)
    DATA,  # in `doubles` or `floats`: the training rows
    SCALARS,  # in `doubles`: per tile (`_tiles`) |X_j|^2, X_j . V_j, w_j, WIDTH each
    COLUMNS_OF_LAYOUT,
) = range(12)  # fmt: skip
COLUMNS, ROWS, ROWS_SINGLE = range(3)
RATE, NORM, AMPLITUDE, HEAD = range(4)


@njit(inline="always")
def padded(n):
    """n rounded up to whole vectors."""
    return (n + WIDTH - 1) // WIDTH * WIDTH


def work_size(row) -> int:
    """Doubles of scratch a row of the layout needs."""
    P, L, H, D = padded.py_func(row[SLOTS]), row[PLACES], row[PERMS], row[DOTS]
    return padded.py_func(L * (P + WIDTH * P + 1 + WIDTH) + WIDTH + 2 * BLOCK * (D + H)) + 2 * WIDTH
