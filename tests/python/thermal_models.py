"""Models whose potential of mean force depends on the temperature in closed form, for tests."""

from __future__ import annotations

import torch
from openmmcg import export
from openmmcg.units import KB
from torch import Tensor

STIFFNESS, REFERENCE = 1000.0, 300.0


class Dumbbell(torch.nn.Module):
    """Two beads d apart: W = k(T)/2 |d|² + a constant, k(T) = k0 (T/T0)^power."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power

    def forward(
        self,
        positions: Tensor,
        types: Tensor,
        pairs: Tensor,
        shifts: Tensor,
        edge_types: Tensor,
        parameters: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        used = (pairs[0] != pairs[1]).to(positions.dtype).unsqueeze(1)
        d = (positions[pairs[1]] + shifts - positions[pairs[0]]) * used
        x = parameters[0] / 300.0
        k = 1000.0 * x**self.power
        squares = torch.zeros_like(positions[:, 0]).index_add(0, pairs[0], (d * d).sum(1))
        forces = torch.zeros_like(positions).index_add(0, pairs[0], k * d)
        slope = (0.25 * self.power * k / parameters[0]) * squares + 0.1 * parameters[0]
        energy = 0.25 * k * squares + 0.05 * parameters[0] ** 2
        return energy, forces, slope.unsqueeze(0)


def write_dumbbell(path, power=2.0, low=200.0, high=500.0):
    module = torch.jit.script(Dumbbell(power))
    topology = {
        "names": ["A", "B"],
        "residues": [["TOY", "1"]] * 2,
        "types": [0, 0],
        "bonds": [],
        "molecules": [0, 0],
        "masses": [50.0, 50.0],
        "positions": [[0.0, 0.0, 0.0], [0.05, 0.0, 0.0]],
    }
    return export.save(
        module,
        path,
        interface="pairs",
        bead_types=["A"],
        cutoff=5.0,
        temperature=REFERENCE,
        temperature_range=[low, high],
        topology=topology,
    )


def variance(kelvin, power=2.0):
    """Of a component of d in the ensemble at a temperature."""
    return KB * kelvin / (STIFFNESS * (kelvin / REFERENCE) ** power)
