"""Outputs of programs: each gradient stays with the geometry it was computed for, and what is incomplete is named.

The outputs are written here in the layout of each program, with numbers of our own; the files in data/cases are ours.
"""

import bz2
import contextlib
import gzip
from pathlib import Path

import numpy as np
import pytest
from ase.units import Bohr, Hartree
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.data.formats import read
from gossamer.errors import DataError, GossamerError, UsageError

CASES = Path(__file__).parents[1] / "data" / "cases"
SYMBOLS = {1: "H", 6: "C", 7: "N", 8: "O", 16: "S", 17: "Cl"}
WATER = np.array([8, 1, 1])
CHARGE_OF = {symbol: number for number, symbol in SYMBOLS.items()}


class Job:
    """n structures with energies (Hartree) and gradients (Hartree/Bohr), balanced as those of a molecule are."""

    def __init__(self, n=3, numbers=WATER, seed=0):
        rng = np.random.default_rng(seed)
        self.numbers = np.asarray(numbers)
        self.positions = np.round(rng.normal(size=(n, len(numbers), 3)) * 2, 6)
        self.energies = np.round(-76 - rng.random(n), 10)
        gradients = rng.normal(size=(n, len(numbers), 3)) / 50
        self.gradients = np.round(gradients - gradients.mean(axis=1, keepdims=True), 9)
        self.symbols = [SYMBOLS[number] for number in self.numbers]

    def check(self, data, rows=slice(None), atol=1e-6):
        assert np.array_equal(data.numbers, self.numbers)
        np.testing.assert_allclose(data.positions, self.positions[rows], atol=atol)
        np.testing.assert_allclose(data.energies, self.energies[rows] * Hartree, rtol=1e-9)
        np.testing.assert_allclose(data.forces, -self.gradients[rows] * Hartree / Bohr, atol=1e-5)


def table(symbols, values, row):
    return "".join(row.format(i + 1, s, *xyz) for i, (s, xyz) in enumerate(zip(symbols, values, strict=True)))


# ORCA

ORCA = "                                 *****************\n                                 * O   R   C   A *\n"
DONE = "\n                             ****ORCA TERMINATED NORMALLY****\n"
HEAD = "{0}\n{1}\n{0}\n"


def orca_step(job, i, *, gradient=True, energy=True, first=False):
    text = HEAD.format("-" * 33, "CARTESIAN COORDINATES (ANGSTROEM)")
    text += table(job.symbols, job.positions[i], "  {1:<2}  {2:12.6f}{3:12.6f}{4:12.6f}\n") + "\n"
    text += HEAD.format("-" * 28, "CARTESIAN COORDINATES (A.U.)")
    text += "  NO LB      ZA    FRAG     MASS         X           Y           Z\n\n"
    gradients = HEAD.format("-" * 18, "CARTESIAN GRADIENT") + "\n"
    gradients += table(job.symbols, job.gradients[i], "{0:4d}   {1:<2}  :{2:15.9f}{3:15.9f}{4:15.9f}\n")
    gradients += (
        "\nDifference to translation invariance:\n           :    0.0000000002   -0.0000000000   -0.0000000003\n"
    )
    energies = (
        f"-------------------------\nFINAL SINGLE POINT ENERGY {job.energies[i]:20.12f}\n-------------------------\n"
    )
    parts = [energies if energy else "", gradients if gradient else ""]
    return text + "".join(reversed(parts) if first else parts)


def orca_jobs(job, **how):
    steps = (f"          JOB NUMBER {i + 1}\n{orca_step(job, i, **how)}" for i in range(len(job.energies)))
    return ORCA + "\n".join(steps) + DONE


@pytest.mark.parametrize("numbers", [WATER, [6, 8], [17, 6, 6, 17, 1, 1, 1, 1]])
@pytest.mark.parametrize("first", [False, True])
def test_each_job_of_orca_keeps_its_own_gradient(tmp_path, numbers, first):
    job = Job(4, numbers)
    (tmp_path / "jobs.out").write_text(orca_jobs(job, first=first))
    data = read(tmp_path / "jobs.out")
    job.check(data)
    assert "left out" not in data.provenance.read


def test_orca_single_points_written_one_after_another(tmp_path):
    job = Job(3)
    (tmp_path / "all.out").write_text("".join(ORCA + orca_step(job, i) + DONE for i in range(3)))
    job.check(read(tmp_path / "all.out"))


def orca_dipole(x, y, z):
    return f"-------------\nDIPOLE MOMENT\n-------------\nTotal Dipole Moment    :  {x:12.9f}  {y:12.9f}  {z:12.9f}\n"


def test_orca_s_dipoles_stay_with_their_structures(tmp_path):
    job, moments = Job(3), 0.3 * np.random.default_rng(4).normal(size=(3, 3)).round(6)
    steps = [orca_step(job, i) + orca_dipole(*moments[i]) for i in range(3)]
    (tmp_path / "jobs.out").write_text(ORCA + "\nJOB NUMBER  2\n".join(steps) + DONE)
    data = read(tmp_path / "jobs.out")
    job.check(data)
    np.testing.assert_allclose(data.dipoles, 0.529177210564 * moments, rtol=1e-8)
    assert data.provenance.read["dipoles"] == "total dipole moments, e*Angstrom (from the units of ORCA)"
    (tmp_path / "opt.out").write_text(ORCA + orca_step(job, 0) + orca_step(job, 1) + orca_dipole(*moments[1]) + DONE)
    data = read(tmp_path / "opt.out")
    assert data.dipoles is None
    assert data.provenance.read["dipoles"] == "not read: 1 of 2 structures have none"
    (tmp_path / "two.out").write_text(ORCA + orca_step(job, 0) + orca_dipole(1, 0, 0) + orca_dipole(0, 1, 0) + DONE)
    assert "several that differ" in read(tmp_path / "two.out").provenance.read["dipoles"]


def test_orca_jobs_of_different_atoms_are_refused_or_chosen_from(tmp_path):
    water, other = Job(1), Job(1, [7, 1, 1, 1])
    (tmp_path / "two.out").write_text(ORCA + orca_step(water, 0) + "JOB NUMBER  2\n" + orca_step(other, 0) + DONE)
    with pytest.raises(DataError, match="frame 1 is H3N but frame 0 is H2O"):
        read(tmp_path / "two.out")
    other.check(read(tmp_path / "two.out", index=1))


def test_an_orca_job_without_a_gradient_lends_none_from_the_next(tmp_path):
    job = Job(3)
    steps = [orca_step(job, 0), orca_step(job, 1, gradient=False), orca_step(job, 2)]
    (tmp_path / "jobs.out").write_text(ORCA + "\nJOB NUMBER  2\n".join(steps) + DONE)
    data = read(tmp_path / "jobs.out")
    job.check(data, [0, 2])
    assert list(data.frames) == [0, 2]
    assert data.provenance.read["left out"] == "of 3 structures: number 1 (no gradient)"


@pytest.mark.parametrize("keep", ["coordinates", "energy", "half a gradient"])
def test_an_orca_optimisation_killed_in_mid_frame(tmp_path, keep):
    job = Job(3)
    last = orca_step(job, 2)
    cut = {"coordinates": last.index("CARTESIAN COORDINATES (A.U.)"), "energy": last.index("CARTESIAN GRADIENT"),
           "half a gradient": last.index("   2   H   :")}[keep]  # fmt: skip
    text = "\nGEOMETRY OPTIMIZATION CYCLE\n".join([ORCA, orca_step(job, 0), orca_step(job, 1), last[:cut]])
    (tmp_path / "opt.out").write_text(text)
    data = read(tmp_path / "opt.out")
    job.check(data, [0, 1])
    why = {"coordinates": "no energy", "energy": "no gradient", "half a gradient": "gradient of 1 of 3 atoms"}[keep]
    assert f"number 2 ({why})" in data.provenance.read["left out"]
    with pytest.raises(DataError, match="none of its structures is complete"):
        read(tmp_path / "opt.out", index=2)


def test_an_orca_geometry_cut_in_its_middle_takes_no_labels(tmp_path):
    job = Job(2)
    broken = orca_step(job, 1).replace("  H ", "  Xx", 1)
    (tmp_path / "opt.out").write_text(ORCA + orca_step(job, 0) + "JOB NUMBER  2\n" + broken + DONE)
    data = read(tmp_path / "opt.out")
    job.check(data, [0])
    assert "no atom" in data.provenance.read["left out"]


def test_orca_energies_without_gradients(tmp_path):
    job = Job(2)
    (tmp_path / "sp.out").write_text(orca_jobs(job, gradient=False))
    data = read(tmp_path / "sp.out")
    assert data.forces is None
    np.testing.assert_allclose(data.energies, job.energies * Hartree, rtol=1e-12)


def test_an_orca_scf_that_has_not_converged(tmp_path):
    job = Job(2)
    text = orca_jobs(job)
    place = text.rindex("FINAL SINGLE POINT ENERGY") + len("FINAL SINGLE POINT ENERGY")
    (tmp_path / "a.out").write_text(f"{text[:place]} (Wavefunction not fully converged!) {text[place:]}")
    data = read(tmp_path / "a.out")
    job.check(data, [0])
    assert "not converged" in data.provenance.read["left out"]


def test_two_gradients_of_one_orca_geometry_are_not_chosen_between(tmp_path):
    job = Job(2)
    states = orca_step(job, 0) + orca_step(job, 1)[orca_step(job, 1).index("CARTESIAN GRADIENT") - 20 :]
    (tmp_path / "states.out").write_text(ORCA + states + DONE)
    with pytest.raises(DataError, match="several gradients that differ"):
        read(tmp_path / "states.out")


def test_an_orca_mp2_gradient(tmp_path):
    job = Job(1)
    mp2 = "The final MP2 gradient\n" + table(job.symbols, job.gradients[0], "{0:3d}:{2:15.9f}{3:15.9f}{4:15.9f}\n")
    (tmp_path / "mp2.out").write_text(ORCA + orca_step(job, 0, gradient=False) + mp2 + DONE)
    job.check(read(tmp_path / "mp2.out"))


@pytest.mark.parametrize("pack", [(gzip, ".gz"), (bz2, ".bz2")])
def test_packed_outputs(tmp_path, pack):
    module, suffix = pack
    job = Job(2)
    (tmp_path / f"a.out{suffix}").write_bytes(module.compress(orca_jobs(job).encode()))
    job.check(read(tmp_path / f"a.out{suffix}"))
    (tmp_path / f"b.out{suffix}").write_bytes(module.compress(orca_jobs(job).encode() * 50)[:-30])
    with pytest.raises(GossamerError):
        read(tmp_path / f"b.out{suffix}")


def test_names_of_arrays_have_no_meaning_in_an_output(tmp_path):
    (tmp_path / "a.out").write_text(orca_jobs(Job(2)))
    for key in ("positions_key", "numbers_key", "energy_key", "forces_key", "gradients_key"):
        with pytest.raises(UsageError, match=f"leave out --{key.replace('_', '-')} x"):
            read(tmp_path / "a.out", **{key: "x"})


def test_positions_alone_of_an_unfinished_output(tmp_path):
    job = Job(2)
    (tmp_path / "a.out").write_text(ORCA + orca_step(job, 0) + "JOB NUMBER  2\n" + orca_step(job, 1, energy=False))
    data = read(tmp_path / "a.out", labels=False)
    np.testing.assert_allclose(data.positions, job.positions, atol=1e-6)
    assert data.energies is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4000))
def test_an_output_cut_anywhere_gives_whole_structures_or_a_sentence(tmp_path_factory, cut):
    path, job = tmp_path_factory.mktemp("cut") / "a.out", Job(3)
    path.write_text(orca_jobs(job)[:cut])
    try:
        data = read(path)
    except GossamerError:
        return
    for positions, forces in zip(
        data.positions, data.forces if data.forces is not None else (), strict=data.forces is not None
    ):
        mine = [i for i in range(3) if np.allclose(positions, job.positions[i], atol=1e-6)]
        assert any(np.allclose(forces, -job.gradients[i] * Hartree / Bohr, atol=1e-5) for i in mine)


# engrad


def engrad(job, i):
    head = "#\n# Number of atoms\n#\n {}\n#\n# The current total energy in Eh\n#\n  {:20.12f}\n"
    text = head.format(len(job.numbers), job.energies[i])
    text += "#\n# The current gradient in Eh/bohr\n#\n" + "".join(f"  {g:20.12f}\n" for g in job.gradients[i].ravel())
    rows = zip(job.numbers, job.positions[i] / Bohr, strict=True)
    text += "#\n# The atomic numbers and current coordinates in Bohr\n#\n"
    return text + "".join(f"{z:4d}  {x:14.9f} {y:14.9f} {w:14.9f}\n" for z, (x, y, w) in rows)


@pytest.mark.parametrize("name", ["a.engrad", "a.txt"])
def test_engrad_files_one_after_another(tmp_path, name):
    job = Job(3, [6, 8, 1, 1])
    (tmp_path / name).write_text("".join(engrad(job, i) for i in range(3)))
    job.check(read(tmp_path / name), atol=1e-8)


def test_an_engrad_file_without_a_last_line_end(tmp_path):
    job = Job(1)
    (tmp_path / "a.engrad").write_text(engrad(job, 0).rstrip())
    job.check(read(tmp_path / "a.engrad"), atol=1e-8)


@pytest.mark.parametrize("cut", [-1, -3, -30, -150, -400])
def test_an_engrad_file_that_was_cut(tmp_path, cut):
    text = engrad(Job(1), 0).rstrip()
    (tmp_path / "a.engrad").write_text(text[:cut] if cut < -1 else text.replace("8  ", "0  ", 1))
    with pytest.raises(DataError, match="no complete engrad file"):
        read(tmp_path / "a.engrad")


# FHI-aims


def aims_forces(job, i):
    text = f"  | Electronic free energy        : {job.energies[i] * Hartree:26.15E} eV\n"
    text += "  Total atomic forces (unitary forces cleaned) [eV/Ang]:\n"
    return text + table(job.symbols, -job.gradients[i] * Hartree / Bohr, "  |{0:4d} {2:26.15E} {3:26.15E} {4:26.15E}\n")


def aims_atoms(job, i, velocities=False):
    row = "  atom {2:16.8f} {3:16.8f} {4:16.8f}  {1}\n" + ("  velocity 0.1 0.2 0.3\n" if velocities else "")
    return "                         x [A]             y [A]             z [A]\n" + table(
        job.symbols, job.positions[i], row
    )


def aims(job, kind):
    text = "          Invoking FHI-aims ...\n  | Number of atoms                   :        3\n  Input geometry:\n"
    text += "  | No unit cell requested.\n  | Atomic structure:\n  |       Atom                x [A]            y [A]\n"
    text += table(job.symbols, job.positions[0], "  |{0:5d}: Species {1:<2} {2:20.8f} {3:18.8f} {4:18.8f}\n") + "\n"
    again = "  ------\n          Begin self-consistency loop: Re-initialization.\n"
    used = "  Atomic structure (and velocities) as used in the preceding time step:\n"
    for i in range(len(job.energies)):
        if i and kind == "relax":
            text += "  Updated atomic structure:\n" + aims_atoms(job, i) + "\n"
        text += again if i else "  Begin self-consistency iteration #    1\n"
        text += "  | Electronic free energy        :  -2.0E+03 eV\n" + aims_forces(job, i)
        if kind == "md":
            text += used + aims_atoms(job, i, velocities=True) + "\n"
    return text


@pytest.mark.parametrize("kind", ["md", "relax"])
def test_fhi_aims_prints_the_geometry_after_or_before(tmp_path, kind):
    job = Job(4)
    (tmp_path / "aims.out").write_text(aims(job, kind) + "          Have a nice day.\n")
    data = read(tmp_path / "aims.out")
    job.check(data)
    assert "left out" not in data.provenance.read


@pytest.mark.parametrize("kind", ["md", "relax"])
def test_fhi_aims_killed(tmp_path, kind):
    job = Job(4)
    text = aims(job, kind)
    (tmp_path / "aims.out").write_text(text[: text.rindex("Total atomic forces") + 120])
    data = read(tmp_path / "aims.out")
    job.check(data, slice(3))
    assert "number 3" in data.provenance.read["left out"]


def test_fhi_aims_restarting_its_scf_computes_the_forces_again(tmp_path):
    job, wrong = Job(2), Job(2, seed=1)
    text = aims(job, "md")
    early = aims_forces(wrong, 0) + "  No geometry change - only restart of scf mixer after initial iterations.\n"
    early += "          Begin self-consistency loop: Re-initialization.\n"
    (tmp_path / "aims.out").write_text(text.replace("  | Electronic free", early + "  | Electronic free", 1))
    job.check(read(tmp_path / "aims.out"))


# Gaussian


def gaussian_orientation(job, positions, title="Input"):
    rule = " " + "-" * 69 + "\n"
    text = f"{title + ' orientation:':>45}\n{rule} Center     Atomic      Atomic             Coordinates (Angstroms)\n"
    text += f" Number     Number       Type             X           Y           Z\n{rule}"
    rows = enumerate(zip(job.numbers, positions, strict=True), 1)
    text += "".join(f"{i:7d}{z:11d}           0    {x:12.6f}{y:12.6f}{w:12.6f}\n" for i, (z, (x, y, w)) in rows)
    return text + rule


def gaussian_forces(job, i):
    rule = " " + "-" * 67 + "\n"
    text = f" ***** Axes restored to original set *****\n{rule}"
    text += " Center     Atomic                   Forces (Hartrees/Bohr)\n"
    text += f" Number     Number              X              Y              Z\n{rule}"
    rows = enumerate(zip(job.numbers, -job.gradients[i], strict=True), 1)
    return text + "".join(f"{n:7d}{z:9d}    {x:15.9f}{y:15.9f}{w:15.9f}\n" for n, (z, (x, y, w)) in rows) + rule


def gaussian(job, rows, orientations=("Input", "Standard"), correlated=False, link=False):
    text = " Entering Gaussian System, Link 0=g16\n Initial command:\n"
    turned = job.positions[:, :, [1, 2, 0]] * np.array([1, -1, -1])
    for i in rows:
        text += " Entering Gaussian System, Link 0=g16\n" if link and i else ""
        for title in orientations:
            text += gaussian_orientation(job, turned[i] if title == "Standard" else job.positions[i], title)
        scf = job.energies[i] + 0.3 if correlated else job.energies[i]
        text += f" SCF Done:  E(RB3LYP) =  {scf:.10f}     A.U. after   10 cycles\n"
        if correlated:
            text += f" E2 =    -0.3000000000D+00 EUMP2 =    {job.energies[i] / 100:.12f}D+02\n"
        text += gaussian_forces(job, i)
        text += " 1\\1\\GINC-NODE\\FOpt\n Normal termination of Gaussian 16 at now.\n" if link else ""
    return text


@pytest.mark.parametrize("orientations", [("Input", "Standard"), ("Input",), ("Z-Matrix", "Standard")])
@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("link", [False, True])
def test_gaussian_positions_are_in_the_orientation_of_the_forces(tmp_path, orientations, correlated, link):
    job = Job(3)
    (tmp_path / "a.log").write_text(gaussian(job, range(3), orientations, correlated, link))
    job.check(read(tmp_path / "a.log"))


def test_gaussian_with_the_standard_orientation_alone_is_refused(tmp_path):
    (tmp_path / "a.log").write_text(gaussian(Job(2), range(2), ("Standard",)))
    with pytest.raises(DataError, match="NoSymmetry"):
        read(tmp_path / "a.log")


def test_a_gaussian_step_with_the_standard_orientation_alone_is_left_out(tmp_path):
    job = Job(2)
    text = gaussian(job, [0]) + gaussian(job, [1], ("Standard",)).partition("command:\n")[2]
    (tmp_path / "a.log").write_text(text)
    data = read(tmp_path / "a.log")
    job.check(data, [0])
    assert "NoSymmetry" in data.provenance.read["left out"]


def test_gaussian_killed_after_an_energy(tmp_path):
    job = Job(3)
    text = gaussian(job, range(3))
    (tmp_path / "a.log").write_text(text[: text.rindex("Axes restored")])
    data = read(tmp_path / "a.log")
    job.check(data, [0, 1])
    assert "number 2 (no gradient)" in data.provenance.read["left out"]


# GAMESS


def gamess_log(job):
    text = "          *         GAMESS VERSION = 30 SEP 2023 (R2)          *\n"
    for i in range(len(job.energies)):
        if i:
            text += " COORDINATES OF ALL ATOMS ARE (ANGS)\n   ATOM   CHARGE       X              Y              Z\n "
            text += "-" * 60 + "\n"
        else:
            text += (
                " ATOM      ATOMIC                      COORDINATES (BOHR)\n           CHARGE         X      Y      Z\n"
            )
        unit = 1.0 if i else 1 / Bohr
        for symbol, (x, y, z) in zip(job.symbols, job.positions[i] * unit, strict=True):
            text += f" {symbol:<10}{CHARGE_OF[symbol]:5.1f}{x:17.10f}{y:20.10f}{z:20.10f}\n"
        text += f"\n FINAL RHF ENERGY IS {job.energies[i]:20.10f} AFTER  10 ITERATIONS\n"
        text += "                         ----------------------\n                         GRADIENT OF THE ENERGY\n"
        text += (
            "                         ----------------------\n\n UNITS ARE HARTREE/BOHR    E'X        E'Y       E'Z\n"
        )
        text += table(job.symbols, job.gradients[i], "{0:5d} {1:<10}{2:20.9f}{3:18.9f}{4:18.9f}\n") + "\n"
    return text


def test_gamess_log_of_an_optimisation(tmp_path):
    job = Job(3)
    (tmp_path / "a.log").write_text(gamess_log(job))
    job.check(read(tmp_path / "a.log"))


def gamess_punch(job, atoms=slice(None), group="C1       0", gradient=slice(None)):
    def row(symbol, values, form):
        return f"{symbol:<12}{CHARGE_OF[symbol]:3.1f}" + "".join(format(v, form) for v in values) + "\n"

    text = f" $DATA\nname\n{group}\n" + ("" if group.startswith("C1") else "\n")
    for symbol, xyz in list(zip(job.symbols, job.positions[0], strict=True))[atoms]:
        text += row(symbol, xyz, "19.10f") + "   N31     6\n\n"
    text += (
        f" $END\nE(RHF)=  {job.energies[0]:.10f}, E(NUC)=    9.08,   10 ITERS\n $VEC\n 1  1 9.9E-01 2.1E-02\n $END\n"
    )
    text += f" $GRAD\nE= {job.energies[0]:19.10f}  GMAX=   0.03  GRMS=   0.01\n"
    for symbol, xyz in list(zip(job.symbols, job.gradients[0], strict=True))[gradient]:
        text += row(symbol, xyz, "20.10E")
    return text + " $END\n"


def test_gamess_punch_file(tmp_path):
    job = Job(1)
    (tmp_path / "a.dat").write_text(gamess_punch(job))
    job.check(read(tmp_path / "a.dat"))


@pytest.mark.parametrize("gradient", [slice(None), slice(2)])
def test_gamess_punch_file_with_unique_atoms_only_is_refused(tmp_path, gradient):
    (tmp_path / "a.dat").write_text(gamess_punch(Job(1), slice(2), "CNV      2", gradient))
    with pytest.raises(DataError, match="only the atoms unique by symmetry"):
        read(tmp_path / "a.dat")


@pytest.mark.parametrize("line", ["-" * 500 + "x", " ".join(["-"] * 500) + "x", "9" * 60_000, "MOPAC " * 10_000])
def test_no_line_takes_long(tmp_path, line):
    """Patterns that try every way to part a line would not come back from these."""
    (tmp_path / "a.dat").write_text(f"{gamess_punch(Job(1))}{line}\n $GRAD\nE= 1\n{line}\n")
    (tmp_path / "b.log").write_text(
        gamess_log(Job(1)).replace("GRADIENT OF THE ENERGY\n", f"GRADIENT OF THE ENERGY\n{line}\n")
    )
    (tmp_path / "c.out").write_text(
        f"{line}\n{orca_jobs(Job(2))}".replace("SINGLE POINT ENERGY", f"SINGLE POINT ENERGY {line}")
    )
    for name in ("a.dat", "b.log", "c.out"):
        with contextlib.suppress(GossamerError):
            read(tmp_path / name)


def test_a_gamess_punch_file_without_its_beginning_does_not_hang(tmp_path):
    text = gamess_punch(Job(1)).replace(" $DATA", "$ DATA")
    (tmp_path / "a.dat").write_text(text[: text.rindex("$END")])
    with pytest.raises(DataError):
        read(tmp_path / "a.dat")


# what is not read


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("Psi4", "          Psi4: An Open-Source Ab Initio Electronic Structure Package\n    Total Energy = -5.0\n"),
        ("Q-Chem", "                  Welcome to Q-Chem\n     A Quantum Leap Into The Future Of Chemistry\n"),
        ("Molpro", "                     ***  PROGRAM SYSTEM MOLPRO  ***\n"),
        ("Turbomole", "     TURBOMOLE V7.5 ( 21471 ) 1 Oct 2020 at 20:38:15\n"),
        ("xtb", "      |                           x T B                           |\n"),
        ("MOPAC", " **                                MOPAC v22.0.6 Linux                                **\n"),
        ("CP2K", " DBCSR| CPU Multiplication driver                      BLAS\n"),
    ],
)
@pytest.mark.parametrize("suffix", ["out", "log", "txt"])
def test_unsupported_programs_are_named_with_the_way_round(tmp_path, program, text, suffix):
    (tmp_path / f"a.{suffix}").write_text("starting at noon on node 7\n" + text)
    with pytest.raises(DataError, match=f"output of {program}, which is not supported; .*(JSON|extxyz|give)"):
        read(tmp_path / f"a.{suffix}")


def test_an_unknown_program_is_not_taken_for_quantum_espresso(tmp_path):
    (tmp_path / "a.out").write_text("my own program\nenergy 1.0\n")
    with pytest.raises(DataError, match="is not recognised") as error:
        read(tmp_path / "a.out")
    assert "espresso" not in str(error.value)


# the cases of issue 12


@pytest.mark.parametrize(("name", "left_out"), [("07/opt.out", "3 (no gradient)"), ("07/md_killed.out", "3 (the run")])
def test_killed_runs(name, left_out):
    data = read(CASES / name)
    assert len(data) == 3
    assert f"number {left_out}" in data.provenance.read["left out"]
    np.testing.assert_allclose(data.positions[1, 0], [0.095354, 0.042954, 0.144975], atol=1e-6)
    np.testing.assert_allclose(data.forces[1, 0], [0.816700, 1.289080, -1.285285], atol=1e-5)
    np.testing.assert_allclose(data.energies[1], -137.871015, atol=1e-5)


def test_several_jobs():
    data = read(CASES / "17/several_jobs.out")
    assert len(data) == 4
    np.testing.assert_allclose(data.positions[3, 0], [0.188505, 0.093994, 0.157157])
    np.testing.assert_allclose(data.forces[3, 0], -np.array([0.000252162, 0.008084297, 0.001318125]) * Hartree / Bohr)
    np.testing.assert_allclose(data.forces[0, 0], -np.array([0.008183442, 0.022780226, -0.029665534]) * Hartree / Bohr)


def test_engrad_and_an_unsupported_program():
    data = read(CASES / "15/water.engrad")
    np.testing.assert_allclose(data.forces[0, 0], [0.816700, 1.289080, -1.285285], atol=1e-5)
    np.testing.assert_allclose(data.positions[0, 0], [0.095354, 0.042954, 0.144975], atol=1e-6)
    with pytest.raises(DataError, match="Psi4, which is not supported"):
        read(CASES / "15/psi4_like.out")
