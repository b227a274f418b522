"""The systems of a training on its device, and the network evaluated on batches of their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn

from openmmcg.models import CGNetwork, PairTemplate
from openmmcg.training.batches import Batch, Part, pair_lists
from openmmcg.training.frames import SystemData

_FEW_PARTS = 4
_MANY_FRAMES = 32
_TEMPLATE_FIELDS = tuple(field.name for field in fields(PairTemplate))


class Topologies(nn.Module):
    """Types, pairs and shares of force labels of all systems.

    They travel to the device with the module that this is a part of, but belong to no file.

    Parameters
    ----------
    systems : sequence of SystemData
    """

    def __init__(self, systems: Sequence[SystemData]) -> None:
        super().__init__()
        for index, system in enumerate(systems):
            self._keep(f"types_{index}", system.types)
            self._keep(f"share_{index}", system.share)
            for name in _TEMPLATE_FIELDS if system.template is not None else ():
                self._keep(f"template_{index}_{name}", getattr(system.template, name))

    def _keep(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def _kept(self, name: str) -> Tensor:
        value = getattr(self, name)
        assert isinstance(value, Tensor)
        return value

    def share(self, system: int) -> Tensor:
        """Share (N,) of the mapped forces in the labels of noised beads."""
        return self._kept(f"share_{system}")

    def channels(
        self, network: CGNetwork, batch: Batch, positions: Sequence[Tensor]
    ) -> list[Tensor]:
        """Evaluate a network on all frames of a batch.

        Parameters
        ----------
        network : CGNetwork
        batch : Batch
        positions : sequence of torch.Tensor
            Of each part, in place of the part's own.

        Returns
        -------
        list of torch.Tensor, shape (F, n_channels)
            For each part, kJ/mol; see `CGNetwork.at_temperatures`.
        """
        found: list[Tensor | None] = [None] * len(batch)
        together = []
        for index, part in enumerate(batch):
            many = len(batch) <= _FEW_PARTS or len(part.positions) >= _MANY_FRAMES
            if part.pairs is None and many:
                found[index] = network.molecule_channels(
                    positions[index], self._kept(f"types_{part.system}"), self._template(part)
                )
            else:
                together.append(index)
        if together:
            parts, leaves = [batch[i] for i in together], [positions[i] for i in together]
            joint = self._joint_channels(network, parts, leaves)
            for index, values in zip(together, joint, strict=True):
                found[index] = values
        return [values for values in found if values is not None]

    def _joint_channels(
        self, network: CGNetwork, parts: list[Part], leaves: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Lay all frames of all parts one after the other and evaluate them at once."""
        types, pairs, shifts, kinds, owners = [], [], [], [], []
        bead = frame = 0
        for part in parts:
            count, beads, _ = part.positions.shape
            own = pair_lists(part, None if part.pairs is not None else self._template(part))
            types.append(self._kept(f"types_{part.system}").repeat(count))
            pairs.append(own[0] + bead)
            shifts.append(own[1])
            kinds.append(own[2])
            numbers = torch.arange(frame, frame + count, device=part.positions.device)
            owners.append(numbers.repeat_interleave(beads))
            bead, frame = bead + count * beads, frame + count
        channels = network.system_channels(
            torch.cat([leaf.reshape(-1, 3) for leaf in leaves]),
            torch.cat(types),
            torch.cat(pairs, dim=1),
            torch.cat(shifts),
            torch.cat(kinds),
            torch.cat(owners),
            frame,
        )
        return channels.split([len(part.positions) for part in parts])

    def _template(self, part: Part) -> PairTemplate:
        return PairTemplate(
            **{name: self._kept(f"template_{part.system}_{name}") for name in _TEMPLATE_FIELDS}
        )
