"""Dipole moments, compiled: what `DipoleModel` gives, one structure after another, and quick for a single one."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numba import njit

from gossamer.backends.numba._radial import factors
from gossamer.kernels import compiled_form
from gossamer.model.dipoles import ChargeTerm, DipoleModel

LaidOut: TypeAlias = tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray], tuple[int, float, float]]


@dataclass(frozen=True, eq=False)
class CompiledDipoles:
    """Dipoles of a model whose kernels are all compiled.  terms: images (I, n); fixed charges (n,), training rows as
    columns (P, R) and their coefficients (n, R); the kernel's form."""

    model: DipoleModel
    terms: tuple[LaidOut, ...]

    @classmethod
    def build(cls, model: DipoleModel) -> "CompiledDipoles":
        return cls(model, tuple(_laid_out(term) for term in model.terms))

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Dipoles (Q, 3), e*Angstrom, of structures positions (Q, N, 3), Angstrom.  Raises what `DipoleModel` does."""
        structures = self.model.checked(positions)
        found = self.model.of_charge(structures)
        for images, charges, form in self.terms:
            _add_moments(structures, images, charges, form, found)
        return found


def _laid_out(term: ChargeTerm) -> LaidOut:
    columns, coefficients = (np.ascontiguousarray(a.T) for a in (term.X, term.U))
    return np.ascontiguousarray(term.images), (term.fixed, columns, coefficients), compiled_form(term.kernel)


@njit(fastmath=True, cache=True)
def _add_moments(positions, images, charges_of, form, out):
    """Add sum_a q_a (r_a - mean r) over the images of a fragment to out (Q, 3)."""
    (fixed, columns, coefficients), (order, rate, norm) = charges_of, form
    rows, n = columns.shape[1], images.shape[1]
    s2, k = np.empty(rows), np.empty(rows)
    charges, mean = np.empty(n), np.empty(3)
    for q in range(len(positions)):
        for atoms in images:
            s2[:] = 0.0
            pair = 0
            for a in range(n):  # in the order of chemistry.pairs.all_pairs
                for b in range(a):
                    r2 = 0.0
                    for axis in range(3):
                        r2 += (positions[q, atoms[a], axis] - positions[q, atoms[b], axis]) ** 2
                    x = 1.0 / np.sqrt(r2)
                    for row in range(rows):
                        s2[row] += (x - columns[pair, row]) ** 2
                    pair += 1
            for row in range(rows):
                k[row] = factors(s2[row], order, rate, norm)[0]
            mean[:] = 0.0
            for a in range(n):
                charge = fixed[a]
                for row in range(rows):
                    charge += k[row] * coefficients[a, row]
                charges[a] = charge
                for axis in range(3):
                    mean[axis] += positions[q, atoms[a], axis] / n
            for a in range(n):
                for axis in range(3):
                    out[q, axis] += charges[a] * (positions[q, atoms[a], axis] - mean[axis])
