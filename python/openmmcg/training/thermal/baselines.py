"""Cross-fitted baselines: what forces and energies are expected to be, from other frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from openmmcg.models.pair_spline import PairBatch, PairSpline
from openmmcg.models.pair_spline.design import design, energy_design
from openmmcg.models.pair_spline.equations import NormalEquations
from openmmcg.training.batches import FrameSet, pair_lists
from openmmcg.training.closed_form import BATCH_BEADS, data_ranges
from openmmcg.training.config import TrainConfig
from openmmcg.training.frames import TrainingData
from openmmcg.training.labels import squared_residuals
from openmmcg.training.split import Fold, validation_mask

FOLDS = 4
_COEFFICIENTS = 16
_LEAST_GAIN = 1e-3


@dataclass(frozen=True, eq=False)
class Baselines:
    """What is left of forces and energies, and how much the baselines took.

    Attributes
    ----------
    forces : dict of int to torch.Tensor, shape (F, N, 3)
        Residual forces of each system, kJ/mol/nm.
    energies : dict of int to torch.Tensor, shape (F,)
        Residual energies, kJ/mol.
    force_share, energy_share : float
        Share of the mean squares, on frames that were not fitted to, that the baselines explain.
        An energy baseline that explains nothing is the mean at each temperature.
    """

    forces: dict[int, Tensor]
    energies: dict[int, Tensor]
    force_share: float
    energy_share: float


def cross_fitted(
    data: TrainingData,
    energies: dict[int, np.ndarray],
    config: TrainConfig,
    forces: list[Tensor] | None = None,
) -> Baselines:
    """Subtract from every frame what pair splines predict that were fitted to other frames.

    Frames are split by blocks of time into `FOLDS` parts. Mean forces less the priors, and mean
    energies, are fitted by pair splines, linear least squares of their own for each part left out;
    their smoothing is chosen by cross-validation. Where splines do not predict energies any better
    than the mean at each temperature, as with a large bath, the mean is used: a baseline that fits
    noise is worse than a plain one.

    Parameters
    ----------
    data : TrainingData
        The frames.
    energies : dict of int to numpy.ndarray, shape (F,)
        Of the systems that are to be treated, kJ/mol, less the mean at each temperature.
    config : TrainConfig
        Cutoff.
    forces : list of torch.Tensor, shape (F, N, 3), optional
        Of all systems, less a better baseline than splines; kJ/mol/nm.

    Returns
    -------
    Baselines
    """
    network = PairSpline(
        data.type_names, config.cutoff, rbf=_COEFFICIENTS, ranges=data_ranges(config, data)
    )
    source = _Source(data, FrameSet(data), network, energies)
    folds = {index: _folds(data, index) for index in energies}
    of_forces = NormalEquations(network.rbf, FOLDS)
    of_energies = NormalEquations(network.rbf, FOLDS)
    for piece in _pieces(data, folds):
        batch = source.batch(piece)
        if forces is None:
            of_forces.add(piece.fold, *design(network, batch))
        of_energies.add(piece.fold, *source.energy_rows(piece, batch))
    if forces is None:
        force_fits, force_share = _fits(of_forces, network, energies=False)
    else:
        force_share = 1.0 - source.square(forces) / source.square(None)
    energy_fits, energy_share = _fits(of_energies, network, energies=True)
    left = {
        index: torch.empty_like(data.systems[index].forces) if forces is None else forces[index]
        for index in energies
    }
    rest = {index: torch.from_numpy(values).float() for index, values in energies.items()}
    for piece in _pieces(data, folds):
        batch = source.batch(piece)
        if forces is None:
            own = left[piece.system]
            splines, matrix, labels = design(network, batch)
            expected = _predicted(of_forces, splines, matrix, force_fits[piece.fold])
            own[piece.frames] = (labels - expected).reshape(-1, *own.shape[1:]).float()
        if energy_share > 0:
            splines, matrix, labels = source.energy_rows(piece, batch)
            expected = _predicted(of_energies, splines, matrix, energy_fits[piece.fold])
            rest[piece.system][piece.frames] = (labels - expected).float()
    return Baselines(left, rest, force_share, energy_share)


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some frames of one system and one fold."""

    system: int
    fold: int
    frames: Tensor


def _folds(data: TrainingData, index: int) -> np.ndarray:
    """Fold of every frame of a system."""
    system = data.systems[index]
    folds = np.zeros(len(system.positions), dtype=np.int64)
    for number in range(FOLDS):
        folds[validation_mask(system.runs, system.times, 0.1, Fold(number, FOLDS))] = number
    return folds


def _pieces(data: TrainingData, folds: dict[int, np.ndarray]) -> Iterator[_Piece]:
    for index, own in folds.items():
        size = max(1, BATCH_BEADS // data.systems[index].n_beads)
        for fold in range(FOLDS):
            for frames in torch.from_numpy(np.flatnonzero(own == fold)).split(size):
                if len(frames):
                    yield _Piece(index, fold, frames)


@dataclass(frozen=True, eq=False)
class _Source:
    """Where the rows of the least-squares problems come from."""

    data: TrainingData
    frames: FrameSet
    network: PairSpline
    energies: dict[int, np.ndarray]

    def batch(self, piece: _Piece) -> PairBatch:
        """Beads of a piece, with forces less those of the priors."""
        (part,) = self.frames[piece.frames + self.data.offsets[piece.system]]
        system = self.data.systems[piece.system]
        forces = part.forces
        if self.data.full_labels:
            forces = forces - system.bound.forces(part.positions, part.boxes)
        types = system.types.repeat(len(piece.frames))
        positions = part.positions.reshape(-1, 3)
        pairs = pair_lists(part, system.template)
        return PairBatch(positions, forces.reshape(-1, 3), types, *pairs)

    def square(self, forces: list[Tensor] | None) -> float:
        """Sum of the squares of forces, by default the labels less the priors'."""
        total = 0.0
        for index in self.energies:
            system = self.data.systems[index]
            if forces is None:
                everything = np.arange(len(system.positions))
                squares = squared_residuals(
                    replace(system, weights=None), everything, self.data.full_labels
                )
            else:
                squares = forces[index].double().square()
            total += float(squares.sum())
        return total

    def energy_rows(self, piece: _Piece, batch: PairBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Splines, design matrix and energies of the frames of a piece."""
        count = len(piece.frames)
        owners = torch.arange(count).repeat_interleave(len(batch.types) // count)
        splines, matrix = energy_design(self.network, batch, owners, count)
        labels = torch.from_numpy(self.energies[piece.system][piece.frames.numpy()])
        return splines, matrix, labels.double()


def _fits(
    equations: NormalEquations, network: PairSpline, energies: bool
) -> tuple[list[Tensor], float]:
    """Coefficients for each fold, from the others, and the share of squares that they explain."""
    splines = torch.tensor(equations.splines)
    spacings = network.spacing[splines // network.coefficients.shape[1]]
    if energies:
        spacings = torch.ones_like(spacings)
    smoothing, error = equations.best_smoothing(spacings)
    whole = sum(equations.square)
    share = 1.0 - error / whole if whole > 0 else 0.0
    fits = [
        equations.fit([f for f in range(FOLDS) if f != fold], spacings, smoothing)
        for fold in range(FOLDS)
    ]
    return fits, share if share > _LEAST_GAIN else 0.0


def _predicted(
    equations: NormalEquations, splines: Tensor, matrix: Tensor, coefficients: Tensor
) -> Tensor:
    table = coefficients.reshape(-1, equations.rbf)
    place = {spline: row for row, spline in enumerate(equations.splines)}
    rows = torch.tensor([place[spline] for spline in splines.tolist()], dtype=torch.int64)
    return matrix @ table[rows].flatten()
