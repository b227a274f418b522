"""Analysis: distributions, free energies, and the report on a CG run."""

from __future__ import annotations

from openmmcg.analysis.compare import (
    check_stability,
    compare_coordinates,
    compare_ramachandran,
)
from openmmcg.analysis.distributions import free_energy, histogram2d, jensen_shannon
from openmmcg.analysis.ensemble import Ensemble
from openmmcg.analysis.geometry import angles, backbone_torsions, distances, torsions
from openmmcg.analysis.report import ReportConfig, report

__all__ = [
    "Ensemble",
    "ReportConfig",
    "angles",
    "backbone_torsions",
    "check_stability",
    "compare_coordinates",
    "compare_ramachandran",
    "distances",
    "free_energy",
    "histogram2d",
    "jensen_shannon",
    "report",
    "torsions",
]
