"""A weighted set of coarse-grained frames from the reference or from a CG run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openmmcg.analysis.distributions import effective_samples

if TYPE_CHECKING:
    from openmmcg.data.dataset import Dataset
    from openmmcg.simulation.frames import RunFrames


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Frames with thermodynamic weights, in time order within each walker.

    Attributes
    ----------
    positions : ndarray, (F, N, 3)
        Whole molecules, nm.
    weights : ndarray, (F,)
        Thermodynamic weight of each frame.
    walkers : ndarray, (F,)
        Which independent trajectory a frame belongs to.
    frame_interval : float or None
        Time between frames of a walker, ps, where known.
    boxes : ndarray, (F, 3, 3), or None
        Periodic box vectors as rows, nm; None without boundaries.
    continuous : bool
        Whether frames of a walker follow each other by dynamics, without exchanges.
    """

    positions: np.ndarray
    weights: np.ndarray
    walkers: np.ndarray
    frame_interval: float | None = None
    boxes: np.ndarray | None = None
    continuous: bool = True

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together or cannot be averaged."""
        frames = len(self.positions)
        if frames == 0 or not len(self.weights) == len(self.walkers) == frames:
            raise ValueError(
                f"An ensemble has {frames} frames, {len(self.weights)} weights and "
                f"{len(self.walkers)} walker numbers; expected one of each per frame, at least 1."
            )
        if not np.all(np.isfinite(self.positions)):
            raise ValueError(
                "Positions contain NaN or infinite values; discard the broken frames first."
            )
        if not np.all(np.isfinite(self.weights)) or np.any(self.weights < 0):
            raise ValueError("Frame weights must be finite and not negative; sample again.")

    @property
    def n_frames(self) -> int:
        """Number of frames of all walkers together."""
        return len(self.positions)

    @property
    def n_walkers(self) -> int:
        """Number of independent trajectories."""
        return len(np.unique(self.walkers))

    @property
    def effective_frames(self) -> float:
        """Kish's effective number of frames; smaller than n_frames when weights differ."""
        return effective_samples(self.weights)

    @property
    def length(self) -> float | None:
        """Sampled time of all walkers together, ns, where known."""
        return None if self.frame_interval is None else self.n_frames * self.frame_interval / 1000

    def later_half(self) -> np.ndarray:
        """Mask (F,) of the frames in the second half of their walker's time."""
        mask = np.zeros(self.n_frames, dtype=bool)
        for walker in np.unique(self.walkers):
            frames = np.flatnonzero(self.walkers == walker)
            mask[frames[len(frames) // 2 :]] = True
        return mask

    def odd_walkers(self) -> np.ndarray:
        """Mask (F,) of the frames of every second walker."""
        _, ranks = np.unique(self.walkers, return_inverse=True)
        return np.asarray(ranks % 2 == 1)


SAME_TEMPERATURE = 0.01
"""Temperatures that differ by less are the same, K."""


def from_dataset(dataset: Dataset, temperature: float | None = None) -> Ensemble:
    """Read the reference ensemble of a mapped dataset, with its thermodynamic weights.

    Parameters
    ----------
    dataset : openmmcg.data.Dataset
        An open dataset.
    temperature : float, optional
        Take the frames of this temperature, K; by default all.

    Raises
    ------
    ValueError
        If there are no frames of that temperature.
    """
    rows = np.ones(dataset.n_frames, dtype=bool)
    if temperature is not None:
        rows = np.abs(dataset.temperatures - temperature) < SAME_TEMPERATURE
    if not rows.any():
        found = ", ".join(f"{value:g}" for value in np.unique(dataset.temperatures))
        raise ValueError(
            f"{dataset.path} was sampled at {found} K, not at {temperature:g} K; compare at a "
            "temperature of the reference."
        )
    return Ensemble(
        np.asarray(dataset.positions[rows]),
        np.asarray(dataset.weights[rows], dtype=np.float64),
        np.asarray(dataset.walkers[rows]),
        dataset.source.get("config", {}).get("frame_interval"),
        None if dataset.boxes is None else np.asarray(dataset.boxes[rows], dtype=np.float64),
    )


def from_run(frames: RunFrames, discard: float = 0.0) -> Ensemble:
    """Turn the frames of a CG run into an ensemble with one walker a replica.

    Parameters
    ----------
    frames : openmmcg.simulation.RunFrames
        Frames of all replicas.
    discard : float
        Time at the start of every replica to leave out, ps.

    Raises
    ------
    ValueError
        If nothing is left after `discard`, or the run passed through temperatures.
    """
    if np.ptp(frames.temperatures) > SAME_TEMPERATURE:
        raise ValueError(
            f"The run passed from {frames.temperatures[0]:g} to {frames.temperatures[-1]:g} K, so "
            "its frames are no ensemble; compare a run at one temperature."
        )
    kept = frames.times > discard
    if not kept.any():
        raise ValueError(
            f"The run has no frames after the first {discard:g} ps; "
            f"it ends at {frames.times[-1]:g} ps, so discard less or run longer."
        )
    positions, weights = frames.positions[kept], frames.weights[kept]
    steps, replicas = weights.shape
    return Ensemble(
        positions.reshape(steps * replicas, -1, 3),
        weights.ravel(),
        np.tile(np.arange(replicas), steps),
        frames.frame_interval,
        None if frames.box is None else np.broadcast_to(frames.box, (steps * replicas, 3, 3)),
        not frames.exchanged,
    )
