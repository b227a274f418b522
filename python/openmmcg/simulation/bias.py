"""A static torsion bias on every replica, and its energies from stored positions."""

from __future__ import annotations

import mdtraj as md
import numpy as np
import openmm
from scipy.interpolate import RectBivariateSpline

from openmmcg.data import TorsionBias

BIAS_GROUP = 2
# A cubic spline forgets its ends by a factor of 3.7 a point; 24 points make them irrelevant.
_WRAPPED_POINTS = 24


def add_bias(system: openmm.System, bias: TorsionBias, n_beads: int, replicas: int) -> None:
    """Add the bias to every replica of a System, in force group 2.

    Parameters
    ----------
    system : openmm.System
        Beads of replica r are particles n r .. n (r + 1) - 1.
    bias : TorsionBias
        Over two torsions of beads.
    n_beads : int
        Beads of one replica.
    replicas : int
        Number of replicas.

    Raises
    ------
    ValueError
        If the bias is not a function of these beads.
    """
    beads = torsion_beads(bias, n_beads)
    force = bias.force(beads + replica * n_beads for replica in range(replicas))
    force.setForceGroup(BIAS_GROUP)
    system.addForce(force)


def torsion_beads(bias: TorsionBias, n_beads: int) -> np.ndarray:
    """Beads (2, 4) of the bias's torsions.

    Raises
    ------
    ValueError
        If the bias acts on atoms that are no beads, or on beads that are not there.
    """
    if bias.beads is None or bias.beads.max() >= n_beads:
        raise ValueError(
            "The bias acts on torsions whose atoms are not beads of this model; use the bias of "
            "the dataset that the model was trained on, or run without one."
        )
    return bias.beads


def bias_energies(bias: TorsionBias, positions: np.ndarray) -> np.ndarray:
    """Energies of the bias for stored frames, equal to those of its CMAPTorsionForce.

    OpenMM's interpolation is the periodic bicubic spline through the grid. Here the grid is
    wrapped around far enough that a spline with open ends is the same on the central period.

    Parameters
    ----------
    bias : TorsionBias
        Over two torsions of beads.
    positions : ndarray, (..., n_beads, 3)
        nm.

    Returns
    -------
    ndarray, (...)
        kJ/mol.
    """
    beads = torsion_beads(bias, positions.shape[-2])
    frames = np.asarray(positions, dtype=np.float32).reshape(-1, *positions.shape[-2:])
    first, second = md.compute_dihedrals(md.Trajectory(frames, None), beads, periodic=False).T
    size = len(bias.energies)
    nodes = -np.pi + 2 * np.pi / size * np.arange(-_WRAPPED_POINTS, size + _WRAPPED_POINTS + 1)
    wrapped = np.pad(bias.energies, (_WRAPPED_POINTS, _WRAPPED_POINTS + 1), mode="wrap")
    return (
        RectBivariateSpline(nodes, nodes, wrapped).ev(first, second).reshape(positions.shape[:-2])
    )
