"""3 x 3 tensors as nine components: trace, antisymmetric and symmetric traceless part.

Components t, (a, b, c) and (p, q, r, u, v) stand for the tensor::

        | t + u    p - c    q + b     |
        | p + c    t + v    r - a     |
        | q - b    r + a    t - u - v |

The matrices that lead back and forth hold whole numbers only, so that they are exact in every
precision and symmetries hold to rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_COMPONENTS = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0, 0, 0), (0, 0, -1), (0, 1, 0)),
    ((0, 0, 1), (0, 0, 0), (-1, 0, 0)),
    ((0, -1, 0), (1, 0, 0), (0, 0, 0)),
    ((0, 1, 0), (1, 0, 0), (0, 0, 0)),
    ((0, 0, 1), (0, 0, 0), (1, 0, 0)),
    ((0, 0, 0), (0, 0, 1), (0, 1, 0)),
    ((1, 0, 0), (0, 0, 0), (0, 0, -1)),
    ((0, 0, 0), (0, 1, 0), (0, 0, -1)),
)


class TensorAlgebra(nn.Module):
    """Products and norms of tensors given by their components.

    Parameters
    ----------
    chiral : bool
        Whether `product` is twice the plain matrix product, which mixes parities; otherwise it is
        the anticommutator, which keeps the antisymmetric part odd under reflection and the rest
        even.
    """

    def __init__(self, chiral: bool) -> None:
        super().__init__()
        self.chiral = chiral
        compose = torch.tensor(_COMPONENTS, dtype=torch.float64).flatten(1).t()
        six_times_inverse = (6.0 * torch.linalg.inv(compose)).round()
        real = torch.get_default_dtype()
        self.compose: Tensor
        self.decompose: Tensor
        self.metric: Tensor
        self.register_buffer("compose", compose.to(real), persistent=False)
        self.register_buffer("decompose", six_times_inverse.to(real), persistent=False)
        self.register_buffer("metric", (compose.t() @ compose).to(real), persistent=False)

    def of_directions(self, directions: Tensor) -> Tensor:
        """Components (..., 9) of 1 + skew(r) + (r r - 1/3) for unit vectors r (..., 3)."""
        x, y, z = directions.unbind(-1)
        third = 1.0 / 3.0
        symmetric = torch.stack([x * y, x * z, y * z, x * x - third, y * y - third], -1)
        return torch.cat([torch.ones_like(directions[..., :1]), directions, symmetric], -1)

    def matrices(self, components: Tensor) -> Tensor:
        """Matrices (..., 3, 3, width) of components (..., 9, width)."""
        return torch.matmul(self.compose, components).unflatten(-2, [3, 3])

    def components(self, matrices: Tensor) -> Tensor:
        """Components (..., 9, width) of matrices (..., 3, 3, width)."""
        return torch.matmul(self.decompose, matrices.flatten(-3, -2)) / 6.0

    def square(self, components: Tensor) -> Tensor:
        """Components of the matrix product of tensors with themselves."""
        matrices = self.matrices(components)
        return self.components(multiply(matrices, matrices))

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """Components of left right + right left, or of 2 left right if chiral."""
        a, b = self.matrices(left), self.matrices(right)
        matrices = multiply(a, b)
        matrices = 2.0 * matrices if self.chiral else matrices + multiply(b, a)
        return self.components(matrices)

    def norm(self, components: Tensor) -> Tensor:
        """Squared Frobenius norms (..., width) of components (..., 9, width)."""
        return (torch.matmul(self.metric, components) * components).sum(-2)

    def part_norms(self, components: Tensor) -> Tensor:
        """Squared norms (..., 3 width) of the three parts of components (..., 9, width)."""
        squares = torch.matmul(self.metric, components) * components
        trace, vector, tensor = squares.split([1, 3, 5], -2)
        return torch.cat([trace.squeeze(-2), vector.sum(-2), tensor.sum(-2)], -1)


def multiply(left: Tensor, right: Tensor) -> Tensor:
    """Product of matrices (..., 3, 3, width), one for each feature."""
    columns, rows = left.unsqueeze(-2).unbind(-3), right.unsqueeze(-4).unbind(-3)
    return columns[0] * rows[0] + columns[1] * rows[1] + columns[2] * rows[2]


def scale_parts(components: Tensor, factors: Tensor) -> Tensor:
    """Multiply the parts of (..., 9, width) by factors (..., 3 width), width for each part."""
    trace, vector, tensor = components.split([1, 3, 5], -2)
    of_trace, of_vector, of_tensor = factors.unsqueeze(-2).chunk(3, -1)
    return torch.cat([trace * of_trace, vector * of_vector, tensor * of_tensor], -2)


def gather(pairs: Tensor, senders: Tensor, factors: Tensor, n_beads: int) -> Tensor:
    """Sum the parts of tensors times factors over the pairs of each first bead.

    Parameters
    ----------
    pairs : torch.Tensor of int64, shape (2, P)
        Directed pairs.
    senders : torch.Tensor, shape (P, F, 9, width or 1)
        What second beads send.
    factors : torch.Tensor, shape (P, F, 3 width)
        One factor for each part.
    n_beads : int
        Number of beads.

    Returns
    -------
    torch.Tensor, shape (n_beads, F, 9, width)
    """
    trace, vector, tensor = senders.split([1, 3, 5], -2)
    of_trace, of_vector, of_tensor = factors.unsqueeze(-2).chunk(3, -1)
    return torch.cat(
        [
            _sum(pairs, trace * of_trace, n_beads),
            _sum(pairs, vector * of_vector, n_beads),
            _sum(pairs, tensor * of_tensor, n_beads),
        ],
        -2,
    )


def _sum(pairs: Tensor, messages: Tensor, n_beads: int) -> Tensor:
    shape = [n_beads, messages.size(1), messages.size(2), messages.size(3)]
    return messages.new_zeros(shape).index_add(0, pairs[0], messages)


class PartMixer(nn.Module):
    """Linear mixtures of features, one for each part, as equivariance allows.

    Parameters
    ----------
    width : int
        Number of features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trace = nn.Linear(width, width, bias=False)
        self.vector = nn.Linear(width, width, bias=False)
        self.tensor = nn.Linear(width, width, bias=False)

    def forward(self, components: Tensor) -> Tensor:
        """Mixed components (..., 9, width)."""
        trace, vector, tensor = components.split([1, 3, 5], -2)
        return torch.cat([self.trace(trace), self.vector(vector), self.tensor(tensor)], -2)
