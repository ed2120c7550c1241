import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import minimize_rotation_and_translation

import gossamer as gs
from gossamer.chemistry.bonds import bond_graph
from gossamer.errors import DataError
from gossamer.records.md import md_from_json, read_md_record
from gossamer.simulate.dynamics import run_md
from gossamer.simulate.observe import dihedrals, observe, residues, rmsd
from gossamer.simulate.settings import MdSettings

SAMPLES = Path(__file__).parents[1] / "records" / "md"
PEPTIDE = Path(__file__).parents[2] / "examples" / "ac-ala3" / "ac-ala3.npz"


@pytest.fixture(scope="module")
def peptide():
    return gs.read(PEPTIDE, index="0:20")


@pytest.fixture(scope="module")
def run(model, ethanol, tmp_path_factory):
    out = tmp_path_factory.mktemp("md") / "md.extxyz"
    return run_md(model, ethanol.take([0]), out, MdSettings("nve", 400, replicas=2, every=4))


def test_rmsd_is_that_of_ase(ethanol):
    found = rmsd(ethanol.positions[:10], ethanol.positions[0])
    for k in range(10):
        one, other = ethanol.atoms(0), ethanol.atoms(k)
        minimize_rotation_and_translation(one, other)
        assert found[k] == pytest.approx(np.sqrt(((one.positions - other.positions) ** 2).sum(axis=1).mean()), abs=1e-6)
    mirrored = ethanol.positions[:1] * [1, 1, -1]
    assert rmsd(mirrored, ethanol.positions[0])[0] > 0.05
    assert found[0] < 1e-6


def test_dihedrals_are_those_of_ase(ethanol):
    found = dihedrals(ethanol.positions, (3, 0, 1, 2))
    wanted = [ethanol.atoms(k).get_dihedral(3, 0, 1, 2) for k in range(len(ethanol))]
    np.testing.assert_allclose((found - wanted + 180) % 360 - 180, 0, atol=1e-6)


def test_residues_of_a_peptide(peptide, ethanol):
    bonds = bond_graph(peptide.positions, peptide.numbers)
    found = residues(bonds, peptide.numbers, peptide.positions)
    assert len(found) == 3
    assert len({residue.alpha for residue in found}) == 3
    for residue in found:
        assert peptide.numbers[residue.alpha] == 6
        assert len(residue.phi) == len(residue.psi) == 20
    atoms = Atoms(peptide.numbers, peptide.positions[0])
    alpha = found[0].alpha
    near = [int(b if a == alpha else a) for a, b in bonds if alpha in (a, b)]
    nitrogen = next(b for b in near if peptide.numbers[b] == 7)
    before = next(int(b if a == nitrogen else a) for a, b in bonds if nitrogen in (a, b)
                  and peptide.numbers[b if a == nitrogen else a] == 6 and alpha not in (a, b))  # fmt: skip
    carbon = next(c for c in near if peptide.numbers[c] == 6 and sum(c in bond for bond in bonds) == 3)
    wanted = atoms.get_dihedral(before, nitrogen, alpha, carbon)
    assert (found[0].phi[0] - wanted + 180) % 360 - 180 == pytest.approx(0, abs=0.01)
    assert residues(bond_graph(ethanol.positions, ethanol.numbers), ethanol.numbers, ethanol.positions) == ()


def test_a_record_tells_what_was_seen(run, model):
    record = observe(run, model, "m.gossamer", "gossamer md ...")
    assert record.formula == "C2H6O"
    assert len(record.courses) == len(record.averages) == 2
    assert len(record.courses[0].times) == 101
    assert record.courses[0].times[-1] == pytest.approx(0.2)
    assert record.courses[0].rmsd[0] == 0
    assert record.averages is run.averages  # the trajectories are read once for them
    assert max(map(abs, record.courses[0].totals)) < 0.02 < max(map(abs, record.courses[0].energies))
    assert len(record.bonds) == 8
    for bond in record.bonds:
        assert bond.trained_shortest < bond.mean < bond.trained_longest
    ratios = [pair.shortest / pair.trained_shortest for pair in record.contacts]
    assert ratios == sorted(ratios)
    assert len(record.spectrum) == len(record.wavenumbers) > 100
    json.dumps(record.to_json(), allow_nan=False)


def test_the_report_opens_without_a_network(run, model, tmp_path):
    record = observe(run, model, "<script>alert(1)</script>", "gossamer md ...")
    page = gs.report(record, tmp_path / "md.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    for words in ("Mean temperature", "Energy drift", "Closest contacts", "Total energy", "2 replicas of 0.200 ps"):
        assert words in page
    assert page.count("<figure>") == 6
    assert not any(f'{kind}="http' in page for kind in ("src", "href"))
    empty = replace(record, spectrum=(), wavenumbers=(), contacts=(), bonds=())
    assert gs.report(empty, tmp_path / "empty.html").read_text(encoding="utf-8").count("<figure>") == 4
    assert gs.report(record, tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_the_report_shows_the_infrared_spectrum(polar, ethanol, tmp_path):
    run = run_md(polar, ethanol.take([0]), tmp_path / "md.extxyz", MdSettings("langevin", 400, every=20))
    record = observe(run, polar)
    assert len(record.infrared) == len(record.wavenumbers) > 100
    assert max(record.infrared) > 0
    page = gs.report(record, tmp_path / "md.html").read_text(encoding="utf-8")
    assert "Infrared spectrum against the wavenumber" in page
    plain = gs.report(replace(record, infrared=()), tmp_path / "plain.html").read_text(encoding="utf-8")
    assert "Infrared" not in plain


def test_a_record_is_read_again(run, model, tmp_path):
    record = observe(run, model, "m.gossamer", "gossamer md ...")
    (tmp_path / "md.json").write_text(json.dumps(record.to_json(), allow_nan=False), encoding="utf-8")
    assert read_md_record(tmp_path / "md.json").to_json() == record.to_json()


@pytest.mark.parametrize("version", [1, 2])
def test_samples_of_every_version_are_read(version):
    """When this fails the format has changed: give it another number, and read both."""
    values = json.loads((SAMPLES / f"v{version}.json").read_text(encoding="utf-8"))
    record = read_md_record(SAMPLES / f"v{version}.json")
    assert record.to_json() == (values if version == 2 else values | {"format": "gossamer-md-2", "infrared": []})
    assert len(record.infrared) == (len(record.wavenumbers) if version == 2 else 0)
    assert record.formula == "C2H6O"
    assert record.averages[0].temperature == values["averages"][0]["temperature"] > 0
    assert len(record.courses[0].times) == 11
    for damaged in ({"averages": [{"frames": 3}]}, {"symbols": "C"}, {"picoseconds": None}):
        with pytest.raises(DataError, match=f"^sample: {next(iter(damaged))}.* write the record again"):
            md_from_json(values | damaged, "sample")
    with pytest.raises(
        DataError, match=r"^record: its format is 'gossamer-record-3', and a record of a trajectory has"
    ):
        md_from_json(values | {"format": "gossamer-record-3"})
