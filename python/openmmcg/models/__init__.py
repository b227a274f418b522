"""Networks: bead energies from positions, bead types and a pair list.

Every network honours one call (see `CGNetwork.forward`) and is made by `build` from its name and
plain hyperparameters, which is all a model file has to remember of it. There is one folder for each
architecture: `schnet`, `painn`, `tensornet`, `mace` and `pair_spline`.
"""

from __future__ import annotations

from openmmcg.models.base import CGNetwork
from openmmcg.models.edge_types import EDGE_TYPE_COUNT, EDGE_TYPE_SCHEME, edge_types
from openmmcg.models.registry import build, names
from openmmcg.models.schnet import SchNet
from openmmcg.models.template import PairTemplate

__all__ = [
    "EDGE_TYPE_COUNT",
    "EDGE_TYPE_SCHEME",
    "CGNetwork",
    "PairTemplate",
    "SchNet",
    "build",
    "edge_types",
    "names",
]
