"""Force maps: the matrix B of F = B f that turns atom forces into bead forces.

Any constant B with B Mᵀ = I gives forces whose average at fixed beads is the mean force, as long
as it agrees with the constraints: engines report forces without constraint forces, so the atoms
of one constraint cluster must carry equal weights (Krämer et al., J. Phys. Chem. Lett. 2023,
10.1021/acs.jpclett.3c00444).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from openmmcg.mapping import Mapping

if TYPE_CHECKING:
    import openmm

KINDS = ("slice", "uniform", "optimal")
_TOLERANCE = 1e-9
_RIDGE = 1e-6


@dataclass(frozen=True, eq=False)
class ForceMap:
    """A linear force map.

    Attributes
    ----------
    matrix : (n_beads, n_atoms) float64
        B; B Mᵀ = I for the mapping's matrix M.
    kind : str
        How it was made: "slice", "uniform" or "optimal".
    mean_square : float or None
        Mean square of a mapped force component over the sample given to `fit_force_map`,
        (kJ/mol/nm)²; the smaller it is, the less noise the labels carry. None without a sample.
    """

    matrix: np.ndarray
    kind: str
    mean_square: float | None = None

    def apply(self, forces: np.ndarray) -> np.ndarray:
        """Map atom forces (..., n_atoms, 3) to bead forces (..., n_beads, 3), kJ/mol/nm."""
        return np.asarray(self.matrix @ np.asarray(forces, dtype=np.float64))


def constraint_pairs(system: openmm.System) -> np.ndarray:
    """Return the atom pairs (n_constraints, 2) that an OpenMM System keeps rigid."""
    pairs = [system.getConstraintParameters(k)[:2] for k in range(system.getNumConstraints())]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def fit_force_map(
    mapping: Mapping,
    forces: np.ndarray | None = None,
    kind: str = "uniform",
    constraints: np.ndarray | None = None,
) -> ForceMap:
    """Make a force map for a mapping.

    Parameters
    ----------
    mapping : Mapping
    forces : (n_frames, n_atoms, 3), optional
        Sample of atom forces in kJ/mol/nm to measure `ForceMap.mean_square` on, and to fit
        the optimal map to.
    kind : {"uniform", "slice", "optimal"}
        "slice": the bead's own atoms with weight 1. "uniform": also the atoms that constraints
        tie to them, directly or through others, with weight 1. "optimal": the weights with the
        smallest mean square of the mapped forces. As the mean force is the same for all maps,
        that is the map with the least noise (Krämer et al. 2023, equation of the linear map).
    constraints : (n_constraints, 2) int, optional
        Pairs of rigidly connected atoms, see `constraint_pairs`.

    Returns
    -------
    ForceMap

    Raises
    ------
    ValueError
        If the kind is unknown, a slice splits a constraint cluster (its forces would be biased),
        two beads share a cluster, the shape of `forces` does not fit, or the optimal map has no
        forces to be fitted to.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown force map {kind!r}; there are {', '.join(KINDS)}.")
    clusters = _clusters(mapping.n_atoms, constraints)
    if kind == "optimal":
        matrix = _optimal(mapping, clusters, forces)
    else:
        matrix = (mapping.matrix != 0).astype(np.float64)
        if kind == "slice":
            _refuse_split(mapping, clusters)
        for cluster in clusters:
            matrix[:, cluster] = matrix[:, cluster].max(axis=1, keepdims=True)
    _check(mapping, matrix)
    return ForceMap(matrix, kind, _mean_square(matrix, forces))


def _clusters(n_atoms: int, constraints: np.ndarray | None) -> list[list[int]]:
    graph = nx.Graph()
    if constraints is not None:
        graph.add_edges_from(np.asarray(constraints, dtype=np.int64).reshape(-1, 2).tolist())
    if graph and max(graph) >= n_atoms:
        raise ValueError(
            f"A constraint names atom {max(graph)}, the mapping has {n_atoms} atoms; both must "
            "come from the same system."
        )
    return sorted(sorted(cluster) for cluster in nx.connected_components(graph))


def _refuse_split(mapping: Mapping, clusters: list[list[int]]) -> None:
    mapped = (mapping.matrix != 0).any(axis=0)
    split = [c for c in clusters if mapped[c].any() and not mapped[c].all()]
    if split:
        atoms = "; ".join(", ".join(map(str, cluster)) for cluster in split[:5])
        raise ValueError(
            f"A slice force map splits {len(split)} constraint cluster(s) (atoms {atoms}"
            f"{'; ...' if len(split) > 5 else ''}), which biases the forces; use the 'uniform' "
            "force map or sample without constraints."
        )


def _optimal(mapping: Mapping, clusters: list[list[int]], forces: np.ndarray | None) -> np.ndarray:
    """Minimise the mean square of B f under B Mᵀ = I, with equal weights within clusters.

    With C the matrix that spreads one weight per cluster over its atoms, P = Cᵀ⟨Σ f fᵀ⟩C and
    A = M C, the solution is B = [C P⁻¹Aᵀ (A P⁻¹Aᵀ)⁻¹]ᵀ. The net force on a molecule is zero, so P
    is nearly singular; a small ridge λ CᵀC keeps B Mᵀ exact and costs nothing.
    """
    if forces is None:
        raise ValueError("The optimal force map is fitted to atom forces; give a sample of them.")
    sample = _checked_forces(forces, mapping.n_atoms)
    tied = {atom for cluster in clusters for atom in cluster}
    groups = clusters + [[atom] for atom in range(mapping.n_atoms) if atom not in tied]
    spread = np.zeros((mapping.n_atoms, len(groups)))
    for column, group in enumerate(groups):
        spread[group, column] = 1.0
    moments = np.einsum("fax,fbx->ab", sample, sample, optimize=True) / len(sample)
    power = spread.T @ moments @ spread
    power += _RIDGE * np.trace(power) / len(groups) * (spread.T @ spread)
    beads = mapping.matrix @ spread
    response = np.linalg.solve(power, beads.T)
    # Beads that share a cluster make the Gram matrix singular; _check names them.
    return np.asarray((spread @ response @ np.linalg.pinv(beads @ response)).T)


def _check(mapping: Mapping, matrix: np.ndarray) -> None:
    error = np.abs(matrix @ mapping.matrix.T - np.eye(mapping.n_beads))
    if error.max() > _TOLERANCE:
        i, j = np.unravel_index(int(error.argmax()), error.shape)
        raise ValueError(
            f"Beads {i} and {j} share a constraint cluster, so no such force map separates them "
            f"(B Mᵀ is off by {error.max():.2g}); change the mapping or sample without "
            "constraints."
        )


def _mean_square(matrix: np.ndarray, forces: np.ndarray | None) -> float | None:
    if forces is None:
        return None
    return float(np.mean((matrix @ _checked_forces(forces, matrix.shape[1])) ** 2))


def _checked_forces(forces: np.ndarray, n_atoms: int) -> np.ndarray:
    sample = np.asarray(forces, dtype=np.float64)
    if sample.ndim != 3 or sample.shape[1:] != (n_atoms, 3) or len(sample) == 0:
        raise ValueError(
            f"Forces have shape {sample.shape}, expected (n_frames, {n_atoms}, 3) with at least "
            "one frame."
        )
    return sample
