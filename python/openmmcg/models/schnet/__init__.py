"""SchNet for coarse-grained beads."""

from __future__ import annotations

from openmmcg.models.schnet.network import SchNet

__all__ = ["SchNet"]
