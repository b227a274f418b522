"""Fitting priors to sampled frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike

from openmmcg.priors.prior_set import Key, PriorSet, bead_names
from openmmcg.priors.terms import KINDS, DegenerateError, Parameters
from openmmcg.priors.topology import bead_graph
from openmmcg.units import KB

if TYPE_CHECKING:
    from openmmcg.data import Dataset


def fit_priors(dataset: Dataset, temperature: float | None = None) -> PriorSet:
    """Fit the priors of a dataset's topology by Boltzmann inversion.

    Fits use the frames as they were sampled, whatever their weights: a prior shall keep a run
    in the region where the network has seen data, and the network learns the rest.

    Parameters
    ----------
    dataset : Dataset
        One molecule or system.
    temperature : float, optional
        In K; by default that of the frames.

    Returns
    -------
    PriorSet

    Raises
    ------
    ValueError
        If frames have several temperatures and none is given, or a term (named) cannot be
        fitted.
    """
    if temperature is None:
        temperature = single_temperature(np.asarray(dataset.temperatures))
    return fit_frames(
        np.asarray(dataset.positions),
        dataset.types,
        list(dataset.type_names),
        dataset.bonds,
        temperature,
    )


def fit_frames(
    positions: np.ndarray,
    types: ArrayLike,
    type_names: list[str],
    bonds: ArrayLike,
    temperature: float,
) -> PriorSet:
    """Fit priors to positions of one topology, see `fit_priors`.

    Parameters
    ----------
    positions : numpy.ndarray, shape (F, n_beads, 3)
        Frames in nm, molecules whole.
    types : array_like of int, shape (n_beads,)
        Bead types.
    type_names : list of str
        Names of the types.
    bonds : array_like of int, shape (n_bonds, 2)
        Bonded beads.
    temperature : float
        K.

    Returns
    -------
    PriorSet
    """
    names = bead_names(types, type_names)
    graph = bead_graph(names, bonds)
    frames = torch.from_numpy(np.ascontiguousarray(positions, dtype=np.float64))
    parameters: dict[str, dict[Key, Parameters]] = {}
    for kind, term_class in KINDS.items():
        samples: dict[Key, list[np.ndarray]] = {}
        for term in term_class.terms(graph).tolist():
            values = term_class.coordinate([frames[:, bead] for bead in term])
            samples.setdefault(tuple(names[bead] for bead in term), []).append(values.numpy())
        parameters[kind] = {}
        for key, values_of_key in sorted(samples.items()):
            try:
                fitted = term_class.fit(np.concatenate(values_of_key), KB * temperature)
            except DegenerateError as error:
                raise ValueError(
                    f"The prior {kind} for {'-'.join(key)} cannot be fitted: {error}; check the "
                    "dataset and the mapping."
                ) from error
            parameters[kind][key] = fitted
    return PriorSet(parameters, temperature)


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
            f"The frames have {len(found)} temperatures ({', '.join(f'{t:g}' for t in found)} K), "
            "but one is expected; give the temperature."
            if len(found)
            else "The dataset has no frames; sample some."
        )
    return float(found[0])
