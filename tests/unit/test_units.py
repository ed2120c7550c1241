"""Named units: ASE's constants, every spelling, and a sentence for an unknown one."""

import ase.units
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.data.formats.raw import force_unit
from gossamer.errors import UnitsError
from gossamer.units import _ALIASES, ENERGY, LENGTH, energy_in_ev, energy_unit, length_in_angstrom, length_unit


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eV", 1.0),
        ("meV", 1e-3),
        ("Hartree", ase.units.Hartree),
        ("Rydberg", ase.units.Rydberg),
        ("kcal/mol", ase.units.kcal / ase.units.mol),
        ("kJ/mol", ase.units.kJ / ase.units.mol),
    ],
)
def test_energies_are_those_of_ase(name, value):
    assert energy_in_ev(name) == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize(
    ("name", "value"), [("Angstrom", 1.0), ("Bohr", ase.units.Bohr), ("nm", ase.units.nm), ("pm", 0.01)]
)
def test_lengths_are_those_of_ase(name, value):
    assert length_in_angstrom(name) == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize(
    ("spelling", "unit"),
    [("ha", "Hartree"), ("a.u.", "Hartree"), ("kcal", "kcal/mol"), ("KCAL/MOL", "kcal/mol"), (" ev ", "eV")],
)
def test_energy_spellings(spelling, unit):
    assert energy_unit(spelling) == unit


@pytest.mark.parametrize(("spelling", "unit"), [("Ang", "Angstrom"), ("a0", "Bohr"), ("au", "Bohr"), ("Å", "Angstrom")])
def test_length_spellings(spelling, unit):
    assert length_unit(spelling) == unit


@given(st.text(max_size=12) | st.sampled_from([*ENERGY, *LENGTH]))
def test_a_name_is_known_or_gives_one_sentence(text):
    for function, table in ((energy_unit, ENERGY), (length_unit, LENGTH)):
        if text.strip() in table:
            assert function(text) == text.strip()
        elif text.strip().lower() not in _ALIASES:
            with pytest.raises(UnitsError, match="not known; use one of"):
                function(text)


def test_force_units_are_energy_over_length():
    spelling, value = force_unit("ha/a0")
    assert spelling == "Hartree/Bohr"
    assert value == pytest.approx(ase.units.Hartree / ase.units.Bohr, rel=1e-8)
    assert force_unit("kcal/mol/Ang") == ("kcal/mol/Angstrom", energy_in_ev("kcal/mol"))


@pytest.mark.parametrize("name", ["eV", "furlong/eV", "eV/furlong", "/", ""])
def test_unknown_force_units(name):
    with pytest.raises(UnitsError, match="not known"):
        force_unit(name)
