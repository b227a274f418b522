"""Lightning modules of force matching."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from openmmcg.models import CGNetwork, PairTemplate
from openmmcg.training.config import TrainConfig
from openmmcg.training.frames import ShuffledBatches, TrainingData
from openmmcg.training.noise import NoiseFloor

Batch = list[Tensor]
_VALIDATION_BATCH = 1024


class FrameModule(pl.LightningDataModule):
    """Serve frames of `TrainingData` in batches of (positions, residual forces).

    Parameters
    ----------
    data : TrainingData
        The frames.
    config : TrainConfig
        Batch size and seed.
    """

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        super().__init__()
        self._frames = TensorDataset(data.positions, data.residuals)
        self._batches = ShuffledBatches(data.training, config.batch_size, config.seed)
        self._validation = torch.from_numpy(data.validation).split(_VALIDATION_BATCH)

    @property
    def steps_per_epoch(self) -> int:
        """Number of training batches."""
        return len(self._batches)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches."""
        return DataLoader(self._frames, sampler=self._batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[Any]:
        """Validation frames in order."""
        return DataLoader(self._frames, sampler=self._validation, batch_size=None)


class ForceMatching(pl.LightningModule):
    """Fit the gradient of a network's energy to mapped forces.

    The loss is the mean over frames, beads and axes of the squared difference in (kJ/mol/nm)^2.
    What is minimised is the loss over `scale`, so that step sizes and the gradient clip do not
    depend on the units.

    Parameters
    ----------
    network : CGNetwork
        The network.
    data : TrainingData
        Molecule, temperature and validation frames.
    config : TrainConfig
        Learning rate and weight decay.
    total_steps : int
        Steps of the whole run, for the schedule.
    """

    def __init__(
        self, network: CGNetwork, data: TrainingData, config: TrainConfig, total_steps: int
    ) -> None:
        super().__init__()
        self.network = network
        self.history: list[dict[str, float]] = []
        self._config = config
        self._total_steps = total_steps
        self._scale = float((data.residuals[data.training].double() ** 2).mean())
        self._noise = NoiseFloor(
            data.positions[data.validation].numpy(),
            data.runs[data.validation],
            data.times[data.validation],
        )
        self._residuals: list[Tensor] = []
        self._train_losses: list[Tensor] = []
        # Molecule and temperature travel with the module to its device but belong to no file.
        self._template_names = list(vars(data.template))
        for name, value in vars(data.template).items():
            self.register_buffer(f"template_{name}", value, persistent=False)
        self.types: Tensor
        self.register_buffer("types", data.types, persistent=False)
        self.parameters_: Tensor
        self.register_buffer(
            "parameters_", torch.tensor([data.temperature], dtype=torch.float32), persistent=False
        )

    def predict_forces(self, positions: Tensor, differentiable: bool) -> Tensor:
        """Network forces (F, N, 3) in kJ/mol/nm of positions (F, N, 3) in nm."""
        template = PairTemplate(**{n: getattr(self, f"template_{n}") for n in self._template_names})
        leaf = positions.detach().requires_grad_(True)
        energies = self.network.molecule_energies(leaf, self.types, template, self.parameters_)
        (gradient,) = torch.autograd.grad(energies.sum(), leaf, create_graph=differentiable)
        return -gradient

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Scaled loss of one batch."""
        positions, residuals = batch
        loss = (self.predict_forces(positions, True) - residuals).square().mean()
        self._train_losses.append(loss.detach())
        return loss / self._scale

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the residuals of one batch."""
        positions, residuals = batch
        with torch.enable_grad():
            self._residuals.append((residuals - self.predict_forces(positions, False)).cpu())

    def on_validation_epoch_end(self) -> None:
        """Estimate loss and noise floor, and record them."""
        floor = self._noise.estimate(torch.cat(self._residuals).numpy())
        self._residuals.clear()
        train_loss = torch.stack(self._train_losses).mean().item()
        self._train_losses.clear()
        self.history.append(
            {
                "epoch": self.current_epoch,
                "train_loss": train_loss,
                "val_loss": floor.loss,
                "noise_floor": floor.floor,
                "noise_floor_error": floor.error,
            }
        )
        self.log("val_loss", floor.loss)

    def configure_optimizers(self) -> Any:
        """AdamW with a one-cycle schedule."""
        optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=self._config.learning_rate,
            weight_decay=self._config.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self._config.learning_rate,
            total_steps=self._total_steps,
            pct_start=0.1,
            cycle_momentum=False,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the history with the weights."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue the history."""
        self.history = list(checkpoint["history"])
