"""The contract that every network honours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from openmmcg.models.template import PairTemplate
from openmmcg.models.thermal import ThermalReadout


class CGNetwork(nn.Module):
    """Base class of networks: bead energies from a pair list, forces by differentiation.

    A subclass implements `bead_channels`, which must be scriptable by TorchScript and work for
    any number of beads and pairs. It may also override `molecule_channels` with a faster way to
    compute the same function for many conformations of one molecule. There is one channel, the
    energy, unless energies depend on the temperature: see `openmmcg.models.thermal`.

    Parameters
    ----------
    bead_types : sequence of str
        The vocabulary: type t of a bead stands for `bead_types[t]`.
    cutoff : float
        Range of the pair list in nm.
    hyperparameters : dict
        Keyword arguments with which `openmmcg.models.build` makes an equal network; plain JSON
        values. Those of `thermal` are added.
    thermal : ThermalReadout, optional
        How energies depend on the temperature; by default they do not.

    Attributes
    ----------
    name : str
        Name under which `build` knows the network.
    n_channels : int
        Scalars that are read out of a bead.
    """

    name = ""

    def __init__(
        self,
        bead_types: Sequence[str],
        cutoff: float,
        hyperparameters: dict[str, Any],
        thermal: ThermalReadout | None = None,
    ) -> None:
        super().__init__()
        self.bead_types = tuple(bead_types)
        self.cutoff = cutoff
        self.thermal = thermal
        self.n_channels = 1 if thermal is None else thermal.n_channels
        own = {} if thermal is None else thermal.hyperparameters()
        self.hyperparameters = {**hyperparameters, **own}

    def bead_channels(
        self, positions: Tensor, types: Tensor, pairs: Tensor, shifts: Tensor, edge_types: Tensor
    ) -> Tensor:
        """Channels of every bead in kJ/mol, shape (N, n_channels); arguments as in `forward`."""
        raise NotImplementedError

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
        channels = self.bead_channels(positions, types, pairs, shifts, edge_types)
        if self.thermal is None:
            return channels.squeeze(-1)
        return torch.matmul(channels, self.thermal(parameters[0])[0])

    def at_temperatures(self, channels: Tensor, temperatures: Tensor) -> tuple[Tensor, Tensor]:
        """Energies from channels, and their derivatives by the temperature.

        Parameters
        ----------
        channels : torch.Tensor, shape (F, n_channels)
            What `molecule_channels` or `system_channels` gives, kJ/mol.
        temperatures : torch.Tensor, shape (F,) or (1,)
            K.

        Returns
        -------
        energies : torch.Tensor, shape (F,)
            kJ/mol.
        slopes : torch.Tensor, shape (F,)
            kJ/mol/K; minus the entropies.
        """
        if self.thermal is None:
            energies = channels.squeeze(-1)
            return energies, torch.zeros_like(energies)
        values, slopes = self.thermal(temperatures)
        return (channels * values).sum(-1), (channels * slopes).sum(-1)

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
            Derivatives of the bead energies by the parameters, exact; zero where the network does
            not depend on one. That by the temperature is minus the bead's entropy.
        """
        leaf = positions.detach().requires_grad_(True)
        channels = self.bead_channels(leaf, types, pairs, shifts, edge_types)
        derivatives = torch.zeros(
            [parameters.size(0), positions.size(0)],
            dtype=positions.dtype,
            device=positions.device,
        )
        if self.thermal is None:
            energy = channels.squeeze(-1)
        else:
            values, slopes = self.thermal(parameters[0])
            energy = torch.matmul(channels, values)
            derivatives[0] = torch.matmul(channels, slopes).detach()
        gradient = torch.autograd.grad([energy.sum()], [leaf])[0]
        assert gradient is not None
        return energy.detach(), -gradient, derivatives

    def system_channels(
        self,
        positions: Tensor,
        types: Tensor,
        pairs: Tensor,
        shifts: Tensor,
        edge_types: Tensor,
        system: Tensor,
        n_systems: int,
    ) -> Tensor:
        """Channels of a batch of different systems, differentiable to any order.

        Systems are laid one after the other as beads without pairs between them; there may be
        several molecules, boxes and sizes among them.

        Parameters
        ----------
        positions, types, pairs, shifts, edge_types : torch.Tensor
            As in `forward`, of all systems together.
        system : torch.Tensor of int64, shape (N,)
            To which system a bead belongs.
        n_systems : int
            Number of systems.

        Returns
        -------
        torch.Tensor, shape (n_systems, n_channels)
            kJ/mol.
        """
        channels = self.bead_channels(positions, types, pairs, shifts, edge_types)
        return channels.new_zeros((n_systems, self.n_channels)).index_add(0, system, channels)

    def molecule_channels(self, positions: Tensor, types: Tensor, template: PairTemplate) -> Tensor:
        """Channels of many conformations of one molecule, differentiable to any order.

        Parameters
        ----------
        positions : torch.Tensor, shape (F, N, 3)
            Conformations in nm.
        types : torch.Tensor of int64, shape (N,)
            Bead types.
        template : PairTemplate
            The molecule's pairs.

        Returns
        -------
        torch.Tensor, shape (F, n_channels)
            kJ/mol.
        """
        frames, beads, _ = positions.shape
        offsets = torch.arange(frames, device=positions.device) * beads
        pairs = (template.directed[:, None, :] + offsets[None, :, None]).reshape(2, -1)
        shifts = positions.new_zeros((pairs.shape[1], 3))
        channels = self.bead_channels(
            positions.reshape(-1, 3),
            types.repeat(frames),
            pairs,
            shifts,
            template.directed_edge_types.repeat(frames),
        )
        return channels.unflatten(0, (frames, beads)).sum(1)

    def molecule_energies(
        self, positions: Tensor, types: Tensor, template: PairTemplate, parameters: Tensor
    ) -> Tensor:
        """Energies (F,) in kJ/mol of conformations; see `molecule_channels` and `forward`."""
        channels = self.molecule_channels(positions, types, template)
        return self.at_temperatures(channels, parameters[:1])[0]
