"""Random forces, a small liquid, and an independent solver for force maps, for tests."""

from __future__ import annotations

from itertools import pairwise

import mdtraj as md
import networkx as nx
import numpy as np
from openmmcg.mapping import Mapping
from scipy.optimize import minimize

RIDGE = 1e-6
"""Of the optimal map, in units of the mean diagonal of the moments over clusters."""


def quadratic_programme(moments, matrix, clusters, bead):
    """Weights of one bead by sequential quadratic programming over all atoms.

    Minimises w (P + λ) w under M w = e_bead and equal weights within clusters.
    """
    spread = np.zeros((len(moments), 0))
    for group in clusters:
        spread = np.column_stack([spread, np.isin(np.arange(len(moments)), list(group))])
    scale = np.trace(spread.T @ moments @ spread) / spread.shape[1]
    power = moments / scale + RIDGE * np.eye(len(moments))
    target = np.eye(len(matrix))[bead]
    tied = [(min(group), atom) for group in clusters for atom in group if atom != min(group)]
    equalities = [
        {"type": "eq", "fun": lambda w: matrix @ w - target, "jac": lambda w: matrix},
        {
            "type": "eq",
            "fun": lambda w: np.array([w[i] - w[j] for i, j in tied]),
            "jac": lambda w: np.array([np.eye(len(w))[i] - np.eye(len(w))[j] for i, j in tied]),
        },
    ]
    result = minimize(
        lambda w: w @ power @ w,
        np.zeros(len(moments)),
        jac=lambda w: 2 * power @ w,
        constraints=equalities if tied else equalities[:1],
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 2000},
    )
    assert result.success, result.message
    return result.x


def all_clusters(n_atoms, constraints):
    graph = nx.Graph(np.asarray(constraints).tolist())
    graph.add_nodes_from(range(n_atoms))
    return list(nx.connected_components(graph))


def correlated_forces(mapping, seed=0, frames=400):
    """Forces with a random covariance and, as in a molecule, no net force."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(mapping.n_atoms, mapping.n_atoms))
    forces = np.einsum("ab,fbx->fax", mixing, rng.normal(size=(frames, mapping.n_atoms, 3)))
    return forces - forces.mean(axis=1, keepdims=True)


def liquid(n_chains=4, n_waters=3):
    """Butane chains, two beads each, mixed with one-bead waters and an argon that has none."""
    topology = md.Topology()
    chain = topology.add_chain()
    for kind in ["CH"] * n_chains + ["HOH"] * n_waters + ["AR"]:
        residue = topology.add_residue({"CH": "BUT"}.get(kind, kind), chain)
        if kind == "AR":
            topology.add_atom("AR", md.element.argon, residue)
            continue
        elements = [md.element.carbon] * 4 if kind == "CH" else [md.element.oxygen]
        heavy = [topology.add_atom(f"X{k}", e, residue) for k, e in enumerate(elements)]
        for first, second in pairwise(heavy):
            topology.add_bond(first, second)
        for name in ("HA", "HB"):
            topology.add_bond(heavy[0], topology.add_atom(name, md.element.hydrogen, residue))
    beads = {
        "BUT": [
            {"name": "A", "select": "name X0 X1 HA HB"},
            {"name": "B", "select": "name X2 X3"},
        ],
        "HOH": [{"name": "O", "select": "name X0"}],
    }
    templates = [{"residues": f"resname {r}", "beads": b} for r, b in beads.items()]
    return Mapping.from_dict({"format": 1, "name": "liquid", "templates": templates}, topology)


def rigid_water(mapping):
    pairs = []
    for residue in mapping.atomistic.residues:
        if residue.name == "HOH":
            oxygen, first, second = (atom.index for atom in residue.atoms)
            pairs += [[oxygen, first], [oxygen, second], [first, second]]
    return np.array(pairs)
