"""Simulation: model files as OpenMM systems, and production runs of many replicas."""

from __future__ import annotations

from openmmcg.simulation.bead_thermodynamics import BeadThermodynamics, bead_thermodynamics
from openmmcg.simulation.bias import bias_energies
from openmmcg.simulation.config import RunConfig
from openmmcg.simulation.energies import Thermodynamics, thermodynamics
from openmmcg.simulation.frames import RunFrames, load_frames, run_folders
from openmmcg.simulation.platform import choose_platform
from openmmcg.simulation.potential import CGPotential
from openmmcg.simulation.production import run

__all__ = [
    "BeadThermodynamics",
    "CGPotential",
    "RunConfig",
    "RunFrames",
    "Thermodynamics",
    "bead_thermodynamics",
    "bias_energies",
    "choose_platform",
    "load_frames",
    "run",
    "run_folders",
    "thermodynamics",
]
