"""An sgdml model evaluated by the equations of NOTES.md in plain NumPy, and compared with sgdml when it is installed.

    .parity-venv/bin/python benchmarks/sgdml_peer/formula.py MODEL.npz GEOMETRIES.npz

MODEL is read without unpickling anything.  Prints the largest deviations relative to the largest energy difference and
the largest force.
"""

import sys

import numpy as np

NEEDED = ("z", "sig", "c", "std", "perms", "R_desc", "R_d_desc_alpha")


def read_model(path: str) -> dict[str, np.ndarray]:
    """The plain arrays of a model file; members that hold pickled objects are never touched."""
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in (*NEEDED, "alphas_E") if key in file.files}


def pair_permutation(perm: np.ndarray) -> np.ndarray:
    """p with x[p] = x(R[perm]): pair (a, b) of the permuted molecule is pair (perm[a], perm[b]) of the original."""
    n = len(perm)
    index = np.zeros((n, n), dtype=int)
    i, j = np.tril_indices(n, -1)
    index[i, j] = index[j, i] = np.arange(len(i))
    return index[perm[i], perm[j]]


def predict(model: dict[str, np.ndarray], R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energies (Q,) and forces (Q, N, 3) in the model's units for positions R (Q, N, 3)."""
    i, j = np.tril_indices(len(model["z"]), -1)
    q = np.array([pair_permutation(perm) for perm in model["perms"]])  # (S, P)
    X, V = (a[:, q].reshape(-1, len(i)) for a in (model["R_desc"].T, model["R_d_desc_alpha"]))  # (M S, P)
    w = np.repeat(model["alphas_E"], len(q)) if "alphas_E" in model else np.zeros(len(X))
    length, std = float(model["sig"]), float(model.get("std", 1.0))
    E, F = np.empty(len(R)), np.zeros(R.shape)
    for k, r in enumerate(R):
        u = r[i] - r[j]
        x = 1 / np.linalg.norm(u, axis=1)
        d = x - X
        t = np.sqrt(5) * np.linalg.norm(d, axis=1) / length
        k0 = (1 + t + t**2 / 3) * np.exp(-t)
        k1 = 5 / (3 * length**2) * (1 + t) * np.exp(-t)
        k2 = 25 / (3 * length**4) * np.exp(-t)
        a = (d * V).sum(1)
        E[k] = float(model["c"]) + std * (k1 @ a + k0 @ w)
        g = std * (k1 @ V - (k2 * a) @ d - (k1 * w) @ d)  # dE/dx
        f = (g * x**3)[:, None] * u  # -dE/dx dx/dr_i with dx/dr_i = -u x^3
        np.add.at(F[k], i, f)
        np.add.at(F[k], j, -f)
    return E, F


def main(model_path: str, geometries_path: str) -> None:
    from sgdml.predict import GDMLPredict

    with np.load(geometries_path, allow_pickle=False) as file:
        R = file["R"][:20]
    E, F = predict(read_model(model_path), R)
    with np.load(model_path, allow_pickle=True) as file:  # sgdml needs its pickled members
        E_peer, F_peer = GDMLPredict(dict(file), max_processes=1).predict(R.reshape(len(R), -1))
    energy, force = np.abs(E - E_peer), np.abs(F.reshape(F_peer.shape) - F_peer)
    print(f"energy {energy.max() / np.ptp(E_peer):.1e}  force {force.max() / np.abs(F_peer).max():.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
