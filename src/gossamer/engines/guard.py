"""The guard at every door: what is done where a structure leaves what its model was trained on."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from gossamer.errors import ExtrapolationError, ExtrapolationWarning, UsageError

if TYPE_CHECKING:
    from gossamer.data.dataset import Dataset
    from gossamer.model.force_field import ForceField

Action = Literal["off", "warn", "stop", "save"]
GuardChoice: TypeAlias = "Guard | Action"

SAVED = 100  # frames in the file of a guard at most


class Guard:
    """Looks at structures before they are predicted.

    A structure leaves what its model was trained on where bonds or contacts are unlike those of all training
    structures, or a distance is far outside its range there (`model.seen`).  action: "warn" tells of the first one
    (ExtrapolationWarning) and looks no more; "stop" raises ExtrapolationError; "save" warns once and writes the first
    structure of every excursion to `file` (.extxyz, .npz, .traj or .db), after those it holds, up to 100 in all; "off"
    does not look.  most_std: eV/Angstrom, standard deviation of a force component above which a structure counts as
    left, of a model with error bars; a look then costs about as much as a prediction.

    Raises UsageError for another action, a most_std that is not positive or of a model without error bars, and for a
    file that cannot be gone on with."""

    def __init__(
        self,
        model: "ForceField",
        action: Action = "warn",
        file: str | Path = "outside.extxyz",
        most_std: float | None = None,
    ) -> None:
        if action not in get_args(Action):
            raise UsageError(f"guard: {action!r} is not known; use {', '.join(get_args(Action))} or a Guard.")
        self.numbers, self.seen, self.action, self.file = model.numbers, model.seen, action, Path(file)
        if most_std is not None and not most_std > 0:
            raise UsageError(f"guard: a standard deviation of {most_std} eV/Angstrom given; it must be positive.")
        self.most_std = most_std
        self._deviations = None if most_std is None else model.evaluator().std
        self._told = False
        self._outside = np.zeros(0, dtype=bool)
        if action == "save":
            self._saved()

    def __repr__(self) -> str:
        return f"Guard({self.action!r}{f', {str(self.file)!r}' if self.action == 'save' else ''})"

    @classmethod
    def of(cls, model: "ForceField", choice: GuardChoice) -> "Guard":
        """A guard as it is, or one of that action."""
        return choice if isinstance(choice, Guard) else cls(model, choice)

    def look(
        self, positions: np.ndarray, name: str = "positions", frames: Sequence[int] | np.ndarray | None = None
    ) -> None:
        """Look at structures positions (N, 3) or (Q, N, 3), Angstrom: the next ones of as many trajectories.

        name: of the structures in messages, such as "step 200"; frames (Q,): their numbers there.  Raises
        ExtrapolationError where the run is to stop, UsageError for positions in another unit."""
        if self.action == "off" or (self._told and self.action == "warn"):
            return
        structures = np.ascontiguousarray(positions, dtype=np.float64)
        if structures.ndim == 2:
            usual = self._deviations is None and self.action != "save"
            if usual and not self.seen.range_left_by(structures):
                return
            structures = structures[None]
        left = np.array([self.seen.range_left_by(structure) for structure in structures], dtype=bool)
        left |= self._largest_std(structures) > (self.most_std or 0.0)
        going_on = self.action == "save" and len(left) == len(self._outside)
        new = left & ~self._outside if going_on else left
        self._outside = left
        if new.any():
            self._act(structures, new, name, frames)

    def _act(
        self, structures: np.ndarray, new: np.ndarray, name: str, frames: Sequence[int] | np.ndarray | None
    ) -> None:
        unit = self.seen.likely_unit(structures[np.argmax(new)])
        if unit is not None:
            raise UsageError(f"{name}: its bonds are like those of the training structures in {unit}; give Angstrom.")
        if self.action == "stop":
            raise ExtrapolationError(self._said(structures, new, name, frames))
        if not self._told:
            self._told = True
            warnings.warn(self._said(structures, new, name, frames), ExtrapolationWarning, stacklevel=3)
        if self.action == "save":
            self._save(structures[new])

    def _largest_std(self, structures: np.ndarray) -> np.ndarray:
        """The largest standard deviation of a force component of every structure (Q,), 0 where none are looked at."""
        if self._deviations is None:
            return np.zeros(len(structures))
        return self._deviations.many(structures)[1].max(axis=(1, 2))

    def _said(
        self, structures: np.ndarray, new: np.ndarray, name: str, frames: Sequence[int] | np.ndarray | None
    ) -> str:
        """The sentence about the structures that are new outside."""
        outside = new & np.array([self.seen.range_left_by(structure) for structure in structures], dtype=bool)
        if outside.any():
            return self.seen.told(structures, outside, name, frames)
        std = self._largest_std(structures)
        first = int(np.argmax(new))
        which = "the structure" if len(new) == 1 else f"frame {first if frames is None else frames[first]}"
        others = f", and {int(new.sum()) - 1} more like it" if new.sum() > 1 else ""
        return (
            f"{name}: the standard deviation of a force of {which} is {std[first]:.3g} eV/Angstrom, above the "
            f"{self.most_std:g} asked for{others}; train on such structures too."
        )

    def _save(self, structures: np.ndarray) -> None:
        from gossamer.data.dataset import Dataset
        from gossamer.data.formats import write

        earlier = self._saved()
        before = structures[:0] if earlier is None else earlier.positions
        if len(before) < SAVED:
            write(Dataset(self.numbers, np.concatenate([before, structures])[:SAVED]), self.file)

    def _saved(self) -> "Dataset | None":
        """What the file holds, None where there is none.  Raises UsageError for another molecule's, or no such file."""
        from gossamer.data.formats import check_writable, read
        from gossamer.model.structures import require_atoms

        check_writable(self.file)
        if not self.file.exists():
            return None
        earlier = read(self.file, labels=False)
        require_atoms(earlier, self.numbers)
        return earlier
