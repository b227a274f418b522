"""What a bead is: residue templates, bead types, the matrix M of R = M r, and CG bonds."""

from __future__ import annotations

from openmmcg.mapping.definition import BeadTemplate, MappingDefinition, ResidueTemplate
from openmmcg.mapping.encoding import ENCODINGS
from openmmcg.mapping.linting import Finding, lint
from openmmcg.mapping.mapping import Mapping, builtins, load_mapping
from openmmcg.mapping.molecules import MoleculeGroup
from openmmcg.mapping.topology import topology_from_dict, topology_to_dict
from openmmcg.mapping.transform import apply_matrix

__all__ = [
    "ENCODINGS",
    "BeadTemplate",
    "Finding",
    "Mapping",
    "MappingDefinition",
    "MoleculeGroup",
    "ResidueTemplate",
    "apply_matrix",
    "builtins",
    "lint",
    "load_mapping",
    "topology_from_dict",
    "topology_to_dict",
]
