"""Molecules with all their atoms, and mappings of them, for the tests of the lint."""

from __future__ import annotations

import mdtraj as md
import numpy as np
from openmmcg.mapping import Mapping

# Bonds of each heavy atom to heavy atoms of its residue, and its number of hydrogens.
BACKBONE = {"N": ("", 1), "CA": ("N", 1), "C": ("CA", 0), "O": ("C", 0)}
RESIDUES: dict[str, dict[str, tuple[str, int]]] = {
    "ACE": {"CH3": ("", 3), "C": ("CH3", 0), "O": ("C", 0)},
    "NME": {"N": ("", 1), "C": ("N", 3)},
    "GLY": {**BACKBONE, "CA": ("N", 2)},
    "ALA": {**BACKBONE, "CB": ("CA", 3)},
    "THR": {**BACKBONE, "CB": ("CA", 1), "OG1": ("CB", 1), "CG2": ("CB", 3)},
    "PRO": {**BACKBONE, "N": ("", 0), "CB": ("CA", 2), "CG": ("CB", 2), "CD": ("CG N", 2)},
    "ASP": {**BACKBONE, "CB": ("CA", 2), "CG": ("CB", 0), "OD1": ("CG", 0), "OD2": ("CG", 0)},
    "PHE": {
        **BACKBONE,
        "CB": ("CA", 2),
        "CG": ("CB", 0),
        "CD1": ("CG", 1),
        "CD2": ("CG", 1),
        "CE1": ("CD1", 1),
        "CE2": ("CD2", 1),
        "CZ": ("CE1 CE2", 1),
    },
}


def peptide(*residues: str, hydrogens: bool = True) -> md.Topology:
    """Return ACE-residues-NME."""
    top = md.Topology()
    chain = top.add_chain()
    previous = None
    for number, residue in enumerate(("ACE", *residues, "NME"), 1):
        res = top.add_residue(residue, chain, number)
        atoms = {}
        for name, (bonded, count) in RESIDUES[residue].items():
            atoms[name] = top.add_atom(name, md.element.get_by_symbol(name[0]), res)
            for other in bonded.split():
                top.add_bond(atoms[other], atoms[name])
            for h in range(count if hydrogens else 0):
                hydrogen = top.add_atom(f"H{name}{h + 1}", md.element.hydrogen, res)
                top.add_bond(atoms[name], hydrogen)
        if previous is not None:
            top.add_bond(previous, atoms["N"])
        previous = atoms.get("C")
    return top


def chains(count: int, carbons: int = 6) -> md.Topology:
    """Return n-alkane molecules, atom names C1, H11, H12, H13, C2, ..."""
    top = md.Topology()
    for number in range(count):
        res = top.add_residue("HEX", top.add_chain(), number + 1)
        previous = None
        for c in range(1, carbons + 1):
            carbon = top.add_atom(f"C{c}", md.element.carbon, res)
            for h in range(3 if c in (1, carbons) else 2):
                top.add_bond(carbon, top.add_atom(f"H{c}{h + 1}", md.element.hydrogen, res))
            if previous is not None:
                top.add_bond(previous, carbon)
            previous = carbon
    return top


def mapped(
    topology: md.Topology, beads: dict[str, str], encoding: object = "one", residues: str = "all"
) -> Mapping:
    """Map beads given as name and MDTraj selection within a residue."""
    templates = [
        {
            "residues": residues,
            "beads": [
                {"name": name, "select": select, "optional": True} for name, select in beads.items()
            ],
        }
    ]
    definition = {"format": 1, "name": "test", "encoding": encoding, "templates": templates}
    return Mapping.from_dict(definition, topology)


def halves(topology: md.Topology, encoding: object = "one") -> Mapping:
    """Map hexane to two centres of mass."""
    parts = {"A": "C1 C2 C3 'H[123].*'", "B": "C4 C5 C6 'H[456].*'"}
    beads = {
        name: "name =~ '" + "|".join(part.replace("'", "").split()) + "'"
        for name, part in parts.items()
    }
    return mapped(topology, beads, encoding)


def dimers(separation: float, bond: float = 0.4, spread: float = 0.0, frames: int = 4):
    """Positions (frames, 128, 3) of 64 parallel two-bead molecules on a grid, and their boxes.

    The nearest beads of different molecules are `separation` apart; bonds vary by `spread`.
    """
    rng = np.random.default_rng(0)
    corners = np.stack(np.meshgrid(*3 * [np.arange(4.0)], indexing="ij"), -1).reshape(-1, 3)
    cell = np.array([separation, separation, bond + spread + separation])
    result = np.repeat(np.repeat((corners * cell)[None, :, None], frames, axis=0), 2, axis=2)
    result[:, :, 1, 2] += bond + spread * rng.choice([-1, 0, 1], size=(frames, 64))
    result[:, 0, 1, 2] = result[:, 0, 0, 2] + bond + spread
    return result.reshape(frames, 128, 3), np.repeat(np.diag(4 * cell)[None], frames, axis=0)
