"""`model.torch()`: the reference's numbers, which autograd can follow and torch can export."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import reference
import torch
from cases import CASES, NUMBERS, SHAPE, random_model, structures

from gossamer import kernels
from gossamer.baselines.calculator import CalculatorBaseline
from gossamer.baselines.coulomb import Coulomb
from gossamer.baselines.repulsion import Repulsion
from gossamer.errors import UsageError
from gossamer.model.model_baseline import ModelBaseline

PAIRS = np.array([(2, 3), (2, 4), (2, 5)])


def walled(case="several", **options):
    """A model on a wall that its structures touch, and with charges."""
    wall = Repulsion(NUMBERS, PAIRS, np.array([3.0, 3.2, 9.0]))
    charged = Coulomb(np.array([0.3, -0.2, -0.6, 0.1, 0.1, 0.3]), PAIRS)
    return replace(random_model(case, **options)[0], baselines=(wall, charged))


def query(n=3, seed=4):
    return torch.from_numpy(structures(n, seed=seed)).requires_grad_(True)


def close(found, wanted, tolerance=1e-10):
    wanted = np.asarray(wanted)
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize("energies", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_it_gives_the_numbers_of_the_reference(case, energies):
    model = random_model(case, energies=energies)[0]
    R = query()
    e, f = model.torch()(R)
    e_ref, f_ref = reference.predict(model, R.detach().numpy())
    close(e, e_ref)
    close(f, f_ref)
    (slope,) = torch.autograd.grad(e.sum(), R)
    close(-slope, f_ref)


def test_a_wall_and_a_model_below_are_added():
    below = walled("methyl")
    model = replace(walled(), baselines=(*walled().baselines, ModelBaseline(below)))
    R = query()
    p = model.predict(R.detach().numpy(), warn=False)
    e, f = model.torch()(R)
    for baseline in walled().baselines:
        assert np.abs(baseline(R.detach().numpy())[1]).max() > 0.1
    close(e, p.energies)
    close(f, p.forces)
    (slope,) = torch.autograd.grad(e.sum(), R)
    close(-slope, p.forces)


@pytest.mark.parametrize("name", ["matern52", "matern72", "gauss"])
def test_forces_are_differentiable(name):
    """Second derivatives of the energy are slopes of the forces."""
    model = walled("several" if name == "matern52" else name, energies=True).torch()
    R, step = query(1), 1e-5
    direction = torch.from_numpy(np.random.default_rng(3).normal(size=R.shape))
    e, f = model(R)
    (slope,) = torch.autograd.grad((f * direction).sum(), R, retain_graph=True)
    rise = (model(R + step * direction)[1] - model(R - step * direction)[1]) / (2 * step)
    close(slope, rise.detach(), 1e-6)
    (first,) = torch.autograd.grad(e.sum(), R, create_graph=True)
    (second,) = torch.autograd.grad((first * direction).sum(), R)
    close(-second, slope)


@pytest.mark.parametrize("energies", [False, True])
def test_nothing_breaks_at_a_training_structure(energies):
    model = random_model("methyl", energies=energies)[0]
    R = torch.from_numpy(structures(5, seed=0)).requires_grad_(True)
    e, f = model.torch()(R)
    (slope,) = torch.autograd.grad(e.sum(), R)
    close(-slope, f.detach(), 1e-7)
    (again,) = torch.autograd.grad(model.torch()(R)[1].sum(), R)
    assert torch.isfinite(again).all()


@pytest.mark.parametrize("n", [1, 7])
def test_what_is_exported_comes_back(tmp_path, n):
    model = walled(energies=True)
    shapes = {"positions": {0: torch.export.Dim("structures", min=1)}}
    exported = torch.export.export(model.torch(), (query(3).detach(),), dynamic_shapes=shapes)
    torch.export.save(exported, tmp_path / "m.pt2")
    loaded = torch.export.load(tmp_path / "m.pt2").module()
    R = query(n, seed=8)
    p = model.predict(R.detach().numpy(), warn=False)
    e, f = loaded(R)
    close(e, p.energies)
    close(f, p.forces)
    (slope,) = torch.autograd.grad(e.sum(), R)
    close(-slope, p.forces)


def test_state_is_in_buffers():
    module = walled().torch()
    assert not list(module.parameters())
    assert {b.dtype for b in module.buffers()} == {torch.float64, torch.int64}


@dataclass(frozen=True)
class Rational:
    """1 / (1 + s^2 / (2 length^2)), which no compiled code has."""

    length: float
    form = None
    name = "rational"

    def profile(self, s2):
        k0, c = 1 / (1 + s2 / (2 * self.length**2)), 1 / self.length**2
        return kernels.Profile(k0, c * k0**2, 2 * c**2 * k0**3)


def test_kernels_from_outside_work():
    plain = random_model("methyl")[0]
    model = replace(plain, terms=tuple(replace(t, kernel=Rational(2.0)) for t in plain.terms))
    R = query()
    e, f = model.torch()(R)
    p = model.predict(R.detach().numpy(), warn=False)
    close(e, p.energies)
    close(f, p.forces)
    (slope,) = torch.autograd.grad(e.sum(), R)
    close(-slope, p.forces, 1e-9)


def test_what_it_cannot_do_is_said():
    model = replace(random_model("methyl")[0], baselines=(CalculatorBaseline(NUMBERS, "d4"),))
    with pytest.raises(UsageError, match="torch: the baseline 'calculator' is no function of torch"):
        model.torch()
    module = random_model("methyl")[0].torch()
    for bad in (torch.from_numpy(SHAPE), torch.from_numpy(SHAPE[None, :5]), torch.from_numpy(SHAPE[None]).float()):
        with pytest.raises(UsageError, match=r"^positions: .* given, but the model needs \(structures, 6, 3\)"):
            module(bad)
