"""Optimiser and learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from openmmcg.training.config import TrainConfig

_WARM_UP = 0.1
_SHORT = 20
"""Steps up to which a tenth of them could be just one, by which torch would divide."""


def optimisers(
    config: TrainConfig,
    network: nn.Module,
    priors: Sequence[nn.Parameter],
    total_steps: int,
    monitor: str,
) -> dict[str, Any]:
    """AdamW and its schedule, as Lightning takes them.

    Parameters
    ----------
    config : TrainConfig
        Rates and schedule.
    network : nn.Module
        Trained with `learning_rate`.
    priors : sequence of nn.Parameter
        Trained with `prior_learning_rate`, without weight decay.
    total_steps : int
        Steps of the whole run.
    monitor : str
        Of the schedule plateau.

    Returns
    -------
    dict
    """
    groups: list[dict[str, Any]] = [{"params": list(network.parameters())}]
    rates = [config.learning_rate]
    if priors:
        rates.append(config.prior_learning_rate)
        groups.append(
            {"params": list(priors), "lr": config.prior_learning_rate, "weight_decay": 0.0}
        )
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
    result: dict[str, Any] = {"optimizer": optimizer}
    if config.schedule == "onecycle":
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=rates,
            total_steps=total_steps,
            pct_start=_WARM_UP if total_steps > _SHORT else min(1.5 / total_steps, 0.75),
            cycle_momentum=False,
        )
        result["lr_scheduler"] = {"scheduler": schedule, "interval": "step"}
    elif config.schedule == "cosine":
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total_steps)
        result["lr_scheduler"] = {"scheduler": cosine, "interval": "step"}
    elif config.schedule == "plateau":
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=config.plateau_patience
        )
        result["lr_scheduler"] = {
            "scheduler": plateau,
            "interval": "epoch",
            "monitor": monitor,
        }
    return result
