"""Bonded and intermolecular distances of beads, over frames of a periodic system."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from openmmcg.mapping.linting.system import BeadSystem
from openmmcg.pairs import PairList

ONSET = 0.01
"""The radial distribution function counts as begun above this value."""
BIN = 0.01
"""Width of the bins of distances, nm."""
_MARGIN = 0.15
_LEAST_CUTOFF = 0.5
Key = tuple[int, int]


@dataclass(frozen=True)
class PairGap:
    """Distances of bonded and intermolecular pairs of beads, in nm.

    Attributes
    ----------
    bond_mean, bond_min, bond_max : float
        Of all bonds and frames.
    inter_min : float or None
        Smallest distance of two beads of different molecules; None if all are further apart
        than was looked.
    onset : float or None
        Centre of the first bin where the radial distribution function g(r) of beads of different
        molecules exceeds 0.01; None without a box, or if that is further than was looked.
    """

    bond_mean: float
    bond_min: float
    bond_max: float
    inter_min: float | None
    onset: float | None

    @property
    def gap(self) -> float | None:
        """Smallest intermolecular less largest bonded distance."""
        return None if self.inter_min is None else self.inter_min - self.bond_max

    def numbers(self) -> dict[str, float | None]:
        """Return JSON-able values, to 1e-6 nm."""
        values = {name: getattr(self, name) for name in _NUMBERS}
        return {name: None if v is None else round(v, 6) for name, v in values.items()}


_NUMBERS = ("bond_mean", "bond_min", "bond_max", "inter_min", "onset", "gap")


@dataclass(frozen=True, eq=False)
class GapTable:
    """Gaps of a system.

    Attributes
    ----------
    overall : PairGap
        All bonds and all intermolecular pairs.
    pairs : dict
        Of the pairs of types that are bonded, by the two types in ascending order.
    foreign : float
        Fraction of the beads with bonds whose nearest neighbour is in another molecule.
    frames : int
    cutoff : float
        Intermolecular distances up to here were looked at, nm.
    bond_counts, inter_counts : (n_bins,) int64
        Histograms of all bonded and all intermolecular distances in bins of `BIN`.
    """

    overall: PairGap
    pairs: dict[Key, PairGap]
    foreign: float
    frames: int
    cutoff: float
    bond_counts: np.ndarray
    inter_counts: np.ndarray


def measure_gap(
    system: BeadSystem, positions: np.ndarray, boxes: np.ndarray | None = None
) -> GapTable:
    """Measure bonded and intermolecular distances.

    The range of the search grows until it holds the nearest intermolecular pairs and the onset
    of g(r), at most to half the box.

    Parameters
    ----------
    system : BeadSystem
        With bonds, and with two molecules or more.
    positions : (F, n_beads, 3)
        nm.
    boxes : (F, 3, 3), optional
        Box vectors as rows in reduced form, nm.
    """
    bonds = _Bonds(system)
    for frame, box in _frames(positions, boxes):
        bonds.add(frame, box)
    if boxes is None:
        limit = float(np.linalg.norm(np.ptp(np.asarray(positions), axis=1), axis=1).max())
    else:
        limit = 0.4999 * float(np.asarray(boxes)[:, range(3), range(3)].min())
    cutoff = min(limit, max(_LEAST_CUTOFF, bonds.largest + _MARGIN))
    while True:
        contacts = _Contacts(system, cutoff)
        for frame, box in _frames(positions, boxes):
            contacts.add(frame, box)
        table = _table(bonds, contacts, len(positions))
        complete = table.overall.inter_min is not None and (
            boxes is None or table.overall.onset is not None
        )
        if complete or cutoff >= limit:
            return table
        cutoff = min(limit, 1.5 * cutoff)


def minimum_image(vectors: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """Return vectors (..., 3) less the box vectors (3, 3; reduced form) that make them short."""
    if box is None:
        return vectors
    for k in (2, 1, 0):
        vectors = vectors - np.round(vectors[..., k : k + 1] / box[k, k]) * box[k]
    return vectors


def _frames(
    positions: np.ndarray, boxes: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    for number, frame in enumerate(positions):
        box = None if boxes is None else np.tril(np.asarray(boxes[number], dtype=np.float64))
        yield np.asarray(frame, dtype=np.float64), box


def _pair_keys(types: np.ndarray, pairs: np.ndarray, n_types: int) -> np.ndarray:
    """Return one number for the two types, in any order, of each of the pairs (2, n)."""
    low, high = np.sort(types[pairs], axis=0)
    return np.asarray(low * n_types + high)


class _Bonds:
    """Bonded distances: count, sum, extremes and histogram for each pair of types."""

    def __init__(self, system: BeadSystem) -> None:
        self.bonds = np.asarray(system.bonds)
        keys = _pair_keys(np.asarray(system.types), self.bonds.T, len(system.type_names))
        self.keys, self.row = np.unique(keys, return_inverse=True)
        self.count = 0
        self.sums = np.zeros(len(self.keys))
        self.low = np.full(len(self.keys), np.inf)
        self.high = np.zeros(len(self.keys))
        self.histogram = np.zeros(0, dtype=np.int64)

    @property
    def largest(self) -> float:
        return float(self.high.max())

    def add(self, frame: np.ndarray, box: np.ndarray | None) -> None:
        i, j = self.bonds.T
        lengths = np.linalg.norm(minimum_image(frame[j] - frame[i], box), axis=1)
        self.count += 1
        np.add.at(self.sums, self.row, lengths)
        np.minimum.at(self.low, self.row, lengths)
        np.maximum.at(self.high, self.row, lengths)
        self.histogram = _added(self.histogram, np.bincount((lengths / BIN).astype(np.int64)))

    def mean(self, row: int | slice) -> float:
        numbers = np.bincount(self.row)[row]
        return float(np.sum(self.sums[row]) / (self.count * np.sum(numbers)))


class _Contacts:
    """Intermolecular distances up to a cutoff, for bonded pairs of types and over all."""

    def __init__(self, system: BeadSystem, cutoff: float) -> None:
        self.types = np.asarray(system.types)
        self.n_types = len(system.type_names)
        self.cutoff = cutoff
        self.list = PairList(system.molecules.tolist(), system.bonds, cutoff, skin=0.0)
        self.keys = np.unique(_pair_keys(self.types, np.asarray(system.bonds).T, self.n_types))
        self.bins = max(1, int(np.floor(cutoff / BIN)))
        # The last row is for pairs of types without a bond.
        self.low = np.full(len(self.keys) + 1, np.inf)
        self.histogram = np.zeros((len(self.keys) + 1, self.bins), dtype=np.int64)
        self.densities = 0.0
        self.possible = _possible_pairs(
            self.types, np.asarray(system.molecules), self.keys, self.n_types
        )
        self.bonded = np.unique(system.bonds)
        self.foreign: list[float] = []

    def add(self, frame: np.ndarray, box: np.ndarray | None) -> None:
        pairs, shifts, edge_types, count = self.list.update(frame, box)
        i, j = pairs[:, :count]
        vectors = frame[j] + shifts[:count] - frame[i]
        lengths = np.linalg.norm(vectors, axis=1)
        inter = edge_types[:count] == 0
        nearest = np.full((2, len(frame)), np.inf)
        np.minimum.at(nearest[1], i[inter], lengths[inter])
        np.minimum.at(nearest[0], i[~inter], lengths[~inter])
        own, other = nearest[:, self.bonded]
        self.foreign.append(float(np.mean(other < own)))
        # Each pair is listed in both directions.
        once = inter & (i < j)
        keys = _pair_keys(self.types, np.stack([i[once], j[once]]), self.n_types)
        row = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        row = np.where(self.keys[row] == keys, row, len(self.keys))
        np.minimum.at(self.low, row, lengths[once])
        bins = (lengths[once] / BIN).astype(np.int64)
        inside = bins < self.bins
        np.add.at(self.histogram, (row[inside], bins[inside]), 1)
        if box is not None:
            self.densities += 1.0 / float(np.linalg.det(box))

    def onset(self, counts: np.ndarray, possible: float) -> float | None:
        """Return the first bin centre where counts exceed `ONSET` times those of an ideal gas."""
        if self.densities == 0.0 or possible == 0:
            return None
        edges = BIN * np.arange(self.bins + 1)
        shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
        above = np.flatnonzero(counts > ONSET * possible * self.densities * shells)
        return float(BIN * (above[0] + 0.5)) if len(above) else None


def _possible_pairs(
    types: np.ndarray, molecules: np.ndarray, keys: np.ndarray, n_types: int
) -> np.ndarray:
    """Count the pairs of beads of different molecules, by pair of types (in `keys`), and all."""
    totals = np.bincount(types, minlength=n_types).astype(np.float64)
    held = np.unique(molecules * n_types + types, return_counts=True)
    by_type: dict[int, dict[int, int]] = {}
    for code, count in zip(*(values.tolist() for values in held), strict=True):
        by_type.setdefault(code % n_types, {})[code // n_types] = count
    result = []
    for key in keys.tolist():
        low, high = divmod(key, n_types)
        if low not in by_type or high not in by_type:
            result.append(0.0)
            continue
        inside = sum(n * by_type[high].get(m, 0) for m, n in by_type[low].items())
        pairs = totals[low] * totals[high] - inside
        result.append(pairs / 2 if low == high else pairs)
    sizes = np.bincount(molecules).astype(np.float64)
    return np.array([*result, (len(types) ** 2 - np.sum(sizes**2)) / 2])


def _table(bonds: _Bonds, contacts: _Contacts, frames: int) -> GapTable:
    def distance(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    pairs = {}
    for row, key in enumerate(bonds.keys.tolist()):
        pairs[divmod(key, contacts.n_types)] = PairGap(
            bonds.mean(row),
            float(bonds.low[row]),
            float(bonds.high[row]),
            distance(contacts.low[row]),
            contacts.onset(contacts.histogram[row], contacts.possible[row]),
        )
    everything = contacts.histogram.sum(axis=0)
    overall = PairGap(
        bonds.mean(slice(None)),
        float(bonds.low.min()),
        bonds.largest,
        distance(contacts.low.min()),
        contacts.onset(everything, contacts.possible[-1]),
    )
    return GapTable(
        overall,
        pairs,
        float(np.mean(contacts.foreign)),
        frames,
        contacts.cutoff,
        bonds.histogram,
        everything,
    )


def _added(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    result = longer.copy()
    result[: len(shorter)] += shorter
    return result
