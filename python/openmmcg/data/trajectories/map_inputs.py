"""The inputs of a mapping: trajectories opened and checked, their topology and constraints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest

import mdtraj as md
import numpy as np
from rich.console import Console

from openmmcg.data.force_maps.constraints import guess_constraints
from openmmcg.data.inputs import read_constraints, read_topology
from openmmcg.data.trajectories import AtomFrames, AtomTrajectory, Units, open_trajectory
from openmmcg.data.trajectories.joined import JoinedTrajectory, read_energies
from openmmcg.data.trajectories.map_config import MapConfig
from openmmcg.mapping import Mapping

_PIECE = 8 << 20
"""Bytes of positions that are read at a time."""
_GUESS_FRAMES = 50


@dataclass(frozen=True, eq=False)
class TrajectoryPart:
    """The frames to map of one trajectory."""

    trajectory: AtomTrajectory
    rows: range

    def pieces(self, every: int = 1) -> Iterator[tuple[range, AtomFrames]]:
        """Yield the frames, or each n-th, with their numbers in the file.

        While a piece is worked on, a thread reads the next one.
        """
        rows = self.rows[::every]
        size = max(1, _PIECE // (12 * self.trajectory.n_atoms))
        pieces = [rows[start : start + size] for start in range(0, len(rows), size)]
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._read, pieces[0])
            for piece, following in zip_longest(pieces, pieces[1:]):
                frames = coming.result()
                if following is not None:
                    coming = reader.submit(self._read, following)
                yield piece, frames

    def _read(self, rows: range) -> AtomFrames:
        return self.trajectory.read(rows.start, rows.stop, rows.step)


def open_parts(config: MapConfig, stack: ExitStack, console: Console) -> list[TrajectoryPart]:
    """Open all trajectories with their forces and energies, and choose their frames."""
    paths = config.paths("trajectory")
    others = {name: config.paths(name) for name in ("forces", "energies")}
    for name, found in others.items():
        if found and len(found) != len(paths):
            raise ValueError(
                f"There are {len(found)} files of {name} for {len(paths)} trajectories; give one "
                "for each, in the same order."
            )
    if not paths:
        raise ValueError("No trajectory is given.")
    units = Units(config.length_unit, config.force_unit, config.energy_unit)
    parts = []
    for index, path in enumerate(paths):
        trajectory = stack.enter_context(open_trajectory(path, units))
        if others["forces"] or others["energies"]:
            forces = energies = None
            if others["forces"]:
                forces = stack.enter_context(
                    open_trajectory(others["forces"][index], units, "forces")
                )
            if others["energies"]:
                energies = read_energies(others["energies"][index], config.energy_unit)
            trajectory = JoinedTrajectory(trajectory, forces, energies)
        _check_trajectory(config, trajectory)
        rows = range(trajectory.n_frames)[config.start : config.stop : config.stride]
        if not rows:
            raise ValueError(
                f"{path} has {trajectory.n_frames} frames, none of them between start and stop."
            )
        if trajectory.left_out:
            console.print(
                f"{path}: {trajectory.left_out} frames without positions or forces are left out."
            )
        parts.append(TrajectoryPart(trajectory, rows))
    _check_alike(parts)
    return parts


def _check_trajectory(config: MapConfig, trajectory: AtomTrajectory) -> None:
    path = trajectory.path
    for name in ("positions", "forces"):
        if name not in trajectory.holds:
            raise ValueError(
                f"{path} holds no {name}; "
                + (
                    "write forces in the simulation, or give their files (forces)."
                    if name == "forces"
                    else "give the trajectory of positions, and this file as forces."
                )
            )
    if "temperatures" not in trajectory.holds and config.temperature is None:
        raise ValueError(
            f"The temperature of {path} is missing; give that of its thermostat (temperature, K)."
        )
    if trajectory.damage and (config.stop is None or config.stop > trajectory.n_frames):
        raise ValueError(
            f"{trajectory.damage}; repair it, or map its {trajectory.n_frames} whole frames with "
            f"stop = {trajectory.n_frames}."
        )


def _check_alike(parts: Sequence[TrajectoryPart]) -> None:
    """Raise ValueError if only some of the trajectories hold boxes or energies."""
    first = parts[0].trajectory
    for part in parts[1:]:
        different = first.holds ^ part.trajectory.holds
        if different:
            raise ValueError(
                f"{first.path} and {part.trajectory.path} differ in what they hold "
                f"({', '.join(sorted(different))}); map them one by one."
            )


def find_topology(config: MapConfig, parts: Sequence[TrajectoryPart]) -> md.Topology:
    if config.topology is not None:
        return read_topology(config.topology)
    topology = parts[0].trajectory.topology
    if topology is None:
        raise ValueError(
            f"{parts[0].trajectory.path} holds no topology; give one (topology, a PDB, GRO or "
            "PRMTOP file with the same atoms)."
        )
    return topology


def check_atoms(parts: Sequence[TrajectoryPart], mapping: Mapping) -> None:
    for part in parts:
        if part.trajectory.n_atoms != mapping.n_atoms:
            raise ValueError(
                f"{part.trajectory.path} has {part.trajectory.n_atoms} atoms, the topology "
                f"{mapping.n_atoms}; give the topology of the atoms that were written."
            )


def find_constraints(
    config: MapConfig, parts: Sequence[TrajectoryPart], mapping: Mapping
) -> tuple[np.ndarray, str]:
    """Return the constraints and, in words, where they come from."""
    if config.constraints != "guess":
        return read_constraints(config.constraints, mapping.atomistic), config.constraints
    stated = parts[0].trajectory.constraints
    if stated is not None:
        return stated, f"stated by {parts[0].trajectory.path}"
    sample = [
        frames
        for part in parts
        for _, frames in part.pieces(every_nth(parts, _GUESS_FRAMES))
        if frames.positions is not None
    ]
    positions = np.concatenate([f.positions for f in sample if f.positions is not None])
    boxes = None
    if config.periodic and sample[0].boxes is not None:
        boxes = np.concatenate([f.boxes for f in sample if f.boxes is not None])
    found = guess_constraints(positions, mapping.atomistic, boxes)
    return found, f"guessed from {len(positions)} frames"


def every_nth(parts: Sequence[TrajectoryPart], wanted: int) -> int:
    """Return the stride that leaves about `wanted` frames, at least as many if there are."""
    return max(1, sum(len(part.rows) for part in parts) // wanted)
