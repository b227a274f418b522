"""Which atoms constraints tie together: taken from an OpenMM System, or guessed from motion."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import mdtraj as md
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    import openmm

RIGID = 3e-4
"""Distances with a smaller standard deviation (nm) are taken for constraints. Bonds vibrate by
2.5e-3 nm and more at 300 K; constraint solvers and single precision leave below 1e-4 nm."""


def constraint_pairs(system: openmm.System) -> np.ndarray:
    """Return the atom pairs (n_constraints, 2) that an OpenMM System keeps rigid."""
    pairs = [system.getConstraintParameters(k)[:2] for k in range(system.getNumConstraints())]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def guess_constraints(
    positions: np.ndarray,
    topology: md.Topology,
    box: np.ndarray | None = None,
    threshold: float = RIGID,
) -> np.ndarray:
    """Guess from a trajectory which distances were kept rigid.

    Only for trajectories that come without their System; `constraint_pairs` knows for certain.
    Considered are atoms one or two bonds apart, which covers rigid bonds, rigid angles and rigid
    water.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3)
        About 50 frames, far enough apart that bonds have moved, nm.
    topology : mdtraj.Topology
        With bonds.
    box : (n_frames, 3, 3), optional
        Box vectors as rows in reduced form, nm; without it molecules must be whole.
    threshold : float
        Largest standard deviation of a rigid distance, nm.

    Returns
    -------
    (n_constraints, 2) int64 array
        i < j, sorted.

    Raises
    ------
    ValueError
        If there are fewer than 10 frames or the shapes do not fit.
    """
    frames = np.asarray(positions)
    if frames.ndim != 3 or frames.shape[1:] != (topology.n_atoms, 3) or len(frames) < 10:
        raise ValueError(
            f"Positions have shape {frames.shape}, expected (n_frames, {topology.n_atoms}, 3) with "
            "10 frames or more to guess constraints from; give fewer frames their constraints."
        )
    pairs = _near_pairs(topology)
    # One pass over the frames keeps the memory at one number per pair.
    mean = np.zeros(len(pairs))
    square = np.zeros(len(pairs))
    first = None
    for index, frame in enumerate(frames):
        step = frame[pairs[:, 1]].astype(np.float64) - frame[pairs[:, 0]]
        for k in (2, 1, 0) if box is not None else ():
            vector = np.asarray(box, dtype=np.float64)[index, k]
            step -= np.rint(step[:, k : k + 1] / vector[k]) * vector
        length = np.linalg.norm(step, axis=1)
        if first is None:
            first = length
        mean += length - first  # less what is common: no cancellation
        square += (length - first) ** 2
    variance = square / len(frames) - (mean / len(frames)) ** 2
    return pairs[np.sqrt(np.maximum(variance, 0.0)) < threshold]


def _near_pairs(topology: md.Topology) -> np.ndarray:
    """Return the pairs (n, 2) of atoms one or two bonds apart, i < j, sorted."""
    neighbours: dict[int, list[int]] = {}
    pairs: set[tuple[int, int]] = set()
    for a, b in topology.bonds:
        pairs.add((min(a.index, b.index), max(a.index, b.index)))
        neighbours.setdefault(a.index, []).append(b.index)
        neighbours.setdefault(b.index, []).append(a.index)
    for around in neighbours.values():
        pairs.update(combinations(sorted(around), 2))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def cluster_roots(n_atoms: int, constraints: np.ndarray | None) -> np.ndarray:
    """Return the first atom (n_atoms,) of the constraint cluster of every atom; free atoms: own.

    Raises
    ------
    ValueError
        If a constraint names an atom that does not exist.
    """
    pairs = np.zeros((0, 2), dtype=np.int64) if constraints is None else np.asarray(constraints)
    pairs = pairs.astype(np.int64).reshape(-1, 2)
    wrong = pairs[(pairs < 0) | (pairs >= n_atoms)]
    if len(wrong):
        raise ValueError(
            f"A constraint names atom {wrong.max()}, the mapping has {n_atoms} atoms; both must "
            "come from the same system."
        )
    edges = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n_atoms, n_atoms))
    _, label = connected_components(edges, directed=False)
    _, first = np.unique(label, return_index=True)
    return first[label].astype(np.int64)
