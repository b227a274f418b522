"""What networks share that use the directions of pairs as well as their lengths."""

from __future__ import annotations

from torch import Tensor

from openmmcg.models.base import CGNetwork
from openmmcg.models.radial import distances
from openmmcg.models.template import PairTemplate


class DirectionalNetwork(CGNetwork):
    """Base class of networks whose messages carry directions.

    A subclass implements `radial` (functions of distance and edge type, the same for both
    directions of a pair), `frame_radial` (the same for frames of one molecule) and
    `frame_channels`, which works on any number of frames of the same beads side by side: the second
    axis. In molecular dynamics there is one frame; in training many, and then the radial
    functions of a pair are computed once for its two directions.
    """

    def radial(self, distance: Tensor, edge_types: Tensor) -> Tensor:
        """Functions (P, R) of distances (P,) in nm and edge types (P,), zero at the cutoff."""
        raise NotImplementedError

    def frame_radial(self, distance: Tensor, edge_types: Tensor) -> Tensor:
        """Functions (U, F, R) of distances (U, F) in nm of pairs with edge types (U,)."""
        raise NotImplementedError

    def frame_channels(
        self, types: Tensor, pairs: Tensor, directions: Tensor, radial: Tensor
    ) -> Tensor:
        """Channels of the beads of frames of the same beads.

        Parameters
        ----------
        types : torch.Tensor of int64, shape (N,)
            Bead types.
        pairs : torch.Tensor of int64, shape (2, P)
            Both directions of every pair.
        directions : torch.Tensor, shape (P, F, 3)
            Unit vectors from the first to the second bead of each pair.
        radial : torch.Tensor, shape (P, F, R)
            What `radial` gives.

        Returns
        -------
        torch.Tensor, shape (N, F, n_channels)
            kJ/mol.
        """
        raise NotImplementedError

    def bead_channels(
        self, positions: Tensor, types: Tensor, pairs: Tensor, shifts: Tensor, edge_types: Tensor
    ) -> Tensor:
        """Channels of every bead in kJ/mol, shape (N, n_channels); see `CGNetwork.forward`."""
        ends = positions.index_select(0, pairs[1]) + shifts
        vectors = ends - positions.index_select(0, pairs[0])
        distance = distances(vectors)
        directions = vectors / distance.unsqueeze(-1)
        radial = self.radial(distance, edge_types)
        units, factors = directions.unsqueeze(1), radial.unsqueeze(1)
        return self.frame_channels(types, pairs, units, factors).squeeze(1)

    def molecule_channels(self, positions: Tensor, types: Tensor, template: PairTemplate) -> Tensor:
        """Channels of many conformations of one molecule; see `CGNetwork.molecule_channels`.

        Frames are the second axis, so that picking beads or pairs copies whole blocks of memory.
        """
        points = positions.transpose(0, 1)
        first, second = template.pairs
        vectors = points.index_select(0, second) - points.index_select(0, first)
        distance = distances(vectors)
        radial = self.frame_radial(distance, template.edge_types)
        # One direction of a pair points from the lower to the higher index, the other back.
        forward = (template.directed[0] < template.directed[1]).to(positions.dtype)
        units = (vectors / distance.unsqueeze(-1)).index_select(0, template.undirected)
        directions = units * (2.0 * forward - 1.0)[:, None, None]
        factors = radial.index_select(0, template.undirected)
        return self.frame_channels(types, template.directed, directions, factors).sum(0)
