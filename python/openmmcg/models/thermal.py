"""How energies depend on the temperature: what the channels of a network are multiplied by.

A network reads several scalars, its channels, out of the features of each bead. Its energy is

::

    W(R, T) = sum_k c_k(T) Q_k(R)

so that the derivative by the temperature is exact and free, channels serve frames of different
temperatures at once, and d(-dW/dR)/dT = -d(dW/dT)/dR, the Maxwell relation between forces and
entropy, holds by construction.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ThermalReadout(nn.Module):
    """Base class: functions c_k of the temperature and their derivatives.

    Attributes
    ----------
    kind : str
        Name under which `openmmcg.models.build` knows it.
    n_channels : int
        Number of channels; the first one is the energy at the reference temperature.
    reference_temperature : float
        T0 in K.
    """

    kind = ""

    def __init__(self, n_channels: int, reference_temperature: float) -> None:
        super().__init__()
        if not reference_temperature > 0:
            raise ValueError(
                "The reference temperature must be positive, in K, but it is "
                f"{reference_temperature}."
            )
        self.n_channels = n_channels
        self.reference_temperature = float(reference_temperature)

    def forward(self, temperatures: Tensor) -> tuple[Tensor, Tensor]:
        """Values (..., K) of the functions and derivatives (..., K) in 1/K at (...) in K."""
        raise NotImplementedError

    def hyperparameters(self) -> dict[str, Any]:
        """Keyword arguments with which `openmmcg.models.build` makes an equal one."""
        return {"thermal": self.kind, "reference_temperature": self.reference_temperature}


class ThermalResponse(ThermalReadout):
    """Free energy, entropy and heat capacity at a reference temperature.

    ::

        W(R, T) = A(R) - (T - T0) S(R) - [T ln(T / T0) - (T - T0)] C(R)

    solves S(R, T) = -dW/dT for a heat capacity C(R) that does not depend on the temperature: the
    entropy is S + ln(T / T0) C and the mean energy at fixed beads W + T S(R, T) = A + T0 S +
    (T - T0) C. The channels are A, T0 S and T0 C, all in kJ/mol and of like size.

    Parameters
    ----------
    reference_temperature : float
        T0 in K.
    heat_capacity : bool, default True
        Whether there is a C; without it W is linear in the temperature, which is all that data at
        one temperature can teach.
    """

    kind = "response"

    def __init__(self, reference_temperature: float, heat_capacity: bool = True) -> None:
        super().__init__(3 if heat_capacity else 2, reference_temperature)
        self.heat_capacity = heat_capacity

    def forward(self, temperatures: Tensor) -> tuple[Tensor, Tensor]:
        """Values and derivatives; see `ThermalReadout.forward`."""
        x = (temperatures - self.reference_temperature) / self.reference_temperature
        one, logarithm = torch.ones_like(x), torch.log1p(x)
        values, slopes = [one, -x], [torch.zeros_like(x), -one]
        if self.heat_capacity:
            values.append(x - (1.0 + x) * logarithm)
            slopes.append(-logarithm)
        return torch.stack(values, -1), torch.stack(slopes, -1) / self.reference_temperature

    def hyperparameters(self) -> dict[str, Any]:
        """See `ThermalReadout.hyperparameters`."""
        return {**super().hyperparameters(), "heat_capacity": self.heat_capacity}


class ThermalInput(ThermalReadout):
    """The temperature as an input: trained functions of it weigh the channels.

    ::

        W(R, T) = Q_0(R) + sum_k [g_k(x) - g_k(0)] Q_k(R),   x = (T - T0) / T0

    with g a network of one hidden layer. Any smooth dependence can be expressed, but nothing
    holds it where there are no data: it needs several temperatures.

    Parameters
    ----------
    reference_temperature : float
        T0 in K.
    functions : int, default 4
        Number of functions g_k.
    hidden : int, default 16
        Units of the hidden layer.
    """

    kind = "input"

    def __init__(self, reference_temperature: float, functions: int = 4, hidden: int = 16) -> None:
        for name, value in (("functions", functions), ("hidden", hidden)):
            if value < 1:
                raise ValueError(f"The thermal input needs {name} of at least 1, but got {value}.")
        super().__init__(functions + 1, reference_temperature)
        # x is some tenths at most, over which the hidden units have to bend.
        self.weight = nn.Parameter(5.0 * torch.randn(hidden))
        self.bias = nn.Parameter(torch.randn(hidden))
        self.out = nn.Parameter(torch.randn(functions, hidden) / hidden**0.5)

    def forward(self, temperatures: Tensor) -> tuple[Tensor, Tensor]:
        """Values and derivatives; see `ThermalReadout.forward`."""
        x = (temperatures - self.reference_temperature) / self.reference_temperature
        hidden = torch.tanh(x.unsqueeze(-1) * self.weight + self.bias)
        values = torch.matmul(hidden - torch.tanh(self.bias), self.out.t())
        slopes = torch.matmul((1.0 - hidden * hidden) * self.weight, self.out.t())
        first = torch.ones_like(x).unsqueeze(-1)
        slopes = torch.cat([torch.zeros_like(first), slopes], -1) / self.reference_temperature
        return torch.cat([first, values], -1), slopes

    def hyperparameters(self) -> dict[str, Any]:
        """See `ThermalReadout.hyperparameters`."""
        functions, hidden = self.out.shape
        return {**super().hyperparameters(), "functions": functions, "hidden": hidden}


READOUTS: dict[str, type[ThermalReadout]] = {
    readout.kind: readout for readout in (ThermalResponse, ThermalInput)
}
_OPTIONS = ("reference_temperature", "heat_capacity", "functions", "hidden")


def thermal_readout(
    kind: str | None, hyperparameters: dict[str, Any]
) -> tuple[ThermalReadout | None, dict[str, Any]]:
    """Make the thermal part of a network from the hyperparameters that belong to it.

    Parameters
    ----------
    kind : {"response", "input"} or None
        None: the energy does not depend on the temperature.
    hyperparameters : dict
        Of the network and of the thermal part.

    Returns
    -------
    readout : ThermalReadout or None
    others : dict
        The hyperparameters that are left.

    Raises
    ------
    ValueError
        If there is no such kind, or a value is not usable.
    """
    if kind is None:
        return None, hyperparameters
    if kind not in READOUTS:
        raise ValueError(
            f"thermal is {kind!r}, but it must be one of {', '.join(READOUTS)}, or None for a "
            "network that does not depend on the temperature."
        )
    own = {name: value for name, value in hyperparameters.items() if name in _OPTIONS}
    others = {name: value for name, value in hyperparameters.items() if name not in _OPTIONS}
    try:
        return READOUTS[kind](**own), others
    except TypeError as error:
        raise ValueError(f"thermal={kind!r} cannot be built: {error}.") from error
