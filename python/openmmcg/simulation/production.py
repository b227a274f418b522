"""Molecular dynamics with a trained model: many replicas in one System, safe to interrupt.

A run is a row of blocks. Every block starts from stored positions and velocities with a seed of
its own and a new evaluation of the model, in an uninterrupted run too. So a run that was killed
and continued is the same, bit for bit, as one that was not, on any platform that is itself
deterministic, and no state of OpenMM's or of the model's has to be saved.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import openmm
from openmm import unit
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from openmmcg.data import TorsionBias, reweight
from openmmcg.files import atomic_path
from openmmcg.force import CGForce
from openmmcg.mapping.pdb import write_topology_pdb
from openmmcg.simulation.bias import add_bias, bias_energies
from openmmcg.simulation.config import RunConfig
from openmmcg.simulation.frames import TRAJECTORY, WEIGHTS, read_positions, write_weights
from openmmcg.simulation.platform import choose_platform
from openmmcg.simulation.potential import NETWORK_GROUP, PRIOR_GROUP, CGPotential
from openmmcg.simulation.record import claim, describe
from openmmcg.simulation.stability import check_frame, explain_failure
from openmmcg.simulation.start import starting_positions
from openmmcg.simulation.trajectory import DCDTrajectory, Log
from openmmcg.units import KB

STATE = "state.npz"
LOG = "log.csv"
COLUMNS = (
    "time (ps)",
    "temperature (K)",
    "potential of mean force per replica (kJ/mol)",
    "speed (ns/day; all replicas)",
)
_MODEL_ENERGY = {NETWORK_GROUP, PRIOR_GROUP}


def run(config: RunConfig, progress: bool = True) -> Path:
    """Run molecular dynamics; go on where an earlier call was interrupted.

    The folder then holds the trajectory of all replicas (trajectory.dcd with system.pdb), one
    replica's structure (replica.pdb), log.csv, weights of all frames (frames.h5), and run.json.

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
    console = Console(quiet=not progress)
    folder = Path(config.output)
    settings = describe(config)
    job = _prepare(config)
    claim(folder, settings, _facts(job))
    state = _load_state(folder)
    frames = 0 if state is None else state.frames
    if frames == config.n_frames and (folder / WEIGHTS).exists():
        console.print(f"{folder} is complete, kept.", soft_wrap=True)
        return folder
    (folder / WEIGHTS).unlink(missing_ok=True)  # of a run that is now made longer
    _write_structures(job, folder)
    with _bar(console) as bar:
        total = config.replicas * config.length
        task = bar.add_task("CG MD", total=total, speed="")
        bar.update(task, completed=total * frames / config.n_frames)
        _produce(
            job,
            folder,
            state,
            lambda done, speed: bar.update(task, completed=done, speed=speed),
        )
    _write_weights(job, folder)
    console.print(
        f"Wrote {folder / TRAJECTORY}: {config.n_frames} frames of {config.replicas} replicas, "
        f"{total:g} ns in all at {job.temperature:g} K.",
        soft_wrap=True,
    )
    return folder


@dataclass(frozen=True)
class _Job:
    """A run ready to start: its settings and what was made of them."""

    config: RunConfig
    potential: CGPotential
    temperature: float
    bias: TorsionBias | None
    system: openmm.System
    platform: openmm.Platform

    def context(self) -> openmm.Context:
        """Make a Context whose temperature is that of the run."""
        config = self.config
        integrator = openmm.LangevinMiddleIntegrator(
            self.temperature, config.friction, config.timestep * 1e-3
        )
        threads = {"Threads": str(config.threads)} if self.platform.getName() == "CPU" else {}
        return openmm.Context(self.system, integrator, self.platform, threads)


@dataclass(frozen=True, eq=False)
class _State:
    """Where a run is: frames written, positions (nm) and velocities (nm/ps) of all beads."""

    frames: int
    positions: np.ndarray
    velocities: np.ndarray


def _prepare(config: RunConfig) -> _Job:
    potential = CGPotential.load(config.model)
    temperature = config.temperature or potential.temperature
    low, high = potential.card["temperature_range"]
    if not low <= temperature <= high:
        warnings.warn(
            f"{config.model} was made for {low:g} to {high:g} K but runs at {temperature:g} K; "
            "its free energies are extrapolated.",
            stacklevel=3,
        )
    bias = None if config.bias is None else TorsionBias.load(config.bias)
    system = potential.createSystem(config.replicas, mass_scale=config.mass_scale)
    if bias is not None:
        add_bias(system, bias, potential.n_beads, config.replicas)
    for force in system.getForces():
        if CGForce.isinstance(force):
            network = CGForce.cast(force)
            network.setGlobalParameterDefaultValue(CGForce.Temperature(), temperature)
            network.setProperty("threads", str(config.threads))
    platform = choose_platform(config.platform)
    return _Job(config, potential, temperature, bias, system, platform)


def _facts(job: _Job) -> dict[str, object]:
    card = job.potential.card
    kept = ("architecture", "bead_types", "cutoff", "temperature", "training", "sha256")
    return {
        "temperature": job.temperature,
        "platform": job.platform.getName(),
        "model": {name: card[name] for name in kept},
        "versions": {name: version(name) for name in ("openmm-cg", "openmm", "torch")},
    }


def _write_structures(job: _Job, folder: Path) -> None:
    for name, replicas in (("system.pdb", job.config.replicas), ("replica.pdb", 1)):
        potential = job.potential
        write_topology_pdb(
            folder / name, potential.topology(replicas), potential.initial_positions(replicas)
        )


def _produce(
    job: _Job, folder: Path, state: _State | None, report: Callable[[float, str], None]
) -> None:
    """Write all missing frames, block after block."""
    config = job.config
    topology = job.potential.topology(config.replicas)
    step = config.timestep * 1e-3
    frames = 0 if state is None else state.frames
    trajectory = DCDTrajectory(folder / TRAJECTORY, topology, step, config.steps_per_frame, frames)
    log = Log(folder / LOG, COLUMNS, frames)
    per_frame = config.replicas * config.frame_interval * 1e-3  # ns of all replicas
    try:
        context = job.context()
        while frames < config.n_frames:
            _begin_block(job, context, state)
            clock = time.perf_counter()
            end = min(frames + config.checkpoint_frames, config.n_frames)
            for number in range(frames + 1, end + 1):
                positions, energy, temperature = _advance(job, context, number)
                elapsed = (time.perf_counter() - clock) / 86400
                speed = (number - frames) * per_frame / elapsed
                trajectory.write(positions)
                log.write(number * config.frame_interval, temperature, energy, speed)
                report(number * per_frame, f"{speed:,.0f} ns/day")
            trajectory.sync()
            log.sync()
            frames = end
            state = _read_state(context, frames)
            _save_state(folder, state)
    finally:
        trajectory.close()
        log.close()


def _begin_block(job: _Job, context: openmm.Context, state: _State | None) -> None:
    """Set a Context to a state, with random numbers that depend on the seed and the block."""
    config = job.config
    generator = np.random.default_rng((config.seed, 0 if state is None else state.frames))
    context.getIntegrator().setRandomNumberSeed(_seed(generator))
    context.reinitialize()
    if state is None:
        _start(job, context, generator)
    else:
        context.setPositions(state.positions)
        context.setVelocities(state.velocities)


def _start(job: _Job, context: openmm.Context, generator: np.random.Generator) -> None:
    """Place all replicas and equilibrate them."""
    config = job.config
    positions = starting_positions(
        job.potential, config.replicas, generator, config.dataset, job.bias, job.temperature
    )
    context.setPositions(positions)
    context.setVelocitiesToTemperature(job.temperature, _seed(generator))
    for _ in range(round(config.equilibration / config.frame_interval)):
        _advance(job, context, 0)


def _seed(generator: np.random.Generator) -> int:
    """Draw a seed for OpenMM; 0 would mean a random one."""
    return int(generator.integers(1, 2**31 - 1))


def _advance(job: _Job, context: openmm.Context, number: int) -> tuple[np.ndarray, float, float]:
    """Integrate to the next frame: positions (nm), energy per replica (kJ/mol), temperature."""
    replicas, template = job.config.replicas, job.potential.template
    try:
        context.getIntegrator().step(job.config.steps_per_frame)
        state = context.getState(positions=True, energy=True, groups=_MODEL_ENERGY)
    except openmm.OpenMMException as error:
        positions = _positions(context.getState(positions=True))
        raise explain_failure(positions, replicas, template, number, str(error)) from error
    positions = _positions(state)
    check_frame(positions, replicas, template, number)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
    return positions, energy / replicas, 2 * kinetic / (KB * positions.size)


def _positions(state: openmm.State) -> np.ndarray:
    return np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))


def _read_state(context: openmm.Context, frames: int) -> _State:
    state = context.getState(positions=True, velocities=True)
    velocities = state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond)
    return _State(frames, _positions(state), np.asarray(velocities))


def _save_state(folder: Path, state: _State) -> None:
    with atomic_path(folder / STATE) as temporary, open(temporary, "wb") as handle:
        np.savez(
            handle, frames=state.frames, positions=state.positions, velocities=state.velocities
        )


def _load_state(folder: Path) -> _State | None:
    path = folder / STATE
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as data:
            return _State(int(data["frames"]), data["positions"], data["velocities"])
    except Exception as error:  # zipfile, NumPy and key errors all mean the same here
        raise ValueError(
            f"The checkpoint {path} cannot be read ({error}); delete {folder} to start again."
        ) from error


def _write_weights(job: _Job, folder: Path) -> None:
    positions = read_positions(folder, job.config.replicas)
    energies = np.zeros(positions.shape[:2])
    if job.bias is not None:
        energies = bias_energies(job.bias, positions)
    write_weights(folder, job.config.frame_interval, energies, reweight(energies, job.temperature))


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.2f}/{task.total:.2f} ns  {task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
