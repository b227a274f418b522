"""Pair splines: the classical baseline, fitted by linear least squares."""

from __future__ import annotations

from openmmcg.models.pair_spline.design import PairBatch, molecule_batches
from openmmcg.models.pair_spline.fit import fit_pair_spline, solve
from openmmcg.models.pair_spline.network import PairSpline

__all__ = ["PairBatch", "PairSpline", "fit_pair_spline", "molecule_batches", "solve"]
