"""Solvers of K a = y, and how they say what happened."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import torch

from gossamer.errors import FitError
from gossamer.events import Event, Progress, silent
from gossamer.fitting import dense

if TYPE_CHECKING:
    from torch import Tensor

    from gossamer.fitting.operator import KernelOperator


HILL = 4  # times the patience: longer than the hills of the residual that were met (40 to 70 iterations)


class Status(Enum):
    """How a solver ended, as a sentence for the user."""

    EXACT = "solved directly"
    RESIDUAL = "the force residual reached its target"
    VALIDATION = "the validation error stopped improving"
    EPOCHS = "all epochs were trained, and the best weights on the way kept"
    MAX_ITERATIONS = "the iteration limit was reached before the target; allow more iterations or more noise"


class Step(NamedTuple):
    """One entry of a solver's history.  residual: rms in eV/Angstrom; valid: monitored error or None."""

    iteration: int
    residual: float
    valid: float | None


@dataclass(frozen=True, eq=False)
class Solution:
    """Coefficients (n,), how the solver ended, iterations, final rms residual (eV/Angstrom) and its history."""

    coefficients: "Tensor"
    status: Status
    iterations: int
    residual: float
    history: tuple[Step, ...] = field(default=())


class CGState(NamedTuple):
    """Conjugate gradients after an iteration: all that the next one needs.  Vectors (n,) may be changed by it."""

    iteration: int
    x: "Tensor"
    r: "Tensor"
    p: "Tensor"
    rz: float
    best: float
    best_x: "Tensor"
    history: tuple[Step, ...]

    def on(self, device: "torch.device") -> "CGState":
        """The same state with its vectors on `device`."""
        moved = {name: getattr(self, name).to(device) for name in ("x", "r", "p")}
        best_x = moved["x"] if self.best_x is self.x else self.best_x.to(device)
        return self._replace(**moved, best_x=best_x)


def forget(state: CGState) -> None:
    """A keeper of states that keeps none."""


class Observer(NamedTuple):
    """Who looks on while conjugate gradients run.

    monitor(a): validation error of coefficients a, smaller is better; None: it is not watched.  keep: is given the
    state after every iteration, from which a later call ends at the same bits.  progress: who is told."""

    monitor: "Callable[[Tensor], float] | None" = None
    keep: "Callable[[CGState], None]" = forget
    progress: Progress = silent


NOBODY = Observer()


@dataclass(frozen=True)
class StopRule:
    """When conjugate gradients may stop.

    residual: rms residual of the labels in eV/Angstrom (in eV for energies) that counts as solved.  Where a validation
    error is watched, the search also ends once its best value has improved by less than `gain` (relative) over
    `patience` checks, one check every `every` iterations: the test error settles long before the residual does.
    Checks at which the residual is higher than before by more than a tenth do not count, for a while (`_stalled`).
    """

    residual: float = 1e-3
    every: int = 10
    patience: int = 3
    gain: float = 3e-3
    max_iterations: int = 5000


def cholesky(
    K: "KernelOperator", y: "Tensor", *, scale: float, matrix: "Tensor | None" = None, progress: Progress = silent
) -> Solution:
    """Solve with the dense matrix; n^2 numbers of memory, n^3/3 operations.  scale: eV/Angstrom per unit of y;
    matrix: K.lower_triangle() where it was made before; it is copied.  Raises FitError when K is not positive definite.
    """
    ranks = K.ranks
    order, a = 0, torch.empty_like(y)
    if ranks.first:  # the others wait; what is solved directly is small
        progress(Event("solve", 0, K.size + 1, "building the matrix"))
        factor = K.lower_triangle() if matrix is None else matrix.clone()
        factor.diagonal().add_(K.noise)
        order = dense.factorise(
            factor, step=lambda done: progress(Event("solve", done, K.size + 1, "Cholesky factorisation"))
        )
        a = a if order else dense.solve(factor, y)
        del factor
    (order,) = map(int, ranks.agree(order))
    if order:
        raise FitError(
            f"noise: with {K.noise:g} the kernel matrix is not positive definite (order {order} of {K.size}); "
            "raise the noise tenfold, or check that the permutations form a group."
        )
    a = ranks.from_first(a)
    (residual,) = ranks.agree(scale * _rms(y - K @ a))
    progress(Event("solve", K.size + 1, K.size + 1, "solved", {"residual": residual}))
    return Solution(a, Status.EXACT, 1, residual, (Step(1, residual, None),))


def conjugate_gradients(
    K: "KernelOperator",
    y: "Tensor",
    preconditioner: "Callable[[Tensor], Tensor]",
    *,
    scale: float,
    stop: StopRule,
    start: "Tensor | CGState | None" = None,
    observer: Observer = NOBODY,
) -> Solution:
    """Preconditioned conjugate gradients (Golub & Van Loan, alg. 11.5.1).

    scale: eV/Angstrom per unit of y; start: first guess (n,), or the state to go on from.  With a monitor the
    coefficients of the best check are returned, unless the residual is reached.
    Raises FitError when K turns out not to be positive definite.
    """
    agree, (monitor, keep, progress) = K.ranks.agree, observer
    status = Status.MAX_ITERATIONS
    state = start if isinstance(start, CGState) else _first_state(K, y, preconditioner, start)
    iteration, x, r, p, rz, best, best_x, kept = state
    history = list(kept)
    while iteration < stop.max_iterations:
        iteration += 1
        if rz == 0:
            status = Status.RESIDUAL
            break
        Kp = K @ p
        (curvature,) = agree(float(torch.dot(p, Kp)))
        if not curvature > 0:
            raise FitError(
                f"noise: with {K.noise:g} the kernel matrix is not positive definite to working precision; raise the "
                "noise tenfold, or check that the permutations form a group."
            )
        step = rz / curvature
        x = torch.add(x, p, alpha=step) if x is best_x else x.add_(p, alpha=step)
        r.add_(Kp, alpha=-step)
        (residual,) = agree(scale * _rms(r))
        if not residual < float("inf"):
            raise FitError("training: conjugate gradients diverged; raise --noise or check the labels with inspect.")
        solved = residual <= stop.residual
        if solved or iteration % stop.every == 0 or iteration == stop.max_iterations:
            valid = None if monitor is None else agree(monitor(x))[0]
            history.append(Step(iteration, residual, valid))
            progress(Event("solve", iteration, None, "conjugate gradients", _values(residual, valid)))
            if valid is None or valid < best:
                best, best_x = (float("inf") if valid is None else valid), x
            if solved:
                status = Status.RESIDUAL
                break
            if valid is not None and _stalled(history, stop):
                status = Status.VALIDATION
                break
        z = preconditioner(r)
        previous, (rz,) = rz, agree(float(torch.dot(r, z)))
        p.mul_(rz / previous).add_(z)
        keep(CGState(iteration, x, r, p, rz, best, best_x, tuple(history)))
    if status is Status.RESIDUAL:
        best_x = x
    (residual,) = agree(scale * _rms(y - K @ best_x))  # the recurrence drifts from the true one
    return Solution(best_x, status, iteration, residual, tuple(history))


def _first_state(
    K: "KernelOperator", y: "Tensor", preconditioner: "Callable[[Tensor], Tensor]", guess: "Tensor | None"
) -> CGState:
    """Before the first iteration: zero, or the guess where that is nearer by the preconditioner."""

    def begun(x: "Tensor", r: "Tensor") -> CGState:
        p = preconditioner(r).clone()
        (rz,) = K.ranks.agree(float(torch.dot(r, p)))
        return CGState(0, x, r, p, rz, float("inf"), x, ())

    zero = begun(torch.zeros_like(y), y.clone())
    return zero if guess is None else min(zero, begun(guess.clone(), y - K @ guess), key=lambda state: state.rz)


def _stalled(history: list[Step], stop: StopRule) -> bool:
    """Whether the validation error has stopped improving.  The residual of conjugate gradients may rise for a long
    time before it falls again (what falls steadily is the error in the norm of K), and the validation error with it.
    So checks on such a hill do not count, until it has gone on for HILL times the patience."""
    lowest = list(accumulate((s.residual for s in history), min))
    level = [s for s, low in zip(history, lowest, strict=True) if s.residual <= 1.1 * low]
    since = len(history) - 1 - max(k for k, s in enumerate(history) if s.residual == lowest[k])
    waited = since > HILL * stop.patience
    if not waited and history[-1] is not level[-1]:
        return False
    counted = history if waited else level
    if len(counted) <= stop.patience:
        return False
    errors = [float("inf") if s.valid is None else s.valid for s in counted]
    return min(errors) > (1 - stop.gain) * min(errors[: -stop.patience])


def _values(residual: float, valid: float | None) -> dict[str, float]:
    return {"residual": residual} if valid is None else {"residual": residual, "valid": valid}


def _rms(r: "Tensor") -> float:
    return float(r.norm()) / len(r) ** 0.5
