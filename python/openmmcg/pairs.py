"""The engine's pair list, for use from Python."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openmmcg import _openmmcg as _cpp


class PairList:
    """Finds all pairs of beads closer than a cutoff: the same list that a CGForce gives to its model.

    Candidates within cutoff + skin are kept until a bead has moved by half the skin or the box has changed. The
    result does not depend on the skin.

    Parameters
    ----------
    molecules : sequence of int
        Molecule of each bead, within its replica.
    bonds : sequence of (int, int)
        Bonds between beads, which define the edge types.
    cutoff : float
        Largest distance of a pair in nm.
    replicas : sequence of int, optional
        Replica of each bead; beads of different replicas never form a pair. Default: all in one.
    skin : float
        How far beyond the cutoff candidates are kept, in nm.
    padding : int
        The length of the list is a multiple of this number.

    Raises
    ------
    ValueError
        If a length is not positive, or the sequences do not fit together.
    """

    def __init__(
        self,
        molecules: Sequence[int],
        bonds: Sequence[tuple[int, int]] | np.ndarray,
        cutoff: float,
        *,
        replicas: Sequence[int] | None = None,
        skin: float = 0.1,
        padding: int = 1,
    ) -> None:
        self.n_beads = len(molecules)
        used = [0] * self.n_beads if replicas is None else [int(replica) for replica in replicas]
        edges = [(int(i), int(j)) for i, j in bonds]
        if len(used) != self.n_beads:
            raise ValueError(
                f"There are {self.n_beads} molecule ids but {len(used)} replica ids; give one each per bead."
            )
        if not cutoff > 0 or not skin >= 0 or padding < 1 or self.n_beads < 1:
            raise ValueError(
                f"Expected at least one bead, a cutoff above 0 nm, a skin of at least 0 nm and a padding of at least "
                f"1; found {self.n_beads} beads, {cutoff} nm, {skin} nm and {padding}."
            )
        if any(not 0 <= bead < self.n_beads for edge in edges for bead in edge):
            raise ValueError(
                f"A bond names a bead outside 0 to {self.n_beads - 1}; bonds are pairs of bead indices."
            )
        self.cutoff = float(cutoff)
        self._list = _cpp.PairList(
            [int(m) for m in molecules], used, edges, self.cutoff, float(skin), padding
        )

    @property
    def n_rebuilds(self) -> int:
        """How often the candidates have been searched anew."""
        return int(self._list.num_rebuilds())

    def update(
        self, positions: np.ndarray, box: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Find the pairs of a configuration.

        Parameters
        ----------
        positions : (n_beads, 3) array
            Positions in nm.
        box : (3, 3) array, optional
            Periodic box vectors in nm as rows, in OpenMM's reduced form. None: no periodicity.

        Returns
        -------
        pairs : (2, P) int64 array
            First and second beads, both directions of each pair, sorted by first and then by second bead. Entries
            beyond `count` are padding: (0, 0).
        shifts : (P, 3) array
            Periodic shifts in nm: the vector of a pair is positions[j] + shift - positions[i].
        edge_types : (P,) int64 array
            0 other molecule, 1 same molecule, 2/3/4 = 1-2, 1-3, 1-4 neighbours.
        count : int
            The number of true directed pairs.

        Raises
        ------
        ValueError
            If shapes are wrong, a position is not finite, or the cutoff exceeds half the box.
        """
        positions = np.ascontiguousarray(positions, dtype=float)
        if positions.shape != (self.n_beads, 3) or not np.isfinite(positions).all():
            raise ValueError(
                f"Expected finite positions of shape ({self.n_beads}, 3) in nm, found shape {positions.shape}."
            )
        if box is not None:
            box = np.ascontiguousarray(box, dtype=float)
            if box.shape != (3, 3) or np.any(np.triu(box, 1) != 0):
                raise ValueError(
                    "Expected box vectors as rows of a (3, 3) array: (ax,0,0), (bx,by,0), (cx,cy,cz)."
                )
            if self.cutoff > 0.5 * box.diagonal().min():
                raise ValueError(
                    f"The cutoff ({self.cutoff} nm) is more than half of the box ({0.5 * box.diagonal().min()} nm); "
                    "use a larger box."
                )
        pairs, shifts, edge_types, count = self._list.update(positions, box)
        return pairs, shifts, edge_types, int(count)
