"""The report of a trajectory."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gossamer.records.md import Course, Distance, MdRecord
from gossamer.reporting.drawing import SQUARE, dots, handle, panel
from gossamer.reporting.markup import Html, element, formula, join, table
from gossamer.reporting.pages import Page, Tile
from gossamer.reporting.sections import Section, grid, picture
from gossamer.reporting.theme import LIGHT
from gossamer.reporting.words import count_of, digits, entry, words

_ENSEMBLES = {"nve": "constant energy", "langevin": "Langevin dynamics", "bussi": "Bussi's scaling of velocities"}
_CAPTIONS = {
    "temperature": (
        "After a start it should scatter about the dashed line and not climb; at constant energy it settles where the "
        "start leaves it.",
        "Temperature against time",
    ),
    "energy": (
        "Potential energy should fluctuate about a level; a step that stays is another conformer, or a reaction.",
        "Potential energy against time",
    ),
    "total": (
        "At constant energy the total should be level: a slope is a drift, for which the time step is too long or the "
        "forces are no gradient.",
        "Total energy against time",
    ),
    "rmsd": (
        "How far the molecule went from where it began, after turning it back: plateaus are conformers.",
        "Distance from the first frame against time",
    ),
    "bonds": (
        "Bars are what each bond did here, lines what it did in training: bars should hardly leave their lines.",
        "Range of every bond length, in the trajectory and in training",
    ),
    "ramachandran": (
        "Dihedral angles of the backbone; islands are conformations, and dots between them the ways that lead over.",
        "Backbone dihedral angles phi and psi",
    ),
    "spectrum": (
        "Power spectrum of the velocities: bands stand where the molecule vibrates, at the temperature that it had.",
        "Power spectrum of the velocities against the wavenumber",
    ),
    "infrared": (
        "Absorption by the model's dipoles, of classical atoms: the area of a band is its intensity, and overtones are "
        "hardly there.",
        "Infrared spectrum against the wavenumber",
    ),
}


def md_page(record: MdRecord) -> Page:
    """What a trajectory did, beside what its model was trained on."""
    parts = (_courses(record), _shape(record), _spectrum(record), _details(record))
    return Page(
        subject=record.formula,
        headline=_headline(record),
        lead=_lead(record),
        tiles=_tiles(record),
        sections=[part for part in parts if part.body],
        footer=f"Made with gossamer {record.version}. This page holds its data; it loads nothing from the network.",
    )


def _headline(record: MdRecord) -> str:
    mean = np.mean([one.temperature for one in record.averages])
    copies = f"{count_of(len(record.averages), 'replica')} of " if len(record.averages) > 1 else ""
    return f"{copies}{digits(record.picoseconds)} ps at {mean:.0f} K."


def _lead(record: MdRecord) -> Html:
    s = record.settings
    how = f"{_ENSEMBLES[s['ensemble']]} with steps of {s['timestep']:g} fs, {s['temperature']:g} K asked for"
    atoms = count_of(len(record.symbols), "atom")
    name = element("strong", formula(record.formula))
    return join([name, f" ({atoms}), model ", element("code", record.model), f": {how}."])


def _tiles(record: MdRecord) -> list[Tile]:
    errors = [one.temperature_error for one in record.averages if one.temperature_error is not None]
    sure = f"± {np.sqrt(np.mean(np.square(errors)) / len(errors)):.1f} K" if errors else ""
    mean = float(np.mean([one.temperature for one in record.averages]))
    tiles = [Tile("Mean temperature", f"{mean:.1f}", "K", sure)]
    if record.settings["ensemble"] == "nve":
        drift = float(np.mean([one.drift for one in record.averages]))
        tiles.append(Tile("Energy drift", f"{drift:.1e}", "eV", "per atom and ns"))
    if record.contacts:
        least = record.contacts[0]
        ratio = least.shortest / least.trained_shortest
        tiles.append(
            Tile("Closest contact", f"{100 * ratio:.0f}", "%", f"of the closest in training\n{_pair(record, least)}")
        )
    return [*tiles, Tile("Speed", digits(record.ns_per_day), "ns/day")]


# Sections --------------------------------------------------------------------------------------------------------


def _courses(record: MdRecord) -> Section:
    warmed = record.settings["ensemble"] != "nve"
    level = record.settings["temperature"] if warmed else None
    total = None if warmed else _course(record, lambda c: c.totals, "Total energy above the start, eV")
    plots = grid(
        picture("temperature", _course(record, lambda c: c.temperatures, "Temperature, K", level), _CAPTIONS),
        picture("energy", _course(record, lambda c: c.energies, "Potential energy above the start, eV"), _CAPTIONS),
        picture("total", total, _CAPTIONS),
        picture("rmsd", _course(record, lambda c: c.rmsd, f"RMSD of {record.rmsd_of} from the start, Å"), _CAPTIONS),
    )
    return Section("The course", "", plots)


def _shape(record: MdRecord) -> Section:
    plots = grid(picture("bonds", _bonds(record), _CAPTIONS), picture("ramachandran", _ramachandran(record), _CAPTIONS))
    rows = [
        [_pair(record, pair), f"{pair.shortest:.2f}", f"{pair.trained_shortest:.2f}",
         f"{100 * pair.shortest / pair.trained_shortest:.0f}"]
        for pair in record.contacts
    ]  # fmt: skip
    head = ["Atoms", "closest, Å", "closest in training, Å", "%"]
    contacts = table("Closest contacts of atoms three or more bonds apart", head, rows) if rows else None
    return Section("Bonds and contacts", "", join([plots, contacts]))


def _spectrum(record: MdRecord) -> Section:
    power = _lines(record, record.spectrum, "Power spectrum of the velocities", numbered=False)
    infrared = _lines(record, record.infrared, "Infrared absorption, km/mol in an interval of 1 1/cm", numbered=True)
    plots = grid(picture("spectrum", power, _CAPTIONS), picture("infrared", infrared, _CAPTIONS))
    return Section("How it vibrates", "", plots)


def _details(record: MdRecord) -> Section:
    rows = [(words(key), entry(key, value)) for key, value in record.settings.items()]
    command = element("pre", element("code", record.command)) if record.command else None
    link = element("a", "Download the record (JSON)", id="download", class_="download", download="md.json", hidden=True)
    return Section("Details", "", join([command, table("Settings", [], rows), link]))


# Pictures --------------------------------------------------------------------------------------------------------


def _course(
    record: MdRecord, values: Callable[[Course], Sequence[float]], title: str, level: float | None = None
) -> Figure | None:
    """Something against time, and the level where it should lie; every replica has a line."""
    if len(record.courses[0].times) < 2:
        return None
    alone = len(record.courses) == 1
    with panel() as (figure, axes):
        for course in record.courses:
            axes.plot(course.times, values(course), color=LIGHT["kept"], linewidth=0.8, alpha=0.9 if alone else 0.5)
        if level is not None:
            axes.axhline(level, color=LIGHT["limit"], linewidth=1, linestyle=(0, (6, 3)))
        axes.set_xlabel("time, ps")
        axes.set_title(title)
        return figure


def _bonds(record: MdRecord) -> Figure | None:
    if not record.bonds:
        return None
    bonds = sorted(record.bonds, key=lambda bond: bond.mean)
    with panel() as (figure, axes):
        at = np.arange(len(bonds))
        here = [b.shortest for b in bonds], [b.longest for b in bonds]
        trained = [b.trained_shortest for b in bonds], [b.trained_longest for b in bonds]
        axes.vlines(at, *here, color=LIGHT["kept"], linewidth=4, alpha=0.6)
        axes.vlines(at, *trained, color=LIGHT["ink"], linewidth=1)
        axes.set_title("Bond lengths, Å")
        axes.set_xlabel("bonds, shortest first")
        axes.set_xticks([])
        marks = [handle(LIGHT["kept"], label="trajectory"), handle(LIGHT["ink"], label="training")]
        axes.legend(handles=marks, loc="upper left")
        return figure


def _ramachandran(record: MdRecord) -> Figure | None:
    if not record.residues:
        return None
    with panel(SQUARE) as (figure, axes):
        colours = [LIGHT[role] for role in ("kept", "chosen", "local", "limit", "random")]
        for k, residue in enumerate(record.residues):
            dots(axes, np.array(residue.phi), np.array(residue.psi), colours[k % len(colours)], 2.4)
        around: Any = {"xlim": (-180, 180), "xticks": range(-180, 181, 90)}
        around |= {"ylim": (-180, 180), "yticks": range(-180, 181, 90), "aspect": "equal"}
        axes.set(**around)
        axes.set_xlabel("phi, degrees")
        axes.set_title("psi, degrees")
        if len(record.residues) <= len(colours):
            marks = [
                handle(colours[k], marker="o", line="", label=f"C{r.alpha}") for k, r in enumerate(record.residues)
            ]
            axes.legend(handles=marks, loc="upper right")
        return figure


def _lines(record: MdRecord, heights: Sequence[float], title: str, numbered: bool) -> Figure | None:
    """A spectrum; numbered: whether its heights mean something."""
    if not heights:
        return None
    with panel((10.0, 3.2)) as (figure, axes):
        axes.plot(record.wavenumbers, heights, color=LIGHT["kept"], linewidth=1)
        axes.set(xlim=(0, record.wavenumbers[-1]), ylim=(0, None))
        if not numbered:
            axes.set_yticks([])
        axes.set_xlabel("wavenumber, 1/cm")
        axes.set_title(title)
        return figure


def _pair(record: MdRecord, pair: Distance) -> str:
    return f"{record.symbols[pair.i]}{pair.i}–{record.symbols[pair.j]}{pair.j}"
