"""Small models and structures that many tests share.  Everything is made here from seeds; no file is read."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from gossamer import kernels
from gossamer.descriptors.basis import Basis
from gossamer.fitting.covariance import Covariance
from gossamer.fitting.operator import KernelOperator, assemble
from gossamer.kernels import Matern52, Matern92
from gossamer.model.dipoles import ChargeTerm, DipoleModel
from gossamer.model.error_bars import ErrorBars
from gossamer.model.pair_functions import PairFunctions
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

# a bent chain H-C-C(H)(H)-O-H-like shape: 6 atoms, the two last equivalent
NUMBERS = np.array([6, 6, 8, 1, 1, 1])
SHAPE = np.array(
    [[0.0, 0.0, 0.0], [1.5, 0.1, 0.0], [2.1, 1.3, 0.2], [-0.6, 0.9, 0.1], [-0.5, -0.6, 0.8], [-0.5, -0.5, -0.9]]
)
METHYL = np.array([[0, 1, 2, 3, 4, 5], [0, 1, 2, 4, 5, 3], [0, 1, 2, 5, 3, 4]])
SWAP = np.array([[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 5, 4]])


def structures(n, seed=0, spread=0.1):
    """n distorted copies (n, 6, 3) of SHAPE."""
    return SHAPE + spread * np.random.default_rng(seed).normal(size=(n, *SHAPE.shape))


def global_terms(perms=METHYL, length=3.0):
    pairs = PairSet.full(len(NUMBERS))
    return pairs, (Term.over_all(pairs, perms, Matern52(length)),)


def several_terms():
    """A list of terms as local + non-local models use it: weights, amplitudes, several places, inner permutations."""
    pairs = PairSet.full(len(NUMBERS))
    index = {(i, j): k for k, (i, j) in enumerate(pairs.pairs)}
    places = [
        [index[1, 0], index[3, 0], index[4, 0], index[4, 3]],
        [index[1, 0], index[4, 0], index[5, 0], index[5, 4]],
    ]
    local = Term(places, [[0, 1, 2, 3], [0, 2, 1, 3]], Matern52(1.5), 0.7, np.array([1.0, 2.0, 2.0, 0.5]), name="local")
    far = Term.over_all(pairs, METHYL, Matern52(4.0), amplitude=0.3)
    return pairs, (local, far)


def pair_functions():
    """Over some pairs of `several_terms`, two of them images of each other, the first beyond the cutoff in part of
    the structures."""
    index = {(i, j): k for k, (i, j) in enumerate(PairSet.full(len(NUMBERS)).pairs.tolist())}
    slots = [index[pair] for pair in ((4, 2), (5, 2), (3, 2), (4, 1), (5, 1), (5, 3))]
    basis = Basis(middle=0.6, spacing=0.11, width=0.35, cutoff=3.2, size=20)
    return PairFunctions(basis, slots, [0, 0, 1, 2, 2, 1], ("far", "mixed", "near"), [0.4, 1.3, 0.7], np.full(6, 1.0))


def of_kernel(name):
    """`several_terms` with kernels of that name."""
    pairs, terms = several_terms()
    return pairs, tuple(replace(term, kernel=kernels.make(name, term.kernel.length)) for term in terms)


CASES = {
    "plain": lambda: global_terms(np.arange(6)[None]),
    "swap": lambda: global_terms(SWAP),
    "methyl": lambda: global_terms(METHYL),
    "several": several_terms,
    **{name: partial(of_kernel, name) for name in ("matern72", "matern92", "gauss")},
}


def dense(K):
    """The whole matrix (n, n) of an operator, noise included, as an array."""
    lower = np.tril(K.lower_triangle().cpu().numpy())
    return lower + np.tril(lower, -1).T + K.noise * np.eye(K.size)


def arrays(prediction):
    """Energies and forces."""
    return prediction.energies, prediction.forces


def random_model(case, *, n_train=5, energies=False, seed=0, spread=0.1, functions=None):
    """A force field of the case's terms, with random coefficients, and the operator it came from; functions: of pairs,
    beside the terms."""
    pairs, terms = CASES[case]()
    R = torch.from_numpy(structures(n_train, seed, spread))
    K = KernelOperator.of(Covariance.among(terms, pairs, R, energies, functions), 1e-8)
    v = torch.from_numpy(np.random.default_rng(seed + 1).normal(size=K.size))
    return assemble(K, v, NUMBERS, 0.9, -3.0, {}), K, v


def with_bars(model, n_members, seed=0):
    """The model with error bars of random members, each of as many of its structures."""
    rng = np.random.default_rng(seed)
    folds = rng.permutation(np.arange(model.n_train) % n_members)
    V = tuple(rng.normal(size=c.V.shape) for c in model.coefficients)
    w = tuple(None if c.w is None else rng.normal(size=c.w.shape) for c in model.coefficients)
    table = None if model.functions is None else rng.normal(size=(n_members, *model.functions.shape))
    return replace(model, error_bars=ErrorBars(folds, V, w, rng.normal(size=n_members), 1.3, 0.7, 0.8, table))


def charge_term(atoms, perms, kernel, seed, rows=4):
    """Random charges on the places `atoms`, symmetric under `perms`."""
    rng, atoms = np.random.default_rng(seed), np.array(atoms)
    n = atoms.shape[1]
    X = rng.uniform(0.3, 1.0, size=(rows, n * (n - 1) // 2))
    return ChargeTerm(atoms, np.array(perms), kernel, rng.normal(size=n), X, rng.normal(size=(rows, n)))


def some_dipoles(charge=0):
    """Two terms on the atoms of `cases`: two places with one exchange, and the whole molecule under its rotor."""
    local = charge_term([[0, 3, 4], [0, 4, 5], [0, 5, 3]], [[0, 1, 2], [0, 2, 1]], Matern92(0.7), 0)
    return DipoleModel(NUMBERS, charge, (local, charge_term([range(6)], METHYL, Matern52(1.3), 1)))
