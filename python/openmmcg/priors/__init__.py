"""Priors: classical energy terms under the network.

They are fitted once, subtracted from the labels in training, and run as native OpenMM forces in
simulation.
"""

from __future__ import annotations

from openmmcg.priors.fit import fit_frames, fit_priors, single_temperature
from openmmcg.priors.prior_set import BoundPriors, PriorSet
from openmmcg.priors.terms import KINDS, HarmonicAngles, HarmonicBonds, Parameters, SignedImpropers

__all__ = [
    "KINDS",
    "BoundPriors",
    "HarmonicAngles",
    "HarmonicBonds",
    "Parameters",
    "PriorSet",
    "SignedImpropers",
    "fit_frames",
    "fit_priors",
    "single_temperature",
]
