"""The whole way for capped alanine: sample, train, export, run, report."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from openmmcg.analysis import ReportConfig, report
from openmmcg.data import SampleConfig, bias_path, sample
from openmmcg.export import ExportConfig, export, read_card
from openmmcg.simulation import RunConfig, run
from openmmcg.training import TrainConfig, train
from openmmcg.training.run import SUMMARY


@dataclass(frozen=True)
class DemoConfig:
    """Settings of the demonstration on capped alanine at 300 K.

    Attributes
    ----------
    output : str
        Folder for everything; stages that are complete in it are kept.
    scale : float
        Factor on the lengths of sampling, training and CG run; less than 1 for a quick look
        at how the stages fit together.
    seed : int
        Of all random numbers.
    """

    output: str = "demo-output"
    scale: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse values that no demonstration can have."""
        if not self.scale > 0 or self.seed < 0:
            raise ValueError(
                f"scale is {self.scale} and seed {self.seed}; expected a positive factor and no "
                "negative seed."
            )


def demo(config: DemoConfig, progress: bool = True) -> Path:
    """Sample, train, export, run and report; go on where an earlier call was interrupted.

    Parameters
    ----------
    config : DemoConfig
    progress : bool
        Show progress bars and what each stage wrote.

    Returns
    -------
    Path
        The page of the report.

    Raises
    ------
    ValueError, FileNotFoundError, RuntimeError
        As the stages do.
    """
    console = Console(quiet=not progress)
    start = time.monotonic()
    stages = Stages.of(config)
    way: list[tuple[str, Any, Callable[..., Path]]] = [
        ("Sampling the all-atom reference", stages.sample, sample),
        ("Training", stages.train, train),
        ("Exporting and verifying the model file", stages.export, _export_once),
        ("Coarse-grained molecular dynamics", stages.run, run),
        ("Comparing with the reference", stages.report, report),
    ]
    for title, settings, stage in way:
        console.rule(title, align="left")
        begin = time.monotonic()
        stage(settings, progress=progress)
        console.print(f"{time.monotonic() - begin:.0f} s", style="dim")
    console.rule(style="dim")
    console.print(f"{time.monotonic() - start:.0f} s in all, {peak_memory():.2f} GB at most.")
    return Path(stages.report.output) / "report.html"


@dataclass(frozen=True)
class Stages:
    """The settings of each stage."""

    sample: SampleConfig
    train: TrainConfig
    export: ExportConfig
    run: RunConfig
    report: ReportConfig

    @classmethod
    def of(cls, config: DemoConfig) -> Stages:
        """Settings that take less than 15 minutes on two cores at scale 1."""
        folder, scale, seed = Path(config.output), config.scale, config.seed
        dataset, training = str(folder / "dataset.h5"), str(folder / "training")
        model, simulation = str(folder / "alanine.cg.pt"), str(folder / "run")
        return cls(
            SampleConfig(
                output=dataset,
                encoding="name",
                length=1.6 * scale,
                frame_interval=0.06,
                temperature=300.0,
                bias="metadynamics",
                bias_length=0.5 * scale,
                seed=seed,
            ),
            TrainConfig(
                dataset=dataset,
                output=training,
                epochs=max(1, round(20 * scale)),
                seed=seed,
            ),
            ExportConfig(training=training, output=model),
            RunConfig(
                model=model,
                output=simulation,
                dataset=dataset,
                bias=str(bias_path(dataset)),
                length=0.12 * scale,
                timestep=4.0,
                equilibration=5.0 * min(1.0, scale),
                seed=seed,
            ),
            ReportConfig(
                run=simulation,
                dataset=dataset,
                output=str(folder / "report"),
                title="Capped alanine: coarse-grained model against its all-atom reference",
            ),
        )


def _export_once(config: ExportConfig, progress: bool) -> Path:
    """Export a training unless its model file is there.

    TorchScript does not write the same bytes twice, so a second export would be another model
    to the run that follows.
    """
    path = Path(config.output)
    summary = json.loads((Path(config.training) / SUMMARY).read_text())
    if path.is_file() and (read_card(path)["training"] or {}).get("summary") == summary:
        Console(quiet=not progress).print(f"{path} is complete, kept.", soft_wrap=True)
        return path
    return export(config, progress)


def peak_memory() -> float:
    """Largest resident memory so far, GB: this process and its largest child process."""
    peaks = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    # macOS counts in bytes, Linux in kibibytes.
    return sum(peaks) * (1 if sys.platform == "darwin" else 1024) / 1e9
