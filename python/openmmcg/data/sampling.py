"""Sample an all-atom system in OpenMM into a mapped dataset."""

from __future__ import annotations

import json
import os
import shutil
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from openmmcg.data import walker as walkers
from openmmcg.data.bias import (
    TorsionBias,
    average,
    backbone_torsions,
    effective_frames,
    reweight,
    torsion_beads,
)
from openmmcg.data.config import SampleConfig
from openmmcg.data.constraints import constraint_pairs
from openmmcg.data.dataset import Dataset
from openmmcg.data.force_maps import ForceMap, fit_force_map
from openmmcg.data.map_comparison import compare_force_maps
from openmmcg.data.systems import AtomisticSystem, recipe
from openmmcg.data.writing import dataset_writer
from openmmcg.files import atomic_path
from openmmcg.mapping import Mapping, load_mapping
from openmmcg.mapping.topology import as_mdtraj


class _Stopped(Exception):
    """Another walker failed or the user interrupted."""


def bias_path(output: str | os.PathLike[str]) -> Path:
    """Return where `sample` writes the bias that belongs to a dataset: `NAME.bias.npz`."""
    return Path(output).with_suffix(".bias.npz")


def sample(config: SampleConfig, progress: bool = True) -> Path:
    """Sample a system and write a mapped dataset; go on where an earlier call was interrupted.

    With a bias, its grid is written beside the dataset, see `bias_path`. An existing dataset
    with the same settings is kept as it is.

    Parameters
    ----------
    config : SampleConfig
    progress : bool
        Show a progress bar and a line on what was written.

    Returns
    -------
    Path
        The dataset.

    Raises
    ------
    ValueError
        If a setting is wrong, or the output (or its pieces) exists with other settings.
    FileNotFoundError
        If the mapping's YAML file does not exist.
    RuntimeError
        If a walker became unstable or a checkpoint cannot be used.
    """
    console = Console(quiet=not progress, soft_wrap=True)
    output = Path(config.output)
    atomistic = recipe(config.system, config.constraints, config.hydrogen_mass)
    mapping = load_mapping(config.mapping, atomistic.topology, config.encoding)
    source = _source(config, atomistic, mapping)
    parts = Path(f"{output}.parts")
    if output.exists():
        _check_same(_settings_of(output), source["config"], output)
        shutil.rmtree(parts, ignore_errors=True)  # left when killed after the last rename
        console.print(f"{output} is complete, kept.")
        return output
    job = walkers.Job(
        config=config,
        atomistic=atomistic,
        mapping=mapping,
        force_map=_force_map(config, atomistic, mapping, console),
        source=source,
        parts=parts,
    )
    _claim_parts(job)
    bias = _bias_stage(job, console) if config.bias == "metadynamics" else None
    _run_walkers(
        console,
        "production",
        job.config.walkers,
        config.length * 1e3,
        lambda index, tick: walkers.record(job, bias, index, tick),
    )
    weights = _merge(job, output)
    shutil.rmtree(parts)
    console.print(
        f"Wrote {output}: {len(weights)} frames of {mapping.n_beads} beads, "
        f"{config.walkers * config.length:g} ns at {config.temperature:g} K, "
        f"{effective_frames(weights) / len(weights):.0%} effective after reweighting."
    )
    return output


def _force_map(
    config: SampleConfig, atomistic: AtomisticSystem, mapping: Mapping, console: Console
) -> ForceMap:
    """Fit the force map; a resumed run makes the same, as the pilot run repeats itself."""
    constraints = constraint_pairs(atomistic.system)
    if config.force_map != "optimal":
        return fit_force_map(mapping, kind=config.force_map, constraints=constraints)
    with console.status("Fitting the force map to a pilot run"):
        forces = walkers.pilot_forces(config, atomistic)
    optimal = fit_force_map(mapping, forces, "optimal", constraints)
    console.print(compare_force_maps(mapping, forces, constraints).table())
    return optimal


def _source(config: SampleConfig, atomistic: AtomisticSystem, mapping: Mapping) -> dict[str, Any]:
    """Return the provenance of a dataset; "config" tells whether two runs are the same."""
    return {
        "config": {**config.fingerprint(), "mapping_hash": mapping.hash},
        "system": atomistic.description,
        "platform": walkers.PLATFORM,
        "versions": {name: _version(name) for name in ("openmm-cg", "openmm", "mdtraj")},
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _settings_of(output: Path) -> dict[str, Any]:
    with Dataset.open(output) as dataset:
        return dict(dataset.source.get("config", {}))


def _check_same(found: dict[str, Any], expected: dict[str, Any], place: Path) -> None:
    """Raise ValueError if `place` belongs to other settings."""
    different = [
        f"{key} {found.get(key)!r} instead of {expected.get(key)!r}"
        for key in sorted({*found, *expected})
        if found.get(key) != expected.get(key)
    ]
    if different:
        raise ValueError(
            f"{place} was made with other settings ({', '.join(different)}); remove it or choose "
            "another output."
        )


def _claim_parts(job: walkers.Job) -> None:
    """Make the folder of pieces, or check that the one found has the same settings."""
    settings = job.parts / "config.json"
    if settings.exists():
        _check_same(json.loads(settings.read_text()), job.source["config"], job.parts)
        return
    with atomic_path(settings) as temporary:
        temporary.write_text(json.dumps(job.source["config"], indent=1))


def _bias_stage(job: walkers.Job, console: Console) -> TorsionBias:
    """Let every walker build a bias; return and save their mean."""
    torsions = backbone_torsions(as_mdtraj(job.atomistic.topology))
    beads = torsion_beads(job.mapping, torsions)
    if beads is None:
        warnings.warn(
            "The bias acts on torsions of atoms that are not all beads, so it changes averages at "
            "fixed beads: train with the dataset's weights or choose a mapping that keeps the "
            "backbone.",
            stacklevel=3,
        )
    _run_walkers(
        console,
        "metadynamics",
        job.config.walkers,
        job.config.bias_length * 1e3,
        lambda index, tick: walkers.build_bias(job, torsions, index, tick),
    )
    built = [TorsionBias.load(job.bias_path(w)) for w in range(job.config.walkers)]
    bias = replace(average(built), beads=beads)
    path = bias_path(job.config.output)
    bias.save(path)
    console.print(f"Wrote {path}: bias up to {bias.energies.max():.1f} kJ/mol.")
    return bias


def _run_walkers(
    console: Console,
    name: str,
    count: int,
    length: float,
    work: Callable[[int, walkers.Tick], None],
) -> None:
    """Run `work(walker, tick)` for all walkers in threads under one progress bar.

    The first error stops all walkers and is raised.
    """
    stop = threading.Event()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} ps"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=console) as bar,
        ThreadPoolExecutor(min(count, os.cpu_count() or 1)) as pool,
    ):
        task = bar.add_task(name, total=count * length)

        def tick(picoseconds: float) -> None:
            if stop.is_set():
                raise _Stopped
            bar.advance(task, picoseconds)

        futures = [pool.submit(work, index, tick) for index in range(count)]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
        errors = [f.exception() for f in futures if f.done() and not f.cancelled()]
        for error in errors:
            if error is not None and not isinstance(error, _Stopped):
                raise error


def _merge(job: walkers.Job, output: Path) -> np.ndarray:
    """Merge all blocks, walker after walker, into the dataset; return the weights."""
    paths = [
        job.block_path(index, block)
        for index in range(job.config.walkers)
        for block in range(len(job.blocks()))
    ]
    bias_energies = []
    for path in paths:
        with Dataset.open(path) as block:
            bias_energies.append(block.bias_energies)
    weights = reweight(np.concatenate(bias_energies), job.config.temperature)
    start = 0
    with dataset_writer(
        output,
        job.mapping,
        force_map=job.force_map.kind,
        source=job.source,
        group=job.config.system,
    ) as append:
        for path in paths:
            with Dataset.open(path) as block:
                frames = block.frames()
            append(replace(frames, weights=weights[start : start + frames.n_frames]))
            start += frames.n_frames
    return weights
