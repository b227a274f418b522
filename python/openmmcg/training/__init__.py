"""Training: force matching with Lightning, with the noise floor beside the loss."""

from __future__ import annotations

from openmmcg.training.config import TrainConfig
from openmmcg.training.noise import Floor, NoiseFloor
from openmmcg.training.run import load_network, train

__all__ = ["Floor", "NoiseFloor", "TrainConfig", "load_network", "train"]
