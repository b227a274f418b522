"""Functions of distance and edge type with trained coefficients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from openmmcg.models.edge_types import EDGE_TYPE_COUNT


class Filters(nn.Module):
    """Continuous filters of all interactions: functions of distance and edge type only.

    A filter is a function of one number for each edge type, so it is expanded in the radial
    basis directly; a network in between could represent nothing more and costs most of the time
    of a training step.

    Parameters
    ----------
    rbf : int
        Number of radial basis functions.
    width : int
        Number of features.
    interactions : int
        Number of interactions.
    std : float
        Standard deviation of the initial coefficients, by which filters start with about unit
        variance: see `initial_std` of the radial basis.
    """

    def __init__(self, rbf: int, width: int, interactions: int, std: float) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.empty(EDGE_TYPE_COUNT, rbf, interactions * width))
        nn.init.normal_(self.coefficients, std=std)

    def forward(self, basis: Tensor, edge_types: Tensor) -> Tensor:
        """Filters (P, interactions * width) of pairs with `basis` (P, rbf) and types (P,)."""
        # In training on the CPU only: other uses are compiled, or would wait for a GPU to look at this.
        if not torch.jit.is_scripting() and self.training and _is_uniform(edge_types):
            return basis @ self.coefficients[edge_types[0]]
        chosen = torch.nn.functional.one_hot(edge_types, self.coefficients.size(0)).to(basis.dtype)
        spread = chosen.unsqueeze(2) * basis.unsqueeze(1)
        return spread.flatten(1) @ self.coefficients.flatten(0, 1)

    def of_frames(self, basis: Tensor, edge_types: Tensor) -> Tensor:
        """Filters (U, F, interactions * width) of `basis` (U, F, rbf), one edge type a pair."""
        return torch.bmm(basis, self.coefficients.index_select(0, edge_types))

    def of_interaction(self, index: int, width: int) -> Tensor:
        """Coefficients (edge types, rbf, width) of one interaction."""
        return self.coefficients[:, :, index * width : (index + 1) * width]


def _is_uniform(edge_types: Tensor) -> bool:
    """Whether all pairs are of one class, as in a liquid of single beads: a fifth of the products."""
    return (
        edge_types.device.type == "cpu"
        and len(edge_types) > 0
        and bool((edge_types == edge_types[0]).all())
    )
