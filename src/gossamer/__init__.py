"""Gossamer: kernel force fields for single molecules that find the few atom pairs the energy depends on.

import gossamer as gs
data = gs.read("traj.extxyz", energy_unit="eV", length_unit="Angstrom")
train, valid, test = data.split(200, 100, 500, seed=0)
small = gs.reduce(train, valid, tolerance=0.02).model
"""

from importlib import import_module
from typing import TYPE_CHECKING

from gossamer import forked as _forked  # noqa: F401  before any fork, so that children know of it
from gossamer.version import __version__

_WHERE = {
    "Dataset": "gossamer.data.dataset",
    "DipoleModel": "gossamer.model.dipoles",
    "Errors": "gossamer.model.results",
    "FeatureSet": "gossamer.model.features",
    "ForceField": "gossamer.model.force_field",
    "Fragment": "gossamer.chemistry.fragments",
    "GossamerError": "gossamer.errors",
    "Network": "gossamer.reduction.network",
    "NetworkModel": "gossamer.model.network",
    "Origin": "gossamer.chemistry.origin",
    "PairSet": "gossamer.model.pairs",
    "Prediction": "gossamer.model.results",
    "ReduceRecord": "gossamer.records.record",
    "Reduction": "gossamer.reduction.reducer",
    "Settings": "gossamer.fitting.settings",
    "Term": "gossamer.model.terms",
    "TrainRecord": "gossamer.records.record",
    "TrainResult": "gossamer.fitting.result",
    "condense": "gossamer.fitting.representatives",
    "estimate": "gossamer.fitting.estimate",
    "find_symmetry": "gossamer.chemistry.symmetry",
    "inspect": "gossamer.data.checks",
    "load": "gossamer.model.model_file",
    "load_network": "gossamer.model.network_file",
    "local_fragments": "gossamer.chemistry.fragments",
    "masking_scores": "gossamer.reduction.relevance",
    "read": "gossamer.data.formats",
    "read_fragments": "gossamer.chemistry.fragments_file",
    "read_record": "gossamer.records.record",
    "reduce": "gossamer.reduction.reducer",
    "report": "gossamer.reporting.html",
    "train": "gossamer.fitting.result",
    "train_dipoles": "gossamer.fitting.dipoles",
    "write": "gossamer.data.formats",
    "write_fragments": "gossamer.chemistry.fragments_file",
}

_MODULES = ("descriptors", "errors", "kernels")  # reached as gs.descriptors ...

__all__ = ["__version__", *sorted((*_WHERE, *_MODULES))]

if TYPE_CHECKING:
    from gossamer import descriptors as descriptors
    from gossamer import errors as errors
    from gossamer import kernels as kernels
    from gossamer.chemistry.fragments import Fragment as Fragment
    from gossamer.chemistry.fragments import local_fragments as local_fragments
    from gossamer.chemistry.fragments_file import read_fragments as read_fragments
    from gossamer.chemistry.fragments_file import write_fragments as write_fragments
    from gossamer.chemistry.origin import Origin as Origin
    from gossamer.chemistry.symmetry import find_symmetry as find_symmetry
    from gossamer.data.checks import inspect as inspect
    from gossamer.data.dataset import Dataset as Dataset
    from gossamer.data.formats import read as read
    from gossamer.data.formats import write as write
    from gossamer.errors import GossamerError as GossamerError
    from gossamer.fitting.dipoles import train_dipoles as train_dipoles
    from gossamer.fitting.estimate import estimate as estimate
    from gossamer.fitting.representatives import condense as condense
    from gossamer.fitting.result import TrainResult as TrainResult
    from gossamer.fitting.result import train as train
    from gossamer.fitting.settings import Settings as Settings
    from gossamer.model.dipoles import DipoleModel as DipoleModel
    from gossamer.model.features import FeatureSet as FeatureSet
    from gossamer.model.force_field import ForceField as ForceField
    from gossamer.model.model_file import load as load
    from gossamer.model.network import NetworkModel as NetworkModel
    from gossamer.model.network_file import load_network as load_network
    from gossamer.model.pairs import PairSet as PairSet
    from gossamer.model.results import Errors as Errors
    from gossamer.model.results import Prediction as Prediction
    from gossamer.model.terms import Term as Term
    from gossamer.records.record import ReduceRecord as ReduceRecord
    from gossamer.records.record import TrainRecord as TrainRecord
    from gossamer.records.record import read_record as read_record
    from gossamer.reduction.network import Network as Network
    from gossamer.reduction.reducer import Reduction as Reduction
    from gossamer.reduction.reducer import reduce as reduce
    from gossamer.reduction.relevance import masking_scores as masking_scores
    from gossamer.reporting.html import report as report


def __getattr__(name: str):
    """Load public names on first use: `import gossamer` alone imports neither torch nor numpy's heavier friends."""
    if name in _MODULES:
        return import_module(f"gossamer.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'gossamer' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
