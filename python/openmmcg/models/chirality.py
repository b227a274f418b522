"""Parity-odd scalars: what tells a structure from its mirror image."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TripleProducts(nn.Module):
    """Scalars a . (b x c) of vector features, which change sign under reflection.

    The vectors a, b and c are mixtures of the features, each damped to v / sqrt(1 + |v|^2), so
    that the product stays between -1 and 1. Rotations leave it as it is (it is a determinant),
    and it vanishes where the vectors lie in a plane.

    Parameters
    ----------
    width : int
        Number of features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Scalars (..., width) of vectors (..., 3, width)."""
        mixed = self.mix(vectors)
        damped = mixed * torch.rsqrt(1.0 + (mixed * mixed).sum(-2, keepdim=True))
        a, b, c = damped.chunk(3, -1)
        return self.out((a * torch.linalg.cross(b, c, dim=-2)).sum(-2))
