"""How much every pair matters: masking scores (Kabylda et al. 2023), exact, for whole orbits of pairs, in one pass."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.backends.kernel_sum import radial_factors
from gossamer.descriptors import dense
from gossamer.devices import resolve_device
from gossamer.errors import FitError, UsageError
from gossamer.events import Event, Progress, silent
from gossamer.model.force_field import ForceField, TermCoefficients
from gossamer.model.pairs import as_pairs
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from torch import Tensor


def masking_scores(
    model: ForceField, positions: np.ndarray, orbits: np.ndarray, *, progress: Progress = silent
) -> np.ndarray:
    """Score (P,) of every pair, eV/Angstrom: the root mean square, over structures positions (Q, N, 3) and force
    components, of the change of the model's forces when the pair's whole orbit is masked.

    Masking sets the orbit's components to zero in every training descriptor, coefficient, query and Jacobian, and takes
    its pair functions away; nothing is refitted and masks do not accumulate.  orbits (P,): orbit number of each pair,
    the same for pairs that are permutations of each other: `model.pairs.orbits(perms)`, perms (S, N) those of
    `TrainResult.symmetry`.  Raises DataError for structures whose atoms coincide, UsageError for arguments of
    other shapes, places that differ in their orbits, or a descriptor other than pairs, FitError where a score is not
    finite."""
    pairs = as_pairs(model.pairs, "masking of pairs")
    _check(positions, orbits, model.n_atoms, len(pairs))
    pairs.refuse_coincident(positions, "structures to score on")
    n_orbits = int(orbits.max()) + 1
    device = resolve_device(model.device)
    numbers = torch.as_tensor(orbits, device=device)
    terms = [_MaskedTerm.of(term, c, orbits, device) for term, c in zip(model.terms, model.coefficients, strict=True)]
    squares = torch.zeros(n_orbits, dtype=torch.float64, device=device)
    for q, structure in enumerate(positions):
        x, dx = pairs.forward(torch.from_numpy(structure[None]).to(device))
        jacobian = dense.matrices(pairs, dx)[0]
        change = squares.new_zeros((n_orbits, jacobian.shape[1]))
        for term in terms:
            term.add_force_change(x[0], jacobian, change)
        if model.functions is not None:
            slots = model.functions.slots
            _, g = model.functions.sums(x)
            change.index_add_(0, numbers[slots], -g[0, slots, None] * jacobian[slots])
        squares += (change * change).sum(1)
        if q % 10 == 9 or q + 1 == len(positions):
            progress(Event("score", q + 1, len(positions), "masking pairs"))
    scores = (model.scale**2 * squares / positions[0].size / len(positions)).sqrt()
    if not torch.all(torch.isfinite(scores)):
        raise FitError("scoring: some scores are not finite; look for exploded structures with `gossamer inspect`.")
    return scores.cpu().numpy()[orbits]


def _check(positions: np.ndarray, orbits: np.ndarray, n_atoms: int, n_pairs: int) -> None:
    """Raise UsageError for what are no structures, or no orbit of every pair."""
    if positions.ndim != 3 or positions.shape[1:] != (n_atoms, 3) or not len(positions):
        raise UsageError(f"positions: shape {positions.shape}, but (structures, {n_atoms}, 3) is needed, one at least.")
    if orbits.shape != (n_pairs,) or orbits.dtype.kind not in "iu" or orbits.min() < 0:
        raise UsageError(
            f"orbits: shape {orbits.shape} of {orbits.dtype}, but an orbit number of each of the {n_pairs} pairs is "
            "needed; model.pairs.orbits(perms) gives them."
        )


@dataclass(frozen=True, eq=False)
class _MaskedTerm:
    """A term whose slots know their orbits.  Arrays stand transposed, (P, M), so that sums over slots of an orbit are
    sums of contiguous rows."""

    term: Term
    X: "Tensor"  # (P, M)
    V: "Tensor"  # (P, M)
    w: "Tensor | None"  # (M,)
    slots: "Tensor"  # (P,) position in `present`
    present: "Tensor"  # (O,) the orbits this term sees

    @classmethod
    def of(cls, term: Term, c: TermCoefficients, orbits: np.ndarray, device: torch.device) -> "_MaskedTerm":
        per_place = orbits[term.places]
        if np.any(per_place != per_place[0]):
            raise UsageError(
                f"term {term.name!r}: its places see different pair orbits in the same slot, so no orbit can be masked "
                "alone; give orbits under the group that relates the places."
            )
        present, slots = np.unique(per_place[0], return_inverse=True)
        X, V = (torch.from_numpy(np.ascontiguousarray(a.T)).to(device) for a in (c.X, c.V))
        w = None if c.w is None else torch.from_numpy(c.w).to(device)
        return cls(term, X, V, w, torch.from_numpy(slots).to(device), torch.from_numpy(present).to(device))

    def add_force_change(self, x: "Tensor", jacobian: "Tensor", change: "Tensor") -> None:
        """change (n_orbits, 3N) += F - F_masked of this term, up to the model's scale.

        With delta = x - X_j, d2 = |delta|^2 and a = delta.V_j, masking orbit o gives d2 - sum_o delta^2 and
        a - sum_o delta V; the sums below are those of kernel_sum with these scalars, and the orbit's own pairs are
        left out when the gradient is pulled back."""
        weights = x.new_tensor(self.term.weights)[:, None]
        total = change.new_zeros((len(self.present), change.shape[1]))
        for place in self.term.places:
            for perm in self.term.perms:
                slots = torch.as_tensor(place[perm], device=x.device)
                delta = weights * x[slots, None] - self.X
                total += self._one_image(delta, jacobian[slots] * weights)
        change[self.present] += self.term.amplitude * total

    def _one_image(self, delta: "Tensor", pulled: "Tensor") -> "Tensor":
        """F - F_masked (O, 3N) of one image of the query: delta (P, M), pulled (P, 3N) = w dx/dR."""
        n_orbits, n_train = len(self.present), delta.shape[1]
        d2, a = delta * delta, delta * self.V
        gone_d2, gone_a = d2, a
        if n_orbits < len(delta):
            gone_d2 = d2.new_zeros((n_orbits, n_train)).index_add_(0, self.slots, d2)
            gone_a = a.new_zeros((n_orbits, n_train)).index_add_(0, self.slots, a)
        d2, a = d2.sum(0), a.sum(0)
        k1, k2 = self._weights(d2, a)
        masked1, masked2 = self._weights(d2 - gone_d2, a - gone_a)
        # -dE/dR with every pair, for the masked less the full scalars
        change = (masked1 - k1) @ (self.V.T @ pulled) - (masked2 - k2) @ (delta.T @ pulled)
        # the masked orbit's own pairs do not push atoms
        own = torch.linalg.vecdot(masked1[self.slots], self.V) - torch.linalg.vecdot(masked2[self.slots], delta)
        return change.index_add_(0, self.slots, own[:, None] * pulled, alpha=-1)

    def _weights(self, d2: "Tensor", a: "Tensor") -> "tuple[Tensor, Tensor]":
        """Factors of V_j and of -delta in the descriptor gradient, at scalars of shape (..., M)."""
        profile = radial_factors(self.term.kernel, d2)
        along = profile.k2.mul_(a)
        return profile.k1, along if self.w is None else along.addcmul_(profile.k1, self.w)
