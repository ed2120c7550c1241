"""Many processes that run the same program (torchrun): who holds what, and the few exchanges between them.

The ill-conditioned systems solved here amplify rounding: two sums that differ in the last digit give models that differ
in the sixth.  So the structures are always divided into the same shards, however many ranks there are, every shard is
worked on by itself, and sums over shards run in one order; then 1 and 2 ranks give the same bits.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gossamer.errors import RankLostError
from gossamer.fitting.labels import LabelLayout

if TYPE_CHECKING:
    from torch import Tensor

SHARDS = 8  # up to so many ranks the arithmetic is the same; more ranks make more shards


@dataclass(frozen=True)
class Ranks:
    """This process among `size` equal ones; a frozen record made by whoever started them (`cli`, a test).

    local_size: how many of them run on this machine; group: the torch.distributed process group, None: the default
    one.  Every method is called by all ranks alike, and is free for one rank alone.  Raises RankLostError when
    another rank has gone."""

    rank: int = 0
    size: int = 1
    local_size: int = 1
    group: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the rank that prints and writes."""
        return self.rank == 0

    @property
    def machines(self) -> int:
        return max(1, self.size // max(1, self.local_size))

    def share(self, n: int) -> range:
        """Which of n things in a row are this rank's."""
        return self._share(n, self.rank)

    def _share(self, n: int, rank: int) -> range:
        return range(-(-rank * n // self.size), -(-(rank + 1) * n // self.size))  # the first never goes without

    def gather(self, own: "Sequence[Tensor]", shapes: Sequence[tuple[int, ...]]) -> "list[Tensor]":
        """All n things, of the given shapes, from the own share of them, in one exchange."""
        if self.size == 1:
            return list(own)
        from torch import distributed

        sizes = [int(np.prod(shape)) for shape in shapes]
        held = [sum(sizes[i] for i in self._share(len(shapes), rank)) for rank in range(self.size)]
        packed = own[0].new_zeros(max(held)) if own else torch.zeros(max(held), dtype=torch.float64)
        if own:
            packed[: held[self.rank]] = torch.cat([t.reshape(-1) for t in own])
        arrived = [torch.empty_like(packed) for _ in range(self.size)]
        self._guarded(lambda: distributed.all_gather(arrived, packed, group=self.group))
        flat = torch.cat([t[:n] for t, n in zip(arrived, held, strict=True)])
        return [t.view(shape) for t, shape in zip(flat.split(sizes), shapes, strict=True)]

    def merge(self, t: "Tensor") -> "Tensor":
        """Sum over ranks of tensors of which, at every place, all but one are zero: exact in any order."""
        if self.size > 1:
            from torch import distributed

            self._guarded(lambda: distributed.all_reduce(t, group=self.group))
        return t

    def from_first(self, t: "Tensor") -> "Tensor":
        """The tensor of rank 0, in the place of this rank's, which has the same shape."""
        if self.size > 1:
            from torch import distributed

            t = t.contiguous()
            self._guarded(lambda: distributed.broadcast(t, src=0, group=self.group))
        return t

    def agree(self, *values: float) -> tuple[float, ...]:
        """The numbers of rank 0.  Decisions are made from these, since another machine may round otherwise."""
        if self.size == 1:
            return values
        return tuple(self.from_first(torch.tensor(values, dtype=torch.float64)).tolist())

    def bytes_from_first(self, content: bytes) -> bytes:
        """The bytes of rank 0; what the other ranks give does not matter."""
        if self.size == 1:
            return content
        length = int(self.agree(len(content))[0])
        t = torch.zeros(length, dtype=torch.uint8)
        if self.first and length:
            t = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        return self.from_first(t).numpy().tobytes() if length else b""

    def _guarded(self, exchange: Callable[[], object]) -> None:
        try:
            exchange()
        except RuntimeError as error:
            raise RankLostError(
                f"ranks: rank {self.rank} of {self.size} lost the connection to another one, which has ended or hangs; "
                "start the same command again with --resume to go on from the last checkpoint."
            ) from error


ALONE = Ranks()


def divide(n_structures: int, size: int) -> tuple[range, ...]:
    """The shards of n structures, alike for all sizes up to SHARDS; never more than there are structures."""
    count = min(n_structures, max(SHARDS, size))
    bounds = [k * n_structures // count for k in range(count + 1)]
    return tuple(range(a, b) for a, b in pairwise(bounds))


@dataclass(frozen=True, eq=False)
class Shards:
    """How vectors over labels (n,), which stand in them by `layout`, are divided: by structures."""

    ranks: Ranks
    structures: tuple[range, ...]
    layout: LabelLayout

    @classmethod
    def of(cls, layout: LabelLayout, ranks: Ranks) -> "Shards":
        return cls(ranks, divide(layout.n_structures, ranks.size), layout)

    @property
    def own(self) -> range:
        """The numbers of this rank's shards."""
        return self.ranks.share(len(self.structures))

    @cached_property
    def labels(self) -> tuple[np.ndarray, ...]:
        """The labels of every shard, block after block."""
        return tuple(self.layout.of_structures(s) for s in self.structures)

    @property
    def _in_a_row(self) -> bool:
        return len(self.layout.blocks) == 1

    def split(self, v: "Tensor") -> "list[Tensor]":
        """The own shards' parts of v (..., n)."""
        if self._in_a_row:
            return [v[..., self.labels[s][0] : self.labels[s][-1] + 1] for s in self.own]
        return [v[..., torch.from_numpy(self.labels[s])] for s in self.own]

    def join(self, parts: "Sequence[Tensor]") -> "Tensor":
        """The whole vector (n,) from the parts of the own shards."""
        joined = torch.cat(self.ranks.gather(parts, [(len(labels),) for labels in self.labels]))
        if self._in_a_row:
            return joined
        out = torch.empty_like(joined)
        out[torch.from_numpy(np.concatenate(self.labels))] = joined
        return out

    def pick(self, parts: "Sequence[Tensor]", labels: np.ndarray, n_rows: int) -> "Tensor":
        """Columns `labels` (C,) of a matrix (n_rows, n) of which every rank holds its own shards' columns: (n_rows, C)
        on every rank."""
        like = parts[0] if parts else torch.zeros(0, dtype=torch.float64)
        out = like.new_zeros((n_rows, len(labels)))
        for s, part in zip(self.own, parts, strict=True):
            at = np.searchsorted(self.labels[s], labels)
            here = np.flatnonzero(np.take(self.labels[s], at, mode="clip") == labels)
            out[:, torch.from_numpy(here)] = part[:, torch.from_numpy(at[here])]
        return self.ranks.merge(out)

    def sum(self, parts: "Iterable[Tensor]", shape: tuple[int, ...]) -> "Tensor":
        """Sum over all shards of tensors of one shape, on every rank.

        Added along one binary tree over the shards: a rank adds up the branches it holds whole, the few sums that
        are left are exchanged."""
        n, own = len(self.structures), self.own
        leaves = iter(parts)
        kept = {branch: _fold(*branch, lambda _: next(leaves)) for branch in _branches(0, n, own)}
        branches = [list(_branches(0, n, self.ranks._share(n, rank))) for rank in range(self.ranks.size)]
        if self.ranks.size == 1:
            return kept[0, n]
        most = max(len(b) for b in branches)
        like = next(iter(kept.values()), torch.zeros(0, dtype=torch.float64))
        packed = like.new_zeros((most, *shape))
        for slot, t in enumerate(kept.values()):
            packed[slot] = t
        arrived = self.ranks.gather([packed], [tuple(packed.shape)] * self.ranks.size)
        sums = {b: arrived[r][k] for r, held in enumerate(branches) for k, b in enumerate(held)}
        return _fold(0, n, None, sums)


def _branches(lo: int, hi: int, own: range) -> Iterator[tuple[int, int]]:
    """The largest branches [lo, hi) of the tree that lie within `own`, from left to right."""
    if own.start <= lo and hi <= own.stop:
        yield lo, hi
    elif lo < own.stop and own.start < hi:
        middle = (lo + hi) // 2
        yield from _branches(lo, middle, own)
        yield from _branches(middle, hi, own)


def _fold(lo: int, hi: int, leaf: "Callable[[int], Tensor] | None", sums: "dict | None" = None) -> "Tensor":
    """The sum over the branch [lo, hi), of leaves or of branches that were summed before."""
    if sums is not None and (lo, hi) in sums:
        return sums[lo, hi]
    if hi - lo == 1:
        assert leaf is not None
        return leaf(lo)
    middle = (lo + hi) // 2
    left = _fold(lo, middle, leaf, sums)
    return left + _fold(middle, hi, leaf, sums)
