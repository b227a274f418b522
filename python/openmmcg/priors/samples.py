"""Internal coordinates of sampled frames, gathered by the parameters they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from openmmcg.priors.base import BondedTerm
from openmmcg.priors.geometry import Pair, check_boxes, minimum_image
from openmmcg.priors.pairs import ALL_PAIRS_BEADS, PairSpace

if TYPE_CHECKING:
    from openmmcg.data import Dataset

LONGEST_PAIR = 1.2
"""Distance in nm up to which pairs of large or periodic systems are sampled."""
_MOST_DISTANCES = 10_000_000
_NEIGHBOURS = 400
"""What a bead of a large system counts for, by the time that finding its neighbours takes."""


@dataclass(frozen=True, eq=False)
class SystemFrames:
    """Frames of one system, to fit priors to.

    Attributes
    ----------
    positions : array_like, shape (F, n_beads, 3)
        nm. Without boxes molecules are whole.
    types : array_like of int, shape (n_beads,)
        Bead types.
    type_names : sequence of str
        Names of the types.
    bonds : array_like of int, shape (n_bonds, 2)
        Bonded beads.
    boxes : array_like, shape (F, 3, 3), optional
        Box vectors as rows in OpenMM's reduced form, nm.
    molecules : array_like of int, shape (n_beads,), optional
        Molecule of every bead; by default the parts joined by bonds.
    weights : array_like, shape (F,), optional
        Weights of the frames in the ensemble; by default all alike.
    """

    positions: np.ndarray
    types: ArrayLike
    type_names: Sequence[str]
    bonds: ArrayLike
    boxes: np.ndarray | None = None
    molecules: ArrayLike | None = None
    weights: ArrayLike | None = None

    @classmethod
    def of_dataset(
        cls, dataset: Dataset, temperature: float | None = None, reweight: bool = False
    ) -> SystemFrames:
        """Take the frames of a dataset at one temperature.

        Parameters
        ----------
        dataset : Dataset
        temperature : float, optional
            K; may be left out when all frames have one.
        reweight : bool, default False
            Use the thermodynamic weights; otherwise frames count as they were sampled.

        Raises
        ------
        ValueError
            If frames have several temperatures and none is given, or none has that given.
        """
        temperatures = np.asarray(dataset.temperatures)
        if temperature is None:
            temperature = single_temperature(temperatures)
        chosen = np.abs(temperatures - temperature) < 0.01
        if not chosen.any():
            raise ValueError(
                f"No frame has {temperature:g} K; those of {dataset.path} have "
                f"{_listed(np.unique(temperatures))}. Fit at one of these."
            )
        pick = slice(None) if chosen.all() else chosen
        boxes = dataset.boxes
        return cls(
            np.asarray(dataset.positions)[pick],
            dataset.types,
            list(dataset.type_names),
            dataset.bonds,
            None if boxes is None else np.asarray(boxes)[pick],
            dataset.molecules,
            np.asarray(dataset.weights)[pick] if reweight else None,
        )

    def frames(self) -> Tensor:
        """Positions (F, n_beads, 3) in double precision.

        Raises
        ------
        ValueError
            If their shape is not that of all beads.
        """
        frames = torch.from_numpy(np.ascontiguousarray(self.positions, dtype=np.float64))
        beads = len(np.asarray(self.types))
        if frames.ndim != 3 or frames.shape[1:] != (beads, 3):
            raise ValueError(
                f"Positions have shape {tuple(frames.shape)}, but (frames, {beads}, 3) is expected."
            )
        return frames

    def cells(self) -> Tensor | None:
        """Boxes (F, 3, 3) in double precision.

        Raises
        ------
        ValueError
            If they do not fit the frames or are not reduced.
        """
        if self.boxes is None:
            return None
        cells = torch.from_numpy(np.ascontiguousarray(self.boxes, dtype=np.float64))
        check_boxes(cells)
        if cells.shape != (len(self.positions), 3, 3):
            raise ValueError(
                f"There are {len(self.positions)} frames, but boxes of shape "
                f"{tuple(cells.shape)}; give one for each frame."
            )
        return cells

    def frame_weights(self) -> np.ndarray | None:
        """Weights (F,).

        Raises
        ------
        ValueError
            If they are not finite, not positive in sum, or one is negative.
        """
        if self.weights is None:
            return None
        weights = np.asarray(self.weights, dtype=np.float64)
        if weights.shape != (len(self.positions),):
            raise ValueError(
                f"There are {len(self.positions)} frames, but weights of shape {weights.shape}; "
                "give one for each frame."
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
            raise ValueError(
                "Weights of frames must be finite, not negative, and not all zero; check the "
                "reweighting."
            )
        return weights


class Samples(NamedTuple):
    """Values of a coordinate (nm or rad) with their weights, None if all count alike."""

    values: np.ndarray
    weights: np.ndarray | None


def term_samples(
    system: SystemFrames, kind: type[BondedTerm], terms: np.ndarray, rows: np.ndarray
) -> dict[int, Samples]:
    """Values of all terms, gathered by row.

    Parameters
    ----------
    system : SystemFrames
    kind : type of BondedTerm
        Gives the coordinate.
    terms : numpy.ndarray, shape (n, size)
        Beads.
    rows : numpy.ndarray of int, shape (n,)
        A number for each term.

    Returns
    -------
    dict of int to Samples
    """
    frames, cells, weights = system.frames(), system.cells(), system.frame_weights()
    result = {}
    for row in np.unique(rows).tolist():
        parts = [_values(frames, cells, kind, term) for term in terms[rows == row]]
        result[row] = Samples(
            np.concatenate(parts), None if weights is None else np.tile(weights, len(parts))
        )
    return result


def pair_samples(
    system: SystemFrames, space: PairSpace, kind_rows: np.ndarray
) -> dict[int, Samples]:
    """Distances of pairs that are not bonded, gathered by row.

    All distances of small systems without a box; otherwise up to 1.2 nm or half of the smallest
    box. Of many frames every so many are used, so that at most some ten million distances are.

    Parameters
    ----------
    system : SystemFrames
    space : PairSpace
        Its pairs.
    kind_rows : numpy.ndarray of int, shape (n, n)
        A number for each pair of kinds of bead.

    Returns
    -------
    dict of int to Samples
    """
    frames, cells, weights = system.frames(), system.cells(), system.frame_weights()
    size = space.n_pairs if space.n_beads <= ALL_PAIRS_BEADS else _NEIGHBOURS * space.n_beads
    stride = max(1, len(frames) * size // _MOST_DISTANCES)
    frames = frames[::stride]
    cells = None if cells is None else cells[::stride]
    weights = None if weights is None else weights[::stride]
    longest = np.inf
    if cells is not None and len(cells):
        half = 0.5 * float(torch.diagonal(cells, dim1=-2, dim2=-1).min())
        longest = min(LONGEST_PAIR, half)
    elif space.n_beads > ALL_PAIRS_BEADS:
        longest = LONGEST_PAIR
    found: dict[str, list[np.ndarray]] = {"values": [], "rows": [], "frames": []}
    for frame, first, second, shifts in space.near(frames, cells, longest):
        (distance,) = Pair.features([frames[frame, second] - frames[frame, first] + shifts])
        found["values"].append(distance.numpy())
        found["rows"].append(kind_rows[space.kinds[first.numpy()], space.kinds[second.numpy()]])
        found["frames"].append(frame.numpy())
    values, rows, owners = (
        np.concatenate(parts) if parts else np.empty(0) for parts in found.values()
    )
    result = {}
    for row in np.unique(kind_rows).tolist():
        own = rows == row
        result[row] = Samples(
            values[own], None if weights is None else weights[owners[own].astype(np.int64)]
        )
    return result


def single_temperature(temperatures: np.ndarray) -> float:
    """Temperature of all frames in K.

    Raises
    ------
    ValueError
        If there are no frames or several temperatures.
    """
    found = np.unique(temperatures)
    if len(found) != 1:
        raise ValueError(
            f"The frames have {len(found)} temperatures ({_listed(found)}), but one is expected; "
            "give the temperature."
            if len(found)
            else "The dataset has no frames; sample some."
        )
    return float(found[0])


def _values(
    frames: Tensor, cells: Tensor | None, kind: type[BondedTerm], term: np.ndarray
) -> np.ndarray:
    points = [frames[:, bead] for bead in term.tolist()]
    steps = [after - before for before, after in pairwise(points)]
    if cells is not None:
        steps = [minimum_image(step[:, None], cells)[:, 0] for step in steps]
    return kind.coordinate.value(kind.coordinate.features(steps)).numpy()


def _listed(temperatures: np.ndarray) -> str:
    return f"{', '.join(f'{t:g}' for t in temperatures)} K"
