"""MACE for coarse-grained beads, built from mace-torch."""

from __future__ import annotations

from openmmcg.models.mace.network import MACE

__all__ = ["MACE"]
