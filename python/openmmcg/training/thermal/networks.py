"""Cross-fitted baselines of forces by networks of the kind that is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from openmmcg.training.config import TrainConfig
from openmmcg.training.frames import TrainingData
from openmmcg.training.split import Fold, validation_mask

FOLDS = 2


def network_residuals(
    data: TrainingData, config: TrainConfig, output: Path, progress: bool
) -> list[Tensor]:
    """Subtract from all forces what a network predicts that was trained on the other frames.

    Frames are split by blocks of time into `FOLDS` parts. For each of them a network with the
    settings of the training, but blind to the temperature, is trained on the rest, which together
    costs about as much as one training on all frames.

    Parameters
    ----------
    data : TrainingData
    config : TrainConfig
    output : Path
        Its folders baseline-1, baseline-2, ... keep the networks.
    progress : bool
        Show bars.

    Returns
    -------
    list of torch.Tensor, shape (F, N, 3)
        For each system, kJ/mol/nm.
    """
    from openmmcg.training.batches import FrameModule
    from openmmcg.training.descent import descend
    from openmmcg.training.folder import BEST
    from openmmcg.training.module import ForceMatching
    from openmmcg.training.network import make_network, weights_of

    plain = replace(
        config,
        thermal=None,
        thermal_weights=None,
        reference_temperature=None,
        response_baseline=None,
        prior_learning_rate=0.0,
        tensorboard=False,
    )
    left = [torch.empty_like(system.forces) for system in data.systems]
    for number in range(FOLDS):
        part = _without_fold(data, Fold(number, FOLDS))
        network = make_network(plain, data.type_names)
        frames = FrameModule(part, plain)
        module = ForceMatching(network, part, plain, plain.epochs * frames.steps_per_epoch)
        folder = output / f"baseline-{number + 1}"
        descend(folder, plain, module, frames, progress)
        network.load_state_dict(weights_of(folder / BEST))
        residuals = module.cpu().residuals(FrameModule(part, plain).val_dataloader())
        for system, own, values in zip(part.systems, left, residuals, strict=True):
            own[system.validation] = torch.from_numpy(values)
    return left


def _without_fold(data: TrainingData, fold: Fold) -> TrainingData:
    """Return the data with a fold of all frames for validation and the rest for training."""
    systems = []
    for system in data.systems:
        mask = validation_mask(system.runs, system.times, 0.1, fold)
        systems.append(
            replace(
                system,
                training=np.flatnonzero(~mask),
                validation=np.flatnonzero(mask),
                thermal=None,
            )
        )
    return replace(data, systems=tuple(systems))
