"""Training data: frames of one or several systems, split in time, less the priors' forces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from openmmcg.models import PairTemplate
from openmmcg.priors import DEFAULT_KINDS, BoundPriors, PriorSet, SystemFrames, fit_systems
from openmmcg.training.checks import (
    check_cutoff,
    check_device,
    check_frames,
    check_mappings,
    check_units,
    chunk_frames,
    joint_types,
)
from openmmcg.training.config import TrainConfig
from openmmcg.training.labels import (
    balanced,
    component_weights,
    energy_labels,
    noise_mixture,
)
from openmmcg.training.neighbours import FramePairs
from openmmcg.training.sources import facts_of
from openmmcg.training.split import Fold, times_of, validation_mask
from openmmcg.training.thermal.labels import ThermalLabels

if TYPE_CHECKING:
    from openmmcg.data import Dataset

ALL_PAIRS_BEADS = 64
"""Beads up to which a system without a box uses all its pairs, and the fast path of networks."""
_PRIOR_VALUES = 60_000_000
_NOISE_REACH = 6.0
_TEMPERATURE_TOLERANCE = 0.01


@dataclass(frozen=True, eq=False)
class SystemData:
    """Frames of one system.

    Attributes
    ----------
    name : str
        Of the file and the group.
    positions : torch.Tensor, shape (F, N, 3)
        nm.
    forces : torch.Tensor, shape (F, N, 3)
        Labels in kJ/mol/nm: mapped forces less the priors' forces; the full mapped forces if
        `TrainingData.full_labels`.
    types : torch.Tensor of int64, shape (N,)
        Bead types of the joint vocabulary.
    bonds, molecules : numpy.ndarray
        Topology.
    bound : BoundPriors
        The priors on this topology.
    temperatures : numpy.ndarray, shape (F,)
        K.
    runs, times : numpy.ndarray of int, shape (F,)
        Walker of a frame, and its place in the walker's time.
    training, validation : numpy.ndarray of int
        Indices of frames.
    label_ms : float
        Mean square of the mapped forces of the validation frames, (kJ/mol/nm)^2 a component.
    share : torch.Tensor, shape (N,)
        Of the mapped forces in the labels of noised beads; 1 without noise.
    boxes : torch.Tensor, shape (F, 3, 3), or None
        nm.
    weights : torch.Tensor, shape (F, 1, 1) or (F, N, 3), or None
        Weights of components in the loss.
    errors : torch.Tensor, shape (F, N, 3), or None
        Standard errors of the labels.
    energies : torch.Tensor, shape (F,), or None
        Labels in kJ/mol, less the priors unless `full_labels`, with mean zero.
    thermal : ThermalLabels or None
        Labels of the dependence on the temperature.
    template : PairTemplate or None
        All pairs, of a small system without a box.
    pairs : FramePairs or None
        Pairs of each frame, of the other systems.
    """

    name: str
    positions: Tensor
    forces: Tensor
    types: Tensor
    bonds: np.ndarray
    molecules: np.ndarray
    bound: BoundPriors
    temperatures: np.ndarray
    runs: np.ndarray
    times: np.ndarray
    training: np.ndarray
    validation: np.ndarray
    label_ms: float
    share: Tensor
    boxes: Tensor | None = None
    weights: Tensor | None = None
    errors: Tensor | None = None
    energies: Tensor | None = None
    thermal: ThermalLabels | None = None
    template: PairTemplate | None = None
    pairs: FramePairs | None = None

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return len(self.types)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Frames of all systems.

    Attributes
    ----------
    systems : tuple of SystemData
    type_names : list of str
        Joint vocabulary of bead types.
    priors : PriorSet
        Fitted to the training frames.
    full_labels : bool
        Whether labels are full mapped forces, from which a step has to subtract the priors'.
    temperature : float
        Mean over the frames, K.
    temperature_range : tuple of float
        Lowest and highest temperature, K.
    facts : dict
        JSON-able: what the data are.
    notes : list of str
        What a user should know about them, in sentences.
    """

    systems: tuple[SystemData, ...]
    type_names: list[str]
    priors: PriorSet
    full_labels: bool
    temperature: float
    temperature_range: tuple[float, float]
    facts: dict[str, Any]
    notes: list[str]

    @property
    def offsets(self) -> np.ndarray:
        """Number of the first frame of each system among the frames of all, and their sum."""
        return np.cumsum([0, *(len(system.positions) for system in self.systems)])

    def frames(self, part: str) -> np.ndarray:
        """Numbers of the ``training`` or ``validation`` frames among the frames of all systems."""
        return np.concatenate(
            [
                offset + getattr(system, part)
                for offset, system in zip(self.offsets, self.systems, strict=False)
            ]
        )


def load_data(
    datasets: Sequence[Dataset],
    config: TrainConfig,
    fold: Fold | None = None,
    cache: Path | None = None,
) -> TrainingData:
    """Check, split and read datasets, fit priors to the training part and subtract them.

    Parameters
    ----------
    datasets : sequence of Dataset
        Open datasets.
    config : TrainConfig
        Settings.
    fold : Fold, optional
        Of a cross-validation.
    cache : Path, optional
        Folder for memory-mapped files, if the data need more than `TrainConfig.memory`.

    Returns
    -------
    TrainingData

    Raises
    ------
    ValueError
        If the datasets cannot be trained on, alone or together.
    """
    check_device(config.accelerator)
    notes: list[str] = []
    for dataset in datasets:
        check_frames(dataset)
        check_cutoff(dataset, config.cutoff)
        if config.check_units and dataset.position_noise == 0:
            check_units(dataset)
        if config.position_noise and dataset.position_noise:
            raise ValueError(
                f"The beads of {dataset.path} have noise of {dataset.position_noise:g} nm already; "
                "set position_noise: 0."
            )
    check_mappings(datasets)
    names = joint_types(datasets, config.bead_types)
    values = sum(6.0 * d.n_frames * d.n_beads for d in datasets)
    folder = cache if 4e-9 * values > config.memory else None
    raw = [
        _read(dataset, config, names, fold, _subfolder(folder, index))
        for index, dataset in enumerate(datasets)
    ]
    everything = np.concatenate([system.temperatures for system in raw])
    temperature = float(everything.mean())
    found = np.unique(everything.round(2))
    if len(found) > 1:
        notes.append(
            f"The frames have {len(found)} temperatures ({found[0]:g} to {found[-1]:g} K)."
        )
    reference = config.reference_temperature or found[len(found) // 2]
    nearest = float(found[np.abs(found - reference).argmin()])
    priors = _fit_priors(raw, datasets, names, config, nearest)
    full = config.prior_learning_rate > 0 or config.position_noise > 0
    systems = tuple(
        _finish(system, dataset, priors, names, config, full, _subfolder(folder, index))
        for index, (system, dataset) in enumerate(zip(raw, datasets, strict=True))
    )
    return TrainingData(
        balanced(systems, full),
        names,
        priors,
        full,
        temperature,
        (float(found[0]), float(found[-1])),
        facts_of(datasets),
        notes,
    )


def system_frames(data: TrainingData) -> list[SystemFrames]:
    """Training frames of all systems as priors take them, at the priors' temperature."""
    return [
        _prior_frames(system, data.type_names, data.priors.temperature, len(data.systems))
        for system in data.systems
    ]


def _subfolder(folder: Path | None, index: int) -> Path | None:
    if folder is None:
        return None
    path = folder / str(index)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _array(shape: tuple[int, ...], folder: Path | None, name: str) -> np.ndarray:
    """Array of float32 in memory or, with a folder, in a file."""
    if folder is None:
        return np.empty(shape, dtype=np.float32)
    return np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.dtype("<f4"), shape)


def _read(
    dataset: Dataset, config: TrainConfig, names: list[str], fold: Fold | None, folder: Path | None
) -> SystemData:
    """Read and split a dataset; labels are still full forces, and priors are missing."""
    shape = (dataset.n_frames, dataset.n_beads, 3)
    positions, forces = (_array(shape, folder, name) for name in ("positions", "forces"))
    start = 0
    for chunk in dataset.chunks(chunk_frames(dataset.n_beads)):
        stop = start + chunk.n_frames
        positions[start:stop], forces[start:stop] = chunk.positions, chunk.forces
        start = stop
    runs = np.asarray(dataset.walkers)
    times = times_of(runs)
    validating = validation_mask(runs, times, config.validation_fraction, fold)
    training, validation = np.flatnonzero(~validating), np.flatnonzero(validating)
    if len(validation) == 0 or len(training) == 0:
        raise ValueError(
            f"{len(runs)} frames of {dataset.path} are too few to split into training and "
            "validation; sample more."
        )
    translation = [names.index(name) if name in names else -1 for name in dataset.type_names]
    return SystemData(
        name=f"{dataset.path.stem}::{dataset.name}",
        positions=torch.from_numpy(positions),
        forces=torch.from_numpy(forces),
        types=torch.from_numpy(np.asarray(translation, dtype=np.int64)[dataset.types]),
        bonds=dataset.bonds,
        molecules=dataset.molecules,
        bound=BoundPriors(dataset.n_beads, (), {}),
        temperatures=np.asarray(dataset.temperatures),
        runs=runs,
        times=times,
        training=training,
        validation=validation,
        label_ms=_mean_square(forces, validation),
        share=torch.ones(dataset.n_beads),
        boxes=None if dataset.boxes is None else torch.from_numpy(np.asarray(dataset.boxes)),
    )


def _mean_square(values: np.ndarray, frames: np.ndarray) -> float:
    size = chunk_frames(values.shape[1])
    parts = [frames[start : start + size] for start in range(0, len(frames), size)]
    total = sum(np.square(values[part], dtype=np.float64).sum() for part in parts)
    return float(total) / (len(frames) * values.shape[1] * 3)


def _fit_priors(
    systems: Sequence[SystemData],
    datasets: Sequence[Dataset],
    names: list[str],
    config: TrainConfig,
    temperature: float,
) -> PriorSet:
    kinds = DEFAULT_KINDS if config.priors is None else config.priors
    frames = [_prior_frames(system, names, temperature, len(systems)) for system in systems]
    chosen = [one for one in frames if len(one.positions)]
    return fit_systems(chosen, temperature, kinds)


def _prior_frames(
    system: SystemData, names: list[str], temperature: float, share: int
) -> SystemFrames:
    """Training frames at a temperature, thinned out where there are very many."""
    same = np.abs(system.temperatures[system.training] - temperature) < _TEMPERATURE_TOLERANCE
    frames = system.training[same]
    frames = frames[:: max(1, len(frames) * system.n_beads * 3 * share // _PRIOR_VALUES)]
    return SystemFrames(
        system.positions.numpy()[frames],
        system.types.numpy(),
        names,
        system.bonds,
        None if system.boxes is None else system.boxes.numpy()[frames],
        system.molecules,
    )


def _finish(
    system: SystemData,
    dataset: Dataset,
    priors: PriorSet,
    names: list[str],
    config: TrainConfig,
    full: bool,
    folder: Path | None,
) -> SystemData:
    """Bind the priors, make the labels and find the pairs."""
    bound = priors.bind(system.types.numpy(), names, system.bonds, system.molecules)
    energies = energy_labels(dataset, config)
    if config.position_noise:
        training = system.forces.numpy()[system.training[:: 1 + len(system.training) // 20_000]]
        temperature = float(system.temperatures.mean())
        share = noise_mixture(training, config.position_noise, temperature)
        system = replace(system, share=torch.from_numpy(share).float())
    if not full:
        size = chunk_frames(system.n_beads)
        for start in range(0, len(system.positions), size):
            rows = slice(start, start + size)
            boxes = None if system.boxes is None else system.boxes[rows]
            system.forces[rows] -= bound.forces(system.positions[rows], boxes)
            if energies is not None:
                with torch.no_grad():
                    energies[rows] -= bound.energy(system.positions[rows], boxes)
    if energies is not None:
        energies = energies - energies[system.training].mean()
    weights, errors = component_weights(dataset, config)
    template, pairs = None, None
    if system.boxes is None and system.n_beads <= ALL_PAIRS_BEADS:
        template = PairTemplate.from_topology(system.bonds, system.molecules)
    else:
        noise = config.position_noise + (config.decoy_noise if config.decoys else 0.0)
        pairs = FramePairs.search(
            system.positions.numpy(),
            None if system.boxes is None else system.boxes.numpy(),
            system.bonds,
            system.molecules,
            _reach(system, config.cutoff, _NOISE_REACH * noise),
            folder,
        )
    return replace(
        system,
        bound=bound,
        energies=energies,
        weights=weights,
        errors=errors,
        template=template,
        pairs=pairs,
    )


def _reach(system: SystemData, cutoff: float, margin: float) -> float:
    """Range of pair lists: beyond the cutoff where beads get noise, as far as boxes allow."""
    if system.boxes is None:
        return cutoff + margin
    half = 0.5 * float(torch.diagonal(system.boxes, dim1=1, dim2=2).min())
    return max(cutoff, min(cutoff + margin, half))
