"""Beads on which a model file is verified, and the same physics written in other ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from openmmcg.export.geometry import PairInputs, chain, stored

Results = tuple[Tensor, ...]
"""Bead energies (N,), forces (N, 3) and parameter derivatives (K, N)."""

_SIZES = (2, 5, 24)


@dataclass(frozen=True)
class Trial:
    """Beads on which a model is tried; with boundaries they have a box (3, 3), nm."""

    beads: PairInputs
    box: Tensor | None = None

    def order(self) -> Tensor:
        """Another numbering of the beads."""
        return torch.randperm(len(self.beads.types), generator=self._generator())

    def elsewhere(self, cutoff: float) -> PairInputs:
        """The beads at other periodic images of themselves, each at its own."""
        turns = torch.randint(-1, 2, self.beads.positions.shape, generator=self._generator())
        triclinic = torch.tensor([[3.0, 0.0, 0.0], [1.0, 2.5, 0.0], [-1.0, 0.5, 2.0]]).double()
        return self.beads.imaged(triclinic * cutoff if self.box is None else self.box, turns)

    def variants(self, cutoff: float) -> dict[str, PairInputs]:
        """The same physics written in other ways, by the name of the check."""
        found = {
            "unused pairs": self.beads.padded(7, cutoff),
            "numbering of beads": self.beads.permuted(self.order()),
            "replicas": self.beads.doubled(),
            "boxes": self.elsewhere(cutoff),
        }
        if self.box is not None:
            found["sizes of the box"] = self.beads.supercell(self.box)
        return found

    def expected(self, check: str, reference: Results) -> Results:
        """What a variant gives if the beads themselves give `reference`."""
        if check == "numbering of beads":
            return _pick(reference, self.order())
        return _twice(reference) if check in ("replicas", "sizes of the box") else reference

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(len(self.beads.types))


def trials(card: Mapping[str, Any]) -> list[Trial]:
    """The configuration in the card, the same displaced, and random beads, also in boxes."""
    defaults = [entry["default"] for entry in card["parameters"]]
    n_types, cutoff, topology = len(card["bead_types"]), card["cutoff"], card["topology"]
    found = []
    if topology is not None:
        box = _tensor(topology.get("box"))
        found.append(Trial(stored(card), box))
        positions = np.array(topology["positions"], dtype=np.float64)
        noise = np.random.default_rng(0).normal(0.0, 0.003, positions.shape)
        moved = {**topology, "positions": positions + noise}
        found.append(Trial(stored({**card, "topology": moved}), box))
    found += [Trial(chain(size, n_types, cutoff, defaults, seed=size)) for size in _SIZES]
    vectors = 2.2 * cutoff * np.array([[1.0, 0.0, 0.0], [0.3, 1.0, 0.0], [-0.4, 0.2, 1.0]])
    periodic = chain(_SIZES[-1], n_types, cutoff, defaults, seed=0, box=vectors)
    return [*found, Trial(periodic, _tensor(vectors))]


def _tensor(box: Any) -> Tensor | None:
    return None if box is None else torch.as_tensor(box, dtype=torch.float64)


def _pick(results: Results, order: Tensor) -> Results:
    energy, forces, derivatives = results
    return energy[order], forces[order], derivatives[:, order]


def _twice(results: Results) -> Results:
    energy, forces, derivatives = results
    return energy.repeat(2), forces.repeat(2, 1), derivatives.repeat(1, 2)


def largest_difference(expected: Sequence[Tensor], got: Sequence[Tensor]) -> float:
    """Largest difference of two results relative to the largest value of each tensor."""
    largest = 0.0
    for a, b in zip(expected, got, strict=True):
        scale = max(a.abs().max().item(), 1e-3)
        difference = (a.double() - b.double()).abs().max().item() / scale
        largest = max(largest, difference if np.isfinite(difference) else np.inf)
    return largest
