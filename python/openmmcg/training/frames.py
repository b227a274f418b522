"""Training data: frames split in time, with the priors' forces subtracted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from openmmcg.models import PairTemplate
from openmmcg.priors import PriorSet, fit_frames, single_temperature

if TYPE_CHECKING:
    from openmmcg.data import Dataset

_BLOCKS = 4
_CHUNK = 20_000


@dataclass(frozen=True)
class TrainingData:
    """Frames of one molecule or system without a box, split for training.

    Attributes
    ----------
    positions : torch.Tensor, shape (F, N, 3)
        nm.
    residuals : torch.Tensor, shape (F, N, 3)
        Mapped forces less the priors' forces, kJ/mol/nm.
    training, validation : numpy.ndarray of int
        Indices of frames.
    runs, times : numpy.ndarray of int, shape (F,)
        Walker of a frame, and its place in the walker's time.
    label_ms : float
        Mean square of the mapped forces of the validation frames, (kJ/mol/nm)^2 a component.
    priors : PriorSet
        Fitted to the training frames.
    template : PairTemplate
        Pairs of the molecule.
    types : torch.Tensor of int64, shape (N,)
        Bead types.
    temperature : float
        K.
    facts : dict
        JSON-able: what the data are.
    """

    positions: Tensor
    residuals: Tensor
    training: np.ndarray
    validation: np.ndarray
    runs: np.ndarray
    times: np.ndarray
    label_ms: float
    priors: PriorSet
    template: PairTemplate
    types: Tensor
    temperature: float
    facts: dict[str, Any]


def load_frames(dataset: Dataset, validation_fraction: float) -> TrainingData:
    """Read a dataset, split it, fit priors to the training part and subtract their forces.

    Parameters
    ----------
    dataset : Dataset
        An open dataset.
    validation_fraction : float
        Share of the frames to keep from training.

    Returns
    -------
    TrainingData

    Raises
    ------
    ValueError
        If the frames have a box, several temperatures or values that are not finite, or are too
        few.
    """
    if dataset.boxes is not None:
        raise ValueError(
            f"The frames of {dataset.path} have a periodic box, but training on periodic data is "
            "not supported yet; use a dataset of an isolated molecule."
        )
    temperature = single_temperature(dataset.temperatures)
    positions, forces = dataset.positions, dataset.forces
    for name, array in (("positions", positions), ("forces", forces)):
        if not np.isfinite(array).all():
            raise ValueError(
                f"The {name} of {dataset.path} are not all finite; sample the data again."
            )
    runs = np.asarray(dataset.walkers)
    times = times_of(runs)
    validating = validation_mask(runs, times, validation_fraction)
    training, validation = np.flatnonzero(~validating), np.flatnonzero(validating)
    if len(validation) == 0 or len(training) == 0:
        raise ValueError(
            f"{len(runs)} frames are too few to split into training and validation; sample more."
        )
    names = list(dataset.type_names)
    priors = fit_frames(positions[training], dataset.types, names, dataset.bonds, temperature)
    bound = priors.bind(dataset.types, names, dataset.bonds)
    points = torch.from_numpy(positions)
    prior_forces = torch.cat([bound.forces(chunk) for chunk in points.split(_CHUNK)])
    return TrainingData(
        positions=points,
        residuals=torch.from_numpy(forces) - prior_forces,
        training=training,
        validation=validation,
        runs=runs,
        times=times,
        label_ms=float(np.mean(forces[validation].astype(np.float64) ** 2)),
        priors=priors,
        template=PairTemplate.from_topology(dataset.bonds, dataset.molecules),
        types=torch.from_numpy(np.asarray(dataset.types)),
        temperature=temperature,
        facts=dataset_facts(dataset),
    )


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """What a model file remembers of its data, among it a hash of positions and forces."""
    content = hashlib.sha256()
    for array in (dataset.positions, dataset.forces):
        content.update(np.ascontiguousarray(array).data)
    return {
        "path": str(dataset.path),
        "group": dataset.name,
        "sha256": content.hexdigest(),
        "frames": dataset.n_frames,
        "mapping_hash": dataset.mapping_hash,
        "force_map": dataset.force_map,
        "source": dataset.source,
    }


def times_of(runs: np.ndarray) -> np.ndarray:
    """Place of every frame among the frames of its run."""
    times = np.empty(len(runs), dtype=np.int64)
    for run in np.unique(runs):
        own = runs == run
        times[own] = np.arange(own.sum())
    return times


def validation_mask(runs: np.ndarray, times: np.ndarray, fraction: float) -> np.ndarray:
    """Mark frames for validation: a few blocks of time of every run.

    Neighbouring frames are alike, so single frames picked at random would not be independent of
    the training frames; blocks are, but for their ends.

    Parameters
    ----------
    runs, times : numpy.ndarray of int, shape (F,)
        Run of a frame and its place in it.
    fraction : float
        Share of the frames to mark.

    Returns
    -------
    numpy.ndarray of bool, shape (F,)
    """
    marked = np.zeros(len(runs), dtype=bool)
    for run in np.unique(runs):
        own = runs == run
        phase = times[own] * _BLOCKS / own.sum() % 1.0
        marked[own] = np.abs(phase - 0.5) < 0.5 * fraction
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
    """

    def __init__(self, indices: np.ndarray, batch_size: int, seed: int) -> None:
        self._indices = torch.from_numpy(indices)
        self._size = min(batch_size, len(indices))
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass; Lightning calls this."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._indices) // self._size

    def __iter__(self) -> Iterator[Tensor]:
        """Yield batches of indices."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        order = self._indices[torch.randperm(len(self._indices), generator=generator)]
        yield from order.split(self._size)[: len(self)]
