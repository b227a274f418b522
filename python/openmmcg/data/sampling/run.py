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
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from openmmcg.data.dataset import Dataset
from openmmcg.data.force_maps.constraints import constraint_pairs
from openmmcg.data.provenance import versions
from openmmcg.data.sampling import metadynamics
from openmmcg.data.sampling import walker as walkers
from openmmcg.data.sampling.bias import TorsionBias, average, effective_frames, torsion_beads
from openmmcg.data.sampling.bias import backbone_torsions as find_torsions
from openmmcg.data.sampling.config import SampleConfig
from openmmcg.data.sampling.dynamics import platform_of
from openmmcg.data.sampling.frozen import frozen_system
from openmmcg.data.sampling.grid_bias import GridBias
from openmmcg.data.sampling.job import Job, Tick
from openmmcg.data.sampling.merging import merge
from openmmcg.data.sampling.pilot import job_force_map
from openmmcg.data.sampling.stored import StoredFrames
from openmmcg.data.sampling.umbrella import Umbrella
from openmmcg.data.sampling.variables import read_variables
from openmmcg.data.systems.atomistic import AtomisticSystem
from openmmcg.data.systems.user_systems import atomistic_system, digest, start_positions
from openmmcg.files import atomic_path
from openmmcg.mapping import Mapping, load_mapping


class _Stopped(Exception):
    """Another walker failed or the user interrupted."""


def bias_path(output: str | os.PathLike[str]) -> Path:
    """Return where `sample` writes metadynamics' bias of a dataset: `NAME.bias.npz`."""
    return Path(output).with_suffix(".bias.npz")


def variables_path(output: str | os.PathLike[str]) -> Path:
    """Return where `sample` writes a bias's variables of each frame: `NAME.variables.npz`."""
    return Path(output).with_suffix(".variables.npz")


def atoms_path(output: str | os.PathLike[str]) -> Path:
    """Return where `sample` writes all atoms: `NAME.atoms.h5`."""
    return Path(output).with_suffix(".atoms.h5")


def sample(config: SampleConfig, progress: bool = True) -> Path:
    """Sample a system and write a mapped dataset; go on where an earlier call was interrupted.

    What else was asked for is written beside the dataset, see `bias_path`, `variables_path` and
    `atoms_path`. An existing dataset with the same settings is kept as it is.

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
        If a setting is wrong or missing, a file is no System, structure or force field, or the
        output (or its pieces) exists with other settings.
    FileNotFoundError
        If a file does not exist.
    RuntimeError
        If a walker became unstable or a checkpoint cannot be used.
    """
    console = Console(quiet=not progress, soft_wrap=True)
    job = _prepare(config.resolved())
    output = Path(config.output)
    if output.exists():
        _check_same(_settings_of(output), job.source["config"], output)
        shutil.rmtree(job.parts, ignore_errors=True)  # left when killed after the last rename
        console.print(f"{output} is complete, kept.")
        return output
    umbrella = Umbrella(job.variables) if job.config.bias == "umbrella" else None
    _check_windows(job.config, umbrella)
    _claim_parts(job)
    force_map = job_force_map(job, console)
    bias = umbrella if umbrella or job.config.bias == "none" else _metadynamics(job, console)
    _run_walkers(
        job.config,
        console,
        "production",
        job.length,
        lambda index, tick: walkers.record(job, force_map, bias, index, tick),
    )
    weights = merge(
        job,
        force_map.kind,
        umbrella,
        output,
        atoms_path(output) if config.all_atom else None,
        variables_path(output),
    )
    shutil.rmtree(job.parts)
    console.print(
        f"Wrote {output}: {len(weights)} frames of {job.mapping.n_beads} beads, "
        f"{job.config.n_walkers * job.length * 1e-3:g} ns at "
        f"{', '.join(f'{value:g}' for value in job.config.kelvins)} K, "
        f"{effective_frames(weights) / len(weights):.0%} effective after reweighting."
    )
    return output


def _prepare(config: SampleConfig) -> Job:
    """Read and check all that resolved settings name."""
    platform_of(config)
    atomistic = atomistic_system(config)
    if config.ensemble == "npt" and atomistic.box is None:
        raise ValueError(
            f"{config.system} has no periodic box, so it has no pressure; choose ensemble nvt."
        )
    mapping = load_mapping(config.mapping, atomistic.topology, config.encoding)
    if config.frozen_beads:
        frozen_system(atomistic.system, mapping)
    starts = start_positions(config, atomistic)
    stored = None
    if config.frozen_frames is not None:
        stored = StoredFrames(config.frozen_frames, mapping.atomistic)
        if stored.n_frames < config.walkers:
            raise ValueError(
                f"{config.frozen_frames} holds {stored.n_frames} frames for {config.walkers} "
                "walkers; choose fewer walkers."
            )
    entries = _variable_entries(config, mapping)
    job = Job(
        config=config,
        atomistic=atomistic,
        starts=starts,
        mapping=mapping,
        constraints=constraint_pairs(atomistic.system),
        source=_source(config, atomistic, mapping),
        parts=Path(f"{config.output}.parts"),
        stored=stored,
        variables=read_variables(
            entries, mapping.atomistic, starts[0], config.bias, config.bias_width
        ),
        entries=entries,
    )
    if entries:
        _warn_unless_function_of_beads(job)
    return job


def _variable_entries(config: SampleConfig, mapping: Mapping) -> list[dict[str, Any]]:
    if config.bias == "none":
        if config.variables:
            raise ValueError("There are variables but no bias; choose metadynamics or umbrella.")
        return []
    if config.variables:
        return config.variables
    if config.bias == "umbrella":
        raise ValueError("An umbrella needs variables, each with type, atoms, center and k.")
    return [{"type": "torsion", "atoms": t} for t in find_torsions(mapping.atomistic).tolist()]


def _warn_unless_function_of_beads(job: Job) -> None:
    numbers = [
        str(number)
        for number, variable in enumerate(job.variables, start=1)
        if not variable.is_function_of(job.mapping)
    ]
    if numbers:
        warnings.warn(
            f"The bias acts on atoms whose place the beads do not fix (variable "
            f"{', '.join(numbers)}), so it changes averages at fixed beads: train with the "
            "dataset's weights, or choose a mapping that keeps these atoms as beads.",
            stacklevel=4,
        )


def _check_windows(config: SampleConfig, umbrella: Umbrella | None) -> None:
    if umbrella is not None and config.walkers % umbrella.n_windows:
        raise ValueError(
            f"The umbrella has {umbrella.n_windows} windows for {config.walkers} walkers at each "
            "temperature; choose a multiple of the windows."
        )


def _source(config: SampleConfig, atomistic: AtomisticSystem, mapping: Mapping) -> dict[str, Any]:
    """Return the provenance of a dataset; "config" tells whether two runs are the same."""
    settings = {**config.fingerprint(), "mapping_hash": mapping.hash}
    if config.kind != "recipe":
        settings["files"] = atomistic.description  # with their checksums
    if config.frozen_frames is not None:
        settings["frozen_frames_sha256"] = digest(config.frozen_frames)
    return {
        "config": settings,
        "system": atomistic.description,
        "platform": config.platform,
        "versions": versions("openmm", "mdtraj"),
    }


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


def _claim_parts(job: Job) -> None:
    """Make the folder of pieces, or check that the one found has the same settings."""
    settings = job.parts / "config.json"
    if settings.exists():
        _check_same(json.loads(settings.read_text()), job.source["config"], job.parts)
        return
    with atomic_path(settings) as temporary:
        temporary.write_text(json.dumps(job.source["config"], indent=1))


def _metadynamics(job: Job, console: Console) -> TorsionBias | GridBias:
    """Let every walker build a bias; return and save their mean."""
    _run_walkers(
        job.config,
        console,
        "metadynamics",
        job.config.bias_length * 1e3,
        lambda index, tick: metadynamics.build_bias(job, index, tick),
    )
    built = [GridBias.load(job.bias_path(w)) for w in range(job.config.n_walkers)]
    mean = replace(built[0], energies=average([bias.energies for bias in built]))
    bias = _as_torsion_bias(job, mean)
    path = bias_path(job.config.output)
    bias.save(path)
    console.print(f"Wrote {path}: bias up to {bias.energies.max():.1f} kJ/mol.")
    return bias


def _as_torsion_bias(job: Job, bias: GridBias) -> TorsionBias | GridBias:
    """Return a bias on two torsions of atoms as OpenMM's fast force for it, others as they are."""
    kinds = [variable.kind for variable in job.variables]
    groups = [group for variable in job.variables for group in variable.groups]
    if kinds != ["torsion", "torsion"] or any(len(group) > 1 for group in groups):
        return bias
    atoms = np.concatenate(groups).reshape(2, 4)
    return TorsionBias(
        np.ascontiguousarray(bias.energies[:-1, :-1]), atoms, torsion_beads(job.mapping, atoms)
    )


def _run_walkers(
    config: SampleConfig,
    console: Console,
    name: str,
    length: float,
    work: Callable[[int, Tick], None],
) -> None:
    """Run `work(walker, tick)` for all walkers in threads under one progress bar.

    The first error stops all walkers and is raised.
    """
    count, stop = config.n_walkers, threading.Event()
    # Contexts of the Reference platform share their random numbers.
    threads = 1 if config.platform == "Reference" else min(count, os.cpu_count() or 1)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} ps"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=console) as bar,
        ThreadPoolExecutor(threads) as pool,
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
