"""Which program wrote a text output, told from its banner, and what to do where it is not supported."""

import re
from collections.abc import Callable
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from gossamer.data.formats.raw import Options, Raw
from gossamer.data.formats.steps import text_lines
from gossamer.errors import DataError

_LOOKED_AT, _WIDE = 3000, 400  # lines in which a banner stands, after what a batch system may print; characters
_QCENGINE = "run it through QCEngine, which writes QCSchema JSON"
_EXTXYZ = "write its positions, energies and forces as extxyz"


class Program(NamedTuple):
    """banner: a pattern at one of the first lines.  reader: module and function; "" where `ase` reads it, or nothing
    does and `way` says how its results come here all the same."""

    name: str
    banner: str
    reader: str = ""
    way: str = ""


READ_HERE = (
    Program("ORCA", r"\s*\* O   R   C   A \*", "orca.read"),
    Program("FHI-aims", r"\s*Invoking FHI-aims", "aims.read"),
    Program("Gaussian", r"\s*Entering Gaussian System", "gaussian.read"),
    Program("GAMESS", r".*GAMESS VERSION =", "gamess.read"),
    Program("GAMESS punch", r"\s\$DATA\s*$", "gamess.read_punch"),
    Program("engrad", r"# Number of atoms", "orca.read_engrad"),
    Program("NWChem", r".*Northwest Computational Chemistry Package", "ase_io.read"),
    Program("VASP", r"\s*vasp\.\d", "ase_io.read"),
    Program("Quantum ESPRESSO", r"\s*Program PWSCF", "ase_io.read"),
)
NOT_READ = (
    Program("Psi4", r"\s*Psi4: An Open-Source", way="let Psi4 write QCSchema JSON (psi4 --qcschema, or QCEngine)"),
    Program("Q-Chem", r"\s*Welcome to Q-Chem|.*\bQ-Chem, Inc\.", way=_QCENGINE),
    Program("Molpro", r".*\*\*\*\s+PROGRAM SYSTEM MOLPRO", way=_QCENGINE),
    Program("CFOUR", r".*CFOUR Coupled-Cluster techniques", way=_QCENGINE),
    Program("Turbomole", r".*\bTURBOMOLE\b (V|rev|ver)", way="give its file `gradient`, which ASE reads"),
    Program("MOPAC", r".*\bMOPAC\b.*(v\d|VERSION|PUBLIC)", way=_QCENGINE),
    Program("xtb", r".*\|\s+x T B\s+\|", way="run xtb with --grad and give its .engrad file"),
    Program("TeraChem", r".*\bTeraChem\b v", way=_QCENGINE),
    Program("CP2K", r"\s*DBCSR\| |.*\bCP2K\| version", way=_EXTXYZ + " (its PRINT sections write xyz of each)"),
    Program("DFTB+", r".*\bDFTB\+ (release|version|\d)", way=_EXTXYZ),
    Program("Dalton", r".*\bDalton - An Electronic Structure|.*\bDalton\b.*\bquantum chemistry", way=_EXTXYZ),
    Program("OpenMolcas", r".*\b(OpenMolcas|MOLCAS)\b", way=_EXTXYZ),
    Program("ADF", r".*\bAmsterdam Density Functional|.*\bAMS 20\d\d", way=_EXTXYZ),
    Program("Jaguar", r".*\bJaguar version", way=_EXTXYZ),
    Program("GAMESS-UK", r".*GAMESS-UK", way=_EXTXYZ),
    Program("Firefly", r".*\b(Firefly version|PC GAMESS version)", way=_EXTXYZ),
    Program("MRCC", r".*\bMRCC program system", way=_EXTXYZ),
    Program("BAGEL", r".*Brilliantly Advanced General Electronic", way=_EXTXYZ),
    Program("deMon2k", r".*\bdeMon2k\b", way=_EXTXYZ),
    Program("PySCF", r"\s*PySCF  version", way="write QCSchema JSON, or extxyz, from its Python interface"),
    Program("SIESTA", r"Siesta Version|\s*Executable\s+: siesta", way=_EXTXYZ),
)
SUPPORTED = "ORCA, FHI-aims, Gaussian, GAMESS, NWChem, VASP, .engrad and QCSchema JSON"


def reader_of(path: Path) -> Callable[[Path, Options], Raw] | None:
    """The reader here for the program that wrote a text output, None where it is not one of those known.
    Raises DataError for an output of a program that nothing here reads, with the way round."""
    program = recognised(path)
    if program is None:
        return None
    if not program.reader:
        raise DataError(f"{path}: this is an output of {program.name}, which is not supported; {program.way}.")
    module, _, function = program.reader.partition(".")
    return getattr(import_module(f"gossamer.data.formats.{module}"), function)


def recognised(path: Path) -> Program | None:
    """The program whose banner stands in the file, the first where there are several."""
    known = [(re.compile(program.banner), program) for program in (*READ_HERE, *NOT_READ)]
    for line in islice(text_lines(path), _LOOKED_AT):
        if "\0" in line:
            return None  # no text
        for banner, program in known:
            if banner.match(line[:_WIDE]):
                return program
    return None
