"""Every network runs on the device of its inputs, and its work does not depend on the values of tensors."""

from __future__ import annotations

import pytest
import torch
from openmmcg import models
from openmmcg.export._script import script

BEADS, PAIRS = 4, 12


@pytest.mark.parametrize("name", models.names())
def test_networks_run_on_another_device(name: str) -> None:
    """The device ``meta`` knows shapes alone: it refuses tensors of another device, and to tell a value."""
    network = models.build(name, bead_types=["A", "B"], cutoff=1.0).to("meta")
    model = script(network)

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    energies, forces, derivatives = model(
        empty(BEADS, 3),
        empty(BEADS, dtype=torch.long),
        empty(2, PAIRS, dtype=torch.long),
        empty(PAIRS, 3),
        empty(PAIRS, dtype=torch.long),
        empty(1),
    )
    assert energies.device == forces.device == derivatives.device == torch.device("meta")
    assert (energies.shape, forces.shape, derivatives.shape) == ((BEADS,), (BEADS, 3), (1, BEADS))
