"""What records are made of: frozen plain values.  Energies in eV, lengths in Angstrom, forces in eV/Angstrom.

A part that a run did not have is its empty value: "", (), 0 of a count, None of a number.  In JSON None and a number
that is not finite are null."""

from dataclasses import dataclass, field
from math import inf, sqrt
from typing import Annotated, Literal, get_args

from gossamer.errors import DataError

Measured = Annotated[float, "may be NaN"]  # a number that must be there, and that a failed run may leave NaN

# Of a model: one term, a sum of local ones with it, they alone, they with pair functions, and all of these.
Kind = Literal["global", "both", "local", "pairs", "all", "given"]
TermKind = Literal["global", "bonds", "radius", "contact", "given"]
Selection = Literal["full", "relevance", "random", "shortest"]
Part = Literal["test", "valid", "train"]
MAIN = ("force_mae", "force_rmse")  # the numbers without which a model cannot be shown

KINDS: tuple[Kind, ...] = get_args(Kind)


def _equal_columns(what: str, *columns: tuple[object, ...]) -> None:
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise DataError(
            f"record: {what} have {', '.join(map(str, lengths))} entries, but must have equally many; write the record "
            "again."
        )


LEVELS = (0.5, 0.68, 0.9, 0.95)  # of the central intervals of a normal distribution


@dataclass(frozen=True)
class Reliability:
    """Standard deviations beside errors: their root mean squares in bins of as many errors each, by rising standard
    deviation, in columns of equal length; coverage: shares of errors within the intervals of LEVELS."""

    predicted: tuple[float, ...] = ()
    found: tuple[float, ...] = ()
    coverage: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _equal_columns("error_bars: predicted and found", self.predicted, self.found)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Found over predicted, bin by bin."""
        return tuple(f / p if p > 0 else inf for p, f in zip(self.predicted, self.found, strict=True))

    @property
    def ratio(self) -> float:
        """Of all errors together."""
        squares = [sum(value**2 for value in column) for column in (self.found, self.predicted)]
        return sqrt(squares[0] / squares[1]) if squares[1] > 0 else inf


@dataclass(frozen=True)
class ErrorBars:
    """Error bars on the structures that errors were measured on, of force components and of energies."""

    forces: Reliability
    energies: Reliability | None = None


@dataclass(frozen=True)
class Machine:
    """Where a run was made.  memory_gib: of the machine; threads: of linear algebra; cards: names of its GPUs."""

    cpu: str = ""
    cores: int | None = None
    threads: int | None = None
    memory_gib: float | None = None
    python: str = ""
    numpy: str = ""
    torch: str = ""
    cards: tuple[str, ...] = ()


@dataclass(frozen=True)
class Data:
    """Sizes and provenance of the structures a run used.  read: what was taken from the file, and in which unit."""

    name: str = ""
    source: str = ""
    theory: str = ""
    fingerprint: str = ""
    formula: str = ""
    n_frames: int = 0
    duplicates_removed: int = 0
    n_train: int = 0
    n_valid: int = 0
    n_test: int = 0
    n_atoms: int = 0
    read: dict[str, str] = field(default_factory=dict)

    def count(self, part: Part) -> int:
        """How many structures a part of the data has."""
        return {"test": self.n_test, "valid": self.n_valid, "train": self.n_train}[part]


@dataclass(frozen=True)
class Settings:
    """The settings a run ended with.  family: the kind of models, "kernel", "network" or the name of another one, to
    which terms, noise and the like mean nothing; length (1/Angstrom): of the one global term, None in a sum;
    descriptor: what the model looks at, "pairs" or the noun of others, which are counted as pairs elsewhere;
    baselines: kinds of what was taken off the labels; charges: of the atoms, elementary charges, where fixed charges
    were among these; noise: a variance of
    labels of unit spread, relative_noise: that over the mean prior variance of a force component; tolerance and
    score_structures (on which pairs were scored): of a reduction."""

    terms: Kind = "global"
    length: float | None = None
    baselines: tuple[str, ...] = ()
    descriptor: str = "pairs"
    noise: float | None = None
    relative_noise: float | None = None
    energies_as_labels: bool = False
    solver: str = ""
    preconditioner_columns: int | None = None
    memory_gib: float | None = None
    device: str = ""
    seed: int | None = None
    charges: tuple[float, ...] = ()
    tolerance: float | None = None
    score_structures: int | None = None
    family: str = "kernel"


@dataclass(frozen=True)
class Symmetry:
    """order: permutations used; found: those that elements and bonds allow; note: a sentence about them."""

    order: int = 1
    found: int = 1
    note: str = ""


@dataclass(frozen=True)
class Weights:
    """The pairs of a term by falling weight, an entry for all pairs of one weight, in columns of equal length: how many
    pairs they are, whether local terms see them, and their mean, shortest and longest distance (Angstrom)."""

    weight: tuple[float, ...] = ()
    local: tuple[bool, ...] = ()
    pairs: tuple[int, ...] = ()
    distance: tuple[float, ...] = ()
    shortest: tuple[float, ...] = ()
    longest: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _equal_columns("terms: the columns of weights", *(getattr(self, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Term:
    """One function that the model sums.

    kind: what it looks at.  "bonds" and "radius": the atoms within `reach` bonds or Angstrom of an atom; "contact":
    those around two atoms of different molecules; "given": a fragment of the user's.  heads: how many of the first
    atoms of a place may be what it stands around.  atoms: a row for every place, in corresponding order, those it
    stands around first; () for the global term, and where they are not known.
    n_atoms and pairs: of one place.  rows: that a prediction sums at every place, those of the training structures or
    the representatives in their stead.  length (1/Angstrom) and amplitude: of the kernel.  prior_share: its part of the
    prior variance of a force component, a fraction."""

    name: str = ""
    kind: TermKind = "given"
    reach: float | None = None
    heads: int = 0
    atoms: tuple[tuple[int, ...], ...] = ()
    n_atoms: int | None = None
    pairs: int | None = None
    places: int | None = None
    permutations: int | None = None
    rows: int | None = None
    kernel: str = ""
    length: float | None = None
    amplitude: float | None = None
    prior_share: float | None = None
    weights: Weights = field(default_factory=Weights)


@dataclass(frozen=True)
class Functions:
    """The pair functions of a model: how many pairs they are of, in how many classes, each a sum of `centres`
    Gaussians that ends at the cutoff, Angstrom."""

    pairs: int
    classes: int
    centres: int
    cutoff: float


@dataclass(frozen=True)
class Choice:
    """How the terms were chosen.  name: the kind taken; valid_force_rmse (eV/Angstrom): of each kind that was fitted to
    `n_train` structures (None: none of its fits could be solved; empty: nothing was compared); worth: local terms alone
    are taken within this fraction of the best; learning (steps,): force RMSE on held-out structures at every step of
    learning the weights."""

    name: Kind | None = None
    valid_force_rmse: dict[Kind, float | None] = field(default_factory=dict)
    n_train: int | None = None
    worth: float | None = None
    learning: tuple[Measured, ...] = ()


@dataclass(frozen=True)
class Model:
    """One line of a table of models.

    pairs: that any term sees; global_pairs: that the global term sees; local_pairs: that local terms see; orbits: of
    equivalent pairs.  selection: by what the pairs were selected; quantile: of the relevance, below which they went;
    added_orbits: that had to come back to fix the molecule's shape.  Errors are on the part `tested_on`, forces per
    component in eV/Angstrom, energies in eV.  residual: rms, eV/Angstrom.  length: 1/Angstrom, None in a sum.
    parameters: how many numbers training found."""

    pairs: int
    force_mae: Measured
    force_rmse: Measured
    label: str = ""
    selection: Selection = "full"
    quantile: float | None = None
    orbits: int | None = None
    global_pairs: int | None = None
    local_pairs: int | None = None
    added_orbits: int = 0
    pairs_below_5A: int | None = None
    pairs_above_5A: int | None = None
    longest_A: float | None = None
    pairs_per_atom: float | None = None
    tested_on: Part = "test"
    energy_mae: float | None = None
    energy_rmse: float | None = None
    dipole_mae: float | None = None
    dipole_rmse: float | None = None
    valid_force_mae: float | None = None
    valid_force_rmse: float | None = None
    seconds: float | None = None
    iterations: int | None = None
    status: str = ""
    residual: float | None = None
    length: float | None = None
    parameters: int | None = None


@dataclass(frozen=True)
class Limit:
    """Force RMSE (eV/Angstrom) that the chosen model must not exceed on the validation structures, and the same
    tolerance above the same best model on the structures that `Model.tested_on` names."""

    valid_force_rmse: float
    force_rmse: float | None = None


@dataclass(frozen=True)
class Pair:
    """Atoms i and j; distance: mean over the training structures, Angstrom; score: relevance in the global term,
    eV/Angstrom; orbit: number of the set of equivalent pairs; kept: by the chosen model; local: a local term sees
    it."""

    i: int
    j: int
    distance: float | None = None
    score: float | None = None
    orbit: int | None = None
    kept: bool = False
    local: bool = False


@dataclass(frozen=True)
class Columns:
    """Reference and predicted values (n,), in eV or eV/Angstrom; () of a model that the record has not."""

    reference: tuple[Measured, ...] = ()
    full: tuple[Measured, ...] = ()
    chosen: tuple[Measured, ...] = ()

    def __post_init__(self) -> None:
        _equal_columns(
            "parity: reference and predicted values", self.reference, self.full, self.chosen or self.reference
        )


@dataclass(frozen=True)
class Parity:
    """Force components (a sample) and energies for parity plots."""

    forces: Columns = field(default_factory=Columns)
    energies: Columns = field(default_factory=Columns)


@dataclass(frozen=True)
class PerAtom:
    """force_mae (N,): mean absolute force error of every atom, eV/Angstrom."""

    force_mae: tuple[float, ...] = ()


@dataclass(frozen=True)
class Geometry:
    """A typical structure, to draw: symbols (N,), positions (N, 3) Angstrom, bonds (pairs of atoms); N = 0: none."""

    symbols: tuple[str, ...] = ()
    positions: tuple[tuple[float, float, float], ...] = ()
    bonds: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        _equal_columns("geometry: symbols and positions", self.symbols, self.positions)
        odd = next((k for k, bond in enumerate(self.bonds) if not all(0 <= a < len(self.symbols) for a in bond)), None)
        if odd is not None:
            raise DataError(
                f"record: geometry.bonds[{odd}] names an atom beyond the {len(self.symbols)} there are; write the "
                "record again."
            )


@dataclass(frozen=True)
class Rank:
    """Internal degrees of freedom of the molecule, those that the kept distances fix, and the orbits that had to come
    back for them."""

    needed: int
    reached: int
    added_orbits: int = 0


@dataclass(frozen=True)
class Trial:
    """One point of a search for length (1/Angstrom) and noise; valid_force_rmse in eV/Angstrom, None where it could not
    be solved."""

    length: float | None = None
    relative_noise: float | None = None
    valid_force_rmse: float | None = None
    n_train: int | None = None


@dataclass(frozen=True)
class Step:
    """One entry of the solver's history; residual and validation error in eV/Angstrom."""

    iteration: int
    residual: float | None = None
    valid_force_rmse: float | None = None
