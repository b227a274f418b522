"""Notice when a replica falls apart, and say which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from openmmcg.priors.geometry import minimum_image

LARGEST_STRETCH = 2.0
"""A bond longer than this multiple of its length in the model's frame has come apart."""


def check_frame(
    positions: np.ndarray, replicas: int, template: Mapping[str, Any], frame: int
) -> None:
    """Refuse a frame with a replica that is no longer a molecule.

    Parameters
    ----------
    positions : ndarray, (replicas n_beads, 3)
        nm.
    replicas : int
        Number of replicas.
    template : mapping
        Topology of the model card.
    frame : int
        Number of the frame, for the message; 0 during equilibration.

    Raises
    ------
    RuntimeError
        Naming the replica and bead or bond.
    """
    frames = positions.reshape(replicas, -1, 3)
    lost = ~np.isfinite(frames).all(axis=2)
    if lost.any():
        replica, bead = np.argwhere(lost)[0]
        name = template["names"][bead]
        raise _failure(replica, f"the position of bead {bead} ({name}) is not a number", frame)
    bonds = np.asarray(template["bonds"], dtype=np.int64).reshape(-1, 2)
    own = np.array([template["positions"]])
    stretch = _lengths(frames, bonds, template) / _lengths(own, bonds, template)
    if stretch.size and stretch.max() > LARGEST_STRETCH:
        replica, bond = np.unravel_index(stretch.argmax(), stretch.shape)
        first, second = (template["names"][bead] for bead in bonds[bond])
        what = f"the bond {first}-{second} is {stretch[replica, bond]:.1f} times its length"
        raise _failure(int(replica), what, frame)


def explain_failure(
    positions: np.ndarray, replicas: int, template: Mapping[str, Any], frame: int, reason: str
) -> RuntimeError:
    """Return the error for a step that OpenMM could not make, with the replica if one is seen."""
    try:
        check_frame(positions, replicas, template, frame)
    except RuntimeError as error:
        return error
    return RuntimeError(f"The run stopped {_when(frame)}: {reason}")


def _failure(replica: int, what: str, frame: int) -> RuntimeError:
    return RuntimeError(
        f"Replica {replica} became unstable {_when(frame)}: {what}; use a smaller time step, or "
        "train the model with more data or stiffer priors. Frames up to the last checkpoint are "
        "kept."
    )


def _when(frame: int) -> str:
    return f"before frame {frame}" if frame else "during equilibration"


def _lengths(frames: np.ndarray, bonds: np.ndarray, template: Mapping[str, Any]) -> np.ndarray:
    steps = frames[:, bonds[:, 1]] - frames[:, bonds[:, 0]]
    if template.get("box") is not None:
        box = torch.tensor(template["box"], dtype=torch.float64)
        steps = minimum_image(torch.from_numpy(steps), box).numpy()
    return np.linalg.norm(steps, axis=-1)
