"""What the energies and forces of pair splines are for coefficients of one: design matrices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from openmmcg.models.pair_spline.network import PairSpline, spline_slopes, spline_weights
from openmmcg.models.radial import distances
from openmmcg.models.template import PairTemplate


@dataclass(frozen=True)
class PairBatch:
    """Beads of any number of frames, one frame after the other, with their labels.

    Attributes
    ----------
    positions : torch.Tensor, shape (N, 3)
        nm.
    forces : torch.Tensor, shape (N, 3)
        Forces that the splines are to give, kJ/mol/nm.
    types : torch.Tensor of int64, shape (N,)
        Bead types.
    pairs : torch.Tensor of int64, shape (2, P)
        Both directions of every pair.
    shifts : torch.Tensor, shape (P, 3)
        nm, see `CGNetwork.forward`.
    edge_types : torch.Tensor of int64, shape (P,)
        Topological class of every pair.
    factors : torch.Tensor, shape (N, n_channels), optional
        What the channels of the network are multiplied by; by default there is one channel.
    weights : torch.Tensor, shape (N, 3), optional
        Of the squared errors of the forces; by default 1.
    """

    positions: Tensor
    forces: Tensor
    types: Tensor
    pairs: Tensor
    shifts: Tensor
    edge_types: Tensor
    factors: Tensor | None = None
    weights: Tensor | None = None


def molecule_batches(
    positions: Tensor, forces: Tensor, types: Tensor, template: PairTemplate, frames: int
) -> Iterator[PairBatch]:
    """Cut conformations of one molecule into batches.

    Parameters
    ----------
    positions, forces : torch.Tensor, shape (F, N, 3)
        nm and kJ/mol/nm.
    types : torch.Tensor of int64, shape (N,)
        Bead types.
    template : PairTemplate
        The molecule's pairs.
    frames : int
        Frames in a batch.

    Yields
    ------
    PairBatch
    """
    beads = len(types)
    for points, labels in zip(positions.split(frames), forces.split(frames), strict=True):
        count = len(points)
        offsets = torch.arange(count) * beads
        pairs = (template.directed[:, None, :] + offsets[None, :, None]).reshape(2, -1)
        yield PairBatch(
            points.reshape(-1, 3),
            labels.reshape(-1, 3),
            types.repeat(count),
            pairs,
            points.new_zeros((pairs.shape[1], 3)),
            template.directed_edge_types.repeat(count),
        )


def design(network: PairSpline, batch: PairBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Forces that each coefficient would give if it were one.

    Parameters
    ----------
    network : PairSpline
        Whose coefficients.
    batch : PairBatch
        Frames.

    Returns
    -------
    splines : torch.Tensor of int64, shape (S,)
        Rows of ``network.coefficients.flatten(0, 1)`` that the batch touches.
    matrix : torch.Tensor, shape (3 N, S * rbf)
        Force components in kJ/mol/nm for the coefficients of those, in double precision, times
        the roots of the batch's weights.
    labels : torch.Tensor, shape (3 N,)
        Likewise.
    """
    distance, splines, column, place = _columns(network, batch)
    first, inside = batch.pairs[0][place], distance[place]
    edges = batch.edge_types[place]
    units = _vectors(batch)[place] / inside.unsqueeze(-1)
    interval, x = network.place(inside, edges)
    # The network's own padding: two more of the first coefficient before, zeros behind.
    slopes = spline_slopes(x) / network.spacing[edges].unsqueeze(-1).double()
    slopes = torch.where(_knots(interval) < network.rbf, slopes, 0.0)
    matrix = distance.new_zeros(3 * len(batch.positions), len(splines) * network.rbf)
    rows = 3 * first[:, None, None] + torch.arange(3)[None, None, :]
    # A bead is pushed along the pair by the slope of the energy.
    values = slopes.unsqueeze(-1) * units.unsqueeze(1)
    matrix.index_put_(
        (rows.expand_as(values), column.unsqueeze(-1).expand_as(values)), values, accumulate=True
    )
    labels = batch.forces.double().flatten()
    if batch.factors is not None:
        each = batch.factors.double().repeat_interleave(3, 0)
        channels = each.shape[1]
        matrix = (each.unsqueeze(-1) * matrix.unsqueeze(1)).flatten(1)
        size = len(network.coefficients.flatten(0, 1)) // channels
        splines = (splines + size * torch.arange(channels)[:, None]).flatten()
    if batch.weights is not None:
        roots = batch.weights.double().sqrt().flatten()
        matrix, labels = matrix * roots.unsqueeze(-1), labels * roots
    return splines, matrix, labels


def energy_design(
    network: PairSpline, batch: PairBatch, frames: Tensor, n_frames: int
) -> tuple[Tensor, Tensor]:
    """Energies of frames that each coefficient would give if it were one.

    Parameters
    ----------
    network : PairSpline
        Of one channel.
    batch : PairBatch
        Frames.
    frames : torch.Tensor of int64, shape (N,)
        Frame to which a bead belongs.
    n_frames : int

    Returns
    -------
    splines : torch.Tensor of int64, shape (S,)
        As of `design`.
    matrix : torch.Tensor, shape (n_frames, S * rbf)
    """
    distance, splines, column, place = _columns(network, batch)
    interval, x = network.place(distance[place], batch.edge_types[place])
    # Each pair is listed in both directions.
    values = 0.5 * torch.where(_knots(interval) < network.rbf, spline_weights(x), 0.0)
    matrix = distance.new_zeros(n_frames, len(splines) * network.rbf)
    rows = frames[batch.pairs[0][place]].unsqueeze(-1)
    matrix.index_put_((rows.expand_as(values), column), values, accumulate=True)
    return splines, matrix


def _vectors(batch: PairBatch) -> Tensor:
    positions, shifts = batch.positions.double(), batch.shifts.double()
    first, second = batch.pairs
    return positions[second] + shifts - positions[first]


def _knots(interval: Tensor) -> Tensor:
    """Coefficients (..., 4) that overlap in an interval; those below 0 are the first one."""
    return interval.unsqueeze(-1) + torch.arange(4) - 2


def _columns(network: PairSpline, batch: PairBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distances (P,), splines (S,), columns (p, 4), and which p pairs are within the cutoff."""
    distance = distances(_vectors(batch))
    place = torch.nonzero(distance < network.cutoff).squeeze(-1)
    first, second = batch.pairs[:, place]
    edges = batch.edge_types[place]
    pair_types = network.pair_index[batch.types[first], batch.types[second]]
    interval, _ = network.place(distance[place], edges)
    local = torch.clamp(_knots(interval), 0, network.rbf - 1)
    splines, spline = torch.unique(
        edges * network.coefficients.shape[1] + pair_types, return_inverse=True
    )
    return distance, splines, spline.unsqueeze(-1) * network.rbf + local, place
