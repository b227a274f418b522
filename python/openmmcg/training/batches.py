"""Batches of frames of different systems, and the Lightning data module that serves them."""

from __future__ import annotations

from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from openmmcg.models import PairTemplate
from openmmcg.training.config import TrainConfig
from openmmcg.training.frames import SystemData, TrainingData
from openmmcg.training.split import ShuffledBatches
from openmmcg.training.thermal.labels import ThermalLabels

_VALIDATION_BATCH = 1024
_VALIDATION_PAIRS = 400_000


class Part(NamedTuple):
    """Frames of one system in a batch; arrays as of `SystemData`.

    `frames` (B,) are numbers among the frames of the system; `pairs`, `shifts` and `edge_types`
    are those of all its frames laid one after the other, for systems without a template.
    """

    system: int
    frames: Tensor
    positions: Tensor
    forces: Tensor
    temperatures: Tensor
    weights: Tensor | None = None
    energies: Tensor | None = None
    boxes: Tensor | None = None
    thermal: ThermalLabels | None = None
    pairs: Tensor | None = None
    shifts: Tensor | None = None
    edge_types: Tensor | None = None


Batch = list[Part]


def pair_lists(part: Part, template: PairTemplate | None) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs (2, P), shifts (P, 3) and edge types (P,) of all frames of a part.

    Parameters
    ----------
    part : Part
        The frames.
    template : PairTemplate or None
        Of the system, if the part has no pairs of its own.
    """
    if template is None:
        assert part.pairs is not None and part.shifts is not None and part.edge_types is not None
        return part.pairs, part.shifts, part.edge_types
    count, beads, _ = part.positions.shape
    starts = torch.arange(count, device=part.positions.device) * beads
    pairs = (template.directed[:, None, :] + starts[None, :, None]).reshape(2, -1)
    shifts = part.positions.new_zeros((pairs.shape[1], 3))
    return pairs, shifts, template.directed_edge_types.repeat(count)


class FrameSet(Dataset[Batch]):
    """Frames of all systems, taken by numbers that run through all systems.

    Parameters
    ----------
    data : TrainingData
        The frames.
    """

    def __init__(self, data: TrainingData) -> None:
        self._systems = data.systems
        self._offsets = torch.from_numpy(data.offsets)
        self._temperatures = [torch.from_numpy(s.temperatures).float() for s in data.systems]

    def __len__(self) -> int:
        """Return the number of frames."""
        return int(self._offsets[-1])

    def __getitem__(self, numbers: Tensor) -> Batch:
        """Return the frames with these numbers."""
        if len(self._systems) == 1:
            return [self._part(0, numbers)]
        owners = torch.searchsorted(self._offsets, numbers, right=True) - 1
        return [
            self._part(system, numbers[owners == system] - self._offsets[system])
            for system in torch.unique(owners).tolist()
        ]

    def _part(self, index: int, frames: Tensor) -> Part:
        system = self._systems[index]
        boxes = _rows(system.boxes, frames)
        pairs: tuple[Tensor | None, ...] = (None, None, None)
        if system.pairs is not None:
            pairs = system.pairs.of(frames.numpy(), system.n_beads, boxes)
        return Part(
            index,
            frames,
            system.positions[frames],
            system.forces[frames],
            self._temperatures[index][frames],
            _rows(system.weights, frames),
            _rows(system.energies, frames),
            boxes,
            None if system.thermal is None else system.thermal.rows(frames),
            *pairs,
        )


def _rows(values: Tensor | None, frames: Tensor) -> Tensor | None:
    return None if values is None else values[frames]


class FrameModule(pl.LightningDataModule):
    """Serve batches of training frames, shuffled, and of validation frames, in order.

    Parameters
    ----------
    data : TrainingData
        The frames.
    config : TrainConfig
        Batch size and seed.
    """

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        super().__init__()
        self._frames = FrameSet(data)
        self._training = data.frames("training")
        self._config = config
        self._validation = torch.from_numpy(data.frames("validation"))
        self._validation_batch = min(_validation_batch(system) for system in data.systems)

    def _batches(self, rank: int = 0, world_size: int = 1) -> ShuffledBatches:
        config = self._config
        return ShuffledBatches(
            self._training, config.batch_size, config.seed, rank, world_size, config.epoch_steps
        )

    @property
    def steps_per_epoch(self) -> int:
        """Number of training batches."""
        return len(self._batches())

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches, of which each process gets its share."""
        batches = self._batches(*self._place())
        return DataLoader(self._frames, sampler=batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[Any]:
        """Validation frames in order, of which each process gets its share."""
        rank, world_size = self._place()
        batches = self._validation[rank::world_size].split(self._validation_batch)
        return DataLoader(self._frames, sampler=batches, batch_size=None)

    def _place(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size


def _validation_batch(system: SystemData) -> int:
    if system.pairs is None:
        return _VALIDATION_BATCH
    return int(np.clip(_VALIDATION_PAIRS / max(1.0, 2.0 * system.pairs.mean_count), 1, 1024))
