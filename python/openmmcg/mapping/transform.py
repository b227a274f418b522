"""R = M r over many frames: sparse, in pieces that fit the cache, molecules made whole first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

_PIECE = 1 << 17
"""Numbers (8 bytes each) that one piece of frames holds: it stays in the cache of a core."""
_DENSE = 0.2
"""Share of non-zero entries above which a dense product is faster than a sparse one."""

Layers = list[tuple[np.ndarray, np.ndarray]]
"""(parents, children) of a spanning forest, one pair of arrays per depth."""


def apply_matrix(matrix: sparse.csr_array, vectors: np.ndarray) -> np.ndarray:
    """Multiply a sparse matrix with one vector per atom, over any number of frames.

    Parameters
    ----------
    matrix : (n_beads, n_atoms) csr_array
    vectors : (..., n_atoms, 3) float32 or float64
        Positions or forces; they are read once, in pieces, and never copied whole.

    Returns
    -------
    (..., n_beads, 3) float64 array
    """
    return Product.of(matrix)(vectors)


def unwrapped_product(
    matrix: sparse.csr_array, bonds: np.ndarray, components: np.ndarray
) -> Product:
    """Return the product of `matrix` with positions that it first makes whole.

    Parameters
    ----------
    matrix : (n_beads, n_atoms) csr_array
    bonds : (n_bonds, 2) int64
        Bonded atoms.
    components : (n_atoms,) int64
        Connected part of the molecular graph that each atom lies in.
    """
    layers = spanning_layers(bonds, components)
    needed = np.zeros(matrix.shape[1], dtype=bool)
    needed[matrix.indices] = True
    # What matters are the weighted atoms and the way to each from the first of its molecule.
    for parents, children in reversed(layers):
        needed[parents[needed[children]]] = True
    product = Product.of(matrix, needed)
    place = np.cumsum(needed) - 1
    kept = [(p[needed[c]], c[needed[c]]) for p, c in layers]
    product.layers = [(place[p], place[c]) for p, c in kept if len(c)]
    return product


def spanning_layers(bonds: np.ndarray, components: np.ndarray) -> Layers:
    """Return a spanning forest of the bonds, rooted at the first atom of each component."""
    n_atoms = len(components)
    ends = np.concatenate([bonds, bonds[:, ::-1]])
    neighbours = sparse.csr_array(
        (np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(n_atoms, n_atoms)
    )
    _, reached = np.unique(components, return_index=True)
    seen = np.zeros(n_atoms, dtype=bool)
    layers: Layers = []
    while True:
        seen[reached] = True
        rows = neighbours[reached].tocoo()
        parents, children = reached[rows.row], rows.col
        fresh = ~seen[children]
        # An atom of a ring may be reached twice: the first way counts.
        children, first = np.unique(children[fresh], return_index=True)
        if len(children) == 0:
            return layers
        layers.append((parents[fresh][first].astype(np.int64), children.astype(np.int64)))
        reached = children


def check_box(box: np.ndarray, frames: tuple[int, ...]) -> np.ndarray:
    """Return box vectors as (*frames, 3, 3), refusing what is not a box in reduced form.

    Raises
    ------
    ValueError
        If the shape does not fit, a number is not finite, a box has no volume, or the vectors
        are not lower triangular.
    """
    vectors = np.asarray(box, dtype=np.float64)
    try:
        if vectors.shape[-2:] != (3, 3):
            raise ValueError
        vectors = np.broadcast_to(vectors, (*frames, 3, 3))
    except ValueError:
        raise ValueError(
            f"The box has shape {vectors.shape}, expected (3, 3) or one box for each frame, "
            f"{(*frames, 3, 3)}; give box vectors as rows, not lengths."
        ) from None
    diagonal = vectors[..., range(3), range(3)]
    if not (np.isfinite(vectors).all() and (diagonal > 0).all()):
        raise ValueError(
            "A box has vectors that are not finite or of no length; leave the box out for "
            "molecules that are not periodic."
        )
    if np.any(np.abs(vectors[..., (0, 0, 1), (1, 2, 2)]) > 1e-5 * diagonal.max(initial=0.0)):
        raise ValueError(
            "Box vectors must be rows in reduced form (lower triangular, a along x, b in the xy "
            "plane); rotate the box and the positions."
        )
    return vectors


@dataclass
class Product:
    """A matrix without its empty columns, ready to be applied to pieces of frames.

    Attributes
    ----------
    n_atoms, n_beads : int
    atoms : (n_needed,) int64 or None
        Atoms that are read; None for all.
    matrix : (n_beads, n_needed) array
        Sparse, or dense if that is faster.
    single : (n_beads,) int64 or None
        Atom of each bead if every bead is one atom with weight 1.
    layers : list
        Indices into `atoms`, see `spanning_layers`.
    """

    n_atoms: int
    n_beads: int
    atoms: np.ndarray | None
    matrix: sparse.csr_array | np.ndarray
    single: np.ndarray | None
    layers: Layers

    @classmethod
    def of(cls, matrix: sparse.csr_array, needed: np.ndarray | None = None) -> Product:
        """Prepare a matrix; `needed` marks columns to keep besides those with weights."""
        n_beads, n_atoms = matrix.shape
        if needed is None:
            needed = np.zeros(n_atoms, dtype=bool)
            needed[matrix.indices] = True
        atoms = np.flatnonzero(needed)
        single = None
        if np.all(np.diff(matrix.indptr) == 1) and np.all(matrix.data == 1):
            single = matrix.indices.astype(np.int64)
        reduced = matrix[:, atoms]
        return cls(
            n_atoms,
            n_beads,
            None if len(atoms) == n_atoms else atoms,
            reduced.toarray() if reduced.nnz > _DENSE * max(1, np.prod(reduced.shape)) else reduced,
            single,
            [],
        )

    def __call__(self, vectors: np.ndarray, box: np.ndarray | None = None) -> np.ndarray:
        """Apply to (..., n_atoms, 3) vectors; `box`, if given, is checked by `check_box`."""
        vectors = np.asarray(vectors)
        leading = vectors.shape[:-2]
        frames = vectors.reshape(-1, self.n_atoms, 3)
        boxes = None if box is None or not self.layers else box.reshape(-1, 3, 3)
        if boxes is None and self.single is not None:
            result = np.take(frames, self.single, axis=1).astype(np.float64, copy=False)
            return result.reshape(*leading, self.n_beads, 3)
        result = np.empty((len(frames), self.n_beads, 3))
        n_read = self.n_atoms if self.atoms is None else len(self.atoms)
        size = max(1, min(len(frames), _PIECE // max(1, 3 * n_read)))
        for start in range(0, len(frames), size):
            piece = slice(start, min(start + size, len(frames)))
            part = frames[piece] if self.atoms is None else frames[piece, self.atoms]
            if start == 0 or len(part) < size:
                # Frames last: every operation on an atom runs over contiguous numbers. Memory is
                # used again, as fresh memory costs more than the arithmetic.
                work = np.empty((n_read, 3, len(part)))
                whole = None if boxes is None else _Whole(self.layers, len(part))
            work[...] = part.transpose(1, 2, 0)
            if boxes is not None and whole is not None:
                whole.make(work, boxes[piece])
            beads = self.matrix @ work.reshape(n_read, -1)
            result[piece] = beads.reshape(self.n_beads, 3, -1).transpose(2, 0, 1)
        return result.reshape(*leading, self.n_beads, 3)


class _Whole:
    """Makes molecules whole, in arrays (atoms, 3, frames)."""

    def __init__(self, layers: Layers, n_frames: int) -> None:
        self._layers = layers
        self._parents = np.concatenate([parents for parents, _ in layers])
        self._children = np.concatenate([children for _, children in layers])
        shape = (len(self._children), 3, n_frames)
        self._steps, self._images = np.empty(shape), np.empty(shape)

    def make(self, work: np.ndarray, boxes: np.ndarray) -> None:
        """Move atoms by box vectors until bonded ones are nearest images, in place.

        The first atom of each molecule stays where it is.
        """
        vectors = np.ascontiguousarray(boxes.transpose(1, 2, 0))
        steps, images = self._steps, self._images
        # Without checks of the indices numpy writes to `out` directly.
        np.take(work, self._children, axis=0, out=steps, mode="clip")
        np.take(work, self._parents, axis=0, out=images, mode="clip")
        np.subtract(steps, images, out=steps)
        _count_images(steps, vectors, images)
        if not images.any():
            return
        # An atom moves with all atoms between it and the first one.
        moves = np.zeros_like(work)
        start = 0
        for parents, children in self._layers:
            moves[children] = moves[parents] - images[start : start + len(children)]
            start += len(children)
        for k, d in _entries(vectors):
            work[:, d] += moves[:, k] * vectors[k, d]


def _count_images(steps: np.ndarray, vectors: np.ndarray, images: np.ndarray) -> None:
    """Write to `images` how many of each box vector to take off to make steps shortest.

    Parameters
    ----------
    steps : (n, 3, frames)
        Overwritten.
    vectors : (3, 3, frames)
        Box vectors in reduced form: they are taken off from the last to the first.
    images : (n, 3, frames)
    """
    entries = _entries(vectors)
    for k in (2, 1, 0):
        np.multiply(steps[:, k], 1.0 / vectors[k, k], out=images[:, k])
        np.rint(images[:, k], out=images[:, k])
        for d in (d for row, d in entries if row == k and d != k):
            steps[:, d] -= images[:, k] * vectors[k, d]


def _entries(vectors: np.ndarray) -> list[tuple[int, int]]:
    """Return row and column of the entries of lower triangular box vectors that are not zero."""
    return [(k, d) for k in range(3) for d in range(k + 1) if d == k or vectors[k, d].any()]
