"""The Lightning module of force matching."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from openmmcg.models import CGNetwork
from openmmcg.priors import TrainablePriors
from openmmcg.training.batches import Batch, Part
from openmmcg.training.config import TrainConfig
from openmmcg.training.floors import Floors
from openmmcg.training.frames import TrainingData
from openmmcg.training.labels import gaussian, noised, squared_residuals
from openmmcg.training.optimisation import optimisers
from openmmcg.training.summary import OBJECTIVE
from openmmcg.training.thermal.losses import needs_responses, response_gain, thermal_loss
from openmmcg.training.topologies import Topologies


class Prediction(NamedTuple):
    """What a network says of the frames of a part.

    `energies` (F,) are potentials of mean force W and `mean_energies` (F,) W - T dW/dT, both in
    kJ/mol; `forces` (F, N, 3) in kJ/mol/nm; `responses` (F, N, 3) their derivatives by the
    temperature in kJ/mol/nm/K, if asked for.
    """

    energies: Tensor
    mean_energies: Tensor
    forces: Tensor
    responses: Tensor | None


class ForceMatching(pl.LightningModule):
    """Fit the gradient of a network's energy to mapped forces.

    The loss is the mean over frames, beads and axes of the squared difference in (kJ/mol/nm)^2.
    What is minimised is the loss over `scale`, so that step sizes and the gradient clip do not
    depend on the units, plus the terms of energies and decoys.

    Parameters
    ----------
    network : CGNetwork
        The network. If it depends on the temperature, the labels of that count too.
    data : TrainingData
        Systems, temperature and validation frames.
    config : TrainConfig
        Settings.
    total_steps : int
        Steps of the whole run, for the schedule.
    """

    def __init__(
        self, network: CGNetwork, data: TrainingData, config: TrainConfig, total_steps: int
    ) -> None:
        super().__init__()
        self.network = network
        trained = config.prior_learning_rate > 0
        self.trained_priors = TrainablePriors(data.priors) if trained else None
        self.history: list[dict[str, float]] = []
        self.floors = Floors(data)
        self._data = data
        self._config = config
        self._total_steps = total_steps
        self._scale = _scale(data)
        self._energy_scale = _energy_scale(data)
        self._residuals: list[tuple[int, Tensor, Tensor]] = []
        self._thermal_sums = torch.zeros(4, dtype=torch.float64)
        self._train_losses: list[Tensor] = []
        self.topologies = Topologies(data.systems)
        self.monitor = "val_loss" if network.thermal is None else OBJECTIVE

    def predict(
        self, batch: Batch, differentiable: bool, responses: bool = False
    ) -> list[Prediction]:
        """Evaluate the network on each part of a batch.

        Parameters
        ----------
        batch : Batch
        differentiable : bool
            By the weights of the network.
        responses : bool, default False
            Whether to differentiate forces by the temperature.
        """
        leaves = [part.positions.detach().requires_grad_(True) for part in batch]
        channels = self.topologies.channels(self.network, batch, leaves)
        found = [
            self.network.at_temperatures(values, part.temperatures)
            for values, part in zip(channels, batch, strict=True)
        ]
        forces = _gradients([energy for energy, _ in found], leaves, differentiable, responses)
        thermal: list[Tensor] | list[None] = [None] * len(batch)
        if responses:
            # The gradient of the slope of the energy is minus the slope of the force.
            thermal = _gradients([slope for _, slope in found], leaves, differentiable, False)
        return [
            Prediction(energy, energy - part.temperatures * slope, force, response)
            for part, (energy, slope), force, response in zip(
                batch, found, forces, thermal, strict=True
            )
        ]

    def labelled(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Add noise, if asked for, and subtract the forces of priors that are fixed."""
        if not self._data.full_labels:
            return batch
        result = []
        for part in batch:
            if self._config.position_noise:
                positions, forces = noised(
                    part.positions,
                    part.forces,
                    self.topologies.share(part.system),
                    self._config.position_noise,
                    part.temperatures,
                    generator,
                )
                part = part._replace(positions=positions, forces=forces)
            if self.trained_priors is None:
                bound = self._data.systems[part.system].bound
                forces = part.forces - bound.forces(part.positions, part.boxes)
                part = part._replace(forces=forces)
            result.append(part)
        return result

    def _prior_forces(self, part: Part, differentiable: bool) -> Tensor | float:
        if self.trained_priors is None:
            return 0.0
        bound = self._data.systems[part.system].bound
        forces = self.trained_priors.forces(bound, part.positions, part.boxes)
        return forces if differentiable else forces.detach()

    def _generator(self, number: int) -> torch.Generator:
        seed = (self._config.seed * 1_000_003 + number) * 1009 + self.global_rank
        return torch.Generator().manual_seed(seed)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Scaled loss of one batch."""
        generator = self._generator(self.global_step)
        batch = self.labelled(batch, generator)
        labels = [part.thermal for part in batch]
        found = self.predict(batch, True, needs_responses(labels))
        errors = [
            one.forces + self._prior_forces(part, True) - part.forces
            for part, one in zip(batch, found, strict=True)
        ]
        loss = _mean_square(batch, errors)
        self._train_losses.append(loss.detach())
        total = (loss + self._thermal_loss(batch, found)) / self._scale
        if self._config.energy_weight:
            energies = self._with_priors(batch, [one.energies for one in found])
            total = total + self._config.energy_weight * self._energy_loss(batch, energies)
        if self._config.decoys:
            total = total + self._decoy_loss(batch, generator) / self._scale
        return total

    def _thermal_loss(self, batch: Batch, found: list[Prediction]) -> Tensor | float:
        """Terms of the dependence on the temperature, (kJ/mol/nm)^2 a component."""
        if self.network.thermal is None:
            return 0.0
        return thermal_loss(
            [part.thermal for part in batch],
            _times_temperature(batch, found),
            self._with_priors(batch, [one.mean_energies for one in found]),
        )

    def _with_priors(self, batch: Batch, energies: list[Tensor]) -> list[Tensor]:
        """Add the energies of priors that are trained; others are in the labels."""
        if self.trained_priors is None:
            return energies
        return [
            energy
            + self.trained_priors(self._data.systems[part.system].bound, part.positions, part.boxes)
            for part, energy in zip(batch, energies, strict=True)
        ]

    def _energy_loss(self, batch: Batch, energies: list[Tensor]) -> Tensor:
        """Mean square error of energies per bead, over that of the labels."""
        errors = []
        for part, energy in zip(batch, energies, strict=True):
            assert part.energies is not None
            difference = energy - part.energies
            # Energies count up to a constant of each system: that of the batch.
            errors.append((difference - difference.mean()) / part.positions.shape[1])
        return torch.cat(errors).square().mean() / self._energy_scale

    def _decoy_loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean square of the network's forces on decoys, times their number for each frame."""
        decoys = []
        for part in batch:
            noise = gaussian(part.positions, generator) * self._config.decoy_noise
            decoys.append(part._replace(positions=part.positions + noise, weights=None))
        forces = [one.forces for one in self.predict(decoys, True)]
        return self._config.decoys * _mean_square(decoys, forces)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the residuals of one batch."""
        self._residuals += self._residuals_of(batch, batch_idx)

    def _residuals_of(self, batch: Batch, number: int) -> list[tuple[int, Tensor, Tensor]]:
        with torch.enable_grad():
            batch = self.labelled(batch, self._generator(-1 - number))
            labels = [part.thermal for part in batch]
            found = self.predict(batch, False, needs_responses(labels))
            if self.network.thermal is not None:
                self._add_thermal_sums(batch, found)
            return [
                (
                    part.system,
                    part.frames.cpu(),
                    (part.forces - one.forces.detach() - self._prior_forces(part, False)).cpu(),
                )
                for part, one in zip(batch, found, strict=True)
            ]

    def _add_thermal_sums(self, batch: Batch, found: list[Prediction]) -> None:
        components = sum(part.positions.numel() for part in batch)
        loss = components * float(torch.as_tensor(self._thermal_loss(batch, found)).detach())
        labels, responses = [part.thermal for part in batch], _times_temperature(batch, found)
        values = [loss, components, *response_gain(labels, responses)]
        self._thermal_sums += torch.tensor(values, dtype=torch.float64)

    def on_validation_epoch_end(self) -> None:
        """Estimate loss and noise floor, and record them."""
        train_loss = torch.stack(self._train_losses).mean()
        if self.trainer.world_size > 1:
            train_loss = self.trainer.strategy.reduce(train_loss, reduce_op="mean")
        self._train_losses.clear()
        entry = self.record(self.current_epoch, train_loss.item(), self._gathered())
        for name in {self.monitor, "val_loss", "train_loss"}:
            self.log(name, entry[name], sync_dist=True)

    def record(
        self, epoch: int, train_loss: float, residuals: list[np.ndarray]
    ) -> dict[str, float]:
        """Add an entry to the history, from the residuals of each system's validation frames."""
        floor, parts = self.floors.estimate(residuals)
        entry = {
            "epoch": epoch,
            "train_loss": train_loss,
            "val_loss": floor.loss,
            "noise_floor": floor.floor,
            "noise_floor_error": floor.error,
        }
        if len(parts) > 1:
            for system, part in zip(self._data.systems, parts, strict=True):
                entry[f"val_loss {system.name}"] = part.loss
                entry[f"noise_floor {system.name}"] = part.floor
        for temperature, value in self.floors.by_temperature(residuals).items():
            entry[f"val_loss {temperature:g} K"] = value
        if self.network.thermal is not None:
            loss, count, gain, whole = self._thermal_sums.tolist()
            entry[OBJECTIVE] = floor.loss + loss / max(1.0, count)
            entry["response_gain"] = gain / whole if whole > 0 else 0.0
            self._thermal_sums.zero_()
        self.history.append(entry)
        if not np.isfinite(floor.loss):
            raise RuntimeError(
                f"The loss is not finite after epoch {epoch}; use a smaller "
                "learning_rate or gradient_clip, and check the data."
            )
        return entry

    def _gathered(self) -> list[np.ndarray]:
        """Residuals of the validation frames of each system in order, from all processes."""
        found = list(self._residuals)
        self._residuals.clear()
        if self.trainer.world_size > 1:
            everyone: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(everyone, (found, self._thermal_sums))
            found = [entry for entries, _ in everyone for entry in entries]
            self._thermal_sums = torch.stack([sums for _, sums in everyone]).sum(0)
        return self._in_order(found)

    def residuals(self, batches: Iterable[Batch]) -> list[np.ndarray]:
        """Residuals of validation frames (F, N, 3) of each system, outside of Lightning."""
        found = []
        for number, batch in enumerate(batches):
            found += self._residuals_of(batch, number)
        return self._in_order(found)

    def _in_order(self, found: list[tuple[int, Tensor, Tensor]]) -> list[np.ndarray]:
        result = []
        for index in range(len(self._data.systems)):
            own = [(frames, values) for system, frames, values in found if system == index]
            frames = torch.cat([entry[0] for entry in own])
            result.append(torch.cat([entry[1] for entry in own])[frames.argsort()].numpy())
        return result

    def configure_optimizers(self) -> Any:
        """AdamW with the schedule that was chosen."""
        priors = [] if self.trained_priors is None else list(self.trained_priors.parameters())
        return optimisers(self._config, self.network, priors, self._total_steps, self.monitor)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the history with the weights."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue the history."""
        self.history = list(checkpoint["history"])


def _gradients(
    energies: list[Tensor], leaves: list[Tensor], differentiable: bool, keep: bool
) -> list[Tensor]:
    """Minus the gradients of energies; `keep` the graph for another call."""
    total = torch.stack([values.sum() for values in energies]).sum()
    found = torch.autograd.grad(
        total, leaves, create_graph=differentiable, retain_graph=differentiable or keep
    )
    return [-gradient for gradient in found]


def _times_temperature(batch: Batch, found: list[Prediction]) -> list[Tensor]:
    """T dF/dT (F, N, 3) in kJ/mol/nm; nothing where it was not asked for."""
    return [
        torch.zeros_like(one.forces)
        if one.responses is None
        else part.temperatures[:, None, None] * one.responses
        for part, one in zip(batch, found, strict=True)
    ]


def _mean_square(batch: Batch, errors: list[Tensor]) -> Tensor:
    """Weighted mean of squares over all components of a batch."""
    if len(batch) == 1 and batch[0].weights is None:
        return errors[0].square().mean()
    sums = [
        (error.square() if part.weights is None else error.square() * part.weights).sum()
        for part, error in zip(batch, errors, strict=True)
    ]
    return torch.stack(sums).sum() / sum(error.numel() for error in errors)


def _scale(data: TrainingData) -> float:
    """Mean square of the labels less the priors over the training frames."""
    total, count = 0.0, 0
    for system in data.systems:
        for frames in np.array_split(system.training, 1 + len(system.training) // 50_000):
            squares = squared_residuals(system, frames, data.full_labels)
            total, count = total + float(squares.mean()) * squares.numel(), count + squares.numel()
    if total == 0:
        raise ValueError("All forces are those of the priors exactly; there is nothing to learn.")
    return total / count


def _energy_scale(data: TrainingData) -> float:
    """Mean square of the energies per bead over the training frames."""
    values = [
        system.energies[system.training].double() / system.n_beads
        for system in data.systems
        if system.energies is not None
    ]
    return float(torch.cat(values).square().mean()) if values else 1.0
