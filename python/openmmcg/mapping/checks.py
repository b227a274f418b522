"""What the matrix of a mapping must fulfil."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from openmmcg.mapping.graph import shared_pairs

_TOLERANCE = 1e-9
_FORCE_TOLERANCE = 1e-6


def check_matrix(matrix: sparse.csr_array, masses: np.ndarray, names: Sequence[str]) -> None:
    """Raise ValueError unless beads have atoms, weights of sum 1, masses, and are independent.

    Parameters
    ----------
    matrix : (n_beads, n_atoms) csr_array
    masses : (n_beads,) float64
        Da.
    names : sequence of str
        What to call each bead in messages.
    """
    empty = np.flatnonzero(np.diff(matrix.indptr) == 0)
    if len(empty):
        raise ValueError(f"Bead {names[empty[0]]} has no atom with a weight; give it atoms.")
    sums = matrix.sum(axis=1)
    wrong = np.flatnonzero(~(np.abs(sums - 1) <= _TOLERANCE))
    if len(wrong):
        raise ValueError(
            f"The weights of bead {names[wrong[0]]} add up to {sums[wrong[0]]:.6g}, not to 1."
        )
    massless = np.flatnonzero(~(masses > 0))
    if len(massless):
        raise ValueError(
            f"Bead {names[massless[0]]} has no mass (its atoms are virtual sites without bonds); "
            "put the bead on atoms with mass."
        )
    _check_independent(matrix, names)


def _check_independent(matrix: sparse.csr_array, names: Sequence[str]) -> None:
    """Raise ValueError if beads that share atoms determine each other: no force map exists."""
    pairs = shared_pairs(matrix)
    if not len(pairs):
        return
    size = matrix.shape[0]
    graph = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    _, sets = connected_components(graph, directed=False)
    for label in np.unique(sets[pairs[:, 0]]):
        beads = np.flatnonzero(sets == label)
        rows = matrix[beads]
        rank = np.linalg.matrix_rank(rows[:, np.unique(rows.indices)].toarray())
        if rank < len(beads):
            raise ValueError(
                f"The {len(beads)} beads {', '.join(names[b] for b in beads[:6])} share atoms in "
                f"such a way that {rank} of them determine the others; leave one out or change "
                "its atoms."
            )


def check_force_weights(
    force_weights: sparse.csr_array, matrix: sparse.csr_array, names: Sequence[str]
) -> None:
    """Raise ValueError unless force weights B are a force map of the mapping M: B Mᵀ = 1."""
    off = (force_weights @ matrix.T - sparse.eye_array(matrix.shape[0])).tocoo()
    error = np.abs(off.data)
    if error.max(initial=0.0) > _FORCE_TOLERANCE:
        worst = int(error.argmax())
        i, j = off.row[worst], off.col[worst]
        raise ValueError(
            f"The force weights (f-weight) of bead {names[i]} are no force map: B Mᵀ of "
            f"{names[i]} and {names[j]} is off by {error[worst]:.3g}; use 1 for every atom of a "
            "bead, or leave f-weight out and fit a force map."
        )
