"""What a verb works on: data read as the user said, split into parts, and permutations from a file."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gossamer.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from gossamer.chemistry.fragments import Fragment
    from gossamer.data.dataset import Dataset
    from gossamer.model.force_field import ForceField

DEFAULT_VALID = 100
DEFAULT_TEST = 500
NAMED_SYMMETRIES = ("auto", "none")  # of --symmetry; anything else is the name of a file
SYMMETRY_FILE = "file of permutations (--symmetry is auto, none or such a file)"
MAX_GROUP = 10_000  # permutations a user's generators may make
ENOUGH_TO_SCORE = 100  # unused structures from which on pairs are scored on them and not on the test set


@dataclass(frozen=True)
class Reading:
    """What the user said about a file of structures; None: as the file says."""

    energy_unit: str | None = None
    length_unit: str | None = None
    forces_unit: str | None = None
    energy_key: str | None = None
    forces_key: str | None = None
    index: str = ":"
    positions_key: str | None = None
    numbers_key: str | None = None
    gradients_key: str | None = None
    labels: bool = True
    dipole_unit: str | None = None

    def __post_init__(self) -> None:
        """Raises UsageError or UnitsError for what cannot be, before any file is read."""
        from gossamer.data.formats.raw import Options

        Options(**asdict(self))

    @classmethod
    def unlabelled(
        cls, length_unit: str | None, index: str, positions_key: str | None = None, numbers_key: str | None = None
    ) -> "Reading":
        """Of structures that need no labels."""
        return cls(
            length_unit=length_unit, index=index, positions_key=positions_key, numbers_key=numbers_key, labels=False
        )

    def read(self, path: Path) -> "Dataset":
        """The data in eV and Angstrom."""
        import gossamer as gs

        return gs.read(path, **asdict(self))


class Parts(NamedTuple):
    """Disjoint parts of the data, None where empty.  pool: structures to score pairs on, in no other part."""

    train: "Dataset"
    valid: "Dataset | None"
    test: "Dataset | None"
    pool: "Dataset | None"


@dataclass(frozen=True)
class Sizes:
    """How many structures to draw for what; None: a default that the data can afford."""

    train: int
    valid: int | None
    test: int | None
    seed: int

    def split(self, data: "Dataset") -> Parts:
        """Raises UsageError when there are fewer structures than asked for."""
        import numpy as np

        data, single = data.deduplicated(), data.without_twins()
        if self.train + (self.valid or 0) + (self.test or 0) <= len(single):
            data = single
        left = max(0, len(data) - self.train)
        spare = max(0, left - (self.test or 0))
        valid = min(DEFAULT_VALID, max(1, self.train // 2), spare) if self.valid is None else self.valid
        test = min(DEFAULT_TEST, max(0, left - valid)) if self.test is None else self.test
        parts = data.split(self.train, valid, test, seed=self.seed)
        used = np.concatenate([part.frames for part in parts])
        pool = data.take(~np.isin(data.frames, used))
        return Parts(parts.train, parts.valid if valid else None, parts.test if test else None,
                     pool if len(pool) >= ENOUGH_TO_SCORE else None)  # fmt: skip


@dataclass(frozen=True)
class Fitting:
    """How to fit: the options of `gossamer.fitting.workflow.fit` that stand on the command line."""

    length: float | None
    noise: float | None
    energies: bool
    solver: str
    memory: float | None
    seed: int
    max_images: int | None
    device: str
    kernel: str | None
    baseline: str
    descriptor: str = "pairs"
    error_bars: bool = False
    condense: bool = False
    dipoles: bool | None = None

    def options(self) -> dict[str, Any]:
        """As keyword arguments.  Raises UsageError for a value that cannot be."""
        from gossamer.fitting.baselines import check_baseline
        from gossamer.fitting.descriptor import PAIRS, check_descriptor
        from gossamer.fitting.options import make_settings

        options = asdict(self)
        baseline, descriptor = options.pop("baseline"), options.pop("descriptor")
        check_descriptor(descriptor)
        make_settings(options)
        if descriptor != PAIRS:  # `reduce` has no such argument
            options["descriptor"] = descriptor
        if self.baseline_file is not None:
            import gossamer as gs

            return options | {"baseline": gs.load(self.baseline_file)}
        check_baseline(baseline)
        return options | {"baseline": baseline}

    @property
    def baseline_file(self) -> Path | None:
        """The model that is the baseline, None where it is named."""
        return Path(self.baseline) if self.baseline.endswith((".gossamer", ".npz")) else None


@dataclass(frozen=True)
class Job:
    """All that `train` and `reduce` are told about their input.  command: the whole command line, for the record."""

    data: Path
    reading: Reading
    sizes: Sizes
    fitting: Fitting
    symmetry: str
    quiet: bool
    command: str
    terms: str = "auto"
    fragments: Path | None = None
    force: bool = False

    @property
    def symmetry_file(self) -> Path | None:
        """The file of permutations, None where the symmetry is named."""
        return None if self.symmetry in NAMED_SYMMETRIES else Path(self.symmetry)

    @property
    def files(self) -> tuple[Path, ...]:
        """What it reads."""
        return tuple(
            path
            for path in (self.data, self.fragments, self.symmetry_file, self.fitting.baseline_file)
            if path is not None
        )

    def options(self) -> dict[str, Any]:
        """Those of the fit that need no data.  Raises UsageError for a value that cannot be, and for a file that is not
        there, before any file is read."""
        from gossamer.chemistry.fragments_file import FRAGMENTS_FILE
        from gossamer.files import regular_file
        from gossamer.fitting.settings import Settings
        from gossamer.fitting.stages import check_terms

        if self.fragments is not None and self.terms != "auto":
            raise UsageError(f"--terms: {self.terms} and --fragments both say what the terms are; leave one out.")
        if self.fragments is None:
            check_terms(self.terms, Settings(length=self.fitting.length))
        for path, what in ((self.fragments, FRAGMENTS_FILE), (self.symmetry_file, SYMMETRY_FILE)):
            if path is not None:
                regular_file(path, what, UsageError)
        return self.fitting.options()

    def prepare(self) -> "tuple[Parts, dict[str, Any]]":
        """The data read and split, and the keyword arguments of a fit.  What was read is said on standard error."""
        from gossamer.fitting.workflow import check_trainable

        options = self.options()
        data = self.reading.read(self.data)
        parts = self.sizes.split(data)
        check_trainable(parts.train, parts.valid)
        if self.fitting.dipoles:
            parts.train.labelled_dipoles()
        look_at_labels(data, force=self.force, show=not self.quiet)
        options["symmetry"] = read_symmetry(self.symmetry, data.n_atoms)
        options["terms"] = self._terms(data)
        if not self.quiet:
            from gossamer.cli import text
            from gossamer.cli.outputs import say

            drawn = {"train": parts.train, "validate": parts.valid, "test": parts.test, "score pairs": parts.pool}
            lines = [
                *text.what_was_read(data),
                text.sizes(drawn, self.sizes.seed, parts.train.provenance.duplicates_removed),
            ]
            say(lines, stderr=True)
        return parts, options

    def _terms(self, data: "Dataset") -> "str | tuple[Fragment | str, ...]":
        """What the model is a sum of: a choice by name, or the fragments in a file."""
        if self.fragments is None:
            return self.terms
        from gossamer.chemistry.fragments_file import read_fragments

        return read_fragments(self.fragments, data.numbers)


def look_at_labels(data: "Dataset", *, force: bool, show: bool = True) -> None:
    """Look at the labels as `inspect` does, and say on standard error what it warns of.  Raises DataError for what it
    calls an error, unless `force`, which makes it a warning."""
    from gossamer.cli.outputs import say
    from gossamer.data.checks import inspect, refusal

    found = inspect(data)
    if found.level == "error" and not force:
        raise DataError(refusal(found, found.source, "give --force"))
    for finding in found.findings:
        if finding.level != "ok" and show:
            say([f"{finding.level}: {finding.message}"], stderr=True)


def read_symmetry(choice: str, n_atoms: int) -> "str | np.ndarray":
    """ "auto" and "none" as they are, else the permutations (S, N) in the text file of that name."""
    if choice in NAMED_SYMMETRIES:
        return choice
    from gossamer.chemistry.groups import close_group
    from gossamer.chemistry.permutations import parse_permutations
    from gossamer.files import read_text

    text = read_text(choice, SYMMETRY_FILE, UsageError)
    return close_group(parse_permutations(text, n_atoms), MAX_GROUP)


def require_same_atoms(model: "ForceField", data: "Dataset") -> None:
    """Raise UsageError when the structures are not the model's molecule with its order of atoms."""
    import numpy as np

    from gossamer.data.dataset import hill_formula

    if np.array_equal(data.numbers, model.numbers):
        return
    source, wanted = data.provenance.source, hill_formula(model.numbers)
    if data.formula != wanted:
        raise UsageError(
            f"{source}: it holds {data.formula}, but the model is for {wanted}; give structures of that molecule."
        )
    atom = int(np.flatnonzero(data.numbers != model.numbers)[0])
    raise UsageError(
        f"{source}: its atoms stand in another order than the model's (first at atom {atom}); reorder them."
    )
