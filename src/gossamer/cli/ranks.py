"""What torchrun tells its processes, as a record for the library; and what of the work is left when they end early."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gossamer.cli.outputs import say
from gossamer.cli.problems import RanksEnded, explain
from gossamer.errors import UsageError

if TYPE_CHECKING:
    from gossamer.cli.inputs import Job, Parts
    from gossamer.fitting.checkpoint import Journal
    from gossamer.fitting.parallel import Ranks

TIMEOUT_MINUTES = 30  # a rank that is silent for so long is lost; the longest wait is for a direct solution


def is_first() -> bool:
    """Whether this process prints: the first of those that torchrun started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(threads: int | None) -> Iterator["Ranks"]:
    """The ranks of this run, connected while the block runs; one alone where torchrun did not start us.

    threads: of this process; None: under torchrun its share of the cores, else as torch finds."""
    import torch

    from gossamer.fitting.parallel import ALONE, Ranks

    size = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if threads is None and here > 1 and os.environ.get("OMP_NUM_THREADS", "1") == "1":  # torchrun sets 1 itself
        threads = max(1, _cores() // here)
    if threads is not None:
        torch.set_num_threads(threads)
    if size == 1:
        yield ALONE
        return
    from datetime import timedelta

    from torch import distributed

    cards = torch.cuda.is_available() and torch.cuda.device_count() >= here
    if cards:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if cards else "gloo", timeout=timedelta(minutes=TIMEOUT_MINUTES)
        )
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"ranks: the {size} processes cannot connect ({' '.join(str(error).split())[:120]}); use torchrun."
        ) from error
    ranks = Ranks(distributed.get_rank(), size, here)
    try:
        yield ranks
    except (Exception, KeyboardInterrupt) as error:  # torchrun interrupts the ranks that are left when one ends
        problem = explain(error)
        raise RanksEnded(problem._replace(sentence="") if _was_said() else problem) from error
    else:
        distributed.destroy_process_group()


def _was_said() -> bool:
    """Whether another rank says already why the ranks end.  Asked of torchrun's store, which outlives the ranks."""
    from torch import distributed

    try:
        store = distributed.distributed_c10d._get_default_store()
        return int(store.add("gossamer: the ranks end", 1)) > 1
    except Exception:  # the store is gone as well
        return False


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def journal(
    out: Path, job: "Job", parts: "Parts", ranks: "Ranks", *, resume: bool, every: float, **settings: Any
) -> Iterator["Journal"]:
    """The checkpoint of a command that writes `out`: OUT.checkpoint, removed when the block succeeds.

    settings: those that must agree besides the job's, for --resume.  Ctrl-C then says how to go on."""
    import hashlib
    from dataclasses import asdict

    from gossamer.fitting.checkpoint import Journal
    from gossamer.version import __version__

    path = out.with_name(f"{out.name}.checkpoint")
    header: dict[str, Any] = {"gossamer": __version__}
    header |= {f"--{name.replace('_', '-')}": value for name, value in (asdict(job.fitting) | settings).items()}
    header["--terms"] = job.terms
    header["--symmetry"] = None if job.symmetry_file else job.symmetry
    for name, file in (("fragments", job.fragments), ("symmetry", job.symmetry_file)):
        text = None if file is None else file.read_bytes()
        header[f"the text of --{name}"] = None if text is None else hashlib.sha256(text).hexdigest()[:16]
    for name in ("train", "valid", "test", "pool"):
        part = getattr(parts, name)
        header[f"{name} data"] = None if part is None else part.fingerprint[:16]
    if path.exists() and not resume and not job.quiet:
        told = f"{path}: an interrupted run left it; it will be overwritten, --resume would go on from it"
        say([told], stderr=True)
    found = Journal.open(path, header, resume=resume, every=every, ranks=ranks)
    try:
        yield found
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(*([_how_to_go_on(path)] if path.exists() else [])) from error
    found.close()


def _how_to_go_on(path: Path) -> str:
    return f"interrupted; what is finished is kept in {path}: repeat the command with --resume to go on from there."
