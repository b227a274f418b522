"""Callbacks of a training run: progress bar and metrics file."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from openmmcg.files import atomic_path
from openmmcg.training.module import ForceMatching


class MetricsFile(Callback):
    """Write the history of the whole run, resumed parts included, after every epoch.

    Parameters
    ----------
    path : Path
        A CSV file, one row an epoch, losses in (kJ/mol/nm)^2.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file."""
        assert isinstance(pl_module, ForceMatching)
        if not trainer.is_global_zero:
            return
        with atomic_path(self._path) as temporary, open(temporary, "w", newline="") as handle:
            writer = csv.DictWriter(handle, fieldnames=list(pl_module.history[0]))
            writer.writeheader()
            writer.writerows(pl_module.history)


class TrainingProgress(Callback):
    """One bar for the whole run, with the loss, the noise floor and their difference."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        self._bar.start()
        self._task = self._bar.add_task(
            "training",
            total=int(trainer.estimated_stepping_batches),
            completed=trainer.global_step,
            losses="",
        )

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Advance the bar."""
        self._bar.update(self._task, completed=trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the losses."""
        assert isinstance(pl_module, ForceMatching)
        last = pl_module.history[-1]
        loss, floor = last["val_loss"], last["noise_floor"]
        known = f" = floor {floor:.0f} + {loss - floor:.0f}" if math.isfinite(floor) else ""
        self._bar.update(self._task, losses=f"loss {loss:.0f}{known}")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the bar as it is."""
        self._bar.stop()
