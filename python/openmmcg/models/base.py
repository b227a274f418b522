"""The contract that every network honours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from openmmcg.models.template import PairTemplate


class CGNetwork(nn.Module):
    """Base class of networks: bead energies from a pair list, forces by differentiation.

    A subclass implements `bead_energies`, which must be scriptable by TorchScript and work for
    any number of beads and pairs. It may also override `molecule_energies` with a faster way to
    compute the same function for many conformations of one molecule.

    Parameters
    ----------
    bead_types : sequence of str
        The vocabulary: type t of a bead stands for `bead_types[t]`.
    cutoff : float
        Range of the pair list in nm.
    hyperparameters : dict
        Keyword arguments with which `openmmcg.models.build` makes an equal network; plain JSON
        values.

    Attributes
    ----------
    name : str
        Name under which `build` knows the network.
    """

    name = ""

    def __init__(
        self, bead_types: Sequence[str], cutoff: float, hyperparameters: dict[str, Any]
    ) -> None:
        super().__init__()
        self.bead_types = tuple(bead_types)
        self.cutoff = cutoff
        self.hyperparameters = hyperparameters

    def bead_energies(
        self,
        positions: Tensor,
        types: Tensor,
        pairs: Tensor,
        shifts: Tensor,
        edge_types: Tensor,
        parameters: Tensor,
    ) -> Tensor:
        """Energy of every bead in kJ/mol, shape (N,); arguments as in `forward`."""
        raise NotImplementedError

    def forward(
        self,
        positions: Tensor,
        types: Tensor,
        pairs: Tensor,
        shifts: Tensor,
        edge_types: Tensor,
        parameters: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Evaluate energies and forces; needs gradient mode to be on, as it is by default.

        Parameters
        ----------
        positions : torch.Tensor, shape (N, 3)
            Bead positions in nm.
        types : torch.Tensor of int64, shape (N,)
            Bead types.
        pairs : torch.Tensor of int64, shape (2, P)
            Both directions of every pair within the cutoff. Unused entries are the pair (0, 0)
            with a shift longer than the cutoff.
        shifts : torch.Tensor, shape (P, 3)
            The vector of pair p is ``positions[pairs[1, p]] + shifts[p] - positions[pairs[0, p]]``.
        edge_types : torch.Tensor of int64, shape (P,)
            Topological class of every pair, see `openmmcg.models.edge_types`.
        parameters : torch.Tensor, shape (K,)
            Global parameters; the first is the temperature in K.

        Returns
        -------
        bead_energy : torch.Tensor, shape (N,)
            kJ/mol.
        forces : torch.Tensor, shape (N, 3)
            kJ/mol/nm.
        bead_parameter_derivatives : torch.Tensor, shape (K, N)
            Derivatives of the bead energies by the parameters; zero where the network does not
            depend on one.
        """
        leaf = positions.detach().requires_grad_(True)
        energy = self.bead_energies(leaf, types, pairs, shifts, edge_types, parameters)
        gradient = torch.autograd.grad([energy.sum()], [leaf])[0]
        assert gradient is not None
        derivatives = torch.zeros(
            [parameters.size(0), positions.size(0)],
            dtype=positions.dtype,
            device=positions.device,
        )
        return energy.detach(), -gradient, derivatives

    def system_energies(
        self,
        positions: Tensor,
        types: Tensor,
        pairs: Tensor,
        shifts: Tensor,
        edge_types: Tensor,
        parameters: Tensor,
        system: Tensor,
        n_systems: int,
    ) -> Tensor:
        """Energies of a batch of different systems, differentiable to any order.

        Systems are laid one after the other as beads without pairs between them; there may be
        several molecules, boxes and sizes among them.

        Parameters
        ----------
        positions, types, pairs, shifts, edge_types, parameters : torch.Tensor
            As in `forward`, of all systems together.
        system : torch.Tensor of int64, shape (N,)
            To which system a bead belongs.
        n_systems : int
            Number of systems.

        Returns
        -------
        torch.Tensor, shape (n_systems,)
            kJ/mol.
        """
        energies = self.bead_energies(positions, types, pairs, shifts, edge_types, parameters)
        return energies.new_zeros(n_systems).index_add(0, system, energies)

    def molecule_energies(
        self, positions: Tensor, types: Tensor, template: PairTemplate, parameters: Tensor
    ) -> Tensor:
        """Energies of many conformations of one molecule, differentiable to any order.

        Parameters
        ----------
        positions : torch.Tensor, shape (F, N, 3)
            Conformations in nm.
        types : torch.Tensor of int64, shape (N,)
            Bead types.
        template : PairTemplate
            The molecule's pairs.
        parameters : torch.Tensor, shape (K,)
            Global parameters.

        Returns
        -------
        torch.Tensor, shape (F,)
            kJ/mol.
        """
        frames, beads, _ = positions.shape
        offsets = torch.arange(frames, device=positions.device) * beads
        pairs = (template.directed[:, None, :] + offsets[None, :, None]).reshape(2, -1)
        shifts = positions.new_zeros((pairs.shape[1], 3))
        energies = self.bead_energies(
            positions.reshape(-1, 3),
            types.repeat(frames),
            pairs,
            shifts,
            template.directed_edge_types.repeat(frames),
            parameters,
        )
        return energies.reshape(frames, beads).sum(1)
