"""Force matching of pair splines: linear least squares, streamed over frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from openmmcg.models.edge_types import EDGE_TYPE_COUNT
from openmmcg.models.pair_spline.design import PairBatch, design, molecule_batches
from openmmcg.models.pair_spline.equations import NormalEquations
from openmmcg.models.pair_spline.network import PairSpline
from openmmcg.models.radial import distances
from openmmcg.models.template import PairTemplate

_BONDED = range(2, EDGE_TYPE_COUNT)
_DESIGN_NUMBERS = 8_000_000
_MARGIN = 0.1


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
        batches. Channels then have weights of their own.

    Returns
    -------
    dict of str to float
        ``loss`` over the data in (kJ/mol/nm)^2, ``smoothing`` (of the first channel), and
        ``cross_validation``, the loss
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
        equations.add(count % 2, *design(network, batch))
    if not equations.splines:
        raise ValueError(
            f"There are no pairs within {network.cutoff} nm to fit pair splines to; give frames, "
            "or a longer cutoff."
        )
    splines = torch.tensor(equations.splines)
    edges = splines // network.coefficients.shape[1]
    spacings = network.spacing[edges % EDGE_TYPE_COUNT]
    weights = torch.full((len(splines),), smoothing or 0.0, dtype=torch.float64)
    report: dict[str, float] = {}
    if smoothing is None:
        if count < 2:
            raise ValueError(
                "Smoothing by cross-validation needs at least two batches, but there is one; cut "
                "it in two or give a value for smoothing."
            )
        weights, error = equations.best_smoothing(spacings, edges // EDGE_TYPE_COUNT)
        report["cross_validation"] = error / sum(equations.count)
    fitted = equations.fit([0, 1], spacings, weights)
    total = sum(equations.squared_error(fold, fitted) for fold in (0, 1))
    with torch.no_grad():
        network.coefficients.zero_()
        table = network.coefficients.flatten(0, 1)
        table[splines] = fitted.reshape(-1, network.rbf).to(table.dtype)
    return {"loss": total / sum(equations.count), "smoothing": float(weights[0]), **report}


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
