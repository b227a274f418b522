"""A network of your own in CGForce: from a plain PyTorch module to a simulation.

Run: python examples/own_network.py [--output FOLDER] [--steps 1000] [--compile]

The network here has radial symmetry functions (Behler & Parrinello, Phys. Rev. Lett. 98:146401, 2007) and a small
perceptron for each type of bead. It knows nothing of OpenMM-CG: it takes what a pair list gives and returns an energy
for each bead. Three steps make a model of it: wrap it (`PairEnergy` adds the forces), save it with what a reader must
know (cutoff, types of beads, temperature, and a topology so that a System can be made), and verify the file. The file
then runs without this class. `--compile` also makes a package of machine code for this computer's processor.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import openmm
import torch
from openmm import unit
from openmmcg import CGForce, export
from openmmcg.simulation import CGPotential
from torch import Tensor, nn

CUTOFF = 0.9  # nm
BEAD_TYPES = ["head", "tail"]


class SymmetryFunctions(nn.Module):
    """Energies of beads from sums of Gaussians over their neighbours."""

    def __init__(self, n_types: int, cutoff: float, width: int = 12) -> None:
        super().__init__()
        self.n_types, self.cutoff = n_types, cutoff
        self.register_buffer("centers", torch.linspace(0.2, cutoff, width))
        self.layers = nn.Sequential(
            nn.Linear(n_types * (width + 1), 16), nn.Tanh(), nn.Linear(16, 1)
        )

    def forward(
        self,
        positions: Tensor,
        types: Tensor,
        pairs: Tensor,
        shifts: Tensor,
        edge_types: Tensor,
        parameters: Tensor,
    ) -> Tensor:
        vectors = positions[pairs[1]] + shifts - positions[pairs[0]]
        # Unused entries of the list are longer than the cutoff, where the envelope is zero.
        squares = (vectors * vectors).sum(-1)
        envelope = torch.relu(1.0 - squares / self.cutoff**2) ** 3
        gaussians = torch.exp(-60.0 * (squares.sqrt().unsqueeze(-1) - self.centers) ** 2)
        own = torch.nn.functional.one_hot(types, self.n_types).to(positions.dtype)
        # One set of functions for each type of neighbour, and the bead's own type beside them.
        terms = (envelope.unsqueeze(-1) * gaussians).unsqueeze(1) * own[pairs[1]].unsqueeze(2)
        sums = torch.zeros(
            [types.size(0), self.n_types * self.centers.size(0)],
            dtype=positions.dtype,
            device=positions.device,
        )
        sums = sums.index_add(0, pairs[0], terms.flatten(1))
        return self.layers(torch.cat([sums, own], 1)).squeeze(-1)


def topology(molecules: int = 20, side: float = 2.6) -> dict[str, object]:
    """Dimers on a lattice in a cubic box."""
    edge = int(np.ceil(molecules ** (1 / 3)))
    lattice = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), -1).reshape(-1, 3)
    heads = (lattice[:molecules] + 0.25) * side / edge
    beads = np.stack([heads, heads + np.array([0.0, 0.0, 0.3])], 1).reshape(-1, 3)
    count = len(beads)
    return {
        "names": ["H", "T"] * molecules,
        "residues": [["DIM", i // 2 + 1] for i in range(count)],
        "types": [0, 1] * molecules,
        "bonds": [[i, i + 1] for i in range(0, count, 2)],
        "molecules": [i // 2 for i in range(count)],
        "masses": [60.0] * count,
        "positions": beads.tolist(),
        "box": (side * np.eye(3)).tolist(),
    }


def priors() -> dict[str, object]:
    """A bond and a soft core; `openmmcg.priors.fit_priors` would take them from data."""
    from openmmcg.priors import Parameters, PriorSet, RepulsionParameters

    bond = {("head", "tail"): Parameters(8000.0, 0.3)}
    core = {("*", "*"): RepulsionParameters(250.0, 0.35)}
    return PriorSet({"harmonic-bonds": bond, "repulsion": core}, 300.0).to_dict()


def main(arguments: list[str] | None = None) -> Path:
    """Save, verify and run the model; return its file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("own-network"))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args(arguments)

    torch.manual_seed(0)
    network = SymmetryFunctions(len(BEAD_TYPES), CUTOFF)  # .load_state_dict(...) of your training
    model = export.PairEnergy(network)
    path = export.save(
        model,
        options.output / "own.cg.pt",
        cutoff=CUTOFF,
        bead_types=BEAD_TYPES,
        temperature=300.0,
        architecture={"name": "symmetry-functions", "hyperparameters": {"width": 12}},
        topology=topology(),
        priors=priors(),
    )
    worst = max(export.verify(path)["differences"].values())
    print(f"Wrote {path}; the largest relative difference in verification is {worst:.0e}.")

    potential = CGPotential.load(path)
    system = potential.createSystem()
    force = next(CGForce.cast(f) for f in system.getForces() if CGForce.isinstance(f))
    if options.compile:
        force.setProperty("package", export.compile_package(model, path))
        force.setProperty("runner", "aoti")
    integrator = openmm.LangevinMiddleIntegrator(
        300.0 * unit.kelvin, 1.0 / unit.picosecond, 5.0 * unit.femtosecond
    )
    context = openmm.Context(system, integrator, openmm.Platform.getPlatform("CPU"))
    context.setPositions(potential.initial_positions())
    openmm.LocalEnergyMinimizer.minimize(context)
    context.setVelocitiesToTemperature(300.0 * unit.kelvin, 1)
    integrator.step(options.steps)
    energy = context.getState(energy=True).getPotentialEnergy()
    info = force.getContextInfo(context)
    print(f"{options.steps} steps: {energy}, runner {info['runner']} ({info['runner_reason']}).")
    return path


if __name__ == "__main__":
    main()
