"""Where a run is: what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from openmmcg.files import write_npz

STATE = "state.npz"


@dataclass(frozen=True, eq=False)
class State:
    """Where a run is.

    Attributes
    ----------
    frames : int
        Frames written.
    positions, velocities : ndarray, (n_temperatures, replicas n_beads, 3)
        nm and nm/ps.
    ladder : dict of ndarray
        Of `openmmcg.simulation.exchange.Ladder`; empty without exchanges.
    """

    frames: int
    positions: np.ndarray
    velocities: np.ndarray
    ladder: dict[str, np.ndarray] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the checkpoint of a run folder."""
        write_npz(
            folder / STATE,
            frames=self.frames,
            positions=self.positions,
            velocities=self.velocities,
            **self.ladder,
        )

    @classmethod
    def load(cls, folder: Path) -> State | None:
        """Read the checkpoint of a run folder; None if there is none.

        Raises
        ------
        ValueError
            If it is damaged.
        """
        path = folder / STATE
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as data:
                arrays = dict(data)
            frames, positions, velocities = (
                arrays.pop(name) for name in ("frames", "positions", "velocities")
            )
            # Runs at one temperature used to have no axis for it.
            shape = (-1, *positions.shape[-2:])
            return cls(int(frames), positions.reshape(shape), velocities.reshape(shape), arrays)
        except Exception as error:  # zipfile, NumPy and key errors all mean the same here
            raise ValueError(
                f"The checkpoint {path} cannot be read ({error}); delete {folder} to start again."
            ) from error
