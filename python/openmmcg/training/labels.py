"""Labels of force matching: weights by standard errors, and labels of noised beads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from openmmcg.training.config import TrainConfig
from openmmcg.units import KB

if TYPE_CHECKING:
    from openmmcg.data import Dataset
    from openmmcg.training.frames import SystemData

_LEAST_VARIANCE = 1e-12


def precisions(errors: Tensor) -> Tensor:
    """Weights of labels with known standard errors, of mean 1.

    A label counts by the inverse of its variance; the median variance is added to each, so that
    no label counts for many others and the unknown error of the model has a share.

    Parameters
    ----------
    errors : torch.Tensor, shape (F, N, 3)
        Standard errors in kJ/mol/nm.

    Returns
    -------
    torch.Tensor, shape (F, N, 3)
    """
    weights = inverse_variances(errors)
    return (weights / weights.mean()).to(errors)


def inverse_variances(errors: Tensor) -> Tensor:
    """Inverse of squared standard errors plus their median; see `precisions`."""
    variances = errors.double().square()
    return 1.0 / (variances + variances.median().clamp(min=_LEAST_VARIANCE))


def squared_residuals(system: SystemData, frames: Any, full_labels: bool) -> Tensor:
    """Squares (f, N, 3) of the labels of some frames less the priors' forces, times weights.

    `full_labels` tells whether the priors' forces are in the system's labels still.
    """
    labels = system.forces[frames]
    if full_labels:
        boxes = None if system.boxes is None else system.boxes[frames]
        labels = labels - system.bound.forces(system.positions[frames], boxes)
    squares = labels.double() ** 2
    return squares if system.weights is None else squares * system.weights[frames]


def balanced(systems: Sequence[SystemData], full_labels: bool) -> tuple[SystemData, ...]:
    """Weight systems by the variance of their labels, where some hold mean forces.

    A mean force over a run with held beads counts for as many forces of single configurations as
    tell the same (weights are inverse variances, the least-squares choice); what single forces vary
    by is taken from their mean square less the priors. Without standard errors in any system, or
    with one system alone, weights stay as they are.

    Parameters
    ----------
    systems : sequence of SystemData
        Labels in kJ/mol/nm, standard errors (F, N, 3) of those that hold mean forces.
    full_labels : bool
        Whether the priors' forces are in the labels still.

    Returns
    -------
    tuple of SystemData
        With weights of the labels, (F, 1, 1) or (F, N, 3), whose mean over all training labels is 1.
    """
    if len(systems) < 2 or all(system.errors is None for system in systems):
        return tuple(systems)
    certainty = [1.0 / force_variance(system, full_labels) for system in systems]
    count = [len(system.training) * system.n_beads for system in systems]
    mean = float(np.average(certainty, weights=count))
    return tuple(
        replace(
            system,
            weights=(torch.ones(1, 1, 1) if system.weights is None else system.weights).expand(
                len(system.positions), -1, -1
            )
            * (own / mean),
        )
        for system, own in zip(systems, certainty, strict=True)
    )


def force_variance(system: SystemData, full_labels: bool) -> float:
    """Variance of a force label of weight 1, (kJ/mol/nm)^2: by its errors, or less the priors."""
    if system.errors is not None:
        return mean_weight(system) / float(inverse_variances(system.errors).mean())
    some = system.training[:: 1 + len(system.training) // 20_000]
    return float(squared_residuals(system, some, full_labels).mean())


def mean_weight(system: SystemData) -> float:
    """Mean weight of a system's force labels."""
    return 1.0 if system.weights is None else float(system.weights.double().mean())


def noise_mixture(forces: np.ndarray, sigma: float, temperature: float) -> np.ndarray:
    """Share of the mapped force in the label of a noised bead, for each bead.

    Beads R' = R + sigma xi have two unbiased labels of the mean force at R': the mapped force F at
    R, and -kT xi / sigma. Of their mixtures a F - (1 - a) kT xi / sigma, the one with

        a = N / (N + <F^2>),  N = (kT / sigma)^2

    has the least mean square; means are over components (Durumeric et al., Nat. Commun. 2026,
    10.1038/s41467-026-70818-0; see `openmmcg.data.force_maps.fit` for mixing at the atoms).

    Parameters
    ----------
    forces : numpy.ndarray, shape (F, N, 3)
        Mapped forces in kJ/mol/nm.
    sigma : float
        Standard deviation of the noise in nm.
    temperature : float
        K.

    Returns
    -------
    numpy.ndarray, shape (N,)
    """
    score = (KB * temperature / sigma) ** 2
    square = np.mean(np.square(forces, dtype=np.float64), axis=(0, 2))
    return np.asarray(score / (score + square))


def noised(
    positions: Tensor,
    forces: Tensor,
    share: Tensor,
    sigma: float,
    temperatures: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Add noise to beads and give its labels; see `noise_mixture`.

    Parameters
    ----------
    positions, forces : torch.Tensor, shape (F, N, 3)
        Beads in nm and mapped forces in kJ/mol/nm.
    share : torch.Tensor, shape (N,)
        Of `noise_mixture`.
    sigma : float
        nm.
    temperatures : torch.Tensor, shape (F,)
        K.
    generator : torch.Generator
        Gives the noise.

    Returns
    -------
    positions, forces : torch.Tensor, shape (F, N, 3)
    """
    xi = gaussian(positions, generator)
    mixed = share[:, None].to(forces)
    score = xi * (KB * temperatures[:, None, None] / sigma)
    return positions + sigma * xi, mixed * forces - (1.0 - mixed) * score


def gaussian(like: Tensor, generator: torch.Generator) -> Tensor:
    """Normal numbers, the same on all devices for the same seed."""
    return torch.randn(like.shape, generator=generator).to(like)


def energy_labels(dataset: Dataset, config: TrainConfig) -> Tensor | None:
    """Energies (F,) in kJ/mol with mean zero, if they count in the loss.

    Raises
    ------
    ValueError
        If they count, but are missing.
    """
    if config.energy_weight == 0:
        return None
    if dataset.energies is None or not np.isfinite(dataset.energies).all():
        raise ValueError(
            f"energy_weight is {config.energy_weight:g}, but {dataset.path} holds no energies of "
            "all frames; set energy_weight: 0."
        )
    values = np.asarray(dataset.energies, dtype=np.float64)
    return torch.from_numpy(values - values.mean()).float()


def component_weights(dataset: Dataset, config: TrainConfig) -> tuple[Tensor | None, Tensor | None]:
    """Weights of components, (F, 1, 1) or (F, N, 3), and standard errors of mean forces."""
    weights = None
    if config.frame_weights:
        values = np.asarray(dataset.weights, dtype=np.float32)
        weights = torch.from_numpy(values / values.mean())[:, None, None]
    if dataset.force_errors is None:
        return weights, None
    errors = torch.from_numpy(np.asarray(dataset.force_errors))
    own = precisions(errors)
    return own if weights is None else own * weights, errors
