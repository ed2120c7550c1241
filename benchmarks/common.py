"""What the benchmarks share: the machine, medians, and where results go."""

import json
import re
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gossamer.fitting.resources import machine
from gossamer.units import energy_in_ev
from gossamer.version import __version__

HERE = Path(__file__).parent
ROOT = HERE.parent
SHARED = ROOT.parent / "shared" / "data"
RESULTS = HERE / "results"
PARITY_PYTHON = ROOT / ".parity-venv" / "bin" / "python"
KCAL = energy_in_ev("kcal/mol")


def median_seconds(call: Callable[[], object], repeats: int = 7) -> float:
    """Median wall time of `call`, after one call that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def peak_gib() -> float:
    """Most memory this process has held (getrusage would count what its parent held before it)."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 2**20  # type: ignore[index]


def save(name: str, rows: Any) -> None:
    """Write results/NAME.json with the machine, the version and the commit; rows of a list keep the commit that they
    were measured at, and get this one where they have none."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    RESULTS.mkdir(exist_ok=True)
    if isinstance(rows, list):
        rows = [{**row, "commit": row.get("commit") or commit.stdout.strip()} for row in rows]
    content = {"machine": asdict(machine()), "gossamer": __version__, "commit": commit.stdout.strip(), "rows": rows}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def saved(name: str) -> list[dict[str, Any]]:
    """The rows of results/NAME.json with the commits they were measured at, none where there is no such file."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    return [{"commit": found["commit"]} | row for row in found["rows"]]


def keep(name: str, row: dict[str, Any], key: Callable[[dict[str, Any]], object]) -> list[dict[str, Any]]:
    """Write results/NAME.json with `row` in place of the one of its key, and all other rows as they were; returns all,
    sorted by key."""
    rows = sorted(({key(old): old for old in saved(name)} | {key(row): row}).values(), key=lambda one: str(key(one)))
    save(name, rows)
    return rows


def table(rows: list[dict[str, object]]) -> None:
    """Print rows as a Markdown table, nothing where there are none."""
    if not rows:
        return
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()) + " |")
