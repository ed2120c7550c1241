"""Named units: ASE's constants, every spelling, and a sentence for an unknown one."""

import contextlib

import ase.units
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import UnitsError
from gossamer.units import energy_in_ev, energy_unit, force_unit, length_in_angstrom, length_unit


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


@given(st.text(max_size=30) | st.from_regex(r"[a-zA-Z/ ^-]{0,12}", fullmatch=True))
def test_any_text_is_a_unit_or_gives_one_sentence(text):
    for function in (energy_unit, length_unit, force_unit):
        with contextlib.suppress(UnitsError):
            function(text)


ENERGY_WORDS = {
    "eV": ["eV", "ev", "EV", "electronvolt", "electron volts"],
    "Hartree": ["Hartree", "hartrees", "HARTREE", "Ha", "Eh", "E_h", "au", "a.u.", "atomic_units"],
    "Rydberg": ["Ry", "rydberg"],
    "kcal/mol": [
        "kcal/mol",
        "kcal mol-1",
        "kcal mol^-1",
        "kcal.mol⁻¹",
        "kcal per mole",
        "KCAL_PER_MOL",
        "kcal",
        "kcal-mol-1",
    ],
    "kJ/mol": ["kJ/mol", "kj mol**-1", "kJ mol^{-1}", "kilojoules per mole"],
}
LENGTH_WORDS = {
    "Angstrom": ["Angstrom", "angstroms", "Ang", "A", "Å", "A\u030a", "\u212b", "ångström", "angstroem"],
    "Bohr": ["Bohr", "bohrs", "a0", "a_0", "au", "A.U."],
    "nm": ["nm", "nanometre"],
}
OVER = ["/", " / ", " per ", "_per_", "-per-"]
INVERSE = ["-1", "^-1", "**-1", "⁻¹", "^(-1)", "^{-1}"]


@given(st.data())
def test_however_a_unit_is_spelled(data):
    energy, length = data.draw(st.sampled_from(list(ENERGY_WORDS))), data.draw(st.sampled_from(list(LENGTH_WORDS)))
    above, below = data.draw(st.sampled_from(ENERGY_WORDS[energy])), data.draw(st.sampled_from(LENGTH_WORDS[length]))
    assert energy_unit(above) == energy
    assert length_unit(below) == length
    over = data.draw(st.sampled_from(OVER).map(lambda text: text + below))
    times = st.tuples(st.sampled_from([" ", "*", "·", " * "]), st.sampled_from(INVERSE)).map(
        lambda t: t[0] + below + t[1]
    )
    name = above + (data.draw(times) if data.draw(st.booleans()) else over)
    value = pytest.approx(energy_in_ev(energy) / length_in_angstrom(length), rel=1e-12)
    assert force_unit(name) == (f"{energy}/{length}", value)


@pytest.mark.parametrize("name", ["au", "a.u.", "A.U.", "atomic units"])
def test_atomic_units_of_force(name):
    assert force_unit(name)[0] == "Hartree/Bohr"


@pytest.mark.parametrize(
    "name", ["nonsense", "eV/atom", "eV eV", "Angstrom", "1/eV", "eV2", "mol", "kcal/mol/mol", "-eV-1"]
)
def test_what_is_no_energy(name):
    with pytest.raises(UnitsError, match="not known; use one of"):
        energy_unit(name)


def test_a_long_unit_makes_a_short_sentence():
    with pytest.raises(UnitsError) as error:
        energy_unit("x" * 100_000)
    assert len(str(error.value)) < 200


def test_force_units_are_energy_over_length():
    spelling, value = force_unit("ha/a0")
    assert spelling == "Hartree/Bohr"
    assert value == pytest.approx(ase.units.Hartree / ase.units.Bohr, rel=1e-8)
    assert force_unit("kcal/mol/Ang") == ("kcal/mol/Angstrom", energy_in_ev("kcal/mol"))


@pytest.mark.parametrize("name", ["eV", "furlong/eV", "eV/furlong", "/", "", "eV/A/A", "A/eV", "eV/mol/A", "kcal/mol"])
def test_unknown_force_units(name):
    with pytest.raises(UnitsError, match="not known"):
        force_unit(name)
