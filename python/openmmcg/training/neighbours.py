"""Pairs of beads of every frame, searched once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from openmmcg.pairs import PairList

_NAMES = ("pairs", "images", "edge_types")
_TYPES: dict[str, np.dtype[Any]] = {
    "pairs": np.dtype("<i4"),
    "images": np.dtype("i1"),
    "edge_types": np.dtype("i1"),
}
_FRAMES_WRITTEN = 100
_WIDTH = {"pairs": 2, "images": 3, "edge_types": 1}


class FramePairs:
    """Pairs within reach in every frame, each once, with the periodic image of the second bead.

    Parameters
    ----------
    offsets : numpy.ndarray of int64, shape (F + 1,)
        Where the pairs of a frame begin.
    arrays : dict of str to numpy.ndarray
        Of all pairs, one after the other: pairs (P, 2), images (P, 3), edge_types (P, 1).
    """

    def __init__(self, offsets: np.ndarray, arrays: dict[str, np.ndarray]) -> None:
        self._offsets = offsets
        self._arrays = arrays

    @classmethod
    def search(
        cls,
        positions: np.ndarray,
        boxes: np.ndarray | None,
        bonds: np.ndarray,
        molecules: Sequence[int] | np.ndarray,
        reach: float,
        folder: Path | None = None,
    ) -> FramePairs:
        """Search the pairs of all frames.

        Parameters
        ----------
        positions : numpy.ndarray, shape (F, N, 3)
            nm.
        boxes : numpy.ndarray, shape (F, 3, 3), or None
            nm.
        bonds, molecules : array_like of int
            Topology, which gives the edge types.
        reach : float
            Largest distance in nm.
        folder : Path, optional
            Existing folder for memory-mapped files; by default pairs are kept in memory.

        Returns
        -------
        FramePairs

        Raises
        ------
        ValueError
            If the reach is more than half of a box.
        """
        search = PairList(np.asarray(molecules).tolist(), bonds, reach)
        offsets = np.zeros(len(positions) + 1, dtype=np.int64)
        store = _Store(folder)
        for frame, points in enumerate(positions):
            box = None if boxes is None else np.asarray(boxes[frame], dtype=np.float64)
            pairs, shifts, kinds, count = search.update(points, box)
            once = np.flatnonzero(pairs[0, :count] < pairs[1, :count])
            images = np.zeros((len(once), 3))
            if box is not None:
                images = np.rint(np.linalg.solve(box.T, shifts[once].T).T)
            store.append({"pairs": pairs[:, once].T, "images": images, "edge_types": kinds[once]})
            offsets[frame + 1] = offsets[frame] + len(once)
        return cls(offsets, store.close())

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._offsets) - 1

    @property
    def mean_count(self) -> float:
        """Mean number of pairs in a frame, each counted once."""
        return float(self._offsets[-1]) / max(1, len(self))

    def of(
        self, frames: np.ndarray, n_beads: int, boxes: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs of a batch of frames, laid one after the other, in both directions.

        Parameters
        ----------
        frames : numpy.ndarray of int, shape (B,)
        n_beads : int
            Beads of a frame.
        boxes : torch.Tensor, shape (B, 3, 3), or None
            Boxes of these frames.

        Returns
        -------
        pairs : torch.Tensor of int64, shape (2, P)
        shifts : torch.Tensor, shape (P, 3)
            nm.
        edge_types : torch.Tensor of int64, shape (P,)
        """
        spans = [slice(self._offsets[frame], self._offsets[frame + 1]) for frame in frames]
        counts = torch.tensor([span.stop - span.start for span in spans])
        owner = torch.repeat_interleave(torch.arange(len(spans)), counts)
        found = {
            name: torch.from_numpy(np.concatenate([self._arrays[name][span] for span in spans]))
            for name in _NAMES
        }
        pairs = found["pairs"].long().T + owner * n_beads
        shifts = torch.zeros((len(owner), 3))
        if boxes is not None:
            shifts = torch.einsum("pk,pkx->px", found["images"].to(boxes), boxes[owner])
        kinds = found["edge_types"][:, 0].long()
        return (
            torch.cat([pairs, pairs.flip(0)], dim=1),
            torch.cat([shifts, -shifts]),
            torch.cat([kinds, kinds]),
        )


class _Store:
    """Arrays that grow, in memory or in files."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._parts: dict[str, list[np.ndarray]] = {name: [] for name in _NAMES}

    def append(self, values: dict[str, np.ndarray]) -> None:
        for name, value in values.items():
            part = np.ascontiguousarray(value, dtype=_TYPES[name]).reshape(-1, _WIDTH[name])
            self._parts[name].append(part)
        if self._folder is not None and len(self._parts["pairs"]) >= _FRAMES_WRITTEN:
            self._write(self._folder)

    def close(self) -> dict[str, np.ndarray]:
        if self._folder is None:
            return {name: np.concatenate(parts) for name, parts in self._parts.items()}
        self._write(self._folder)
        return {name: self._mapped(self._folder / f"{name}.bin", name) for name in _NAMES}

    def _write(self, folder: Path) -> None:
        for name, parts in self._parts.items():
            with open(folder / f"{name}.bin", "ab") as file:
                for part in parts:
                    file.write(part.tobytes())
            parts.clear()

    @staticmethod
    def _mapped(path: Path, name: str) -> np.ndarray:
        if path.stat().st_size == 0:
            return np.zeros((0, _WIDTH[name]), dtype=_TYPES[name])
        data: np.ndarray = np.memmap(path, dtype=_TYPES[name], mode="r+")
        return data.reshape(-1, _WIDTH[name])
