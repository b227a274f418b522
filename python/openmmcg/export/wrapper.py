"""A wrapper that makes a model of somebody's own energy function."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PairEnergy(nn.Module):
    """Make a model that honours the contract out of a PyTorch module that gives energies.

    Forces, and derivatives by global parameters, come from automatic differentiation within the
    model, so the module needs no more than energies. It must be scriptable by `torch.jit.script`.

    Parameters
    ----------
    energy : torch.nn.Module
        Its ``forward(positions, types, pairs, shifts, edge_types, parameters)`` returns the energy
        of every bead, shape (N,), in kJ/mol; arguments as of `openmmcg.models.CGNetwork.forward`.
        Lengths are in nm. Pairs must go smoothly to zero at the cutoff, unused entries of the
        list included, which are as long as twice the cutoff.

    Examples
    --------
    >>> export.save(PairEnergy(mine), "mine.cg.pt", cutoff=1.0, bead_types=["A"], temperature=300.0)
    """

    def __init__(self, energy: nn.Module) -> None:
        super().__init__()
        self.energy = energy

    def forward(
        self,
        positions: Tensor,
        types: Tensor,
        pairs: Tensor,
        shifts: Tensor,
        edge_types: Tensor,
        parameters: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Evaluate; arguments and results as of `openmmcg.models.CGNetwork.forward`."""
        leaf = positions.detach().requires_grad_(True)
        values = parameters.detach().requires_grad_(True)
        energies = self.energy(leaf, types, pairs, shifts, edge_types, values)
        # The derivative of sum_i w_i E_i by a parameter is linear in the weights w, so its own
        # derivative by w_i is that of E_i: one pass back for each parameter, not for each bead.
        weights = torch.ones_like(energies).requires_grad_(True)
        gradients = torch.autograd.grad(
            [(weights * energies).sum()], [leaf, values], create_graph=True, allow_unused=True
        )
        forces = torch.zeros_like(positions)
        pull = gradients[0]
        if pull is not None:
            forces = -pull.detach()
        derivatives = torch.zeros(
            [parameters.size(0), positions.size(0)], dtype=positions.dtype, device=positions.device
        )
        slopes = gradients[1]
        if slopes is not None and slopes.requires_grad:
            rows: list[Tensor] = []
            for k in range(parameters.size(0)):
                row = torch.autograd.grad([slopes[k]], [weights], retain_graph=True)[0]
                assert row is not None
                rows.append(row.detach())
            derivatives = torch.stack(rows)
        return energies.detach(), forces, derivatives
