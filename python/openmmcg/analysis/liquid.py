"""Structure of liquids: radial and angular distributions between molecules.

Both come from the engine's pair list, so any triclinic box will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from openmmcg.analysis.distributions import jensen_shannon
from openmmcg.analysis.ensemble import Ensemble
from openmmcg.pairs import PairList

RADIAL_BIN = 0.005
"""nm."""
ANGULAR_BINS = 90
LARGEST_DISTANCE = 1.2
"""Where radial distributions end, nm, unless the box is too small for it."""
MOST_FRAMES = 1000
"""Frames looked at, evenly over the ensemble."""
_SHELL = 1.7
"""The first shell ends where g is least between its peak and this multiple of the peak's distance."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A distribution of a liquid in both ensembles.

    Attributes
    ----------
    kind : str
        ``rdf`` (g over nm) or ``adf`` (density over degrees, per degree).
    label : str
        Bead types of the pair, or of the beads in the middle.
    x, reference, model : ndarray, (bins,)
    error : float
        Mean absolute difference of g, or Jensen-Shannon divergence of the angles.
    """

    kind: str
    label: str
    x: np.ndarray
    reference: np.ndarray
    model: np.ndarray
    error: float

    def numbers(self) -> dict[str, object]:
        """Everything but the curves, ready for JSON."""
        return {"kind": self.kind, "label": self.label, "error": self.error}


def compare_liquid(
    reference: Ensemble, model: Ensemble, names: Sequence[str], molecules: Sequence[int]
) -> list[Curve]:
    """Compare radial and angular distributions between molecules; empty without a box.

    Angles are those at a bead between its neighbours in the first shell, which ends where the
    reference's g is least after its first peak.

    Parameters
    ----------
    reference, model : Ensemble
        Frames with the same beads; both with boxes or both without.
    names : sequence of str
        Bead type name of each bead.
    molecules : sequence of int
        Molecule of each bead.
    """
    ensembles = reference, model
    if any(ensemble.boxes is None for ensemble in ensembles) or len(set(molecules)) < 2:
        return []
    reach = min(LARGEST_DISTANCE, *(_largest_distance(ensemble) for ensemble in ensembles))
    radial = [radial_distributions(ensemble, names, molecules, reach) for ensemble in ensembles]
    r = radial[0][0]
    curves = []
    for label, g in radial[0][1].items():
        other = radial[1][1][label]
        curves.append(Curve("rdf", label, r, g, other, float(np.mean(np.abs(other - g)))))
    blind = ["any"] * len(names)
    shell = first_shell(*_only(radial_distributions(reference, blind, molecules, reach)))
    angular = [angular_distributions(ensemble, names, molecules, shell) for ensemble in ensembles]
    theta = angular[0][0]
    for label, density in angular[0][1].items():
        if label in angular[1][1]:
            other = angular[1][1][label]
            divergence = jensen_shannon(density, other)
            curves.append(Curve("adf", label, theta, density, other, divergence))
    return curves


def radial_distributions(
    ensemble: Ensemble,
    names: Sequence[str],
    molecules: Sequence[int],
    reach: float = LARGEST_DISTANCE,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Radial distribution functions between beads of different molecules.

    g is 1 for an ideal gas of the same number of pairs in the same box.

    Parameters
    ----------
    ensemble : Ensemble
        With boxes.
    names : sequence of str
        Bead type name of each bead.
    molecules : sequence of int
        Molecule of each bead.
    reach : float
        Largest distance, nm; at most half of the smallest box.

    Returns
    -------
    r : ndarray, (bins,)
        Centres of the bins, nm.
    g : dict of str to ndarray, (bins,)
        By pair of types, such as ``A-B``.
    """
    edges = np.linspace(0, reach, round(reach / RADIAL_BIN) + 1)
    types, kinds = _types(names)
    count = len(types)
    members = np.eye(count)[kinds]
    totals = members.sum(axis=0)
    numbers = np.outer(totals, totals) - _within_molecules(members, molecules)
    sums = np.zeros((count * count, len(edges) - 1))
    total = 0.0
    for weight, box, pairs, vectors in _pairs(ensemble, molecules, reach):
        r = np.linalg.norm(vectors, axis=1)
        bins = np.minimum((r / reach * (len(edges) - 1)).astype(np.int64), len(edges) - 2)
        index = (kinds[pairs[0]] * count + kinds[pairs[1]]) * (len(edges) - 1) + bins
        volume = abs(np.linalg.det(box))
        sums += weight * volume * np.bincount(index, minlength=sums.size).reshape(sums.shape)
        total += weight
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    result = {}
    for a in range(count):
        for b in range(a, count):
            if numbers[a, b] > 0:
                g = sums[a * count + b] / (total * numbers[a, b] * shells)
                result[f"{types[a]}-{types[b]}"] = g
    return (edges[1:] + edges[:-1]) / 2, result


def angular_distributions(
    ensemble: Ensemble, names: Sequence[str], molecules: Sequence[int], shell: float
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Densities of the angle at a bead between two neighbours of other molecules.

    Parameters
    ----------
    ensemble : Ensemble
        With boxes.
    names : sequence of str
        Bead type name of each bead.
    molecules : sequence of int
        Molecule of each bead.
    shell : float
        Largest distance of a neighbour, nm.

    Returns
    -------
    theta : ndarray, (90,)
        Centres of the bins, degrees.
    density : dict of str to ndarray, (90,)
        Per degree, by the type of the bead in the middle; types without neighbours are left out.
    """
    edges = np.linspace(0, 180, ANGULAR_BINS + 1)
    types, kinds = _types(names)
    counts = np.zeros((len(types), ANGULAR_BINS))
    for weight, _, pairs, vectors in _pairs(ensemble, molecules, shell):
        unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
        starts = np.searchsorted(pairs[0], np.arange(len(kinds) + 1))
        numbers = np.diff(starts)
        for number in np.unique(numbers[numbers > 1]):
            centres = np.flatnonzero(numbers == number)
            sides = unit[starts[centres][:, None] + np.arange(number)]
            first, second = np.triu_indices(number, 1)
            cosines = np.einsum("cki,cki->ck", sides[:, first], sides[:, second])
            angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
            for kind in np.unique(kinds[centres]):
                found = np.histogram(angles[kinds[centres] == kind], edges)[0]
                counts[kind] += weight * found
    width = edges[1]
    densities = {
        types[kind]: row / (row.sum() * width) for kind, row in enumerate(counts) if row.sum() > 0
    }
    return (edges[1:] + edges[:-1]) / 2, densities


def first_shell(r: np.ndarray, g: np.ndarray) -> float:
    """Distance at which the first shell of neighbours ends, nm."""
    smooth = np.convolve(g, np.ones(5) / 5, mode="same")
    peak = int(smooth.argmax())
    window = slice(peak, max(peak + 2, int(np.searchsorted(r, _SHELL * r[peak]))))
    return float(r[window][smooth[window].argmin()])


def _only(curves: tuple[np.ndarray, dict[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    x, by_label = curves
    return x, next(iter(by_label.values()))


def _largest_distance(ensemble: Ensemble) -> float:
    assert ensemble.boxes is not None
    return 0.5 * float(np.diagonal(ensemble.boxes, axis1=1, axis2=2).min()) * (1 - 1e-6)


def _types(names: Sequence[str]) -> tuple[list[str], np.ndarray]:
    types = list(dict.fromkeys(names))
    return types, np.array([types.index(name) for name in names])


def _within_molecules(members: np.ndarray, molecules: Sequence[int]) -> np.ndarray:
    """Number of ordered pairs (types, types) of beads in one molecule, a bead and itself included."""
    sums = np.zeros((max(molecules) + 1, members.shape[1]))
    np.add.at(sums, np.asarray(molecules), members)
    return sums.T @ sums


def _pairs(
    ensemble: Ensemble, molecules: Sequence[int], reach: float
) -> Iterator[tuple[float, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield weight, box, ordered pairs (2, P) of different molecules and their vectors (P, 3)."""
    assert ensemble.boxes is not None
    search = PairList([int(m) for m in molecules], [], reach, skin=0.0)
    step = max(1, -(-ensemble.n_frames // MOST_FRAMES))
    for frame in range(0, ensemble.n_frames, step):
        positions, box = ensemble.positions[frame], ensemble.boxes[frame]
        pairs, shifts, edge_types, count = search.update(positions, box)
        other = np.flatnonzero(edge_types[:count] == 0)
        pairs, shifts = pairs[:, other], shifts[other]
        vectors = positions[pairs[1]].astype(np.float64) + shifts - positions[pairs[0]]
        yield float(ensemble.weights[frame]), box, pairs, vectors
