"""Frames whose forces need another factor than those of the others: a sign, or another unit.

The work of a step is shared by the forces of both its ends, so every frame's factor shows in several steps, against the
energies.  It needs no bonds, and it overrules what bonds seem to say.
"""

import numpy as np

from gossamer.data.work import Steps, weighted_median
from gossamer.units import force_unit

_EXPLAINED = 0.9  # of the energy differences, by common factors, before one is believed
_FEWEST_STEPS = 4
_BETTER = 0.35  # of what the forces leave unexplained as they are may be left by the factor
_CONTRADICTED = 0.7  # of what a factor leaves unexplained is left without it: bonds were wrong
_LEAST = 1.6  # times; the smallest factor that is told from none
_UNIT_MATCH = 0.04  # relative distance of a factor to -1 or to the ratio of two units of force
_FORCE_UNITS = ("eV/Angstrom", "kcal/mol/Angstrom", "kJ/mol/Angstrom", "kJ/mol/nm", "Hartree/Bohr", "Hartree/Angstrom",
                "eV/Bohr", "kcal/mol/Bohr")  # fmt: skip


def odd_frames(steps: Steps, energies: np.ndarray) -> tuple[np.ndarray, float]:
    """Rows of the frames whose forces fit the energies (n,) only after multiplication, and the factor that most need.

    All factors are found together by robust least squares of  change = s_first w_first + s_second w_second;  of the
    frames that share a factor those are odd that are fewer.  None and 1 where factors do not explain the energies."""
    none = np.empty(0, dtype=np.int64), 1.0
    factors = _solve(steps, energies)
    middle = [float(np.quantile(factors, 0.5, method=method)) for method in ("lower", "higher")]
    usual = min(middle, key=lambda factor: abs(factor - 1))  # of two halves one, and nothing between them
    odd = np.zeros(len(factors), dtype=bool)
    for _ in range(3):
        ratio = factors / usual if usual else factors
        odd = (ratio < 1 / _LEAST) | (ratio > _LEAST)
        usual = float(np.median(factors[~odd])) if not odd.all() else usual
    if not odd.any() or not usual:
        return none
    factor = float(np.median(factors[odd]))
    scaled = np.where(odd, factor, usual)
    change = energies[steps.second] - energies[steps.first]
    rows = np.flatnonzero(odd)
    kept = rows[np.array([_fits(steps, energies, int(row), usual, scaled) < _BETTER for row in rows])]
    scaled[np.setdiff1d(np.arange(len(odd)), kept)] = usual
    left = np.abs(change - _work(steps, scaled))[steps.near].sum()
    explained = left <= (1 - _EXPLAINED) * np.abs(change)[steps.near].sum()
    return (kept, factor / usual) if len(kept) and explained and _is_known(factor / usual) else none


def _is_known(factor: float) -> bool:
    """Is it a change of sign, of unit, or of both?"""
    sizes = np.array([force_unit(name)[1] for name in _FORCE_UNITS])
    known = np.append((sizes[:, None] / sizes).ravel(), 1.0)
    known = known[(known > _LEAST) | (known < 1 / _LEAST)] if factor > 0 else known
    return bool((np.abs(abs(factor) / known - 1) < _UNIT_MATCH).any())


def not_contradicted(steps: Steps, energies: np.ndarray, rows: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Of `rows`, whose bonds seem `ratios` times as stiff as usual, those of which the energies (n,) do not say that
    their forces are right as they are."""
    among_others = steps.near & ~np.isin(steps.first, rows) & ~np.isin(steps.second, rows) & (steps.work != 0)
    if not among_others.any():
        return rows
    change, work = (energies[steps.second] - energies[steps.first])[among_others], steps.work[among_others]
    usual = weighted_median(change / work, np.abs(work))
    scaled = np.full(len(energies), usual)
    scaled[rows] = usual / ratios
    right = [_fits(steps, energies, int(row), usual, scaled) >= 1 / _CONTRADICTED for row in rows]
    return rows[~np.array(right, dtype=bool)]


def _work(steps: Steps, factors: np.ndarray) -> np.ndarray:
    """Work (E,) of the steps when the forces of every frame are multiplied by its factor (n,)."""
    return factors[steps.first] * steps.first_work + factors[steps.second] * (steps.work - steps.first_work)


def _fits(steps: Steps, energies: np.ndarray, row: int, usual: float, scaled: np.ndarray) -> float:
    """What the steps from and to frame `row` leave unexplained with its factor in `scaled` (n,), in parts of what they
    leave with the usual one; the other frames keep theirs.  1 where there are too few steps."""
    own = (steps.first == row) | (steps.second == row)
    if own.sum() < _FEWEST_STEPS:
        return 1.0
    change = (energies[steps.second] - energies[steps.first])[own]
    plain = scaled.copy()
    plain[row] = usual
    left, before = (np.abs(change - _work(steps, factors)[own]).sum() for factors in (scaled, plain))
    return float(left / before) if before else 1.0


def _solve(steps: Steps, energies: np.ndarray) -> np.ndarray:
    """Factors (n,) of all frames; five rounds of least squares, each weighted by what the one before left."""
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import lsqr

    change = energies[steps.second] - energies[steps.first]
    row = np.arange(len(change))
    where = (np.concatenate([row, row]), np.concatenate([steps.first, steps.second]))
    floor = 0.01 * np.median(np.abs(change[steps.near])) + 1e-12
    weights, factors = 1 / (np.abs(change) + floor), np.ones(len(energies))
    for _ in range(5):
        entries = np.concatenate([weights * steps.first_work, weights * (steps.work - steps.first_work)])
        system = coo_array((entries, where), shape=(len(change), len(energies))).tocsr()
        factors = lsqr(system, weights * change, damp=1e-6, atol=1e-9, btol=1e-9, iter_lim=300)[0]
        weights = 1 / np.sqrt((np.abs(change) + floor) * (np.abs(change - _work(steps, factors)) + floor))
    return factors
