"""Error bars fitted: a committee on disjoint folds of the training structures, calibrated on the validation structures
(docs/error-bars.md)."""

from dataclasses import replace

import numpy as np

from gossamer.data.dataset import Dataset
from gossamer.errors import UsageError
from gossamer.events import Event
from gossamer.fitting.makeup import Makeup
from gossamer.fitting.problem import Context, Problem
from gossamer.fitting.training import fit_terms
from gossamer.model.error_bars import ErrorBars, spread, spread_of_vectors
from gossamer.model.force_field import ForceField

MEMBERS = 8
LEAST = 2  # structures of a fold
FEWEST_TO_CALIBRATE = 10  # validation structures
POWERS = np.linspace(0.4, 1.4, 101)  # of the spread of forces


def committee(made: Makeup, model: ForceField, problem: Problem, context: Context) -> ErrorBars:
    """The error bars of `model`, which is `made` fitted to the problem's training structures; noise is that of the
    context's settings."""
    assert problem.valid is not None
    folds = folds_of(len(problem.train), context.settings.seed)
    members = []
    for k in range(MEMBERS):
        context.progress(Event("error bars", k, MEMBERS))
        fold = replace(problem, train=problem.train.take(np.flatnonzero(folds == k)))
        members.append(fit_terms(made, fold, context.quiet).model)
    context.progress(Event("error bars", MEMBERS, MEMBERS))
    return error_bars_of(model, members, folds, problem.valid)


def check_error_bars(n_train: int, n_valid: int) -> None:
    """Raise UsageError where there are too few structures for error bars."""
    least = LEAST * MEMBERS
    if n_train < least:
        raise UsageError(
            f"error_bars: {n_train} training structures given, and {MEMBERS} folds of them need {least}; give more, or "
            "leave error bars out."
        )
    if n_valid < FEWEST_TO_CALIBRATE:
        raise UsageError(
            f"error_bars: {n_valid} validation structures given, and {FEWEST_TO_CALIBRATE} are needed to calibrate "
            "them; give more, or leave error bars out."
        )


def folds_of(n_structures: int, seed: int) -> np.ndarray:
    """The member (M,) of every training structure: disjoint folds, drawn by chance, whose sizes differ by one at
    most."""
    folds = np.arange(n_structures) % MEMBERS
    return np.random.default_rng(seed).permutation(folds)


def error_bars_of(model: ForceField, members: list[ForceField], folds: np.ndarray, valid: Dataset) -> ErrorBars:
    """Those of a model by its members, force fields of its terms fitted to the folds (M,) of its training structures;
    all without baselines, which were taken off `valid`.

    Energies have no zero of their own where forces are labels: that of every member is such that its mean over the
    validation structures is the model's."""
    own = model.predict(valid.positions, precision="float64", warn=False)
    answers = [member.predict(valid.positions, precision="float64", warn=False) for member in members]
    constants = [m.constant + float((own.energies - a.energies).mean()) for m, a in zip(members, answers, strict=True)]
    energies = np.array([a.energies - a.energies.mean() for a in answers])  # whose spread is that with the constants
    errors, spreads = own.forces - valid.labelled_forces(), spread_of_vectors(np.array([a.forces for a in answers]))
    forces = power_calibration(errors, spreads)
    energy_factor = calibration(errors, spreads)
    if valid.energies is not None:
        energy_factor = calibration(own.energies - valid.energies, spread(energies))
    order = np.argsort(folds, kind="stable")
    V, w = [], []
    for t, term in enumerate(model.terms):
        rows = term.rows_of(order)
        V.append(_in_order([m.coefficients[t].V * (m.scale / model.scale) for m in members], rows))
        found = [m.coefficients[t].w for m in members]
        w.append(None if found[0] is None else _in_order(
            [c * (m.scale / model.scale) for c, m in zip(found, members, strict=True) if c is not None], rows
        ))  # fmt: skip
    tables = [m.functions.coefficients * (m.scale / model.scale) for m in members
              if m.functions is not None and m.functions.coefficients is not None]  # fmt: skip
    functions = np.array(tables) if tables else None
    return ErrorBars(folds, tuple(V), tuple(w), np.array(constants), energy_factor, *forces, functions)


def _in_order(parts: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """What the members hold, one after another, as rows of the model: the first of theirs is its row rows[0]."""
    joined = np.concatenate(parts)
    out = np.empty_like(joined)
    out[rows] = joined
    return out


def calibration(errors: np.ndarray, spreads: np.ndarray) -> float:
    """The factor by which spreads (...) have the mean square of the errors (...)."""
    found = float((spreads**2).mean())
    return float(np.sqrt((errors**2).mean() / found)) if found > 0 else 0.0


def power_calibration(errors: np.ndarray, spreads: np.ndarray) -> tuple[float, float]:
    """Factor c and power p of the normal distributions of standard deviation c spread^p under which errors (...) of
    these spreads (...) are likeliest; p is one of POWERS.  (0, 1) where nothing is spread."""
    known = spreads > 0
    if not known.any():
        return 0.0, 1.0
    logs, squares = np.log(spreads[known]), errors[known] ** 2
    factors = [float(np.sqrt((squares * np.exp(-2 * p * logs)).mean())) for p in POWERS]
    surprise = [np.log(max(c, np.finfo(float).tiny)) + p * logs.mean() for c, p in zip(factors, POWERS, strict=True)]
    best = int(np.argmin(surprise))
    return factors[best], float(POWERS[best])
