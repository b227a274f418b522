"""The network of a training: made from the settings, read back from the output folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openmmcg.models import CGNetwork, build
from openmmcg.training.config import TrainConfig
from openmmcg.training.folder import BEST, CROSS_VALIDATION, RECIPE, SUMMARY

PREFIX = "network."
"""Of the network's weights in a checkpoint."""
_SIZES = ("width", "interactions", "rbf")


def make_network(config: TrainConfig, bead_types: Sequence[str], **defaults: Any) -> CGNetwork:
    """Make the network with weights that depend on the seed only.

    Parameters
    ----------
    config : TrainConfig
        Network and hyperparameters.
    bead_types : sequence of str
        Vocabulary.
    **defaults
        Hyperparameters that `TrainConfig.network_options` may replace.

    Raises
    ------
    ValueError
        If the network or a hyperparameter is unknown.
    """
    sizes = {name: getattr(config, name) for name in _SIZES}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build(
            config.network,
            bead_types=bead_types,
            cutoff=config.cutoff,
            **{**sizes, **defaults, **(config.network_options or {})},
        )


def architecture(network: CGNetwork) -> dict[str, Any]:
    """Return what `rebuild` needs, JSON-able."""
    return {
        "name": network.name,
        "bead_types": list(network.bead_types),
        "cutoff": network.cutoff,
        "hyperparameters": network.hyperparameters,
    }


def load_network(folder: Path) -> CGNetwork:
    """Load the best network of a finished training: averaged weights, lowest validation loss.

    Parameters
    ----------
    folder : Path
        What `train` returned.

    Returns
    -------
    CGNetwork

    Raises
    ------
    FileNotFoundError
        If the folder holds no finished training.
    ValueError
        If the weights are those of another network.
    """
    if (folder / CROSS_VALIDATION).is_file():
        raise FileNotFoundError(
            f"{folder} holds a cross-validation, which has a network in each of fold-1, fold-2, "
            "...; name one of these folders, or train once with folds: 1."
        )
    if not (folder / SUMMARY).is_file():
        raise FileNotFoundError(
            f"There is no finished training in {folder} ({SUMMARY} is missing); run "
            "`openmm-cg train` to the end."
        )
    record = json.loads((folder / RECIPE).read_text())["architecture"]
    network = build(
        record["name"],
        bead_types=record["bead_types"],
        cutoff=record["cutoff"],
        **record["hyperparameters"],
    )
    state = weights_of(folder / BEST)
    check_weights(network, state, folder / BEST)
    network.load_state_dict(state)
    return network.eval()


def weights_of(checkpoint: Path) -> dict[str, Tensor]:
    """Return the network's weights in a checkpoint, averaged ones if it has them.

    Raises
    ------
    ValueError
        If the file is no checkpoint.
    """
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        state = content["state_dict"]
    except Exception as error:
        raise ValueError(
            f"{checkpoint} is no checkpoint of a training, or is damaged ({error!r}); remove it "
            "and train again."
        ) from error
    return {k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX)}


def check_weights(network: CGNetwork, state: Mapping[str, Tensor], source: Path) -> None:
    """Refuse weights of another architecture.

    Raises
    ------
    ValueError
        Naming the first difference.
    """
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if own == found:
        return
    name = next(n for n in [*own, *found] if own.get(n) != found.get(n))
    raise ValueError(
        f"{source} holds weights of another architecture: {name} has shape "
        f"{found.get(name, 'none')} there, but {own.get(name, 'none')} in this {network.name}; "
        "use the settings of that training, or another output folder."
    )
