"""The networks that the tests of models go through, small and in double precision."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace

import pytest
import torch
from openmmcg import models
from openmmcg.export.geometry import PairInputs, chain
from openmmcg.models import CGNetwork
from openmmcg.models.thermal import READOUTS
from torch import Tensor

CUTOFF = 1.0
BEAD_TYPES = ["C", "N", "CA", "CB"]
BONDS = [(0, 1), (1, 2), (2, 3), (2, 4), (4, 5)]
TYPES = torch.tensor([0, 1, 2, 3, 0, 1])
PARAMETERS = torch.tensor([300.0], dtype=torch.float64)
SMALL: dict[str, dict[str, int]] = {
    "mace": {"width": 4, "rbf": 4, "radial_width": 8},
    "pair-spline": {"rbf": 8},
}
CHIRAL = ("mace", "painn", "schnet", "tensornet")


@dataclass(frozen=True)
class Case:
    """A network by name with options that differ from the small ones."""

    name: str
    options: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        options = {key: value for key, value in self.options.items() if value}
        options.pop("reference_temperature", None)
        shown = [value if key == "thermal" else key for key, value in options.items()]
        return "-".join([self.name, *map(str, shown)])

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def chiral(self) -> bool:
        return bool(self.options.get("chiral"))


CASES = [Case(name) for name in models.names()]
CASES += [Case(name, {"chiral": True}) for name in CHIRAL if name in models.names()]
THERMAL_CASES = [
    Case(name, {"thermal": kind, "reference_temperature": 320.0})
    for name in models.names()
    for kind in READOUTS
]
# What multiplies the channels is the same code in all networks; their own tests go through all.
CASES += [c for c in THERMAL_CASES if c.options["thermal"] == "response" or c.name == "schnet"]
networks = pytest.mark.parametrize("case", CASES, ids=str)
thermal_networks = pytest.mark.parametrize("case", THERMAL_CASES, ids=str)


@functools.cache
def make(case: Case, seed: int = 0) -> CGNetwork:
    """Build a network; it is shared between tests, which leave it as it is."""
    small = SMALL.get(case.name, {"width": 8, "rbf": 6})
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = models.build(
                case.name, bead_types=BEAD_TYPES, cutoff=CUTOFF, **{**small, **case.options}
            )
            # Pair splines start from nothing, of which there is little to test.
            for parameter in network.parameters():
                if not torch.count_nonzero(parameter) and case.name == "pair-spline":
                    torch.nn.init.normal_(parameter)
    finally:
        torch.set_default_dtype(before)
    return network


def beads(n_beads: int = 9, seed: int = 0) -> PairInputs:
    """Random beads, half of them a chain."""
    return chain(n_beads, len(BEAD_TYPES), CUTOFF, [300.0], seed)


def call(network: CGNetwork, inputs: PairInputs) -> tuple[Tensor, Tensor, Tensor]:
    """Evaluate in double precision."""
    return network(*inputs.arguments(torch.float64))


def moved(inputs: PairInputs, positions: Tensor) -> PairInputs:
    """The same beads elsewhere, with the same pair list."""
    return replace(inputs, positions=positions)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> None:
    """Compare relative to the largest value."""
    torch.testing.assert_close(a, b, rtol=0.0, atol=tolerance * max(1.0, b.abs().max().item()))


def conformations(count: int, seed: int = 0) -> Tensor:
    """Random frames of six beads that are bonded by `BONDS`, (count, 6, 3) in nm."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((count, 6, 3), generator=generator).double() * 0.4
