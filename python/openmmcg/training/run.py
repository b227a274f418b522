"""Run, resume and read back a training."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from openmmcg.files import atomic_path
from openmmcg.models import CGNetwork, build
from openmmcg.training.config import TrainConfig
from openmmcg.training.frames import TrainingData, load_frames
from openmmcg.training.summary import summarise, summary_text

if TYPE_CHECKING:
    import lightning.pytorch as pl

RECIPE, PRIORS, SUMMARY = "training.json", "priors.json", "summary.json"
METRICS, LAST, BEST = "metrics.csv", "last.ckpt", "best.ckpt"


def train(config: TrainConfig, progress: bool = True) -> Path:
    """Train a network by force matching; continue if the folder holds an interrupted run.

    Parameters
    ----------
    config : TrainConfig
        What to train on and how.
    progress : bool, default True
        Show a progress bar and print the summary.

    Returns
    -------
    Path
        The output folder: ``training.json`` (configuration, network and data), ``priors.json``,
        ``last.ckpt`` and ``best.ckpt``, ``metrics.csv``, and ``summary.json`` once complete.

    Raises
    ------
    FileNotFoundError
        If there is no such dataset.
    ValueError
        If the dataset cannot be trained on, or the folder holds another run.
    """
    from openmmcg.data import Dataset

    with Dataset.open(config.dataset, config.group) as dataset:
        data = load_frames(dataset, config.validation_fraction)
        type_names = list(dataset.type_names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = build(
            config.network,
            bead_types=type_names,
            cutoff=config.cutoff,
            **config.network_arguments(),
        )
    output = Path(config.output)
    _start_or_continue(output, config, network, data)
    if not (output / SUMMARY).exists():
        with _threads(config.threads), _quiet_lightning():
            history = _fit(output, config, network, data, progress)
        _write_json(output / SUMMARY, summarise(history, data))
    if progress:
        print(summary_text(json.loads((output / SUMMARY).read_text()), output))
    return output


def load_network(folder: Path) -> CGNetwork:
    """Load the best network of a finished training: averaged weights, lowest validation loss.

    Parameters
    ----------
    folder : Path
        What `train` returned.

    Returns
    -------
    CGNetwork

    Raises
    ------
    FileNotFoundError
        If the folder holds no finished training.
    """
    if not (folder / SUMMARY).is_file():
        raise FileNotFoundError(
            f"There is no finished training in {folder} ({SUMMARY} is missing); run "
            "`openmm-cg train` to the end."
        )
    architecture = json.loads((folder / RECIPE).read_text())["architecture"]
    network = build(
        architecture["name"],
        bead_types=architecture["bead_types"],
        cutoff=architecture["cutoff"],
        **architecture["hyperparameters"],
    )
    state = torch.load(folder / BEST, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "network."
    network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items()})
    return network.eval()


def _start_or_continue(
    output: Path, config: TrainConfig, network: CGNetwork, data: TrainingData
) -> None:
    record = {
        "config": config.recipe(),
        "architecture": {
            "name": network.name,
            "bead_types": list(network.bead_types),
            "cutoff": network.cutoff,
            "hyperparameters": network.hyperparameters,
        },
        "temperature": data.temperature,
        "data": data.facts,
    }
    path = output / RECIPE
    if path.exists():
        found = json.loads(path.read_text())
        different = [
            f"{part}.{key} is {found.get(part, {}).get(key)!r} there and {value!r} here"
            for part in ("config", "data")
            for key, value in json.loads(json.dumps(record[part])).items()
            if found.get(part, {}).get(key) != value
        ]
        if different:
            raise ValueError(
                f"The folder {output} holds another training ({'; '.join(different)}); choose "
                "another output or remove the folder."
            )
    _write_json(path, record)
    _write_json(output / PRIORS, data.priors.to_dict())


def _fit(
    output: Path, config: TrainConfig, network: CGNetwork, data: TrainingData, progress: bool
) -> list[dict[str, float]]:
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint

    from openmmcg.training.callbacks import MetricsFile, TrainingProgress
    from openmmcg.training.module import ForceMatching, FrameModule

    frames = FrameModule(data, config)
    module = ForceMatching(network, data, config, config.epochs * frames.steps_per_epoch)
    callbacks: list[pl.Callback] = [
        # Buffers are constants, and an average would round integers.
        EMAWeightAveraging(decay=config.ema_decay, use_buffers=False),
        MetricsFile(output / METRICS),
        ModelCheckpoint(
            dirpath=output,
            filename=Path(BEST).stem,
            monitor="val_loss",
            save_last=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
    ]
    if progress:
        callbacks.append(TrainingProgress())
    trainer = pl.Trainer(
        default_root_dir=output,
        accelerator=config.accelerator,
        devices=1,
        max_epochs=config.epochs,
        gradient_clip_val=config.gradient_clip,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,
    )
    last = output / LAST
    trainer.fit(module, frames, ckpt_path=last if last.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise RuntimeError(
            f"The training was interrupted after epoch {trainer.current_epoch}; run the same "
            f"command again to continue from {last}."
        )
    return module.history


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's banners, its own outdated calls, and its advice on loader workers.

    Frames are in memory, so workers would only cost time.
    """
    with warnings.catch_warnings():
        for message in (".*does not have many workers.*", ".*is not empty.*", ".*LeafSpec.*"):
            warnings.filterwarnings("ignore", message=message)
        import lightning.pytorch  # noqa: F401  (it sets its logger's level)

        logger = logging.getLogger("lightning.pytorch")
        level = logger.level
        logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            logger.setLevel(level)


def _write_json(path: Path, value: Any) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")
