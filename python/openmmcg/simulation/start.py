"""Where replicas start."""

from __future__ import annotations

import os

import numpy as np

from openmmcg.data import Dataset, TorsionBias
from openmmcg.simulation.bias import bias_energies
from openmmcg.simulation.potential import CGPotential
from openmmcg.units import KB


def starting_positions(
    potential: CGPotential,
    replicas: int,
    rng: np.random.Generator,
    dataset: str | os.PathLike[str] | None = None,
    bias: TorsionBias | None = None,
    temperature: float = 300.0,
) -> np.ndarray:
    """Choose a starting frame for every replica.

    Parameters
    ----------
    potential : CGPotential
        The model; its own frame is used when there is no dataset.
    replicas : int
        Number of replicas.
    rng : numpy.random.Generator
        For drawing frames.
    dataset : path-like, optional
        Frames of the nearest temperature are drawn from here with their thermodynamic weights,
        times exp(-V/kT) of the bias, so that replicas start from the ensemble that they are to
        sample.
    bias : TorsionBias, optional
        Bias V of the run.
    temperature : float
        K.

    Returns
    -------
    ndarray, (replicas n_beads, 3)
        nm; the centre of each replica is at the origin.

    Raises
    ------
    ValueError
        If the dataset has other beads than the model.
    """
    if dataset is None:
        frames = potential.initial_positions(replicas).reshape(replicas, -1, 3)
    else:
        with Dataset.open(dataset) as data:
            _check_same_beads(potential, data)
            distance = np.abs(data.temperatures - temperature)
            weights = np.where(distance == distance.min(), data.weights, 0.0)
            if bias is not None:
                exponents = -bias_energies(bias, data.positions) / (KB * temperature)
                weights = weights * np.exp(exponents - exponents.max())
            chosen = rng.choice(data.n_frames, replicas, p=weights / weights.sum())
            frames = data.positions[chosen].astype(np.float64)
    frames = frames - frames.mean(axis=1, keepdims=True)
    return np.asarray(frames.reshape(-1, 3))


def _check_same_beads(potential: CGPotential, data: Dataset) -> None:
    vocabulary = potential.card["bead_types"]
    expected = [vocabulary[kind] for kind in potential.template["types"]]
    found = [data.type_names[kind] for kind in data.types]
    if found != expected:
        raise ValueError(
            f"{data.path} has the bead types {', '.join(found)}, but {potential.path} was made "
            f"for {', '.join(expected)}; use the dataset that the model was trained on."
        )
