"""What float32 storage of training rows does to forces, to the energy's conservation and to the time of a step.

    python benchmarks/bench_precision.py

Models trained with little and with hardly any noise, whose coefficients cancel by more and more digits; each is run
with float64 and with float32 rows: change of the forces on new structures, the change predicted when the evaluator is
built (`single_error`), drift of the total energy in 10 ps of NVE at 300 K, microseconds per structure.
"""

import ase
import numpy as np
from ase import units
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary, ZeroRotation
from ase.md.verlet import VelocityVerlet
from common import ROOT, SHARED, median_seconds, save, table

import gossamer as gs
from gossamer.backends.numba import layout
from gossamer.evaluate.precision import SINGLE_LIMIT, Precision, single_error
from gossamer.model.force_field import ForceField

STEPS, STEP = 20_000, 0.5  # steps, fs
CASES = [("ethanol", 200), ("Ac-Ala3-NHMe", 60)]
NOISES = (1e-6, 1e-8, 1e-10)  # relative to the mean prior variance of a force


def drift(model: ForceField, precision: Precision, positions: np.ndarray) -> tuple[float, float]:
    """Slope of the total energy (meV per ps and atom) and its spread (meV per atom) in NVE from `positions`."""
    atoms = ase.Atoms(model.numbers, positions)
    atoms.calc = model.ase(precision=precision)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.default_rng(0))
    Stationary(atoms)
    ZeroRotation(atoms)
    energies: list[float] = []
    dynamics = VelocityVerlet(atoms, STEP * units.fs)
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=10)
    dynamics.run(STEPS)
    times = np.arange(len(energies)) * 10 * STEP / 1000
    slope, offset = np.polyfit(times, energies, 1)
    spread = np.std(energies - (slope * times + offset))
    return 1000 * slope / len(atoms), 1000 * spread / len(atoms)


def main() -> None:
    layout.COLUMN_BYTES = 0  # ethanol is small enough for blocks of columns, which stay float64
    rows = []
    for name, n_train in CASES:
        path = ROOT / "examples" / "ac-ala3" / "ac-ala3.npz" if name.startswith("Ac") else SHARED / "xtb_ethanol.npz"
        if not path.exists():
            continue
        train, valid, test = gs.read(path).split(n_train, 50, 50, seed=0)
        for noise in NOISES:
            model = gs.train(
                train, valid, terms="global", symmetry="none", length=20.0, relative_noise=noise, solver="cholesky"
            ).model  # fmt: skip
            exact, rounded = (model.evaluator(precision=p, threads=1).one for p in ("float64", "float32"))
            change = np.array([exact(R)[1] - rounded(R)[1] for R in test.positions])
            predicted = single_error(model.terms[0], model.coefficients[0])
            slope64, spread64 = drift(model, "float64", test.positions[0])
            slope32, spread32 = drift(model, "float32", test.positions[0])
            rows.append(
                {
                    "molecule": name, "M": n_train, "relative noise": noise,
                    "force MAE, meV/A": 1e3 * model.test(test).force_mae,
                    "change by float32, rms, meV/A": 1e3 * np.sqrt((change**2).mean()),
                    "predicted, meV/A": 1e3 * predicted * model.scale,
                    "chosen": "float32" if predicted < SINGLE_LIMIT else "float64",
                    "drift float64, meV/ps/atom": slope64, "drift float32, meV/ps/atom": slope32,
                    "spread float64, meV/atom": spread64, "spread float32, meV/atom": spread32,
                    "float64, us": 1e6 * median_seconds(lambda e=exact, R=test.positions[0]: e(R), 500),
                    "float32, us": 1e6 * median_seconds(lambda e=rounded, R=test.positions[0]: e(R), 500),
                }
            )  # fmt: skip
            table(rows[-1:])
    save("precision", rows)
    table(rows)


if __name__ == "__main__":
    main()
