"""Any file of the xyz family: what random writers write comes back, and whatever is done to a file, the answer is its
numbers or one sentence of ours."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gossamer.data.formats import read
from gossamer.errors import GossamerError
from gossamer.units import ENERGY, LENGTH, energy_in_ev, force_unit, length_in_angstrom

HOW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
numbers = st.floats(-1e5, 1e5, allow_nan=False, width=64)
styles = st.sampled_from(
    [repr, "{:.17e}".format, lambda x: f"{x:.17E}".replace("E", "D"), lambda x: f"np.float64({x!r})"]
)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)
SPELLINGS = {
    "eV": ["eV", "ev", "EV"], "Hartree": ["Hartree", "ha", "au", '"atomic units"'],
    "kcal/mol": ["kcal/mol", '"kcal mol-1"'],
    "kJ/mol": ["kJ/mol", '"kJ mol^-1"'], "meV": ["meV"], "Rydberg": ["Ry"],
    "Angstrom": ["Ang", "A", "angstrom"], "Bohr": ["bohr", "a0"], "nm": ["nm"], "pm": ["pm"],
}  # fmt: skip


@st.composite
def files(draw):
    """The text of a file, and what it says: positions, forces, energies in Angstrom and eV."""
    n, atoms = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    r, f = (np.array(draw(st.lists(numbers, min_size=n * atoms * 3, max_size=n * atoms * 3))) for _ in range(2))
    e = np.array(draw(st.lists(numbers, min_size=n, max_size=n)))
    r, f = r.reshape(n, atoms, 3), f.reshape(n, atoms, 3)
    energy, length, per = draw(st.sampled_from(list(ENERGY))), *(draw(st.sampled_from(list(LENGTH))) for _ in range(2))
    spelled = {unit: draw(st.sampled_from(SPELLINGS[unit])) for unit in (energy, length, per)}
    order = draw(st.permutations(["species:S:1", "pos:R:3", "forces:R:3", "note:S:1", "spin:R:2"]))
    style, blank = draw(styles), draw(st.sampled_from([[], [""], ["", " \t"]]))
    force = f"{spelled[energy]}/{spelled[per]}".replace('"', "")
    fields = [
        f'energy_unit={spelled[energy]}', f"length_unit={spelled[length]}", f'force_unit="{force}"',
        f"Properties={':'.join(order)}",
    ]  # fmt: skip
    fields.append('text="' + draw(words).replace("\\", "\\\\").replace('"', '\\"') + '"')
    lines = []
    for row in range(n):
        comment = draw(st.permutations([*fields, f"energy={style(float(e[row]))}"]))
        lines += [str(atoms), " ".join(comment)]
        for atom in range(atoms):
            words_of = {
                "species": ["H"], "note": ["x1"], "spin": ["0.5", "-0.5"],
                "pos": [style(float(x)) for x in r[row, atom]], "forces": [style(float(x)) for x in f[row, atom]],
            }  # fmt: skip
            lines.append(" ".join(word for column in order for word in words_of[column.split(":")[0]]))
        lines += blank
    factors = length_in_angstrom(length), force_unit(f"{energy}/{per}")[1], energy_in_ev(energy)
    return "\n".join(lines) + "\n", r * factors[0], f * factors[1], e * factors[2]


@HOW
@given(files(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_what_any_writer_writes_comes_back(tmp_path, written, encoding):
    text, positions, forces, energies = written
    path = tmp_path / "a.xyz"
    path.write_bytes(text.encode(encoding))
    data = read(path)
    np.testing.assert_allclose(data.positions, positions, rtol=1e-12)
    np.testing.assert_allclose(data.forces, forces, rtol=1e-12)
    np.testing.assert_allclose(data.energies, energies, rtol=1e-12)
    assert "left out" not in data.provenance.read


@HOW
@given(st.lists(st.tuples(words, words), max_size=4), words)
@example([], 'a="')
@example([("a", "[[["), ("b", "}{")], "= = ==")
def test_any_comment_leaves_the_positions_alone(tmp_path, pairs, text):
    comment = " ".join([*(f"x{key}={value}" for key, value in pairs), text]).replace("\r", " ")
    path = tmp_path / "a.xyz"
    path.write_text(f"2\n{comment}\nH 0 0 0\nF 0 0 0.92\n", encoding="utf-8")
    with contextlib.suppress(GossamerError):  # a comment may say anything, also a unit that is none
        assert read(path, energy_unit="eV", forces_unit="eV/A").positions.tolist() == [[[0, 0, 0], [0, 0, 0.92]]]


SEEDS = [
    "2\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1.5 energy_unit=eV\nH 0.0 0.0 0.0 1.0 2.0 3.0\n"
    "F 0.0 0.0 0.92 -1.0 -2.0 -3.0\n" * 3,
    "2\n-1.25\nH 0.0 0.0 0.0 1.0 2.0 3.0\nF 0.0 0.0 0.92 -1.0 -2.0 -3.0\n" * 3,
    '2\nLattice="9 0 0 0 9 0 0 0 9" pbc="T T F" energy="-1 Ha"\nH1 0.0 0.0 8.9\nF 0.0 0.0 0.82\n' * 2,
    "2\n energy: -15.4 gnorm: 0.01 xtb: 6.5.1\n1 0.0 0.0 0.0\n9 0.0 0.0 0.92\n\n" * 3,
]
POISON = [
    b"", b"\n", b" ", b"=", b'"', b"[", b"{", b"\\", b":", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"nan", b"inf",
    b"1e999", b"-", b"9" * 400, b"999999999999", b"1e308", b"0", b"NaN NaN NaN", b"\t", b"\r", b"H", b"R:999999999",
    b"-1", b"_", b"(",
    b'Lattice="0 0 0 0 0 0 0 0 0"', b'Lattice="nan 0 0 0 1 0 0 0 1"', b"energy_unit=", b"units=furlong", b"\xc3\xa5",
]  # fmt: skip


@st.composite
def damaged(draw):
    """A valid file with bytes, words and lines replaced, doubled, moved or cut away."""
    data = draw(st.sampled_from(SEEDS)).encode()
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 12)))
        kind = draw(st.sampled_from(["replace", "double", "cut", "line", "swap"]))
        if kind == "replace":
            data = data[:start] + draw(st.sampled_from(POISON) | st.binary(max_size=4)) + data[stop:]
        elif kind == "double":
            data = data[:stop] + data[start:]
        elif kind == "cut":
            data = data[:start]
        else:
            lines = data.split(b"\n")
            one, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
            lines[one] = lines[other] if kind == "swap" else draw(st.sampled_from(POISON))
            data = b"\n".join(lines)
    return data


@pytest.mark.filterwarnings("error")
@settings(HOW, max_examples=300)
@given(damaged(), st.sampled_from(["a.xyz", "a.trj", "a"]))
def test_no_damage_gives_anything_but_numbers_or_one_sentence(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    try:
        data = read(path, energy_unit="eV", forces_unit="eV/A", length_unit="A")
    except GossamerError as error:
        text = str(error)
    else:
        for array in (data.positions, data.forces, data.energies):
            assert array is None or np.isfinite(array).all()
        text = "a sentence."
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 1000


@pytest.mark.parametrize(
    "content",
    [
        b"999999999999\n\nH 0 0 0\n", b"1\nProperties=species:S:1:pos:R:3:x:R:999999999\nH 0 0 0\n",
        b"1\n" + b"a=[" * 200_000,
        b"1\n" + b"=" * 500_000 + b"\nH 0 0 0\n", b"1\n" + b" " * 500_000 + b"1.5\nH 0 0 0\n", b"1\n" * 20_000,
        b"1\n" + b"energy " * 100_000 + b"\nH 0 0 0\n", b"1\n-1.5" + b" a" * 200_000 + b"\nH 0 0 0\n",
        b"1\n-1.5;" + b"[1" * 200_000 + b"\nH 0 0 0\n", b'1\na="' + b"\\" * 400_000 + b"\nH 0 0 0\n",
        b"1\nProperties=" + b"a:R:1:" * 50_000 + b"pos:R:3\nH 0 0 0\n", b"1\nenergy=-1 energy_unit=" + b"e" * 400_000,
    ],
    ids=range(12),
)  # fmt: skip
def test_hostile_files_take_little_memory(tmp_path, content):
    path = tmp_path / "a.xyz"
    path.write_bytes(content)
    tracemalloc.start()
    with contextlib.suppress(GossamerError):
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
