"""Molecular dynamics with a trained model: many replicas in one System, safe to interrupt.

A run is a row of blocks. Every block starts from stored positions and velocities with a seed of
its own and a new evaluation of the model, in an uninterrupted run too. So a run that was killed
and continued is the same, bit for bit, as one that was not, on any platform that is itself
deterministic, and no state of OpenMM's or of the model's has to be saved.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from openmmcg.files import atomic_path
from openmmcg.simulation.config import RunConfig
from openmmcg.simulation.frames import TRAJECTORY, WEIGHTS
from openmmcg.simulation.job import Job, prepare
from openmmcg.simulation.record import claim, describe
from openmmcg.simulation.rung import Rung, write_frame_weights, write_structures
from openmmcg.simulation.state import State
from openmmcg.simulation.tempering import Tempering, warn_if_blind, warn_of_few_exchanges

EXCHANGES = "exchanges.json"


def run(config: RunConfig, progress: bool = True) -> Path:
    """Run molecular dynamics; go on where an earlier call was interrupted.

    The folder then holds the trajectory of all replicas (trajectory.dcd with system.pdb), one
    replica's structure (replica.pdb), log.csv, weights of all frames (frames.h5), and run.json.
    With several temperatures, each has a folder with these files, and exchanges.json tells how
    often exchanges were accepted.

    Parameters
    ----------
    config : RunConfig
    progress : bool
        Show a progress bar and lines on what was written.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileNotFoundError
        If the model, dataset or bias is missing.
    ValueError
        If a setting is wrong or the folder belongs to another run.
    RuntimeError
        If a replica became unstable; the message names it.
    """
    console = Console(quiet=not progress, soft_wrap=True)
    folder = Path(config.output)
    settings = describe(config)
    job = prepare(config)
    claim(folder, settings, job.facts())
    folders = [job.folder(rung) for rung in range(len(job.temperatures))]
    state = State.load(folder)
    frames = 0 if state is None else state.frames
    if frames == config.n_frames and all((path / WEIGHTS).exists() for path in folders):
        console.print(f"{folder} is complete, kept.")
        return folder
    for path, kelvin in zip(folders, job.temperatures, strict=True):
        (path / WEIGHTS).unlink(missing_ok=True)  # of a run that is now made longer
        if job.tempering:
            claim(path, settings, {**job.facts(), "temperature": kelvin})
        write_structures(job, path)
    total = job.replica_time * config.n_frames
    with _bar(console) as bar:
        task = bar.add_task("CG MD", total=total, speed="")
        bar.update(task, completed=job.replica_time * frames)
        _produce(job, state, lambda done, speed: bar.update(task, completed=done, speed=speed))
    for rung in range(len(folders)):
        write_frame_weights(job, rung)
    if job.tempering:
        warn_of_few_exchanges(json.loads((folder / EXCHANGES).read_text()))
    console.print(_summary(job, total))
    return folder


def _produce(job: Job, state: State | None, report: Callable[[float, str], None]) -> None:
    """Write all missing frames, block after block."""
    config, folder = job.config, Path(job.config.output)
    frames = 0 if state is None else state.frames
    tempering = Tempering(job) if job.tempering else None
    if tempering is not None and state is not None:
        tempering.ladder.restore(state.ladder)
    rungs: list[Rung] = []
    try:
        for number in range(len(job.temperatures)):
            rungs.append(Rung(job, number, frames))
        while frames < config.n_frames:
            for number, rung in enumerate(rungs):
                pair = (
                    None if state is None else (state.positions[number], state.velocities[number])
                )
                rung.begin(pair, frames)
            if state is None:
                _check_temperatures(job, rungs[0])
            clock = time.perf_counter()
            end = min(frames + config.checkpoint_frames, config.n_frames)
            for frame in range(frames + 1, end + 1):
                for rung in rungs:
                    rung.advance(frame, clock, frame - frames)
                if tempering is not None:
                    tempering.attempt(rungs, frame)
                speed = (frame - frames) * job.replica_time * 86400 / (time.perf_counter() - clock)
                report(frame * job.replica_time, f"{speed:,.0f} ns/day")
            frames = end
            state = _checkpoint(job, rungs, tempering, frames, folder)
    finally:
        for rung in rungs:
            rung.close()


def _checkpoint(
    job: Job, rungs: list[Rung], tempering: Tempering | None, frames: int, folder: Path
) -> State:
    """Have everything on disk, the checkpoint last."""
    for rung in rungs:
        rung.sync()
    positions, velocities = zip(*(rung.configuration() for rung in rungs), strict=True)
    ladder = {} if tempering is None else tempering.ladder.state()
    state = State(frames, np.stack(positions), np.stack(velocities), ladder)
    if tempering is not None:
        with atomic_path(folder / EXCHANGES) as temporary:
            numbers = tempering.ladder.numbers(job.temperatures)
            temporary.write_text(json.dumps(numbers, indent=1))
    state.save(folder)
    return state


def _check_temperatures(job: Job, rung: Rung) -> None:
    """Warn once if a run at several temperatures has a model of one."""
    kelvin = (*job.temperatures, *(job.ramp or ()))
    if max(kelvin) > min(kelvin):
        warn_if_blind(job, rung, min(kelvin), max(kelvin))


def _summary(job: Job, total: float) -> str:
    config, folder = job.config, Path(job.config.output)
    if not job.tempering:
        kelvin = job.temperatures if job.ramp is None else job.ramp
        return (
            f"Wrote {folder / TRAJECTORY}: {config.n_frames} frames of {config.replicas} replicas, "
            f"{total:g} ns in all at {' to '.join(f'{value:g}' for value in kelvin)} K."
        )
    numbers = json.loads((folder / EXCHANGES).read_text())
    shares = ", ".join(f"{share:.0%}" for share in numbers["acceptance"])
    return (
        f"Wrote {folder}: {config.n_frames} frames of {config.replicas} replicas at each of "
        f"{', '.join(f'{value:g}' for value in job.temperatures)} K, {total:g} ns in all; "
        f"exchanges accepted {shares}, {numbers['round_trips']} round trips."
    )


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.2f}/{task.total:.2f} ns  {task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
