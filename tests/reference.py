"""The whole model in plain NumPy, slow and readable.  Nobody optimises this file; every fast path is held against it.

M training structures, Q queries, N atoms, P pairs; eV and Angstrom.  Equations: docs/theory.md.
"""

from math import erf
from types import SimpleNamespace

import numpy as np
from ase.data import atomic_masses


def matern52(s, length):
    q = np.sqrt(5.0) * s / length
    c = 5 / (3 * length**2)
    return (1 + q + q**2 / 3) * np.exp(-q), c * (1 + q) * np.exp(-q), c * 5 / length**2 * np.exp(-q)


def matern72(s, length):
    q = np.sqrt(7.0) * s / length
    c = 7 / (15 * length**2)
    k0 = (1 + q + 2 / 5 * q**2 + q**3 / 15) * np.exp(-q)
    return k0, c * (3 + 3 * q + q**2) * np.exp(-q), c * 7 / length**2 * (1 + q) * np.exp(-q)


def matern92(s, length):
    q = np.sqrt(9.0) * s / length
    c = 9 / (105 * length**2)
    k0 = (1 + q + 3 / 7 * q**2 + 2 / 21 * q**3 + q**4 / 105) * np.exp(-q)
    return k0, c * (15 + 15 * q + 6 * q**2 + q**3) * np.exp(-q), c * 9 / length**2 * (3 + 3 * q + q**2) * np.exp(-q)


def gauss(s, length):
    k = np.exp(-(s**2) / (2 * length**2))
    return k, k / length**2, k / length**4


KERNELS = {"matern52": matern52, "matern72": matern72, "matern92": matern92, "gauss": gauss}


def profile(kernel, delta):
    """k, -k'/s and -(-k'/s)'/s of a kernel at the distance s = |delta|."""
    return KERNELS[kernel.name](np.sqrt(delta @ delta), kernel.length)


def inverse(feature, atoms):
    d = atoms[0] - atoms[1]
    r = np.sqrt(d @ d)
    return 1 / r, np.array([-d / r**3, d / r**3])


def cosine(feature, atoms):
    u, v = atoms[1] - atoms[0], atoms[2] - atoms[0]
    uu, vv, uv = u @ u, v @ v, u @ v
    x = uv / np.sqrt(uu * vv)
    du, dv = v / np.sqrt(uu * vv) - x * u / uu, u / np.sqrt(uu * vv) - x * v / vv
    return feature.scale * x, feature.scale * np.array([-du - dv, du, dv])


FEATURES = {"inverse": inverse, "cosine": cosine}


def features(listed, structure):
    """x (F,) and its Jacobian dx/dR (F, 3N) of a FeatureSet, one feature at a time."""
    x, jacobian = np.zeros(len(listed)), np.zeros((len(listed), *structure.shape))
    rows = [(feature, row) for feature, atoms in listed.parts for row in atoms]
    for f, (feature, row) in enumerate(rows):
        x[f], jacobian[f, row] = FEATURES[feature.name](feature, structure[row])
    return x, jacobian.reshape(len(x), -1)


def descriptor(pairs, structure):
    """x = 1/r (P,) of pairs (P, 2), or the features of a FeatureSet, and its Jacobian dx/dR (P, 3N) of one structure
    (N, 3)."""
    if hasattr(pairs, "parts"):
        return features(pairs, structure)
    x = np.zeros(len(pairs))
    jacobian = np.zeros((len(pairs), structure.shape[0], 3))
    for p, (i, j) in enumerate(pairs):
        d = structure[i] - structure[j]
        r = np.sqrt(d @ d)
        x[p] = 1 / r
        jacobian[p, i] = -d / r**3
        jacobian[p, j] = d / r**3
    return x, jacobian.reshape(len(pairs), -1)


def repulsion(numbers, pairs, ends, structure):
    """Ziegler, Biersack and Littmark's repulsion of the pairs, switched off at `ends`; eV."""
    energy = 0.0
    for (i, j), outer in zip(pairs, ends, strict=True):
        r = np.linalg.norm(structure[i] - structure[j])
        x = r * (float(numbers[i]) ** 0.23 + float(numbers[j]) ** 0.23) / 0.46850
        phi = (0.18175 * np.exp(-3.19980 * x) + 0.50986 * np.exp(-0.94229 * x) + 0.28022 * np.exp(-0.40290 * x)
               + 0.02817 * np.exp(-0.20162 * x))  # fmt: skip
        t = np.clip((r / outer - 0.5) / 0.5, 0, 1)
        energy += 14.399645 * numbers[i] * numbers[j] / r * phi * (1 - 10 * t**3 + 15 * t**4 - 6 * t**5)
    return energy


def coulomb(charges, pairs, structure):
    """Coulomb energy of smeared charges; eV."""
    energy = 0.0
    for i, j in pairs:
        r = np.linalg.norm(structure[i] - structure[j])
        energy += 14.399645 * charges[i] * charges[j] * erf(r / 1.0) / r
    return energy


def pair_basis(basis, r):
    """Gaussians in log r, switched off at the cutoff: values (B,), and slopes (B,) by x = 1/r."""
    t = np.log(r) - basis.middle - basis.spacing * (np.arange(basis.size) - (basis.size - 1) / 2)
    s = np.clip((r / basis.cutoff - 0.8) / 0.2, 0, 1)
    fall, by_r = 1 - 10 * s**3 + 15 * s**4 - 6 * s**5, -30 * (s * (1 - s)) ** 2 / (0.2 * basis.cutoff)
    gaussian = np.exp(-(t**2) / (2 * basis.width**2))
    return fall * gaussian, -(r**2) * (by_r * gaussian - fall * t / (r * basis.width**2) * gaussian)


def function_features(functions, pairs, structure):
    """By class and centre (K * B), what the labels of one structure (forces 3N, then energy) are sums of."""
    x, jacobian = descriptor(pairs, structure)
    features = np.zeros((structure.size + 1, *functions.shape))
    for slot, k in zip(functions.slots, functions.classes, strict=True):
        values, slopes = pair_basis(functions.basis, 1 / x[slot])
        features[:-1, k] -= np.outer(jacobian[slot], slopes)
        features[-1, k] += values
    return features.reshape(len(features), -1)


def function_covariance(functions, pairs, A, B):
    """What pair functions add to `covariance`."""
    variances = np.repeat(functions.variances, functions.basis.size)
    return function_features(functions, pairs, A) * variances @ function_features(functions, pairs, B).T


def images_of(term):
    """Every (place, permutation) of a term as (indices into the molecule's pairs, weights)."""
    for place in term.places:
        for perm in term.perms:
            yield place[perm], term.weights


def places_of(term):
    for place in term.places:
        yield place, term.weights


def covariance(terms, pairs, A, B, functions=None):
    """Covariance of the labels (forces 3N, then energy) of structure A with those of B: (3N+1, 3N+1)."""
    xa, Ja = descriptor(pairs, A)
    xb, Jb = descriptor(pairs, B)
    n = A.size
    out = np.zeros((n + 1, n + 1)) if functions is None else function_covariance(functions, pairs, A, B)
    for term in terms:
        for rows, weights in images_of(term):
            for columns, _ in places_of(term):
                delta = weights * (xa[rows] - xb[columns])
                ja, jb = weights[:, None] * Ja[rows], weights[:, None] * Jb[columns]
                k0, k1, k2 = profile(term.kernel, delta)
                middle = k1 * np.eye(len(delta)) - k2 * np.outer(delta, delta)
                out[:n, :n] += term.amplitude * ja.T @ middle @ jb
                out[:n, n] += term.amplitude * k1 * ja.T @ delta
                out[n, :n] -= term.amplitude * k1 * jb.T @ delta
                out[n, n] += term.amplitude * k0
    return out


def covariance_matrix(terms, pairs, structures, energies, functions=None):
    """Covariance of all labels, ordered as KernelOperator orders them, without noise."""
    M, n = len(structures), structures[0].size
    blocks = np.array(
        [[covariance(terms, pairs, a, b, functions) for b in structures] for a in structures]
    )  # (M, M, n+1, n+1)
    forces = blocks[:, :, :n, :n].transpose(0, 2, 1, 3).reshape(M * n, M * n)
    if not energies:
        return forces
    cross = blocks[:, :, :n, n].transpose(0, 2, 1).reshape(M * n, M)
    return np.block([[forces, cross], [cross.T, blocks[:, :, n, n]]])


def predict(model, structures):
    """Energies (Q,) and forces (Q, N, 3) of a ForceField, one sum at a time."""
    energies, forces = [], []
    for structure in structures:
        x, jacobian = descriptor(getattr(model.pairs, "pairs", model.pairs), structure)
        e, gradient = 0.0, np.zeros(len(x))
        for term, c in zip(model.terms, model.coefficients, strict=True):
            for rows, weights in images_of(term):
                for j in range(len(c.X)):
                    delta = weights * x[rows] - c.X[j]
                    k0, k1, k2 = profile(term.kernel, delta)
                    w = 0.0 if c.w is None else c.w[j]
                    a = delta @ c.V[j]
                    e += term.amplitude * (k1 * a + k0 * w)
                    g = k1 * c.V[j] - (k2 * a + k1 * w) * delta
                    np.add.at(gradient, rows, term.amplitude * weights * g)
        force = -jacobian.T @ gradient
        if model.functions is not None:
            features = function_features(model.functions, model.pairs.pairs, structure)
            added = features @ model.functions.coefficients.ravel()
            e, force = e + added[-1], force + added[:-1]
        energies.append(model.constant + model.scale * e)
        forces.append(model.scale * force.reshape(-1, 3))
    return np.array(energies), np.array(forces)


def deviations(model, structures):
    """Standard deviations of energies (Q,) and forces (Q, N, 3) by a model's committee, one member after another."""
    bars, found = model.error_bars, []
    for k, constant in enumerate(bars.constants):
        coefficients = []
        for term, c, V, w in zip(model.terms, model.coefficients, bars.V, bars.w, strict=True):
            rows = [j for j in range(len(c.X)) if bars.folds[j // term.n_places] == k]
            coefficients.append(SimpleNamespace(X=c.X[rows], V=V[rows], w=None if w is None else w[rows]))
        functions = model.functions
        if functions is not None:
            functions = SimpleNamespace(
                basis=functions.basis, slots=functions.slots, classes=functions.classes, shape=functions.shape,
                coefficients=bars.functions[k],
            )  # fmt: skip
        found.append(predict(SimpleNamespace(
            pairs=model.pairs, terms=model.terms, coefficients=coefficients, functions=functions, constant=constant,
            scale=model.scale,
        ), structures))  # fmt: skip
    energies, components = (np.sqrt(sum((a - sum(all_) / len(all_)) ** 2 for a in all_) / (len(all_) - 1))
                              for all_ in zip(*found, strict=True))  # fmt: skip
    per_atom = np.sqrt((components[..., 0] ** 2 + components[..., 1] ** 2 + components[..., 2] ** 2) / 3)
    return bars.energy_factor * energies, bars.forces_factor * np.repeat(
        per_atom[..., None], 3, axis=-1
    ) ** bars.forces_power


def dipoles(model, structures):
    """Dipoles (Q, 3) of a DipoleModel: charges on every image of every fragment, one after another."""
    masses = atomic_masses[model.numbers]
    found = []
    for structure in structures:
        mu = model.charge * masses @ structure / sum(masses)
        for term in model.terms:
            for place in term.atoms:
                for perm in term.perms:
                    atoms = structure[place[perm]]
                    x = [1 / np.linalg.norm(atoms[i] - atoms[j]) for i in range(len(atoms)) for j in range(i)]
                    for a, atom in enumerate(atoms):
                        charge = term.fixed[a]
                        for X, U in zip(term.X, term.U, strict=True):
                            charge += profile(term.kernel, x - X)[0] * U[a]
                        mu += charge * (atom - sum(atoms) / len(atoms))
        found.append(mu)
    return np.array(found)


def fit(terms, pairs, structures, labels, noise):
    """Coefficients of the labels by one dense solve."""
    energies = len(labels) > structures[0].size * len(structures)
    K = covariance_matrix(terms, pairs, structures, energies)
    return np.linalg.solve(K + noise * np.eye(len(K)), labels)


def masked_model(model, mask):
    """Arrays of a one-term model in which the masked pairs (P,) are zero everywhere (docs/theory.md, masking)."""
    keep = (~mask).astype(float)
    (term,), (c,) = model.terms, model.coefficients
    return keep, term, c


def masking_score(model, structures, mask):
    """Root mean square change of the forces when the pairs in `mask` are zero in X, V, query and query Jacobian."""
    keep, term, c = masked_model(model, mask)
    _, full = predict(model, structures)
    total = 0.0
    for structure, reference in zip(structures, full, strict=True):
        x, jacobian = descriptor(model.pairs.pairs, structure)
        x, jacobian = x * keep, jacobian * keep[:, None]
        gradient = np.zeros(len(x))
        for rows, weights in images_of(term):
            for j in range(len(c.X)):
                delta = weights * x[rows] - c.X[j] * keep
                V = c.V[j] * keep
                _, k1, k2 = profile(term.kernel, delta)
                w = 0.0 if c.w is None else c.w[j]
                np.add.at(gradient, rows, term.amplitude * (k1 * V - (k2 * (delta @ V) + k1 * w) * delta))
        if model.functions is not None:
            far, _ = descriptor(model.pairs.pairs, structure)
            for slot, k in zip(model.functions.slots, model.functions.classes, strict=True):
                _, slopes = pair_basis(model.functions.basis, 1 / far[slot])
                gradient[slot] += slopes @ model.functions.coefficients[k]
        total += np.sum((reference.ravel() + model.scale * jacobian.T @ gradient) ** 2)
    return np.sqrt(total / structures.size)


# Molecular dynamics, one structure ----------------------------------------------------------------------------------


def velocity_verlet(x, v, forces, h, mass):
    """Positions and velocities a step h later; forces(x) (N, 3), mass (N, 1)."""
    v_half = v + h / 2 * forces(x) / mass
    x_new = x + h * v_half
    return x_new, v_half + h / 2 * forces(x_new) / mass


def baoab(x, v, forces, h, mass, kT, friction, noise):
    """A step of Langevin dynamics; noise (N, 3): standard normal numbers."""
    v = v + h / 2 * forces(x) / mass
    x = x + h / 2 * v
    c = np.exp(-friction * h)
    v = c * v + np.sqrt(1 - c**2) * np.sqrt(kT / mass) * noise
    x = x + h / 2 * v
    return x, v + h / 2 * forces(x) / mass
