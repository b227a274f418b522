"""Compare two ensembles: Ramachandran maps, internal coordinates, and what can go wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import mdtraj as md
import numpy as np

from openmmcg.analysis.distributions import (
    free_energy,
    histogram,
    histogram2d,
    jensen_shannon,
    weighted_moments,
)
from openmmcg.analysis.ensemble import Ensemble
from openmmcg.analysis.geometry import (
    Coordinate,
    backbone_torsions,
    bonded_coordinates,
    torsions,
)
from openmmcg.priors.topology import bead_graph, stereocentre_terms

HISTOGRAM_BINS = 80
BROKEN_BOND = 0.05
"""A bond this far from its reference mean counts as broken, nm."""

REGIONS = {
    "phi < 0, extended (beta, PII)": lambda phi, psi: _left(phi) & ~_helical(psi),
    "phi < 0, helical (alpha-R)": lambda phi, psi: _left(phi) & _helical(psi),
    "phi > 0 (alpha-L, C7ax)": lambda phi, psi: ~_left(phi),
}
"""Regions of the (phi, psi) map in degrees; together they cover all of it."""


def _left(phi: np.ndarray) -> np.ndarray:
    return (phi < 0) | (phi >= 125)


def _helical(psi: np.ndarray) -> np.ndarray:
    return (psi >= -125) & (psi < 50)


@dataclass(frozen=True, eq=False)
class Ramachandran:
    """The (phi, psi) distributions of reference and CG ensemble, pooled over residues.

    Attributes
    ----------
    reference, model : ndarray, (bins, bins)
        Probabilities over [-180, 180] degrees, first axis phi.
    divergence : float
        Jensen-Shannon divergence, natural logarithm.
    baseline : dict of float
        The same divergence between two halves of one ensemble: the value that
        sampling alone gives.
    free_energy_error : float
        Mean absolute free-energy difference, kJ/mol, weighted by the reference, over bins
        that both ensembles visit, with the mean difference removed; None if there is none.
    populations : dict
        Region name to (reference, CG) probability.
    crossings : dict of int or None
        Changes of the sign of phi between the cores of the two basins, per ensemble; None where
        walkers exchange configurations.
    """

    reference: np.ndarray
    model: np.ndarray
    divergence: float
    baseline: dict[str, float]
    free_energy_error: float | None
    populations: dict[str, tuple[float, float]]
    crossings: dict[str, int | None]

    def numbers(self) -> dict[str, Any]:
        """Everything but the maps, ready for JSON."""
        fields = {key: value for key, value in vars(self).items() if not hasattr(value, "shape")}
        return fields | {"bins": len(self.reference)}


@dataclass(frozen=True, eq=False)
class Distribution:
    """One internal coordinate in both ensembles.

    Attributes
    ----------
    coordinate : Coordinate
        What is compared.
    edges : ndarray, (bins + 1,)
        Bin edges in the coordinate's unit.
    reference, model : ndarray, (bins,)
        Probabilities; the end bins hold what lies outside.
    moments : tuple
        Mean and standard deviation of the reference, then of the model. Angles of
        torsions are taken relative to the reference's circular mean.
    divergence : float
        Jensen-Shannon divergence, natural logarithm.
    """

    coordinate: Coordinate
    edges: np.ndarray
    reference: np.ndarray
    model: np.ndarray
    moments: tuple[float, float, float, float]
    divergence: float

    def numbers(self) -> dict[str, Any]:
        """Everything but the histograms, ready for JSON."""
        names = ("reference_mean", "reference_sd", "model_mean", "model_sd")
        return {
            "kind": self.coordinate.kind,
            "label": self.coordinate.label,
            "unit": self.coordinate.unit,
            "count": len(self.coordinate.indices),
            "jsd": self.divergence,
            **dict(zip(names, self.moments, strict=True)),
        }


@dataclass(frozen=True)
class Stability:
    """Whether the CG molecules stayed whole and kept their handedness.

    Attributes
    ----------
    largest_bond_deviation : float
        Largest distance of any bond from its reference mean in any CG frame, nm.
    broken_frames : int
        CG frames with a bond more than 0.05 nm off (Goerlich and Zavadlav 2025).
    broken_replicas : int
        Replicas with at least one such frame.
    inverted_frames : int or None
        CG frames with a stereocentre of the wrong handedness; None if the reference has
        no stereocentre or itself shows both hands.
    frames : int
        CG frames looked at.
    """

    largest_bond_deviation: float
    broken_frames: int
    broken_replicas: int
    inverted_frames: int | None
    frames: int

    def numbers(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)


def compare_ramachandran(
    reference: Ensemble, model: Ensemble, topology: md.Topology, temperature: float, bins: int = 60
) -> Ramachandran | None:
    """Compare the (phi, psi) distributions; None if the beads define no such torsions.

    Parameters
    ----------
    reference, model : Ensemble
        Frames of one molecule with the same beads.
    topology : mdtraj.Topology
        CG topology of the molecule.
    temperature : float
        K.
    bins : int
        Bins along each axis.
    """
    pairs = backbone_torsions(topology)
    if len(pairs) == 0:
        return None
    maps: dict[str, np.ndarray] = {}
    baseline: dict[str, float] = {}
    regions: dict[str, list[float]] = {name: [] for name in REGIONS}
    crossings: dict[str, int | None] = {}
    for name, ensemble in (("reference", reference), ("model", model)):
        phi, psi = (torsions(ensemble.positions, pairs[:, k]) for k in (0, 1))
        weights = np.broadcast_to(ensemble.weights[:, None], phi.shape)
        maps[name] = histogram2d(phi, psi, weights, bins)
        for half, mask in (
            ("halves_in_time", ensemble.later_half()),
            ("halves_of_walkers", ensemble.odd_walkers()),
        ):
            if mask.any() and not mask.all():
                densities = [histogram2d(phi[m], psi[m], weights[m], bins) for m in (mask, ~mask)]
                baseline[f"{name}_{half}"] = jensen_shannon(*densities)
        for region, inside in REGIONS.items():
            regions[region].append(float(np.average(inside(phi, psi), weights=weights)))
        crossings[name] = basin_crossings(phi, ensemble.walkers) if ensemble.continuous else None
    return Ramachandran(
        maps["reference"],
        maps["model"],
        jensen_shannon(maps["reference"], maps["model"]),
        baseline,
        free_energy_error(maps["reference"], maps["model"], temperature),
        {name: (values[0], values[1]) for name, values in regions.items()},
        crossings,
    )


def basin_crossings(phi: np.ndarray, walkers: np.ndarray) -> int:
    """Count passages between the cores of the two phi basins.

    A walker changes sides when it reaches the other core (-150..-40 or 30..100 degrees);
    what lies between belongs to the core visited last, so recrossings of the barrier top
    do not count.

    Parameters
    ----------
    phi : ndarray, (F, K)
        Degrees, one column a residue.
    walkers : ndarray, (F,)
        Walker of each frame; frames of one walker in time order.
    """
    side = np.where((phi > -150) & (phi < -40), -1, np.where((phi > 30) & (phi < 100), 1, 0))
    count = 0
    for walker in np.unique(walkers):
        for column in side[walkers == walker].T:
            visited = column[column != 0]
            count += int(np.count_nonzero(visited[1:] != visited[:-1]))
    return count


def free_energy_error(reference: np.ndarray, model: np.ndarray, temperature: float) -> float | None:
    """Mean absolute free-energy difference in kJ/mol, weighted by the reference.

    Only bins visited by both count; the weighted mean difference, an arbitrary constant, is
    taken out first. None when no bin is shared.
    """
    shared = (reference > 0) & (model > 0)
    if not shared.any():
        return None
    weights = reference[shared]
    difference = (free_energy(model, temperature) - free_energy(reference, temperature))[shared]
    difference = difference - np.average(difference, weights=weights)
    return float(np.average(np.abs(difference), weights=weights))


def compare_coordinates(
    reference: Ensemble, model: Ensemble, bonds: np.ndarray, names: list[str]
) -> list[Distribution]:
    """Compare bonds, angles and impropers, grouped by bead types.

    Parameters
    ----------
    reference, model : Ensemble
        Frames of one molecule with the same beads.
    bonds : ndarray, (n_bonds, 2)
        Bonded beads.
    names : list of str
        Bead type name of each bead.
    """
    return [
        _compare(coordinate, reference, model) for coordinate in bonded_coordinates(bonds, names)
    ]


def _compare(coordinate: Coordinate, reference: Ensemble, model: Ensemble) -> Distribution:
    values = [coordinate.values(ensemble.positions) for ensemble in (reference, model)]
    weights = [
        np.broadcast_to(ensemble.weights[:, None], value.shape)
        for ensemble, value in zip((reference, model), values, strict=True)
    ]
    if coordinate.kind == "improper":
        values = _unwrapped(values, weights[0])
    edges = _edges(values[0], values[1])
    densities = [histogram(v, w, edges) for v, w in zip(values, weights, strict=True)]
    moments = [weighted_moments(v, w) for v, w in zip(values, weights, strict=True)]
    return Distribution(
        coordinate,
        edges,
        densities[0],
        densities[1],
        (*moments[0], *moments[1]),
        jensen_shannon(densities[0], densities[1]),
    )


def _unwrapped(values: list[np.ndarray], weights: np.ndarray) -> list[np.ndarray]:
    """Move torsions to within 180 degrees of the reference's circular mean."""
    phases = np.exp(1j * np.radians(values[0]))
    centre = np.degrees(np.angle(np.average(phases, weights=weights)))
    return [centre + (value - centre + 180) % 360 - 180 for value in values]


def _edges(reference: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Bins over the bulk of both samples; a few extreme values must not stretch them."""
    bulk = np.array([np.quantile(values, (0.001, 0.999)) for values in (reference, model)])
    low, high = np.quantile(reference, (0.001, 0.999))
    width = max(high - low, 1e-6)
    start = max(bulk[:, 0].min(), low - width) - 0.1 * width
    end = min(bulk[:, 1].max(), high + width) + 0.1 * width
    return np.linspace(start, end, HISTOGRAM_BINS + 1)


def check_stability(
    reference: Ensemble, model: Ensemble, bonds: np.ndarray, names: list[str]
) -> Stability:
    """Look for broken bonds and inverted stereocentres in the CG frames.

    Parameters
    ----------
    reference, model : Ensemble
        Frames of one molecule with the same beads.
    bonds : ndarray, (n_bonds, 2)
        Bonded beads.
    names : list of str
        Bead type name of each bead.
    """
    bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    deviations = np.zeros(model.n_frames)
    if len(bonds):
        means = np.average(_lengths(reference.positions, bonds), axis=0, weights=reference.weights)
        deviations = np.abs(_lengths(model.positions, bonds) - means).max(axis=1)
    broken = deviations > BROKEN_BOND
    return Stability(
        float(deviations.max()),
        int(broken.sum()),
        len(np.unique(model.walkers[broken])),
        _inverted_frames(reference, model, stereocentre_terms(bead_graph(names, bonds))),
        model.n_frames,
    )


def _lengths(positions: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[:, bonds[:, 1]] - positions[:, bonds[:, 0]], axis=-1)


def _inverted_frames(reference: Ensemble, model: Ensemble, terms: np.ndarray) -> int | None:
    inverted = np.zeros(model.n_frames, dtype=bool)
    found = False
    for beads in terms:
        hands = np.sign(_triple_product(reference.positions, beads))
        if np.average(hands == hands[0], weights=reference.weights) < 0.999:
            continue
        found = True
        inverted |= np.sign(_triple_product(model.positions, beads)) != hands[0]
    return int(inverted.sum()) if found else None


def _triple_product(positions: np.ndarray, beads: np.ndarray) -> np.ndarray:
    """Signed volume at the second bead of an improper, spanned by its three neighbours."""
    centre = positions[:, beads[1]]
    first, second, third = (positions[:, bead] - centre for bead in beads[[0, 2, 3]])
    return np.einsum("fi,fi->f", np.cross(first, second), third)
