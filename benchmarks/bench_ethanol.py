"""MD17 ethanol, the same frames, permutations, length and noise as sgdml (tests/models/sgdml/md17_ethanol_*.json).

    python benchmarks/bench_ethanol.py

sgdml's numbers are those recorded with sgdml 1.0.3; `make parity` measures them again.
"""

import json

import numpy as np
from common import KCAL, ROOT, SHARED, save, table

import gossamer as gs
from gossamer.fitting.workflow import fit

RECORDS = ROOT / "tests" / "models" / "sgdml"


def main() -> None:
    path = SHARED / "md17_ethanol.npz"
    if not path.exists():
        print(f"{path}: not here; this benchmark needs the MD17 data")
        return
    data = gs.read(path)
    rows = []
    for size in (200, 500):
        record = json.loads((RECORDS / f"md17_ethanol_{size}.json").read_text())
        split = {name: data.take(rows_) for name, rows_ in record["split"].items()}
        perms = np.array(record["perms"])
        given = {"length": 20.0, "noise": 1e-10, "symmetry": perms, "solver": "cholesky"}
        for what, options in {"sgdml's settings": given, "length and noise searched": {}}.items():
            found = fit(split["train"], None if options else split.get("valid"), terms="global", **options)
            errors = found.model.test(split["test"])
            rows.append(
                {
                    "M": size,
                    "settings": what,
                    "permutations": len(found.symmetry.perms),
                    "length": found.settings.length,
                    "force MAE": errors.force_mae / KCAL,
                    "sgdml force MAE": record["test"]["force_mae"],
                    "force RMSE": errors.force_rmse / KCAL,
                    "sgdml force RMSE": record["test"]["force_rmse"],
                    "energy MAE": (errors.energy_mae or 0.0) / KCAL,
                    "sgdml energy MAE": record["test"]["energy_mae"],
                    "s": found.seconds,
                }
            )
    save("ethanol", rows)
    table(rows)


if __name__ == "__main__":
    main()
