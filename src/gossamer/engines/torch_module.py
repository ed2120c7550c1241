"""A force field as a torch module: for engines that load exported programs, and for people who differentiate further.

Plain operations of torch in the notation of docs/theory.md (Kernel sum), held to the reference by a test.  Nothing is
looked at but shapes, so that `torch.export` can follow: atoms that coincide give infinite numbers here, and structures
unlike the training structures give no warning."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from gossamer.backends.rows import centre_of
from gossamer.baselines.coulomb import Coulomb
from gossamer.baselines.repulsion import Repulsion
from gossamer.baselines.screening import RATES, SHARES, SMEARED
from gossamer.descriptors import Descriptor, dense
from gossamer.descriptors.arrays import inverse_distance
from gossamer.displacements import displacements
from gossamer.errors import UsageError
from gossamer.kernels import NEAREST, Kernel, Profile
from gossamer.kernels.radial import exponent, polynomials
from gossamer.model.features import FeatureSet
from gossamer.model.model_baseline import ModelBaseline
from gossamer.model.pairs import PairSet, as_pairs
from gossamer.switching import falling

if TYPE_CHECKING:
    from gossamer.baselines import Baseline
    from gossamer.model.force_field import ForceField, TermCoefficients
    from gossamer.model.pair_functions import PairFunctions
    from gossamer.model.terms import Term


class ForceFieldModule(nn.Module):
    """Energies (Q,), eV, and forces (Q, N, 3), eV/Angstrom, of positions (Q, N, 3), Angstrom, float64.

    Both are functions of the positions that autograd can follow: minus the gradient of an energy is its forces.  Raises
    UsageError for a baseline that is a calculator, and for positions of another shape or precision."""

    def __init__(self, model: "ForceField") -> None:
        super().__init__()
        self.n_atoms, self.constant, self.scale = model.n_atoms, float(model.constant), float(model.scale)
        self.descriptor = _descriptor_module(model.pairs)
        sides = zip(model.terms, model.coefficients, strict=True)
        self.terms = nn.ModuleList(_TermModule(term, c) for term, c in sides)
        if model.functions is not None:
            self.terms.append(_FunctionsModule(model.functions))
        self.baselines = nn.ModuleList(_module_of(baseline) for baseline in model.baselines)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        if positions.dim() != 3 or positions.shape[1:] != (self.n_atoms, 3) or positions.dtype != torch.float64:
            raise UsageError(
                f"positions: {tuple(positions.shape)} of {positions.dtype} given, but the model needs "
                f"(structures, {self.n_atoms}, 3) of torch.float64."
            )
        x, dx = self.descriptor(positions)
        sums, slopes = torch.zeros_like(x[:, 0]), torch.zeros_like(x)
        for term in self.terms:
            e, g = term(x)
            sums, slopes = sums + e, slopes + g
        energies = self.constant + self.scale * sums
        forces = -self.scale * self.descriptor.pull(dx, slopes)
        for baseline in self.baselines:
            e, f = baseline(positions)
            energies, forces = energies + e, forces + f
        return energies, forces


class _PairsModule(nn.Module):
    """A PairSet: inverse distances of positions (Q, N, 3), and their gradients by the first atoms."""

    i: Tensor
    j: Tensor

    def __init__(self, pairs: PairSet) -> None:
        super().__init__()
        self.n_atoms = pairs.n_atoms
        _keep_ends(self, pairs.pairs)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        return inverse_distance(displacements(positions, self.i, self.j))

    def pull(self, dx: Tensor, g: Tensor) -> Tensor:
        """(dx/dR)^T g."""
        return _on_atoms(self, g[..., None] * dx, dx.new_zeros((dx.shape[0], self.n_atoms, 3)))


class _FeaturesModule(nn.Module):
    """A FeatureSet: features of positions (Q, N, 3), and their gradients by their atoms."""

    incidence: Tensor

    def __init__(self, features: FeatureSet) -> None:
        super().__init__()
        self.features = tuple(part.feature for part in features.parts)
        for k, part in enumerate(features.parts):
            self.register_buffer(f"atoms{k}", torch.from_numpy(np.array(part.atoms)))
        self.register_buffer("incidence", torch.from_numpy(features.incidence))

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        parts = [(feature, getattr(self, f"atoms{k}")) for k, feature in enumerate(self.features)]
        return dense.forward(parts, positions)

    def pull(self, dx: Tensor, g: Tensor) -> Tensor:
        """(dx/dR)^T g."""
        return dense.pull(self.incidence, dx, g)


class _TermModule(nn.Module):
    """Sum over the training rows of one term: energies (Q,) and dE/dx (Q, P) of descriptors x (Q, P) of all pairs."""

    places: Tensor
    perms: Tensor
    inverse: Tensor
    weights: Tensor
    shift: Tensor
    X: Tensor
    V: Tensor
    w: Tensor | None

    def __init__(self, term: "Term", c: "TermCoefficients") -> None:
        super().__init__()
        self.kernel, self.amplitude = term.kernel, term.amplitude
        shift = centre_of(c.X, term.perms)
        named = {
            "places": term.places, "perms": term.perms, "inverse": term.inverse_perms, "weights": term.weights,
            "shift": shift, "X": c.X - shift, "V": c.V, "w": c.w,
        }  # fmt: skip
        for name, values in named.items():
            self.register_buffer(name, None if values is None else torch.from_numpy(np.array(values)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        n_places, n_slots = self.places.shape
        rows = (x[:, self.places] * self.weights).reshape(-1, n_slots)
        y = (rows[:, self.perms] - self.shift).reshape(-1, n_slots)
        s2 = (y * y).sum(1)[:, None] + (self.X * self.X).sum(1) - 2 * y @ self.X.T
        k0, k1, k2 = differentiable_profile(self.kernel, s2)
        a = y @ self.V.T - (self.X * self.V).sum(1)
        energies, along = (k1 * a).sum(1), k2 * a
        if self.w is not None:
            energies, along = energies + k0 @ self.w, along + k1 * self.w
        g = k1 @ self.V + along @ self.X - along.sum(1)[:, None] * y
        g = g.reshape(-1, *self.perms.shape)
        g = g.gather(2, self.inverse.expand_as(g)).sum(1) * self.weights
        g = g.reshape(-1, n_places * n_slots)
        slopes = torch.zeros_like(x).index_add(1, self.places.reshape(-1), g)
        per_structure = n_places * self.perms.shape[0]
        return self.amplitude * energies.reshape(-1, per_structure).sum(1), self.amplitude * slopes


class _FunctionsModule(nn.Module):
    """Pair functions: energies (Q,) and dE/dx (Q, P) of descriptors x (Q, P) of all pairs."""

    slots: Tensor
    c: Tensor
    offsets: Tensor

    def __init__(self, functions: "PairFunctions") -> None:
        super().__init__()
        assert functions.coefficients is not None
        self.basis = functions.basis
        by_pair = functions.coefficients[functions.classes]
        named = {"slots": functions.slots, "c": by_pair, "offsets": functions.basis.offsets}
        for name, values in named.items():
            self.register_buffer(name, torch.from_numpy(np.array(values)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        energies, slopes = self.basis.summed(x[:, self.slots], self.c, self.offsets)
        return energies, torch.zeros_like(x).index_add(1, self.slots, slopes)


class _RepulsionModule(nn.Module):
    """`Repulsion` in operations of torch."""

    i: Tensor
    j: Tensor
    charges: Tensor
    inverse_length: Tensor
    inner: Tensor
    outer: Tensor

    def __init__(self, wall: Repulsion) -> None:
        super().__init__()
        _keep_ends(self, wall.pairs)
        for name, values in wall.reach._asdict().items():
            self.register_buffer(name, torch.from_numpy(np.array(values)))

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        d = displacements(positions, self.i, self.j)
        r = (d * d).sum(-1).sqrt()
        parts = [share * torch.exp(-rate * r * self.inverse_length) for share, rate in zip(SHARES, RATES, strict=True)]
        bare = self.charges / r
        v = bare * sum(parts[1:], parts[0])
        rates = sum((rate * part for rate, part in zip(RATES[1:], parts[1:], strict=True)), RATES[0] * parts[0])
        slope = -v / r - bare * self.inverse_length * rates
        width = self.outer - self.inner
        fall, by_t = falling(((r - self.inner) / width).clamp(0, 1))
        slope = slope * fall + v * by_t / width
        return (v * fall).sum(1), _on_atoms(self, (-slope / r)[..., None] * d, torch.zeros_like(positions))


class _CoulombModule(nn.Module):
    """`Coulomb` in operations of torch."""

    i: Tensor
    j: Tensor
    strengths: Tensor

    def __init__(self, charged: Coulomb) -> None:
        super().__init__()
        _keep_ends(self, charged.pairs)
        self.register_buffer("strengths", torch.from_numpy(np.array(charged.strengths)))

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        d = displacements(positions, self.i, self.j)
        r2 = (d * d).sum(-1)
        r = r2.sqrt()
        v = self.strengths * torch.erf(r / SMEARED) / r
        steep = self.strengths * (2 / (math.sqrt(math.pi) * SMEARED)) * torch.exp(-r2 / SMEARED**2)
        return v.sum(1), _on_atoms(self, ((v - steep) / r2)[..., None] * d, torch.zeros_like(positions))


def differentiable_profile(kernel: Kernel, s2: Tensor) -> Profile:
    """`kernel.profile`, by operations whose gradient autograd finds, at s = 0 as well.  A kernel that is not of the
    form of `radial` has to be made of such operations itself."""
    s2 = s2.clamp_min(NEAREST)
    if kernel.form is None:
        return kernel.profile(s2)
    order, rate, norm = kernel.form
    q = s2.sqrt() * rate
    decay = exponent(q, order).exp() * norm
    low, middle, high = polynomials(1.0, q, order)
    return Profile(high * decay, middle * decay * rate**2, low * decay * rate**4)


def _descriptor_module(descriptor: Descriptor) -> "_PairsModule | _FeaturesModule":
    if isinstance(descriptor, FeatureSet):
        return _FeaturesModule(descriptor)
    return _PairsModule(as_pairs(descriptor, "torch: the module"))


def _module_of(baseline: "Baseline") -> nn.Module:
    if isinstance(baseline, Repulsion):
        return _RepulsionModule(baseline)
    if isinstance(baseline, Coulomb):
        return _CoulombModule(baseline)
    if isinstance(baseline, ModelBaseline):
        return ForceFieldModule(baseline.model)
    raise UsageError(
        f"torch: the baseline {baseline.kind!r} is no function of torch; train with baseline "
        "'repulsion', 'coulomb', 'none' or a model."
    )


def _keep_ends(module: nn.Module, pairs: np.ndarray) -> None:
    """Pairs (P, 2) as the buffers i and j."""
    for name, ends in zip("ij", pairs.T, strict=True):
        module.register_buffer(name, torch.from_numpy(np.array(ends)))


def _on_atoms(module: "_PairsModule | _RepulsionModule | _CoulombModule", pulls: Tensor, nothing: Tensor) -> Tensor:
    """Forces (Q, N, 3), `nothing` to begin with, of what pulls (Q, P, 3) the first atom of every pair, and pushes its
    second."""
    return nothing.index_add(1, module.i, pulls).index_add(1, module.j, -pulls)
