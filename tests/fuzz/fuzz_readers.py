"""Fuzzing by hand: damaged files are read in subprocesses with limits, and every outcome is counted.

    python tests/fuzz/fuzz_readers.py --minutes 30 --seed 0

Right outcomes are numbers that are finite, or one sentence of a GossamerError, within 5 s of work and 1 GB.  Whatever
is not right is kept in --keep, one file each with its outcome in the JSON report on standard output.
"""

import argparse
import json
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from mutate import mutate

HERE = Path(__file__).resolve()
REPOSITORY = HERE.parents[2]
SAMPLES = (REPOSITORY.parent / "shared" / "cases", REPOSITORY / "tests" / "data", REPOSITORY / "tests" / "models")
SECONDS, WAIT = 5.0, 60.0  # of work, and of waiting for it on a busy machine
GROWTH = 1 << 30
LARGEST_SAMPLE, NO_SAMPLES = 500_000, (".md", ".py", ".txt")


def read_data(path: Path) -> Iterator[np.ndarray | None]:
    """All numbers of a data set."""
    import gossamer as gs

    data = gs.read(path, energy_unit="eV", length_unit="Angstrom", forces_unit="eV/Angstrom")
    yield from (data.positions, data.forces, data.energies)


def read_model(path: Path) -> Iterator[np.ndarray | None]:
    """What a model predicts for one structure and for two."""
    import gossamer as gs

    model = gs.load(path)
    structures = np.random.default_rng(0).normal(size=(2, model.n_atoms, 3), scale=3.0)
    for part in (structures, structures[:1]):
        p = model.predict(part, warn=False)
        yield from (p.energies, p.forces)


def read_fragments(path: Path) -> Iterator[np.ndarray | None]:
    """The atoms of the fragments of a molecule of 9 atoms."""
    import gossamer as gs

    yield from (f.atoms for f in gs.read_fragments(path, ETHANOL) if isinstance(f, gs.Fragment))


def read_permutations(path: Path) -> Iterator[np.ndarray | None]:
    """The permutations in a file for --symmetry."""
    from gossamer.cli.inputs import read_symmetry

    yield np.asarray(read_symmetry(str(path), len(ETHANOL)))


ETHANOL = np.array([6, 6, 8, 1, 1, 1, 1, 1, 1])
TARGETS: dict[str, Callable[[Path], Iterator[np.ndarray | None]]] = {  # what a file is tried as
    "data": read_data, "model": read_model, "fragments": read_fragments, "permutations": read_permutations,
}  # fmt: skip


def outcome_of(target: str, path: Path) -> str:
    """ "read", "refused", or what is wrong."""
    import gossamer as gs

    try:
        arrays = list(TARGETS[target](path))
    except gs.GossamerError as error:
        text = str(error)
        one_sentence = text.endswith(".") and text.isprintable() and len(text) < 1500
        return "refused" if one_sentence else f"no sentence: {text[:200]!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    finite = all(array is None or np.isfinite(array).all() for array in arrays)
    return "read" if finite else "numbers that are not finite"


def work() -> None:
    """Read the files named on standard input, one "target path" a line; answer with outcome and memory in bytes."""
    import warnings

    for sample in sorted((REPOSITORY / "tests" / "models").glob("*.gossamer")):
        list(read_model(sample))  # compiled code is made or loaded once, before the limit and outside what is timed
    warnings.simplefilter("error", RuntimeWarning)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 2 * GROWTH
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps(["ready", 0]), flush=True)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a reader prints is no answer
    for line in sys.stdin:
        target, path = line.rstrip("\n").split(" ", 1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        outcome = outcome_of(target, Path(path))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        answers.write(json.dumps([outcome if grown < GROWTH else f"grew by {grown >> 20} MB", grown]) + "\n")
        answers.flush()


class Worker:
    """A subprocess that reads files, replaced when it hangs or dies."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE), "--work"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def _worked(self) -> float:
        """Seconds of processor time so far."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, target: str, path: Path) -> tuple[str, int, float]:
        """Outcome, growth in bytes, and seconds of work."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        worked, begun = self._worked(), time.monotonic()
        self.process.stdin.write(f"{target} {path}\n")
        self.process.stdin.flush()
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], 0.5)
            spent = self._worked() - worked
            if ready:
                answer = self.process.stdout.readline()
                if answer:
                    outcome, grown = json.loads(answer)
                    return (outcome if spent < SECONDS else f"slow: {spent:.1f} s"), grown, spent
                self.stop()
                code = self.process.returncode
                self.start()
                return f"died with {code}", 0, spent
            if spent > SECONDS or time.monotonic() - begun > WAIT:
                self.stop()
                self.start()
                return f"hang: {spent:.1f} s of work", 0, spent


def generated(folder: Path) -> None:
    """Samples in every format that is written."""
    import gossamer as gs
    from gossamer.data.dataset import Dataset

    rng = np.random.default_rng(0)
    shape = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    positions = shape + 0.03 * rng.normal(size=(4, 3, 3))
    data = Dataset(np.array([8, 1, 1]), positions, rng.normal(size=(4, 3, 3)), rng.normal(size=4) - 2000)
    for suffix in ("npz", "extxyz", "traj", "db"):
        gs.write(data, folder / f"water.{suffix}")
    from gossamer.chemistry.fragments_file import write_fragments

    bent = gs.Fragment(np.array([[0, 3, 4], [1, 6, 7]]), np.array([[0, 1, 2], [0, 2, 1]]), "bent")
    write_fragments(folder / "ethanol.fragments", [bent, "global"], ETHANOL)
    (folder / "ethanol.perms").write_text("(3 4 5)\n[0, 1, 2, 3, 4, 5, 7, 6, 8]  # two hydrogens\n")


def samples(folder: Path) -> list[tuple[str, Path]]:
    """(target, file) of all samples: those of the repository and those made in `folder`."""
    generated(folder)
    files = [path for root in (*SAMPLES, folder) for path in sorted(root.rglob("*")) if path.is_file()]
    small = [
        path for path in files if path.stat().st_size <= LARGEST_SAMPLE and path.suffix not in (".md", ".py", ".txt")
    ]
    kinds = {".gossamer": "model", ".fragments": "fragments", ".perms": "permutations"}
    chosen = [(kinds.get(path.suffix, "data"), path) for path in small]
    return chosen + [("model", path) for path in small if path.parent.name == "sgdml" and path.suffix == ".npz"]


def fuzz(minutes: float, seed: int, keep: Path, only: str) -> dict[str, object]:
    """Counts of all outcomes, by kind of file too; what went wrong is kept."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {}
    wrong: list[dict[str, object]] = []
    most_memory, most_seconds = 0, 0.0
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        chosen = [(target, path) for target, path in samples(folder) if only in str(path)]
        contents = {path: path.read_bytes() for _, path in chosen}
        worker = Worker()
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            target, path = rng.choice(chosen)
            others = [content for other, content in contents.items() if other.suffix == path.suffix]
            file = folder / f"fuzz{path.suffix}"
            file.write_bytes(mutate(contents[path], path.suffix, others, rng))
            outcome, grown, spent = worker.ask(target, file)
            most_memory, most_seconds = max(most_memory, grown), max(most_seconds, spent)
            kind = outcome if outcome in ("read", "refused") else "wrong"
            counts[kind] += 1
            kinds.setdefault(path.suffix or path.name, Counter())[kind] += 1
            if kind == "wrong":
                kept = keep / f"{seed}-{sum(counts.values())}{path.suffix}"
                kept.write_bytes(file.read_bytes())
                wrong.append({"file": str(kept), "sample": path.name, "target": target, "outcome": outcome})
                print(f"{kept}: {outcome}", file=sys.stderr, flush=True)
        worker.stop()
    return {
        "seed": seed, "minutes": minutes, "executions": sum(counts.values()), "outcomes": dict(counts),
        "by_suffix": {suffix: dict(count) for suffix, count in sorted(kinds.items())},
        "most_memory_grown_mb": most_memory >> 20, "most_seconds": round(most_seconds, 2), "wrong": wrong,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "gossamer-fuzz")
    parser.add_argument("--only", default="", help="samples whose path holds this text")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work()
        return
    report = fuzz(given.minutes, given.seed, given.keep, given.only)
    print(json.dumps(report, indent=2))
    sys.exit(1 if report["wrong"] else 0)


if __name__ == "__main__":
    main()
