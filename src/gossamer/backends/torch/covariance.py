"""Columns and the diagonal of the covariance in array operations: the twin, for any device, of the compiled loops
`covariance_columns` and `covariance_diagonal` of numba/_covariance.py, where the same equations stand number by number.

Blocks of K between structures i and j, summed over images (docs/theory.md), with delta = x_i - x_j:
force-force  J_i^T [k1 I - k2 delta delta^T] J_j,  force-energy  k1 J_i^T delta,  energy-energy  k0."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from gossamer.backends.incidence import incident_slots
from gossamer.backends.protocol import ChosenLabels, Structures
from gossamer.descriptors import Descriptor, arrays
from gossamer.devices import block_bytes
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

    Side = tuple[Tensor, Tensor]


class LabelGroup(NamedTuple):
    """Labels of one training structure: forces on atoms (C,) along axes (C,), then the energy if `energy`; they fill
    the rows `rows` of the results."""

    structure: int
    atoms: "Tensor"
    axes: "Tensor"
    energy: bool
    rows: slice

    @classmethod
    def of(cls, labels: ChosenLabels, n_atoms: int, device: "torch.device") -> "list[LabelGroup]":
        """Within a group components ascend, so an energy is last."""
        groups, starts = [], labels.starts
        for g, structure in enumerate(labels.structures):
            part = labels.components[starts[g] : starts[g + 1]]
            forces = torch.as_tensor(part[part < 3 * n_atoms], device=device)
            energy = len(forces) < len(part)
            rows = slice(int(starts[g]), int(starts[g + 1]))
            groups.append(cls(int(structure), forces // 3, forces % 3, energy, rows))
        return groups


def triangle_by_columns(
    columns: "Callable[..., Iterator[Tensor]]", terms: tuple[Term, ...], pairs: Descriptor, structures: Structures,
    energies: bool,
) -> "Tensor":  # fmt: skip
    """`Backend.lower_triangle` of a backend that makes it of all `columns`, its own."""
    labels, spans = _every_label(structures.n, pairs.n_atoms, energies), [range(structures.n)]
    (rows,) = columns(terms, pairs, structures, structures, labels, spans, energies)
    return rows.T


def _every_label(n_structures: int, n_atoms: int, energies: bool) -> ChosenLabels:
    """All labels: the forces of all structures, and their energies where asked for."""
    structure, component = np.divmod(np.arange(n_structures * 3 * n_atoms), 3 * n_atoms)
    if energies:
        structure = np.append(structure, np.arange(n_structures))
        component = np.append(component, np.full(n_structures, 3 * n_atoms))
    return ChosenLabels.grouped(structure, component)


@dataclass(frozen=True, eq=False)
class ArrayTerm:
    """A term's tables on a device.  slots, signs (L, N, D): at every place the slots whose pair contains an atom and
    the sign of the pair's gradient there, 0 where the list has ended."""

    term: Term
    pair_sets: tuple[PairSet, ...]  # the pairs of every place
    places: "Tensor"
    perms: "Tensor"
    inverse: "Tensor"
    weights: "Tensor"
    slots: "Tensor"
    signs: "Tensor"
    ends: "Tensor"  # (P_all, 2) atoms of the molecule's pairs

    @classmethod
    def build(cls, term: Term, pairs: PairSet, device: "torch.device") -> "ArrayTerm":
        slots, signs = incident_slots(term, pairs)
        arrays = (term.places, term.perms, term.inverse_perms, term.weights, slots, signs, pairs.pairs)
        tables = (torch.as_tensor(np.ascontiguousarray(a), device=device) for a in arrays)
        return cls(term, tuple(pairs.keep(place) for place in term.places), *tables)


def add_columns(
    t: ArrayTerm, left: "Side", right: "Side", span: range, groups: list[LabelGroup],
    forces: "Tensor", energies: "Tensor | None",
) -> None:  # fmt: skip
    """Add to forces (C, m, N, 3) and energies (C, m) (None: not wanted) one term's covariance of chosen labels of the
    structures `right` with those of the m structures `span` of `left`.

    left, right: the term's descriptors (M, L, P) and the gradients (M, P_all, 3)."""
    (X, dx), (other_X, all_other_dx) = left, right
    widest = max(g.rows.stop - g.rows.start for g in groups)
    numbers = 3 * (widest * (t.slots.shape[2] + 3 * forces.shape[2]) + 3 * (t.term.n_places + 1) * t.term.n_pairs)
    step = max(1, int(block_bytes(dx.device) // (8 * numbers)))
    for start in range(span.start, span.stop, step):
        part = slice(start, min(start + step, span.stop))
        at = slice(part.start - span.start, part.stop - span.start)
        own = [dx[part][:, place] for place in t.places]
        across = dx[part].transpose(0, 1).contiguous()  # (P_all, m, 3): pairs of a column are gathered as whole rows
        for group in groups:
            out = forces[group.rows, at], None if energies is None else energies[group.rows, at]
            for there in range(t.term.n_places):
                for here in range(t.term.n_places):
                    for h in range(len(t.perms)):
                        other = other_X[group.structure, there], all_other_dx[group.structure, t.places[there]]
                        _add_group(t, (here, there, h), (X[part, here], own[here], across), other, group, *out)


def _add_group(t: ArrayTerm, image, mine, other, group: LabelGroup, forces, energies) -> None:
    """One image of the kernel between structures `mine`, x (m, P), dx (m, P, 3) and the gradients of all their pairs
    across (P_all, m, 3), and one other, (P,) and (P, 3)."""
    (here, there, h), (x, dx, across), (other_x, other_dx) = image, mine, other
    C, n_atoms = len(group.atoms), forces.shape[2]
    delta = x - other_x[t.inverse[h]]
    factors = t.term.kernel.profile((delta * delta).sum(1))
    k0, k1, k2 = (k * t.term.amplitude for k in factors)
    # J_i^T delta of every structure (m, N, 3)
    work = arrays.pull(t.pair_sets[here], dx, delta * t.weights)
    if group.energy:
        forces[C] += k1[:, None, None] * work
        if energies is not None:
            energies[C] += k0
    if C == 0:
        return
    slots = t.slots[there, group.atoms]  # (C, D) of the other structure's pairs
    u = t.signs[there, group.atoms] * t.weights[slots] * other_dx[slots, group.axes[:, None]]  # J_j, its nonzero part
    dense = x.new_zeros((C, x.shape[1])).scatter_add_(1, t.perms[h][slots], u)
    along = dense @ delta.T  # (C, m)
    if energies is not None:
        energies[:C] -= k1 * along
    # k1 J_i^T J_j: (C, N, D) coefficients times (C, D, m*3) gradients
    pairs = t.places[here][t.perms[h][slots]]
    u = u * t.weights[slots]
    first, second = t.ends[pairs, 0], t.ends[pairs, 1]
    spread = x.new_zeros((C, n_atoms, slots.shape[1]))
    spread.scatter_(1, first[:, None], u[:, None]).scatter_(1, second[:, None], -u[:, None])
    direct = torch.bmm(spread, across[pairs].view(C, slots.shape[1], -1)).view(C, n_atoms, len(x), 3)
    forces[:C] += direct.transpose(1, 2) * k1[:, None, None]
    forces[:C] -= (along * k2)[:, :, None, None] * work


def add_diagonal(t: ArrayTerm, X: "Tensor", dx: "Tensor", out: "Tensor") -> None:
    """Add to out (M, 3N+1) one term's variance of every force component and of the energy (last)."""
    n_atoms = (out.shape[1] - 1) // 3
    ends = torch.zeros((t.term.n_places, n_atoms, t.term.n_pairs), dtype=X.dtype, device=X.device)
    ends.scatter_add_(2, t.slots, t.signs)  # +1, -1: the atom is the pair's first, second
    step = max(1, int(block_bytes(dx.device) // (8 * 12 * t.term.n_pairs)))
    for start in range(0, len(X), step):
        part = slice(start, start + step)
        x, gradients = X[part], [dx[part][:, place] for place in t.places]
        for here in range(t.term.n_places):
            for there in range(t.term.n_places):
                for perm, inverse in zip(t.perms, t.inverse, strict=True):
                    delta = x[:, here] - x[:, there, inverse]
                    k0, k1, k2 = (k * t.term.amplitude for k in t.term.kernel.profile((delta * delta).sum(1)))
                    pushed = delta * t.weights
                    mine = arrays.pull(t.pair_sets[here], gradients[here], pushed)
                    theirs = arrays.pull(t.pair_sets[there], gradients[there], pushed[:, perm])
                    both = gradients[here] * gradients[there][:, inverse] * (t.weights**2)[:, None]  # (m, P, 3)
                    same = (ends[here] * ends[there][:, inverse]) @ both
                    forces = k1[:, None, None] * same - k2[:, None, None] * mine * theirs
                    out[part, :-1] += forces.view(len(x), -1)
                    out[part, -1] += k0
