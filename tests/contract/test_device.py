"""What runs on a card, run on the CPU's tensors: array-operation twins against tests/reference.py, whole trainings the
device's way, and, with tensors that hold no data, the proof that nothing on the way expects them in host memory.
The same on a real card: tests/gpu/."""

import numpy as np
import pytest
import reference
import torch
from cases import CASES, NUMBERS, arrays, dense, random_model, structures
from torch.utils._python_dispatch import TorchDispatchMode

from gossamer import devices as device
from gossamer.backends.kernel_sum import kernel_sum
from gossamer.backends.torch.single_cuda import DeviceForceField
from gossamer.errors import UsageError
from gossamer.fitting.operator import KernelOperator
from gossamer.fitting.preconditioners import pivoted_cholesky
from gossamer.fitting.resources import GIB, memory_budget
from gossamer.reduction.relevance import masking_scores

BOTH = pytest.mark.parametrize("energies", [False, True])
EVERY = pytest.mark.parametrize("case", CASES)


def close(a, b, rtol=1e-12):
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())


@pytest.fixture
def as_on_card(monkeypatch):
    """Tensors are treated as if they were on a card."""
    monkeypatch.setattr("gossamer.backends.choice.has_compiled", lambda kernel, device: False)
    monkeypatch.setattr("gossamer.model.pairs.on_host", lambda tensor: False)


@pytest.fixture
def no_host(as_on_card, monkeypatch):
    """As `as_on_card`, and tensors that were not copied to the host refuse `.numpy()`."""
    numpy, cpu = torch.Tensor.numpy, torch.Tensor.cpu

    class OnHost(torch.Tensor):
        pass

    def guarded(tensor):
        assert isinstance(tensor, OnHost), "a tensor on the device was used as a numpy array"
        return numpy(tensor.as_subclass(torch.Tensor))

    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: cpu(tensor).as_subclass(OnHost))
    monkeypatch.setattr(torch.Tensor, "numpy", guarded)
    return guarded


def operator(case, energies=False, n=4, where="cpu"):
    pairs, terms = CASES[case]()
    R = torch.from_numpy(structures(n)).to(where)
    return KernelOperator.build(terms, pairs, R, 1e-3, energies=energies)


@EVERY
@BOTH
@pytest.mark.parametrize("block", [1, 10_000, 10**9])
def test_columns_and_diagonal_are_the_reference(as_on_card, monkeypatch, case, energies, block):
    for module in ("gossamer.backends.torch.covariance", "gossamer.descriptors.arrays"):
        monkeypatch.setattr(f"{module}.block_bytes", lambda device: block)
    K = operator(case, energies)
    expected = reference.covariance_matrix(K.terms, K.pairs.pairs, structures(4), energies)
    chosen = np.array([7, 2, 40, 3, K.size - 1, 18, 19, K.size - 2])
    spans = [range(0, 3), range(3, 4)]
    for span, rows in zip(spans, K.covariance.columns(chosen, spans), strict=True):
        labels = np.arange(18 * span.start, 18 * span.stop)
        labels = np.append(labels, 72 + np.array(span)) if energies else labels
        close(rows.numpy(), expected[np.ix_(chosen, labels)])
    (whole,) = K.covariance.columns(np.arange(K.size), [range(4)])
    close(whole.numpy(), expected)
    close(K.diagonal().numpy(), np.diag(expected))


@EVERY
@BOTH
def test_product_the_devices_way_is_the_dense_covariance(no_host, case, energies):
    K = operator(case, energies)
    v = torch.from_numpy(np.random.default_rng(3).normal(size=K.size))
    expected = reference.covariance_matrix(K.terms, K.pairs.pairs, structures(4), energies) + 1e-3 * np.eye(K.size)
    close((K @ v).cpu().numpy(), expected @ v.cpu().numpy(), 1e-11)
    close(dense(K), expected)


@EVERY
def test_prediction_the_devices_way_is_the_reference(no_host, case):
    model, _, _ = random_model(case, energies=True)
    query = structures(4, seed=9)
    e, f = arrays(model.predict(query))
    e_ref, f_ref = reference.predict(model, query)
    close(e, e_ref, 1e-9)
    close(f, f_ref, 1e-9)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@BOTH
def test_training_the_devices_way_gives_the_same_model(request, ethanol_file, solver, energies):
    import gossamer as gs
    from gossamer.fitting.workflow import fit

    data = gs.read(ethanol_file)
    train, valid, test = data.split(15, 10, 20, seed=0)
    options = {
        "terms": "global",
        "solver": solver,
        "energies": energies,
        "length": 20.0,
        "relative_noise": 1e-5,
        "device": "cpu",
    }
    host = fit(train, valid, **options).model
    expected, host_scores = host.predict(test.positions), masking_scores(host, test.positions[:3], np.arange(36))
    request.getfixturevalue("no_host")
    model = fit(train, valid, **options).model
    found = model.predict(test.positions)
    close(found.forces, expected.forces, 1e-6 if solver == "cg" else 1e-8)
    close(masking_scores(model, test.positions[:3], np.arange(36)), host_scores, 1e-5)


def test_the_host_guard_bites(no_host):
    with pytest.raises(AssertionError):
        torch.zeros(3).numpy()
    np.testing.assert_array_equal(torch.zeros(3).cpu().numpy(), 0)


@EVERY
@BOTH
def test_nothing_expects_data_in_host_memory(case, energies):
    K = operator(case, energies, where="meta")
    assert (K @ torch.empty(K.size, dtype=torch.float64, device="meta")).shape == (K.size,)
    assert K.columns(np.array([7, 2, 40, K.size - 1])).shape == (K.size, 4)
    assert K.diagonal().shape == (K.size,)
    C = K.covariance
    for term, rows, (V, w) in zip(K.terms, C.right.rows, C.coefficients(K.diagonal()), strict=True):
        e, g = kernel_sum(term.kernel, rows.centred, rows, V, w, images=term.perms)
        assert e.device == g.device == C.left.dx.device


def test_pivots_may_be_drawn_on_a_device(no_host):
    K = operator("methyl")
    factor, _ = pivoted_cholesky(K, K.size, seed=0)
    F = torch.cat(factor, 1)
    close((F.T @ F).cpu().numpy(), dense(K) - 1e-3 * np.eye(K.size), 1e-8)


@EVERY
@BOTH
def test_a_step_on_a_device_is_the_reference(as_on_card, case, energies):
    model, _, _ = random_model(case, energies=energies)
    step = DeviceForceField.build(model, torch.device("cpu"))
    query = structures(3, seed=9)
    for part in (query[:1], query):
        e, f, nearest = step(torch.from_numpy(part))
        e_ref, f_ref = reference.predict(model, part)
        close(e.numpy(), e_ref, 1e-10)
        close(f.numpy(), f_ref, 1e-10)
        i, j = model.pairs.pairs.T
        assert float(nearest) == pytest.approx(1 / np.linalg.norm(part[:, i] - part[:, j], axis=-1).min())


class Recorder(TorchDispatchMode):
    """Names of the operations that run."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.add(func.__name__.split(".")[0])
        return func(*args, **(kwargs or {}))


COPIES_AND_WAITS = {"_to_copy", "lift_fresh", "_local_scalar_dense", "nonzero", "item"}


@EVERY
def test_a_step_can_be_captured(as_on_card, case):
    model, _, _ = random_model(case, energies=True)
    step = DeviceForceField.build(model, torch.device("cpu"))
    positions = torch.from_numpy(structures(2))
    with Recorder() as recorder:
        step(positions)
    assert "mm" in recorder.seen or "addmm" in recorder.seen
    assert not recorder.seen & COPIES_AND_WAITS
    with Recorder() as recorder:  # the eager path makes its index tables anew, and could not be captured
        model.evaluator().descriptor_sums(model.pairs.forward(positions)[0])
    assert recorder.seen & COPIES_AND_WAITS


@EVERY
def test_a_step_reads_nothing_in_host_memory(case):
    model, _, _ = random_model(case, energies=True)
    step = DeviceForceField.build(model, torch.device("meta"))
    e, f, _ = step(torch.empty((2, 6, 3), dtype=torch.float64, device="meta"))
    assert e.shape == (2,)
    assert f.shape == (2, 6, 3)


def test_names_of_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.resolve_device("auto").type == device.resolve_device("cpu").type == "cpu"
    for name in ("cuda", "cuda:0"):
        with pytest.raises(UsageError, match="finds no CUDA card; use cpu"):
            device.resolve_device(name)
    for name in ("tpu", "", "cuda:one", "mps"):
        with pytest.raises(UsageError, match="use auto, cpu or cuda"):
            device.resolve_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device.resolve_device("auto").type == device.resolve_device("cuda:0").type == "cuda"
    with pytest.raises(UsageError, match="there are 1"):
        device.resolve_device("cuda:1")


def test_the_memory_of_a_card_is_what_counts_there(monkeypatch):
    card = torch.device("cuda:0")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda d: (10 * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda d: 6 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda d: 4 * GIB)
    assert memory_budget(None, card) == pytest.approx(0.7 * 80 * GIB / 8)  # the largest of 56, 28, ... that is free
    assert memory_budget(3.0, card) == 3 * GIB
    assert device.block_bytes(card) == pytest.approx(12 * GIB / 16)
    assert device.block_bytes(torch.device("cpu")) == device.BLOCK_BYTES


def test_a_model_moves_and_its_file_does_not_say_where(tmp_path):
    import gossamer as gs

    model, _, _ = random_model("methyl")
    assert model.on("cpu").device == "cpu"
    elsewhere = gs.load(model.save(tmp_path / "m.gossamer"))
    assert elsewhere.device == "cpu"
    np.testing.assert_array_equal(elsewhere.numbers, NUMBERS)
    with pytest.raises(UsageError, match="device: 'nowhere'"):
        model.on("nowhere")
