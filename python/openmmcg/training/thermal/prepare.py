"""Labels of the dependence on the temperature for all systems of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from openmmcg.training.config import LINEAR, TrainConfig
from openmmcg.training.frames import SystemData, TrainingData
from openmmcg.training.labels import force_variance, inverse_variances, mean_weight
from openmmcg.training.thermal.labels import (
    ThermalLabels,
    break_even,
    response_labels,
    response_weight,
)
from openmmcg.training.thermal.networks import network_residuals
from openmmcg.training.thermal.plan import ThermalPlan, energies_by_temperature

if TYPE_CHECKING:
    from openmmcg.data import Dataset


def with_thermal_labels(
    data: TrainingData,
    datasets: Sequence[Dataset],
    config: TrainConfig,
    plan: ThermalPlan,
    output: Path,
    progress: bool,
) -> TrainingData:
    """Return the data with the labels that a plan asks for.

    Parameters
    ----------
    data : TrainingData
    datasets : sequence of Dataset
        Those of the data's systems, open.
    config : TrainConfig
    plan : ThermalPlan
    output : Path
        Folder of the training, for networks of baselines.
    progress : bool
        Show bars of their training.

    Returns
    -------
    TrainingData
        With notes on baselines and noise added.
    """
    labels = {index: ThermalLabels(_groups(system)) for index, system in enumerate(data.systems)}
    notes = [*data.notes, *plan.notes]
    if "response" in plan.terms:
        forces = None
        if uses_networks(config):
            forces = network_residuals(data, config, output, progress)
        found, told = _responses(data, datasets, config, plan, forces)
        notes += told
        for index, own in found.items():
            labels[index] = labels[index]._replace(**own)
    for index, (system, dataset) in enumerate(zip(data.systems, datasets, strict=True)):
        values: dict[str, Tensor] = {}
        if "frozen" in plan.terms and dataset.thermal_forces is not None:
            values |= _frozen(system, dataset, data.full_labels, plan.terms["frozen"])
        if "energies" in plan.terms:
            values |= _energies(system, dataset, data.full_labels, plan.terms["energies"])
        labels[index] = labels[index]._replace(**values)
    systems = tuple(
        replace(system, thermal=labels[index]) for index, system in enumerate(data.systems)
    )
    return replace(data, systems=systems, notes=notes)


def _groups(system: SystemData) -> Tensor:
    _, groups = np.unique(system.temperatures.round(2), return_inverse=True)
    return torch.from_numpy(groups.astype(np.int64))


def uses_networks(config: TrainConfig) -> bool:
    """Whether baselines of forces are networks: by default if the network has to be trained."""
    if config.response_baseline is None:
        return config.network != LINEAR
    return config.response_baseline == "network"


def _responses(
    data: TrainingData,
    datasets: Sequence[Dataset],
    config: TrainConfig,
    plan: ThermalPlan,
    forces: list[Tensor] | None,
) -> tuple[dict[int, dict[str, Tensor]], list[str]]:
    """Responses of single frames with cross-fitted baselines, and what to tell of them."""
    from openmmcg.training.thermal.baselines import cross_fitted

    energies = {}
    for index in plan.deviations:
        dataset = datasets[index]
        assert dataset.energies is not None
        energies[index] = energies_by_temperature(dataset.energies, dataset.temperatures)
    baselines = cross_fitted(data, energies, config, forces)
    found, notes = {}, []
    for index in plan.deviations:
        system = data.systems[index]
        kelvin = torch.from_numpy(np.asarray(system.temperatures))
        rest = baselines.energies[index]
        factor = plan.terms["response"] * mean_weight(system)
        weights = torch.empty(len(kelvin))
        for group, temperature in enumerate(np.unique(system.temperatures.round(2))):
            own = _groups(system) == group
            weights[own] = response_weight(_rms(rest[own]), float(temperature))
        labels = response_labels(baselines.forces[index], rest, kelvin)
        found[index] = {
            "responses": labels,
            "response_weights": (factor * weights)[:, None, None],
        }
        width = break_even(_rms(rest), float(kelvin.mean()))
        notes.append(
            f"{system.name}: thermal response of {len(rest)} frames, baselines explain "
            f"{baselines.force_share:.0%} of the forces beyond the priors and "
            f"{baselines.energy_share:.0%} of the energies of frames that they were not fitted to; "
            f"sigma_u = {_rms(rest):.1f} kJ/mol, D* = {width:.0f} K, weight (kT/sigma_u)^2 = "
            f"{float(weights.mean()):.3g}; a label's noise is {_rms(labels):.0f} kJ/mol/nm, that of a "
            f"force {_rms(baselines.forces[index]):.0f}."
        )
    return found, notes


def _frozen(
    system: SystemData, dataset: Dataset, full_labels: bool, factor: float
) -> dict[str, Tensor]:
    """Thermal forces of held beads, weighted by their standard errors."""
    kelvin = np.asarray(dataset.temperatures)[:, None, None]
    labels = torch.from_numpy(np.asarray(dataset.thermal_forces * kelvin)).float()
    if dataset.thermal_force_errors is None:
        raise ValueError(
            f"{dataset.path} holds thermal_forces without thermal_force_errors, so that they cannot "
            "be weighted; sample them again."
        )
    errors = torch.from_numpy(np.asarray(dataset.thermal_force_errors * kelvin)).float()
    weights = factor * force_variance(system, full_labels) * inverse_variances(errors)
    return {"responses": labels, "response_weights": weights.float()}


def _energies(
    system: SystemData, dataset: Dataset, full_labels: bool, factor: float
) -> dict[str, Tensor]:
    """Mean energies less the priors', weighted by their errors or by how much they vary."""
    values = dataset.mean_energies if dataset.mean_energies is not None else dataset.energies
    if values is None or not np.isfinite(values).all():
        return {}
    energies = np.array(values, dtype=np.float64)
    energies -= energies.mean()
    labels = torch.from_numpy(energies)
    if not full_labels:
        for rows in torch.arange(len(labels)).split(10_000):
            boxes = None if system.boxes is None else system.boxes[rows]
            with torch.no_grad():
                labels[rows] -= system.bound.energy(system.positions[rows], boxes).double()
    if dataset.mean_energy_errors is not None:
        certainty = inverse_variances(torch.from_numpy(np.asarray(dataset.mean_energy_errors)))
    else:
        spread = energies_by_temperature(values, dataset.temperatures)
        certainty = torch.full((len(spread),), 1.0 / max(float(np.mean(spread**2)), 1e-12))
    weights = factor * force_variance(system, full_labels) * certainty
    return {"energies": labels.float(), "energy_weights": weights.float()}


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())
