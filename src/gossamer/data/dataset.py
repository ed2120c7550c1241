"""Dataset: structures of one molecule with forces and, if known, energies; and how it is split."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gossamer.errors import DataError

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


class LabelStd(NamedTuple):
    """Standard deviations of the labels of a data set: of energies (n,), eV, and forces (n, N, 3), eV/Angstrom."""

    energies: np.ndarray
    forces: np.ndarray


@dataclass(frozen=True, eq=False)
class Dataset:
    """n structures of one molecule of N atoms.

    numbers (N,) atomic numbers; positions (n, N, 3) Angstrom; forces (n, N, 3) eV/Angstrom or None;
    energies (n,) eV or None; indices (n,) the frame numbers in the source; dipoles (n, 3) e*Angstrom or None.
    Raises DataError when the shapes do not agree.
    """

    numbers: np.ndarray
    positions: np.ndarray
    forces: np.ndarray | None = None
    energies: np.ndarray | None = None
    provenance: Provenance = Provenance()
    indices: np.ndarray | None = None
    dipoles: np.ndarray | None = None

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
        if self.dipoles is not None and self.dipoles.shape != (n, 3):
            raise DataError(f"dipoles: shape {self.dipoles.shape}, expected ({n}, 3), one vector for every structure.")
        if self.indices is None:
            object.__setattr__(self, "indices", np.arange(n))

    @classmethod
    def from_atoms(cls, images: "Atoms | Sequence[Atoms]") -> "Dataset":
        """Structures of one molecule as ASE has them, with the forces (eV/Angstrom), energies (eV) and dipoles
        (e*Angstrom) of their calculators, which are asked for nothing that they have not at hand; what no image has is
        left out.
        Raises DataError where atoms, their order or labels differ between images, or a cell is periodic."""
        from gossamer.data.from_atoms import dataset_of

        return dataset_of(images)

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        labels = [name for name in ("forces", "energies", "dipoles") if getattr(self, name) is not None]
        source = f"{self.provenance.source}: " if self.provenance.source else ""
        counts = f"{len(self)} structure{'s' * (len(self) != 1)} of {self.formula}, {self.n_atoms} atoms"
        return f"Dataset({source}{counts}, {' and '.join(labels) or 'no labels'})"

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
            dipoles=None if self.dipoles is None else self.dipoles[rows],
        )

    def evenly(self, n: int) -> "Dataset":
        """n structures, evenly spaced; all where there are no more."""
        return self.take(np.linspace(0, len(self) - 1, min(n, len(self))).astype(int))

    def atoms(self, row: int) -> "Atoms":
        """Structure `row` as an ase.Atoms, without labels."""
        from ase import Atoms

        return Atoms(self.numbers, self.positions[row])

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of numbers, positions, forces and energies, and of dipoles where there are some: the same data give
        the same 64 hex digits."""
        digest = hashlib.sha256()
        for array in (self.numbers.astype(np.int64), self.positions, self.forces, self.energies):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        if self.dipoles is not None:
            digest.update(np.ascontiguousarray(self.dipoles).tobytes())
        return digest.hexdigest()

    def labelled_forces(self) -> np.ndarray:
        """Forces (n, N, 3) eV/Angstrom.  Raises DataError when the data have none."""
        if self.forces is None:
            others = "" if self.dipoles is None else ", or add its dipoles to a model with `gossamer dipoles`"
            raise DataError(
                f"{self.provenance.source or 'data'}: it has no forces, and a force field is trained on forces; "
                f"give a file with forces, or name their key with --forces-key{others}."
            )
        return self.forces

    def labelled_dipoles(self) -> np.ndarray:
        """Dipoles (n, 3) e*Angstrom.  Raises DataError when the data have none, or some that are not finite."""
        name = self.provenance.source or "data"
        if self.dipoles is None:
            why = self.provenance.read.get("dipoles", "")
            raise DataError(
                f"{name}: it has no dipoles{f' ({why})' if why else ''}; give data with them, or leave dipoles out."
            )
        bad = ~np.isfinite(self.dipoles).all(axis=1)
        if bad.any():
            raise DataError(f"{name}: the dipole of frame {self.frames[bad][0]} is NaN or infinite; remove that frame.")
        return self.dipoles

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
        return self._without(self.repeats()[0])

    def without_twins(self) -> "Dataset":
        """Without structures that are the same as an earlier one but for rounding, a turn or a shift (see `twins`), and
        without exact repeats; how many went is kept in `provenance`."""
        return self._without(np.flatnonzero(self.twins() != np.arange(len(self))))

    def twins(self) -> np.ndarray:
        """For every row (n,) the earliest one whose distances are the same to 0.001 Angstrom (RMS), itself where there
        is none or where numbers are not finite."""
        from gossamer.data.twins import earliest_twins

        finite = np.flatnonzero(np.isfinite(self.positions).all(axis=(1, 2)))
        first = np.arange(len(self))
        first[finite] = finite[earliest_twins(self.positions[finite])]
        return first

    def _without(self, rows: np.ndarray) -> "Dataset":
        if not len(rows):
            return self
        kept = self.take(np.setdiff1d(np.arange(len(self)), rows))
        gone = self.provenance.duplicates_removed + len(rows)
        return replace(kept, provenance=replace(self.provenance, duplicates_removed=gone))

    def split(self, n_train: int, n_valid: int = 0, n_test: int | None = None, *, seed: int = 0) -> Split:
        """Disjoint train, validation and test parts, as `gossamer.data.splitting.split` makes them."""
        from gossamer.data.splitting import split

        return split(self, n_train, n_valid, n_test, seed)
