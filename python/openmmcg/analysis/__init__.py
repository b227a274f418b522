"""Analysis: distributions, free energies, and the report on a CG run."""

from __future__ import annotations

from openmmcg.analysis.compare import (
    check_stability,
    compare_coordinates,
    compare_ramachandran,
)
from openmmcg.analysis.diffusion import self_diffusion
from openmmcg.analysis.distributions import free_energy, histogram2d, jensen_shannon
from openmmcg.analysis.ensemble import Ensemble
from openmmcg.analysis.geometry import angles, backbone_torsions, distances, torsions
from openmmcg.analysis.liquid import (
    angular_distributions,
    compare_liquid,
    radial_distributions,
)
from openmmcg.analysis.report import ReportConfig, report
from openmmcg.analysis.thermodynamics import ThermodynamicsConfig, run_thermodynamics

__all__ = [
    "Ensemble",
    "ReportConfig",
    "ThermodynamicsConfig",
    "angles",
    "angular_distributions",
    "backbone_torsions",
    "check_stability",
    "compare_coordinates",
    "compare_liquid",
    "compare_ramachandran",
    "distances",
    "free_energy",
    "histogram2d",
    "jensen_shannon",
    "radial_distributions",
    "report",
    "run_thermodynamics",
    "self_diffusion",
    "torsions",
]
