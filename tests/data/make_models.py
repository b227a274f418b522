"""Write the small model files that the tests load.

They are stored in the repository so that files of every format version are loaded by every later version. Run this only
to add files for a new format version: python tests/data/make_models.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from openmmcg import export, models

HERE = Path(__file__).parent
CUTOFF = 0.6


class AnalyticPairs(torch.nn.Module):
    """Pair energies c_i c_j a_e (1 - d²/rc²)³ (1 + s (T/300 - 1)), easy to repeat in a test."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("charge", torch.tensor([1.0, -0.5, 2.0]))
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 30.0, 10.0, 5.0]))
        self.cutoff = CUTOFF

    def forward(
        self,
        positions: torch.Tensor,
        types: torch.Tensor,
        pairs: torch.Tensor,
        shifts: torch.Tensor,
        edge_types: torch.Tensor,
        parameters: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        vectors = positions[pairs[1]] + shifts - positions[pairs[0]]
        x = 1 - (vectors * vectors).sum(dim=1) / self.cutoff**2
        inside = (x > 0).to(positions.dtype)
        strength = (
            self.charge[types[pairs[0]]] * self.charge[types[pairs[1]]] * self.scale[edge_types]
        )
        thermal = 1 + parameters[1] * (parameters[0] / 300 - 1)
        base = inside * strength * x**3
        energy = torch.zeros_like(positions[:, 0]).index_add(0, pairs[0], 0.5 * base)
        pull = (inside * strength * x**2 * 6 / self.cutoff**2).unsqueeze(1) * vectors
        forces = torch.zeros_like(positions).index_add(0, pairs[0], -pull * thermal)
        by_temperature = energy * parameters[1] / 300
        by_slope = energy * (parameters[0] / 300 - 1)
        return energy * thermal, forces, torch.stack([by_temperature, by_slope])


class HarmonicTrap(torch.nn.Module):
    """The interface of openmm-torch: energy k/2 Σ |r|² from positions and a parameter."""

    def forward(self, positions: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return 0.5 * k * (positions * positions).sum()


def main() -> None:
    """Write all files."""
    types = ["A", "B", "C"]
    export.save(
        torch.jit.script(AnalyticPairs()),
        HERE / "pairs-v1.cg.pt",
        cutoff=CUTOFF,
        bead_types=types,
        temperature=300.0,
        parameters={"slope": 0.25},
    )
    torch.manual_seed(1)
    network = models.build(
        "schnet", bead_types=types, cutoff=CUTOFF, width=16, interactions=2, rbf=12
    )
    export.save(
        network, HERE / "schnet-v1.cg.pt", cutoff=CUTOFF, bead_types=types, temperature=300.0
    )
    # Written since weights are stored apart too; schnet-v1.cg.pt stays as it was without them.
    export.save(network, HERE / "schnet-weights-v1.cg.pt", temperature=300.0)
    network = models.build(
        "painn", bead_types=types, cutoff=CUTOFF, width=16, interactions=2, rbf=8, chiral=True
    )
    export.save(network, HERE / "painn-v1.cg.pt", temperature=300.0)
    export.save(
        torch.jit.script(HarmonicTrap()),
        HERE / "positions-v1.cg.pt",
        cutoff=0.0,
        bead_types=[],
        temperature=300.0,
        interface="positions",
        parameters={"k": 100.0},
    )


if __name__ == "__main__":
    main()
