"""The sum over permutations at the price of a few: descriptors in a basis adapted to their symmetry.

All that a kernel summed over H permutations needs of two descriptors are the H numbers  x_h . y,  x_h = x[perms[h]].
In the basis of the group's irreducible representations  x_h . y = sum_t table[h, t] * dot_t,  and the few dot products
dot_t together read every number d times, d the dimension of its representation (1, 2, 3), instead of H times.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array


@dataclass(frozen=True, eq=False)
class AdaptedBasis:
    """Sparse orthogonal basis (P, P) of slot space, new coordinates in rows: x' = basis @ x.

    dots (D, 3) int64: where a dot product begins in x', where in y', and how many numbers it runs over;
    table (H, D): x[perms[h]] . y = sum_t table[h, t] x'[dots[t,0]:][:dots[t,2]] . y'[dots[t,1]:][:dots[t,2]].
    """

    basis: csr_array
    dots: np.ndarray
    table: np.ndarray

    @classmethod
    def build(cls, perms: np.ndarray) -> "AdaptedBasis":
        """perms (H, P): a closed group of permutations of P slots, row 0 the identity."""
        P = perms.shape[1]
        if len(perms) == 1:
            return cls(csr_array(coo_array((np.ones(P), (np.arange(P),) * 2))), np.array([[0, 0, P]]), np.ones((1, 1)))
        kinds: list[np.ndarray] = []  # (H, d, d): one real representation of every kind met
        copies: list[list[tuple[np.ndarray, np.ndarray]]] = []  # per kind and copy: slots (n,), rows (d, n)
        known: dict[bytes, list[tuple[int, np.ndarray]]] = {}
        for orbit in _orbits(perms):
            local = np.searchsorted(orbit, perms[:, orbit])
            key = local.tobytes()
            if key not in known:
                known[key] = _irreducible(local, kinds)
                copies.extend([] for _ in range(len(kinds) - len(copies)))
            for kind, rows in known[key]:
                copies[kind].append((orbit, rows))
        where, slots, values, dots, start = [], [], [], [], 0
        for matrices, parts in zip(kinds, copies, strict=True):
            d, m = matrices.shape[1], len(parts)
            for copy, (orbit, rows) in enumerate(parts):  # component outer, copy inner
                where.append(np.repeat(start + copy + m * np.arange(d), len(orbit)))
                slots.append(np.tile(orbit, d))
                values.append(rows.ravel())
            dots += [(start + b * m, start + a * m, m) for a in range(d) for b in range(d)]
            start += d * m
        entries = np.concatenate(values), (np.concatenate(where), np.concatenate(slots))
        table = np.concatenate([m.reshape(len(perms), -1) for m in kinds], axis=1)
        return cls(csr_array(coo_array(entries, shape=(P, P))), np.array(dots, dtype=np.int64), table)


def _orbits(perms: np.ndarray) -> list[np.ndarray]:
    """Sorted slots of every orbit of a closed group perms (H, P)."""
    first = perms.min(axis=0)
    order = np.argsort(first, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(first[order])) + 1)


def _irreducible(perms: np.ndarray, kinds: list[np.ndarray]) -> list[tuple[int, np.ndarray]]:
    """Split R^n under perms (H, n), a transitive group, into irreducible subspaces: (kind, orthonormal rows (d, n)).

    Eigenspaces of a random symmetric matrix that commutes with the group are irreducible.  Two are of one kind when
    their characters agree; the rows are then turned so that the representing matrices agree as well.  New kinds are
    appended to `kinds`."""
    H, n = perms.shape
    rng = np.random.default_rng(0)
    random = rng.normal(size=(n, n))
    commuting = sum(random[np.ix_(p, p)] for p in perms) / H
    values, columns = np.linalg.eigh(commuting + commuting.T)
    edges = np.flatnonzero(np.diff(values) > 1e-9 * max(1.0, np.abs(values).max())) + 1
    found = []
    for rows in np.split(columns.T, edges):
        matrices = np.einsum("ap,hbp->hab", rows, rows[:, perms].transpose(1, 0, 2))
        kind = next((k for k, known in enumerate(kinds) if _alike(known, matrices)), len(kinds))
        if kind == len(kinds):
            kinds.append(matrices)
        else:
            turn = np.einsum("hab,bc,hdc->ad", kinds[kind], rng.normal(size=2 * (len(rows),)), matrices)
            rows = turn @ rows / np.sqrt(np.trace(turn @ turn.T) / len(rows))
        found.append((kind, rows))
    return found


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two irreducible representations (H, d, d) are one in two bases: equal characters."""
    return a.shape == b.shape and np.allclose(np.trace(a, axis1=1, axis2=2), np.trace(b, axis1=1, axis2=2), atol=1e-6)
