"""Lint of a mapping: bonds that can permute, false symmetries, lost stereocentres, cut constraints."""

from __future__ import annotations

from openmmcg.mapping.linting.checks import by_severity, chosen_frames, even_rows, lint
from openmmcg.mapping.linting.constraints import check_constraints, hydrogen_constraints
from openmmcg.mapping.linting.distances import GapTable, PairGap, measure_gap
from openmmcg.mapping.linting.finding import ERROR, INFO, SEVERITIES, WARNING, Finding
from openmmcg.mapping.linting.gap import check_gap
from openmmcg.mapping.linting.pictures import draw
from openmmcg.mapping.linting.stereo import check_stereo
from openmmcg.mapping.linting.symmetry import check_symmetry

__all__ = [
    "ERROR",
    "INFO",
    "SEVERITIES",
    "WARNING",
    "Finding",
    "GapTable",
    "PairGap",
    "by_severity",
    "check_constraints",
    "check_gap",
    "check_stereo",
    "check_symmetry",
    "chosen_frames",
    "draw",
    "even_rows",
    "hydrogen_constraints",
    "lint",
    "measure_gap",
]
