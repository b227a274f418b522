"""One walker of the sampler: equilibrate, then record frames block by block.

Walkers run as threads: OpenMM releases Python's lock while it computes, its CPU platform keeps
random numbers per Context, and threads need no import guard in the user's script and leave no
orphans when killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openmm

from openmmcg.data.force_maps.fit import ForceMap
from openmmcg.data.frames import LAYOUT, Frames
from openmmcg.data.sampling.all_atom import AtomFrames, atom_writer
from openmmcg.data.sampling.bias import TorsionBias
from openmmcg.data.sampling.config import SampleConfig
from openmmcg.data.sampling.dynamics import (
    BIAS_GROUP,
    PHYSICAL_GROUPS,
    Dynamics,
    box_of,
    energy_of,
    forces_of,
    load_progress,
    seed_of,
)
from openmmcg.data.sampling.frozen import FrozenBeads
from openmmcg.data.sampling.grid_bias import GridBias
from openmmcg.data.sampling.job import Job, Tick, naming
from openmmcg.data.sampling.stored import StoredFrames
from openmmcg.data.sampling.umbrella import Umbrella
from openmmcg.data.writing import write_dataset
from openmmcg.files import atomic_path

Bias = TorsionBias | GridBias | Umbrella
CHECKPOINT = ".chk.npz"
EQUILIBRATION_FRICTION = 1.0
"""1/ps, at least; energy then needs about 1.5 ps to adjust."""
_CHUNK_BYTES = 1 << 24


def record(job: Job, force_map: ForceMap, bias: Bias | None, walker: int, tick: Tick) -> None:
    """Run a walker's production, writing blocks; go on after the last complete block.

    A block counts once its file exists; what belongs to it is written before it.
    """
    blocks = job.blocks()
    done = 0
    while job.block_path(walker, done).exists():
        done += 1
    tick(sum(blocks[:done]) * job.length / job.n_frames)
    if done == len(blocks):
        return
    if job.stored is not None:
        for block in range(done, len(blocks)):
            with naming(walker, job.config):
                _hold_block(job, force_map, job.stored, walker, block, tick)
        return
    path = job.block_path(walker, done - 1, CHECKPOINT) if done else _equilibrate(job, bias, walker)
    for block in range(done, len(blocks)):
        simulation, force = _production(job, bias, walker, block, equilibrating=False)
        simulation.restore(load_progress(path), path)
        with naming(walker, job.config):
            _record_block(job, force_map, simulation, force, walker, block, tick)
        path.unlink()
        path = job.block_path(walker, block, CHECKPOINT)


def _equilibrate(job: Job, bias: Bias | None, walker: int) -> Path:
    """Start and equilibrate a walker piece by piece; return its checkpoint."""
    config = job.config
    total, per_piece = config.steps(config.equilibration), max(1, config.steps(job.piece))
    path = job.folder(walker) / "equilibration.npz"
    saved = load_progress(path) if path.exists() else None
    done = int(saved["steps"]) if saved else 0
    while saved is None or done < total:
        simulation, _ = _production(job, bias, walker, done, equilibrating=True)
        with naming(walker, config):
            if saved is None:
                _start(job, simulation, bias, walker)
            else:
                simulation.restore(saved, path)
            steps = min(per_piece, total - done)
            simulation.step(steps)
        done += steps
        simulation.save(path, steps=done)
        saved = load_progress(path)
    return path


def _start(job: Job, simulation: Dynamics, bias: Bias | None, walker: int) -> None:
    seed = seed_of(job.config, walker, 3)
    if isinstance(bias, TorsionBias | GridBias):
        with np.load(job.start_path(walker)) as data:
            positions, box = data["positions"], data.get("box")
        simulation.start(positions, box, seed, minimise=False)
    else:
        positions = job.starts[walker % len(job.starts)]
        simulation.start(positions, job.atomistic.box, seed, job.minimise)


def _production(
    job: Job, bias: Bias | None, walker: int, part: int, equilibrating: bool
) -> tuple[Dynamics, openmm.Force | None]:
    """Return a simulation under the static bias, and the bias's force."""
    config = job.config
    force: openmm.Force | None = None
    if isinstance(bias, TorsionBias):
        force = bias.force([bias.atoms])
    elif isinstance(bias, GridBias):
        force = bias.force(job.variables, job.periodic)
    elif bias is not None:
        force = bias.force(walker % bias.n_windows, job.periodic)
    if force is not None:
        force.setForceGroup(BIAS_GROUP)
    simulation = Dynamics(
        config,
        job.atomistic.system,
        config.walker_temperature(walker),
        seed_of(config, walker, 2),
        forces=() if force is None else (force,),
        barostat_seed=seed_of(config, walker, 7 if equilibrating else 8, part),
        friction=_friction(config, equilibrating),
    )
    return simulation, force


def _friction(config: SampleConfig, equilibrating: bool) -> float:
    """Friction in 1/ps; a weaker thermostat than 1/ps needs too long to warm a minimised start."""
    if equilibrating:
        return max(config.friction, EQUILIBRATION_FRICTION)
    return config.friction if config.ensemble != "nve" else 0.0


def _record_block(
    job: Job,
    force_map: ForceMap,
    simulation: Dynamics,
    force: openmm.Force | None,
    walker: int,
    block: int,
    tick: Tick,
) -> None:
    """Simulate a block of frames and write all its files, the dataset last."""
    config = job.config
    path = job.block_path(walker, block, ".atoms.h5") if config.all_atom else None
    frozen = _frozen(job, walker, block, lambda: tick(0.0)) if config.frozen_beads else None
    parts, values = [], []
    with atom_writer(path, job.mapping.atomistic, job.constraints) as write:
        for n_frames in _chunks(job.blocks()[block], job.mapping.n_atoms):
            atoms, bias_energies, variables = _atom_frames(
                job, simulation, force, walker, n_frames, tick
            )
            write(atoms)
            frames = _map_frames(job, force_map, atoms, bias_energies)
            if frozen is not None:
                frames = frozen.averaged(force_map, atoms, frames)
            parts.append(frames)
            values.append(variables)
    if isinstance(force, openmm.CustomCVForce):
        with (
            atomic_path(job.block_path(walker, block, ".cv.npy")) as temporary,
            open(temporary, "wb") as handle,
        ):
            np.save(handle, np.concatenate(values))
    simulation.save(job.block_path(walker, block, CHECKPOINT))
    _write_block(job, force_map, walker, block, _joined(parts))


def _hold_block(
    job: Job, force_map: ForceMap, stored: StoredFrames, walker: int, block: int, tick: Tick
) -> None:
    """Average with the beads of a block of stored frames held; walkers share the frames."""
    config = job.config
    frozen = _frozen(job, walker, block, lambda: tick(config.frozen_length))
    first = walker % config.walkers * job.n_frames + sum(job.blocks()[:block])
    parts = []
    for n_frames in _chunks(job.blocks()[block], job.mapping.n_atoms):
        temperature = config.walker_temperature(walker)
        atoms = stored.read(first, first + n_frames, walker, temperature)
        frames = _map_frames(job, force_map, atoms, np.zeros(n_frames))
        parts.append(frozen.averaged(force_map, atoms, frames))
        first += n_frames
    _write_block(job, force_map, walker, block, _joined(parts))


def _frozen(job: Job, walker: int, block: int, done: Callable[[], None]) -> FrozenBeads:
    return FrozenBeads(job.config, job.atomistic.system, job.mapping, walker, block, done)


def _write_block(job: Job, force_map: ForceMap, walker: int, block: int, frames: Frames) -> None:
    write_dataset(
        job.block_path(walker, block),
        job.mapping,
        frames,
        force_map=force_map.kind,
        source=job.source,
        constraints=job.constraints,
    )


def _chunks(n_frames: int, n_atoms: int) -> Iterator[int]:
    size = max(1, _CHUNK_BYTES // (48 * n_atoms))
    for start in range(0, n_frames, size):
        yield min(size, n_frames - start)


def _atom_frames(
    job: Job,
    simulation: Dynamics,
    force: openmm.Force | None,
    walker: int,
    n_frames: int,
    tick: Tick,
) -> tuple[AtomFrames, np.ndarray, np.ndarray]:
    """Simulate frames: atoms without the bias, energies of the bias and its variables."""
    config, context = job.config, simulation.context
    steps = config.steps(config.frame_interval)
    positions = np.empty((n_frames, job.mapping.n_atoms, 3))
    forces = np.empty_like(positions)
    boxes = np.empty((n_frames, 3, 3)) if job.periodic else None
    energies, bias_energies = np.empty(n_frames), np.zeros(n_frames)
    values = []
    for frame in range(n_frames):
        simulation.step(steps)
        state = context.getState(positions=True, forces=True, energy=True, groups=PHYSICAL_GROUPS)
        energies[frame] = energy_of(state)
        if not np.isfinite(energies[frame]):
            raise FloatingPointError(f"the potential energy is {energies[frame]}")
        positions[frame] = state.getPositions(asNumpy=True)._value
        forces[frame] = forces_of(state)
        if boxes is not None:
            boxes[frame] = box_of(state)
        if force is not None:
            group = {BIAS_GROUP}
            bias_energies[frame] = energy_of(context.getState(energy=True, groups=group))
        if isinstance(force, openmm.CustomCVForce):
            values.append(force.getCollectiveVariableValues(context))
        tick(config.frame_interval)
    atoms = AtomFrames(
        positions=positions,
        forces=forces,
        energies=energies,
        temperatures=np.full(n_frames, config.walker_temperature(walker)),
        walkers=np.full(n_frames, walker),
        boxes=boxes,
    )
    return atoms, bias_energies, np.array(values)


def _map_frames(
    job: Job, force_map: ForceMap, atoms: AtomFrames, bias_energies: np.ndarray
) -> Frames:
    return Frames(
        positions=job.mapping.apply(atoms.positions, atoms.boxes),
        forces=force_map.apply(atoms.forces),
        energies=atoms.energies,
        temperatures=atoms.temperatures,
        bias_energies=bias_energies,
        walkers=atoms.walkers,
        boxes=atoms.boxes,
    )


def _joined(parts: list[Frames]) -> Frames:
    arrays = [part.arrays() for part in parts]
    columns: dict[str, Any] = dict.fromkeys(LAYOUT)
    for name in arrays[0]:
        columns[name] = np.concatenate([array[name] for array in arrays])
    return Frames(**columns)
