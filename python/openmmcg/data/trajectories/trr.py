"""GROMACS TRR: read straight from the file, as its frames have fixed places.

A frame is a header in XDR (big-endian: magic number, version text, byte sizes of the blocks,
number of atoms, step, time, lambda) and the blocks box, virial, pressure, x, v and f in single or
double precision (GROMACS reference manual, "trr file format").
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from openmmcg.data.trajectories.base import Arrays, AtomTrajectory, Units

_MAGIC = 1993
_START = 24  # bytes of the magic number and "GMX_trn_file" with its lengths
_INTEGERS = 13
_SIZES = ("ir", "e", "box", "vir", "pres", "top", "sym", "x", "v", "f")
_NAMES = {"box": "boxes", "x": "positions", "f": "forces"}
_PROBES = 100


class _Layout(NamedTuple):
    """Where the blocks of a frame lie, in bytes from the start of the frame."""

    size: int
    n_atoms: int
    real: int
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]

    def holds(self, block: str) -> bool:
        return self.lengths[_SIZES.index(block)] > 0

    @property
    def labelled(self) -> bool:
        """Whether the frame can be a sample."""
        return self.holds("x") and self.holds("f")


class TRRTrajectory(AtomTrajectory):
    """A TRR file; nm, kJ/mol/nm. Frames without positions or forces are left out.

    Parameters
    ----------
    path : Path
    given : Units
        By the user; must agree.

    Raises
    ------
    ValueError
        If the file is not a TRR file, holds no complete frame, or the number of atoms changes.
    """

    def __init__(self, path: Path, given: Units) -> None:
        self.path = path
        self._bytes = path.stat().st_size
        self._file = open(path, "rb")  # noqa: SIM115 (closed by close)
        try:
            self._open(given)
        except BaseException:
            self._file.close()
            raise

    def _open(self, given: Units) -> None:
        first = self._layout(0)
        if first is None:
            raise ValueError(f"{self.path} is truncated within its first frame; write it again.")
        self.n_atoms = first.n_atoms
        starts = self._uniform_starts(first)
        if starts is not None:
            self._layouts, self._starts = [first], starts
            self._kinds = np.zeros(len(starts), dtype=np.int64)
        else:
            self._layouts, self._starts, self._kinds = self._scan()
        self.n_frames = len(self._starts)
        self.holds = frozenset(
            name for block, name in _NAMES.items() if all(k.holds(block) for k in self._layouts)
        )
        if "boxes" in self.holds and not (self._read(0, 1, 1)["boxes"] > 0).any():
            self.holds -= {"boxes"}  # GROMACS writes zeros without periodic boundaries
        self._set_units(Units("nm", "kJ/mol/nm"), given)

    def close(self) -> None:
        self._file.close()

    def _read(self, start: int, stop: int, stride: int) -> Arrays:
        rows = slice(start, stop, stride)
        starts, kinds = self._starts[rows], self._kinds[rows]
        arrays: Arrays = {}
        for kind in np.unique(kinds):
            layout, own = self._layouts[kind], kinds == kind
            raw = self._bytes_of(starts[own], layout)
            for block, name in _NAMES.items():
                if name not in self.holds:
                    continue
                values = _block(raw, layout, block)
                if own.all():
                    arrays[name] = values
                else:
                    empty = np.empty((len(starts), *values.shape[1:]), dtype=values.dtype)
                    arrays.setdefault(name, empty)[own] = values
        return arrays

    def _bytes_of(self, starts: np.ndarray, layout: _Layout) -> np.ndarray:
        """Return frames as rows of bytes; frames that follow each other are read in one go."""
        raw = np.empty((len(starts), layout.size), dtype=np.uint8)
        self._file.seek(int(starts[0]))
        if starts[-1] - starts[0] == layout.size * (len(starts) - 1):
            found = self._file.readinto(raw.data.cast("B"))
        else:
            found = 0
            for row, at in zip(raw, starts.tolist(), strict=True):
                self._file.seek(at)
                found += self._file.readinto(row.data)
        expected = np.array([*layout.lengths, layout.n_atoms], dtype=">i4").view(np.uint8)
        if found != raw.size or (raw[:, _START : _START + len(expected)] != expected).any():
            raise ValueError(
                f"{self.path} is damaged, or changed while it was read: some of {len(starts)} "
                f"frames behind byte {starts[0]} have another layout; write it again."
            )
        return raw

    def _layout(self, start: int) -> _Layout | None:
        """Read the header at a byte; None if it, or the frame, reaches beyond the end."""
        self._file.seek(start)
        head = self._file.read(_START + 4 * _INTEGERS)
        if len(head) >= 4 and int.from_bytes(head[:4], "big") != _MAGIC:
            raise ValueError(
                f"{self.path} is not a TRR file, or damaged at byte {start}; write it again."
            )
        if len(head) < _START + 4 * _INTEGERS:
            return None
        numbers = np.frombuffer(head, dtype=">i4", offset=_START)
        lengths = tuple(int(n) for n in numbers[: len(_SIZES)])
        n_atoms = int(numbers[len(_SIZES)])
        vectors = {name: length for name, length in zip(_SIZES, lengths, strict=True) if length}
        real = vectors["box"] // 9 if "box" in vectors else 0
        for name in ("x", "v", "f"):
            real = real or vectors.get(name, 0) // max(3 * n_atoms, 1)
        if real not in (4, 8) or min(lengths) < 0:
            raise ValueError(
                f"{self.path} is damaged at byte {start}: its header makes no sense; write it "
                "again."
            )
        offsets = _START + 4 * _INTEGERS + 2 * real + np.concatenate([[0], np.cumsum(lengths)])
        if start + offsets[-1] > self._bytes:
            return None
        return _Layout(int(offsets[-1]), n_atoms, real, tuple(offsets[:-1].tolist()), lengths)

    def _uniform_starts(self, first: _Layout) -> np.ndarray | None:
        """Return where frames start if all have the layout of the first, judged by probes."""
        count, rest = divmod(self._bytes, first.size)
        if rest or not first.labelled:
            return None
        starts = np.arange(count) * first.size
        for index in np.unique(np.linspace(0, count - 1, _PROBES).astype(int)):
            try:
                if self._layout(int(starts[index])) != first:
                    return None
            except ValueError:
                return None
        return starts

    def _scan(self) -> tuple[list[_Layout], np.ndarray, np.ndarray]:
        """Walk through all frames; return layouts, starts and kinds of those that are samples."""
        layouts: list[_Layout] = []
        starts: list[int] = []
        kinds: list[int] = []
        at = count = 0
        while at < self._bytes:
            layout = self._layout(at)
            if layout is None:
                self.damage = f"{self.path} is truncated in frame {count}"
                break
            if layout.n_atoms != self.n_atoms:
                raise ValueError(
                    f"{self.path} has {layout.n_atoms} atoms in frame {count}, {self.n_atoms} "
                    "before; map its parts one by one."
                )
            if layout.labelled:
                if layout not in layouts:
                    layouts.append(layout)
                starts.append(at)
                kinds.append(layouts.index(layout))
            at += layout.size
            count += 1
        self.left_out = count - len(starts)
        if not starts:
            raise ValueError(
                f"No frame of {self.path} has both positions and forces; run GROMACS with "
                "nstfout = nstxout."
            )
        return layouts, np.array(starts, dtype=np.int64), np.array(kinds, dtype=np.int64)


def _block(raw: np.ndarray, layout: _Layout, block: str) -> np.ndarray:
    """Return a block of frames (rows of bytes) as native numbers (n_frames, n, 3)."""
    index = _SIZES.index(block)
    at, length = layout.offsets[index], layout.lengths[index]
    values = raw[:, at : at + length].view(f">f{layout.real}")
    return values.astype(f"=f{layout.real}").reshape(len(raw), -1, 3)
