"""Labels of the dependence on the temperature, and how much they tell.

At fixed beads R, with u the potential energy of the atoms and B f the mapped force,

::

    dF/dT = Cov_R(B f, u) / (k T^2)

is the thermal response force; labels are of T dF/dT, which has the unit of a force.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from openmmcg.units import KB


class ThermalLabels(NamedTuple):
    """Labels of the frames of one system.

    Weights are inverse variances times the variance of a force label, so that squares of all
    terms may be added to those of the forces.

    Attributes
    ----------
    groups : torch.Tensor of int64, shape (F,)
        Number of the frame's temperature among those of the system.
    responses : torch.Tensor, shape (F, N, 3), or None
        T dF/dT in kJ/mol/nm.
    response_weights : torch.Tensor, shape (F, 1, 1) or (F, N, 3), or None
    energies : torch.Tensor, shape (F,), or None
        Mean energies at fixed beads, kJ/mol, up to a constant of each temperature.
    energy_weights : torch.Tensor, shape (F,), or None
        1/nm^2.
    """

    groups: Tensor
    responses: Tensor | None = None
    response_weights: Tensor | None = None
    energies: Tensor | None = None
    energy_weights: Tensor | None = None

    def rows(self, frames: Tensor) -> ThermalLabels:
        """Return the labels of some frames."""
        return ThermalLabels._make(None if value is None else value[frames] for value in self)


def response_labels(forces: Tensor, energies: Tensor, temperatures: Tensor) -> Tensor:
    """Thermal response of single frames, T dF/dT in kJ/mol/nm.

    ::

        t = (f - F^) (u - E^) / (k T)

    Its mean at fixed beads is T dF/dT + (F - F^)(E - E^) / (k T) for any functions F^ and E^ of
    the beads, so that it is unbiased if one of them is the true mean force or the true mean energy.
    They must not have been fitted to the frames that they are subtracted from.

    Parameters
    ----------
    forces : torch.Tensor, shape (F, N, 3)
        Mapped forces less F^, kJ/mol/nm.
    energies : torch.Tensor, shape (F,)
        Potential energies less E^, kJ/mol.
    temperatures : torch.Tensor, shape (F,)
        K.

    Returns
    -------
    torch.Tensor, shape (F, N, 3)
    """
    return forces * (energies / (KB * temperatures)).to(forces)[:, None, None]


def response_weight(deviation: float, temperature: float) -> float:
    """Inverse variance of `response_labels` relative to that of forces, (k T / sigma_u)^2.

    The standard deviation of a label is about that of a force times sigma_u / (k T).

    Parameters
    ----------
    deviation : float
        sigma_u, standard deviation of the energy at fixed beads, kJ/mol.
    temperature : float
        K.
    """
    return (KB * temperature / deviation) ** 2


def break_even(deviation: float, temperature: float) -> float:
    """Temperature difference D* = k T^2 / sigma_u in K, at which two ways to dF/dT are as good.

    Forces of n frames, half of them at T - D and half at T + D, give dF/dT with the standard
    deviation sigma_f / (D sqrt(n)); thermal responses of n frames at T with sigma_f sigma_u /
    (k T^2 sqrt(n)). The energy of a larger bath varies more, so D* falls with its size.

    Parameters
    ----------
    deviation : float
        sigma_u, kJ/mol.
    temperature : float
        K.
    """
    return KB * temperature**2 / deviation


def centred(values: Tensor, groups: Tensor) -> Tensor:
    """Values (F,) less the mean of those of the same group (F,)."""
    count = int(groups.max()) + 1
    sums = values.new_zeros(count).index_add(0, groups, values)
    numbers = values.new_zeros(count).index_add(0, groups, torch.ones_like(values))
    return values - (sums / numbers.clamp(min=1.0))[groups]
