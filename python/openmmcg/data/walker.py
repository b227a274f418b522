"""One walker of the sampler: build a bias, then record frames block by block.

Walkers run as threads: OpenMM releases Python's lock while it computes, its CPU platform keeps
random numbers per Context, and threads need no import guard in the user's script and leave no
orphans when killed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import openmm.app as app
from openmm import unit
from openmm.app.metadynamics import BiasVariable, Metadynamics

from openmmcg.data.bias import GRID, TorsionBias
from openmmcg.data.config import SampleConfig
from openmmcg.data.force_maps import ForceMap
from openmmcg.data.frames import Frames
from openmmcg.data.systems import AtomisticSystem
from openmmcg.data.writing import write_dataset
from openmmcg.files import atomic_path
from openmmcg.mapping import Mapping

PLATFORM = "CPU"
BIAS_GROUP = 31
PILOT = 10**6
"""Stands for a walker's number in the seeds of the pilot run."""
PILOT_FRAMES = 300
PILOT_INTERVAL = 0.2  # ps; forces have forgotten each other
_PHYSICAL_GROUPS = set(range(32)) - {BIAS_GROUP}

Tick = Callable[[float], None]
"""Called with the ps just simulated; may raise to stop the walker."""


@dataclass(frozen=True, eq=False)
class Job:
    """What all walkers share."""

    config: SampleConfig
    atomistic: AtomisticSystem
    mapping: Mapping
    force_map: ForceMap
    source: dict[str, Any]
    parts: Path

    def bias_path(self, walker: int) -> Path:
        """File of the bias that a walker built."""
        return self.parts / f"bias-{walker}.npz"

    def start_path(self, walker: int) -> Path:
        """File of the positions at which a walker ended its metadynamics."""
        return self.parts / f"start-{walker}.npy"

    def block_path(self, walker: int, block: int, suffix: str = ".h5") -> Path:
        """File of a block of frames (a dataset of its own) or of the checkpoint after it."""
        return self.parts / f"walker-{walker}" / f"block-{block:05d}{suffix}"

    def blocks(self) -> list[int]:
        """Return the number of frames of each block."""
        full, rest = divmod(self.config.n_frames, self.config.block)
        return [self.config.block] * full + ([rest] if rest else [])


@contextmanager
def _naming(walker: int, config: SampleConfig) -> Iterator[None]:
    """Turn OpenMM's and our own complaints about NaN into one that names walker and remedy."""
    try:
        yield
    except (openmm.OpenMMException, FloatingPointError) as error:
        raise RuntimeError(
            f"Walker {walker} became unstable ({error}); use a smaller time step than "
            f"{config.timestep} fs."
        ) from error


def pilot_forces(config: SampleConfig, atomistic: AtomisticSystem) -> np.ndarray:
    """Return atom forces (PILOT_FRAMES, n_atoms, 3), kJ/mol/nm, of a short run without bias."""
    simulation = _simulation(config, atomistic, atomistic.system, _seed(config, PILOT, 0))
    _start(simulation, config, atomistic.positions, _seed(config, PILOT, 1), minimise=True)
    forces = np.empty((PILOT_FRAMES, *atomistic.positions.shape))
    with _naming(PILOT, config):
        simulation.step(config.steps(config.equilibration))
        for frame in range(PILOT_FRAMES):
            simulation.step(config.steps(PILOT_INTERVAL))
            state = simulation.context.getState(forces=True)
            forces[frame] = state.getForces(asNumpy=True).value_in_unit(
                unit.kilojoules_per_mole / unit.nanometer
            )
    return forces


def build_bias(job: Job, torsions: np.ndarray, walker: int, tick: Tick) -> None:
    """Run well-tempered metadynamics on two torsions and save the bias and the last positions.

    A walker that was interrupted starts its metadynamics anew, with the same outcome.
    """
    config = job.config
    if job.bias_path(walker).exists():
        tick(config.bias_length * 1e3)
        return
    system = copy.deepcopy(job.atomistic.system)
    variables = []
    for torsion in torsions.tolist():
        angle = openmm.CustomTorsionForce("theta")
        angle.addTorsion(*torsion)
        # The grid of Metadynamics repeats its first point at the end.
        variables.append(BiasVariable(angle, -np.pi, np.pi, config.bias_width, True, GRID + 1))
    interval = config.steps(config.bias_interval)
    metadynamics = Metadynamics(
        system,
        variables,
        config.temperature,
        config.bias_factor,
        config.bias_height,
        interval,
    )
    simulation = _simulation(config, job.atomistic, system, _seed(config, walker, 0))
    _start(simulation, config, job.atomistic.positions, _seed(config, walker, 1), minimise=True)
    with _naming(walker, config):
        for _ in range(round(config.bias_length * 1e3 / config.bias_interval)):
            metadynamics.step(simulation, interval)
            tick(config.bias_interval)
    free_energy = metadynamics.getFreeEnergy().value_in_unit(unit.kilojoules_per_mole)
    energies = -free_energy * (config.bias_factor - 1) / config.bias_factor
    state = simulation.context.getState(positions=True)
    with atomic_path(job.start_path(walker)) as temporary, open(temporary, "wb") as handle:
        np.save(handle, state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
    # Metadynamics stores the first variable in the last axis.
    TorsionBias(energies[:GRID, :GRID].T.copy(), torsions).save(job.bias_path(walker))


def record(job: Job, bias: TorsionBias | None, walker: int, tick: Tick) -> None:
    """Run a walker's production, writing blocks; go on after the last complete block.

    A block counts once its file exists; its checkpoint is written before it.
    """
    config = job.config
    blocks = job.blocks()
    done = _complete_blocks(job, walker)
    tick(sum(blocks[:done]) * config.frame_interval)
    if done == len(blocks):
        return
    system = copy.deepcopy(job.atomistic.system)
    if bias is not None:
        force = bias.force([bias.atoms])
        force.setForceGroup(BIAS_GROUP)
        system.addForce(force)
    simulation = _simulation(config, job.atomistic, system, _seed(config, walker, 2))
    if done:
        _resume(simulation, job.block_path(walker, done - 1, ".chk"))
    else:
        start = job.atomistic.positions if bias is None else np.load(job.start_path(walker))
        _start(simulation, config, start, _seed(config, walker, 3), minimise=bias is None)
        with _naming(walker, config):
            simulation.step(config.steps(config.equilibration))
    for block in range(done, len(blocks)):
        with _naming(walker, config):
            frames = _frames(job, simulation, walker, blocks[block], tick)
        with atomic_path(job.block_path(walker, block, ".chk")) as temporary:
            temporary.write_bytes(simulation.context.createCheckpoint())
        write_dataset(
            job.block_path(walker, block),
            job.mapping,
            frames,
            force_map=job.force_map.kind,
            source=job.source,
        )
        if block:
            job.block_path(walker, block - 1, ".chk").unlink()


def _complete_blocks(job: Job, walker: int) -> int:
    done = 0
    while job.block_path(walker, done).exists():
        done += 1
    return done


def _frames(job: Job, simulation: app.Simulation, walker: int, n_frames: int, tick: Tick) -> Frames:
    """Simulate and map `n_frames` frames; forces and energies come without the bias."""
    config = job.config
    steps = config.steps(config.frame_interval)
    positions = np.empty((n_frames, job.mapping.n_beads, 3))
    forces = np.empty_like(positions)
    energies = np.empty(n_frames)
    bias_energies = np.empty(n_frames)
    for frame in range(n_frames):
        simulation.step(steps)
        state = simulation.context.getState(
            positions=True, forces=True, energy=True, groups=_PHYSICAL_GROUPS
        )
        bias_state = simulation.context.getState(energy=True, groups={BIAS_GROUP})
        energies[frame] = _kj(state.getPotentialEnergy())
        bias_energies[frame] = _kj(bias_state.getPotentialEnergy())
        if not np.isfinite(energies[frame]):
            raise FloatingPointError(f"the potential energy is {energies[frame]}")
        atoms = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        atom_forces = state.getForces(asNumpy=True).value_in_unit(
            unit.kilojoules_per_mole / unit.nanometer
        )
        positions[frame] = job.mapping.apply(atoms)
        forces[frame] = job.force_map.apply(atom_forces)
        tick(config.frame_interval)
    return Frames(
        positions=positions,
        forces=forces,
        energies=energies,
        temperatures=np.full(n_frames, config.temperature),
        bias_energies=bias_energies,
        walkers=np.full(n_frames, walker),
    )


def _kj(energy: Any) -> float:
    return float(energy.value_in_unit(unit.kilojoules_per_mole))


def _seed(config: SampleConfig, walker: int, use: int) -> int:
    """Return an independent 31-bit seed; 0 would mean a random one to OpenMM."""
    sequence = np.random.SeedSequence([config.seed, walker, use])
    return int(sequence.generate_state(1)[0] % (2**31 - 1)) + 1


def _simulation(
    config: SampleConfig, atomistic: AtomisticSystem, system: openmm.System, seed: int
) -> app.Simulation:
    integrator = openmm.LangevinMiddleIntegrator(
        config.temperature, config.friction, config.timestep * 1e-3
    )
    integrator.setRandomNumberSeed(seed)
    platform = openmm.Platform.getPlatformByName(PLATFORM)
    return app.Simulation(atomistic.topology, system, integrator, platform, {"Threads": "1"})


def _start(
    simulation: app.Simulation,
    config: SampleConfig,
    positions: np.ndarray,
    seed: int,
    minimise: bool,
) -> None:
    simulation.context.setPositions(positions)
    if minimise:
        simulation.minimizeEnergy()
    simulation.context.setVelocitiesToTemperature(config.temperature, seed)


def _resume(simulation: app.Simulation, path: Path) -> None:
    try:
        simulation.context.loadCheckpoint(path.read_bytes())
    except (OSError, openmm.OpenMMException) as error:
        raise RuntimeError(
            f"The checkpoint {path} cannot be used ({error}); it needs the OpenMM it was written "
            f"with. Remove the folder {path.parent.parent} to sample anew."
        ) from error
