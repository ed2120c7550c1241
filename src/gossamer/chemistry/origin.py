"""What a term was made from."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gossamer.errors import UsageError

Kind = Literal["global", "bonds", "radius", "contact", "given"]
HEADS: dict[Kind, int] = {"global": 0, "bonds": 1, "radius": 1, "contact": 2, "given": 0}


@dataclass(frozen=True)
class Origin:
    """The fragment that a term looks at.

    kind: "global", the molecule itself; "bonds" and "radius", the atoms within `reach` bonds or Angstrom of one;
    "contact", two atoms of different molecules and those bonded to them; "given", atoms that the user named.  atoms:
    a row for every place, in corresponding order, what the fragment stands around first; () for the molecule itself,
    and where they are not known.  Raises UsageError for a reach that does not fit the kind."""

    kind: Kind = "given"
    reach: float | None = None
    atoms: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in HEADS:
            raise UsageError(f"origin: kind {self.kind!r} is not known; use one of {', '.join(HEADS)}.")
        far = self.kind in ("bonds", "radius")
        if (self.reach is not None) != far or (self.reach is not None and not 0 < self.reach < float("inf")):
            wanted = "a positive number of bonds or Angstrom" if far else "None"
            raise UsageError(f"origin: reach {self.reach} given for the kind {self.kind!r}; it must be {wanted}.")
        if len({len(place) for place in self.atoms}) > 1 or any(
            len(place) < max(2, self.heads) for place in self.atoms
        ):
            raise UsageError("origin: its places must be rows of equally many atoms, at least 2; correct them.")

    @classmethod
    def of(cls, kind: Kind, reach: float | None, atoms: np.ndarray) -> "Origin":
        """atoms (L, n): one place a row."""
        return cls(kind, reach, tuple(tuple(place) for place in np.asarray(atoms).tolist()))

    @property
    def heads(self) -> int:
        """How many atoms of a place, the first ones, the fragment stands around."""
        return HEADS[self.kind]

    @property
    def centres(self) -> tuple[tuple[int, ...], ...]:
        """The atoms that it stands around, for every place."""
        return tuple(place[: self.heads] for place in self.atoms)

    @property
    def is_global(self) -> bool:
        return self.kind == "global"


WHOLE, GIVEN = Origin("global"), Origin("given")
