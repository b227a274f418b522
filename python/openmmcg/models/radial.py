"""Functions of one distance: the radial basis and the cutoff envelope."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def envelope(distance: Tensor, cutoff: float) -> Tensor:
    """Switch from 1 at zero distance to 0 at the cutoff with two continuous derivatives.

    The quintic 1 - 10 x^3 + 15 x^4 - 6 x^5, x = d / cutoff (Ebert et al., Texturing and
    Modeling, 2003; as cutoff function in PhysNet, Unke & Meuwly, JCTC 15:3678, 2019). Value and
    derivative are exactly zero beyond the cutoff.

    Parameters
    ----------
    distance : torch.Tensor
        Distances in nm, any shape.
    cutoff : float
        Cutoff in nm.

    Returns
    -------
    torch.Tensor
        Same shape as `distance`.
    """
    x = torch.clamp(distance / cutoff, max=1.0)
    return 1.0 - x * x * x * (10.0 - 15.0 * x + 6.0 * x * x)


def distances(vectors: Tensor) -> Tensor:
    """Lengths of vectors, with zero gradient instead of NaN for coincident beads.

    Parameters
    ----------
    vectors : torch.Tensor, shape (..., 3)
        Vectors in nm.

    Returns
    -------
    torch.Tensor, shape (...,)
        Lengths in nm.
    """
    return torch.sqrt(torch.clamp((vectors * vectors).sum(-1), min=1e-14))


class RadialBasis(nn.Module):
    """Gaussians on an even grid of distances, one grid for each edge type, cut off smoothly.

    Bonded pairs keep to a few hundredths of a nanometre, where a grid over the whole cutoff
    would resolve little; so each edge type may have its own range.

    Parameters
    ----------
    count : int
        Number of functions of each edge type, at least 2.
    cutoff : float
        Range in nm, see `envelope`.
    ranges : sequence of pairs of float
        Centres of the first and the last function for each edge type, in nm.
    """

    def __init__(self, count: int, cutoff: float, ranges: Sequence[Sequence[float]]) -> None:
        super().__init__()
        grids = [torch.linspace(low, high, count) for low, high in ranges]
        widths = [[(high - low) / (count - 1)] for low, high in ranges]
        self.centers: Tensor
        self.widths: Tensor
        self.register_buffer("centers", torch.stack(grids))
        self.register_buffer("widths", torch.tensor(widths))
        self.cutoff = cutoff

    def forward(self, distance: Tensor, edge_types: Tensor) -> Tensor:
        """Values of shape (..., count) at distances (...) in nm.

        `edge_types` have the shape of `distance`, or one that broadcasts to it.
        """
        centers, widths = self.centers[edge_types], self.widths[edge_types]
        scaled = (distance.unsqueeze(-1) - centers) / widths
        gaussians = torch.exp(-0.5 * scaled * scaled)
        return gaussians * envelope(distance, self.cutoff).unsqueeze(-1)
