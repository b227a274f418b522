"""The CG topology of a model file as an OpenMM topology."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmm import unit
from openmm.app import Topology


def build_topology(template: Mapping[str, Any], replicas: int = 1) -> Topology:
    """Repeat a molecule template as an OpenMM topology.

    Parameters
    ----------
    template : mapping
        Entry ``topology`` of a model card.
    replicas : int
        Copies; beads of replica r are n r .. n (r + 1) - 1.

    Returns
    -------
    openmm.app.Topology
        One chain for each molecule of each replica; beads have no element. It has the template's
        box if there is one.
    """
    result = Topology()
    if template.get("box") is not None:
        result.setPeriodicBoxVectors(template["box"] * unit.nanometer)
    molecules = template["molecules"]
    for replica in range(replicas):
        atoms = []
        previous: tuple[Any, ...] | None = None
        for bead, (name, residue) in enumerate(
            zip(template["names"], template["residues"], strict=True)
        ):
            molecule = molecules[bead]
            if previous is None or previous[0] != molecule:
                chain = result.addChain(chr(ord("A") + replica % 26))
                previous = None
            if previous != (molecule, *residue):
                current = result.addResidue(str(residue[0]), chain, id=str(residue[1]))
                previous = (molecule, *residue)
            atoms.append(result.addAtom(name, None, current))
        for first, second in template["bonds"]:
            result.addBond(atoms[first], atoms[second])
    return result
