"""What the machine offers, and what a fit will ask of it."""

import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gossamer.backends.choice import summed_at_once
from gossamer.devices import card_memory
from gossamer.errors import MemoryBudgetError
from gossamer.records.parts import Machine

if TYPE_CHECKING:
    import torch

    from gossamer.fitting.labels import LabelLayout
    from gossamer.model.terms import Term

GIB = 2**30
RESERVE = 0.45 * GIB  # Python, torch and compiled code, before any data (measured, benchmarks/bench_estimate.py)
SHARE, SPARED = 0.7, 0.9  # of all memory, planned with; of what is free, at most


def memory_here() -> tuple[float, float]:
    """Bytes that can be taken now without swapping, and bytes in all, within the control group (container, batch job)
    if there is one."""
    import psutil

    memory = psutil.virtual_memory()
    free, total = float(memory.available), float(memory.total)
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii")
        return (free, total) if limit == "max" else (min(free, float(limit) - float(used)), min(total, float(limit)))
    except (OSError, ValueError):
        return free, total


def memory_budget(gib: float | None, device: "torch.device | None" = None) -> float:
    """Bytes the process may come to use: what the user gave, else 70 % of the memory of the device (None: CPU), halved
    until it is free.

    Steps of two, so that what else runs on the machine seldom changes the plan, and with it the last digits of a
    model."""
    if gib is not None:
        return gib * GIB
    on_card = device is not None and device.type == "cuda"
    free, total = card_memory(device) if on_card and device is not None else memory_here()
    wanted = SHARE * total
    return wanted * 0.5 ** max(0, math.ceil(math.log2(wanted / (SPARED * max(free, 1.0)))))


def machine() -> Machine:
    """Machine and versions, for records."""
    import numpy
    import psutil
    import torch

    return Machine(
        cpu=_cpu_name(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        memory_gib=round(psutil.virtual_memory().total / GIB, 1),
        python=platform.python_version(),
        numpy=numpy.__version__,
        torch=str(torch.__version__),
        cards=tuple(torch.cuda.get_device_name(card) for card in range(torch.cuda.device_count())),
    )


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Plan:
    """How one system will be solved.  columns: of the preconditioner; bytes: peak memory; cost: in operations at
    matrix-multiply speed, comparable between plans only."""

    solver: str
    columns: int
    cache_bytes: float
    bytes: float
    cost: float


PILOT_STRUCTURES, PILOT_UNKNOWNS = 120, 6000  # a pilot fit has no more, but 30 structures if there are so many
ITERATIONS = 120  # of conjugate gradients until the validation error is final; 40 to 210 were met


@dataclass(frozen=True)
class TermSize:
    """What a term costs by: training rows M*L, permutations H, pairs P; compiled: whether its products are the compiled
    code's, which caches no factors."""

    rows: int
    perms: int
    pairs: int
    compiled: bool = False

    @property
    def factors(self) -> int:
        """Radial factors of one kind between all training rows."""
        return self.perms * self.rows**2


def plan(
    n: int,
    term_sizes: "list[TermSize]",
    base: float,
    budget: float,
    solver: str,
    *,
    kept_factors: int = 2,
    ranks: int = 1,
) -> Plan:
    """Choose Cholesky or conjugate gradients for n unknowns.

    kept_factors: how many kinds of radial factors products take; base: bytes of descriptors and coefficients, which
    each of `ranks` processes holds; budget: bytes, of all ranks.
    The direct solver is preferred where it costs at most twice as much, since it is exact.
    Raises MemoryBudgetError when neither fits."""
    base = ranks * (base + RESERVE)
    direct = Plan("cholesky", 0, 0.0, base + 8.0 * n * n + 4 * 8.0 * n * 512, n**3 / 3)
    room = budget - base
    block = 4 * 8.0 * n * min(256, 12 * n**0.5 / 8)  # temporaries while columns are chosen
    columns = int(min(12 * n**0.5, n, (0.6 * room - block) / (8 * 1.1 * n)))
    cache = max(0.0, 0.35 * room)
    need = sum(8.0 * kept_factors * t.factors for t in term_sizes if not t.compiled)
    iterative_bytes = base + block + 8 * (1.1 * n + 4 * columns * ranks) * max(columns, 0) + min(cache, need)
    cost = 2.0 * n * max(columns, 1) ** 2 + ITERATIONS * (product_operations(term_sizes) + 56.0 * n * max(columns, 1))
    iterative = Plan("cg", columns, cache, iterative_bytes, cost)
    if solver == "cholesky" or (solver == "auto" and direct.bytes <= budget and direct.cost <= 2 * iterative.cost):
        chosen = direct
    else:
        chosen = iterative
    if chosen.bytes > budget or (chosen.solver == "cg" and columns < 10):
        wanted = max(chosen.bytes, base + (block + 1.1 * 8 * n * 11) / 0.6) / GIB
        raise MemoryBudgetError(
            f"memory: {wanted:.3g} GiB are needed for {n:,} unknowns with the {chosen.solver} solver, but the budget "
            f"is {budget / GIB:.3g} GiB; give more with --memory, or train on fewer structures."
        )
    return chosen


def plan_of(
    terms: "tuple[Term, ...]", n_pairs: int, layout: "LabelLayout", budget: float, solver: str,
    *, ranks: int = 1, on_card: bool = False,
) -> Plan:  # fmt: skip
    """`plan` for labels and `terms` over a molecule of n_pairs pairs."""
    sizes = term_sizes(terms, layout.n_structures, on_card)
    base = 8.0 * layout.n_structures * n_pairs * 16 + 8.0 * 14 * sum(t.rows * t.pairs for t in sizes)
    return plan(layout.size, sizes, base, budget, solver, kept_factors=layout.kept_factors, ranks=ranks)


def term_sizes(terms: "tuple[Term, ...]", n_structures: int, on_card: bool = False) -> "list[TermSize]":
    import torch

    device = torch.device("cuda" if on_card else "cpu")
    return [TermSize(n_structures * t.n_places, len(t.perms), t.n_pairs, summed_at_once(t, device)) for t in terms]


def product_operations(sizes: "list[TermSize]") -> float:
    """Floating-point operations at matrix-multiply speed in one K v; for compiled terms as many as take their time
    (measured: 4 ns for a factor and 0.08 ns for each of its pairs)."""
    return sum(t.factors * (150.0 + 3.0 * t.pairs if t.compiled else 6.0 * t.pairs) for t in sizes)


def pilot_structures(n_train: int, n_atoms: int) -> int:
    """How many training structures a pilot fit uses."""
    return min(n_train, PILOT_STRUCTURES, max(30, PILOT_UNKNOWNS // (3 * n_atoms)))


def keeps_matrix(n: int, chosen: Plan, budget: float) -> bool:
    """Whether a direct solver of n unknowns keeps the matrix beside its factor, for fits with other noise."""
    return chosen.solver == "cholesky" and n <= PILOT_UNKNOWNS and chosen.bytes + 8 * n**2 <= budget
