"""Distances, angles and torsions of beads, their volume elements, and periodic boxes.

A coordinate is computed from the steps between consecutive beads of a term, so that steps may be
brought to their shortest periodic image first.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

Features = tuple[Tensor, ...]
"""A distance (r,), or a pair (x, y) with the direction of an angle or torsion."""


class Coordinate(ABC):
    """An internal coordinate of the beads of a term.

    Attributes
    ----------
    name : str
        ``bond``, ``angle``, ``torsion`` or ``pair``.
    unit : str
        nm or rad.
    size : int
        Beads in a term.
    periodic : bool
        Whether the coordinate is an angle on a full circle.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    size: ClassVar[int]
    periodic: ClassVar[bool] = False

    @staticmethod
    @abstractmethod
    def features(steps: Sequence[Tensor]) -> Features:
        """What energies are computed from, for steps (..., 3) between consecutive beads."""

    @staticmethod
    @abstractmethod
    def value(features: Features) -> Tensor:
        """Coordinate in nm or rad."""

    @staticmethod
    @abstractmethod
    def at(values: Tensor) -> Features:
        """Features at which the coordinate has the given values."""

    @staticmethod
    @abstractmethod
    def volume(values: np.ndarray) -> np.ndarray:
        """Antiderivative of the volume element (r^2, sin theta or 1).

        A density that is flat in space has as many samples in an interval as this grows there.
        """


class Bond(Coordinate):
    """Distance of two beads."""

    name, unit, size = "bond", "nm", 2

    @staticmethod
    def features(steps: Sequence[Tensor]) -> Features:
        """Distance in nm."""
        return (torch.linalg.vector_norm(steps[0], dim=-1),)

    @staticmethod
    def value(features: Features) -> Tensor:
        """Distance in nm."""
        return features[0]

    @staticmethod
    def at(values: Tensor) -> Features:
        """Distances are their own features."""
        return (values,)

    @staticmethod
    def volume(values: np.ndarray) -> np.ndarray:
        """r^3/3."""
        return values**3 / 3.0


class Pair(Bond):
    """Distance of two beads that are not bonded."""

    name = "pair"


class Angle(Coordinate):
    """Angle at the middle one of three beads, 0 to pi."""

    name, unit, size = "angle", "rad", 3

    @staticmethod
    def features(steps: Sequence[Tensor]) -> Features:
        """Cosine and sine of angles times a common positive factor."""
        a, b = -steps[0], steps[1]
        cross = torch.linalg.cross(a, b, dim=-1)
        return (a * b).sum(-1), torch.linalg.vector_norm(cross, dim=-1)

    @staticmethod
    def value(features: Features) -> Tensor:
        """Angle in rad."""
        return torch.atan2(features[1], features[0])

    @staticmethod
    def at(values: Tensor) -> Features:
        """Cosine and sine."""
        return torch.cos(values), torch.sin(values)

    @staticmethod
    def volume(values: np.ndarray) -> np.ndarray:
        """-cos(theta)."""
        return -np.cos(values)


class Torsion(Coordinate):
    """Torsion of four beads, -pi to pi, IUPAC sign."""

    name, unit, size, periodic = "torsion", "rad", 4, True

    @staticmethod
    def features(steps: Sequence[Tensor]) -> Features:
        """Cosine and sine of torsions times a common positive factor."""
        a, b, c = steps
        ab, bc = torch.linalg.cross(a, b, dim=-1), torch.linalg.cross(b, c, dim=-1)
        sine = torch.linalg.vector_norm(b, dim=-1) * (a * bc).sum(-1)
        return (ab * bc).sum(-1), sine

    value = staticmethod(Angle.value)
    at = staticmethod(Angle.at)

    @staticmethod
    def volume(values: np.ndarray) -> np.ndarray:
        """Phi itself."""
        return values


def minimum_image(vectors: Tensor, boxes: Tensor) -> Tensor:
    """Shortest periodic images of vectors, exact up to half of the smallest box diagonal entry.

    Parameters
    ----------
    vectors : torch.Tensor, shape (..., n, 3)
        nm.
    boxes : torch.Tensor, shape (..., 3, 3)
        Box vectors as rows in OpenMM's reduced form, nm.

    Returns
    -------
    torch.Tensor, shape (..., n, 3)
    """
    for axis in (2, 1, 0):
        row = boxes[..., None, axis, :]
        turns = torch.floor(vectors[..., axis] / row[..., axis] + 0.5)
        vectors = vectors - turns[..., None] * row
    return vectors


def check_boxes(boxes: Tensor) -> None:
    """Check that boxes are in OpenMM's reduced form.

    Raises
    ------
    ValueError
        If shapes are wrong, a box is flat, or vectors are not (ax,0,0), (bx,by,0), (cx,cy,cz).
    """
    if boxes.shape[-2:] != (3, 3):
        raise ValueError(
            f"Boxes have shape {tuple(boxes.shape)}, but (..., 3, 3) with box vectors as rows in "
            "nm is expected."
        )
    if torch.triu(boxes, 1).any() or not (torch.diagonal(boxes, dim1=-2, dim2=-1) > 0).all():
        raise ValueError(
            "A box is not in OpenMM's reduced form (ax,0,0), (bx,by,0), (cx,cy,cz) with positive "
            "ax, by and cz; turn it with openmm.app.internal.unitcell.reducePeriodicBoxVectors."
        )


def grid(coordinate: type[Coordinate], count: int = 2000) -> np.ndarray:
    """Midpoints of equal intervals over all values of an angle or torsion, rad."""
    low, high = (-math.pi, math.pi) if coordinate.periodic else (0.0, math.pi)
    return low + (high - low) * (np.arange(count) + 0.5) / count
