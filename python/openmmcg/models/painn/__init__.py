"""PaiNN for coarse-grained beads."""

from __future__ import annotations

from openmmcg.models.painn.network import PaiNN

__all__ = ["PaiNN"]
