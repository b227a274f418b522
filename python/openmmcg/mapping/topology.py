"""CG topologies: built from beads, and to and from plain JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import mdtraj as md
import numpy as np

if TYPE_CHECKING:
    from openmmcg.mapping.placement import PlacedBead


def as_mdtraj(topology: Any) -> md.Topology:
    """Return an MDTraj topology for an MDTraj or OpenMM one.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if isinstance(topology, md.Topology):
        return topology
    if hasattr(topology, "getNumAtoms") and hasattr(topology, "chains"):
        return md.Topology.from_openmm(topology)
    raise ValueError(
        f"Expected an MDTraj or OpenMM topology, found {type(topology).__name__}; "
        "take it from a trajectory (traj.topology) or an openmm.app file (pdb.topology)."
    )


def bead_topology(
    topology: md.Topology, beads: Sequence[PlacedBead], bonds: np.ndarray
) -> md.Topology:
    """Return a topology of beads with chains, residue names and numbers of the atomistic one.

    A bead of one atom keeps that atom's element; a bead of several is a virtual site.
    """
    result = md.Topology()
    chains: dict[int, Any] = {}
    residues: dict[int, Any] = {}
    for bead in beads:
        first = topology.atom(int(bead.atoms[0]))
        source = first.residue
        if source.chain.index not in chains:
            chains[source.chain.index] = result.add_chain(source.chain.chain_id)
        if source.index not in residues:
            residues[source.index] = result.add_residue(
                source.name, chains[source.chain.index], source.resSeq, source.segment_id
            )
        element = first.element if len(bead.atoms) == 1 else md.element.virtual
        result.add_atom(bead.name, element, residues[source.index])
    sites = list(result.atoms)
    for i, j in bonds:
        result.add_bond(sites[i], sites[j])
    return result


def topology_to_dict(topology: md.Topology) -> dict[str, Any]:
    """Return a topology of beads or atoms as JSON-able values.

    Returns
    -------
    dict
        "beads": [name, element symbol, residue index] per bead or atom; "residues": [name,
        number, chain index] per residue; "chains": identifier (or None) per chain; "bonds": [i,
        j] per bond, without types and orders.
    """
    return {
        "beads": [[a.name, a.element.symbol, a.residue.index] for a in topology.atoms],
        "residues": [[r.name, r.resSeq, r.chain.index] for r in topology.residues],
        "chains": [chain.chain_id for chain in topology.chains],
        "bonds": sorted(sorted((a.index, b.index)) for a, b in topology.bonds),
    }


def topology_from_dict(data: dict[str, Any]) -> md.Topology:
    """Return the MDTraj topology that `topology_to_dict` described."""
    result = md.Topology()
    # Files of openmmcg 0.1 do not name the chains.
    count = 1 + max((chain for _, _, chain in data["residues"]), default=-1)
    chains = [result.add_chain(chain_id) for chain_id in data.get("chains", [None] * count)]
    residues = [
        result.add_residue(name, chains[chain], number) for name, number, chain in data["residues"]
    ]
    atoms = [
        result.add_atom(name, _element(symbol), residues[residue])
        for name, symbol, residue in data["beads"]
    ]
    for i, j in data["bonds"]:
        result.add_bond(atoms[i], atoms[j])
    return result


def _element(symbol: str) -> Any:
    virtual = md.element.virtual
    return virtual if symbol == virtual.symbol else md.element.get_by_symbol(symbol)
