"""Training by gradient descent, with Lightning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmmcg.training.config import TrainConfig
from openmmcg.training.folder import BEST, LAST, METRICS, TENSORBOARD

if TYPE_CHECKING:
    import lightning.pytorch as pl

    from openmmcg.training.batches import FrameModule
    from openmmcg.training.module import ForceMatching


def descend(
    output: Path, config: TrainConfig, module: ForceMatching, frames: FrameModule, progress: bool
) -> bool:
    """Minimise the loss step by step, or go on where this was interrupted.

    Parameters
    ----------
    output : Path
        Folder for ``last.ckpt``, ``best.ckpt`` and ``metrics.csv``.
    config : TrainConfig
    module : ForceMatching
    frames : FrameModule
    progress : bool
        Show a bar.

    Returns
    -------
    bool
        Whether this process shall write the results.

    Raises
    ------
    RuntimeError
        If it was interrupted.
    """
    trainer = _trainer(output, config, module.monitor, progress)
    last = output / LAST
    trainer.fit(module, frames, ckpt_path=last if last.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise RuntimeError(
            f"The training was interrupted after epoch {trainer.current_epoch}; run the same "
            f"command again to continue from {last}."
        )
    return bool(trainer.is_global_zero)


def _trainer(output: Path, config: TrainConfig, monitor: str, progress: bool) -> pl.Trainer:
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint

    from openmmcg.training.callbacks import MetricsFile, TrainingProgress

    callbacks: list[pl.Callback] = [
        # Buffers are constants, and an average would round integers.
        EMAWeightAveraging(decay=config.ema_decay, use_buffers=False),
        MetricsFile(output / METRICS),
        ModelCheckpoint(
            dirpath=output,
            filename=Path(BEST).stem,
            monitor=monitor,
            save_last=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
    ]
    if config.early_stopping is not None:
        callbacks.append(EarlyStopping(monitor, patience=config.early_stopping))
    if progress:
        callbacks.append(TrainingProgress())
    return pl.Trainer(
        default_root_dir=output,
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=_strategy(config),
        use_distributed_sampler=False,
        max_epochs=config.epochs,
        gradient_clip_val=config.gradient_clip,
        callbacks=callbacks,
        logger=_tensorboard(output) if config.tensorboard else False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,
    )


def _strategy(config: TrainConfig) -> str:
    """Name of Lightning's strategy; forces do not depend on all parameters, so DDP has to look."""
    several = config.devices > 1 or config.num_nodes > 1
    if config.strategy == "ddp" or (config.strategy == "auto" and several):
        return "ddp_find_unused_parameters_true"
    return config.strategy


def _tensorboard(output: Path) -> Any:
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(output, name=TENSORBOARD, version="")
    except ModuleNotFoundError as error:
        raise ValueError(
            "tensorboard is true, but TensorBoard is not installed; `pip install tensorboard`, or "
            "set tensorboard: false (metrics.csv is written in any case)."
        ) from error
