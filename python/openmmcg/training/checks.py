"""Checks of datasets before training: frames, units, bead types, cutoff and device."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import csr_array

from openmmcg.units import KB

if TYPE_CHECKING:
    from openmmcg.data import Dataset, Frames

CHUNK_VALUES = 3_000_000
"""Numbers of an array that are looked at together."""
_WRONG_UNITS = {
    1.0 / 41.84: "they seem to be in kcal/mol/Å; multiply them by 41.84",
    1.0 / 4.184: "they seem to be in kcal/mol/nm; multiply them by 4.184",
    41.84: "they seem to have been multiplied by 41.84 twice; divide them by 41.84",
    0.1: "they seem to be in kJ/mol/Å; multiply them by 10",
    10.0: "they or the positions seem to be ten times too large; check nm against Å",
    -1.0: "they seem to be gradients, which have the opposite sign; multiply them by -1",
}
_MATCH = 0.2
_BLOCKS = 20


@dataclass(frozen=True)
class Virial:
    """Measured over expected mean of force times displacement, and its standard error."""

    ratio: float
    error: float


def chunk_frames(n_beads: int) -> int:
    """Frames that are read together."""
    return max(1, CHUNK_VALUES // (3 * n_beads))


def check_frames(dataset: Dataset) -> None:
    """Refuse a dataset without frames or with values that are not finite.

    Raises
    ------
    ValueError
        Naming the dataset and the array.
    """
    if dataset.n_frames == 0:
        raise ValueError(
            f"The dataset {dataset.path} has no frames in the system {dataset.name!r}; sample some."
        )
    for chunk in dataset.chunks(chunk_frames(dataset.n_beads)):
        for name in ("positions", "forces", "temperatures", "weights", "boxes", "force_errors"):
            array = getattr(chunk, name)
            if array is not None and not np.isfinite(array).all():
                raise ValueError(
                    f"The {name} of {dataset.path} are not all finite (system {dataset.name!r}); "
                    "leave out the bad frames or sample the data again."
                )
        weights = np.ones(1) if chunk.weights is None else chunk.weights
        if np.any(chunk.temperatures <= 0) or np.any(weights < 0):
            raise ValueError(
                f"{dataset.path} has temperatures that are not positive or negative weights "
                f"(system {dataset.name!r}); write it again."
            )


def check_cutoff(dataset: Dataset, cutoff: float) -> None:
    """Refuse a cutoff that is shorter than a bond.

    Raises
    ------
    ValueError
        Naming the bond.
    """
    if not len(dataset.bonds):
        return
    sample = dataset.frames(0, min(dataset.n_frames, chunk_frames(dataset.n_beads)))
    steps = _bond_steps(sample, dataset.bonds)
    lengths = np.linalg.norm(steps, axis=-1).mean(axis=0)
    if lengths.max() >= cutoff:
        i, j = dataset.bonds[int(lengths.argmax())]
        names = [dataset.type_names[dataset.types[bead]] for bead in (i, j)]
        raise ValueError(
            f"The cutoff of {cutoff:g} nm is shorter than the bond between beads {i} and {j} "
            f"({'-'.join(names)}, {lengths.max():.3f} nm on average) of {dataset.path}; "
            "use a larger cutoff."
        )


def check_units(dataset: Dataset) -> Virial | None:
    """Refuse forces in other units, told by their virial.

    For each molecule of n bonded beads with centroid c, integrating by parts over the Boltzmann
    distribution gives

        <sum_i F_i . (R_i - c)> = -(3 n - 3) kT

    for mapped forces F of any unbiased force map (generalised equipartition, K. Huang, Statistical
    Mechanics, 2nd ed., section 6.4), whatever the units of energy and length agreed on.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    Virial or None
        Measured over expected value; None if no molecule has two bonded beads.

    Raises
    ------
    ValueError
        If the ratio is that of a usual mistake and not 1.
    """
    found = molecule_virial(dataset)
    if found is None:
        return None
    margin = max(0.5, 5.0 * found.error)
    if abs(found.ratio - 1.0) < margin:
        return found
    for factor, advice in _WRONG_UNITS.items():
        tolerance = _MATCH * abs(factor)
        if abs(found.ratio - factor) < tolerance and 5.0 * found.error < abs(factor - 1.0):
            raise ValueError(
                f"The forces of {dataset.path} do not fit kT: <sum F.(R - centroid)> of a molecule "
                f"should be -(3n - 3) kT, but is {found.ratio:.3g} times that; {advice} (or set "
                "check_units: false)."
            )
    return found


def molecule_virial(dataset: Dataset) -> Virial | None:
    """Measure the virial of `check_units`, frames weighted by their thermodynamic weights."""
    labels = _bonded(dataset)
    counts = np.bincount(labels)
    inside = counts[labels] > 1
    freedom = 3.0 * float((counts[counts > 1] - 1).sum())
    if freedom == 0:
        return None
    sums, norms = [], []
    for chunk in dataset.chunks(chunk_frames(dataset.n_beads)):
        points = _whole(chunk, dataset.bonds)
        centred = points - _centroids(points, labels, counts)
        virial = np.einsum("fbx,fbx->f", chunk.forces[:, inside].astype(float), centred[:, inside])
        sums.append(-virial / (freedom * KB * chunk.temperatures))
        norms.append(np.ones(len(virial)) if chunk.weights is None else chunk.weights)
    values, weights = np.concatenate(sums), np.concatenate(norms)
    ratio = float(np.average(values, weights=weights))
    parts = np.array_split(np.arange(len(values)), min(_BLOCKS, len(values)))
    means = [np.sum(weights[p] * (values[p] - ratio)) / weights.mean() / len(p) for p in parts]
    return Virial(ratio, float(np.sqrt(np.mean(np.square(means)) / max(1, len(parts) - 1))))


def check_device(accelerator: str) -> None:
    """Refuse a GPU that is asked for and absent.

    Raises
    ------
    ValueError
        Saying which devices there are.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    present["gpu"] = any(present.values())
    if not present.get(accelerator, True):
        raise ValueError(
            f"accelerator is {accelerator!r}, but PyTorch {torch.__version__} finds no such device "
            "on this machine; install a PyTorch with support for it and its driver, or set "
            "accelerator: cpu."
        )


def joint_types(datasets: Sequence[Dataset], vocabulary: Sequence[str] | None) -> list[str]:
    """Bead types of all datasets, in the order of their first appearance.

    Parameters
    ----------
    datasets : sequence of Dataset
    vocabulary : sequence of str, optional
        Accepted types; by default all.

    Returns
    -------
    list of str
        The vocabulary, if given.

    Raises
    ------
    ValueError
        If a type is not in the vocabulary.
    """
    found = list(dict.fromkeys(name for dataset in datasets for name in dataset.type_names))
    if vocabulary is None:
        return found
    for dataset in datasets:
        used = {dataset.type_names[kind] for kind in dataset.types}
        for name in sorted(used - set(vocabulary)):
            near = difflib.get_close_matches(name, vocabulary, n=1)
            hint = f" (did you mean {near[0]!r} there?)" if near else ""
            raise ValueError(
                f"{dataset.path} has beads of the type {name!r}, which is not among bead_types "
                f"({', '.join(vocabulary)}){hint}; add it or leave out the dataset."
            )
    return list(vocabulary)


def check_mappings(datasets: Sequence[Dataset]) -> None:
    """Refuse datasets whose bead types of the same name cannot mean the same.

    Raises
    ------
    ValueError
        If two systems of the same beads have different mappings, or two definitions share names
        of types.
    """
    first = datasets[0]
    for other in datasets[1:]:
        alike = first.atomistic is not None and first.atomistic == other.atomistic
        if alike and first.mapping_hash != other.mapping_hash:
            raise ValueError(
                f"{first.path} and {other.path} hold the same molecule with different mappings "
                f"({first.mapping.get('name')!r}, hash {first.mapping_hash[:12]}, and "
                f"{other.mapping.get('name')!r}, {other.mapping_hash[:12]}); map both alike."
            )
        shared = sorted(set(first.type_names) & set(other.type_names))
        if shared and _meaning(first) != _meaning(other):
            raise ValueError(
                f"{first.path} and {other.path} both have beads of the type {shared[0]!r}, but "
                f"made by different mappings ({_meaning(first)} and {_meaning(other)}), so it may "
                "not mean the same; map both with one definition, or give types other names."
            )


def _meaning(dataset: Dataset) -> str:
    """Name and encoding of a mapping."""
    definition = dataset.mapping
    return f"{definition.get('name')} by {definition.get('encoding', 'element')}"


def _bonded(dataset: Dataset) -> np.ndarray:
    """Label of the connected part of every bead."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = dataset.bonds.T
    size = (dataset.n_beads, dataset.n_beads)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=size)
    return np.asarray(connected_components(graph, directed=False)[1])


def _bond_steps(frames: Frames, bonds: np.ndarray) -> np.ndarray:
    points = np.asarray(frames.positions, dtype=float)
    return _nearest(points[:, bonds[:, 1]] - points[:, bonds[:, 0]], frames.boxes)


def _nearest(steps: np.ndarray, boxes: np.ndarray | None) -> np.ndarray:
    """Shortest images of steps (F, n, 3), as long as they are well below half of the box."""
    if boxes is None:
        return steps
    steps = steps.copy()
    for axis in (2, 1, 0):
        row = np.asarray(boxes, dtype=float)[:, axis]
        steps -= np.rint(steps[..., axis] / row[:, None, axis])[..., None] * row[:, None]
    return steps


def _whole(frames: Frames, bonds: np.ndarray) -> np.ndarray:
    """Positions with molecules made whole along their bonds."""
    points = np.asarray(frames.positions, dtype=float)
    if frames.boxes is None:
        return points
    import networkx as nx

    graph = nx.Graph(bonds.tolist())
    points = points.copy()
    for parent, child in nx.dfs_edges(graph) if len(graph) else ():
        step = (points[:, child] - points[:, parent])[:, None]
        points[:, child] = points[:, parent] + _nearest(step, frames.boxes)[:, 0]
    return points


def _centroids(points: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Centroid of the molecule of every bead, (F, N, 3)."""
    beads = np.arange(len(labels))
    members = csr_array((np.ones(len(labels)), (labels, beads)))
    sums = members @ points.transpose(1, 0, 2).reshape(len(labels), -1)
    means = (sums / counts[:, None]).reshape(len(counts), len(points), 3)
    return means[labels].transpose(1, 0, 2)
