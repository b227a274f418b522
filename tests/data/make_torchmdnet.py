"""Write torchmdnet-tensornet.pt: small TensorNets of torchmd-net with the energies and forces they give.

Needs torchmd-net (written with 3.1.0), which the tests then do without: python tests/data/make_torchmdnet.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from torchmdnet.models.model import create_model

ARGUMENTS = {
    "model": "tensornet",
    "precision": 64,
    "embedding_dimension": 8,
    "num_layers": 2,
    "num_rbf": 6,
    "rbf_type": "expnorm",
    "trainable_rbf": True,
    "activation": "silu",
    "cutoff_lower": 0.0,
    "cutoff_upper": 5.0,
    "max_z": 10,
    "max_num_neighbors": 32,
    "derivative": True,
    "atom_filter": -1,
    "prior_model": None,
    "output_model": "Scalar",
    "output_mlp_num_layers": 0,
    "reduce_op": "add",
    "static_shapes": False,
}


def main() -> None:
    """Write the file."""
    torch.manual_seed(0)
    z = torch.tensor([1, 6, 7, 8, 6, 1])
    positions = 3.0 * torch.rand(6, 3, dtype=torch.float64)
    cases = {}
    for group in ("O(3)", "SO(3)"):
        arguments = {**ARGUMENTS, "equivariance_invariance_group": group}
        model = create_model(arguments, mean=torch.tensor(0.5), std=torch.tensor(2.0)).double()
        with torch.no_grad():
            model.representation_model.distance_expansion.means.add_(
                0.01 * torch.randn(6, dtype=torch.float64)
            )
        energy, forces = model(z, positions.clone())
        cases[group] = {
            "hyper_parameters": arguments,
            "state_dict": {f"model.{k}": v.detach() for k, v in model.state_dict().items()},
            "energy": energy.detach(),
            "forces": forces.detach(),
        }
    content = {"z": z, "positions": positions, "cases": cases}
    torch.save(content, Path(__file__).parent / "torchmdnet-tensornet.pt")


if __name__ == "__main__":
    main()
