"""The one place where it is chosen which code does the sums and the covariance: by device, kernel and size."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gossamer.backends.numba.backend import COMPILED
from gossamer.backends.numba.committee import CommitteeEvaluator, SpreadEvaluator
from gossamer.backends.numba.dipoles import CompiledDipoles
from gossamer.backends.numba.single import SingleEvaluator
from gossamer.backends.protocol import Backend, CovarianceBackend
from gossamer.backends.torch.backend import ARRAYS
from gossamer.backends.torch.dense import DENSE
from gossamer.descriptors import Descriptor
from gossamer.kernels import Kernel
from gossamer.model.dipoles import DipoleModel
from gossamer.model.pairs import PairSet
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch

    from gossamer.baselines import Baseline
    from gossamer.model.error_bars import ErrorBars
    from gossamer.model.force_field import ForceField


def has_compiled(kernel: Kernel, device: "torch.device") -> bool:
    """Whether compiled code may work on tensors of the device, and has the kernel."""
    return device.type == "cpu" and kernel.form is not None


def backend_of(kernel: Kernel, device: "torch.device") -> Backend:
    """What sums terms of this kernel over training rows."""
    return COMPILED if has_compiled(kernel, device) else ARRAYS


def covariance_backend(terms: Iterable[Term], pairs: Descriptor, device: "torch.device") -> CovarianceBackend:
    """What makes blocks of the covariance of all terms."""
    if not isinstance(pairs, PairSet):
        return DENSE
    return COMPILED if all(has_compiled(term.kernel, device) for term in terms) else ARRAYS


def summed_at_once(term: Term, device: "torch.device") -> bool:
    """Whether one compiled pass sums the term at many queries, with all others of which that is true."""
    return backend_of(term.kernel, device).at_once(term)


def of_one_structure(
    model: "ForceField", device: "torch.device", stored_single: tuple[bool, ...], threads: int | None
) -> "tuple[Callable[[np.ndarray], tuple[float, np.ndarray]], tuple[Baseline, ...]] | None":
    """A call for one structure (N, 3) at a time, and the model's baselines that it leaves out; None where it has to go
    as a batch of one."""
    if not isinstance(model.pairs, PairSet):
        return None
    if device.type == "cuda":
        from gossamer.backends.torch.single_cuda import GraphedEvaluator

        return GraphedEvaluator.build(model.on(str(device))).one, model.baselines
    if all(has_compiled(term.kernel, device) for term in model.terms):
        single = SingleEvaluator.build(model, stored_single, threads)
        return single, single.left_out
    return None


def of_committee(
    model: "ForceField",
    bars: "ErrorBars",
    device: "torch.device",
    stored_single: tuple[bool, ...],
    threads: int | None,
) -> CommitteeEvaluator | None:
    """A call of all the members of a model's error bars for one structure at a time; None where they have to be called
    one by one."""
    compiled = all(has_compiled(term.kernel, device) for term in model.terms)
    if device.type == "cuda" or not compiled or not isinstance(model.pairs, PairSet):
        return None
    return CommitteeEvaluator.build(model, bars, stored_single, threads)


def with_members(
    model: "ForceField", bars: "ErrorBars", single: "Callable[[np.ndarray], tuple[float, np.ndarray]]"
) -> SpreadEvaluator | None:
    """A call for one structure that gives energy, forces and the members' energies in one pass, beside the call
    `single` of `of_one_structure`; None where there is none."""
    return SpreadEvaluator.build(model, bars, single) if isinstance(single, SingleEvaluator) else None


def of_dipoles(model: DipoleModel) -> "Callable[[np.ndarray], np.ndarray]":
    """A call for dipoles (Q, 3), e*Angstrom, of few structures (Q, N, 3) at a time."""
    compiled = all(term.kernel.form is not None for term in model.terms)
    return CompiledDipoles.build(model) if compiled else model


def of_replicas(
    model: "ForceField", device: "torch.device", replicas: int | None
) -> "Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None":
    """A call for a fixed number of structures (Q, N, 3), without baselines; None where it is a batch like any other."""
    if replicas is None or device.type != "cuda" or not isinstance(model.pairs, PairSet):
        return None
    from gossamer.backends.torch.single_cuda import GraphedEvaluator

    return GraphedEvaluator.build(model.on(str(device)), replicas=replicas)
