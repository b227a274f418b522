"""What the walkers of one call of the sampler share: settings, system, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openmm

from openmmcg.data.sampling.config import SampleConfig
from openmmcg.data.sampling.stored import StoredFrames
from openmmcg.data.sampling.variables import Variable
from openmmcg.data.systems.atomistic import AtomisticSystem
from openmmcg.mapping import Mapping

PILOT = 10**6
"""Stands for a walker's number in the seeds of the pilot run."""

Tick = Callable[[float], None]
"""Called with the ps just simulated; may raise to stop the walker."""


@dataclass(frozen=True, eq=False)
class Job:
    """What all walkers share."""

    config: SampleConfig
    atomistic: AtomisticSystem
    starts: list[np.ndarray]
    mapping: Mapping
    constraints: np.ndarray
    source: dict[str, Any]
    parts: Path
    stored: StoredFrames | None = None
    variables: list[Variable] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)

    @property
    def minimise(self) -> bool:
        """Whether starts are minimised."""
        if self.config.minimise is not None:
            return self.config.minimise
        return bool(self.config.start) or not self.atomistic.equilibrated

    @property
    def periodic(self) -> bool:
        """Whether there is a box."""
        return bool(self.atomistic.system.usesPeriodicBoundaryConditions())

    @property
    def n_frames(self) -> int:
        """Number of frames per walker."""
        if self.stored is None:
            return self.config.n_frames
        return self.stored.n_frames // self.config.walkers

    @property
    def length(self) -> float:
        """Time per walker, ps; of stored frames that of the runs with held beads."""
        if self.stored is None:
            return self.config.length * 1e3
        return self.n_frames * self.config.frozen_length

    def folder(self, walker: int) -> Path:
        """Folder of a walker's pieces."""
        return self.parts / f"walker-{walker}"

    def bias_path(self, walker: int) -> Path:
        """File of the bias that a walker built."""
        return self.parts / f"bias-{walker}.npz"

    def start_path(self, walker: int) -> Path:
        """File of positions and box at which a walker ended its metadynamics."""
        return self.parts / f"start-{walker}.npz"

    def block_path(self, walker: int, block: int, suffix: str = ".h5") -> Path:
        """File of a block of frames (a dataset of its own) or of what belongs to it."""
        return self.folder(walker) / f"block-{block:05d}{suffix}"

    def blocks(self) -> list[int]:
        """Return the number of frames of each block."""
        assert self.config.block is not None
        full, rest = divmod(self.n_frames, self.config.block)
        return [self.config.block] * full + ([rest] if rest else [])

    @property
    def piece(self) -> float:
        """Time between checkpoints outside of the production, ps."""
        assert self.config.block is not None
        return self.config.block * self.config.frame_interval


@contextmanager
def naming(walker: int, config: SampleConfig) -> Iterator[None]:
    """Turn OpenMM's and our own complaints about NaN into one that names walker and remedy."""
    try:
        yield
    except (openmm.OpenMMException, FloatingPointError) as error:
        name = "The pilot run" if walker == PILOT else f"Walker {walker}"
        raise RuntimeError(
            f"{name} became unstable ({error}); use a smaller time step than {config.timestep} fs."
        ) from error
