"""Free energy, entropy and mean energy of each bead."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch

from openmmcg.export import load_script
from openmmcg.pairs import PairList
from openmmcg.simulation.potential import CGPotential


@dataclass(frozen=True, eq=False)
class BeadThermodynamics:
    """What the network of a model gives to each bead, without the priors.

    Attributes
    ----------
    free_energies : ndarray, (N,)
        Shares of the potential of mean force W(R; T), kJ/mol.
    entropies : ndarray, (N,)
        Shares of S = -dW/dT, kJ/mol/K.
    temperature : float
        K.
    """

    free_energies: np.ndarray
    entropies: np.ndarray
    temperature: float

    @property
    def energies(self) -> np.ndarray:
        """Shares (N,) of the mean potential energy W + T S at fixed beads, kJ/mol."""
        return np.asarray(self.free_energies + self.temperature * self.entropies)


def bead_thermodynamics(
    potential: CGPotential, positions: np.ndarray, temperature: float | None = None
) -> BeadThermodynamics:
    """Evaluate a model's network on one configuration, in double precision.

    Priors are sums over bonds, angles and pairs and have no share of a bead; they are part of the
    totals of `openmmcg.simulation.thermodynamics`.

    Parameters
    ----------
    potential : CGPotential
    positions : ndarray, (N, 3)
        nm.
    temperature : float, optional
        K; by default that of the model. Outside of the temperatures of the model's data a warning
        says so.

    Returns
    -------
    BeadThermodynamics

    Raises
    ------
    ValueError
        If the model takes no pairs, or the number of positions is not that of its beads.
    """
    card, template = potential.card, potential.template
    points = np.asarray(positions, dtype=np.float64)
    if card["interface"] != "pairs":
        raise ValueError(f"{potential.path} takes positions alone and gives no energies of beads.")
    if points.shape != (potential.n_beads, 3):
        raise ValueError(
            f"The positions have the shape {points.shape}; the model has {potential.n_beads} beads, "
            f"expected ({potential.n_beads}, 3)."
        )
    kelvin = potential.temperature if temperature is None else float(temperature)
    low, high = card["temperature_range"]
    if not low <= kelvin <= high:
        warnings.warn(
            f"{potential.path} was trained at {low:g} to {high:g} K; at {kelvin:g} K it extrapolates.",
            stacklevel=2,
        )
    search = PairList(template["molecules"], template["bonds"], card["cutoff"])
    pairs, shifts, edge_types, _ = search.update(points, potential.box)
    parameters = [kelvin, *(entry["default"] for entry in card["parameters"][1:])]
    energies, _, derivatives = load_script(potential.path).double()(
        torch.from_numpy(points),
        torch.tensor(template["types"], dtype=torch.int64),
        torch.from_numpy(pairs),
        torch.from_numpy(shifts),
        torch.from_numpy(edge_types),
        torch.tensor(parameters, dtype=torch.float64),
    )
    return BeadThermodynamics(energies.numpy(), -derivatives[0].numpy(), kelvin)
