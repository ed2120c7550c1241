"""Learning what a model looks at: the weight of every pair, the amplitude of every term and of every pair function, and
the noise, by the gradient of a force error on structures held out.

With K the covariance of the structures fitted to, C that between the others and them, a = (K + noise)^-1 y and r = C
a - y', the mean square L of r changes as   dL = 2/n' [ r' dC a - b' d(K + noise) a ],   b = (K + noise)^-1 C' r,
so that a gradient costs one factorisation and two bilinear forms per term (Chapelle, Vapnik, Bousquet & Mukherjee
2002).
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from gossamer.backends.kernel_sum import radial_factors
from gossamer.backends.protocol import Structures
from gossamer.backends.rows import TrainingRows, permuted_rows, squared_distances
from gossamer.data.dataset import Dataset
from gossamer.errors import FitError, MemoryBudgetError
from gossamer.events import Event, Progress, silent
from gossamer.fitting.covariance import Covariance
from gossamer.fitting.dense import BLOCK, factorise, solve
from gossamer.fitting.makeup import Makeup
from gossamer.fitting.resources import GIB, RESERVE
from gossamer.model.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

FEW_UNKNOWNS, FEW_STRUCTURES, MOST_UNKNOWNS = 4000, 30, 5000
LEAST_STRUCTURES = 10
SMOOTH = 5  # steps over which the held-out error is averaged, since every step draws other structures


@dataclass(frozen=True)
class LearningRule:
    """How long to learn, and on how much.

    steps of Adam (Kingma & Ba 2015), the rate falling to zero along a cosine.  Every step draws its structures anew,
    one half to fit to and one to judge by, `structures` each; None: as many as without a limit of memory."""

    steps: int = 60
    rate: float = 0.15
    seed: int = 0
    structures: int | None = None


@dataclass(frozen=True, eq=False)
class Learned:
    """made: with learned weights, amplitudes and variances; noise over the mean prior variance of a force component;
    history of the held-out force RMSE, eV/Angstrom, one entry for every step that could be solved."""

    made: Makeup
    relative_noise: float
    history: tuple[float, ...]

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learned, as arrays that a journal keeps."""
        terms, functions = self.made.terms, self.made.functions
        found = {f"weights {t}": term.weights for t, term in enumerate(terms)}
        found["amplitudes"] = np.array([term.amplitude for term in terms])
        if functions is not None:
            found["variances"] = functions.variances
        return found | {"relative noise": np.array([self.relative_noise]), "history": np.array(self.history)}

    @classmethod
    def of(cls, made: Makeup, arrays: dict[str, np.ndarray]) -> "Learned":
        """What learning from `made` gave, from its arrays."""
        learned = tuple(
            replace(term, weights=arrays[f"weights {t}"], amplitude=float(arrays["amplitudes"][t]))
            for t, term in enumerate(made.terms)
        )
        functions = made.functions
        if functions is not None:
            functions = replace(functions, variances=arrays["variances"])
        made = replace(made, terms=learned, functions=functions)
        return cls(made, float(arrays["relative noise"][0]), tuple(arrays["history"].tolist()))


def learn_terms(
    made: Makeup,
    data: Dataset,
    relative_noise: float,
    rule: LearningRule,
    *,
    progress: Progress = silent,
) -> Learned:
    """`made` with weights, amplitudes, variances and noise that predict held-out structures of `data` best.

    Slots of one orbit must follow one weight.  relative_noise: to begin with, over the mean prior variance of a force
    component.  Raises FitError when no step can be solved."""
    rng = np.random.default_rng(rule.seed)
    size = rule.structures or learning_structures(made.terms, len(data), data.n_atoms)
    scale = float(data.labelled_forces().std())
    noise = relative_noise * made.mean_variance(data.positions[:1])
    here = np.zeros(count_of_factors(made) + 1)
    adam = _Adam(rule, len(here))
    history: list[float] = []
    best, chosen = float("inf"), here
    for step in range(rule.steps):
        drawn = rng.permutation(len(data))[: 2 * size]
        fitted, judged = (data.take(np.sort(part)) for part in (drawn[:size], drawn[size:]))
        now = with_factors(made, here)
        try:
            mse, gradient = held_out(now, fitted, judged, scale, noise * np.exp(here[-1]))
        except FitError:  # too little noise: ask for more, and go on
            here = here + np.append(np.zeros(len(here) - 1), np.log(10.0))
            continue
        history.append(scale * mse**0.5)
        progress(Event("learn", step + 1, rule.steps, "pair weights", {"held out": history[-1]}))
        recent = float(np.mean(history[-SMOOTH:]))
        if recent < best:
            best, chosen = recent, here
        here = here - adam.step(gradient / (2 * mse))
    if not history:
        raise FitError("learning: no step could be solved; check the labels with `gossamer inspect`.")
    learned = with_factors(made, chosen)
    relative = noise * np.exp(chosen[-1]) / learned.mean_variance(data.positions[:1])
    return Learned(learned, float(relative), tuple(history))


def learning_structures(terms: tuple[Term, ...], n_train: int, n_atoms: int, budget: float = float("inf")) -> int:
    """How many structures one step fits to, and judges by: FEW_UNKNOWNS force components, or more if those are fewer
    than FEW_STRUCTURES, but never more than MOST_UNKNOWNS, nor than fit the budget, bytes of the process.

    Raises MemoryBudgetError where fewer than LEAST_STRUCTURES would fit."""
    wanted = max(FEW_UNKNOWNS // (3 * n_atoms), FEW_STRUCTURES)
    most = max(1, min(wanted, MOST_UNKNOWNS // (3 * n_atoms), n_train // 2))
    least = min(most, LEAST_STRUCTURES)
    for size in range(most, least - 1, -1):
        if learning_bytes(terms, n_atoms, size) <= budget:
            return size
    raise MemoryBudgetError(
        f"memory: learning pair weights needs {learning_bytes(terms, n_atoms, least) / GIB:.3g} GiB in each process, "
        f"but the budget is {budget / GIB:.3g} GiB; give more with --memory, or use --terms global."
    )


def learning_bytes(terms: tuple[Term, ...], n_atoms: int, n_structures: int) -> float:
    """Peak memory of a process in a step on so many structures: the matrix with the temporaries of its factorisation,
    and nine arrays of radial factors of the largest term (`bilinear_gradient`)."""
    n = 3 * n_atoms * n_structures
    factors = max(len(term.perms) * (term.n_places * n_structures) ** 2 for term in terms)
    return RESERVE + 8.0 * n * (n + 4 * BLOCK) + 8.0 * 9 * factors


def held_out(made: Makeup, fitted: Dataset, judged: Dataset, scale: float, noise: float) -> tuple[float, np.ndarray]:
    """Mean square error of the forces of `judged`, over scale^2, when `fitted` is fitted to, and its gradient by the
    logarithms of the groups' weights, of the amplitudes, of the pair functions' variances, and of the noise."""
    terms, pairs, functions = made.terms, made.pairs, made.functions
    there, apart = (Structures.of(terms, pairs, torch.from_numpy(part.positions)) for part in (fitted, judged))
    K = Covariance.of(terms, pairs, there, there, functions=functions)
    C = Covariance.of(terms, pairs, apart, there, functions=functions)
    factor = K.lower_triangle()
    factor.diagonal().add_(noise)
    failed = factorise(factor)
    if failed:
        raise FitError(f"noise: {noise:g} is too small to learn with; raise --noise tenfold.")
    y, wanted = (torch.from_numpy(part.labelled_forces() / scale).reshape(-1) for part in (fitted, judged))
    a = solve(factor, y)
    r = C @ a - wanted
    back = C.T
    b = solve(factor, back @ r)
    by_weight, by_amplitude = [], []
    sides = zip(terms, made.groups, there.rows, K.coefficients(a), K.coefficients(b), back.coefficients(r), strict=True)
    for t, (term, group, rows, (V, _), (at_b, _), (at_r, _)) in enumerate(sides):
        slots, value = bilinear_gradient(term, C.queries[t], at_r, rows, V)
        less, value_b = bilinear_gradient(term, K.queries[t], at_b, rows, V)
        by_weight.append(np.bincount(group, slots - less))
        by_amplitude.append(value - value_b)
    by_variance = np.zeros(0)
    if functions is not None:
        by_a, by_b, by_r = (c.function_coefficients(v) for c, v in ((K, a), (K, b), (back, r)))
        by_variance = ((by_r - by_b) * by_a).sum(1).numpy() / functions.variances
    by_noise = -noise * float(b @ a)
    gradient = np.concatenate([*by_weight, by_amplitude, by_variance, [by_noise]])
    return float((r * r).mean()), gradient * 2 / r.numel()


def bilinear_gradient(
    term: Term, queries: "Tensor", U: "Tensor", rows: TrainingRows, V: "Tensor"
) -> tuple[np.ndarray, float]:
    """B = u' K_t v for the pushed coefficients U (Q, P) of centred queries (Q, P) and V (M, P) of `rows`, and its
    gradient (P,) by the logarithms of the slots' weights.

    B = sum_ij k1 U_i.V_j - k2 alpha beta,  alpha = U_i.delta, beta = delta.V_j;  x, U and V all carry the weights, so
    dB/dlog w = 2 sum_ij [ k1 U V + (k3 alpha beta - k2 U.V) delta^2 / 2 - k2 delta (U beta + V alpha) ]  slot by
    slot."""
    X, x, U = rows.centred, permuted_rows(queries, term.perms), permuted_rows(U, term.perms)
    s2 = squared_distances(x, rows)
    _, k1, k2 = radial_factors(term.kernel, s2)
    k3 = term.kernel.third(s2)
    uv = U @ V.T
    alpha = (U * x).sum(1)[:, None] - U @ X.T
    beta = x @ V.T - (X * V).sum(1)
    value = (k1 * uv).sum() - (k2 * alpha * beta).sum()
    curved = (k3.mul_(alpha).mul_(beta) - k2 * uv) / 2
    alpha *= k2
    beta *= k2
    slots = (U * (k1 @ V)).sum(0)
    slots += curved.sum(1) @ (x * x) + curved.sum(0) @ (X * X) - 2 * (x * (curved @ X)).sum(0)
    slots -= (U * (beta.sum(1)[:, None] * x - beta @ X)).sum(0)
    slots -= (V * (alpha.T @ x - alpha.sum(0)[:, None] * X)).sum(0)
    return 2 * term.amplitude * slots.numpy(), term.amplitude * float(value)


def count_of_factors(made: Makeup) -> int:
    """How many weights, amplitudes and variances there are to learn."""
    classes = 0 if made.functions is None else len(made.functions.names)
    return sum(int(group.max()) + 1 for group in made.groups) + len(made.terms) + classes


def with_factors(made: Makeup, here: np.ndarray) -> Makeup:
    """With weights, amplitudes and variances multiplied by the exponentials of `here`, in this order; what follows
    there, the noise, is left alone."""
    factors = np.exp(here)
    amplitudes = sum(int(group.max()) + 1 for group in made.groups)
    moved, start = [], 0
    for t, (term, group) in enumerate(zip(made.terms, made.groups, strict=True)):
        own, amplitude = factors[start + group], term.amplitude * factors[amplitudes + t]
        start += int(group.max()) + 1
        moved.append(replace(term, weights=term.weights * own, amplitude=float(amplitude)))
    functions = made.functions
    if functions is not None:
        first = amplitudes + len(made.terms)
        own = factors[first : first + len(functions.names)]
        functions = replace(functions, variances=functions.variances * own)
    return replace(made, terms=tuple(moved), functions=functions)


class _Adam:
    """Steps of Adam with betas 0.9 and 0.95, and a rate that falls along a cosine."""

    def __init__(self, rule: LearningRule, size: int) -> None:
        self.rule, self.count = rule, 0
        self.mean, self.square = np.zeros(size), np.zeros(size)

    def step(self, gradient: np.ndarray) -> np.ndarray:
        self.count += 1
        self.mean += 0.1 * (gradient - self.mean)
        self.square += 0.05 * (gradient**2 - self.square)
        rate = self.rule.rate * (1 + np.cos(np.pi * (self.count - 1) / self.rule.steps)) / 2
        mean, square = self.mean / (1 - 0.9**self.count), self.square / (1 - 0.95**self.count)
        return rate * mean / (np.sqrt(square) + 1e-12)
