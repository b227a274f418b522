"""What a bead is: templates, bead types, the matrix M of R = M r, CG bonds; and mapping lint."""

from __future__ import annotations

from openmmcg.mapping.definition import MappingDefinition
from openmmcg.mapping.encoding import ENCODINGS
from openmmcg.mapping.library import builtins
from openmmcg.mapping.linting import Finding, lint
from openmmcg.mapping.mapping import Mapping, load_mapping
from openmmcg.mapping.molecules import MoleculeGroup
from openmmcg.mapping.pdb import write_pdb
from openmmcg.mapping.templates import BeadTemplate, MoleculeTemplate, ResidueTemplate
from openmmcg.mapping.topology import topology_from_dict, topology_to_dict
from openmmcg.mapping.transform import apply_matrix

__all__ = [
    "ENCODINGS",
    "BeadTemplate",
    "Finding",
    "Mapping",
    "MappingDefinition",
    "MoleculeGroup",
    "MoleculeTemplate",
    "ResidueTemplate",
    "apply_matrix",
    "builtins",
    "lint",
    "load_mapping",
    "topology_from_dict",
    "topology_to_dict",
    "write_pdb",
]
