"""Functions of one distance: radial bases and cutoff envelopes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

ENVELOPES = ("quintic", "cosine")
BASES = ("gaussian", "bessel", "expnorm")


def envelope(distance: Tensor, cutoff: float, kind: str = "quintic") -> Tensor:
    """Switch from 1 at zero distance to 0 at the cutoff.

    With x = d / cutoff, the quintic 1 - 10 x^3 + 15 x^4 - 6 x^5 has two continuous derivatives
    (Ebert et al., Texturing and Modeling, 2003; as cutoff function in PhysNet, Unke & Meuwly,
    JCTC 15:3678, 2019); the cosine (1 + cos pi x) / 2 has one (Behler, J. Chem. Phys. 134:074106,
    2011; in CGSchNet). Value and derivative are exactly zero beyond the cutoff.

    Parameters
    ----------
    distance : torch.Tensor
        Distances in nm, any shape.
    cutoff : float
        Cutoff in nm.
    kind : str, default "quintic"
        One of `ENVELOPES`.

    Returns
    -------
    torch.Tensor
        Same shape as `distance`.
    """
    x = torch.clamp(distance / cutoff, max=1.0)
    if kind == "cosine":
        # The cosine of pi is not -1 in floating point at every precision, so what should be
        # nothing is made nothing.
        return torch.where(x < 1.0, 0.5 + 0.5 * torch.cos(math.pi * x), torch.zeros_like(x))
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
    envelope : str, default "quintic"
        See `envelope`.
    """

    def __init__(
        self,
        count: int,
        cutoff: float,
        ranges: Sequence[Sequence[float]],
        envelope: str = "quintic",
    ) -> None:
        super().__init__()
        grids = [torch.linspace(low, high, count) for low, high in ranges]
        widths = [[(high - low) / (count - 1)] for low, high in ranges]
        self.centers: Tensor
        self.widths: Tensor
        self.register_buffer("centers", torch.stack(grids))
        self.register_buffer("widths", torch.tensor(widths))
        self.cutoff = cutoff
        self.envelope = envelope

    def initial_std(self) -> float:
        """Deviation of coefficients for sums of unit variance; two neighbours overlap."""
        return math.sqrt(0.5)

    def forward(self, distance: Tensor, edge_types: Tensor) -> Tensor:
        """Values of shape (..., count) at distances (...) in nm.

        `edge_types` have the shape of `distance`, or one that broadcasts to it.
        """
        centers, widths = self.centers[edge_types], self.widths[edge_types]
        scaled = (distance.unsqueeze(-1) - centers) / widths
        gaussians = torch.exp(-0.5 * scaled * scaled)
        return gaussians * envelope(distance, self.cutoff, self.envelope).unsqueeze(-1)


class BesselBasis(nn.Module):
    """Spherical Bessel functions of order zero, sqrt(2 / c) sin(n pi d / c) / d, cut off smoothly.

    Orthogonal over the sphere of radius c, the cutoff (Gasteiger, Groß & Günnemann, ICLR 2020,
    arXiv:2003.03123, eq. 7). Measured in units of the cutoff, so that values are of order one. Few
    functions suffice, but none of them is local. The same for all edge types.

    Parameters
    ----------
    count : int
        Number of functions.
    cutoff : float
        Range in nm.
    envelope : str, default "quintic"
        See `envelope`.
    """

    def __init__(self, count: int, cutoff: float, envelope: str = "quintic") -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer("frequencies", math.pi * torch.arange(1.0, count + 1.0))
        self.cutoff = cutoff
        self.envelope = envelope

    def initial_std(self) -> float:
        """Deviation of coefficients for sums of about unit variance."""
        return 0.5 / math.sqrt(len(self.frequencies))

    def forward(self, distance: Tensor, edge_types: Tensor) -> Tensor:
        """Values of shape (..., count) at distances (...) in nm; edge types play no part."""
        x = torch.clamp(distance / self.cutoff, min=1e-9).unsqueeze(-1)
        waves = math.sqrt(2.0) * torch.sin(self.frequencies * x) / x
        return waves * envelope(distance, self.cutoff, self.envelope).unsqueeze(-1)


class ExpNormBasis(nn.Module):
    """Gaussians of exp(-5 d / cutoff): fine at short, coarse at long distance, cut off smoothly.

    exp(-beta_k (exp(-alpha d) - mu_k)^2) with mu even between exp(-alpha cutoff) and 1 and
    beta = (2 (1 - mu_0) / count)^-2 (PhysNet, Unke & Meuwly, JCTC 15:3678, 2019, eq. 7), and
    alpha = 5 / cutoff. The same for all edge types.

    Parameters
    ----------
    count : int
        Number of functions.
    cutoff : float
        Range in nm.
    envelope : str, default "quintic"
        See `envelope`.
    """

    def __init__(self, count: int, cutoff: float, envelope: str = "quintic") -> None:
        super().__init__()
        self.alpha = 5.0 / cutoff
        start = math.exp(-self.alpha * cutoff)
        self.means: Tensor
        self.betas: Tensor
        self.register_buffer("means", torch.linspace(start, 1.0, count))
        self.register_buffer("betas", torch.full((count,), (2.0 / count * (1.0 - start)) ** -2))
        self.cutoff = cutoff
        self.envelope = envelope

    def initial_std(self) -> float:
        """Deviation of coefficients for sums of unit variance; two neighbours overlap."""
        return math.sqrt(0.5)

    def forward(self, distance: Tensor, edge_types: Tensor) -> Tensor:
        """Values of shape (..., count) at distances (...) in nm; edge types play no part."""
        off = torch.exp(-self.alpha * distance).unsqueeze(-1) - self.means
        gaussians = torch.exp(-self.betas * off * off)
        return gaussians * envelope(distance, self.cutoff, self.envelope).unsqueeze(-1)
