"""Dipole moments fitted: the covariance of charges that depend on their surroundings (docs/dipoles.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from gossamer.chemistry.fragments import Fragment, local_fragments
from gossamer.chemistry.symmetry import find_symmetry, usual_limit
from gossamer.data.dataset import Dataset
from gossamer.errors import DataError, UsageError
from gossamer.events import Event, Progress, silent
from gossamer.fitting.problem import Context
from gossamer.fitting.settings import Settings
from gossamer.kernels import make, with_length
from gossamer.model.dipoles import ChargeTerm, DipoleModel, squared_distances, surroundings
from gossamer.model.structures import require_atoms

KERNEL = "matern92"
FIXED = 100.0  # variance of the fixed charges; that of what is added to them in their surroundings is one
LENGTHS = (2.0, 4.0, 8.0, 16.0, 32.0)  # of the kernel, in spreads of a fragment's inverse distances
NOISES = tuple(10.0**-k for k in range(1, 9))  # variances, in the same unit
MOST, TRIED = 1000, 200  # structures fitted to, and of those the ones that length and noise are chosen with
FEWEST = 10  # structures
WHOLE = 0.1  # e: how near to a whole number the charge must be that dipoles tell when the molecule is shifted
SEEN = 3.0  # times the error on validation structures: what that charge must change dipoles by to be believed


def train_dipoles(
    train: Dataset, valid: Dataset | None = None, *, perms: np.ndarray | None = None, progress: Progress = silent
) -> DipoleModel:
    """A model of the dipoles of `train`, which need no other labels.

    valid: structures on which length and noise are chosen; without them every fifth of `train` is left out of the
    trials.  perms (S, N): a group of atom permutations that the dipole keeps, by default found in `train`.  Where
    the dipoles move with the molecule as those of an ion do, the model has that charge.
    Raises DataError for data without dipoles, or with some that cannot be, UsageError for too few structures."""
    trial = _Trial.of(train, valid)
    if perms is None:
        perms = find_symmetry(train.positions, train.numbers, limit=usual_limit(train.n_atoms)).perms
    terms = [_blank(fragment, trial.fitted.positions) for fragment in charge_fragments(train, perms)]
    weights = DipoleModel(train.numbers, 0, ()).weights
    found: list[_Outcome] = []
    for k, length in enumerate(LENGTHS):
        progress(Event("dipoles", k, len(LENGTHS) + 1))
        found.append(trial.outcome([_of_length(term, length) for term in terms], weights))
        if k and found[-1].error > found[-2].error:
            break
    best = min(found, key=lambda one: one.error)
    charge = _whole_charge(best, train)
    progress(Event("dipoles", len(LENGTHS), len(LENGTHS) + 1))
    used = train.evenly(MOST)
    labels = used.labelled_dipoles() - charge * centres(used.positions, weights)
    K = covariance(best.terms, used.positions, used.positions)
    a = np.linalg.solve(K + best.noise * np.eye(len(K)), labels.ravel()).reshape(labels.shape)
    model = DipoleModel(train.numbers, charge, tuple(_with_rows(term, used.positions, a) for term in best.terms))
    progress(Event("dipoles", len(LENGTHS) + 1, len(LENGTHS) + 1))
    return model


def dipoles_of(train: Dataset, valid: Dataset | None, perms: np.ndarray | None, context: Context) -> DipoleModel | None:
    """The dipoles of a force field, None where its settings leave them out, or there are none to learn from, or too
    few, and nobody asked for them.  Raises what `train_dipoles` does."""
    if not are_learned(train, context.settings):
        return None
    wanted = context.settings.dipoles
    judge = valid if valid is not None and (wanted or valid.dipoles is not None) else None
    return train_dipoles(train, judge, perms=perms, progress=context.progress)


def are_learned(train: Dataset, settings: Settings) -> bool:
    """Whether a fit learns dipoles: those that its settings ask for, or that there are to learn from."""
    if settings.dipoles is None:
        return train.dipoles is not None and len(train) >= FEWEST
    return settings.dipoles


def charge_fragments(data: Dataset, perms: np.ndarray) -> tuple[Fragment, ...]:
    """The fragments whose atoms have charges: those within one and two bonds, and around contacts; the whole molecule
    where they leave an atom out."""
    found = local_fragments(
        data.positions, data.numbers, perms=perms, bonds=(1, 2), environment=1, hydrogen_bonds="all"
    )
    seen = {int(atom) for fragment in found for atom in fragment.atoms.ravel()}
    return found if len(seen) == data.n_atoms else (*found, Fragment.whole(data.n_atoms, perms))


def centres(positions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Centres of mass (n, 3) of structures (n, N, 3); weights (N,): shares of the atoms in the mass."""
    return np.einsum("n,qnd->qd", weights, positions)


def covariance(terms: Sequence[ChargeTerm], left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of the dipoles of two sets of structures (A, N, 3) and (B, N, 3): (3A, 3B), (e Angstrom)^2.

    Of independent charges of variance FIXED + k(|x - x'|) it is the sum over images here and places there of that times
    sum_a arm_a arm_a'; images stand on one side alone, as they are a group."""
    A, B = torch.from_numpy(np.ascontiguousarray(left)), torch.from_numpy(np.ascontiguousarray(right))
    K = torch.zeros(len(A), 3, len(B), 3, dtype=torch.float64)
    for term in terms:
        here, there = surroundings(term.images, A), surroundings(term.atoms, B)
        for i in range(len(term.images)):
            for p in range(len(term.atoms)):
                k = FIXED + term.kernel.profile(squared_distances(here.x[:, i], there.x[:, p])).k0
                arms = torch.tensordot(here.arms[:, i], there.arms[:, p], dims=([1], [1]))
                K += k[:, None, :, None] * arms
    return K.reshape(3 * len(A), 3 * len(B)).numpy()


@dataclass(frozen=True, eq=False)
class _Outcome:
    """Terms of one length, the best noise, the root mean square error (e Angstrom) that it leaves on structures held
    out, and the charge, e, that the dipoles tell, with how much that changes them."""

    terms: list[ChargeTerm]
    noise: float
    error: float
    charge: float
    effect: float


@dataclass(frozen=True, eq=False)
class _Trial:
    """Structures that trials are fitted to, and judged by."""

    fitted: Dataset
    judge: Dataset

    @classmethod
    def of(cls, train: Dataset, valid: Dataset | None) -> "_Trial":
        train.labelled_dipoles()
        if valid is not None:
            require_atoms(valid, train.numbers)
            valid.labelled_dipoles()
        if len(train) < FEWEST:
            raise UsageError(f"dipoles: {len(train)} structures to train on; give {FEWEST} or more, 100 are usual.")
        if valid is None or not len(valid):
            held = np.arange(len(train)) % 5 == 0
            train, valid = train.take(~held), train.take(held)
        return cls(train.evenly(TRIED), valid.evenly(TRIED))

    def outcome(self, terms: list[ChargeTerm], weights: np.ndarray) -> _Outcome:
        """Every noise by one decomposition, with the charge as one more unknown."""
        here, there = (centres(part.positions, weights) for part in (self.fitted, self.judge))
        size = np.sqrt((here**2).mean())
        own = FIXED / max(size, 1e-6) ** 2
        K = covariance(terms, self.fitted.positions, self.fitted.positions) + own * np.outer(here, here)
        across = covariance(terms, self.judge.positions, self.fitted.positions) + own * np.outer(there, here)
        values, vectors = np.linalg.eigh(K)
        parts = vectors.T @ self.fitted.labelled_dipoles().ravel()
        a = vectors @ (parts[:, None] / (values[:, None].clip(0) + np.array(NOISES)))
        errors = np.sqrt(((across @ a - self.judge.labelled_dipoles().reshape(-1, 1)) ** 2).mean(axis=0))
        best = int(errors.argmin())
        charge = float(own * here.ravel() @ a[:, best])
        return _Outcome(terms, NOISES[best], float(errors[best]), charge, abs(charge) * float(size))


def _whole_charge(found: _Outcome, data: Dataset) -> int:
    """The charge that dipoles tell.  Raises DataError where it is none that a molecule can have."""
    if found.effect <= SEEN * found.error:
        return 0
    whole = round(found.charge)
    if abs(found.charge - whole) > WHOLE:
        raise DataError(
            f"{data.provenance.source or 'data'}: its dipoles grow by {found.charge:.2f} e where the molecule is "
            "shifted, which no charge explains; give those of an ion about one origin in all frames, or "
            "leave dipoles out."
        )
    return whole


def _blank(fragment: Fragment, positions: np.ndarray) -> ChargeTerm:
    """Charges without training rows, whose kernel has the spread of inverse distances as its length."""
    x = surroundings(fragment.atoms, torch.from_numpy(positions)).x.flatten(0, 1)
    spread = float((x - x.mean(dim=0)).square().sum(dim=1).mean().sqrt())
    n, P = fragment.atoms.shape[1], x.shape[1]
    kernel = make(KERNEL, max(spread, 1e-6))
    return ChargeTerm(fragment.atoms, fragment.perms, kernel, np.zeros(n), np.zeros((0, P)), np.zeros((0, n)))


def _of_length(term: ChargeTerm, length: float) -> ChargeTerm:
    return replace(term, kernel=with_length(term.kernel, length * term.kernel.length))


def _with_rows(term: ChargeTerm, positions: np.ndarray, a: np.ndarray) -> ChargeTerm:
    """With the training rows of structures (M, N, 3) whose coefficients are a (M, 3)."""
    around = surroundings(term.atoms, torch.from_numpy(positions))
    U = torch.einsum("mpad,md->mpa", around.arms, torch.from_numpy(a)).flatten(0, 1).numpy()
    return replace(term, fixed=FIXED * U.sum(axis=0), X=around.x.flatten(0, 1).numpy(), U=U)
