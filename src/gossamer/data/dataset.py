"""Dataset: structures of one molecule with forces and, if known, energies; and how it is split."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gossamer.errors import DataError, UsageError

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Provenance:
    """Where data came from.  `read` says, key by key, what was taken from the file and in which unit."""

    source: str = ""
    name: str = ""
    theory: str = ""
    energy_unit: str = ""  # as in the source; in memory everything is eV and Angstrom
    length_unit: str = ""
    read: dict[str, str] = field(default_factory=dict)
    duplicates_removed: int = 0
    forces_unit: str = ""


def symbols(numbers: np.ndarray) -> list[str]:
    """Chemical symbols of the atomic numbers (N,)."""
    from ase.data import chemical_symbols

    return [chemical_symbols[number] for number in numbers]


def hill_formula(numbers: np.ndarray) -> str:
    """Composition of the atoms in Hill order (carbon, hydrogen, then by alphabet), such as C2H6O."""
    counts = Counter(symbols(numbers))
    order = sorted(counts, key=lambda symbol: ("C" in counts and {"C": 0, "H": 1}.get(symbol, 2), symbol))
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in order)


class Split(NamedTuple):
    """Disjoint parts of one data set."""

    train: "Dataset"
    valid: "Dataset"
    test: "Dataset"


@dataclass(frozen=True, eq=False)
class Dataset:
    """n structures of one molecule of N atoms.

    numbers (N,) atomic numbers; positions (n, N, 3) Angstrom; forces (n, N, 3) eV/Angstrom or None;
    energies (n,) eV or None; indices (n,) the frame numbers in the source.
    Raises DataError when the shapes do not agree.
    """

    numbers: np.ndarray
    positions: np.ndarray
    forces: np.ndarray | None = None
    energies: np.ndarray | None = None
    provenance: Provenance = Provenance()
    indices: np.ndarray | None = None

    def __post_init__(self) -> None:
        n, atoms = self.positions.shape[:2] if self.positions.ndim == 3 else (-1, -1)
        if self.positions.ndim != 3 or self.positions.shape[2] != 3 or self.numbers.shape != (atoms,):
            raise DataError(
                f"positions: shape {self.positions.shape} with numbers of shape {self.numbers.shape}; "
                "expected (structures, atoms, 3) and (atoms,)."
            )
        if self.forces is not None and self.forces.shape != self.positions.shape:
            raise DataError(f"forces: shape {self.forces.shape}, but positions have {self.positions.shape}.")
        if self.energies is not None and self.energies.shape != (n,):
            raise DataError(f"energies: shape {self.energies.shape}, expected ({n},).")
        if self.indices is None:
            object.__setattr__(self, "indices", np.arange(n))

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def n_atoms(self) -> int:
        return len(self.numbers)

    @property
    def frames(self) -> np.ndarray:
        """Frame numbers (n,) in the source."""
        assert self.indices is not None
        return self.indices

    @property
    def formula(self) -> str:
        """Composition in Hill order, such as C2H6O."""
        return hill_formula(self.numbers)

    def take(self, rows) -> "Dataset":
        """The structures `rows` (indices or a boolean mask), in that order."""
        assert self.indices is not None
        return replace(
            self,
            positions=self.positions[rows],
            forces=None if self.forces is None else self.forces[rows],
            energies=None if self.energies is None else self.energies[rows],
            indices=self.indices[rows],
        )

    def atoms(self, row: int) -> "Atoms":
        """Structure `row` as an ase.Atoms, without labels."""
        from ase import Atoms

        return Atoms(self.numbers, self.positions[row])

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of numbers, positions, forces and energies: the same data give the same 64 hex digits."""
        digest = hashlib.sha256()
        for array in (self.numbers.astype(np.int64), self.positions, self.forces, self.energies):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def labelled_forces(self) -> np.ndarray:
        """Forces (n, N, 3) eV/Angstrom.  Raises DataError when the data have none."""
        if self.forces is None:
            raise DataError(
                f"{self.provenance.source or 'data'}: it has no forces, and a force field is trained on forces; "
                "give a file with forces, or name their key with --forces-key."
            )
        return self.forces

    def repeats(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows (k,) whose positions repeat an earlier structure to 1e-8 Angstrom, and the rows (k,) they repeat."""
        flat = self.positions.reshape(len(self), -1)
        order = np.argsort(flat @ np.cos(np.arange(flat.shape[1])), kind="stable")  # repeats stand side by side
        new = np.ones(len(self), dtype=bool)
        new[1:] = ~(np.abs(np.diff(flat[order], axis=0)).max(axis=1) < 1e-8)
        earliest = np.empty(len(self), dtype=np.int64)
        earliest[order] = np.minimum.reduceat(order, np.flatnonzero(new))[np.cumsum(new) - 1] if len(self) else order
        later = np.flatnonzero(earliest != np.arange(len(self)))
        return later, earliest[later]

    def deduplicated(self) -> "Dataset":
        """Without exact repeats of an earlier structure; how many went is kept in `provenance`."""
        later, _ = self.repeats()
        if not len(later):
            return self
        kept = self.take(np.setdiff1d(np.arange(len(self)), later))
        gone = self.provenance.duplicates_removed + len(later)
        return replace(kept, provenance=replace(self.provenance, duplicates_removed=gone))

    def split(self, n_train: int, n_valid: int = 0, n_test: int | None = None, *, seed: int = 0) -> Split:
        """Disjoint train, validation and test parts; duplicates are removed first.

        Training structures are spread evenly over the energy distribution (as in sgdml, Chmiela et al. 2019): the
        frames sorted by energy are cut into n_train equal layers and one is drawn from each; without energies they
        are drawn at random.  n_test None: all that is left.  The same seed gives the same split.
        Raises UsageError when the parts ask for more structures than there are.
        """
        data = self.deduplicated()
        if n_train < 1 or n_valid < 0 or (n_test is not None and n_test < 0):
            raise UsageError(
                f"split: {n_train} training, {n_valid} validation and {n_test} test structures asked for; "
                "training needs at least 1, and no part can be negative."
            )
        asked = n_train + n_valid + (n_test or 0)
        if asked > len(data):
            gone = data.provenance.duplicates_removed
            left = f"{len(data)}{f' after {gone} duplicates were removed' if gone else ''}"
            raise UsageError(
                f"split: {n_train} training + {n_valid} validation + {n_test or 0} test = {asked} structures asked "
                f"for, but there are {left}; ask for fewer."
            )
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(data))
        if data.energies is not None:
            order = order[np.argsort(data.energies[order], kind="stable")]
        edges = np.linspace(0, len(data), n_train + 1).astype(int)
        train = order[[rng.integers(lo, hi) for lo, hi in pairwise(edges)]]
        rest = rng.permutation(np.setdiff1d(np.arange(len(data)), train))
        end = len(rest) if n_test is None else n_valid + n_test
        return Split(
            data.take(np.sort(train)), data.take(np.sort(rest[:n_valid])), data.take(np.sort(rest[n_valid:end]))
        )
