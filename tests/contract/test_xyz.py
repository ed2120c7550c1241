"""The xyz family: what other programs write is read with the right numbers, or refused with the line that is wrong."""

import bz2
import gzip
import lzma
import os
import re

import numpy as np
import pytest
from ase.units import Bohr, Hartree, kcal, mol

from gossamer.data.formats import read
from gossamer.errors import DataError, GossamerError, UnitsError, UsageError

SYMBOLS = ("C", "Cl", "H", "H", "H")
SHAPE = np.array([[0.0, 0, 0], [1.78, 0, 0], [-0.35, 1.03, 0], [-0.35, -0.51, 0.89], [-0.35, -0.51, -0.89]])
EXTENDED = "Properties=species:S:1:pos:R:3:forces:R:3 energy={} energy_unit=eV"


def chloromethane(n=4, seed=0):
    """Positions (n, 5, 3), made-up forces (n, 5, 3) and energies (n,) with eight decimals."""
    rng = np.random.default_rng(seed)
    positions = SHAPE + 0.03 * rng.normal(size=(n, 5, 3))
    return positions.round(8), rng.normal(size=(n, 5, 3)).round(8), (rng.normal(size=n) - 500).round(8)


POSITIONS, FORCES, ENERGIES = chloromethane()


def frame(row, comment, *, labels=SYMBOLS, forces=True, style="{:.8f}".format, positions=POSITIONS):
    """The lines of one frame."""
    columns = np.hstack([positions[row], FORCES[row]]) if forces else positions[row]
    atoms = [f"{label} {' '.join(map(style, line))}" for label, line in zip(labels, columns, strict=True)]
    return ["5", comment.format(ENERGIES[row]), *atoms]


def lines(comment=EXTENDED, n=4, **options):
    return [line for row in range(n) for line in frame(row, comment, **options)]


def save(path, text, encoding="utf-8"):
    path.write_bytes(("\n".join(text) + "\n" if isinstance(text, list) else text).encode(encoding))
    return path


def assert_read(data, rows=(0, 1, 2, 3), *, forces=1.0, energies=1.0, positions=1.0):
    """That the structures `rows` came back, labels multiplied by these factors; None: that there are none."""
    rows = list(rows)
    np.testing.assert_allclose(data.positions, POSITIONS[rows] * positions, rtol=1e-12)
    assert data.numbers.tolist() == [6, 17, 1, 1, 1]
    for found, right, factor in ((data.forces, FORCES, forces), (data.energies, ENERGIES, energies)):
        if factor is None:
            assert found is None
        else:
            np.testing.assert_allclose(found, right[rows] * factor, rtol=1e-9)


def refused(path, **options):
    """The one sentence with which a file is refused."""
    with pytest.raises(GossamerError) as error:
        read(path, **options)
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert text.isprintable()
    return text


# where frames begin and end


@pytest.mark.parametrize("between", [[""], ["", "   ", "\t"], ["", ""]])
def test_blank_lines_between_and_after_frames(tmp_path, between):
    text = [line for row in range(4) for line in [*frame(row, EXTENDED), *between]]
    assert_read(read(save(tmp_path / "a.xyz", between + text)))


def test_blank_lines_between_atoms(tmp_path):
    text = [line for row in range(4) for line in [*frame(row, EXTENDED)[:5], "", *frame(row, EXTENDED)[5:]]]
    assert_read(read(save(tmp_path / "a.xyz", text)))


def test_blank_comments(tmp_path):
    assert_read(read(save(tmp_path / "a.xyz", lines("", forces=False))), forces=None, energies=None)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ends_of_lines(tmp_path, end):
    assert_read(read(save(tmp_path / "a.xyz", end.join(lines()) + end)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path, encoding):
    assert_read(read(save(tmp_path / "a.xyz", lines(EXTENDED + " theory=Møller-Plesset"), encoding)))


def test_files_put_together_with_their_byte_order_marks(tmp_path):
    text = "\n".join([*lines(n=2), "\ufeff" + "\n".join(lines()[14:])]) + "\n"
    assert_read(read(save(tmp_path / "a.xyz", text, "utf-8-sig")))


@pytest.mark.parametrize(("module", "suffix"), [(gzip, ".gz"), (bz2, ".bz2"), (lzma, ".xz"), (gzip, "")])
def test_packed_files(tmp_path, module, suffix):
    with module.open(tmp_path / f"a.xyz{suffix}", "wb") as file:
        file.write(save(tmp_path / "b.xyz", lines()).read_bytes())
    assert_read(read(tmp_path / f"a.xyz{suffix}"))


@pytest.mark.parametrize("name", ["a.xyz", "a.XYZ", "a.extxyz", "a.trj", "xtbopt.log", "trajectory", "md.dat"])
def test_whatever_the_file_is_called(tmp_path, name):
    assert_read(read(save(tmp_path / name, lines())))


def test_a_trj_of_another_kind_is_not_taken_for_xyz(tmp_path):
    assert "xyz" not in refused(save(tmp_path / "a.trj", "MDTRAJ\n1 2 3\n")).replace("extxyz", "")


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_last_frame_that_breaks_off_is_left_out_and_named(tmp_path, cut):
    data = read(save(tmp_path / "a.xyz", lines()[:-cut]))
    assert_read(data, range(3))
    assert "frame 3 (line 22)" in data.provenance.read["left out"]
    assert data.frames.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kept", range(2, 150, 7))
def test_a_file_cut_anywhere_holds_no_wrong_number(tmp_path, kept):
    whole = "\n".join(lines(n=2)) + "\n"
    path = save(tmp_path / "a.xyz", whole[: len(whole) // 2 + kept])
    assert_read(read(path), range(1))
    assert "frame 1" in read(path).provenance.read.get("left out", "frame 1")


def test_every_cut_of_the_last_line(tmp_path):
    whole = "\n".join(lines(n=2))
    for cut in range(1, len(lines()[-1]) + 2):
        data = read(save(tmp_path / "a.xyz", whole[:-cut]))
        assert_read(data, range(1))
        assert "frame 1" in data.provenance.read["left out"]
    assert_read(read(save(tmp_path / "a.xyz", whole)), range(2))


def test_a_frame_that_breaks_off_before_the_next_is_left_out_and_named(tmp_path):
    text = lines()
    data = read(save(tmp_path / "a.xyz", text[:7] + text[7:11] + text[14:]))
    assert_read(data, (0, 2, 3))
    assert data.frames.tolist() == [0, 2, 3]
    assert data.provenance.read["left out"] == "frame 1 (line 8), it has 2 of 5 atoms"
    torn = [*text[:13], text[13][:20], *text[14:]]
    data = read(save(tmp_path / "b.xyz", torn))
    assert_read(data, (0, 2, 3))
    assert "its last line is cut" in data.provenance.read["left out"]


def test_index_counts_complete_frames_and_keeps_numbers(tmp_path):
    text = lines()
    path = save(tmp_path / "a.xyz", text[:11] + text[14:])
    for index, rows in (("1", [2]), ("-1", [3]), ("1:", [2, 3]), ("::2", [0, 3]), (":1", [0])):
        data = read(path, index=index)
        assert_read(data, rows)
        assert data.frames.tolist() == rows
    assert "none of its 3" in refused(path, index="7:9")


WRONG = {
    "text after the frames": ([*lines(), "end of file"], "line 29 should be the number of atoms of frame 4"),
    "too few atoms declared": (["4", *lines()[1:]], "line 7 should be the number of atoms of frame 1"),
    "too many atoms declared": (["6", *lines(n=1)[1:]], "no frame is complete: frame 0 (line 1), it has 5 of 6"),
    "no atoms": (["0", "", *lines()], "line 1 should be the number of atoms"),
    "minus five atoms": (["-5", *lines()[1:]], "line 1 should be"),
    "half an atom": (["5.5", *lines()[1:]], "line 1 should be"),
    "no comment": ([line for line in lines(forces=False) if "energy" not in line], "no frame is complete"),
    "a word for a number": ([*lines()[:3], "Cl 1.0 x 0 0 0 0", *lines()[4:]], "line 4 holds 'x' where a number"),
    "stars": ([*lines()[:3], "Cl 1.0 ******** 0 0 0 0", *lines()[4:]], "line 4 holds '********'"),
    "a decimal comma": ([*lines()[:3], "Cl 1,0 0,0 0 0 0 0", *lines()[4:]], "a point as the decimal sign"),
    "digits grouped": ([*lines()[:3], "Cl 1_0 0 0 0 0 0", *lines()[4:]], "line 4 holds '1_0'"),
    "a column short": ([*lines()[:3], "Cl 1 0 0 0 0", *lines()[4:]], "line 4 should hold 7 columns as Properties say"),
    "a column more": ([*lines()[:3], "Cl 1 0 0 0 0 0 0", *lines()[4:]], "line 4 should hold 7 columns"),
    "a dummy atom": ([line.replace("Cl", "X") for line in lines()], "line 4 begins with 'X', which is no element"),
    "atomic number 0": ([line.replace("Cl", "0") for line in lines()], "line 4 begins with '0'"),
    "a ghost atom": ([line.replace("Cl", "Bq") for line in lines()], "'Bq', which is no element"),
    "columns that cannot be": (["1", "Properties=species:S:1:pos:R:999999999", "H 0 0 0"], "names no pos:R:3"),
    "minus three columns": (["1", "Properties=species:S:1:pos:R:-3", "H 0 0 0"], "is not name:type:columns"),
    "no positions": (["1", "Properties=species:S:1", "H 0 0 0"], "names no pos"),
    "no species": (["1", "Properties=id:I:1:pos:R:3", "1 0 0 0"], "names no species"),
    "a billion columns": (["1", "Properties=species:S:1:pos:R:3:x:R:999999999", "H 0 0 0"], "should hold 1000000003"),
    "more atoms than the file": (["999999999999", "", "H 0 0 0"], "it has 1 of 999999999999 atoms"),
    "more digits than a number": (["9" * 5000, "", "H 0 0 0"], "line 1 should be"),
    "two elements": (["1", "Properties=species:S:1:Z:I:1:pos:R:3", "H 6 0 0 0"], "names two elements, 'H' and '6'"),
    "a box of words": (["1", 'Lattice="a b c"', "H 0 0 0"], "Lattice that is not nine numbers"),
    "an energy twice": (["1", "energy=1 energy=2", "H 0 0 0"], "gives 'energy' twice"),
    "zero bytes": ("\0\0\0\0", "line 1 should be"),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_sentence_with_the_line(tmp_path, name):
    text, words = WRONG[name]
    assert words in refused(save(tmp_path / "a.xyz", text), energy_unit="eV")


# atoms and numbers


@pytest.mark.parametrize(
    "labels",
    [
        ("6", "17", "1", "1", "1"), ("6.0", "17.0", "1", "1", "1"), ("C1", "Cl1", "H1", "H2", "H12"),
        ("c", "CL", "h", "h", "D"), ("C_1", "Cl_2", "H_3", "H'", "H1'"), ("C(1)", "Cl-", "H+1", "H3a", "H"),
        ("006", "017", "001", "001", "001"),
    ],
)  # fmt: skip
def test_atoms_however_they_are_named(tmp_path, labels):
    data = read(save(tmp_path / "a.xyz", lines(labels=labels)))
    assert_read(data)
    assert ("labels such as" in data.provenance.read["atoms"]) == any(
        re.search(r"[A-Za-z][^A-Za-z]", x) for x in labels
    )


def test_columns_in_any_order(tmp_path):
    header = "Properties=tag:I:1:forces:R:3:Z:I:1:label:S:1:pos:R:3:fixed:L:3 energy={} energy_unit=eV"
    text = []
    for row in range(4):
        _, comment, *atoms = frame(row, header)
        words = [atom.split() for atom in atoms]
        text += ["5", comment]
        text += [
            " ".join(["7", *w[4:], str(z), "any", *w[1:4], "T F T"])
            for w, z in zip(words, (6, 17, 1, 1, 1), strict=True)
        ]
    data = read(save(tmp_path / "a.xyz", text))
    assert_read(data)
    assert "tag, label, fixed not read" in data.provenance.read["columns"]


@pytest.mark.parametrize(
    "style",
    [
        repr, "{:+.8f}".format, "{:.12e}".format, lambda x: f"{x:.12E}".replace("E", "D"),
        lambda x: f"np.float64({x!r})", lambda x: f"{x:25.10f}",
    ],
)  # fmt: skip
def test_numbers_however_they_are_printed(tmp_path, style):
    text = lines(style=lambda x: style(float(x)))
    assert_read(read(save(tmp_path / "a.xyz", text)))


# energies and forces wherever they stand

HARTREE_COMMENTS = [
    "Coordinates from ORCA-job mol E {}",
    "Coordinates from ORCA-job my.job E  {} ",
    " energy: {} gnorm: 0.001234 xtb: 6.5.1 (579679a)",
    " i =        7, time =        3.500, E =       {}",
    "Iteration 12 Energy  {}",
]


@pytest.mark.parametrize("comment", HARTREE_COMMENTS)
def test_energies_in_the_comments_of_programs_are_in_hartree(tmp_path, comment):
    data = read(save(tmp_path / "a.xyz", lines(comment, forces=False)))
    assert_read(data, forces=None, energies=Hartree)
    assert data.provenance.energy_unit == "Hartree"


@pytest.mark.parametrize(
    "comment",
    [
        "energy = {}", "Energy: {}", "E={}", "E = {} step 5", "step 5, energy {}", "total energy is {}",
        "SCF Energy: {}", "Etot={}", "t=1.5 Epot = {}", 'energy="{}"', "energy={{{}}}", "energy=[{}]", "{}", "  {} ",
        "energy=np.float64({})", "energy=array({})", "Total Energy = {}",
    ],
)  # fmt: skip
def test_energies_in_comments_need_a_unit(tmp_path, comment):
    path = save(tmp_path / "a.xyz", lines(comment, forces=False))
    assert_read(read(path, energy_unit="kJ/mol"), forces=None, energies=kcal / mol / 4.184)
    assert "unit of its energies" in refused(path)


@pytest.mark.parametrize(
    ("comment", "factor"),
    [
        ('energy="{} eV"', 1), ("energy={} eV", 1), ("energy_eV={}", 1), ("energy(Ha)={}", Hartree),
        ("Energy (Hartree): {}", Hartree), ("Energy = {} Eh", Hartree), ("energy: {} [kcal/mol]", kcal / mol),
        ("energy={} units_energy=Ha", Hartree), ("energy={} EnergyUnits=HARTREE", Hartree), ("{} eV", 1),
        ("energy={} energy-unit=kcal-mol-1", kcal / mol), ('energy={} "energy unit"=hartree', Hartree),
        ('energy={} e_unit="kcal mol^-1"', kcal / mol), ("total_energy_kcal_mol={}", kcal / mol),
    ],
)  # fmt: skip
def test_units_beside_the_number_are_believed(tmp_path, comment, factor):
    data = read(save(tmp_path / "a.xyz", lines(comment, forces=False)))
    assert_read(data, forces=None, energies=factor)


def test_sgdml_plain_format(tmp_path):
    path = save(tmp_path / "a.xyz", lines("{}"))
    data = read(path, energy_unit="kcal/mol")
    assert_read(data, forces=kcal / mol, energies=kcal / mol)
    assert "columns5-7" in data.provenance.read["forces"]
    assert "energies and forces" in refused(path)


@pytest.mark.parametrize("tail", [";{}", "; {} ", ";{} ;"])
def test_md17_with_forces_in_the_comment(tmp_path, tail):
    text = []
    for row in range(4):
        listed = "[" + ", ".join(f"[{x}, {y}, {z}]" for x, y, z in FORCES[row].tolist()) + "]"
        text += frame(row, "{}", forces=False)
        text[-6] += tail.format(listed)
    assert_read(read(save(tmp_path / "a.xyz", text), energy_unit="kcal/mol"), forces=kcal / mol, energies=kcal / mol)


def test_columns_without_a_name_are_not_taken_for_forces_but_named(tmp_path):
    path = save(tmp_path / "a.xyz", lines("energy={} energy_unit=eV"))
    data = read(path)
    assert_read(data, forces=None)
    assert "--forces-key columns5-7" in data.provenance.read["columns"]
    assert_read(read(path, forces_key="columns5-7"))


def test_times_in_comments_are_no_energies(tmp_path):
    for times in ("0.5 1.0 1.5 2.0", "0.0 0.0 0.0 0.0", "1 2 3 4"):
        text = [line for row, time in enumerate(times.split()) for line in frame(row, time, forces=False)]
        assert_read(read(save(tmp_path / "a.xyz", text)), forces=None, energies=None)


def test_a_comment_that_is_not_understood_is_shown(tmp_path):
    data = read(save(tmp_path / "a.xyz", lines("gdb 7 -12.5 13.75 0.25", forces=False)))
    assert_read(data, forces=None, energies=None)
    assert "no energy was found in 'gdb 7 -12.5 13.75 0.25'" in data.provenance.read["comment"]


def test_what_was_not_read_is_named(tmp_path):
    header = EXTENDED.replace("forces:R:3", "velocities:R:3") + " dipole='1 2 3' step=7"
    read_of = read(save(tmp_path / "a.xyz", lines(header))).provenance.read
    assert read_of["columns"] == "velocities not read"
    assert read_of["comment"] == "step not read"
    assert read_of["dipoles"].startswith("comment key 'dipole' not read: nothing says their unit")


@pytest.mark.parametrize(
    "energy", ["energy", "Energy", "REF_energy", "dft-energy", "E", "TotEnergy", "total_energy", "etot"]
)
@pytest.mark.parametrize("forces", ["forces", "Force", "REF_forces", "dft_force", "F", "gradient", "Gradients"])
def test_usual_names_beside_each_other(tmp_path, energy, forces):
    header = f"Properties=species:S:1:pos:R:3:{forces}:R:3 {energy}={{}} energy_unit=eV"
    assert_read(read(save(tmp_path / "a.xyz", lines(header))), forces=-1 if "grad" in forces.lower() else 1)


# units of forces

FORCE_UNITS = {
    "Hartree/Bohr": Hartree / Bohr, "hartree/bohr": Hartree / Bohr, "Ha/bohr": Hartree / Bohr, "au": Hartree / Bohr,
    '"hartree per bohr"': Hartree / Bohr, '"Eh a0^-1"': Hartree / Bohr, "eV/Ang": 1, "EV/ANGSTROM": 1, "eV/Å": 1,
    '"kcal mol-1 A-1"': kcal / mol, "kcal/mol/Ang": kcal / mol, '"kcal/(mol Å)"': kcal / mol,
}  # fmt: skip


@pytest.mark.parametrize("key", ["force_unit", "forces-units", "ForceUnits", '"f unit"', "gradient_units"])
@pytest.mark.parametrize("unit", FORCE_UNITS)
def test_a_declared_force_unit_is_believed(tmp_path, key, unit):
    header = EXTENDED.replace("eV", "Hartree") + f" {key}={unit}"
    data = read(save(tmp_path / "a.xyz", lines(header)))
    assert_read(data, energies=Hartree, forces=FORCE_UNITS[unit])


def test_a_unit_in_the_name_of_the_column_is_believed(tmp_path):
    for name, factor in (("forces_Ha_bohr", Hartree / Bohr), ("forces(eV/A)", 1), ("force_kcal_mol_A", kcal / mol)):
        header = f"Properties=species:S:1:pos:R:3:{name}:R:3 energy={{}} energy_unit=Hartree"
        assert_read(read(save(tmp_path / "a.xyz", lines(header))), energies=Hartree, forces=factor)


@pytest.mark.parametrize(
    ("units", "factor"), [('"eV, eV/Ang"', 1), ("kcal/mol", kcal / mol), ('"Ha;Ha/Bohr"', None), ("au", None)]
)
def test_one_key_for_all_units(tmp_path, units, factor):
    data = read(save(tmp_path / "a.xyz", lines(EXTENDED.replace("energy_unit=eV", f"units={units}"))))
    assert_read(data, energies=factor or Hartree, forces=factor or Hartree / Bohr)
    header = EXTENDED.replace("energy_unit=eV", "units=metal")
    assert "energies and forces" in refused(save(tmp_path / "b.xyz", lines(header)))


def test_forces_in_three_columns_of_their_own(tmp_path):
    header = EXTENDED.replace("forces:R:3", "fx:R:1:fy:R:1:fz:R:1")
    assert_read(read(save(tmp_path / "a.xyz", lines(header))))
    header = EXTENDED.replace("forces:R:3", "fz:R:1:fy:R:1:fx:R:1")
    assert "fz, fy, fx not read" in read(save(tmp_path / "b.xyz", lines(header))).provenance.read["columns"]


def test_remarks_behind_the_numbers(tmp_path):
    for remark in (" # at rest", " methyl", " a b c"):
        text = [line + remark if row % 7 > 1 else line for row, line in enumerate(lines("", forces=False))]
        data = read(save(tmp_path / "a.xyz", text))
        assert_read(data, forces=None, energies=None)
        assert "not read" in data.provenance.read["columns"]


def test_lengths_in_the_declared_unit(tmp_path):
    header = EXTENDED + " positions_unit=bohr force_unit=eV/Ang"
    path = save(tmp_path / "a.xyz", lines(header, positions=POSITIONS / Bohr, style=repr))
    np.testing.assert_allclose(read(path).positions, POSITIONS, rtol=1e-12)


@pytest.mark.parametrize("key", ["energy_unit", "energy-units", "force_unit", "length_unit"])
def test_a_unit_that_is_none_is_an_error_about_that_unit(tmp_path, key):
    header = EXTENDED.replace("energy_unit=eV", "energy_unit=Ry") if "energy" not in key else EXTENDED[:-15]
    path = save(tmp_path / "a.xyz", lines(header + f" {key}=nonsense"))
    with pytest.raises(UnitsError, match="'nonsense' is not known"):
        read(path)
    assert_read(read(path, energy_unit="eV", forces_unit="eV/A", length_unit="A"))


def test_frames_that_spell_one_unit_differently_agree(tmp_path):
    text = lines(EXTENDED, n=2) + lines(EXTENDED.replace("=eV", "=ev"))[14:]
    assert_read(read(save(tmp_path / "a.xyz", text)))
    text = lines(EXTENDED, n=2) + lines(EXTENDED.replace("=eV", "=Hartree"))[14:]
    assert "different units (Hartree, eV)" in refused(save(tmp_path / "a.xyz", text))


# boxes


def test_molecules_cut_by_their_box_are_made_whole(tmp_path):
    box = np.array([[7.0, 0, 0], [1.0, 8.0, 0], [0.5, -1.0, 9.0]])
    shifted = POSITIONS + np.array([6.5, 0.1, 8.8])
    wrapped = np.linalg.solve(box.T, shifted.reshape(-1, 3).T).T % 1 @ box
    header = EXTENDED + ' Lattice="7 0 0 1 8 0 0.5 -1 9"'
    data = read(save(tmp_path / "a.xyz", lines(header, positions=wrapped.reshape(shifted.shape), style=repr)))
    apart = data.positions - data.positions[:, :1]
    np.testing.assert_allclose(apart, POSITIONS - POSITIONS[:, :1], atol=1e-6)
    assert "made whole in 4 of 4 frames" in data.provenance.read["periodic box"]


def test_whole_molecules_in_a_box_keep_every_bit(tmp_path):
    for pbc in ("T T T", "F F F"):
        data = read(save(tmp_path / "a.xyz", lines(EXTENDED + f' Lattice="9 0 0 0 9 0 0 0 9" pbc="{pbc}"')))
        assert np.array_equal(data.positions, POSITIONS)
        assert ("ignored in 4 of 4" in data.provenance.read.get("periodic box", "")) == (pbc == "T T T")


# what is no file


def test_pipes_devices_sockets_and_folders_are_refused_at_once(tmp_path):
    import socket

    os.mkfifo(tmp_path / "pipe.xyz")
    assert "is a pipe" in refused(tmp_path / "pipe.xyz")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.xyz"))
        assert "is a socket" in refused(tmp_path / "s.xyz")
    assert "is a device" in refused("/dev/null")
    assert "is a folder" in refused(tmp_path)
    assert "cannot be opened" in refused(tmp_path / ("x" * 300))
    assert "cannot be the name" in refused(f"{tmp_path}/a\0b.xyz")
    assert "no such data file" in refused(tmp_path / "esc\x1b[31m.xyz")


def test_an_endless_line_is_refused_in_little_memory(tmp_path):
    with gzip.open(tmp_path / "a.xyz", "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    assert "line 1 is endless" in refused(tmp_path / "a.xyz")


def test_keys_that_are_not_there_are_listed(tmp_path):
    path = save(tmp_path / "a.xyz", lines(EXTENDED + " U0=1.5"))
    with pytest.raises(UsageError, match=r"--energy-key can name U0, energy"):
        read(path, energy_key="nix")
    np.testing.assert_allclose(read(path, energy_key="U0").energies, 1.5)
    with pytest.raises(DataError, match="no energies in comment key 'U0'"):
        read(save(tmp_path / "b.xyz", lines(EXTENDED + " U0=1.5") + lines()), energy_key="U0", energy_unit="eV")


@pytest.mark.parametrize("key", ["dft_forces_unit", "REF_forces_units", "forces.unit", "forces:unit", "unit_of_forces"])
def test_a_force_unit_under_a_longer_key_is_believed(tmp_path, key):
    header = EXTENDED.replace("eV", "Hartree") + f" {key}=Hartree/Bohr"
    assert_read(read(save(tmp_path / "a.xyz", lines(header))), energies=Hartree, forces=Hartree / Bohr)


@pytest.mark.parametrize(
    "comment",
    [
        "HOMO-LUMO gap energy: 5.2 eV  total energy: {} eV",
        "dispersion energy = -0.123 eV, total energy = {} eV",
        "kinetic energy: 0.5 eV, energy: {} eV",
        "Nuclear repulsion energy = 9.1 Hartree, energy = {} eV",
        "energy: -1.0 eV after SCF, final energy: {} eV",
    ],
)
def test_parts_of_an_energy_are_not_the_energy(tmp_path, comment):
    header = f"{EXTENDED.split('energy')[0]}{comment} forces_unit=eV/Angstrom"
    assert_read(read(save(tmp_path / "a.xyz", lines(header))))


def test_several_energies_in_a_text_are_not_chosen_between(tmp_path):
    header = f"{EXTENDED.split('energy')[0]}energy: -1.5 eV, energy: {{}} eV"
    assert "several energies" in refused(save(tmp_path / "a.xyz", lines(header)))
