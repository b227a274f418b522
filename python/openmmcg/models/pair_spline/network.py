"""Cubic splines of the distance of each pair."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from openmmcg.models.base import CGNetwork
from openmmcg.models.edge_types import EDGE_TYPE_COUNT
from openmmcg.models.options import Ranges, check_sizes, full_ranges
from openmmcg.models.radial import distances
from openmmcg.models.template import PairTemplate
from openmmcg.models.thermal import ThermalReadout


def spline_weights(x: Tensor) -> Tensor:
    """Uniform cubic B-splines that overlap at a point.

    Parameters
    ----------
    x : torch.Tensor, shape (...,)
        Place within an interval between knots, from 0 to 1.

    Returns
    -------
    torch.Tensor, shape (..., 4)
        Values of the four functions, first the one that ends with this interval (de Boor, A
        Practical Guide to Splines, 1978).
    """
    y = 1.0 - x
    x2, y2 = x * x, y * y
    return torch.stack(
        [
            y2 * y / 6.0,
            (4.0 - 3.0 * x2 * (2.0 - x)) / 6.0,
            (4.0 - 3.0 * y2 * (2.0 - y)) / 6.0,
            x2 * x / 6.0,
        ],
        -1,
    )


def spline_slopes(x: Tensor) -> Tensor:
    """Derivatives of `spline_weights` by x, shape (..., 4)."""
    y = 1.0 - x
    return torch.stack(
        [-0.5 * y * y, 1.5 * x * x - 2.0 * x, 2.0 * y - 1.5 * y * y, 0.5 * x * x], -1
    )


class PairSpline(CGNetwork):
    """A cubic spline of the distance for each pair of bead types and each edge type.

    The energy is a sum over pairs, which is what classical coarse-grained force fields are made
    of: tabulated bonds, 1-3 and 1-4 terms and non-bonded potentials. It is linear in the
    coefficients, so that force matching is linear least squares with one solution (Ercolessi &
    Adams, Europhys. Lett. 26:583, 1994; Izvekov & Voth, J. Phys. Chem. B 109:2469, 2005): see
    `openmmcg.models.pair_spline.fit_pair_spline`. A pair

    ::

        u(d) = sum_k c_k B((d - low) / h - k),   h = (high - low) / (rbf + 2)

    has uniform cubic B-splines B over its range; it is zero beyond `high` and constant below
    `low`, both with two continuous derivatives. Coefficients start at zero.

    Parameters
    ----------
    bead_types : sequence of str
        Vocabulary of bead types.
    cutoff : float
        Range in nm.
    rbf : int, default 24
        Number of coefficients of each spline, at least 2.
    ranges : sequence of pairs of float, optional
        For each edge type `low` and `high` in nm; by default from 0 to the cutoff. A `high`
        beyond the cutoff is refused.
    width, interactions : int, optional
        Taken for the sake of configurations that name them for every network; they have no
        meaning here.
    thermal : ThermalReadout, optional
        How energies depend on the temperature; see `openmmcg.models.build`. Each channel has
        splines of its own.
    """

    name = "pair-spline"

    def __init__(
        self,
        bead_types: Sequence[str],
        cutoff: float,
        rbf: int = 24,
        ranges: Ranges | None = None,
        width: int | None = None,
        interactions: int | None = None,
        thermal: ThermalReadout | None = None,
    ) -> None:
        check_sizes("PairSpline", rbf=(rbf, 2))
        spans = full_ranges("PairSpline", ranges, cutoff)
        if any(high > cutoff for _, high in spans):
            raise ValueError(
                f"PairSpline needs ranges that end within the cutoff of {cutoff} nm, but they are "
                f"{spans}."
            )
        super().__init__(bead_types, cutoff, {"rbf": rbf, "ranges": spans}, thermal)
        n_types = len(self.bead_types)
        first, second = torch.triu_indices(n_types, n_types)
        index = torch.zeros((n_types, n_types), dtype=torch.int64)
        index[first, second] = index[second, first] = torch.arange(len(first))
        self.pair_index: Tensor
        self.low: Tensor
        self.spacing: Tensor
        self.register_buffer("pair_index", index, persistent=False)
        self.register_buffer("low", torch.tensor([low for low, _ in spans]))
        # The last function ends where the range does, the first one is in its middle before it.
        self.register_buffer(
            "spacing", torch.tensor([(high - low) / (rbf + 2) for low, high in spans])
        )
        self.rbf = rbf
        # The edge types of the first channel, then those of the next.
        self.coefficients = nn.Parameter(
            torch.zeros(self.n_channels * EDGE_TYPE_COUNT, len(first), rbf)
        )

    def place(self, distance: Tensor, edge_types: Tensor) -> tuple[Tensor, Tensor]:
        """Interval (...) between knots, as a whole number, and place within it, from 0 to 1.

        Below the range the place is the beginning of the first interval, above it the end of
        the last.
        """
        reach = (distance - self.low[edge_types]) / self.spacing[edge_types]
        reach = torch.clamp(reach, min=0.0, max=self.rbf + 2.0)
        interval = torch.clamp(torch.floor(reach.detach()), max=self.rbf + 1.0)
        return interval.to(torch.int64), reach - interval

    def padded(self) -> Tensor:
        """Coefficients (n_channels * edge types * type pairs, rbf + 5), continued: flat ends."""
        table = self.coefficients.flatten(0, 1)
        first = table[:, :1]
        nothing = torch.zeros_like(first)
        return torch.cat([first, first, table, nothing, nothing, nothing], 1)

    def pair_channels(self, distance: Tensor, pair_types: Tensor, edge_types: Tensor) -> Tensor:
        """Channels (..., n_channels) in kJ/mol of pairs at distances (...) in nm.

        `pair_types` are what `pair_index` holds; with `edge_types` they broadcast to the shape
        of `distance`.
        """
        interval, x = self.place(distance, edge_types)
        rows = edge_types * self.coefficients.size(1) + pair_types
        start = rows * (self.rbf + 5) + interval
        knots = start.unsqueeze(-1) + torch.arange(4, device=start.device)
        weights = spline_weights(x)
        tables = self.padded().flatten().chunk(self.n_channels)
        found = [(table[knots] * weights).sum(-1) for table in tables]
        return torch.stack(found, -1)

    def bead_channels(
        self, positions: Tensor, types: Tensor, pairs: Tensor, shifts: Tensor, edge_types: Tensor
    ) -> Tensor:
        """Channels of every bead in kJ/mol, shape (N, n_channels): half of each of its pairs."""
        ends = positions.index_select(0, pairs[1]) + shifts
        distance = distances(ends - positions.index_select(0, pairs[0]))
        pair_types = self.pair_index[types[pairs[0]], types[pairs[1]]]
        halves = 0.5 * self.pair_channels(distance, pair_types, edge_types)
        return halves.new_zeros([positions.size(0), self.n_channels]).index_add(0, pairs[0], halves)

    def molecule_channels(self, positions: Tensor, types: Tensor, template: PairTemplate) -> Tensor:
        """Channels of many conformations of one molecule; see `CGNetwork.molecule_channels`."""
        first, second = template.pairs
        distance = distances(positions[:, second] - positions[:, first])
        pair_types = self.pair_index[types[first], types[second]]
        return self.pair_channels(distance, pair_types, template.edge_types).sum(1)
