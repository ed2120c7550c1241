"""What a run did and measured, as the parts of its record."""

from dataclasses import asdict
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, Protocol, cast

import numpy as np

from gossamer.baselines.coulomb import Coulomb
from gossamer.data.dataset import Dataset
from gossamer.descriptors import Descriptor
from gossamer.fitting.covariance import mean_variance
from gossamer.fitting.resources import machine
from gossamer.fitting.solvers import Solution
from gossamer.fitting.stages import WORTH
from gossamer.fitting.workflow import Fit
from gossamer.model.force_field import ForceField
from gossamer.model.pairs import PairSet
from gossamer.model.results import Errors, Prediction
from gossamer.model.terms import Term
from gossamer.records import parts
from gossamer.records.record import TrainRecord
from gossamer.version import __version__

FAR = 5.0  # Angstrom; longer pairs are called far (Kabylda et al. 2023)
PARITY_COMPONENTS = 4000
VARIANCE_STRUCTURES = 10  # whose forces show how the prior variance is shared among the terms


class Predicts(Protocol):
    """A trained model of any kind."""

    def predict(self, structures: np.ndarray, *, warn: bool) -> Prediction: ...

    def errors(self, dataset: Dataset) -> Errors: ...


def describe_run(train: Dataset, valid: Dataset | None, test: Dataset | None, command: str) -> dict[str, Any]:
    """The fields that tell of program, machine and data, as arguments for both kinds of records."""
    return {
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "machine": machine(),
        "data": describe_data(train, valid, test),
        "geometry": describe_geometry(train),
    }


def describe_fit(fit: Fit, model: ForceField, train: Dataset) -> dict[str, Any]:
    """The fields that tell of a fit of kernels; terms are those of `model`."""
    distances = mean_distances(train.positions, model.pairs)
    return {
        "settings": describe_settings(fit),
        "symmetry": parts.Symmetry(len(fit.symmetry.perms), int(fit.symmetry.found), fit.symmetry.note),
        "terms": describe_terms(model, train.positions, distances),
        "functions": describe_functions(model),
        "choice": describe_choice(fit),
    }


def describe_data(train: Dataset, valid: Dataset | None, test: Dataset | None) -> parts.Data:
    """Sizes and provenance of the data a run used."""
    p = train.provenance
    n_train, n_valid, n_test = (0 if d is None else len(d) for d in (train, valid, test))
    return parts.Data(
        name=p.name, source=p.source, theory=p.theory, fingerprint=train.fingerprint, formula=train.formula,
        n_frames=n_train + n_valid + n_test, duplicates_removed=p.duplicates_removed,
        n_train=n_train, n_valid=n_valid, n_test=n_test, n_atoms=train.n_atoms, read=dict(p.read),
    )  # fmt: skip


def mean_distances(positions: np.ndarray, pairs: Descriptor) -> np.ndarray:
    """Mean distance (P,) of every pair over structures positions (n, N, 3), Angstrom; of features of more atoms, the
    largest distance of two of them."""
    total = np.zeros(len(pairs))
    for structure in positions:
        ends = structure[pairs.atoms]
        corners = combinations(range(ends.shape[1]), 2)
        total += np.max([np.linalg.norm(ends[:, a] - ends[:, b], axis=1) for a, b in corners], axis=0)
    return total / len(positions)


def describe_model(
    label: str,
    pairs: Descriptor,
    distances: np.ndarray,
    errors: dict[str, Errors],
    solution: Solution,
    seconds: float,
    **extra: Any,
) -> parts.Model:
    """One line of a table of models.  distances (P,): mean distance of the model's pairs; errors: by data set, "test"
    before "valid"; extra: further fields of the line."""
    tested_on: parts.Part = "test" if "test" in errors else "valid" if "valid" in errors else "train"
    valid = errors.get("valid")
    return parts.Model(
        label=label,
        pairs=len(pairs),
        pairs_below_5A=int((distances < FAR).sum()),
        pairs_above_5A=int((distances >= FAR).sum()),
        longest_A=float(distances.max()),
        pairs_per_atom=len(pairs) / pairs.n_atoms,
        tested_on=tested_on,
        **{name: value for name, value in asdict(errors[tested_on]).items() if name != "energy_offset"},
        valid_force_mae=None if valid is None else valid.force_mae,
        valid_force_rmse=None if valid is None else valid.force_rmse,
        seconds=seconds,
        iterations=solution.iterations,
        status=solution.status.value,
        residual=solution.residual,
        **extra,
    )


def describe_parity(data: Dataset, seed: int, *, full: Predicts, chosen: Predicts | None = None) -> parts.Parity:
    """Reference and predicted values for parity plots: at most PARITY_COMPONENTS force components, all energies."""
    predictions = {
        n: m.predict(data.positions, warn=False) for n, m in (("full", full), ("chosen", chosen)) if m is not None
    }
    reference = data.labelled_forces().ravel()
    picked = np.sort(np.random.default_rng(seed).permutation(len(reference))[:PARITY_COMPONENTS])
    forces = {name: tuple(p.forces.ravel()[picked].tolist()) for name, p in predictions.items()}
    columns = parts.Columns(tuple(reference[picked].tolist()), **forces)
    if data.energies is None:
        return parts.Parity(columns)
    energies = {name: tuple(p.energies.tolist()) for name, p in predictions.items()}
    return parts.Parity(columns, parts.Columns(tuple(data.energies.tolist()), **energies))


def per_atom_mae(model: Predicts, data: Dataset) -> parts.PerAtom:
    """Mean absolute force error of every atom, eV/Angstrom."""
    errors = np.abs(model.predict(data.positions, warn=False).forces - data.labelled_forces()).mean(axis=(0, 2))
    return parts.PerAtom(tuple(errors.tolist()))


def describe_geometry(train: Dataset) -> parts.Geometry:
    """A structure to draw: the training structure nearest to the mean descriptor, with its bonds."""
    from ase.data import chemical_symbols

    from gossamer.chemistry.bonds import bond_graph

    i, j = PairSet.full(train.n_atoms).pairs.T
    x = 1 / np.linalg.norm(train.positions[:, i] - train.positions[:, j], axis=-1)
    typical = int(np.argmin(((x - x.mean(0)) ** 2).sum(1)))
    x, y, z = np.round(train.positions[typical], 4).T.tolist()
    bonds = bond_graph(train.positions, train.numbers).tolist()
    return parts.Geometry(
        symbols=tuple(chemical_symbols[number] for number in train.numbers),
        positions=tuple(zip(x, y, z, strict=True)),
        bonds=tuple((i, j) for i, j in bonds),
    )


def seen_locally(model: ForceField) -> np.ndarray:
    """Mask (P,) of the model's pairs that a term other than the global one sees."""
    seen = np.zeros(len(model.pairs), dtype=bool)
    for term in model.terms:
        if not term.is_global:
            seen[term.places] = True
    return seen


def describe_terms(model: ForceField, positions: np.ndarray, distances: np.ndarray) -> tuple[parts.Term, ...]:
    """What every term looks at, where, with which kernel, and what was learned.

    positions (n, N, 3): structures on which the prior variance is taken; distances (P,): mean distance of the model's
    pairs."""
    variances = [mean_variance((term,), model.pairs, positions[:VARIANCE_STRUCTURES]) for term in model.terms]
    local = seen_locally(model)
    rows = []
    for term, c, variance in zip(model.terms, model.summed, variances, strict=True):
        row = parts.Term(
            name=term.name,
            kind=term.origin.kind,
            reach=term.origin.reach,
            heads=term.origin.heads,
            atoms=term.origin.atoms,
            n_atoms=len(np.unique(model.pairs.atoms[term.places[0]])),
            pairs=term.n_pairs,
            places=term.n_places,
            permutations=len(term.perms),
            rows=len(c.X),
            kernel=term.kernel.name,
            length=term.kernel.length,
            amplitude=term.amplitude,
            prior_share=_rounded(variance / sum(variances)),
            weights=describe_weights(term, distances, local),
        )
        rows.append(row)
    return tuple(rows)


def describe_functions(model: ForceField) -> parts.Functions | None:
    """The pair functions of a model, if it has some."""
    found = model.functions
    if found is None:
        return None
    return parts.Functions(len(found.slots), len(found.names), found.basis.size, found.basis.cutoff)


def describe_weights(term: Term, distances: np.ndarray, local: np.ndarray) -> parts.Weights:
    """The term's pairs by falling weight.  distances (P,): mean distance of the model's pairs; local (P,): whether
    local terms see them."""
    seen, distance = local[term.places].all(axis=0), distances[term.places]
    keys = sorted({(w, s) for w, s in zip(term.weights.tolist(), seen.tolist(), strict=True)}, reverse=True)
    groups = [distance[:, (term.weights == weight) & (seen == inside)] for weight, inside in keys]
    return parts.Weights(
        weight=tuple(_rounded(weight) for weight, _ in keys),
        local=tuple(inside for _, inside in keys),
        pairs=tuple(group.shape[1] for group in groups),
        distance=tuple(round(float(group.mean()), 3) for group in groups),
        shortest=tuple(round(float(group.min()), 3) for group in groups),
        longest=tuple(round(float(group.max()), 3) for group in groups),
    )


def describe_choice(fit: Fit) -> parts.Choice:
    """Which terms were chosen, from which, and how their weights were learned."""
    choice = fit.choice
    history = () if choice.learned is None else choice.learned.history
    tried = {t.n_train for t in choice.trials} if choice.errors else set()  # the part, and maybe all, for the noise
    errors = {cast(parts.Kind, name): e if np.isfinite(e) else None for name, e in choice.errors.items()}
    return parts.Choice(
        name=cast(parts.Kind, choice.name),
        valid_force_rmse=errors,
        n_train=min(tried, default=None),
        worth=WORTH,
        learning=tuple(_rounded(error) for error in history),
    )


def _rounded(value: float) -> float:
    """To six digits, which is what pictures need."""
    return float(f"{value:.6g}")


def describe_settings(fit: Fit) -> parts.Settings:
    """The settings a fit ended with."""
    s, plan = fit.settings, fit.fitted.plan
    return parts.Settings(
        terms=cast(parts.Kind, fit.choice.name), length=s.length, noise=s.noise, relative_noise=s.relative_noise,
        energies_as_labels=s.energies, solver=plan.solver, preconditioner_columns=plan.columns, memory_gib=s.memory,
        device=s.device, seed=s.seed, baselines=tuple(b.kind for b in fit.model.baselines),
        descriptor=fit.model.pairs.noun, charges=charges_of(fit.model),
    )  # fmt: skip


def charges_of(model: ForceField) -> tuple[float, ...]:
    """The fixed charge of every atom, empty where the model has none."""
    found = [b.charges for b in model.baselines if isinstance(b, Coulomb)]
    return tuple(_rounded(q) for q in np.sum(found, axis=0)) if found else ()


def train_record(
    fit: Fit, train: Dataset, valid: Dataset | None = None, test: Dataset | None = None, *, command: str = ""
) -> TrainRecord:
    """The record of `fit`, whose errors are measured here on `test`, else `valid`, else `train`.  command: the command
    line, where there was one."""
    data = {"test": test, "valid": valid, "train": train}
    errors = {n: fit.model.errors(d) for n, d in data.items() if d is not None and len(d)}
    shown = next(d for n, d in data.items() if n in errors and d is not None)
    full = describe_model(
        "full", fit.model.pairs, mean_distances(train.positions, fit.model.pairs), errors, fit.solution,
        fit.fitted.seconds, length=fit.settings.length, local_pairs=int(seen_locally(fit.model).sum()),
    )  # fmt: skip
    trials = [t for t in fit.trials if t.terms == "global"]
    return TrainRecord(
        **describe_run(train, valid, test, command),
        **describe_fit(fit, fit.model, train),
        full=full,
        length_search=tuple(parts.Trial(t.length, t.relative_noise, t.valid_force_rmse, t.n_train) for t in trials),
        history=tuple(parts.Step(s.iteration, s.residual, s.valid) for s in fit.solution.history),
        parity=describe_parity(shown, fit.settings.seed, full=fit.model),
        per_atom=per_atom_mae(fit.model, shown),
        error_bars=None if fit.model.error_bars is None else fit.model.reliability(shown),
        seconds=fit.seconds,
    )
