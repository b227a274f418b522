"""Run and resume a training."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from openmmcg.models import CGNetwork
from openmmcg.priors import DEFAULT_KINDS, SignedImpropers
from openmmcg.training.config import LINEAR, TrainConfig, complete_recipe
from openmmcg.training.cross import join_folds, joined_text
from openmmcg.training.descent import descend
from openmmcg.training.folder import (
    BEST,
    CACHE,
    CROSS_VALIDATION,
    LAST,
    PRIOR_PLOTS,
    PRIORS,
    RECIPE,
    SUMMARY,
    room_on,
    write_json,
)
from openmmcg.training.frames import TrainingData, load_data, system_frames
from openmmcg.training.network import (
    architecture,
    check_weights,
    load_network,
    make_network,
    weights_of,
)
from openmmcg.training.sources import open_datasets
from openmmcg.training.split import Fold
from openmmcg.training.summary import summarise, summary_text
from openmmcg.training.thermal.plan import make_plan
from openmmcg.training.thermal.prepare import with_thermal_labels

if TYPE_CHECKING:
    from openmmcg.training.module import ForceMatching

__all__ = ["load_network", "train"]


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
        The output folder: ``training.json`` (configuration, network and data), ``priors.json``
        and ``priors.png``, ``last.ckpt`` and ``best.ckpt``, ``metrics.csv``, and
        ``summary.json`` once complete. Of a cross-validation: a folder for each fold, and
        ``cross-validation.json`` once complete.

    Raises
    ------
    FileNotFoundError
        If there is no such dataset.
    ValueError
        If the datasets cannot be trained on, the lint finds an error in a mapping, or the folder
        holds another run.
    RuntimeError
        If the run was interrupted, the disk is full, or the loss is not finite.
    """
    output = Path(config.output)
    if config.lint:
        _lint(config, progress)
    with room_on(output):
        if config.folds == 1:
            return _train_once(config, output, None, progress)
        for index in range(config.folds):
            if progress:
                print(f"Fold {index + 1} of {config.folds}")
            fold = Fold(index, config.folds)
            _train_once(config, output / f"fold-{index + 1}", fold, progress)
        joined = join_folds(output, config.folds)
        write_json(output / CROSS_VALIDATION, joined)
    if progress:
        print(joined_text(joined, output))
    return output


def _train_once(config: TrainConfig, output: Path, fold: Fold | None, progress: bool) -> Path:
    with _cache(output / CACHE) as cache, open_datasets(config) as datasets:
        data = load_data(datasets, config, fold, cache)
        plan = make_plan(config, data, datasets)
        thermal = {} if plan is None else plan.hyperparameters
        if config.network == LINEAR:
            from openmmcg.training.closed_form import spline_network

            network = spline_network(config, data, thermal)
        else:
            network = make_network(config, data.type_names, **thermal)
        _start_or_continue(output, config, fold, network, data)
        if not (output / SUMMARY).exists():
            with _threads(config.threads), _quiet_lightning():
                if plan is not None:
                    data = with_thermal_labels(data, datasets, config, plan, output, progress)
                _fit(output, config, network, data, progress)
    if progress and _rank() == 0:
        print(summary_text(json.loads((output / SUMMARY).read_text()), output))
    return output


def _lint(config: TrainConfig, progress: bool) -> None:
    """Print what the lint finds wrong with the mappings; raise ValueError if it is an error."""
    from openmmcg.data.linting.command import lint_dataset
    from openmmcg.mapping.linting import ERROR, INFO

    kinds = DEFAULT_KINDS if config.priors is None else config.priors
    chiral = bool((config.network_options or {}).get("chiral", False))
    with open_datasets(config) as datasets:
        for dataset in datasets:
            found = lint_dataset(
                dataset, signed_priors=SignedImpropers.kind in kinds, chiral_network=chiral
            )
            where = f"{dataset.path}, {dataset.name}: " if len(datasets) > 1 else ""
            for finding in found:
                if finding.severity != INFO and progress and _rank() == 0:
                    print(where + finding.line())
            errors = [finding for finding in found if finding.severity == ERROR]
            if errors:
                raise ValueError(
                    f"{where}{errors[0].title}: {errors[0].message} {errors[0].cure} The setting "
                    "lint=false trains all the same."
                )


def _start_or_continue(
    output: Path, config: TrainConfig, fold: Fold | None, network: CGNetwork, data: TrainingData
) -> None:
    record = {
        "config": config.recipe(),
        "architecture": architecture(network),
        "temperature": _temperature(network, data),
        "temperature_range": list(data.temperature_range),
        "data": data.facts,
    }
    if fold is not None:
        record["fold"] = fold._asdict()
    path = output / RECIPE
    if path.exists():
        _check_same(json.loads(path.read_text()), json.loads(json.dumps(record)), output)
        if (output / LAST).exists():
            check_weights(network, weights_of(output / LAST), output / LAST)
    if (output / SUMMARY).exists() or _rank() > 0:
        return
    write_json(path, record)
    write_json(output / PRIORS, data.priors.to_dict())
    if config.prior_plots and not (output / PRIOR_PLOTS).exists() and data.priors.kinds():
        from openmmcg.priors import plot_fits

        plot_fits(data.priors, system_frames(data), output / PRIOR_PLOTS)


def _temperature(network: CGNetwork, data: TrainingData) -> float:
    """Temperature that a model starts with: its reference if it depends on the temperature, K."""
    if network.thermal is None:
        return data.temperature
    low, high = data.temperature_range
    return min(max(network.thermal.reference_temperature, low), high)


def _check_same(found: dict[str, Any], record: dict[str, Any], output: Path) -> None:
    found = {**found, "config": complete_recipe(found.get("config", {}))}
    different = [
        f"{part}.{key} is {found.get(part, {}).get(key)!r} there and {value!r} here"
        for part in ("config", "data", "architecture")
        for key, value in record[part].items()
        if found.get(part, {}).get(key) != value
    ]
    if different:
        raise ValueError(
            f"The folder {output} holds another training ({'; '.join(different)}); choose "
            "another output or remove the folder."
        )


def _fit(
    output: Path, config: TrainConfig, network: CGNetwork, data: TrainingData, progress: bool
) -> None:
    from openmmcg.training.batches import FrameModule
    from openmmcg.training.closed_form import fit_in_closed_form, is_linear
    from openmmcg.training.module import ForceMatching

    notes = list(data.notes)
    if notes and network.thermal is None:
        notes.append(
            f"The network {network.name} does not depend on the temperature: it learns the mean of "
            f"the forces at all of them, for {data.temperature:.1f} K."
        )
    frames = FrameModule(data, config)
    module = ForceMatching(network, data, config, config.epochs * frames.steps_per_epoch)
    solved = is_linear(config)
    if solved:
        fit_in_closed_form(output, module, data, config)
    elif not descend(output, config, module, frames, progress):
        return
    if module.trained_priors is not None:
        _write_trained_priors(output, module)
    summary = summarise(module.history, data, [*notes, *module.floors.notes], solved)
    write_json(output / SUMMARY, summary)


def _write_trained_priors(output: Path, module: ForceMatching) -> None:
    """Replace the fitted priors by those of the best epoch."""
    assert module.trained_priors is not None
    state = torch.load(output / BEST, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "trained_priors."
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    module.trained_priors.load_state_dict(own)
    write_json(output / PRIORS, module.trained_priors.prior_set().to_dict())


def _rank() -> int:
    """Number of this process among those that train together, known before Lightning starts."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", None) or 0)


@contextmanager
def _cache(folder: Path) -> Iterator[Path]:
    """Yield a folder of this process for memory-mapped files, which is removed in the end."""
    own = folder.with_name(f"{folder.name}-{_rank()}")
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


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
