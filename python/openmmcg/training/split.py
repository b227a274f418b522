"""Which frames are trained on, which are validated on, and in what order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

_BLOCKS = 4


class Fold(NamedTuple):
    """A part of a cross-validation: number `number`, from 0, of `parts`."""

    number: int
    parts: int


def times_of(runs: np.ndarray) -> np.ndarray:
    """Place of every frame among the frames of its run."""
    times = np.empty(len(runs), dtype=np.int64)
    for run in np.unique(runs):
        own = runs == run
        times[own] = np.arange(own.sum())
    return times


def validation_mask(
    runs: np.ndarray, times: np.ndarray, fraction: float, fold: Fold | None = None
) -> np.ndarray:
    """Mark frames for validation: a few blocks of time of every run.

    Neighbouring frames are alike, so single frames picked at random would not be independent of
    the training frames; blocks are, but for their ends.

    Parameters
    ----------
    runs, times : numpy.ndarray of int, shape (F,)
        Run of a frame and its place in it.
    fraction : float
        Share of the frames to mark.
    fold : Fold, optional
        Of a cross-validation: instead mark one of so many equal parts, which together are all
        frames.

    Returns
    -------
    numpy.ndarray of bool, shape (F,)
    """
    marked = np.zeros(len(runs), dtype=bool)
    for run in np.unique(runs):
        own = runs == run
        phase = times[own] * _BLOCKS / own.sum() % 1.0
        if fold is None:
            marked[own] = np.abs(phase - 0.5) < 0.5 * fraction
        else:
            marked[own] = np.floor(phase * fold.parts).astype(np.int64) == fold.number
    return marked


class ShuffledBatches(Sampler[Tensor]):
    """Batches of frame indices in an order that depends on seed and epoch only.

    So a resumed run sees the batches that the interrupted one would have seen. The last, smaller
    batch is left out: every epoch leaves out other frames.

    Parameters
    ----------
    indices : numpy.ndarray of int
        Frames to draw from.
    batch_size : int
        Frames in a batch; at most all of them.
    seed : int
        Of the order.
    rank, world_size : int
        Processes that share each batch: this one gets every `world_size`-th of its frames.
    steps : int, optional
        Batches of an epoch; the next epoch goes on in the same pass over the frames. By default
        an epoch is one pass.
    """

    def __init__(
        self,
        indices: np.ndarray,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        steps: int | None = None,
    ) -> None:
        self._indices = torch.from_numpy(indices)
        self._size = min(batch_size, len(indices)) // world_size * world_size
        if self._size == 0:
            raise ValueError(
                f"A batch of {min(batch_size, len(indices))} frames cannot be shared by "
                f"{world_size} devices; use a larger batch_size or fewer devices."
            )
        self._seed = seed
        self._epoch = 0
        self._part = slice(rank, None, world_size)
        self._pass = len(indices) // self._size
        self._steps = steps or self._pass

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass; Lightning calls this."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches."""
        return self._steps

    def __iter__(self) -> Iterator[Tensor]:
        """Yield batches of indices."""
        first = self._epoch * self._steps
        batches: tuple[Tensor, ...] = ()
        for number in range(first, first + self._steps):
            which, place = divmod(number, self._pass)
            if not batches or place == 0:
                batches = self._batches_of(which)
            yield batches[place][self._part]

    def _batches_of(self, which: int) -> tuple[Tensor, ...]:
        """Batches of one pass over the frames."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + which)
        order = self._indices[torch.randperm(len(self._indices), generator=generator)]
        return order.split(self._size)
