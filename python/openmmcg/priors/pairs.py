"""Pairs of beads that are not bonded: which there are, and which are near in a frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from openmmcg.pairs import PairList
from openmmcg.priors.geometry import minimum_image

ALL_PAIRS_BEADS = 400
"""Beads up to which all pairs are looked at; beyond, the engine's pair list finds the near ones."""
_DISTANCES = 2_000_000
_FIRST_BONDED_EDGE_TYPE = 2


@dataclass(frozen=True, eq=False)
class PairSpace:
    """Pairs of beads more than a few bonds apart, or in different molecules.

    Attributes
    ----------
    kinds : numpy.ndarray of int64, shape (n_beads,)
        Index of the type name of every bead.
    bonds : numpy.ndarray of int64, shape (n_bonds, 2)
    excluded : numpy.ndarray of int64, shape (n, 2)
        Pairs that are left out, the smaller bead first.
    excluded_bonds : int
        Bonds up to which pairs are left out, 0 to 3.
    """

    kinds: np.ndarray
    bonds: np.ndarray
    excluded: np.ndarray
    excluded_bonds: int

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return len(self.kinds)

    @property
    def n_pairs(self) -> int:
        """Number of pairs that are not left out."""
        return self.n_beads * (self.n_beads - 1) // 2 - len(self.excluded)

    @cached_property
    def pairs(self) -> np.ndarray:
        """All pairs, shape (n_pairs, 2), the smaller bead first."""
        first, second = np.triu_indices(self.n_beads, 1)
        allowed = np.ones((self.n_beads, self.n_beads), dtype=bool)
        allowed[self.excluded[:, 0], self.excluded[:, 1]] = False
        keep = allowed[first, second]
        return np.stack([first[keep], second[keep]], axis=-1)

    def kind_pairs(self) -> np.ndarray:
        """Different pairs of kinds that occur, shape (n, 2), the smaller kind first."""
        count = np.bincount(self.kinds)
        left = np.outer(count, count) - np.diag(count * (count + 1) // 2)
        ends = np.sort(self.kinds[self.excluded], axis=-1)
        np.subtract.at(left, (ends[:, 0], ends[:, 1]), 1)
        return np.argwhere(np.triu(left) > 0)

    def near(
        self, positions: Tensor, boxes: Tensor | None, reach: float
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Find the pairs nearer than a distance, some frames at a time.

        Parameters
        ----------
        positions : torch.Tensor, shape (F, n_beads, 3)
            nm.
        boxes : torch.Tensor, shape (F, 3, 3), optional
            Reduced box vectors as rows, nm.
        reach : float
            nm.

        Yields
        ------
        frames, first, second : torch.Tensor of int64, shape (n,)
            Frame and beads of each pair.
        shifts : torch.Tensor, shape (n, 3)
            The vector of a pair is positions[second] - positions[first] + shift.

        Raises
        ------
        ValueError
            If the distance is more than half of a box.
        """
        if boxes is not None and len(boxes):
            smallest = 0.5 * float(torch.diagonal(boxes, dim1=-2, dim2=-1).min())
            if reach > smallest:
                raise ValueError(
                    f"The priors of pairs reach {reach:g} nm, more than half of the smallest box "
                    f"({smallest:g} nm); use frames of a larger system."
                )
        found = self._among_all if self.n_beads <= ALL_PAIRS_BEADS else self._listed
        yield from found(positions.detach(), None if boxes is None else boxes.detach(), reach)

    def _among_all(
        self, positions: Tensor, boxes: Tensor | None, reach: float
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        first, second = torch.from_numpy(self.pairs.T).to(positions.device)
        size = max(1, _DISTANCES // max(1, self.n_pairs))
        for start in range(0, len(positions), size):
            part = positions[start : start + size]
            vectors = part[:, second] - part[:, first]
            images = (
                vectors
                if boxes is None
                else minimum_image(vectors, boxes[start : start + size].to(vectors))
            )
            near = images.square().sum(-1) < reach * reach
            frames, columns = near.nonzero(as_tuple=True)
            shifts = (images - vectors)[frames, columns]
            yield frames + start, first[columns], second[columns], shifts

    def _listed(
        self, positions: Tensor, boxes: Tensor | None, reach: float
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        search = PairList(np.zeros(self.n_beads, dtype=int).tolist(), self.bonds, reach)
        points = positions.double().cpu().numpy()
        for frame, point in enumerate(points):
            box = None if boxes is None else boxes[frame].double().cpu().numpy()
            pairs, shifts, edges, count = search.update(point, box)
            bonds_apart = edges[:count] - _FIRST_BONDED_EDGE_TYPE + 1
            keep = (pairs[0, :count] < pairs[1, :count]) & ~(
                (bonds_apart >= 1) & (bonds_apart <= self.excluded_bonds)
            )
            first, second = torch.from_numpy(pairs[:, :count][:, keep]).to(positions.device)
            moved = torch.from_numpy(shifts[:count][keep]).to(positions)
            yield torch.full_like(first, frame), first, second, moved
