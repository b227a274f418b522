"""Priors: classical energy terms under the network.

They are fitted once, subtracted from the labels in training, and run as native OpenMM forces in
simulation; or they are trained with the network (`TrainablePriors`).
"""

from __future__ import annotations

from openmmcg.priors.base import DegenerateError, Parameters, PriorTerm
from openmmcg.priors.bound import BoundPriors
from openmmcg.priors.fit import fit_frames, fit_priors, fit_systems
from openmmcg.priors.harmonic import HarmonicAngles, HarmonicBonds, RestrictedBending
from openmmcg.priors.kinds import DEFAULT_KINDS, KINDS
from openmmcg.priors.molecules import MoleculePriors
from openmmcg.priors.plots import plot_fits
from openmmcg.priors.prior_set import PriorSet
from openmmcg.priors.repulsion import Repulsion, RepulsionParameters
from openmmcg.priors.samples import SystemFrames, single_temperature
from openmmcg.priors.tables import (
    TableParameters,
    TabulatedAngles,
    TabulatedBonds,
    TabulatedPairs,
    TabulatedTorsions,
)
from openmmcg.priors.torsional import FourierParameters, FourierTorsions, SignedImpropers
from openmmcg.priors.trainable import TrainablePriors

__all__ = [
    "DEFAULT_KINDS",
    "KINDS",
    "BoundPriors",
    "DegenerateError",
    "FourierParameters",
    "FourierTorsions",
    "HarmonicAngles",
    "HarmonicBonds",
    "MoleculePriors",
    "Parameters",
    "PriorSet",
    "PriorTerm",
    "Repulsion",
    "RepulsionParameters",
    "RestrictedBending",
    "SignedImpropers",
    "SystemFrames",
    "TableParameters",
    "TabulatedAngles",
    "TabulatedBonds",
    "TabulatedPairs",
    "TabulatedTorsions",
    "TrainablePriors",
    "fit_frames",
    "fit_priors",
    "fit_systems",
    "plot_fits",
    "single_temperature",
]
