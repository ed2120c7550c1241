"""Checks of the structures: lengths, coincident atoms, broken bonds, atom order, duplicates."""

from collections import defaultdict

import numpy as np

from gossamer.chemistry.bonds import STRETCH, radius_sums
from gossamer.data.dataset import Dataset, symbols
from gossamer.data.findings import Finding, concerning, named
from gossamer.data.geometry import (
    BROKEN,
    COVALENT,
    Skeleton,
    count_fragments,
    distance_blocks,
    graph_hash,
    likely_length_unit,
    nearest_ratio,
)

COINCIDENT = 0.4  # Angstrom
_LOOSE = 2.2  # a bond of a metal is broken beyond this many of its usual lengths: ion pairs and hydrides swing far
_REORDERED = 1.75  # a bond this much longer than usual is no proton on its way to a neighbour


def check_lengths(data: Dataset) -> Finding:
    """Are the positions in Angstrom?  Bonded atoms stand about a sum of covalent radii apart."""
    declared = data.provenance.length_unit or "Angstrom"
    positions = data.positions
    if data.n_atoms == 2 and data.energies is not None:  # of a curve that goes on to dissociation, the minimum tells
        positions = positions[data.energies <= np.quantile(data.energies, 0.1)]
    ratio = nearest_ratio(data.numbers, positions[:: max(1, len(positions) // 200)])
    unit = likely_length_unit(ratio, declared)
    if unit is not None:
        message = (
            f"neighbouring atoms are {ratio:.2g} bond lengths apart: the positions look like {unit} but were read as "
            f"{declared}; give --length-unit {unit}."
        )
        one_bond = data.n_atoms == 2  # too little to go by
        return Finding("warning" if one_bond else "error", "lengths", message)
    if not np.isfinite(ratio):
        return Finding("ok", "lengths", "cannot be judged without bonds.")
    return Finding("ok", "lengths", f"neighbouring atoms are {ratio:.2f} bond lengths apart.")


def extreme_distances(data: Dataset) -> tuple[np.ndarray, float]:
    """Shortest distance of every frame (n,) and the longest of all, in Angstrom."""
    shortest, longest = np.full(len(data), np.inf), 0.0
    for block, distances in distance_blocks(data.positions):
        shortest[block] = distances.min(axis=(1, 2))
        longest = max(longest, float(distances.max(where=np.isfinite(distances), initial=0.0)))
    return shortest, longest


def check_coincident(data: Dataset, shortest: np.ndarray) -> Finding:
    """Atoms on top of each other."""
    bad = shortest < COINCIDENT
    if bad.any():
        message = f"atoms closer than {COINCIDENT} Angstrom in {{frames}}; remove these frames."
        return concerning("error", "coincident atoms", message, data.frames[bad])
    return Finding("ok", "coincident atoms", f"no two atoms closer than {shortest.min():.2f} Angstrom.")


def check_bonds(data: Dataset, skeleton: Skeleton) -> list[Finding]:
    """Frames whose molecular graph is not the usual one: fallen apart, atoms in another order, or bonds rearranged."""
    if not len(skeleton.bonds):
        return [Finding("ok", "bonds", "no bonds found, so none can break.")]
    stretch = skeleton.stretch(data.positions)
    kinds = _classified(data, skeleton, stretch)
    found = []
    if len(rows := np.array(kinds["apart"], dtype=int)):
        message = "the molecule has come apart in {frames}; remove these frames unless dissociation is what you want."
        found.append(concerning("error", "bonds", message, data.frames[rows]))
    if len(rows := np.array(kinds["reordered"], dtype=int)):
        message = (
            "same molecule, but its atoms stand in another order in {frames}; reorder atoms and forces to match the "
            "other frames."
        )
        found.append(concerning("error", "atom order", message, data.frames[rows]))
    if len(rows := np.array(kinds["rearranged"], dtype=int)):
        names = symbols(skeleton.numbers)
        broken = (stretch[rows] > _limits(data.numbers)[tuple(skeleton.bonds.T)]).sum(axis=0)
        i, j = skeleton.bonds[np.argmax(broken)]
        message = (
            f"bonds change in {{frames}}, most often {names[j]}{j}-{names[i]}{i}: a reaction, a proton transfer, or a "
            "wrong frame."
        )
        found.append(concerning("warning", "bonds", message, data.frames[rows]))
    if not any(finding.check == "bonds" for finding in found):
        found.insert(0, Finding("ok", "bonds", f"no bond longer than {stretch.max():.2f} of its usual length."))
    if not kinds["reordered"]:
        found.append(Finding("ok", "atom order", "the same in every frame, as far as bonds can tell."))
    return found


def _classified(data: Dataset, skeleton: Skeleton, stretch: np.ndarray) -> dict[str, list[int]]:
    """Rows of the frames with broken bonds, by kind: "apart", "reordered" or "rearranged"."""
    usual = np.zeros((data.n_atoms, data.n_atoms), dtype=bool)
    usual[skeleton.bonds[:, 0], skeleton.bonds[:, 1]] = True
    usual |= usual.T
    usual_hash = graph_hash(data.numbers, usual)
    sums = radius_sums(data.numbers)
    kinds: dict[str, list[int]] = defaultdict(list)
    limits = _limits(data.numbers)
    broken = np.flatnonzero((stretch > limits[tuple(skeleton.bonds.T)]).any(axis=1))
    hashes: dict[bytes, int] = {}
    for block, distances in distance_blocks(data.positions[broken]):
        for row, frame in zip(broken[block], distances, strict=True):
            if count_fragments(frame < limits * sums) > skeleton.fragments:
                kinds["apart"].append(int(row))
                continue
            graph = frame < STRETCH * sums
            key = graph.tobytes()
            if key not in hashes:
                hashes[key] = graph_hash(data.numbers, graph)
            moved = (stretch[row] > _REORDERED).sum() >= 2 and hashes[key] == usual_hash
            kinds["reordered" if moved else "rearranged"].append(int(row))
    return kinds


def _limits(numbers: np.ndarray) -> np.ndarray:
    """How many of its usual lengths (N, N) a bond of each two atoms may have before it is broken."""
    metal = ~np.isin(numbers, COVALENT)
    return np.where(metal[:, None] | metal, _LOOSE, BROKEN)


def check_duplicates(data: Dataset) -> Finding:
    """Structures that repeat, exactly or but for rounding, a turn or a shift, and whether their labels agree."""
    repeats, first = data.repeats()
    if len(repeats):
        differ = np.zeros(len(repeats), dtype=bool)
        for labels in (data.energies, data.forces):
            if labels is not None:
                gap = np.abs(labels[repeats] - labels[first]).reshape(len(repeats), -1).max(axis=1)
                differ |= gap > 1e-3
        if differ.any():
            message = (
                "{frames} repeat an earlier structure with other energies or forces (more than 1 meV or 1 meV/Angstrom "
                "apart); keep one method."
            )
            return concerning("error", "duplicates", message, data.frames[repeats[differ]])
    near = np.setdiff1d(np.flatnonzero(data.twins() != np.arange(len(data))), repeats)
    said = []
    if len(repeats):
        said.append(f"{named(data.frames[repeats])} repeat an earlier structure; splitting removes them")
    if len(near):
        said.append(
            f"{named(data.frames[near])} are near-duplicates of an earlier structure, the same but for rounding, a "
            "turn or a shift; splitting never puts them in different parts"
        )
    if not said:
        return Finding("ok", "duplicates", "no structure stands in the file twice.")
    frames = data.frames[np.concatenate([repeats, near])]
    return Finding("warning", "duplicates", "; ".join(said) + ".", tuple(int(frame) for frame in frames))
