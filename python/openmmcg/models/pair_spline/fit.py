"""Force matching of pair splines: linear least squares, streamed over frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from openmmcg.models.edge_types import EDGE_TYPE_COUNT
from openmmcg.models.pair_spline.network import PairSpline, spline_slopes
from openmmcg.models.radial import distances
from openmmcg.models.template import PairTemplate

_BONDED = range(2, EDGE_TYPE_COUNT)
_SMOOTHING = tuple(10.0**exponent for exponent in range(-7, 2))
_RIDGE = 1e-12
_DESIGN_NUMBERS = 8_000_000
_MARGIN = 0.1


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
    """

    positions: Tensor
    forces: Tensor
    types: Tensor
    pairs: Tensor
    shifts: Tensor
    edge_types: Tensor


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


def design(network: PairSpline, batch: PairBatch) -> tuple[Tensor, Tensor]:
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
        Force components in kJ/mol/nm for the coefficients of those, in double precision.
    """
    positions, shifts = batch.positions.double(), batch.shifts.double()
    first, second = batch.pairs
    vectors = positions[second] + shifts - positions[first]
    distance = distances(vectors)
    inside = distance < network.cutoff
    first, edges = first[inside], batch.edge_types[inside]
    pair_types = network.pair_index[batch.types[first], batch.types[second[inside]]]
    units = vectors[inside] / distance[inside].unsqueeze(-1)
    interval, x = network.place(distance[inside], edges)
    # The network's own padding: two more of the first coefficient before, zeros behind.
    slopes = spline_slopes(x) / network.spacing[edges].unsqueeze(-1).double()
    knots = interval.unsqueeze(-1) + torch.arange(4) - 2
    slopes = torch.where(knots < network.rbf, slopes, 0.0)
    local = torch.clamp(knots, 0, network.rbf - 1)
    splines, spline = torch.unique(
        edges * network.coefficients.shape[1] + pair_types, return_inverse=True
    )
    column = spline.unsqueeze(-1) * network.rbf + local
    matrix = positions.new_zeros(3 * len(positions), len(splines) * network.rbf)
    rows = 3 * first[:, None, None] + torch.arange(3)[None, None, :]
    # A bead is pushed along the pair by the slope of the energy.
    values = slopes.unsqueeze(-1) * units.unsqueeze(1)
    matrix.index_put_(
        (rows.expand_as(values), column.unsqueeze(-1).expand_as(values)), values, accumulate=True
    )
    return splines, matrix


class NormalEquations:
    """Sums over frames that decide a least-squares fit: X^T X, X^T y and y^T y, by fold.

    They hold the splines that have occurred so far, in the order of their first appearance.

    Parameters
    ----------
    rbf : int
        Coefficients of each spline.
    folds : int
        Number of separate sums.
    """

    def __init__(self, rbf: int, folds: int) -> None:
        self.rbf = rbf
        self.splines: list[int] = []
        self.gram = torch.zeros((folds, 0, 0), dtype=torch.float64)
        self.moment = torch.zeros((folds, 0), dtype=torch.float64)
        self.square = [0.0] * folds
        self.count = [0] * folds

    def add(self, fold: int, splines: Tensor, matrix: Tensor, labels: Tensor) -> None:
        """Add rows: design `matrix` (n, S * rbf) of the splines (S,), labels (n,)."""
        new = [spline for spline in splines.tolist() if spline not in set(self.splines)]
        self.splines += new
        grow = len(new) * self.rbf
        self.gram = torch.nn.functional.pad(self.gram, [0, grow, 0, grow])
        self.moment = torch.nn.functional.pad(self.moment, [0, grow])
        place = {spline: index for index, spline in enumerate(self.splines)}
        begin = torch.tensor([place[spline] for spline in splines.tolist()]) * self.rbf
        columns = (begin.unsqueeze(-1) + torch.arange(self.rbf)).flatten().to(torch.int64)
        self.gram[fold, columns[:, None], columns[None, :]] += matrix.t() @ matrix
        self.moment[fold, columns] += matrix.t() @ labels
        self.square[fold] += float(labels @ labels)
        self.count[fold] += len(labels)

    def squared_error(self, fold: int, coefficients: Tensor) -> float:
        """Sum of squared differences of forces and labels of one fold, (kJ/mol/nm)^2."""
        off = coefficients @ self.gram[fold] @ coefficients
        off -= 2.0 * coefficients @ self.moment[fold]
        return float(off) + self.square[fold]

    def fit(self, folds: Sequence[int], spacings: Tensor, smoothing: float) -> Tensor:
        """Coefficients (splines * rbf) that fit some folds; `spacings` (splines,) in nm."""
        rows = sum(self.count[fold] for fold in folds)
        gram = sum((self.gram[fold] for fold in folds), torch.zeros_like(self.gram[0]))
        moment = sum((self.moment[fold] for fold in folds), torch.zeros_like(self.moment[0]))
        penalty = second_differences(self.rbf)
        penalty = penalty.t() @ penalty
        # As large as the sums would be if every bead had a partner, whatever the spacing.
        for index, scale in enumerate((rows / spacings.double() ** 2).tolist()):
            block = slice(index * self.rbf, (index + 1) * self.rbf)
            gram[block, block] += smoothing * scale * penalty
            gram[block, block] += _RIDGE * scale * torch.eye(self.rbf, dtype=torch.float64)
        return torch.linalg.solve(gram, moment)


def second_differences(count: int) -> Tensor:
    """Matrix (count + 1, count) of second differences of coefficients as a spline continues them.

    The first one is repeated before the beginning and zeros follow the end.
    """
    differences = torch.zeros((count + 1, count), dtype=torch.float64)
    for row in range(count + 1):
        for place, weight in ((row - 1, 1.0), (row, -2.0), (row + 1, 1.0)):
            if place < count:
                differences[row, max(place, 0)] += weight
    return differences


def solve(
    network: PairSpline, batches: Iterable[PairBatch], smoothing: float | None = None
) -> dict[str, float]:
    """Set the coefficients of a network to the regularised least-squares fit of its forces.

    Minimised is the mean squared difference to the labels plus a penalty on second differences
    of neighbouring coefficients, with which splines continue straight where there are no data
    (P-splines: Eilers & Marx, Stat. Sci. 11:89, 1996). Splines of pairs that do not occur become
    zero. Batches are seen once, and what is kept of them does not grow with their number.

    Parameters
    ----------
    network : PairSpline
        Is changed in place.
    batches : iterable of PairBatch
        Frames with labels.
    smoothing : float, optional
        Weight of the penalty: the mean square of second differences, over the spacing of the
        knots, as if every bead had one pair of that kind. By default the best of several powers
        of ten in twofold cross-validation, with every other batch in the same fold; needs two
        batches.

    Returns
    -------
    dict of str to float
        ``loss`` over the data in (kJ/mol/nm)^2, ``smoothing``, and ``cross_validation``, the loss
        on frames left out (absent where smoothing was given).

    Raises
    ------
    ValueError
        If there are no pairs or some values are not finite, or a single batch is to be
        cross-validated.
    """
    equations = NormalEquations(network.rbf, folds=2)
    count = 0
    for count, batch in enumerate(batches, start=1):
        if not (torch.isfinite(batch.positions).all() and torch.isfinite(batch.forces).all()):
            raise ValueError(
                f"Batch {count} of the pair splines' data holds values that are not finite; leave "
                "those frames out."
            )
        equations.add(count % 2, *design(network, batch), batch.forces.double().flatten())
    if not equations.splines:
        raise ValueError(
            f"There are no pairs within {network.cutoff} nm to fit pair splines to; give frames, "
            "or a longer cutoff."
        )
    splines = torch.tensor(equations.splines)
    spacings = network.spacing[splines // network.coefficients.shape[1]]
    report: dict[str, float] = {}
    if smoothing is None:
        if count < 2:
            raise ValueError(
                "Smoothing by cross-validation needs at least two batches, but there is one; cut "
                "it in two or give a value for smoothing."
            )
        losses = [
            sum(
                equations.squared_error(left_out, equations.fit([fitted], spacings, value))
                for fitted, left_out in ((0, 1), (1, 0))
            )
            / sum(equations.count)
            for value in _SMOOTHING
        ]
        report["cross_validation"] = min(losses)
        smoothing = _SMOOTHING[losses.index(min(losses))]
    fitted = equations.fit([0, 1], spacings, smoothing)
    total = sum(equations.squared_error(fold, fitted) for fold in (0, 1))
    with torch.no_grad():
        network.coefficients.zero_()
        table = network.coefficients.flatten(0, 1)
        table[splines] = fitted.reshape(-1, network.rbf).to(table.dtype)
    return {"loss": total / sum(equations.count), "smoothing": smoothing, **report}


def fit_pair_spline(
    positions: Tensor,
    forces: Tensor,
    types: Tensor,
    template: PairTemplate,
    *,
    bead_types: Sequence[str],
    cutoff: float,
    rbf: int = 24,
    ranges: Sequence[Sequence[float]] | None = None,
    smoothing: float | None = None,
) -> tuple[PairSpline, dict[str, float]]:
    """Fit pair splines to forces on conformations of one molecule.

    Parameters
    ----------
    positions : torch.Tensor, shape (F, N, 3)
        Conformations in nm, F at least 2.
    forces : torch.Tensor, shape (F, N, 3)
        Mapped forces less those of priors, kJ/mol/nm.
    types : torch.Tensor of int64, shape (N,)
        Bead types.
    template : PairTemplate
        The molecule's pairs.
    bead_types : sequence of str
        Vocabulary of bead types.
    cutoff : float
        nm.
    rbf : int, default 24
        Coefficients of each spline.
    ranges : sequence of pairs of float, optional
        Of each edge type, in nm. By default bonded pairs (1-2 to 1-4) cover their distances in
        the data and a tenth more on either side, and all others go from 0 to the cutoff.
    smoothing : float, optional
        See `solve`.

    Returns
    -------
    network : PairSpline
        In the precision of the positions.
    report : dict of str to float
        What `solve` returns.

    Raises
    ------
    ValueError
        If the shapes do not fit, or as by `solve`.
    """
    if positions.shape != forces.shape or positions.shape[1:] != (len(types), 3):
        raise ValueError(
            f"Positions and forces must both have the shape (frames, {len(types)}, 3), but they "
            f"have {tuple(positions.shape)} and {tuple(forces.shape)}."
        )
    if ranges is None:
        ranges = bonded_ranges(positions, template, cutoff)
    network = PairSpline(bead_types, cutoff, rbf=rbf, ranges=ranges).to(positions.dtype)
    pair_types = network.pair_index[types[template.pairs[0]], types[template.pairs[1]]]
    splines = len(torch.unique(pair_types * EDGE_TYPE_COUNT + template.edge_types))
    numbers = max(1, 3 * len(types) * rbf * splines)
    frames = max(1, min(_DESIGN_NUMBERS // numbers, -(-len(positions) // 2)))
    batches = molecule_batches(positions, forces, types, template, frames)
    return network, solve(network, batches, smoothing)


def bonded_ranges(positions: Tensor, template: PairTemplate, cutoff: float) -> list[list[float]]:
    """Range of each edge type in nm: where bonded pairs are, with a margin; else all there is."""
    ranges = [[0.0, float(cutoff)] for _ in range(EDGE_TYPE_COUNT)]
    for edge_type in _BONDED:
        first, second = template.pairs[:, template.edge_types == edge_type]
        if len(first):
            distance = distances(positions[:, second] - positions[:, first])
            low, high = float(distance.min()), float(distance.max())
            margin = _MARGIN * max(high - low, 0.05 * high)
            ranges[edge_type] = [max(0.0, low - margin), min(float(cutoff), high + margin)]
    return ranges
