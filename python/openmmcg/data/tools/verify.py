"""Verify a dataset: every number is there, and they fit together."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from openmmcg.data.dataset import Dataset
from openmmcg.data.frames import LAYOUT, Frames
from openmmcg.mapping import Mapping, apply_matrix
from openmmcg.units import KB

_SIGMAS = 6.0
_SHARE = 0.05
"""Deviations of the virial temperature are errors if above both (in standard errors, as a part)."""
_BLOCKS = 20
_BROKEN = 3.0
"""A bond this many times its first length is one of a molecule that is not whole."""


@dataclass
class _Sums:
    """What is gathered over frames."""

    virials: list[np.ndarray] = field(default_factory=list)
    net: list[np.ndarray] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)


def verify_dataset(path: str | os.PathLike[str], group: str | None = None) -> dict[str, Any]:
    """Check a dataset.

    All arrays are read; every number must be finite, temperatures and boxes positive, weights not
    negative with mean 1, and molecules whole. The mapping made again from its definition and the
    atomistic topology must be the one recorded, with its types, bonds and masses.

    Forces are held against positions and temperature: for every molecule of n > 1 beads,
    ⟨Σ (R − R̄)·F⟩ = −3 (n − 1) kT exactly, as integration by parts of the Boltzmann factor shows
    (the hypervirial theorem for a dilation of the molecule; R̄ the mean of its beads). The
    temperature that follows, the virial temperature, must agree with the thermostat's within six
    standard errors and 5 %: wrong units or signs, forces of other frames, and force maps that cut
    constraints show up.

    Parameters
    ----------
    path : path-like
    group : str, optional
        Name of the system; may be left out when the file holds one.

    Returns
    -------
    dict
        Facts to print: frames, the virial temperature and its standard error (K), and the mean
        net force of a molecule with its standard error (kJ/mol/nm).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read, or a check fails; the message says which.
    """
    with Dataset.open(path, group) as dataset:
        mapping = _check_mapping(dataset)
        sums = _Sums()
        start = 0
        lengths: np.ndarray | None = None
        for frames in dataset.chunks():
            _check_numbers(dataset, frames, start)
            lengths = _check_whole(dataset, frames, start, lengths)
            _gather(dataset, frames, sums)
            start += frames.n_frames
        weights = np.concatenate(sums.weights)
        if abs(weights.mean() - 1) > 1e-3:
            raise ValueError(
                f"{dataset.path}: weights have the mean {weights.mean():.4g}, expected 1; divide "
                "them by it."
            )
        facts: dict[str, Any] = {
            "system": dataset.name,
            "frames": dataset.n_frames,
            "mapping": "as its definition makes it" if mapping else "no atomistic topology",
        }
        if sums.virials:
            facts |= _virial_facts(dataset, np.concatenate(sums.virials), weights)
        net = np.concatenate(sums.net)
        mean, error = zip(*(_block_mean(net[:, k], weights) for k in range(3)), strict=True)
        facts["net force of a molecule (kJ/mol/nm)"] = ", ".join(
            f"{m:.2f} ± {e:.2f}" for m, e in zip(mean, error, strict=True)
        )
        return facts


def _check_mapping(dataset: Dataset) -> Mapping | None:
    """Make the mapping again; raise ValueError if the file's metadata are not its own."""
    if dataset.atomistic is None:
        return None
    mapping = dataset.mapping_on_atoms()
    for name in ("types", "bonds", "molecules", "masses"):
        if not np.allclose(getattr(dataset, name), getattr(mapping, name)):
            raise ValueError(
                f"{dataset.path}: its {name} are not those of its mapping; the file was changed, "
                "write it again."
            )
    if dataset.type_names != mapping.type_names or dataset.topology != mapping.topology:
        raise ValueError(
            f"{dataset.path}: its type names or CG topology are not those of its mapping; the file "
            "was changed, write it again."
        )
    return mapping


def _check_numbers(dataset: Dataset, frames: Frames, start: int) -> None:
    for name, array in frames.arrays().items():
        good = np.isfinite(array)
        if name == "temperatures":
            good &= array > 0
        elif name == "weights":
            good &= array >= 0
        elif name == "boxes":
            good[:, range(3), range(3)] &= array[:, range(3), range(3)] > 0
        rows = good.reshape(len(array), -1).all(axis=1)
        if not rows.all():
            index = int(rows.argmin())
            raise ValueError(
                f"{dataset.path}: frame {start + index} has {name} that are not finite or out of "
                f"range ({LAYOUT[name].units}); leave it out (openmm-cg subsample)."
            )


def _check_whole(
    dataset: Dataset, frames: Frames, start: int, first: np.ndarray | None
) -> np.ndarray:
    """Raise ValueError if a bond grows as if its molecule was torn by the box."""
    i, j = dataset.bonds.T
    step = frames.positions[:, i].astype(np.float64) - frames.positions[:, j]
    lengths = np.linalg.norm(step, axis=-1)
    first = np.median(lengths, axis=0) if first is None else first
    torn = lengths > _BROKEN * np.maximum(first, 0.05)
    if dataset.boxes is not None and torn.any():
        frame, bond = np.unravel_index(int(torn.argmax()), torn.shape)
        raise ValueError(
            f"{dataset.path}: the bond of beads {i[bond]} and {j[bond]} is "
            f"{lengths[frame, bond]:.2f} nm long in frame {start + frame}, {first[bond]:.2f} nm "
            "before; molecules must be whole: map again with the box."
        )
    return first


def _gather(dataset: Dataset, frames: Frames, sums: _Sums) -> None:
    """Add the virial of every frame, relative to its mean value, and the net force."""
    molecules = dataset.molecules
    sizes = np.bincount(molecules)
    beads = np.arange(len(molecules))
    mean = csr_array((1.0 / sizes[molecules], (molecules, beads)))
    positions, forces = (np.asarray(a, dtype=np.float64) for a in (frames.positions, frames.forces))
    centres = apply_matrix(mean, positions)
    freedom = 3 * float(np.sum(sizes - 1))
    if freedom:
        virial = np.einsum("fnx,fnx->f", positions - centres[:, molecules], forces)
        sums.virials.append(-virial / (freedom * KB * frames.temperatures))
    sums.net.append(forces.sum(axis=1) / len(sizes))
    sums.weights.append(np.asarray(frames.weights, dtype=np.float64))


def _virial_facts(dataset: Dataset, ratios: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Compare the virial temperature with the thermostat's."""
    ratio, error = _block_mean(ratios, weights)
    temperature = float(np.mean(dataset.temperatures))
    if abs(ratio - 1) > max(_SIGMAS * error, _SHARE):
        raise ValueError(
            f"{dataset.path}: the virial temperature is {ratio * temperature:.4g} ± "
            f"{error * temperature:.2g} K, the thermostat's {temperature:g} K; forces and positions "
            "do not belong together: check their units and signs, the temperature, and that the "
            "force map does not cut constraints."
        )
    return {
        "temperature (K)": temperature,
        "virial temperature (K)": f"{ratio * temperature:.1f} ± {error * temperature:.1f}",
    }


def _block_mean(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return a weighted mean and its standard error from the scatter of blocks of time."""
    count = min(_BLOCKS, len(values))
    parts = np.array_split(np.arange(len(values)), count)
    shares = np.array([weights[p].sum() for p in parts])
    mean = float(np.sum(weights * values) / weights.sum())
    means = np.array([np.sum(weights[p] * values[p]) for p in parts]) / np.maximum(shares, 1e-300)
    if count < 2:
        return mean, float("inf")
    spread = np.sum(shares**2 * (means - mean) ** 2) / shares.sum() ** 2
    return mean, float(np.sqrt(spread * count / (count - 1)))
