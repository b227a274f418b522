"""Configuration of a training run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TrainConfig:
    """How to train a network on a dataset.

    Attributes
    ----------
    dataset : str
        Mapped dataset (HDF5) to train on.
    output : str
        Folder for checkpoints, metrics, priors and the summary. A run that was interrupted
        continues from it.
    group : str or None
        System of the dataset; may be left out when the file holds one.
    network : str
        Name of the network, see `openmmcg.models.names`.
    cutoff : float
        Range of the network in nm.
    width : int
        Number of features.
    interactions : int
        Rounds of messages.
    rbf : int
        Number of radial basis functions.
    epochs : int
        Passes over the training frames.
    batch_size : int
        Frames in a step.
    learning_rate : float
        Largest learning rate of the one-cycle schedule.
    weight_decay : float
        Of AdamW.
    gradient_clip : float
        Largest norm of the gradient of the loss, which is measured in units of the labels' mean
        square less the priors.
    ema_decay : float
        Decay per step of the running average of the weights, which is what is validated and
        exported.
    validation_fraction : float
        Share of the frames, in blocks of time, kept from training.
    seed : int
        Of the initial weights and the order of frames.
    threads : int or None
        Threads of torch; by default what torch chooses.
    accelerator : str
        Where to train, as Lightning names it: auto, cpu, gpu.
    """

    dataset: str
    output: str
    group: str | None = None
    network: str = "schnet"
    cutoff: float = 1.0
    width: int = 64
    interactions: int = 2
    rbf: int = 24
    epochs: int = 25
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    ema_decay: float = 0.995
    validation_fraction: float = 0.1
    seed: int = 1
    threads: int | None = None
    accelerator: str = "auto"

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises
        ------
        ValueError
            Naming the field.
        """
        for name in ("epochs", "batch_size", "learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, but it is {getattr(self, name)}.")
        if not 0.0 < self.validation_fraction < 0.5:
            raise ValueError(
                "validation_fraction must lie between 0 and 0.5, but it is "
                f"{self.validation_fraction}."
            )
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay must be in [0, 1), but it is {self.ema_decay}.")

    def network_arguments(self) -> dict[str, int]:
        """Hyperparameters of the network."""
        return {"width": self.width, "interactions": self.interactions, "rbf": self.rbf}

    def recipe(self) -> dict[str, Any]:
        """What decides the result: all fields but those that say where to run and to write."""
        fields = asdict(self)
        for name in ("output", "threads", "accelerator"):
            del fields[name]
        return fields
