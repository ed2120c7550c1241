"""ForceField: a trained model.  It predicts without ever importing the code that trained it."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.data.dataset import hill_formula
from gossamer.descriptors import Descriptor
from gossamer.devices import resolve_device
from gossamer.errors import UsageError
from gossamer.model.dipoles import DipoleModel
from gossamer.model.error_bars import ErrorBars, reliability
from gossamer.model.pair_functions import NEED, PairFunctions
from gossamer.model.pairs import as_pairs
from gossamer.model.results import Errors, Prediction, errors_of, other_zero
from gossamer.model.structures import asked, require_atoms, require_numbers
from gossamer.model.terms import Term
from gossamer.records.parts import ErrorBars as ErrorBarsRecord

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from gossamer.baselines import Baseline
    from gossamer.data.dataset import Dataset
    from gossamer.engines.guard import GuardChoice
    from gossamer.engines.torch_module import ForceFieldModule
    from gossamer.evaluate.evaluator import Evaluator
    from gossamer.evaluate.precision import Precision
    from gossamer.model.seen import SeenDistances
    from gossamer.model.structures import Structures


@dataclass(frozen=True, eq=False)
class TermCoefficients:
    """What training left behind for one term: descriptors X (M*L, P), coefficients V (M*L, P), and energy
    coefficients w (M*L,) or None.

    few: representatives of these rows, as many as there are, whose sum is nearly the same function; predictions sum
    them instead (gossamer.fitting.representatives)."""

    X: np.ndarray
    V: np.ndarray
    w: np.ndarray | None = None
    few: "TermCoefficients | None" = None

    def __repr__(self) -> str:
        energies = "" if self.w is None else ", energies as labels"
        return f"TermCoefficients({len(self.X)} rows of {self.X.shape[1]} pairs{energies})"


@dataclass(frozen=True, eq=False)
class ForceField:
    """E(R) = baselines(R) + constant + scale * [sum_t amplitude_t * (kernel sum of term t over its training rows) + the
    pair functions], and F = -dE/dR.

    numbers (N,); pairs: union of the pairs of terms and pair functions, or another descriptor, whose features are then
    called pairs here (gossamer.model.features); coefficients: one entry per term; constant eV; scale eV/Angstrom (the
    labels were divided by it); provenance: plain JSON values (data, settings, seed, versions); device: where it
    predicts, which is not written to its file; baselines: what was taken off the labels (gossamer.baselines);
    functions: of pair distances, with their coefficients, where there are some; error_bars, dipole_model: where it was
    trained with them.
    """

    numbers: np.ndarray
    pairs: Descriptor
    terms: tuple[Term, ...]
    coefficients: tuple[TermCoefficients, ...]
    constant: float = 0.0
    scale: float = 1.0
    provenance: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    baselines: "tuple[Baseline, ...]" = ()
    functions: PairFunctions | None = None
    error_bars: ErrorBars | None = None
    dipole_model: DipoleModel | None = None

    def __post_init__(self) -> None:
        if len(self.terms) != len(self.coefficients) or not (self.terms or self.functions):
            raise UsageError(f"terms: {len(self.terms)} given with {len(self.coefficients)} sets of coefficients.")
        for term, c in zip(self.terms, self.coefficients, strict=True):
            if c.X.shape != c.V.shape or c.X.shape[1] != term.n_pairs or len(c.X) % term.n_places:
                raise UsageError(
                    f"term {term.name!r}: X {c.X.shape} and V {c.V.shape} do not fit {term.n_pairs} pairs."
                )
            if c.w is not None and c.w.shape != (len(c.X),):
                raise UsageError(f"term {term.name!r}: w {c.w.shape} does not fit {len(c.X)} rows.")
            if c.few is not None and (c.few.X.shape != c.few.V.shape or c.few.X.shape[1:] != (term.n_pairs,)):
                raise UsageError(
                    f"term {term.name!r}: its representatives, X {c.few.X.shape} and V {c.few.V.shape}, do not fit "
                    f"{term.n_pairs} pairs."
                )
            if term.places.min() < 0 or term.places.max() >= len(self.pairs):
                raise UsageError(f"term {term.name!r}: it names pairs outside the model's {len(self.pairs)}.")
            few = () if c.few is None else (c.few.X, c.few.V)
            arrays = (c.X, c.V, c.w, *few, self.constant, self.scale)
            if not all(np.all(np.isfinite(a)) for a in arrays if a is not None):
                raise UsageError(f"term {term.name!r}: some coefficients are NaN or infinite; train the model again.")
        if self.functions is not None:
            as_pairs(self.pairs, NEED)
            self.functions.require_fitted(len(self.pairs))
        if self.error_bars is not None:
            self.error_bars.require_fits(self)
        if self.dipole_model is not None:
            require_numbers(self.dipole_model.numbers, self.numbers, "dipoles")

    def __repr__(self) -> str:
        seen = f"{len(self.pairs)} {self.pairs.noun}"
        counts = f"{self.n_atoms} atoms, {len(self.terms)} term{'s' * (len(self.terms) > 1)}, {seen}"
        under = "".join(f", on {baseline.kind}" for baseline in self.baselines)
        parts = {"error bars": self.error_bars, "dipoles": self.dipole_model}
        more = "".join(f", with {what}" for what, part in parts.items() if part is not None)
        return f"ForceField({hill_formula(self.numbers)}: {counts}, {self.n_train} training structures{under}{more})"

    def __getstate__(self) -> dict[str, Any]:
        """What is copied or sent to another process: the fields, not what was derived from them."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @property
    def n_atoms(self) -> int:
        return len(self.numbers)

    @property
    def n_train(self) -> int:
        return len(self.coefficients[0].X) // self.terms[0].n_places

    @property
    def summed(self) -> tuple[TermCoefficients, ...]:
        """Per term what predictions sum: its representatives where it has some, else its rows."""
        return tuple(c if c.few is None else c.few for c in self.coefficients)

    def on(self, device: str) -> "ForceField":
        """The model that predicts on `device`: "cpu", "cuda", "cuda:1", or "auto", CUDA where there is a card.
        Raises UsageError where there is none."""
        return replace(self, device=str(resolve_device(device)))

    def predict(
        self, structures: "Structures", *, precision: "Precision" = "auto", warn: bool = True, std: bool = False
    ) -> Prediction:
        """Energies (Q,) and forces (Q, N, 3) of structures: positions (Q, N, 3) or (N, 3), Angstrom, an ase.Atoms or a
        list of them, or a Dataset.

        precision: how training rows are kept, see `evaluator`, which is what many calls in another precision want.
        warn: give one ExtrapolationWarning where bonds differ from those of all training structures.
        std: give standard deviations of energies and forces as well, at about twice the cost.
        Raises UsageError for other atoms or another number of them, or a model without error bars, DataError for
        positions that are not finite or coincide."""
        evaluator = self._evaluator if precision == "auto" else self.evaluator(precision=precision)
        positions, name, frames = asked(structures, self.numbers)
        if warn and positions.shape[1:] == (self.n_atoms, 3):
            self.seen.warn(positions, name, frames, stacklevel=2)
        if len(positions) == 1:
            energy, force = evaluator.one(positions[0])
            found = Prediction(np.array([energy]), force[None])
        else:
            found = Prediction(*evaluator.many(positions))
        if not std:
            return found
        energy_std, forces_std = evaluator.std.many(positions)
        return replace(found, energy_std=energy_std, forces_std=forces_std)

    def dipoles(self, structures: "Structures") -> np.ndarray:
        """Dipole moments (Q, 3), e*Angstrom, of structures, given as to `predict`; of an ion about the origin, or about
        the centre of mass, as the data that it was trained on have them.

        Raises UsageError for a model without dipoles, for other atoms or another number of them, DataError for
        positions that are not finite."""
        return self.required_dipole_model(asked(structures, self.numbers).positions)

    @property
    def required_dipole_model(self) -> DipoleModel:
        """`dipole_model`.  Raises UsageError where there is none."""
        if self.dipole_model is None:
            raise UsageError(
                "dipoles: the model has none; train on data with dipoles, or give it those of `gs.train_dipoles`."
            )
        return self.dipole_model

    def with_dipoles(self, dipole_model: DipoleModel | None) -> "ForceField":
        """The model with other dipoles, such as `gs.train_dipoles` gives, or without.  Raises UsageError for those of
        other atoms."""
        return replace(self, dipole_model=dipole_model)

    def evaluator(
        self,
        *,
        device: str | None = None,
        precision: "Precision" = "auto",
        threads: int | None = None,
        replicas: int | None = None,
    ) -> "Evaluator":
        """The model made ready to be called many times, on a device, in a precision and with threads of your choice."""
        from gossamer.evaluate.evaluator import Evaluator

        return Evaluator.build(self, device, precision, threads, replicas)

    @cached_property
    def seen(self) -> "SeenDistances":
        """The distances it was trained on."""
        from gossamer.model.seen import SeenDistances

        return SeenDistances.build(self)

    def test(
        self, dataset: "Dataset", *, force: bool = False, precision: "Precision" = "auto", warn: bool = True
    ) -> Errors:
        """Errors on a labelled data set of the same molecule, whose labels are looked at unless `force`: raises
        DataError for what `inspect` calls an error, and warns of the rest (LabelWarning).  precision and warn: as for
        `predict`."""
        from gossamer.data.checks import require_sound

        errors = self.errors(dataset, precision=precision, warn=warn)
        if not force:
            require_sound(dataset)
        return errors

    def errors(self, dataset: "Dataset", *, precision: "Precision" = "auto", warn: bool = False) -> Errors:
        """Errors on a labelled data set of the same molecule, whatever its labels are; precision and warn: as for
        `predict`."""
        require_atoms(dataset, self.numbers)
        if warn:
            self.seen.warn(dataset.positions, dataset.provenance.source or "data", dataset.frames, stacklevel=2)
        p = self.predict(dataset.positions, precision=precision, warn=False)
        found = errors_of(p, dataset)
        if self.dipole_model is None or dataset.dipoles is None:
            return found
        dm = self.dipole_model(dataset.positions) - dataset.dipoles
        return replace(found, dipole_mae=float(np.abs(dm).mean()), dipole_rmse=float(np.sqrt((dm**2).mean())))

    def reliability(self, dataset: "Dataset") -> "ErrorBarsRecord":
        """How its error bars compare with its errors on a labelled data set of the same molecule, another zero of
        energies taken off.  Raises UsageError for a model without error bars, or other atoms."""
        require_atoms(dataset, self.numbers)
        p = self.predict(dataset.positions, warn=False, std=True)
        assert p.energy_std is not None
        assert p.forces_std is not None
        of_forces = reliability(p.forces_std, p.forces - dataset.labelled_forces())
        if dataset.energies is None:
            return ErrorBarsRecord(of_forces)
        de = dataset.energies - p.energies
        return ErrorBarsRecord(of_forces, reliability(p.energy_std, de - (other_zero(de, dataset.energies) or 0.0)))

    def trained_on(self, positions: np.ndarray) -> np.ndarray:
        """Which of the structures positions (Q, N, 3), Angstrom, the model was trained on (Q,), rounded or turned ones
        included."""
        from gossamer.model.seen import seen_in_training

        return seen_in_training(self, np.asarray(positions, dtype=np.float64))

    def with_constant_from(self, dataset: "Dataset") -> "ForceField":
        """The model whose mean energy error on `dataset` is zero (least squares); unchanged without energies."""
        if dataset.energies is None:
            return self
        error = dataset.energies - self.predict(dataset.positions, precision="float64", warn=False).energies
        return replace(self, constant=self.constant + float(error.mean()))

    def with_calculator(self, calculator: "Calculator") -> "ForceField":
        """The model of a difference to an ASE calculator, with that calculator, which its file cannot hold.
        Raises UsageError where it is no such model."""
        from gossamer.baselines.calculator import CalculatorBaseline

        if not any(isinstance(b, CalculatorBaseline) for b in self.baselines):
            raise UsageError("calculator: one given, but the model is no difference to a calculator; leave it out.")
        given = (replace(b, calculator=calculator) if isinstance(b, CalculatorBaseline) else b for b in self.baselines)
        return replace(self, baselines=tuple(given))

    def save(self, path: str | Path) -> Path:
        """Write a .gossamer file (safetensors, no pickle); the file appears whole or not at all."""
        from gossamer.model.model_file import save

        return save(self, path)

    def export_sgdml(self, path: str | Path) -> Path:
        """Write an npz that sgdml loads; only one-term models over all pairs can be written."""
        from gossamer.model.sgdml_file import export_sgdml

        return export_sgdml(self, path)

    def ase(
        self, *, precision: "Precision" = "auto", threads: int | None = None, guard: "GuardChoice" = "warn"
    ) -> "Calculator":
        """An ASE calculator: energy in eV, forces in eV/Angstrom; precision, threads: as for `evaluator`; guard: what
        is done where atoms leave what the model was trained on: "warn" once, "stop", "save" such frames, or "off" (see
        `gossamer.engines.guard.Guard`)."""
        from gossamer.engines.ase import GossamerCalculator

        return GossamerCalculator(self, self.evaluator(precision=precision, threads=threads), guard)

    def torch(self) -> "ForceFieldModule":
        """A torch.nn.Module on the model's device: positions (Q, N, 3), float64, Angstrom, to energies (Q,), eV, and
        forces (Q, N, 3), eV/Angstrom; differentiable, and exportable with torch.export."""
        from gossamer.engines.torch_module import ForceFieldModule

        return ForceFieldModule(self).to(resolve_device(self.device))

    @cached_property
    def _evaluator(self) -> "Evaluator":
        return self.evaluator()
