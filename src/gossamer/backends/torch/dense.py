"""The covariance of features of any kind, whose Jacobians are matrices here: the generic form of what `covariance` and
the compiled loops do for pairs, by the same equations (docs/theory.md, covariance of the labels).

A term's features at a place have the weighted Jacobian J (P, 3N), left and right:
force-force  J_i^T [k1 I - k2 delta delta^T] J_j,  force-energy  k1 J_i^T delta,  energy-energy  k0."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from gossamer.backends.protocol import ChosenLabels, Structures
from gossamer.backends.torch.covariance import LabelGroup, triangle_by_columns
from gossamer.descriptors import Descriptor
from gossamer.descriptors.dense import matrices
from gossamer.devices import block_bytes
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from torch import Tensor


class _Side(NamedTuple):
    """A term's features at one place of m structures: x (m, P), and J (P, m, 3N)."""

    x: "Tensor"
    J: "Tensor"

    @classmethod
    def all_of(cls, term: Term, x: "Tensor", J: "Tensor") -> "list[_Side]":
        """Place by place, from x (m, L, P) and the molecule's Jacobian J (m, P_all, 3N)."""
        weights = J.new_tensor(term.weights)[:, None, None]
        return [
            cls(x[:, m], (J[:, place].transpose(0, 1) * weights).contiguous()) for m, place in enumerate(term.places)
        ]


@dataclass(frozen=True, eq=False)
class DenseBackend:
    """See backends.protocol: blocks of the covariance for a descriptor without loops of its own."""

    def columns(
        self,
        terms: tuple[Term, ...],
        pairs: Descriptor,
        left: Structures,
        right: Structures,
        labels: ChosenLabels,
        spans: Sequence[range],
        energies: bool,
    ) -> "Iterator[Tensor]":
        groups = LabelGroup.of(labels, pairs.n_atoms, left.dx.device)
        sides = list(zip(terms, left.places(terms), right.places(terms), strict=True))
        step = max(1, int(block_bytes(left.dx.device) // (8 * 6 * len(pairs) * 3 * pairs.n_atoms)))
        for span in spans:
            forces = left.dx.new_zeros((len(labels.order), len(span), 3 * pairs.n_atoms))
            kept = left.dx.new_zeros((len(labels.order), len(span) if energies else 0))
            for start in range(0, len(span), step):
                part = slice(span.start + start, min(span.start + start + step, span.stop))
                J, out = matrices(pairs, left.dx[part]), (forces[:, start:][:, :step], kept[:, start:][:, :step])
                for term, X, other in sides:
                    mine = _Side.all_of(term, X[part], J)
                    for group in groups:
                        one = slice(group.structure, group.structure + 1)
                        theirs = _Side.all_of(term, other[one], matrices(pairs, right.dx[one]))
                        _add_group(term, mine, theirs, group, *out)
            rows = torch.cat([forces.flatten(1), kept], 1)
            yield rows if labels.in_order else rows[labels.order.argsort()]

    def diagonal(self, terms: tuple[Term, ...], pairs: Descriptor, structures: Structures) -> "Tensor":
        out = structures.dx.new_zeros((structures.n, 3 * pairs.n_atoms + 1))
        step = max(1, int(block_bytes(out.device) // (8 * 6 * len(pairs) * 3 * pairs.n_atoms)))
        for term, X in zip(terms, structures.places(terms), strict=True):
            for start in range(0, structures.n, step):
                part = slice(start, start + step)
                _add_variances(term, _Side.all_of(term, X[part], matrices(pairs, structures.dx[part])), out[part])
        return out

    def lower_triangle(
        self, terms: tuple[Term, ...], pairs: Descriptor, structures: Structures, energies: bool
    ) -> "Tensor":
        return triangle_by_columns(self.columns, terms, pairs, structures, energies)


DENSE = DenseBackend()


def _add_group(
    term: Term, mine: list[_Side], theirs: list[_Side], group: LabelGroup, forces: "Tensor", energies: "Tensor"
) -> None:
    """Add to forces (C, m, 3N) and energies (C, m), or (C, 0) where they are not wanted, the covariance of a group's
    labels, of the one structure of `theirs`, with those of the m structures of `mine`."""
    forces, energies = forces[group.rows], energies[group.rows]
    components, C = 3 * group.atoms + group.axes, len(group.atoms)
    for here in mine:
        by_feature = here.J.flatten(1)
        for there in theirs:
            rows = there.J[:, 0, components].T  # (C, P)
            for inverse in term.inverse_perms:
                delta = here.x - there.x[:, inverse]
                k0, k1, k2 = (k * term.amplitude for k in term.kernel.profile((delta * delta).sum(1)))
                work = torch.einsum("mp,pma->ma", delta, here.J)
                along = rows[:, inverse] @ delta.T
                forces[:C] += k1[:, None] * (rows[:, inverse] @ by_feature).view(C, *work.shape)
                forces[:C] -= (along * k2)[..., None] * work
                forces[C:] += k1[:, None] * work  # the group's energy, where it has one
                if energies.shape[1]:
                    energies[:C] -= k1 * along
                    energies[C:] += k0


def _add_variances(term: Term, sides: list[_Side], out: "Tensor") -> None:
    """Add to out (m, 3N+1) the variance of every force component and of the energy (last)."""
    for here in sides:
        for there in sides:
            for inverse in term.inverse_perms:
                delta, other = here.x - there.x[:, inverse], there.J[inverse]
                k0, k1, k2 = (k * term.amplitude for k in term.kernel.profile((delta * delta).sum(1)))
                mine, theirs = (torch.einsum("mp,pma->ma", delta, J) for J in (here.J, other))
                out[:, :-1] += k1[:, None] * (here.J * other).sum(0) - k2[:, None] * mine * theirs
                out[:, -1] += k0
