"""Any ASE calculator as a baseline: GFN2-xTB, GFN-FF, or one of the user's own.

A model file keeps its name, not the calculator: that of a named method is made again when it is needed, another has to
be given to the loaded model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gossamer.errors import DataError, UsageError

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


def _gfn2() -> "Calculator":
    from tblite.ase import TBLite

    return TBLite(method="GFN2-xTB", verbosity=0)


def _gfnff() -> "Calculator":
    from gfnff.ase import GFNFF  # type: ignore[import-not-found]  # LGPL, the user's to install

    return GFNFF()


NAMED: dict[str, tuple[Callable[[], "Calculator"], str]] = {"gfn2-xtb": (_gfn2, "tblite"), "gfnff": (_gfnff, "gfnff")}


@dataclass(frozen=True, eq=False)
class CalculatorBaseline:
    """Energies and forces of an ASE calculator for atoms `numbers` (N,).

    name: one of NAMED, or what the user calls it; calculator None: made from the name at the first call."""

    numbers: np.ndarray
    name: str
    calculator: "Calculator | None" = None
    kind: ClassVar[str] = "calculator"

    def __repr__(self) -> str:
        return f"CalculatorBaseline({self.name!r} of {len(self.numbers)} atoms)"

    def __call__(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies (Q,) eV and forces (Q, N, 3) eV/Angstrom of structures positions (Q, N, 3), Angstrom.

        Raises UsageError where there is no calculator, DataError where it fails."""
        from ase import Atoms

        calculator = self.calculator or self._made()
        energies, forces = np.empty(len(positions)), np.empty(positions.shape)
        for q, structure in enumerate(positions):
            atoms = Atoms(self.numbers, structure, calculator=calculator)
            try:
                energies[q], forces[q] = atoms.get_potential_energy(), atoms.get_forces()
            except Exception as error:  # calculators raise whatever their programs meet
                why = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise DataError(f"baseline: {self.name} fails ({why}); leave such structures out.") from error
        return energies, forces

    def keeps(self, perms: np.ndarray) -> np.ndarray:
        """All of atom permutations perms (S, N): a physical method knows like atoms as such."""
        return np.ones(len(perms), dtype=bool)

    def to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"kind": self.kind, "name": self.name}, {}

    def _made(self) -> "Calculator":
        if self.name not in NAMED:
            raise UsageError(
                f"baseline: the model is a difference to {self.name!r}, which a file cannot hold; give that ASE "
                "calculator with `model.with_calculator(calculator)`."
            )
        make, package = NAMED[self.name]
        try:
            made = make()
        except ImportError as error:
            raise UsageError(
                f"baseline: {self.name} needs the package {package}, which is not installed; `pip install {package}`."
            ) from error
        object.__setattr__(self, "calculator", made)
        return made
