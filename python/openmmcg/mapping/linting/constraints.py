"""Force maps that constraints make wrong.

Engines report forces without those of constraints. The sum over a rigid cluster is right, its
parts are not, so all atoms of a cluster must count alike (Krämer et al., J. Phys. Chem. Lett.
2023, 10.1021/acs.jpclett.3c00444).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import mdtraj as md
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from openmmcg.mapping.linting.finding import ERROR, INFO, Finding
from openmmcg.mapping.linting.system import label

if TYPE_CHECKING:
    from openmmcg.mapping.mapping import Mapping

_EXAMPLES = 20
_TOLERANCE = 1e-9


class ForceMapLike(Protocol):
    """A force map: its kind and its matrix (n_beads, n_atoms)."""

    @property
    def kind(self) -> str: ...
    @property
    def sparse(self) -> sparse.csr_array: ...


@dataclass(frozen=True)
class ClusterPlot:
    """Constraint clusters to be drawn: atoms, the constraints between them, weighted atoms."""

    topology: md.Topology
    clusters: list[list[int]]
    constraints: np.ndarray
    weighted: set[int]


def check_constraints(
    mapping: Mapping, constraints: np.ndarray, force_map: str | ForceMapLike | None = None
) -> list[Finding]:
    """Find constraint clusters whose atoms a force map weighs differently.

    Parameters
    ----------
    mapping : Mapping
    constraints : (n, 2) int
        Pairs of atoms that are kept rigid.
    force_map : str or ForceMap, optional
        Kind, or the map itself. "slice", and None for a map that is not known: forces of the
        bead's own atoms. All other kinds give the atoms of a cluster the same weight.

    Returns
    -------
    list of Finding
        An error if clusters are cut or shared by beads, else an info.

    Raises
    ------
    ValueError
        If a constraint names an atom that does not exist.
    """
    pairs = np.asarray(constraints, dtype=np.int64).reshape(-1, 2)
    if pairs.size and not 0 <= pairs.min() <= pairs.max() < mapping.n_atoms:
        raise ValueError(
            f"A constraint names atom {pairs.max()}, the mapping has {mapping.n_atoms} atoms; "
            "both must come from the same system."
        )
    members = _clusters(pairs, mapping.n_atoms)
    held = sparse.csr_array((mapping.sparse != 0).astype(np.float64))
    kind = force_map if isinstance(force_map, str) else getattr(force_map, "kind", None)
    weights = force_map.sparse if force_map and not isinstance(force_map, str) else held
    if kind in (None, "slice") or weights is not held:
        cut = _uneven(weights, members)
        if cut:
            return [_cut(mapping, members, pairs, cut, held, kind)]
    shared = np.flatnonzero(((held @ members) != 0).sum(axis=0) > 1)
    if len(shared) and weights is held:
        return [_shared(mapping, members, pairs, shared, held)]
    numbers = {"clusters": members.shape[1], "cut": 0, "force_map": kind}
    if members.shape[1] == 0:
        return [Finding(INFO, "constraints", "No constraints", "Any force map fits.", "", numbers)]
    return [
        Finding(
            INFO,
            "constraints",
            "The force map agrees with the constraints",
            f"None of the {members.shape[1]} constraint clusters is cut.",
            "",
            numbers,
        )
    ]


def hydrogen_constraints(topology: md.Topology) -> np.ndarray:
    """Return the constraints (n, 2) that OpenMM's ``HBonds`` makes, with rigid water."""
    pairs = [
        (a.index, b.index)
        for a, b in topology.bonds
        if 1 in (getattr(a.element, "number", 0), getattr(b.element, "number", 0))
    ]
    for residue in topology.residues:
        if residue.is_water:
            hydrogens = [a.index for a in residue.atoms if getattr(a.element, "number", 0) == 1]
            if len(hydrogens) == 2:
                pairs.append((hydrogens[0], hydrogens[1]))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _clusters(pairs: np.ndarray, n_atoms: int) -> sparse.csr_array:
    """Return the membership matrix (n_atoms, n_clusters) of clusters of two or more atoms."""
    graph = sparse.csr_array(
        (np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n_atoms, n_atoms)
    )
    count, part = connected_components(graph, directed=False)
    chosen = np.flatnonzero(np.bincount(part, minlength=count) > 1)
    number = np.full(count, -1)
    number[chosen] = np.arange(len(chosen))
    atoms = np.flatnonzero(number[part] >= 0)
    ones = np.ones(len(atoms))
    return sparse.csr_array(
        (ones, (atoms, number[part[atoms]])), shape=(n_atoms, max(len(chosen), 0))
    )


def _uneven(weights: sparse.csr_array, members: sparse.csr_array) -> list[tuple[int, int]]:
    """Return (bead, cluster) where the bead's weights differ within the cluster."""
    sizes = np.asarray(members.sum(axis=0)).reshape(-1)
    sums = sparse.csr_array(weights @ members)
    squares = sparse.coo_array(weights.multiply(weights) @ members)
    beads, clusters = squares.coords
    # n Σ w² - (Σ w)² = Σ (w_i - w_j)², which is zero for equal weights alone.
    spread = sizes[clusters] * squares.data - np.asarray(sums[beads, clusters]).reshape(-1) ** 2
    uneven = spread > _TOLERANCE
    return sorted(zip(beads[uneven].tolist(), clusters[uneven].tolist(), strict=True))


def _cut(
    mapping: Mapping,
    members: sparse.csr_array,
    pairs: np.ndarray,
    cut: list[tuple[int, int]],
    held: sparse.csr_array,
    kind: str | None,
) -> Finding:
    clusters = list(dict.fromkeys(cluster for _, cluster in cut))
    beads = list(dict.fromkeys(bead for bead, _ in cut))
    plot = _plot(mapping, members, pairs, clusters, held)
    names = [label(atom) for atom in mapping.topology.atoms]
    examples = [
        {"bead": names[bead], "cluster": _names(mapping, members, cluster)}
        for bead, cluster in cut[:_EXAMPLES]
    ]
    first = examples[0]
    what = "Slices cut" if kind in (None, "slice") else f"The force map {kind!r} cuts"
    assumed = "" if kind else " No force map is named, so that of the beads' own atoms is meant."
    return Finding(
        ERROR,
        "constraints",
        f"{what} {len(clusters)} constraint cluster{'s' if len(clusters) > 1 else ''}",
        f"{len(beads)} of {mapping.n_beads} beads weigh atoms of one rigid cluster differently, "
        f"so their forces lack a part of the constraint forces: bead {first['bead']} takes a part "
        f"of {', '.join(first['cluster'])}.{assumed}",
        "Use the force map 'uniform' or 'optimal', or sample without constraints.",
        {
            "clusters": members.shape[1],
            "cut": len(clusters),
            "beads_cut": len(beads),
            "force_map": kind,
            "examples": examples,
        },
        tuple(beads),
        plot=plot,
    )


def _shared(
    mapping: Mapping,
    members: sparse.csr_array,
    pairs: np.ndarray,
    shared: np.ndarray,
    held: sparse.csr_array,
) -> Finding:
    names = [label(atom) for atom in mapping.topology.atoms]
    inside = (held @ members).tocsc()
    beads_of = [
        inside.indices[inside.indptr[c] : inside.indptr[c + 1]].tolist() for c in shared.tolist()
    ]
    examples = [
        {"beads": [names[b] for b in beads], "cluster": _names(mapping, members, cluster)}
        for cluster, beads in zip(shared[:_EXAMPLES].tolist(), beads_of, strict=False)
    ]
    first: dict[str, Any] = examples[0]
    return Finding(
        ERROR,
        "constraints",
        f"Beads share {len(shared)} constraint cluster{'s' if len(shared) > 1 else ''}",
        f"The beads {', '.join(first['beads'])} lie in one rigid cluster "
        f"({', '.join(first['cluster'])}): no force map can separate their forces.",
        "Put such atoms into one bead, leave some of them out, or sample without constraints.",
        {"clusters": members.shape[1], "shared": len(shared), "examples": examples},
        tuple(dict.fromkeys(b for beads in beads_of for b in beads)),
        plot=_plot(mapping, members, pairs, shared.tolist(), held),
    )


def _atoms(members: sparse.csr_array, cluster: int) -> list[int]:
    columns = members.tocsc()
    return [int(a) for a in columns.indices[columns.indptr[cluster] : columns.indptr[cluster + 1]]]


def _names(mapping: Mapping, members: sparse.csr_array, cluster: int) -> list[str]:
    return [label(mapping.atomistic.atom(atom)) for atom in _atoms(members, cluster)]


def _plot(
    mapping: Mapping,
    members: sparse.csr_array,
    pairs: np.ndarray,
    clusters: list[int],
    held: sparse.csr_array,
) -> ClusterPlot:
    return ClusterPlot(
        mapping.atomistic,
        [_atoms(members, cluster) for cluster in clusters[:_EXAMPLES]],
        pairs,
        set(held.indices.tolist()),
    )
