"""Any ASE calculator as a baseline: GFN2-xTB, GFN-FF, dispersion (D4), or one of the user's own.

A model file keeps its name, not the calculator: that of a named method is made again when it is needed, another has to
be given to the loaded model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from gossamer.errors import DataError, UsageError

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

FUNCTIONAL = "pbe"  # of D4, where none is named


def _gfn2(option: str) -> "Calculator":
    from tblite.ase import TBLite

    return TBLite(method="GFN2-xTB", verbosity=0)


def _gfnff(option: str) -> "Calculator":
    from gfnff.ase import GFNFF  # type: ignore[import-not-found]  # LGPL, the user's to install

    return GFNFF()


def _d4(option: str) -> "Calculator":
    from dftd4.ase import DFTD4  # type: ignore[import-not-found]  # LGPL, the user's to install
    from dftd4.interface import DampingParam  # type: ignore[import-not-found]

    try:
        DampingParam(method=option or FUNCTIONAL)
    except RuntimeError as error:
        raise UsageError(
            f"baseline: dftd4 knows no functional {option!r}; write d4 for {FUNCTIONAL}, or such as d4:pbe0."
        ) from error
    return DFTD4(method=option or FUNCTIONAL)


class Named(NamedTuple):
    """make: of what stands after the colon of the name, which only `has_option` has; extra: what installs it."""

    make: Callable[[str], "Calculator"]
    package: str
    extra: str
    has_option: bool = False


NAMED = {
    "gfn2-xtb": Named(_gfn2, "tblite", "qm"),
    "gfnff": Named(_gfnff, "gfnff", "gfnff"),
    "d4": Named(_d4, "dftd4", "d4", has_option=True),
}


def check_option(name: str) -> None:
    """Raise UsageError where one of NAMED has an option that it does not take, as in "gfnff:pbe"."""
    head, colon, option = name.partition(":")
    if colon and not (NAMED[head].has_option and option):
        wanted = f"{head} alone, or such as {head}:pbe0" if NAMED[head].has_option else f"{head} alone"
        raise UsageError(f"baseline: {head} has no option {option!r}; write {wanted}.")


def made(name: str) -> "Calculator":
    """The calculator of a name, "gfnff" or "d4:pbe0".  Raises UsageError where it is none of NAMED, or is not
    installed, or does not know its option."""
    head, _, option = name.partition(":")
    if head not in NAMED:
        raise UsageError(
            f"baseline: the model is a difference to {name!r}, which a file cannot hold; give that ASE "
            "calculator with `model.with_calculator(calculator)`."
        )
    try:
        return NAMED[head].make(option)
    except ImportError as error:
        _, package, extra, _ = NAMED[head]
        raise UsageError(
            f"baseline: {head} needs the package {package}, which is not installed; pip install 'gossamer[{extra}]'."
        ) from error


@dataclass(frozen=True, eq=False)
class CalculatorBaseline:
    """Energies and forces of an ASE calculator for atoms `numbers` (N,).

    name: one of NAMED, with its option after a colon, or what the user calls it; calculator None: made from the name at
    the first call."""

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

        if self.calculator is None:
            object.__setattr__(self, "calculator", made(self.name))
        energies, forces = np.empty(len(positions)), np.empty(positions.shape)
        for q, structure in enumerate(positions):
            atoms = Atoms(self.numbers, structure, calculator=self.calculator)
            try:
                energies[q], forces[q] = atoms.get_potential_energy(), atoms.get_forces()
            except Exception as error:  # calculators raise whatever their programs meet
                why = (str(error).strip().splitlines() or [type(error).__name__])[0]
                where = f" at structure {q}" if len(positions) > 1 else ""
                raise DataError(f"baseline: {self.name} fails{where} ({why}); leave such structures out.") from error
        return energies, forces

    def keeps(self, perms: np.ndarray) -> np.ndarray:
        """All of atom permutations perms (S, N): a physical method knows like atoms as such."""
        return np.ones(len(perms), dtype=bool)

    def to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"kind": self.kind, "name": self.name}, {}
