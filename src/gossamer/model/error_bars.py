"""Error bars: the spread of a committee fitted to disjoint folds of a model's training structures."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gossamer.errors import UsageError
from gossamer.records.parts import LEVELS, Reliability

if TYPE_CHECKING:
    from gossamer.model.force_field import ForceField, TermCoefficients
    from gossamer.model.terms import Term

BINS = 10  # of a reliability, of as many errors each
FEWEST = 2  # members, without which there is no spread


@dataclass(frozen=True, eq=False)
class ErrorBars:
    """What a committee of K members left behind, each with the terms of its model and fitted to a fold of its training
    structures; all the members together hold as many training rows as the model, or less.

    folds (M,): the member of every training structure, 0 ... K - 1, or -1 where it is none's; V: per term the members'
    coefficients (M*L, P), in the order of the model's rows and with its scale; w: per term their energy coefficients
    (M*L,) or None; functions (K, classes, B): their coefficients of the pair functions, None without; constants (K,):
    eV; energy_factor, forces_factor, forces_power: std(E) = energy_factor * spread of energies, and std(F) =
    forces_factor * (spread of forces)^forces_power, in eV/Angstrom, from the validation structures."""

    folds: np.ndarray
    V: tuple[np.ndarray, ...]
    w: tuple[np.ndarray | None, ...]
    constants: np.ndarray
    energy_factor: float
    forces_factor: float
    forces_power: float
    functions: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.n_members < FEWEST or not np.array_equal(np.unique(self.folds[self.folds >= 0]), self._numbers):
            raise UsageError(
                f"error bars: members of training structures must be numbered 0 to {self.n_members - 1}, and be at "
                f"least {FEWEST}; train the model again."
            )
        arrays = (
            *self.V,
            *self.w,
            self.constants,
            self.functions,
            self.energy_factor,
            self.forces_factor,
            self.forces_power,
        )
        if not all(np.all(np.isfinite(a)) for a in arrays if a is not None):
            raise UsageError("error bars: some coefficients are NaN or infinite; train the model again.")
        if min(self.energy_factor, self.forces_factor) < 0 or self.forces_power <= 0:
            raise UsageError("error bars: factors cannot be negative, nor the power; train the model again.")

    def __repr__(self) -> str:
        factors = f"{self.energy_factor:.3g} for energies, {self.forces_factor:.3g} and power {self.forces_power:.3g}"
        return f"ErrorBars({self.n_members} members, factors {factors} for forces)"

    @property
    def n_members(self) -> int:
        return len(self.constants)

    @property
    def _numbers(self) -> np.ndarray:
        return np.arange(self.n_members)

    def require_fits(self, model: "ForceField") -> None:
        """Raise UsageError unless these are error bars of a model of that makeup."""
        rows = [(c.V.shape, c.w is None) for c in model.coefficients]
        mine = [(V.shape, w is None) for V, w in zip(self.V, self.w, strict=True)]
        shape = None if model.functions is None else (self.n_members, *model.functions.shape)
        found = None if self.functions is None else self.functions.shape
        if self.folds.shape != (model.n_train,) or mine != rows or found != shape:
            raise UsageError("error bars: they do not fit the model's terms and structures; train the model again.")

    def members(self, model: "ForceField") -> "tuple[ForceField, ...]":
        """The committee as force fields of what is learned, without the baselines of the model."""
        return tuple(self._member(model, k) for k in self._numbers)

    def side_by_side(self, model: "ForceField", multiple: int) -> "tuple[TermCoefficients, ...]":
        """Per term the rows of all members one after another, as many of each, a multiple of `multiple`: rows that
        fill a member up have no coefficients."""
        return tuple(
            self._filled(term, c, V, w, multiple)
            for term, c, V, w in zip(model.terms, model.coefficients, self.V, self.w, strict=True)
        )

    def _filled(
        self, term: "Term", c: "TermCoefficients", V: np.ndarray, w: np.ndarray | None, multiple: int
    ) -> "TermCoefficients":
        rows = [term.rows_of(np.flatnonzero(self.folds == k)) for k in self._numbers]
        each = -(-max(map(len, rows)) // multiple) * multiple
        number = np.concatenate([np.resize(mine, each) for mine in rows])
        filled = np.concatenate([np.arange(each) >= len(mine) for mine in rows])
        kept = np.where(filled[:, None], 0.0, V[number])
        return replace(c, X=c.X[number], V=kept, w=None if w is None else np.where(filled, 0.0, w[number]))

    def _member(self, model: "ForceField", k: int) -> "ForceField":
        mine = np.flatnonzero(self.folds == k)
        coefficients = []
        for term, c, V, w in zip(model.terms, model.coefficients, self.V, self.w, strict=True):
            rows = term.rows_of(mine)
            coefficients.append(replace(c, X=c.X[rows], V=V[rows], w=None if w is None else w[rows]))
        functions = model.functions
        if functions is not None and self.functions is not None:
            functions = replace(functions, coefficients=self.functions[k])
        return replace(
            model, coefficients=tuple(coefficients), constant=float(self.constants[k]), functions=functions,
            baselines=(), error_bars=None,
        )  # fmt: skip

    def deviations(self, energies: np.ndarray, forces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standard deviations of energies (...), eV, and of the components of forces (..., N, 3), eV/Angstrom, where
        the members give energies (K, ...) and forces (K, ..., N, 3)."""
        of_forces = self.forces_factor * spread_of_vectors(forces) ** self.forces_power
        return self.of_energies(energies), of_forces

    def of_energies(self, energies: np.ndarray) -> np.ndarray:
        """Those of energies (...), eV, where the members give energies (K, ...)."""
        return self.energy_factor * spread(energies)


def spread(values: np.ndarray) -> np.ndarray:
    """Standard deviation of values (K, ...) of K members about their mean, of K - 1 degrees of freedom."""
    from_mean = values - values.sum(axis=0) / len(values)  # in place of numpy's std, which costs as much as a step
    return np.sqrt((from_mean * from_mean).sum(axis=0) / (len(values) - 1))


def spread_of_vectors(values: np.ndarray) -> np.ndarray:
    """`spread` of vectors (K, ..., 3), root mean square over the three components and the same for each, so that it
    does not turn with the molecule, and has three times the degrees of freedom."""
    components = spread(values)
    return np.broadcast_to(np.sqrt((components**2).mean(axis=-1, keepdims=True)), components.shape).copy()


def reliability(std: np.ndarray, errors: np.ndarray) -> Reliability:
    """How standard deviations std (...) compare with the errors (...) that they are of."""
    from scipy.special import ndtri

    std, errors = std.ravel(), np.abs(errors.ravel())
    bins = np.array_split(np.argsort(std, kind="stable"), min(BINS, len(std)))
    within = [errors <= ndtri(0.5 + level / 2) * std for level in LEVELS]
    return Reliability(
        predicted=tuple(float(np.sqrt((std[rows] ** 2).mean())) for rows in bins),
        found=tuple(float(np.sqrt((errors[rows] ** 2).mean())) for rows in bins),
        coverage=tuple(float(mask.mean()) for mask in within),
    )
