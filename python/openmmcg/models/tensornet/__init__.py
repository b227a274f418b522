"""TensorNet for coarse-grained beads."""

from __future__ import annotations

from openmmcg.models.tensornet.network import TensorNet
from openmmcg.models.tensornet.torchmdnet import load_torchmdnet

__all__ = ["TensorNet", "load_torchmdnet"]
