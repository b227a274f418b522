"""Small topologies with hydrogens and bonds for tests of mappings."""

from __future__ import annotations

import random
from functools import lru_cache

import mdtraj as md
import numpy as np
import openmm.app as app

CARBON, HYDROGEN, OXYGEN = md.element.carbon, md.element.hydrogen, md.element.oxygen


@lru_cache(maxsize=1)
def _amber():
    return app.ForceField("amber14/protein.ff14SB.xml")._templates


def peptide(*residues):
    """A chain of residues, for example "ACE", "ALA", "NME", from Amber's residue templates."""
    top = md.Topology()
    chain = top.add_chain("A")
    previous = None
    for number, name in enumerate(residues, start=1):
        template = _amber()[name]
        res = top.add_residue(name, chain, number)
        atoms = [
            top.add_atom(a.name, md.element.get_by_symbol(a.element.symbol), res)
            for a in template.atoms
        ]
        for i, j in template.bonds:
            top.add_bond(atoms[i], atoms[j])
        by_name = {a.name: a for a in atoms}
        if previous is not None:
            top.add_bond(previous, by_name["N"])
        previous = by_name.get("C")
    return top


def alkane(top, length, name="HEX", number=1, shuffle=None):
    """Add an n-alkane in the order C HHH C HH ... to a topology."""
    res = top.add_residue(name, top.add_chain(), number)
    bonds = []
    previous = None
    for c in range(1, length + 1):
        carbon = top.add_atom(f"C{c}", CARBON, res)
        for h in range(2 + (c == 1) + (c == length)):
            bonds.append((carbon, top.add_atom(f"H{c}{h}", HYDROGEN, res)))
        if previous is not None:
            bonds.append((previous, carbon))
        previous = carbon
    if shuffle is not None:
        random.Random(shuffle).shuffle(bonds)
    for a, b in bonds:
        top.add_bond(a, b)
    return res


def hexanes(count, shuffle=None):
    """Hexane molecules with hydrogens; `shuffle` permutes the order of bonds."""
    top = md.Topology()
    for number in range(count):
        alkane(top, 6, number=number + 1, shuffle=shuffle)
    return top


def water(top, number=1, site=False):
    """Add a water molecule, with a virtual site for `site`, to a topology."""
    res = top.add_residue("HOH", top.add_chain(), number)
    oxygen = top.add_atom("O", OXYGEN, res)
    for name in ("H1", "H2"):
        top.add_bond(oxygen, top.add_atom(name, HYDROGEN, res))
    if site:
        top.add_bond(oxygen, top.add_atom("M", md.element.virtual, res))
    return res


def canonical(types):
    """Number types in the order of their first appearance, from 0."""
    order = list(dict.fromkeys(np.asarray(types).tolist()))
    return [order.index(t) for t in np.asarray(types).tolist()]
