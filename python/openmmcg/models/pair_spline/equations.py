"""Normal equations of regularised least squares for splines."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SMOOTHING = tuple(10.0**exponent for exponent in range(-7, 2))
"""Weights of the penalty that are tried."""
_RIDGE = 1e-12


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

    def fit(self, folds: Sequence[int], spacings: Tensor, smoothing: Tensor | float) -> Tensor:
        """Coefficients (splines * rbf) that fit some folds.

        Parameters
        ----------
        folds : sequence of int
        spacings : torch.Tensor, shape (splines,)
            nm; 1 for energies.
        smoothing : torch.Tensor, shape (splines,), or float
            Weight of the penalty on second differences.
        """
        rows = sum(self.count[fold] for fold in folds)
        gram = sum((self.gram[fold] for fold in folds), torch.zeros_like(self.gram[0]))
        moment = sum((self.moment[fold] for fold in folds), torch.zeros_like(self.moment[0]))
        penalty = second_differences(self.rbf)
        penalty = penalty.t() @ penalty
        # As large as the sums would be if every bead had a partner, whatever the spacing.
        scales = rows / spacings.double() ** 2
        weights = torch.as_tensor(smoothing, dtype=torch.float64).expand(len(scales))
        for index, (scale, weight) in enumerate(
            zip(scales.tolist(), weights.tolist(), strict=True)
        ):
            block = slice(index * self.rbf, (index + 1) * self.rbf)
            gram[block, block] += weight * scale * penalty
            gram[block, block] += _RIDGE * scale * torch.eye(self.rbf, dtype=torch.float64)
        return torch.linalg.solve(gram, moment)

    def best_smoothing(
        self, spacings: Tensor, channels: Tensor | None = None
    ) -> tuple[Tensor, float]:
        """Choose the weights of the penalty by cross-validation over all folds.

        Parameters
        ----------
        spacings : torch.Tensor, shape (splines,)
            As of `fit`.
        channels : torch.Tensor of int64, shape (splines,), optional
            Splines that share a weight: first all have the same, then each channel its own.

        Returns
        -------
        smoothing : torch.Tensor, shape (splines,)
            Of `SMOOTHING`.
        error : float
            Sum of squared errors of all folds, each with coefficients of the others.
        """
        groups = torch.zeros(len(spacings), dtype=torch.int64) if channels is None else channels
        chosen = torch.full((len(spacings),), SMOOTHING[0], dtype=torch.float64)
        steps = [torch.ones(len(spacings), dtype=torch.bool)]
        if len(groups.unique()) > 1:
            steps += [groups == group for group in groups.unique()]
        error = float("inf")
        for members in steps:
            trials = [
                torch.where(members, torch.tensor(value, dtype=torch.float64), chosen)
                for value in SMOOTHING
            ]
            errors = [self.left_out_error(spacings, trial) for trial in trials]
            if min(errors) < error:
                error = min(errors)
                chosen = trials[errors.index(error)]
        return chosen, error

    def left_out_error(self, spacings: Tensor, smoothing: Tensor) -> float:
        """Sum of squared errors of all folds, each with coefficients that the others give."""
        folds = range(len(self.count))
        return sum(
            self.squared_error(out, self.fit([f for f in folds if f != out], spacings, smoothing))
            for out in folds
        )


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
