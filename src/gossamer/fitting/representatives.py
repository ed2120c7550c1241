"""Few representatives in place of a trained term's rows: nearly the same function, summed in a fraction of the time.

See docs/theory.md, Representatives, and docs/decisions/0015-sparse-terms.md."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.backends.kernel_sum import kernel_sum
from gossamer.backends.rows import permuted_rows
from gossamer.data.dataset import Dataset
from gossamer.devices import BLOCK_BYTES
from gossamer.errors import UsageError
from gossamer.events import Event, Progress, silent
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.structures import require_atoms

if TYPE_CHECKING:
    from torch import Tensor

    from gossamer.descriptors import Descriptor
    from gossamer.model.terms import Term

SHARE = 0.15  # of the validation force RMSE: what the forces may change by, root mean square over validation structures
COUNTS = (16, 32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024)  # compiled code reads 16 at once
UNKNOWNS = 6400  # representatives times directions: those of larger systems are iterated for
BLOCK = 2048  # unknowns of the parts of a larger system that are factorised to precondition it
ITERATIONS = 40  # with blocks; twice as many change the error by a twentieth
USUAL = 96  # representatives of a term
EQUATIONS = 3  # rows for every representative, at most, whose forces are fitted
PANEL = 512  # columns of a system that are added up at once
FLAT = 1e-6  # relative, of a singular value of the Jacobian that counts as none
JITTER = 1e-11  # of the mean of the diagonal of a system, added to it
SOLVED = 1e-12  # of the first residual, below which iterations find nothing more
HALVINGS = 50  # of the interval of the price of a change


@dataclass(frozen=True, eq=False)
class LocalRows:
    """Structures as one term sees them, a row per place: descriptors x (n, P), orthonormal directions U (n, P, k) in
    which they can move, and how strongly a move of atoms moves them, S (n, k): J = U S W^T."""

    x: "Tensor"
    U: "Tensor"
    S: "Tensor"

    @classmethod
    def of(cls, term: "Term", pairs: "Descriptor", positions: np.ndarray) -> "LocalRows":
        """positions (Q, N, 3), Angstrom."""
        x, dx = pairs.forward(torch.from_numpy(positions))
        slopes, atoms, parts = pairs.jacobian(dx), np.asarray(pairs.atoms), []
        weights = torch.from_numpy(term.weights)
        for place in term.places:
            own, at = np.unique(atoms[place], return_inverse=True)
            J = slopes.new_zeros((len(x), len(place), len(own), 3))
            index = torch.from_numpy(at.reshape(atoms[place].shape))[None, :, :, None]
            J.scatter_add_(2, index.expand(len(x), -1, -1, 3), slopes[:, place])
            parts.append(torch.linalg.svd(J.flatten(2) * weights[:, None], full_matrices=False)[:2])
        k = max(int((S / S[:, :1] > FLAT).sum(1).max()) for _, S in parts)
        U, S = (torch.stack(found, 1).flatten(0, 1) for found in zip(*parts, strict=True))
        return cls(term.gather(x), U[..., :k], S[..., :k])

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows) -> "LocalRows":
        return LocalRows(self.x[rows], self.U[rows], self.S[rows])


def covariance_of_slopes(term: "Term", left: LocalRows, right: LocalRows) -> "Tensor":
    """Covariance (n_left, k, n_right, k) of a term's slopes along the directions U of rows with those of others,
    A sum_h U^T [k1 I - k2 delta delta^T] U'."""
    total = left.x.new_zeros((*left.U.shape[::2], *right.U.shape[::2]))
    along_own = (right.x[:, :, None] * right.U).sum(1)  # X . U'
    for perm in term.perms:
        x, U = left.x[:, perm], left.U[:, perm]
        k = term.kernel.profile(torch.cdist(x, right.x, compute_mode="donot_use_mm_for_euclid_dist").square())
        moved = U.transpose(1, 2)  # (n_left, k, P)
        a = (moved @ x[:, :, None]) - moved @ right.x.T  # U . delta  (n_left, k, n_right)
        b = (x @ right.U.permute(1, 0, 2).flatten(1)).view(len(x), len(right), -1) - along_own  # delta . U'
        both = (moved @ right.U.permute(1, 0, 2).flatten(1)).view(total.shape)
        total.addcmul_(both, k.k1[:, None, :, None])
        total.addcmul_(a[..., None], (k.k2[..., None] * b)[:, None], value=-1)
    return total.mul_(term.amplitude)


def spread_out(term: "Term", X: "Tensor", n: int) -> "Tensor":
    """Rows (n,) of X (M, P), each where the values of those before tell the least of the term's: pivoted Cholesky of
    its covariance, so that the first of them are the choice for a smaller number."""
    left = _values(term, X, X, same=True)
    factor, chosen = X.new_zeros((n, len(X))), []
    for step in range(n):
        pivot = int(left.argmax())
        chosen.append(pivot)
        column = _values(term, X, X[pivot : pivot + 1])[:, 0] - factor[:step].T @ factor[:step, pivot]
        factor[step] = column / left[pivot].clamp_min(1e-300).sqrt()
        left = left - factor[step].square()
        left[chosen] = -torch.inf
    return torch.tensor(chosen)


def _values(term: "Term", X: "Tensor", Y: "Tensor", same: bool = False) -> "Tensor":
    """Covariance of values at X (M, P) and Y (Q, P): (M, Q), or, of each with itself, (M,); without the amplitude."""
    moved = permuted_rows(X, term.perms).view(len(X), -1, X.shape[1])
    others = Y[:, None] if same else Y[:, None, None]
    s2 = (moved - others).square().sum(-1)  # (M, H), or (Q, M, H)
    found = term.kernel.profile(s2).k0.sum(-1)
    return found if same else found.T


@dataclass(frozen=True, eq=False)
class Menu:
    """What a term may be replaced by: representatives by their number, and the mean square (eV/Angstrom)^2 by which
    each would change the forces; its rows themselves change nothing."""

    cost: float  # of a row in a step
    rows: int
    offers: tuple[TermCoefficients, ...] = ()
    changes: tuple[float, ...] = ()

    @classmethod
    def of(cls, term: "Term", c: TermCoefficients) -> "Menu":
        """Without offers."""
        return cls(term.n_places * (2.0 * term.n_pairs + 3 * len(term.perms)), len(c.X))

    def cheapest(self, price: float) -> int:
        """The offer of least cost, `price` being that of a change of 1; as many as there are offers: the rows."""
        sizes = np.array([len(offer.X) for offer in self.offers] + [self.rows])
        return int(np.argmin(self.cost * sizes + price * np.append(self.changes, 0.0)))

    def change(self, offer: int) -> float:
        return (*self.changes, 0.0)[offer]

    def offer(self, offer: int) -> TermCoefficients | None:
        return (*self.offers, None)[offer]


def condense(
    model: ForceField, train: Dataset, valid: Dataset, share: float = SHARE, progress: Progress = silent
) -> ForceField:
    """The model with few representatives in place of the training rows of its local terms, where they pay: nearly the
    same function in a fraction of the time of a step.  All else that the model knows stays, its rows among it.

    train: the structures that it was trained on; valid: labelled others, on which the forces may change by the share
    of the model's force RMSE there, root mean square; 0 changes nothing.  Raises UsageError for other training
    structures, other atoms, or a share below 0."""
    require_atoms(valid, model.numbers)
    check_condense(valid)
    if share < 0:
        raise UsageError(f"share: {share:g} given, but it is a part of an error; 0.1 to 0.2 is usual.")
    if train.fingerprint != model.provenance.get("train_fingerprint"):
        raise UsageError(
            f"train: the {len(train)} structures given are not those that the model was trained on; split the data as "
            "for training, with the same seed."
        )
    return condensed(model, train, valid, model.provenance.get("noise") or 0.0, progress, share)


def check_condense(valid: Dataset | None) -> None:
    """Raise UsageError where there are no structures to judge representatives by."""
    if valid is None or not len(valid):
        raise UsageError("condense: validation structures are needed to judge by, and none are given; give some.")


def condensed(
    model: ForceField, train: Dataset, valid: Dataset, noise: float, progress: Progress = silent, share: float = SHARE
) -> ForceField:
    """`condense` for structures known to be right, whose baselines are taken off as they are off the model; noise: that
    of the fit."""
    allowed = (share * model.errors(valid).force_rmse) ** 2
    sides = list(zip(model.terms, model.coefficients, strict=True))
    empty = [Menu.of(term, c) for term, c in sides]
    local = [not term.is_global and menu.rows > COUNTS[0] for (term, _), menu in zip(sides, empty, strict=True)]
    total = sum(menu.cost * menu.rows for menu, here in zip(empty, local, strict=True) if here)
    menus, structures = [], (train.positions, valid.positions)
    for t, (menu, here) in enumerate(zip(empty, local, strict=True)):
        progress(Event("condense", t, len(empty)))
        part = allowed * menu.cost * menu.rows / total if here else 0.0
        menus.append(_filled(menu, model, t, structures, noise, part) if here and allowed else menu)
    progress(Event("condense", len(empty), len(empty)))
    few = [menu.offer(k) for menu, k in zip(menus, _chosen(menus, allowed), strict=True)]
    coefficients = tuple(replace(c, few=chosen) for (_, c), chosen in zip(sides, few, strict=True))
    found, plain = replace(model, coefficients=coefficients), replace(model, coefficients=_without(model))
    before, after = (m.predict(train.positions, precision="float64", warn=False).energies for m in (plain, found))
    return replace(found, constant=found.constant + float((before - after).mean()))


def unknowns_usual(term: "Term", n_structures: int) -> int:
    """Of the largest system solved for the representatives of a local term, as a rule."""
    atoms = (1 + (1 + 8 * term.n_pairs) ** 0.5) / 2  # that have so many pairs
    directions = min(float(term.n_pairs), 3 * atoms - 6)
    return int(min(UNKNOWNS, min(USUAL, n_structures * term.n_places) * directions))


def _without(model: ForceField) -> tuple[TermCoefficients, ...]:
    return tuple(replace(c, few=None) for c in model.coefficients)


def arrays_of(model: ForceField) -> dict[str, np.ndarray]:
    """What `condensed` has found, for a journal."""
    found = {"constant": np.array([model.constant])}
    for t, c in enumerate(model.coefficients):
        found |= {} if c.few is None else {f"{t}.X": c.few.X, f"{t}.V": c.few.V}
    return found


def with_arrays(model: ForceField, arrays: dict[str, np.ndarray]) -> ForceField:
    """The model that `condensed` made of this one, by its `arrays_of`."""
    coefficients = tuple(
        replace(c, few=TermCoefficients(arrays[f"{t}.X"], arrays[f"{t}.V"])) if f"{t}.X" in arrays else c
        for t, c in enumerate(model.coefficients)
    )
    return replace(model, coefficients=coefficients, constant=float(arrays["constant"][0]))


def _chosen(menus: Sequence[Menu], allowed: float) -> list[int]:
    """The offers of least cost that together change no more than allowed."""
    low, high = -40.0, 100.0  # logarithms of the price of a change
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        change = sum(menu.change(menu.cheapest(np.exp(middle))) for menu in menus)
        low, high = (middle, high) if change > allowed else (low, middle)
    return [menu.cheapest(np.exp(high)) for menu in menus]


def _filled(
    menu: Menu, model: ForceField, t: int, structures: tuple[np.ndarray, np.ndarray], noise: float, share: float
) -> Menu:
    """The menu of term t with offers up to one that changes no more than its share, if there are rows for so many."""
    term, c = model.terms[t], model.coefficients[t]
    mine, judged = (LocalRows.of(term, model.pairs, positions) for positions in structures)
    most, at_once = menu.rows - 1, UNKNOWNS // mine.U.shape[2]
    wanted, there = _gradient(term, c, mine.x), _gradient(term, c, judged.x)
    order = spread_out(term, mine.x, min(most, COUNTS[-1]))

    def offered(found: Menu, V: "Tensor") -> Menu:
        """With one more offer."""
        few = TermCoefficients(mine.x[order[: len(V)]].numpy(), V.numpy())
        lost = judged.S * _along(judged.U, there - _gradient(term, few, judged.x))
        change = model.scale**2 * float(lost.square().sum()) / structures[1].size
        return replace(found, offers=(*found.offers, few), changes=(*found.changes, change))

    found, largest, tried = menu, COUNTS[0], 0
    while largest <= min(most, at_once) and not _enough(found, share):
        counts = [n for n in COUNTS if n <= min(largest, most, at_once)]
        found = functools.reduce(offered, _projections(term, mine, wanted, order[: counts[-1]], counts, noise), menu)
        largest, tried = 2 * largest, counts[-1]
    larger = [n for n in COUNTS if tried < n <= most]
    if larger and not _enough(found, share):
        for V in _iterated(term, mine, wanted, order[: larger[-1]], larger, noise):
            found = offered(found, V)
            if _enough(found, share):
                break
    return found


def _enough(menu: Menu, share: float) -> bool:
    """Whether the last offer changes no more than the share."""
    return bool(menu.changes) and menu.changes[-1] <= share


@dataclass(frozen=True, eq=False)
class _System:
    """Normal equations of the coefficients of representatives `few` (n, ...) along their k directions: least squares in
    the forces of the rows `part`, and, times the noise, in the norm of the term's prior."""

    term: "Term"
    few: LocalRows
    part: LocalRows
    noise: float

    def matrix(self) -> "Tensor":
        """(nk, nk); its lower triangle is what counts."""
        n, _, k = self.few.U.shape
        system = self.noise * covariance_of_slopes(self.term, self.few, self.few).view(n * k, n * k)
        step = max(1, int(BLOCK_BYTES // (32 * n * k * k)))
        for start in range(0, len(self.part), step):
            rows = self.part[start : start + step]
            F = (rows.S[:, :, None, None] * covariance_of_slopes(self.term, rows, self.few)).view(-1, n * k)
            for first in range(0, n * k, PANEL):
                system[first:, first : first + PANEL].addmm_(F[:, first:].T, F[:, first : first + PANEL])
        system.diagonal().add_(JITTER * system.diagonal().mean())
        return system

    def right(self, few: "Tensor", part: "Tensor") -> "Tensor":
        """(nk,) for the gradients that are wanted at the representatives (n, P) and the rows (m, P)."""
        r = self.part.S.square() * _along(self.part.U, part)
        pulled = _slopes(self.term, self.part.x, _spanned(self.part.U, r), self.few.x)
        return _along(self.few.U, self.noise * few + pulled).flatten()

    def __matmul__(self, a: "Tensor") -> "Tensor":
        """The matrix, which is not made, times a (nk,)."""
        V = self.coefficients(a)
        here, there = (_slopes(self.term, self.few.x, V, x) for x in (self.few.x, self.part.x))
        return self.right(here, there)

    def coefficients(self, a: "Tensor") -> "Tensor":
        """V (n, P) of the representatives by a (nk,)."""
        return _spanned(self.few.U, a.view(len(self.few), -1))


def _system(term: "Term", rows: LocalRows, order: "Tensor", noise: float) -> tuple[_System, "Tensor"]:
    """Of the rows `order` as representatives, and which rows are fitted, EQUATIONS for each, drawn."""
    fitted = torch.from_numpy(np.random.default_rng(0).permutation(len(rows))[: EQUATIONS * len(order)])
    return _System(term, rows[order], rows[fitted], noise), fitted


def _projections(
    term: "Term", rows: LocalRows, wanted: "Tensor", order: "Tensor", counts: Sequence[int], noise: float
) -> "Iterator[Tensor]":
    """For every count the coefficients (n, P) of the first so many of `order` that give nearly the gradients wanted
    (M, P).

    The factor of a system has those of all smaller ones in its corner, so one serves all counts."""
    system, fitted = _system(term, rows, order, noise)
    few, k = system.few, system.few.U.shape[2]
    factor = torch.linalg.cholesky(system.matrix())
    right = system.right(wanted[order], wanted[fitted])
    half = torch.linalg.solve_triangular(factor, right[:, None], upper=False)
    for count in counts:
        corner = factor[: count * k, : count * k]
        a = torch.linalg.solve_triangular(corner.T, half[: count * k], upper=True)
        yield _spanned(few.U[:count], a.view(count, k))


def _iterated(
    term: "Term", rows: LocalRows, wanted: "Tensor", order: "Tensor", counts: Sequence[int], noise: float
) -> "Iterator[Tensor]":
    """The same for counts whose system is too large to be factorised: conjugate gradients, which need sums over rows
    alone, preconditioned by the factors of blocks of representatives; one for each block serves all counts."""
    system, fitted = _system(term, rows, order, noise)
    k = system.few.U.shape[2]
    size = max(1, BLOCK // k)
    factors: list[Tensor] = []
    for count in counts:
        here = replace(system, few=system.few[:count])
        for start in range(len(factors) * size, count, size):
            block = replace(system, few=system.few[start : start + size])
            factors.append(torch.linalg.cholesky(block.matrix()))
        yield here.coefficients(_conjugate_gradients(here, here.right(wanted[order[:count]], wanted[fitted]), factors))


def _conjugate_gradients(system: _System, right: "Tensor", factors: "Sequence[Tensor]") -> "Tensor":
    """ITERATIONS of them, from zero, or fewer where no digit is left to find."""

    def preconditioned(r: "Tensor") -> "Tensor":
        parts, factor = r.split(len(factors[0])), iter(factors)
        return torch.cat([_solved(next(factor)[: len(part), : len(part)], part) for part in parts])

    a, r = torch.zeros_like(right), right.clone()
    z = preconditioned(r)
    p, rz = z, torch.dot(r, z)
    least = SOLVED**2 * rz
    for _ in range(ITERATIONS):
        Ap = system @ p
        curvature = torch.dot(p, Ap)
        if not (rz > least and curvature > 0):
            break
        step = rz / curvature
        a.add_(step * p)
        r.sub_(step * Ap)
        z = preconditioned(r)
        before, rz = rz, torch.dot(r, z)
        p = z + rz / before * p
    return a


def _solved(factor: "Tensor", right: "Tensor") -> "Tensor":
    return torch.cholesky_solve(right[:, None], factor)[:, 0]


def _slopes(term: "Term", X: "Tensor", V: "Tensor", x: "Tensor") -> "Tensor":
    """Gradients (n, P) at x of the term's function with coefficients V (M, P) of rows X."""
    return kernel_sum(term.kernel, x, X, V, images=term.perms)[1].mul_(term.amplitude)


def _spanned(U: "Tensor", a: "Tensor") -> "Tensor":
    """The vectors (n, P) with components a (n, k) along U (n, P, k)."""
    return (U @ a[..., None])[..., 0].contiguous()


def _gradient(term: "Term", c: TermCoefficients, x: "Tensor") -> "Tensor":
    """Of the term's function, over the scale, at descriptors x (n, P)."""
    X, V = torch.from_numpy(c.X), torch.from_numpy(c.V)
    w = None if c.w is None else torch.from_numpy(c.w)
    return kernel_sum(term.kernel, x, X, V, w, images=term.perms)[1].mul_(term.amplitude)


def _along(U: "Tensor", g: "Tensor") -> "Tensor":
    """Components (n, k) of g (n, P) along directions U (n, P, k)."""
    return (g[:, None] @ U)[:, 0]
