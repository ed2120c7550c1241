"""Option values that cannot be are refused before any file is looked at: none of the files named here is there."""

import pytest
from cli.support import Command

UNITS = ("--energy-unit furlong", "--length-unit eV", "--forces-unit kcal/mol", "--forces-unit nonsense")
INDICES = (
    "--index last",
    "--index 1:2:0",
    "--index 1:2:3:4",
    "--index 1.5",
    "--index ''",
    "--index +:",
    f"--index {'9' * 30}",
)
FLOATS = ("nan", "inf", "-inf", "-1", "word", "1e999")
FITTING = (
    *(f"--length {value}" for value in (*FLOATS, "0")), *(f"--noise {value}" for value in FLOATS),
    *(f"--memory {value}" for value in (*FLOATS, "0")), "--solver magic", "--kernel matern11", "--terms sum",
    "--baseline sto-3g", "--baseline repulsion,x", "--baseline coulomb:x", "--baseline d4:",
    "--baseline ''", "--terms local --length 20",
    "--terms both --length 9", "--max-images 0", "--max-images -2", "--max-images two", "--fragments none.json",
    "--terms local --fragments none.json", "--symmetry none.txt", "--train 0", "--train -1", "--train x", "--valid -1",
    "--test -1", "--seed -1", "--seed 1.5", f"--seed {2**64}",
)  # fmt: skip
DEVICES = ("--device tpu", "--device cuda:x", "--device ''", "--device cpu:one")
RUNNING = (*(f"--checkpoint-every {value}" for value in FLOATS), "--threads 0", "--threads 1000000", "--threads -1")
READING = (*UNITS, *INDICES)

VERBS = {
    "train lost.npz --train 9 --out x": (*READING, *FITTING, *DEVICES, *RUNNING),
    "reduce lost.npz --train 9 --out x": (
        *READING, *FITTING, *DEVICES, *RUNNING, *(f"--tolerance {value}" for value in (*FLOATS, "11")),
        "--valid 0", "--terms local",
    ),
    "estimate lost.npz --train 9": (*READING, *FITTING),
    "inspect lost.npz": (
        *READING, *(f"--radius {value}" for value in (*FLOATS, "0")), "--radius 3 --radius -1",
        *(f"--bonds {value}" for value in ("0", "-1", "x", "1.5", "nan")), "--bonds 1 --bonds 0",
        "--fragments-to none/x.json",
    ),
    "convert lost.npz x.npz": (*READING, "--to-energy-unit cal", "--to-length-unit eV"),
    "predict lost.gossamer lost.npz --out x.npz": (
        "--length-unit eV", *INDICES, *DEVICES, "--out x.pdf", "--out x", "--out none/x.npz", "--out .",
    ),
    "test lost.gossamer lost.npz": (*READING, *DEVICES),
    "dipoles lost.gossamer lost.npz --train 20 --out x.gossamer": (
        "--length-unit eV", "--dipole-unit eV", "--energy-unit Angstrom", "--index x", "--seed -1", "--valid -1",
        "--out none/x.gossamer", "--out .",
    ),
    "relax lost.gossamer lost.npz --out x.npz": (
        "--length-unit eV", *INDICES, *DEVICES, *(f"--fmax {value}" for value in (*FLOATS, "0")), "--steps 0",
        "--steps 1.5", "--optimizer newton", "--out x.pdf", "--out x", "--out none/x.npz", "--out .",
    ),
    "md lost.gossamer lost.npz --steps 9 --out x.traj": (
        "--length-unit eV", *INDICES, *DEVICES, "--ensemble npt", "--guard maybe", "--every 0", "--restart-every 0",
        "--replicas 0", "--beads 0", "--beads x", "--seed -1", "--out x.pdf", "--out none/x.traj", "--out .",
        "--steps 0",
        *(f"--{name} {value}" for name in ("temperature", "timestep", "friction", "relaxation")
          for value in (*FLOATS, "0")),
    ),
    "vibrations lost.gossamer lost.npz": (
        "--length-unit eV", *INDICES, *DEVICES, "--symmetry-number 0", "--spin -1", "--spin 0.3", "--spin nan",
        "--modes x.pdf", "--modes none/x.xyz",
        *(f"--{name} {value}" for name in ("fmax", "displacement", "temperature", "pressure")
          for value in (*FLOATS, "0")),
    ),
}  # fmt: skip
WHOLE = {
    "convert lost.npz x.pdf": "OUT", "convert lost.npz x": "OUT",
    "convert lost.npz x.db --to-energy-unit Hartree": "OUT",
    "convert lost.npz x.traj --to-length-unit Bohr": "OUT", "convert lost.npz none/x.npz": "OUT",
    "convert lost.npz .": "OUT", "train lost.npz --train 9 --out none/x": "--out",
    "reduce lost.npz --train 9 --out none/x": "--out", "report lost.json --out none/x.html": "--out",
    "train lost.npz --train 9 --out x --report none/x": "--report",
    "train lost.npz --train 9 --out x --record .": "--record",
    "train lost.npz --train 9 --out lost.npz": "--out", "reduce lost.npz --train 9 --out x --terms local": "terms",
}  # fmt: skip


def _names(line: str) -> tuple[str, ...]:
    """The option that is wrong, the last one, as messages may call it."""
    name = [word for word in line.split() if word.startswith("--")][-1].strip("-")
    plain = name.removeprefix("to-")
    return (
        name,
        plain.replace("-", "_"),
        plain.replace("-", " "),
        {"radius": "radii", "length": "terms", "fragments": "terms"}.get(name, name),
    )


@pytest.mark.parametrize("verb", VERBS)
def test_values_that_cannot_be(verb: str, gossamer: Command, shelf) -> None:
    wrong = []
    for option in VERBS[verb]:
        found = gossamer(f"{verb} {option}")
        about = any(name in found.err for name in _names(option))
        code = 1 if "none/" in option or option == "--out ." else 2
        if (found.code, found.err.count("\n"), found.out, about) != (code, 1, "", True) or "lost.npz" in found.err:
            wrong.append((option, found))
    assert wrong == []


@pytest.mark.parametrize("line", WHOLE)
def test_places_that_cannot_be(line: str, gossamer: Command, shelf) -> None:
    found = gossamer(line)
    assert found.code in (1, 2)
    assert found.err.count("\n") == 1
    assert WHOLE[line] in found.err or "cannot be written" in found.err or "by definition" in found.err
    assert "check the path" not in found.err
